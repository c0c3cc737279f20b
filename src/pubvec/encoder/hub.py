"""Models on the Hugging Face hub: fetching a snapshot."""

from __future__ import annotations

from pathlib import Path

from pubvec.encoder.packaged import MODEL_SUFFIXES
from pubvec.errors import InputError, require

_WANTED_TOO = ("onnx/model.onnx", "onnx/model_quantized.onnx", "artifact.metadata")
"""The ONNX graphs, and the file in which ColBERT's authors keep lengths and masks."""


def find_in_cache(repository: str, revision: str | None = None) -> Path | None:
    """Return the folder in the hub's cache of a repository that was fetched before, without any connection; or None."""
    try:
        import huggingface_hub
    except ImportError:
        return None
    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, local_files_only=True))
    except Exception:  # the hub's errors share no base class, and each of them means that it is not there
        return None


def fetch_from_hub(
    repository: str, *, revision: str | None = None, with_graphs: bool = True, with_code: bool = False
) -> Path:
    """Download the files of a model repository into the hub's own cache and return the folder.

    Args:
        repository: `owner/name`.
        revision: a branch, a tag or a commit; None: the default branch.
        with_graphs: fetch ONNX graphs too.
        with_code: fetch Python files too.

    Raises:
        InputError: the hub cannot be reached, or has no such repository or revision.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub = require("huggingface_hub", extra="train")
    patterns = [*(f"*{suffix}" for suffix in MODEL_SUFFIXES), *_WANTED_TOO, *["*.py"] * with_code]
    ignored = None if with_graphs else "onnx/*"
    try:
        return Path(
            hub.snapshot_download(
                repository, revision=revision, allow_patterns=patterns, ignore_patterns=ignored
            )
        )
    except Exception as error:  # the hub's errors share no base class with those of its HTTP client
        lines = str(error).strip().splitlines()
        at = f"{repository}@{revision}" if revision else repository
        raise InputError(
            f"the hub did not give {at} ({lines[0] if lines else type(error).__name__}): "
            "check the name and the network"
        ) from error
