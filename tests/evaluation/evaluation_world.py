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

    def encode(self, texts: Iterable[str], *, normalize_embeddings: bool = True) -> np.ndarray:
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


def write_liveqa(folder: Path) -> None:
    """Three questions and, as in the real files, a row of an answer for each of its judgements."""
    judged = [("Q1", "a", 4), ("Q1", "b", 3), ("Q1", "c", 2), ("Q2", "a", 1), ("Q3", "d", 3), ("Q3", "a", 4)]
    judged += [("Q1", "b", 1)]
    texts = {"a": "Rest.", "b": "Drink tea.", "c": "Take aspirin.", "d": "Drink tea."}
    write_parquet(
        folder / "liveqa2017_answers.parquet",
        answer_id=[answer for _, answer, _ in judged],
        answer=[texts[answer] for _, answer, _ in judged],
    )
    write_parquet(
        folder / "liveqa2017_questions.parquet",
        qid=["Q1", "Q2", "Q3"],
        nlm_summary=["Flu?", "Gout?", "Cold?"],
    )
    write_parquet(
        folder / "liveqa2017_qrels.parquet",
        qid=[question for question, _, _ in judged],
        answer_id=[answer for _, answer, _ in judged],
        judgment=[grade for _, _, grade in judged],
    )
