import numpy as np
import pytest
import scipy.stats

from pubvec.errors import InputError
from pubvec.evaluation.significance import paired_permutation_test


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
