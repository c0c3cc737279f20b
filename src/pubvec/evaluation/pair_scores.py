"""Statistics of the scores of balanced pairs, of any kind of scorer: Pearson and AUC over seeds, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pubvec.evaluation.measures import FloatArray, auc, draw_resamples, interval_of, pearson
from pubvec.evaluation.results import SCORE_DECIMALS, Figure

_N_BINS = 15


class PairScores(NamedTuple):
    """Scores of n positive pairs and, for each seed, of n negative pairs with the same anchors.

    *Shape:* (n,) each. Any kind of scorer can fill it: the measures of scores need nothing else.
    """

    positive: FloatArray
    negative: Mapping[int, FloatArray]

    @classmethod
    def of(cls, seeds: Sequence[int], rows: Sequence[FloatArray]) -> PairScores:
        """Take the scores of the positives first, and then those of each seed's negatives."""
        return cls(rows[0], dict(zip(seeds, rows[1:], strict=True)))

    @classmethod
    def from_lists(cls, lists: Mapping[str, Any]) -> PairScores:
        """Read what `as_lists` wrote."""
        negative = {int(seed): np.array(scores) for seed, scores in lists["negative"].items()}
        return cls(np.array(lists["positive"]), negative)

    def map(self, function: Callable[[FloatArray], FloatArray]) -> PairScores:
        """Return the same pairs with `function` applied to their scores."""
        return PairScores(
            function(self.positive), {seed: function(scores) for seed, scores in self.negative.items()}
        )

    def as_lists(self) -> dict[str, Any]:
        """Return lists for a result, rounded to `SCORE_DECIMALS`."""
        negative = {str(seed): _rounded(scores) for seed, scores in self.negative.items()}
        return {"positive": _rounded(self.positive), "negative": negative}


def sigmoid(logits: FloatArray) -> FloatArray:
    """Compute 1 / (1 + exp(−x)) without overflow. *Shape:* any"""
    return np.asarray((1 + np.tanh(_exact(logits) / 2)) / 2)


def correlation(scores: PairScores, n_resamples: int) -> Figure:
    """Compute the Pearson of `measure_pair_scores` alone."""
    return _over_seeds(
        scores, pearson_of_labels, resample_pearson, draw_resamples(len(scores.positive), n_resamples)
    )


def measure_pair_scores(scores: PairScores, n_resamples: int) -> dict[str, Figure]:
    """Compute Pearson and AUC: the mean over seeds, its spread, and an interval over pairs.

    A resample draws a pair together with its negatives, which share its anchor. Spearman is left out: on
    balanced labels it is √3/2 · (2 AUC − 1), at most 0.866.
    """
    counts = draw_resamples(len(scores.positive), n_resamples)
    return {
        "Pearson": correlation(scores, n_resamples),
        "AUC": _over_seeds(scores, auc, resample_auc, counts),
    }


def measure_probabilities(scores: PairScores, n_resamples: int) -> dict[str, Figure]:
    """Measure scores that are probabilities of being a positive, where every second pair is one.

    The figures are Pearson; the Brier score, the mean squared distance to the label (Brier 1950,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); and ECE, the expected calibration error: the mean distance,
    over 15 bins of as many pairs each, of mean probability and share of positives (Guo et al. 2017, arXiv 1706.04599;
    equal masses: Nixon et al. 2019, arXiv 1904.01685). The bins stay those of the sample in each resample.
    """
    counts = draw_resamples(len(scores.positive), n_resamples)
    once = np.ones((1, len(scores.positive)), np.float32)
    return {
        "Pearson (calibrated)": correlation(scores, n_resamples),
        "Brier": _over_seeds(scores, _of_sample(resample_brier, once), resample_brier, counts),
        "ECE": _over_seeds(scores, _of_sample(resample_ece, once), resample_ece, counts),
    }


def resample_brier(scores: PairScores, counts: FloatArray) -> FloatArray:
    """Compute the mean over seeds of the Brier score in each resample. *Shape:* (n_resamples, n) → (n_resamples,)"""
    n = len(scores.positive)
    errors = [
        (1 - _exact(scores.positive)) ** 2 + _exact(negative) ** 2 for negative in scores.negative.values()
    ]
    return np.asarray(counts @ np.mean(errors, axis=0) / (2 * n))


def resample_ece(scores: PairScores, counts: FloatArray) -> FloatArray:
    """Compute the mean over seeds of the ECE in each resample. *Shape:* (n_resamples, n) → (n_resamples,)"""
    n = len(scores.positive)
    labels = np.repeat([1.0, 0.0], n)
    values = []
    for negative in scores.negative.values():
        probabilities = _exact(np.concatenate([scores.positive, negative]))
        bins = np.argsort(np.argsort(probabilities, kind="stable"), kind="stable") * _N_BINS // (2 * n)
        gaps = np.zeros((2 * n, _N_BINS))
        gaps[np.arange(2 * n), bins] = probabilities - labels
        values.append(np.abs(counts @ gaps[:n] + counts @ gaps[n:]).sum(axis=1) / (2 * n))
    return np.asarray(np.mean(values, axis=0))


def _of_sample(
    resample: Callable[[PairScores, FloatArray], FloatArray], once: FloatArray
) -> Callable[[FloatArray, FloatArray], float]:
    """Return the statistic of the sample itself, which is the resample that draws each pair once."""
    return lambda positive, negative: float(resample(PairScores(positive, {0: negative}), once)[0])


def pearson_of_labels(positive: FloatArray, negative: FloatArray) -> float:
    """Compute the correlation of all scores with their labels, 1 and 0. *Shape:* (n_positives,), (n_negatives,)"""
    labels = np.repeat([1.0, 0.0], [len(positive), len(negative)])
    return pearson(np.concatenate([positive, negative]), labels)


def resample_pearson(scores: PairScores, counts: FloatArray) -> FloatArray:
    """Compute the mean over seeds of `pearson_of_labels` in each resample, from sums of scores and of their squares.

    *Shape:* `counts`: (n_resamples, n); returns (n_resamples,)
    """
    n = len(scores.positive)
    mean_positive, square_positive = (counts @ power / n for power in _powers(scores.positive))
    values = []
    for negative in scores.negative.values():
        mean_negative, square_negative = (counts @ power / n for power in _powers(negative))
        variance = (square_positive + square_negative) / 2 - ((mean_positive + mean_negative) / 2) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            values.append((mean_positive - mean_negative) / 2 / np.sqrt(variance))
    return np.asarray(np.mean(values, axis=0))


def resample_auc(scores: PairScores, counts: FloatArray) -> FloatArray:
    """Compute the mean over seeds of `auc` in each resample, from all comparisons of a positive and a negative.

    *Shape:* `counts`: (n_resamples, n); returns (n_resamples,)
    """
    n = len(scores.positive)
    wins = np.zeros((n, n), dtype=np.float32)
    positive = scores.positive[:, None]
    for negative in scores.negative.values():
        wins += positive > negative
        wins += positive >= negative
    wins /= 2 * len(scores.negative)
    return np.asarray(((counts @ wins) * counts).sum(axis=1) / n**2)


def _powers(scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return scores and their squares in double precision, because a variance is a difference of their means."""
    exact = _exact(scores)
    return exact, exact**2


def _exact(scores: FloatArray) -> FloatArray:
    return np.asarray(scores, dtype=np.float64)


def _over_seeds(
    scores: PairScores,
    statistic: Callable[[FloatArray, FloatArray], float],
    resample: Callable[[PairScores, FloatArray], FloatArray],
    counts: FloatArray,
) -> Figure:
    per_seed = {seed: statistic(scores.positive, negative) for seed, negative in scores.negative.items()}
    values = list(per_seed.values())
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Figure(float(np.mean(values)), interval_of(resample(scores, counts)), spread, per_seed)


def _rounded(scores: FloatArray) -> list[float]:
    return [round(score, SCORE_DECIMALS) for score in scores.tolist()]
