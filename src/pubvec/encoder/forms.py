"""Forms of an embedding: its length, its width and the type of its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pubvec.errors import ConfigError, InputError

FloatArray = npt.NDArray[np.float32]
EmbeddingArray = npt.NDArray[Any]
NumberType = Literal["float32", "float16", "int8", "binary"]

RANGES_FILE = "embedding_ranges.json"
"""Beside the graphs, made with them."""
_DEVIATIONS = 4.0
"""Half the width of a range, in standard deviations: what is farther out, 1 in 16,000, is cut off."""
_N_LEVELS = 255


@dataclass(frozen=True)
class EmbeddingRanges:
    """The range of each dimension of a model's unit vectors, for every width that vectors are cut to."""

    by_width: Mapping[int, tuple[FloatArray, FloatArray]]
    """Width → (minimum, maximum). *Shape:* both (width,)"""

    @classmethod
    def measure(cls, vectors: FloatArray) -> EmbeddingRanges:
        """Take mean ± 4 standard deviations of each dimension, for the full width and each half of it down to 32.

        *Shape:* (n, dim), unit vectors
        """
        by_width, width = {}, vectors.shape[1]
        while width:
            cut = scale_to_unit(vectors[:, :width])
            mean, reach = cut.mean(axis=0), np.maximum(_DEVIATIONS * cut.std(axis=0), np.float32(1e-6))
            by_width[width] = (mean - reach, mean + reach)
            width = width // 2 if width > 32 else 0
        return cls(by_width)

    @classmethod
    def read(cls, path: Path) -> EmbeddingRanges:
        """Read what `to_json` gave.

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
        """By width, as numbers that JSON holds."""
        return {
            str(width): {"minimum": minimum.tolist(), "maximum": maximum.tolist()}
            for width, (minimum, maximum) in self.by_width.items()
        }

    def round(self, vectors: FloatArray) -> npt.NDArray[np.int8]:
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
        rounded: npt.NDArray[np.int8] = (np.clip(levels, 0, _N_LEVELS) - 128).astype(np.int8)
        return rounded


@dataclass(frozen=True)
class EmbeddingForm:
    """What `encode` makes of the vectors that a model computes."""

    normalize: bool = True
    """Scale to unit length, after cutting."""
    dimensions: int | None = None
    """Leading dimensions to keep, for models trained so that these stand alone (Matryoshka). None: all."""
    number_type: NumberType = "float32"
    """`int8`: 255 levels within the model's ranges. `binary`: one bit a dimension, 1 above zero, eight in a
    byte, first dimension highest."""

    def __post_init__(self) -> None:
        if self.number_type not in get_args(NumberType):
            raise ConfigError(
                f"precision is one of {', '.join(get_args(NumberType))}, not {self.number_type!r}"
            )
        if self.dimensions is not None and self.dimensions < 1:
            raise ConfigError(f"dimensions must be at least 1, not {self.dimensions}")
        if self.number_type == "int8" and not self.normalize:
            raise ConfigError("int8 embeddings are rounded unit vectors: leave normalize on")
        if self.number_type == "binary" and self.dimensions is not None and self.dimensions % 8:
            raise ConfigError(f"binary embeddings come in whole bytes: {self.dimensions} is no multiple of 8")

    def check(self, dim: int) -> None:
        """Refuse more dimensions than a model has, or fewer than whole bytes."""
        if self.dimensions is not None and self.dimensions > dim:
            raise ConfigError(f"dimensions is {self.dimensions}: the model has {dim}")
        if self.number_type == "binary" and (self.dimensions or dim) % 8:
            raise ConfigError(f"binary embeddings come in whole bytes: {dim} is no multiple of 8")

    def width(self, dim: int) -> int:
        """Elements of a row that was made from `dim` dimensions."""
        n_dimensions = self.dimensions or dim
        return n_dimensions // 8 if self.number_type == "binary" else n_dimensions

    def apply(self, vectors: FloatArray, ranges: EmbeddingRanges | None) -> EmbeddingArray:
        """Bring vectors into this form. *Shape:* (n, dim) → (n, dimensions), or eight in one if binary"""
        vectors = vectors[:, : self.dimensions]
        if self.normalize:
            vectors = scale_to_unit(vectors)
        if self.number_type == "binary":
            return np.packbits(vectors > 0, axis=1)
        if self.number_type == "int8":
            assert ranges is not None
            return ranges.round(vectors)
        return np.ascontiguousarray(vectors, dtype=self.number_type)


def scale_to_unit(vectors: FloatArray) -> FloatArray:
    """Divide each row by its length; a zero row stays zero. *Shape:* (n, dim) → (n, dim)"""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def _row(numbers: list[float]) -> FloatArray:
    return np.array(numbers, dtype=np.float32)
