"""Texts → embeddings, pairs of texts → scores."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pubvec.encoder.base import Encoder, ModelSettings, load
    from pubvec.encoder.models import resolve
    from pubvec.encoder.scorer import Scorer, load_scorer

_MODULES = {
    "Encoder": "base",
    "ModelSettings": "base",
    "Scorer": "scorer",
    "load": "base",
    "load_scorer": "scorer",
    "resolve": "models",
}

__all__ = ["Encoder", "ModelSettings", "Scorer", "load", "load_scorer", "resolve"]


def __getattr__(name: str) -> Any:
    """Import the module that has `name` on first use."""
    if name in _MODULES:
        return getattr(import_module(f"pubvec.encoder.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
