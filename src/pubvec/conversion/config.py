"""Settings of `pubvec export`, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pubvec.errors import ConfigError


@dataclass(frozen=True)
class ExportConfig:
    """How graphs are made and what they must keep."""

    is_quantized: bool = True
    """Make the int8 graph too."""
    smoothing: float = 0.8
    """How much of the difference between the widths of channels moves from activations (0) to weights (1)."""
    n_calibration_texts: int = 256
    """Texts on which the ranges of activations and of embeddings are measured."""
    n_parity_texts: int = 128
    """Other texts on which the graphs are checked."""
    max_difference: float = 1e-4
    """Largest difference of fp32 from torch in any dimension, as a fraction of the vector's length."""
    min_cosine_fp32: float = 0.99999
    """Smallest cosine of fp32 to torch over the texts."""
    min_mean_cosine_int8: float = 0.998
    """Smallest mean cosine of int8 to fp32 over the texts."""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= 1:
            raise ConfigError(f"smoothing must be from 0 to 1, not {self.smoothing}")
        for name in ("n_calibration_texts", "n_parity_texts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.max_difference <= 0:
            raise ConfigError(f"max_difference must be positive, not {self.max_difference}")
        for name in ("min_cosine_fp32", "min_mean_cosine_int8"):
            if not -1 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be a cosine, not {getattr(self, name)}")


@dataclass(frozen=True)
class Parity:
    """How near one encoder's vectors are to another's, over texts of many lengths."""

    max_difference: float
    """This is the largest difference in any dimension, as a fraction of the reference vector's length."""
    min_cosine: float
    mean_cosine: float


@dataclass(frozen=True)
class ExportReport:
    """What an export made."""

    folder: Path
    fp32_bytes: int
    int8_bytes: int | None
    fp32: Parity
    """The fp32 graph is compared with torch."""
    int8: Parity | None
    """The int8 graph is compared with the fp32 graph; None where only fp32 was asked for."""
    n_calibration_texts: int
    n_parity_texts: int
    seconds: float
