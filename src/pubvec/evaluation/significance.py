"""Is a difference between two systems more than chance?"""

from __future__ import annotations

import numpy as np

from pubvec.errors import InputError
from pubvec.evaluation.measures import FloatArray

_N_PERMUTATIONS = 20_000
_N_AT_ONCE = 1_000


def paired_permutation_test(ours: FloatArray, theirs: FloatArray, *, seed: int = 0) -> float:
    """Chance of a mean difference at least as large, in either direction, if the systems were exchangeable.

    The signs of the differences are flipped at random 20,000 times (Fisher's randomization test; for retrieval: Smucker
    et al. 2007, doi:10.1145/1321440.1321528). The drawn order counts as one more, so the least value is 1 in 20,001.

    *Shape:* `ours`, `theirs`: (n_queries,), the same queries in the same order

    Raises:
        InputError: the two differ in number, or there is no query.
    """
    if len(ours) != len(theirs) or not len(ours):
        raise InputError(f"a paired test needs the same queries twice, found {len(ours)} and {len(theirs)}")
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    observed = abs(differences.sum()) - 1e-12
    rng = np.random.default_rng(seed)
    n_as_large = 1
    for _ in range(_N_PERMUTATIONS // _N_AT_ONCE):
        signs = 2.0 * rng.integers(0, 2, (_N_AT_ONCE, len(differences))) - 1.0
        n_as_large += int((np.abs(signs @ differences) >= observed).sum())
    return n_as_large / (_N_PERMUTATIONS + 1)
