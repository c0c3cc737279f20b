"""Prompts: what a bi-encoder wants before queries and before documents, as its checkpoint says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pubvec.encoder.models import read_json
from pubvec.errors import InputError

_OF_DOCUMENTS = ("document", "passage", "corpus")
"""Names that sentence-transformers looks up for documents, in its order."""


class Prompts(NamedTuple):
    """What is put before each text; empty for most models."""

    query: str = ""
    document: str = ""


def read_prompts(folder: Path) -> Prompts:
    """The prompts in `config_sentence_transformers.json` of a model folder.

    Raises:
        InputError: they are no strings, or the model leaves them out of its pooling, which is not supported.
    """
    stored = read_json(folder / "config_sentence_transformers.json", default={}).get("prompts") or {}
    if not isinstance(stored, dict) or not all(isinstance(value, str | None) for value in stored.values()):
        raise InputError(
            f"{folder}: expected prompts by name in config_sentence_transformers.json, found {stored!r:.60}"
        )
    document = next((stored[name] for name in _OF_DOCUMENTS if stored.get(name)), "")
    prompts = Prompts(stored.get("query") or "", document)
    pooling = read_json(folder / "1_Pooling" / "config.json", default={})
    if any(prompts) and not pooling.get("include_prompt", True):
        raise InputError(
            f"{folder} leaves prompts out of its pooling (include_prompt: false), which pubvec does not do"
        )
    return prompts
