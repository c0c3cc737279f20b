"""A plain encoder and a writer of files, for the tests of evaluation."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ORGANS = ("liver", "kidney", "heart", "lung", "brain", "skin", "bone", "eye", "colon", "spleen")
DRUGS = ("aspirin", "insulin", "heparin", "warfarin", "statin", "lithium", "morphine", "digoxin")


class WordEncoder:
    """Counts of hashed words: a real encoder, if a plain one."""

    def __init__(self, name: str = "words", dim: int = 64) -> None:
        self.name = name
        self.dim = dim
        self.max_seq_length = 256
        self.n_encoded = 0

    def encode(self, texts: Iterable[str], *, normalize: bool = True) -> np.ndarray:
        texts = list(texts)
        self.n_encoded += len(texts)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, zlib.crc32(word.encode()) % self.dim] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def write_parquet(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path
