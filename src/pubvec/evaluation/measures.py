"""Measures are values here, written as the field writes them: `nDCG@10`, `R@100`, `RR@10`, `Pearson`.

Ranking measures follow trec_eval: gains are linear, a document is relevant when its gain is above 0, and
a query without a relevant document counts as 0. **Ties**: a run has one order, by score, then by document
id *descending* as text, which is trec_eval's rule, so nDCG, R and RR equal ir_measures' (pytrec_eval's)
to the last digit on tied scores too. ir_measures hands `RR@k` alone to another provider (MS MARCO's
script, ids ascending), so its `RR@k` and `RR` disagree on tied scores; ours agree with `RR`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pubvec.errors import ConfigError, InputError

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]

Qrels = Mapping[str, Mapping[str, float]]
"""Relevance judgements map a query id to document ids, and each of these to its gain."""

_RANKING = ("nDCG", "R", "RR")
_SCORE = ("Pearson", "Spearman", "AUC")
LOWER_IS_BETTER = ("Brier", "ECE")


class Measure(NamedTuple):
    """A measure says what is computed; `str(measure)` writes it as `parse_measure` reads it."""

    name: str
    cutoff: int | None = None
    """The depth of the ranking that counts; None for all of it."""

    def __str__(self) -> str:
        return self.name if self.cutoff is None else f"{self.name}@{self.cutoff}"


def parse_measure(text: str) -> Measure:
    """Read `nDCG@10`, `R@100`, `RR`, `Pearson`, `Spearman` or `AUC`.

    Raises:
        ConfigError: the measure is not known, lacks its cutoff, or has one where none belongs.
    """
    match = re.fullmatch(r"([A-Za-z]+)(?:@([1-9]\d*))?", text.strip())
    measure = Measure(match[1], int(match[2]) if match[2] else None) if match else None
    if measure is None or measure.name not in _RANKING + _SCORE:
        raise ConfigError(f"{text!r} is not a measure: use one of nDCG@k, R@k, RR@k, RR, {', '.join(_SCORE)}")
    if measure.name in _SCORE and measure.cutoff is not None:
        raise ConfigError(f"{text!r}: {measure.name} takes no cutoff")
    if measure.name == "R" and measure.cutoff is None:
        raise ConfigError(f"{text!r} needs a cutoff, as in R@100")
    return measure


@dataclass(frozen=True)
class Run:
    """A run is one system's ranking of one collection. *Shape:* `ranking`, `scores`: (n_queries, depth)."""

    query_ids: Sequence[str]
    doc_ids: Sequence[str]
    ranking: IntArray
    """The ranking holds positions in `doc_ids`, best first."""
    scores: FloatArray


def measure_run(
    run: Run, qrels: Qrels, measures: Sequence[Measure], own_documents: Set[str] = frozenset()
) -> dict[Measure, FloatArray]:
    """Compute each measure for each query of `run`. *Shape:* (n_queries,) each.

    Args:
        run: every query must have judgements in `qrels`.
        qrels: gains ≥ 0; a document without judgement has gain 0.
        measures: of nDCG, R and RR (Järvelin and Kekäläinen 2002, doi:10.1145/582415.582418; Voorhees 1999,
            TREC-8 Question Answering Track Report).
        own_documents: queries whose document of the same id is taken out of their ranking.
    """
    functions = [_function_of(measure) for measure in measures]
    column_of = {doc_id: column for column, doc_id in enumerate(run.doc_ids)}
    values = np.zeros((len(measures), len(run.query_ids)))
    for row, query_id in enumerate(run.query_ids):
        judged = qrels[query_id]
        gain_of = np.zeros(len(run.doc_ids))
        for doc_id, gain in judged.items():
            if doc_id in column_of:
                gain_of[column_of[doc_id]] = gain
        ranking = run.ranking[row]
        if query_id in own_documents:
            ranking = ranking[ranking != column_of[query_id]]
        gains = gain_of[ranking]
        ideal = np.sort([gain for gain in judged.values() if gain > 0])[::-1]
        values[:, row] = [function(gains, ideal) if len(ideal) else 0.0 for function in functions]
    return dict(zip(measures, values, strict=True))


def pearson(x: FloatArray, y: FloatArray) -> float:
    """Compute Pearson's correlation. *Shape:* `x`, `y`: (n,)

    Raises:
        InputError: a value is not finite, or all values of one side are equal: undefined then.
    """
    x, y = _checked(x, "Pearson"), _checked(y, "Pearson")
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    if norm == 0:
        raise InputError("a correlation needs values that differ, and all scores (or all labels) are equal")
    return float(np.clip(x @ y / norm, -1.0, 1.0))


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Compute Spearman's rank correlation; equal values share their mean rank. *Shape:* `x`, `y`: (n,)"""
    return pearson(_mean_ranks(_checked(x, "Spearman")), _mean_ranks(_checked(y, "Spearman")))


def auc(positive: FloatArray, negative: FloatArray) -> float:
    """Compute the area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    *Shape:* `positive`: (n_positives,), `negative`: (n_negatives,)
    """
    positive, negative = _checked(positive, "AUC"), np.sort(_checked(negative, "AUC"))
    n_below = np.searchsorted(negative, positive, side="left")
    n_not_above = np.searchsorted(negative, positive, side="right")
    return float((n_below + n_not_above).mean() / (2 * len(negative)))


def draw_resamples(n: int, n_resamples: int, seed: int = 0) -> FloatArray:
    """Draw how often each of `n` queries is in each bootstrap resample. *Shape:* (n_resamples, n)

    Source: Efron 1979, doi:10.1214/aos/1176344552; over queries: Sakai 2006, doi:10.1145/1148170.1148261.
    """
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_resamples).astype(np.float32)


def interval_of(resampled: FloatArray) -> tuple[float, float]:
    """Compute the 95 % percentile interval of a statistic. *Shape:* `resampled`: (n_resamples,)"""
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def _function_of(measure: Measure) -> Callable[[FloatArray, FloatArray], float]:
    """Return the measure as a function of the gains in the order of the run, and the positive gains in the best order."""
    k = measure.cutoff

    def ndcg(gains: FloatArray, ideal: FloatArray) -> float:
        return _dcg(gains[:k]) / _dcg(ideal[:k])

    def recall(gains: FloatArray, ideal: FloatArray) -> float:
        return float(np.count_nonzero(gains[:k] > 0)) / len(ideal)

    def reciprocal_rank(gains: FloatArray, _ideal: FloatArray) -> float:
        found = np.flatnonzero(gains[:k] > 0)
        return 1.0 / float(found[0] + 1) if len(found) else 0.0

    functions = {"nDCG": ndcg, "R": recall, "RR": reciprocal_rank}
    if measure.name not in functions:
        raise ConfigError(f"{measure} does not measure a ranking: use one of nDCG@k, R@k, RR@k, RR")
    return functions[measure.name]


def _dcg(gains: FloatArray) -> float:
    return float(gains @ (1.0 / np.log2(np.arange(2, len(gains) + 2))))


def _mean_ranks(values: FloatArray) -> FloatArray:
    """Return twice the mean rank of each value, which correlates as the mean rank does. *Shape:* (n,)"""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")).astype(
        float
    )


def _checked(values: FloatArray, measure: str) -> FloatArray:
    """Return `values` in double precision, after checking that they are finite and not empty."""
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        raise InputError(f"{measure} needs at least one score, and there is none")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"{measure} needs finite scores, and score {row} of {len(values)} is {values[row]}")
    return values
