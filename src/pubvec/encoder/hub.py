"""Models on the Hugging Face hub: fetching a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pubvec.encoder.packaged import MODEL_SUFFIXES
from pubvec.errors import InputError, PubvecError, require

_WANTED_TOO = ("onnx/model.onnx", "onnx/model_quantized.onnx", "artifact.metadata")
"""The ONNX graphs, and the file in which ColBERT's authors keep lengths and masks."""
RUNTIME_FILES = ("onnx/*.onnx", "openvino/*.xml", "openvino/*.bin", "*.gguf")
"""Patterns of a model's files for other runtimes. None of these formats can hold code of Python."""


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
    repository: str,
    *,
    revision: str | None = None,
    with_graphs: bool = True,
    with_code: bool = False,
    into: Path | None = None,
) -> Path:
    """Download the files of a model repository into the hub's own cache and return the folder.

    Args:
        repository: `owner/name`.
        revision: a branch, a tag or a commit; None: the default branch.
        with_graphs: fetch ONNX graphs too.
        with_code: fetch Python files too.
        into: download into this folder instead, with the files for other runtimes too (see `RUNTIME_FILES`).

    Raises:
        InputError: the hub cannot be reached, or has no such repository or revision.
        MissingExtraError: huggingface_hub is not installed.
    """
    hub = require("huggingface_hub", extra="train")
    patterns = [*(f"*{suffix}" for suffix in MODEL_SUFFIXES), *_WANTED_TOO, *["*.py"] * with_code]
    ignored = None if with_graphs else "onnx/*"
    at = f"{repository}@{revision}" if revision else repository
    with hub_errors(f"the hub did not give {at}", "check the name and the network"):
        return Path(
            hub.snapshot_download(
                repository,
                revision=revision,
                allow_patterns=patterns if into is None else [*patterns, *RUNTIME_FILES],
                ignore_patterns=ignored,
                local_dir=into,
            )
        )


@contextmanager
def hub_errors(what: str, way_out: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into one line: `what`, the reason, and `way_out`.

    Raises:
        InputError: the block raised an exception.
    """
    try:
        yield
    except PubvecError:
        raise
    except Exception as error:  # the hub's errors share no base class with those of its HTTP client
        # The second line says what the status in the first one means.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()][:2]
        raise InputError(f"{what} ({' '.join(lines) or type(error).__name__}): {way_out}") from error
