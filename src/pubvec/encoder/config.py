"""Settings of `pubvec encode`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pubvec.encoder.forms import EmbeddingForm, NumberType
from pubvec.errors import ConfigError

Backend = Literal["onnx", "torch"]
Precision = Literal["fp32", "int8"]


@dataclass(frozen=True)
class EncodeConfig:
    """How `encode` makes a `vectors/` folder."""

    backend: Backend | None = None
    """None: onnx where the model is exported, else torch."""
    precision: Precision | None = None
    """Of the ONNX graph; None: int8 where there is one."""
    max_seq_length: int | None = None
    """None: what the model says."""
    normalize: bool = True
    dimensions: int | None = None
    """Leading dimensions to keep, for models trained so that these stand alone; None: all."""
    dtype: NumberType = "float16"
    """Of the stored numbers; float16 keeps the cosine of unit vectors to about 0.0005. int8 rounds to 255
    levels within the ranges that the export saved, binary keeps one bit a dimension."""
    text_column: str = "text"
    id_column: str | None = None
    """None: rows are counted from 0."""
    texts_per_shard: int = 4096
    """What a killed run loses at most."""

    def __post_init__(self) -> None:
        EmbeddingForm(self.normalize, self.dimensions, self.dtype)
        if self.texts_per_shard < 1:
            raise ConfigError(f"texts_per_shard must be at least 1, not {self.texts_per_shard}")
