"""Prompts: what a bi-encoder wants before queries and before documents, as its checkpoint says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pubvec.encoder.models import read_json
from pubvec.errors import InputError

_OF_DOCUMENTS = ("document", "passage", "corpus")
"""Names that sentence-transformers looks up for documents, in its order. It takes an empty one, too, which it gives
every model; here the first that says something counts."""


class Prompts(NamedTuple):
    """What is put before each text; empty for most models."""

    query: str = ""
    document: str = ""
    default: str = ""
    """Before a text that is neither."""

    @classmethod
    def among(cls, stored: Mapping[str, str | None], default_name: str | None) -> Prompts:
        """Choose from a checkpoint's prompts by their names."""
        document = next((prompt for name in _OF_DOCUMENTS if (prompt := stored.get(name))), "")
        return cls(stored.get("query") or "", document, stored.get(default_name or "") or "")


def read_prompts(folder: Path) -> Prompts:
    """The prompts in `config_sentence_transformers.json` of a model folder.

    Raises:
        InputError: they are no strings, or the model leaves them out of its pooling, which is not supported.
    """
    config = read_json(folder / "config_sentence_transformers.json", default={})
    stored = config.get("prompts") or {}
    if not isinstance(stored, dict) or not all(isinstance(value, str | None) for value in stored.values()):
        raise InputError(
            f"{folder}: expected prompts by name in config_sentence_transformers.json, found {stored!r:.60}"
        )
    prompts = Prompts.among(stored, config.get("default_prompt_name"))
    pooling = read_json(folder / "1_Pooling" / "config.json", default={})
    if any(prompts) and not pooling.get("include_prompt", True):
        raise InputError(
            f"{folder} leaves prompts out of its pooling (include_prompt: false), which pubvec does not do"
        )
    return prompts
