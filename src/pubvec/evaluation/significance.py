"""Is a difference between two systems more than chance?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pubvec.errors import InputError
from pubvec.evaluation.measures import FloatArray, draw_resamples
from pubvec.evaluation.pair_scores import PairScores, resample_auc, resample_pearson, sigmoid
from pubvec.evaluation.results import Result

_N_PERMUTATIONS = 20_000
_N_RESAMPLES = 2_000
_N_AT_ONCE = 1_000

Statistic = Callable[[PairScores, FloatArray], FloatArray]
_OF_PAIRS: Mapping[str, Statistic] = {"Pearson": resample_pearson, "AUC": resample_auc}
"""These measures have no value for a single query, and are computed from the scores of pairs."""


def p_value(ours: Result, theirs: Result, measure: str) -> float | None:
    """Return the chance of a difference as large as that of two results of one task, if there were none; two-sided.

    See `p_values`. None: the measure has no test, or one of the systems lacks it.

    Raises:
        InputError: the two were measured on other data.
    """
    return p_values([ours], theirs).get((ours.system, measure))


def p_values(results: Sequence[Result], base: Result) -> dict[tuple[str, str], float]:
    """Test all measures of several systems on one task against those of `base`.

    A paired permutation test where each query has a value, a paired bootstrap test over pairs for Pearson and AUC of
    scores. All systems see the same permutations and resamples, which are drawn once.

    Returns:
        (system, measure) → p-value; without the measures that have no test or that one of the two lacks.

    Raises:
        InputError: one was measured on other data than `base`.
    """
    found: dict[tuple[str, str], float] = {}
    paired: dict[int, list[tuple[tuple[str, str], FloatArray]]] = {}
    for result in results:
        if result.identity.data != base.identity.data:
            raise InputError(
                f"{result.system} and {base.system} were measured on other files of {base.task}: "
                "evaluate one of them again"
            )
        for measure in result.figures.keys() & base.figures.keys():
            key = (result.system, measure)
            a, b = (each.figures[measure].per_query for each in (result, base))
            if a and a.keys() == b.keys():
                differences = np.array([value - b[query] for query, value in a.items()])
                paired.setdefault(len(a), []).append((key, differences))
            elif measure in _OF_PAIRS and all("positive" in each.scores for each in (result, base)):
                scores, others = _scores(result, measure), _scores(base, measure)
                found[key] = paired_bootstrap_test(scores, others, _OF_PAIRS[measure])
    for group in paired.values():
        keys, columns = zip(*group, strict=True)
        values = permutation_tests(np.stack(columns))
        found |= dict(zip(keys, values.tolist(), strict=True))
    return found


def paired_bootstrap_test(
    ours: PairScores, theirs: PairScores, statistic: Statistic, *, seed: int = 0
) -> float:
    """Return twice the share of resamples in which the sign of the difference turns; both systems see the same pairs.

    There are 2,000 resamples of pairs, each with its negatives (Efron and Tibshirani 1993, An Introduction to the Bootstrap,
    15.4; for systems: Koehn 2004, W04-3250). The observed order counts as one more, so the least value is 1 in 2,001.
    Exchanging scores, as the permutation test does, would need systems with one scale.

    Raises:
        InputError: the two differ in number, or there is no pair.
    """
    n = len(ours.positive)
    _check_same_number(n, len(theirs.positive))
    counts = draw_resamples(n, _N_RESAMPLES, seed)
    differences = statistic(ours, counts) - statistic(theirs, counts)
    n_turned = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, (2 * n_turned + 1) / (_N_RESAMPLES + 1))


def paired_permutation_test(ours: FloatArray, theirs: FloatArray, *, seed: int = 0) -> float:
    """Test the mean difference of two systems over the same queries: see `permutation_tests`.

    *Shape:* `ours`, `theirs`: (n_queries,), the same queries in the same order

    Raises:
        InputError: the two differ in number, or there is no query.
    """
    _check_same_number(len(ours), len(theirs))
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    return float(permutation_tests(differences[None], seed=seed)[0])


def permutation_tests(differences: FloatArray, *, seed: int = 0) -> FloatArray:
    """Return the chances of mean differences at least as large, in either direction, if the systems were exchangeable.

    The signs of the differences are flipped at random 20,000 times (Fisher's randomization test; for retrieval: Smucker
    et al. 2007, doi:10.1145/1321440.1321528). The drawn order counts as one more, so the least value is 1 in 20,001.

    *Shape:* (n_tests, n_queries) → (n_tests,)
    """
    columns = np.asarray(differences, dtype=np.float64).T
    observed = np.abs(columns.sum(axis=0)) - 1e-12
    rng = np.random.default_rng(seed)
    n_as_large = np.ones(columns.shape[1], dtype=np.int64)
    for _ in range(_N_PERMUTATIONS // _N_AT_ONCE):
        signs = 2.0 * rng.integers(0, 2, (_N_AT_ONCE, len(columns))) - 1.0
        n_as_large += (np.abs(signs @ columns) >= observed).sum(axis=0)
    return np.asarray(n_as_large / (_N_PERMUTATIONS + 1))


def _check_same_number(n_ours: int, n_theirs: int) -> None:
    if n_ours != n_theirs or not n_ours:
        raise InputError(f"a paired test needs the same queries twice, found {n_ours} and {n_theirs}")


def _scores(result: Result, measure: str) -> PairScores:
    scores = PairScores.from_lists(result.scores)
    is_sigmoid = measure == "Pearson" and result.score_definition.startswith("sigmoid")
    return scores.map(sigmoid) if is_sigmoid else scores
