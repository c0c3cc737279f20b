"""The three kinds of model, told apart by the files of their folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pubvec.encoder.models import check_model_folder, read_json, static_part
from pubvec.errors import InputError

Kind = Literal["bi-encoder", "late interaction", "cross-encoder"]

_KIND_OF_TYPE: Mapping[str, Kind] = {
    "SentenceTransformer": "bi-encoder",
    "MultiVectorEncoder": "late interaction",
    "ColBERT": "late interaction",
    "CrossEncoder": "cross-encoder",
}
"""By what sentence-transformers 6 and PyLate 3 write of a model's type."""


def kind_of(folder: Path) -> Kind:
    """What kind of model `folder` holds, by its JSON files.

    Raises:
        InputError: a file is missing or damaged, or the model's type is not one of the three kinds.
    """
    check_model_folder(folder)
    declared = read_json(folder / "config_sentence_transformers.json", default={}).get("model_type")
    if declared is not None:
        if declared not in _KIND_OF_TYPE:
            known = ", ".join(_KIND_OF_TYPE)
            raise InputError(f"{folder} holds a {declared}: expected a model of type {known}")
        return _KIND_OF_TYPE[declared]
    if static_part(folder):
        return "bi-encoder"
    architectures = read_json(folder / "config.json").get("architectures") or []
    if any(str(architecture).endswith("ForSequenceClassification") for architecture in architectures):
        return "cross-encoder"
    modules = read_json(folder / "modules.json", default=[])
    types = [str(module.get("type", "")) for module in modules]
    is_late = "HF_ColBERT" in architectures or any("pylate" in t or "MultiVectorMask" in t for t in types)
    return "late interaction" if is_late else "bi-encoder"
