"""The group lasso by working sets: optima of CVXPY, the growth of the working set, and degenerate designs."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.arrangements import sample_patterns
from ecgcvx.programs.dense import DenseFeatures
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, group_lasso_program
from ecgcvx.solvers.group_lasso import GroupLassoSolver
from ecgcvx.solvers.group_lasso import solver as solver_module
from ecgcvx.solvers.group_lasso.blocks import sweep


def make(n=80, p=40, d=4, seed=0, share=0.1, correlation=0.0):
    rng = np.random.default_rng(seed)
    F = rng.standard_normal((n, p * d)) + correlation * rng.standard_normal((n, 1))
    y = F[:, : 2 * d] @ rng.standard_normal(2 * d) + 0.5 * rng.standard_normal(n)
    program = group_lasso_program(DenseFeatures(F, d), y, 1.0)
    return program.at(share * program.largest_beta())


def optimum(program):
    F, (g, d) = program.features.F, program.shape
    U = cp.Variable((g, d))
    loss = cp.sum_squares(F @ cp.vec(U, order="C") - program.y) / (2 * len(program.y))
    problem = cp.Problem(cp.Minimize(loss + program.beta * cp.sum(cp.norm(U, 2, axis=1))))
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return float(problem.value)


@pytest.fixture
def small_working_sets(monkeypatch):
    """Working sets for programs that are small enough to be solved at once."""
    monkeypatch.setattr(solver_module, "SMALL", 0)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("correlation", [0.0, 10.0])
@pytest.mark.usefixtures("small_working_sets")
def test_has_the_optimum_of_cvxpy_at_every_beta(share, correlation):
    program = make(share=share, correlation=correlation)
    solution = GroupLassoSolver(gap=1e-9).solve(program)
    assert solution.status == "optimal"
    assert solution.primal == pytest.approx(optimum(program), rel=1e-8)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 40), p=st.integers(1, 12), d=st.integers(1, 5), seed=st.integers(0, 99),
    share=st.floats(1e-2, 1.5), small=st.booleans(),
)  # fmt: skip
def test_the_gap_is_closed_and_true_for_any_design(n, p, d, seed, share, small):
    program = make(n, p, max(d, 1), seed, share) if p > 1 else make(n, 2, d, seed, share)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver_module, "SMALL", 0 if small else 1e9)
        solution = GroupLassoSolver(gap=1e-7).solve(program)
    assert solution.gap <= 1e-7
    assert solution.primal == program.objective(solution.u)
    # Prices by hand: the bound that the solution states is a bound.
    r = program.residual(solution.u)
    blocks = program.features.F.reshape(len(r), *program.shape)
    worst = max(np.linalg.norm(blocks[:, j].T @ r) / len(r) for j in range(program.shape[0]))
    c = min(1.0, program.beta / worst) if worst else 1.0
    assert solution.dual >= c * (r @ program.y) / len(r) - c**2 * (r @ r) / (2 * len(r)) - 1e-12


@pytest.mark.usefixtures("small_working_sets")
def test_few_active_groups_need_few_blocks_of_the_gram_matrix(monkeypatch):
    formed = []
    products = DenseFeatures.products
    monkeypatch.setattr(
        DenseFeatures, "products", lambda self, a, b: formed.append(len(a) * len(b)) or products(self, a, b)
    )
    monkeypatch.setattr(DenseFeatures, "gram", None)
    program = make(p=100, share=0.4)
    solution = GroupLassoSolver().solve(program)
    assert solution.status == "optimal"
    assert solution.u.any(axis=1).sum() < 8
    assert sum(formed) <= 16**2
    assert "of 100 groups" in solution.detail


@pytest.mark.usefixtures("small_working_sets")
def test_many_active_groups_take_all(monkeypatch):
    solution = GroupLassoSolver().solve(make(share=1e-3))
    assert solution.status == "optimal"
    assert "40 of 40 groups" in solution.detail


def test_a_gram_matrix_that_is_there_is_used(monkeypatch):
    program = make()
    expected = GroupLassoSolver().solve(program)
    _ = program.gram
    monkeypatch.setattr(DenseFeatures, "products", None)
    solution = GroupLassoSolver().solve(program)
    assert solution.primal == pytest.approx(expected.primal, rel=1e-6)


def test_equal_groups_and_groups_of_zeros_are_solved():
    program = make(p=6)
    F = program.features.F
    twice = group_lasso_program(DenseFeatures(np.c_[F, F, np.zeros((80, 8))], 4), program.y, program.beta)
    solution = GroupLassoSolver(gap=1e-8).solve(twice)
    assert solution.primal == pytest.approx(GroupLassoSolver(gap=1e-8).solve(program).primal, rel=1e-7)
    assert not solution.u[-2:].any()


def test_solves_the_gated_network_with_more_patterns_than_a_code_holds():
    rng = np.random.default_rng(3)
    X = np.c_[rng.standard_normal((200, 3)), np.ones(200)]
    features = PatternFeatures(X, sample_patterns(X, 30, 3))
    y = np.maximum(X @ rng.standard_normal(4), 0) + 0.1 * rng.standard_normal(200)
    F = np.concatenate([features.patterns.mask(i)[:, None] * X for i in range(30)], axis=1)
    expected = optimum(group_lasso_program(DenseFeatures(F, 4), y, 0.01))
    solution = GroupLassoSolver(gap=1e-9).solve(gated_relu_program(features, y, 0.01))
    assert solution.primal == pytest.approx(expected, rel=1e-8)


@settings(max_examples=50, deadline=None)
@given(d=st.integers(1, 6), seed=st.integers(0, 99), beta=st.floats(1e-3, 10.0))
def test_a_visit_of_a_group_is_its_best_value(d, seed, beta):
    rng = np.random.default_rng(seed)
    e, c = 10.0 ** rng.uniform(-6, 1, (1, d)), rng.standard_normal((1, d))
    u = rng.standard_normal((1, d)) * (seed % 2)
    H = np.diag(e[0])
    gradient = u * e - c
    sweep(H, e, beta, u, gradient, 1)
    np.testing.assert_allclose(gradient, u * e - c, atol=1e-12)
    if np.linalg.norm(c) <= beta:
        assert not u.any()
    else:
        np.testing.assert_allclose(gradient, -beta * u / np.linalg.norm(u), atol=1e-9 * (1 + np.linalg.norm(c)))
