"""The models that pubvec releases, and where each is on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

RELEASED: Mapping[str, str] = {
    "pubvec-small": "bi-encoder, 22.7M parameters, 384 dimensions",
    "pubvec-nano": "bi-encoder, 1M parameters, 128 dimensions",
    "pubvec-base": "bi-encoder, 109M parameters, 768 dimensions: the teacher",
    "pubvec-reranker": "cross-encoder, 22.7M parameters",
    "pubvec-colbert": "late interaction, 22.7M parameters, 128 dimensions a token",
}
"""Name → what it is. Not every one has been released yet."""
DEFAULT_MODEL = "pubvec-small"
"""What verbs encode with unless told otherwise."""
HUB_OWNER = "pubvec"
"""Under which the hub has them."""
_PACKAGE = Path(__file__).parents[1] / "models"
"""A wheel carries the smallest form of one model."""
_REPOSITORY = Path(__file__).parents[3] / "models"
"""Of a source checkout."""


def find_released(name: str) -> Path | None:
    """The folder of a released model: in a checkout of the repository, else in the package; None where it is not here.

    The repository comes first, for it has the weights too.
    """
    if name not in RELEASED:
        return None
    folders = (place / name for place in (_REPOSITORY, _PACKAGE))
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)
