"""Sentence similarity: do scores order pairs of texts as people do?

The protocol of the STS sets (Cer et al. 2017, doi:10.18653/v1/S17-2001; Spearman: Reimers et al. 2016, C16-1009).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pubvec.encoder.scorer import Scorer
from pubvec.errors import InputError
from pubvec.evaluation.datafiles import number_column, read_columns, text_column
from pubvec.evaluation.measures import FloatArray, draw_resamples, interval_of, pearson, spearman
from pubvec.evaluation.results import Figure, Outcome
from pubvec.evaluation.retrieval import score_pairs

_MEASURES = {"Spearman": spearman, "Pearson (human)": pearson}


@dataclass(frozen=True)
class GradedSet:
    """Pairs of texts and how alike people find them. *Shape:* (n,) each"""

    pairs: list[tuple[str, str]]
    grades: list[float]


@dataclass(frozen=True)
class SimilarityTask:
    """Three columns of a Parquet, CSV, TSV or JSON Lines file: two texts and a human score."""

    name: str
    file: str
    text: str
    other: str
    grade: str

    def files(self, data: Path) -> list[Path]:
        """The files that decide the result."""
        return [data / self.file]

    def load(self, data: Path) -> GradedSet:
        """Read the pairs.

        Raises:
            InputError: the file or a column is missing, a text is empty, a score is no number, or all are equal.
        """
        (path,) = self.files(data)
        columns = read_columns(path, [self.text, self.other, self.grade])
        texts, others = (text_column(columns, name, path) for name in (self.text, self.other))
        grades = number_column(columns, self.grade, path)
        if len(set(grades)) < 2:
            raise InputError(
                f"{path}: all values of {self.grade!r} are {grades[0]}: a correlation needs two that differ"
            )
        return GradedSet(list(zip(texts, others, strict=True)), grades)


def evaluate_similarity(scorer: Scorer, texts: GradedSet, *, n_resamples: int) -> Outcome:
    """Correlation of the scores of pairs, of any kind of scorer, with human ones; intervals over pairs."""
    scores = score_pairs(scorer, texts.pairs)
    grades = np.array(texts.grades)
    counts = draw_resamples(len(grades), n_resamples)
    figures = {
        name: Figure(measure(scores, grades), interval_of(_resample(measure, scores, grades, counts)))
        for name, measure in _MEASURES.items()
    }
    n_texts = len({text for pair in texts.pairs for text in pair})
    values = {"score": [round(score, 7) for score in scores.tolist()], "human": texts.grades}
    return Outcome(len(grades), n_texts, figures, values, scorer.definition)


def _resample(
    measure: Callable[[FloatArray, FloatArray], float],
    scores: FloatArray,
    grades: FloatArray,
    counts: FloatArray,
) -> FloatArray:
    """NaN where a resample has but one value. *Shape:* `counts`: (n_resamples, n); returns (n_resamples,)"""
    values = np.full(len(counts), np.nan)
    for place, count in enumerate(counts.astype(np.int64)):
        drawn = np.repeat(np.arange(len(grades)), count)
        if np.ptp(grades[drawn]) and np.ptp(scores[drawn]):
            values[place] = measure(scores[drawn], grades[drawn])
    return values
