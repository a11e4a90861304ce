"""Amplitudes against SciPy's non-negative least squares and the optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls

from ecgcvx.atoms.family import Atoms
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem, amplitudes, nonnegative_quadratic


@settings(deadline=None)  # the first call compiles
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


@pytest.mark.parametrize("single", [False, True])
def test_many_variables_end_at_the_optimality_conditions(single):
    rng = np.random.default_rng(0)
    m = 600
    A = np.maximum(rng.standard_normal((2000, m)) + 0.5 * rng.standard_normal((2000, 1)), 0)
    Q, b, beta = A.T @ A / 2000, A.T @ (A[:, :60] @ rng.uniform(0, 1, 60) + rng.standard_normal(2000)) / 2000, 1e-2
    if single:
        Q = Q.astype(np.float32).astype(np.float64)
        Q[1], Q[:, 1], b[1] = Q[0], Q[:, 0], b[0]  # one atom twice
        Q[1, 1] = Q[0, 1] = Q[1, 0] = Q[0, 0]
    start = np.where(rng.random(m) < 0.5, 1.0, 0.0)
    c = nonnegative_quadratic(AmplitudeSystem(Q, b), beta, start)
    multipliers = b - beta - Q @ c
    free = c > 0
    assert 20 < free.sum() < m
    assert (c >= 0).all()
    assert np.abs(multipliers[free]).max() <= 1e-6 * beta
    assert multipliers[~free].max() <= 1e-6 * beta


def test_units_do_not_matter():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((40, 12))
    Q, b, beta = A.T @ A / 40, A.T @ rng.standard_normal(40) / 40, 0.02
    c = nonnegative_quadratic(AmplitudeSystem(Q, b), beta, np.ones(12))
    for unit in (1e-9, 1e9):
        scaled = nonnegative_quadratic(AmplitudeSystem(Q * unit**2, b * unit), beta * unit, np.ones(12))
        np.testing.assert_allclose(unit * scaled, c, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_an_atom_without_output_gets_nothing(beta):
    Q, b = np.diag([1.0, 0.0, 2.0]), np.array([1.0, 0.0, 1.0])
    c = nonnegative_quadratic(AmplitudeSystem(Q, b), beta, np.ones(3))
    np.testing.assert_allclose(c[[0, 2]], [1 - beta, (1 - beta) / 2])
    assert beta == 0 or c[1] == 0
    assert not nonnegative_quadratic(AmplitudeSystem(np.zeros((2, 2)), np.zeros(2)), beta, np.ones(2)).any()


@pytest.mark.parametrize("seed", range(3, 9))
def test_newton_of_the_logistic_loss_ends_at_the_optimum_from_afar(seed):
    """From amplitudes so large that full steps make P larger and are halved; the optimum by SciPy's L-BFGS-B."""
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((40, 3)), np.ones(40)]
    y = np.sign(rng.standard_normal(40) + X[:, 0])
    beta, signs = 1e-3, np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    program = AllPatterns(X, y, beta, loss=LogisticLoss())
    units = program.family.units(Atoms(rng.standard_normal((6, 4)), signs[:, None]))
    outputs = np.maximum(X @ (units.points / np.linalg.norm(units.points, axis=1, keepdims=True)).T, 0) * signs

    def objective(c):
        margins = y * (outputs @ c)
        gradient = -(outputs.T @ (y / (1 + np.exp(margins)))) / len(y) + beta
        return np.logaddexp(0, -margins).mean() + beta * c.sum(), gradient

    best = minimize(objective, np.ones(6), jac=True, bounds=[(0, None)] * 6, method="L-BFGS-B",
                    options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000})  # fmt: skip
    c = amplitudes(program, units, np.full(6, 20.0))
    assert (c >= 0).all()
    assert objective(c)[0] <= best.fun * (1 + 1e-8)
