"""Models to evaluate: what they are called, what identifies them, and loading them when needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from pubvec.encoder.base import Encoder, load
from pubvec.encoder.models import name_of, resolve
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.systems import find_system
from pubvec.files import fingerprint

ModelSource: TypeAlias = str | Path | Encoder
"""A folder, a hub name, a known short name, or a loaded encoder."""

_PROBES = ("insulin", "A trial of aspirin after stroke.", " ".join(["the kinase phosphorylates"] * 300))


def name_models(models: Iterable[ModelSource] | Mapping[str, ModelSource]) -> dict[str, ModelSource]:
    """Models by the names that their results are kept under.

    Args:
        models: a mapping names them; otherwise a published system has its name, a folder and an encoder
            the last part of theirs.

    Raises:
        ConfigError: two models share a name, or a name cannot be that of a folder.
    """
    if isinstance(models, str | Path):
        raise ConfigError(f"models must be a list or a mapping, found {models!r}")
    named: dict[str, ModelSource] = {}
    given = models.items() if isinstance(models, Mapping) else ((_name_of(model), model) for model in models)
    for name, model in given:
        if name in named:
            raise ConfigError(f"two models are called {name!r}: give them names that differ")
        if name in ("", ".", "..") or "/" in name or "\\" in name:
            raise ConfigError(f"a model's name becomes a folder, and {name!r} cannot be one")
        named[name] = model
    return named


class LazyModel:
    """A model that is loaded when its first text is encoded: a kept result needs no model.

    A folder or name is loaded by the encoder room with the given settings; a loaded encoder is used as it is.
    """

    def __init__(
        self,
        name: str,
        source: ModelSource,
        backend: Literal["onnx", "torch"] | None = None,
        precision: Literal["fp32", "int8"] | None = None,
        max_seq_length: int | None = None,
    ) -> None:
        self.name = name
        self._load: Callable[[], Encoder]
        if isinstance(source, str | Path):
            self._load = lambda: load(
                source, backend=backend, precision=precision, max_seq_length=max_seq_length
            )
            self.hash = _hash_folder(resolve(source))
        else:
            self._load = lambda: source
            self.hash = _hash_vectors(source)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded at the first use."""
        return self._load()


def _name_of(model: ModelSource) -> str:
    if isinstance(model, str | Path) and Path(model).is_dir():
        return name_of(model)
    name = name_of(model) if isinstance(model, str | Path) else model.name
    system = find_system(name.replace("--", "/"))
    return system.name if system else name


def _hash_vectors(encoder: Encoder) -> str:
    vectors = encoder.encode(_PROBES, normalize=True)
    return hashlib.sha256(np.ascontiguousarray(vectors, dtype=np.float32).tobytes()).hexdigest()


def _hash_folder(folder: Path) -> str:
    """SHA-256 over names and contents of all files, so that an export into a model folder counts too."""
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError(f"{folder} is an empty folder: a model was expected")
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()} {fingerprint(path)}\n".encode())
    return digest.hexdigest()
