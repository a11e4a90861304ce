"""The scale of rows and targets changes nothing but units; rows that repeat, vanish or lie on a line do no harm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver

SOLVER = ActiveSetSolver(gap=1e-3, confirm_starts=100, rounds=40, threads=1)


def exact_optimum(X, y, beta):
    return CvxpySolver(gap=1e-7).solve(relu_program(PatternFeatures(X, enumerate_patterns(X)), y, beta)).primal


@pytest.mark.parametrize("rows", [1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("targets", [1e-9, 1.0, 1e9])
def test_the_optimum_scales_with_rows_and_targets(rows, targets):
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    beta = 0.05 * np.linalg.norm(X.T @ y) / 8
    exact = exact_optimum(X, y, beta)
    found = SOLVER.solve(AllPatterns(rows * X, targets * y, rows * targets * beta))
    assert exact * (1 - 1e-6) <= found.primal / targets**2 <= exact * (1 + 2e-3)
    assert found.status == "optimal"


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), exponent=st.integers(-9, 9), kind=st.sampled_from(["repeated", "zero", "rank 1"]))
def test_rows_that_repeat_vanish_or_lie_on_a_line(seed, exponent, kind):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((9, 3)), rng.standard_normal(9)
    if kind == "repeated":
        X[5:] = X[:4]
    elif kind == "zero":
        X[5:] = 0.0
    else:
        X = np.outer(rng.standard_normal(9), rng.standard_normal(3))
    scale = 10.0**exponent
    beta = 0.05 * np.linalg.norm(X.T @ y) / 9
    found = SOLVER.solve(AllPatterns(scale * X, y, scale * beta))
    exact = exact_optimum(X, y, beta)
    assert exact * (1 - 1e-6) <= found.primal <= exact * (1 + 3e-3)
    assert found.dual <= exact * (1 + 2e-3)
