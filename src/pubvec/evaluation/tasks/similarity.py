"""Sentence similarity: do scores of pairs of texts order them as people do?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pubvec.encoder import Scorer
from pubvec.errors import InputError
from pubvec.evaluation.measures import FloatArray, draw_resamples, interval_of, pearson, spearman
from pubvec.evaluation.ranking import score_pairs
from pubvec.evaluation.results import Figure, Outcome
from pubvec.evaluation.tasks.columns import number_column, text_column
from pubvec.evaluation.tasks.published_sets import find_path
from pubvec.evaluation.tasks.sets import RatedSet
from pubvec.tablefiles import read_columns


@dataclass(frozen=True)
class SimilarityTask:
    """The task reads pairs of texts, each with the number that people gave it, from three columns of a file."""

    name: str
    file: str
    text: str
    other: str
    rating: str

    def files(self, data: Path) -> list[Path]:
        """Return the files that decide the result."""
        return [find_path(data, self.file)]

    def load(self, data: Path) -> RatedSet:
        """Read the pairs.

        Raises:
            InputError: the file or a column is missing, a text is blank, a rating is not a finite number, there
                are fewer than two pairs, or all ratings are equal.
        """
        (path,) = self.files(data)
        columns = read_columns(path, [self.text, self.other, self.rating])
        texts, others = (text_column(columns, name, path) for name in (self.text, self.other))
        ratings = number_column(columns, self.rating, path)
        if len(set(ratings)) < 2:
            raise InputError(
                f"{path}: all of {len(ratings)} ratings in {self.rating!r} are {ratings[0]:g}: "
                "a correlation needs values that differ"
            )
        return RatedSet(texts, others, ratings)


def evaluate_similarity(scorer: Scorer, rated: RatedSet, *, n_resamples: int) -> Outcome:
    """Compute Spearman and Pearson of score and rating for any kind of scorer, with intervals over pairs."""
    scores = score_pairs(scorer, list(zip(rated.texts, rated.others, strict=True)))
    ratings = np.array(rated.ratings)
    figures = {
        name: _correlate(correlation, scores, ratings, n_resamples)
        for name, correlation in (("Spearman", spearman), ("Pearson", pearson))
    }
    kept = {"score": [round(score, 7) for score in scores.tolist()], "rating": rated.ratings}
    return Outcome(len(ratings), len(set(rated.others)), figures, kept, scorer.definition)


def _correlate(
    correlation: Callable[[FloatArray, FloatArray], float], x: FloatArray, y: FloatArray, n_resamples: int
) -> Figure:
    resampled = []
    for counts in draw_resamples(len(x), n_resamples):
        rows = np.repeat(np.arange(len(x)), counts.astype(int))
        is_defined = np.ptp(x[rows]) > 0 and np.ptp(y[rows]) > 0
        resampled.append(correlation(x[rows], y[rows]) if is_defined else np.nan)
    return Figure(correlation(x, y), interval_of(np.array(resampled)))
