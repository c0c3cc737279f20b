"""The output format of an embedding: its length, its number of dimensions and the type of its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from pubvec.errors import ConfigError, InputError

FloatArray = npt.NDArray[np.float32]
EmbeddingArray = npt.NDArray[Any]
NumberType = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
"""The values of sentence-transformers' `precision`, and float16."""

ARRAY_TYPES: Mapping[NumberType, str] = {
    "float32": "float32",
    "float16": "float16",
    "int8": "int8",
    "uint8": "uint8",
    "binary": "int8",
    "ubinary": "uint8",
}
"""The numpy type of the arrays that `encode` returns for each `precision`."""
_DEVIATIONS = 4.0
"""Half the width of a range, in standard deviations. One number in 16,000 lies outside and is clipped."""
_N_LEVELS = 255
_SIGN = 128
"""The difference between an unsigned byte and the signed byte that stands for the same level or the same bits."""


@dataclass(frozen=True)
class EmbeddingRanges:
    """The range of each dimension of a model's unit vectors, for every number of dimensions that it can be cut to."""

    FILE: ClassVar[str] = "onnx/embedding_ranges.json"
    """The place of the ranges in a model folder. The export writes them with the graphs."""

    by_width: Mapping[int, tuple[FloatArray, FloatArray]]
    """The key is a number of dimensions, the value (minimum, maximum). *Shape:* both (width,)"""

    @classmethod
    def measure(cls, vectors: FloatArray) -> EmbeddingRanges:
        """Take mean ± 4 standard deviations of each dimension, for the full width and each half of it down to 32.

        *Shape:* (n, dim), unit vectors
        """
        by_width, width = {}, vectors.shape[1]
        while width:
            leading = scale_to_unit(vectors[:, :width])
            mean = leading.mean(axis=0)
            reach = np.maximum(_DEVIATIONS * leading.std(axis=0), np.float32(1e-6))
            by_width[width] = (mean - reach, mean + reach)
            width = width // 2 if width > 32 else 0
        return cls(by_width)

    @classmethod
    def read(cls, path: Path) -> EmbeddingRanges:
        """Read a file that holds what `to_json` returned.

        Raises:
            InputError: the file is missing or damaged.
        """
        try:
            ranges = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                {
                    int(width): (_row(entry["minimum"]), _row(entry["maximum"]))
                    for width, entry in ranges.items()
                }
            )
        except FileNotFoundError as error:
            raise InputError(
                f"{path} is missing, without which no embedding is rounded to int8: `pubvec export` makes it"
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path} is damaged ({error!r}): export the model again") from error

    def to_json(self) -> dict[str, Any]:
        """Return the ranges by width, as numbers that JSON holds."""
        return {
            str(width): {"minimum": minimum.tolist(), "maximum": maximum.tolist()}
            for width, (minimum, maximum) in self.by_width.items()
        }

    def round(self, vectors: FloatArray) -> npt.NDArray[np.uint8]:
        """Round to 255 levels within the ranges. *Shape:* (n, width) → the same

        Raises:
            ConfigError: there are no ranges of this width.
        """
        if vectors.shape[1] not in self.by_width:
            known = ", ".join(map(str, self.by_width))
            raise ConfigError(
                f"int8 embeddings of this model have {known} dimensions, not {vectors.shape[1]}"
            )
        minimum, maximum = self.by_width[vectors.shape[1]]
        levels = np.rint((vectors - minimum) / (maximum - minimum) * _N_LEVELS)
        rounded: npt.NDArray[np.uint8] = np.clip(levels, 0, _N_LEVELS).astype(np.uint8)
        return rounded


@dataclass(frozen=True)
class OutputFormat:
    """The format into which `encode` brings the vectors that a model computes.

    The names and values are those of sentence-transformers' `encode`; float16 is ours.
    """

    normalize_embeddings: bool = True
    """Scale to unit length, after cutting to `truncate_dim`."""
    truncate_dim: int | None = None
    """The number of leading dimensions to keep, for models trained so that these stand alone (Matryoshka
    Representation Learning, Kusupati et al. 2022, arXiv 2205.13147). None: all."""
    precision: NumberType = "float32"
    """`int8` and `uint8` are 255 levels within the model's ranges. `ubinary` packs the bits "above zero" of eight
    dimensions into a byte, the first dimension highest; `binary` is that byte minus 128, as int8."""

    def __post_init__(self) -> None:
        if self.precision not in get_args(NumberType):
            raise ConfigError(
                f"precision is one of {', '.join(get_args(NumberType))}, not {self.precision!r}"
            )
        if self.truncate_dim is not None and self.truncate_dim < 1:
            raise ConfigError(f"an embedding has at least 1 dimension, not {self.truncate_dim}")
        if self.is_rounded and not self.normalize_embeddings:
            raise ConfigError(f"{self.precision} embeddings are rounded unit vectors: leave normalization on")
        if self.is_packed and self.truncate_dim is not None and self.truncate_dim % 8:
            raise ConfigError(
                f"binary embeddings come in whole bytes: {self.truncate_dim} is no multiple of 8"
            )

    @property
    def is_rounded(self) -> bool:
        """Whether numbers are rounded within the model's ranges."""
        return self.precision in ("int8", "uint8")

    @property
    def is_packed(self) -> bool:
        """Whether eight dimensions share a byte."""
        return self.precision in ("binary", "ubinary")

    def check(self, dim: int) -> None:
        """Check that a model with `dim` dimensions has embeddings of this format.

        Raises:
            ConfigError: it has fewer dimensions, or they do not fill whole bytes.
        """
        if self.truncate_dim is not None and self.truncate_dim > dim:
            raise ConfigError(f"{self.truncate_dim} dimensions are asked for: the model has {dim}")
        if self.is_packed and (self.truncate_dim or dim) % 8:
            raise ConfigError(f"binary embeddings come in whole bytes: {dim} is no multiple of 8")

    def width(self, dim: int) -> int:
        """Return the number of elements in a row that is made from `dim` dimensions."""
        n_dimensions = self.truncate_dim or dim
        return n_dimensions // 8 if self.is_packed else n_dimensions

    def apply(self, vectors: FloatArray, ranges: EmbeddingRanges | None) -> EmbeddingArray:
        """Bring vectors into this format. *Shape:* (n, dim) → (n, `width(dim)`)"""
        vectors = vectors[:, : self.truncate_dim]
        if self.normalize_embeddings:
            vectors = scale_to_unit(vectors)
        if self.is_packed or self.is_rounded:
            if self.is_packed:
                levels = np.packbits(vectors > 0, axis=1)
            else:
                assert ranges is not None
                levels = ranges.round(vectors)
            signed = self.precision in ("int8", "binary")
            return (levels.astype(np.int16) - _SIGN).astype(np.int8) if signed else levels
        return np.ascontiguousarray(vectors, dtype=self.precision)


def scale_to_unit(vectors: FloatArray) -> FloatArray:
    """Divide each row by its length; a zero row stays zero. *Shape:* (n, dim) → (n, dim)"""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def _row(numbers: list[float]) -> FloatArray:
    return np.array(numbers, dtype=np.float32)
