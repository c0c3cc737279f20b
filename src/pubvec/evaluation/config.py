"""Settings of `evaluate`, `calibrate` and `bench`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pubvec.errors import ConfigError


@dataclass(frozen=True)
class EvaluateConfig:
    """These are the settings of `evaluate`.

    Raises:
        ConfigError: a number is out of its range, or a seed repeats.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of the draws of random negatives; each seed makes one draw."""
    n_resamples: int = 1000
    """Number of bootstrap resamples for the intervals."""
    depth: int = 1000
    """Length of a ranking; a relevant document below it counts as not found."""
    max_seq_length: int | None = None
    """Tokens of a text that count, of a late interaction's document, or of a cross-encoder's pair; by default what the
    model says."""
    query_length: int | None = None
    """Tokens of a query that count, for late interaction; by default what the model says."""
    query_expansion: bool | None = None
    """Fill short queries of late interaction up with [MASK]; by default as the model says."""
    backend: Literal["onnx", "torch"] | None = None
    """The backend, onnx or torch; by default onnx where the model has been exported."""
    precision: Literal["fp32", "int8"] | None = None
    """The precision of the onnx backend, fp32 or int8; by default int8 where the model has it."""
    rerank_depth: int = 100
    """Documents of a query that a cross-encoder ranks anew in a retrieval task."""
    pair_rerank_depth: int = 20
    """Positives of all pairs that a cross-encoder ranks anew for each anchor, for RR@10 of pairs."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError(f"seeds must be different numbers ≥ 0, found {self.seeds}")
        for name in ("n_resamples", "depth", "rerank_depth", "pair_rerank_depth"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("max_seq_length", "query_length"):
            length = getattr(self, name)
            if length is not None and length < 3:
                raise ConfigError(f"{name} must be at least 3 tokens, found {length}")


@dataclass(frozen=True)
class CalibrateConfig:
    """These settings say what a calibration is fitted on.

    Raises:
        ConfigError: there is no seed.
    """

    rules: tuple[str, ...] = ()
    """Rules whose pairs are used; empty for all rules."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of the draws of random negatives; each draw has as many as there are pairs."""
    max_seq_length: int | None = None
    """Tokens of a text that count; by default what the model says."""
    backend: Literal["onnx", "torch"] | None = None
    """The backend, onnx or torch; by default onnx where the model has been exported."""
    precision: Literal["fp32", "int8"] | None = None
    """The precision of the onnx backend, fp32 or int8; by default int8 where the model has it."""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ConfigError("seeds: expected one or more")


@dataclass(frozen=True)
class BenchConfig:
    """These are the settings of `bench`.

    Raises:
        ConfigError: a number is out of its range.
    """

    n_rounds: int = 3
    """How often the texts are encoded; medians are reported."""
    max_seq_length: int | None = None
    """Tokens of a text that count; by default what the model says."""
    backend: Literal["onnx", "torch"] | None = None
    """The backend, onnx or torch; by default onnx where the model has been exported."""
    precision: Literal["fp32", "int8"] | None = None
    """The precision of the onnx backend, fp32 or int8; by default int8 where the model has it."""

    def __post_init__(self) -> None:
        if self.n_rounds < 1:
            raise ConfigError(f"n_rounds must be at least 1, found {self.n_rounds}")
