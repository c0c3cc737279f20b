import numpy as np
import pytest
import scipy.stats

from pubvec.errors import InputError
from pubvec.evaluation.pair_scores import PairScores, resample_pearson
from pubvec.evaluation.significance import paired_bootstrap_test, paired_permutation_test


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.15])
def test_as_scipy_has_it(shift):
    rng = np.random.default_rng(0)
    theirs = rng.random(60)
    ours = theirs + shift + rng.normal(0, 0.3, 60)
    expected = scipy.stats.permutation_test(
        (ours, theirs),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=1,
    )
    assert paired_permutation_test(ours, theirs) == pytest.approx(expected.pvalue, abs=0.03)


def test_equal_systems_and_certain_differences():
    values = np.random.default_rng(0).random(50)
    assert paired_permutation_test(values, values) == 1.0
    assert paired_permutation_test(values + 1, values) == pytest.approx(1 / 20_001)
    assert paired_permutation_test(values, values + 1) == pytest.approx(1 / 20_001)


def test_other_queries_are_refused():
    with pytest.raises(InputError, match="found 2 and 3"):
        paired_permutation_test(np.zeros(2), np.zeros(3))


def scores_of(noise: float, *, scale: float = 1.0, n: int = 80) -> PairScores:
    """Two clusters around 1 and 0, the same chance for each noise."""
    rng = np.random.default_rng(3)
    positive = 1 + noise * rng.normal(size=n)
    return PairScores(scale * positive, {seed: scale * noise * rng.normal(size=n) for seed in (0, 1)})


def test_bootstrap_sees_a_real_difference_whatever_the_scale():
    less = paired_bootstrap_test(scores_of(0.2, scale=9.0), scores_of(0.3), resample_pearson)
    more = paired_bootstrap_test(scores_of(0.3), scores_of(0.2, scale=9.0), resample_pearson)
    assert less == more == pytest.approx(1 / 2_001)


def test_bootstrap_of_equal_systems():
    assert paired_bootstrap_test(scores_of(0.3), scores_of(0.3, scale=2.0), resample_pearson) == 1.0


def test_bootstrap_is_right_as_often_as_it_says():
    """Without a difference, p lies below 0.1 in about a tenth of the samples."""
    values = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        draws = [PairScores(1 + rng.normal(size=60), {0: rng.normal(size=60)}) for _ in ("ours", "theirs")]
        values.append(paired_bootstrap_test(*draws, resample_pearson))
    assert 2 <= sum(value < 0.1 for value in values) <= 20
