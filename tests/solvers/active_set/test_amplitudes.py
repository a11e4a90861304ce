"""Amplitudes against SciPy's non-negative least squares and the optimality conditions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem, nonnegative_quadratic


@given(st.integers(0, 10_000), st.integers(1, 20), st.floats(0.0, 0.3))
def test_the_optimum_of_nonnegative_least_squares(seed, k, beta):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3 * k, k))
    A[:, k // 2] = A[:, 0] + 1e-3 * rng.standard_normal(3 * k) if k > 1 else A[:, 0]  # nearly parallel
    Q, b = A.T @ A, A.T @ rng.standard_normal(3 * k)
    c = nonnegative_quadratic(AmplitudeSystem(Q, b), beta, np.maximum(rng.standard_normal(k), 0))
    factor = np.linalg.cholesky(Q).T
    expected, _ = nnls(factor, np.linalg.solve(factor.T, b - beta))

    def value(z):
        return z @ Q @ z / 2 - (b - beta) @ z

    assert (c >= 0).all()
    assert value(c) <= value(expected) + 1e-7 * (1 + abs(value(expected)))
