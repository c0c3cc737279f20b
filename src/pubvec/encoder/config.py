"""Settings of `pubvec encode`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pubvec.encoder.output_format import NumberType, OutputFormat
from pubvec.errors import ConfigError

Backend = Literal["onnx", "torch"]
Precision = Literal["fp32", "int8"]


@dataclass(frozen=True)
class EncodeConfig:
    """Settings that decide what `encode` writes into a `vectors/` folder."""

    backend: Backend | None = None
    """The library that runs the model: onnx or torch. By default it is onnx where the model is exported, else torch."""
    precision: Precision | None = None
    """The precision of the ONNX graph: int8 or fp32. By default it is int8 where the model has that graph."""
    max_seq_length: int | None = None
    """The number of tokens of a text that are read. By default it is what the model says."""
    normalize: bool = True
    """Scale each vector to unit length."""
    dimensions: int | None = None
    """The number of leading dimensions to keep, for models trained so that these stand alone. By default all are kept."""
    dtype: NumberType = "float16"
    """The type of the stored numbers. float16 keeps the cosine of unit vectors to about 0.0005. int8 and uint8 round to
    255 levels within the ranges that the export saved. binary (int8) and ubinary (uint8) keep one bit a dimension, eight
    in a byte, as sentence-transformers does."""
    text_column: str = "text"
    """The column of a table that holds the texts."""
    id_column: str | None = None
    """The column of a table that holds the ids. By default the rows are counted from 0."""
    texts_per_shard: int = 4096
    """The number of texts in a file of the output; a run that is killed loses at most one such file."""

    def __post_init__(self) -> None:
        self.output_format()
        if self.texts_per_shard < 1:
            raise ConfigError(f"texts_per_shard must be at least 1, not {self.texts_per_shard}")

    def output_format(self) -> OutputFormat:
        """Return the format of the stored vectors.

        Raises:
            ConfigError: the settings exclude each other.
        """
        return OutputFormat(self.normalize, self.dimensions, self.dtype)
