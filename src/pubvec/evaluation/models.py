"""Models to evaluate: this module names and identifies them, and loads them when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pubvec.encoder import (
    BiEncoderScorer,
    Encoder,
    ModelType,
    Scorer,
    choose_backend,
    load_scorer,
    model_type_of,
    name_of,
    resolve,
)
from pubvec.errors import ConfigError, InputError
from pubvec.evaluation.config import EvaluateConfig
from pubvec.evaluation.systems import find_system
from pubvec.files import fingerprint

ModelSource: TypeAlias = str | Path | Encoder | Scorer
"""A model is given as a folder, a hub name, a known short name, or a loaded encoder or scorer."""

_PROBES = ("insulin", "A trial of aspirin after stroke.", " ".join(["the kinase phosphorylates"] * 300))


def name_models(models: Iterable[ModelSource] | Mapping[str, ModelSource]) -> dict[str, ModelSource]:
    """Return models by the names that their results are kept under.

    Args:
        models: a mapping names them; otherwise a published system has its name, a folder and an encoder
            the last part of theirs.

    Raises:
        ConfigError: two models share a name, or a name cannot be that of a folder.
    """
    if isinstance(models, str | Path):
        raise ConfigError(f"models must be a list or a mapping, found {models!r}")
    named: dict[str, ModelSource] = {}
    given = (
        models.items() if isinstance(models, Mapping) else ((name_model(model), model) for model in models)
    )
    for name, model in given:
        if name in named:
            raise ConfigError(f"two models are called {name!r}: give them names that differ")
        if name in ("", ".", "..") or "/" in name or "\\" in name:
            raise ConfigError(f"a model's name becomes a folder, and {name!r} cannot be one")
        named[name] = model
    return named


class LazyModel:
    """A model that is loaded when its first text is scored: a kept result needs no model.

    A folder or name is loaded by the encoder room with the settings that its kind has; a loaded encoder or scorer is
    used as it is.

    Args:
        name: that its results are kept under.
        source: what to load.
        config: the settings.
        trust_remote_code: run code that the model brings along.
    """

    def __init__(
        self, name: str, source: ModelSource, config: EvaluateConfig, *, trust_remote_code: bool = False
    ) -> None:
        self.name = name
        self.kind: ModelType
        self._folder: Path | None = None
        self._config = config
        self._load: Callable[[], Scorer]
        if isinstance(source, str | Path):
            folder = resolve(source, with_code=trust_remote_code)
            self.kind, self.hash = model_type_of(folder), hash_folder(folder)
            options = self._options(config)
            self._load = lambda: load_scorer(source, trust_remote_code=trust_remote_code, **options)
            self._folder = folder
        else:
            scorer = source if isinstance(source, Scorer) else BiEncoderScorer(source)
            self.kind, self.hash = scorer.model_type, _hash_outputs(scorer)
            self._load = lambda: scorer

    @cached_property
    def scorer(self) -> Scorer:
        """Return the model, which is loaded at the first use."""
        return self._load()

    @property
    def precision(self) -> str | None:
        """Return the precision of the weights, `fp32` or `int8`; None for a model that was given loaded."""
        if self._folder is None:
            return None
        if self.kind != "bi-encoder":
            return "fp32"
        return choose_backend(self._folder, self._config.backend, self._config.precision)[1]

    def unload(self) -> None:
        """Forget the scorer, which is loaded again where it is needed."""
        self.__dict__.pop("scorer", None)

    def _options(self, config: EvaluateConfig) -> dict[str, Any]:
        options: dict[str, Any] = {"max_seq_length": config.max_seq_length}
        if self.kind == "bi-encoder":
            options.update(backend=config.backend, precision=config.precision)
        if self.kind == "late interaction":
            options.update(query_length=config.query_length, query_expansion=config.query_expansion)
        return options


def name_model(model: ModelSource) -> str:
    """Return the name of a published system, the last part of a folder's path, or the name that a loaded model has."""
    if isinstance(model, str | Path) and Path(model).is_dir():
        return name_of(model)
    name = name_of(model) if isinstance(model, str | Path) else model.name
    system = find_system(name.replace("--", "/"))
    return system.name if system else name


def _hash_outputs(scorer: Scorer) -> str:
    if isinstance(scorer, BiEncoderScorer):
        outputs = scorer.encoder.encode(_PROBES)
    else:
        short, _, long = _PROBES
        outputs = scorer.score([(short, long), (long, short)])
    return hashlib.sha256(np.ascontiguousarray(outputs, dtype=np.float32).tobytes()).hexdigest()


def hash_folder(folder: Path) -> str:
    """Return what identifies a model in results: SHA-256 over the names and contents of all files.

    An export or a calibration adds files, and so makes another model of it.
    """
    digest = hashlib.sha256()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError(f"{folder} is an empty folder: a model was expected")
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()} {fingerprint(path)}\n".encode())
    return digest.hexdigest()
