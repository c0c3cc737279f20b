"""Code that a checkpoint brings along is refused unless somebody asks for it by the model's name."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from pubvec.encoder.models import read_json
from pubvec.errors import InputError

_OF_LIBRARIES = ("sentence_transformers.", "pylate.")
"""sentence-transformers takes PyLate's modules for its own, without PyLate."""


def refuse_own_code(folder: Path, known_types: Container[str]) -> None:
    """Check that the model in `folder` can be loaded without running code of its own.

    Args:
        folder: of the model.
        known_types: `model_type` of the architectures at hand, whose own code is used instead.

    Raises:
        InputError: it cannot; the message says how to allow it.
    """
    config = read_json(folder / "config.json", default={})
    classes = config.get("auto_map") if config.get("model_type") not in known_types else None
    own = list(classes.values()) if isinstance(classes, dict) else []
    modules = read_json(folder / "modules.json", default=[])
    types = [module["type"] for module in modules if isinstance(module, dict) and "type" in module]
    own += [kind for kind in types if not str(kind).startswith(_OF_LIBRARIES)]
    if own:
        raise InputError(
            f"{folder} needs code of its own ({own[0]}), which is not run: read that code and, if you trust it, say "
            "`pubvec evaluate --trust-remote-code MODEL` or load(…, trust_remote_code=True)"
        )
