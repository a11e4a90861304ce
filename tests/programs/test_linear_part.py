"""A free linear part beside the penalised blocks: CVXPY with the part written out, duality, and what refuses it."""

import cvxpy as cp
import numpy as np
import pytest

from ecgcvx.arrangements import sample_patterns
from ecgcvx.errors import InputError, SolverError
from ecgcvx.programs.dense import DenseFeatures
from ecgcvx.programs.features import PatternFeatures, matrix_of
from ecgcvx.programs.linear_part import LinearPart
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import gated_relu_program, group_lasso_program, relu_program
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.group_lasso import GroupLassoSolver
from ecgcvx.solvers.group_lasso import solver as group_lasso_module
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.sgd import SgdSolver

TIGHT = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12)
GRAM_SOLVERS = [AdmmSolver, CvxpySolver, FistaSolver, OsqpSolver]
PAIRS = [(solver, network) for solver in GRAM_SOLVERS for network in (gated_relu_program, relu_program)]
PAIRS += [(GroupLassoSolver, gated_relu_program)]
pairs = pytest.mark.parametrize(("solver", "network"), PAIRS, ids=lambda f: f.__name__)
ridges = pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.3])


def small(network, ridge, seed=0, beta=0.005, n=40, d=4, p=10):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)]
    y = 2 * X @ rng.standard_normal(d) + np.abs(X @ rng.standard_normal(d)) + 0.1 * rng.standard_normal(n)
    return network(PatternFeatures(X, sample_patterns(X, p, seed)), y, beta, linear=LinearPart(X, ridge))


def written_out(program):
    """The program in CVXPY with a variable for the linear part: its optimum and coefficients."""
    n, (g, d), X = program.features.n, program.shape, np.asarray(program.linear.X)
    F = matrix_of(program.features).reshape(n, -1, d)
    U, a = cp.Variable((g, d)), cp.Variable(X.shape[1])
    f = X @ a + sum(s * (F[:, b] @ U[j]) for j, (b, s) in enumerate(zip(program.blocks, program.signs, strict=True)))
    rows = np.arange(n)
    cones = [program.features.cone_rows(int(b), rows) @ U[j] >= 0 for j, b in enumerate(program.blocks)]
    objective = cp.sum_squares(f - program.y) / (2 * n) + program.linear.ridge / 2 * cp.sum_squares(a)
    problem = cp.Problem(
        cp.Minimize(objective + program.beta * cp.sum(cp.norm(U, 2, axis=1))), cones if program.cones else []
    )
    problem.solve(solver="CLARABEL", **TIGHT)
    return float(problem.value), a.value


@pairs
@ridges
def test_every_solver_has_the_optimum_with_the_part_written_out(solver, network, ridge):
    program = small(network, ridge)
    value, a = written_out(program)
    solution = solver(gap=1e-7).solve(program)
    assert solution.status == "optimal"
    assert solution.primal == pytest.approx(value, rel=1e-6)
    assert solution.dual <= value * (1 + 1e-9)
    np.testing.assert_allclose(program.fit(solution.u).a, a, atol=2e-2)
    assert solution.violation <= 1e-12


@ridges
def test_objective_bound_and_quadratic_agree_at_any_point(ridge):
    program, rng = small(gated_relu_program, ridge), np.random.default_rng(1)
    value, _ = written_out(program)
    for scale in (0.0, 1e-2, 1.0):
        u = scale * rng.standard_normal(program.shape)
        assert program.objective(u) == pytest.approx(program.quadratic.value(u) + program.penalty(u), rel=1e-10)
        gradient = program.quadratic.gradient(u)
        np.testing.assert_allclose(-program.descents(program.residual(u)), gradient, atol=1e-12)
        bound = program.dual_bound(program.residual(u))
        assert bound.value <= value * (1 + 1e-9)
        assert program.dual_bound(rng.standard_normal(40)).value <= value  # any v


@ridges
def test_the_linear_part_is_the_best_one(ridge):
    program, rng = small(gated_relu_program, ridge), np.random.default_rng(2)
    u = 0.1 * rng.standard_normal(program.shape)
    f, a, value = program.fit(u)
    X = program.linear.X
    np.testing.assert_allclose(X.T @ (program.y - f) / 40, ridge * a, atol=1e-13)
    rest = f - X @ a
    for _ in range(20):
        b = a + 1e-2 * rng.standard_normal(len(a))
        assert value <= np.mean((rest + X @ b - program.y) ** 2) / 2 + ridge / 2 * (b @ b)


def test_a_dual_point_of_a_free_part_is_orthogonal_to_it():
    linear = LinearPart(np.random.default_rng(0).standard_normal((50, 5)))
    v = linear.dual_feasible(np.random.default_rng(1).standard_normal(50))
    np.testing.assert_allclose(linear.correlate(v), 0.0, atol=1e-15)


def test_beta_above_the_largest_price_leaves_least_squares():
    program = small(gated_relu_program, 0.0)
    X, y = program.linear.X, program.y
    largest = program.largest_beta()
    above, below = (GroupLassoSolver().solve(program.at(share * largest)) for share in (1.001, 0.9))
    best = np.linalg.lstsq(X, y)[0]
    assert not above.u.any()
    assert below.u.any()
    assert above.primal == pytest.approx(np.mean((y - X @ best) ** 2) / 2)
    np.testing.assert_allclose(program.fit(above.u).a, best, atol=1e-12)


def test_adding_a_linear_function_to_the_targets_adds_it_to_the_forecast():
    program = small(gated_relu_program, 0.0)
    shift = 100 * program.linear.X @ np.array([1.0, -2.0, 3.0, 4.0])
    moved = gated_relu_program(program.features, program.y + shift, program.beta, linear=program.linear)
    a, b = (GroupLassoSolver(gap=1e-9).solve(each) for each in (program, moved))
    assert b.primal == pytest.approx(a.primal, rel=1e-7)
    np.testing.assert_allclose(moved.predict(b.u), program.predict(a.u) + shift, atol=1e-4)


@ridges
def test_working_sets_and_the_whole_gram_matrix_agree(ridge, monkeypatch):
    monkeypatch.setattr(group_lasso_module, "SMALL", 0)
    rng = np.random.default_rng(4)
    F, X = rng.standard_normal((60, 120)), np.c_[rng.standard_normal((60, 3)), np.ones(60)]
    y = F[:, :8] @ rng.standard_normal(8) + X @ rng.standard_normal(4)
    program = group_lasso_program(DenseFeatures(F, 4), y, 0.3, linear=LinearPart(X, ridge))
    few = GroupLassoSolver(gap=1e-9).solve(program)
    _ = program.quadratic
    assert "of 30 groups" in few.detail
    assert few.primal == pytest.approx(FistaSolver(gap=1e-9).solve(program).primal, rel=1e-8)


def test_repeated_columns_of_the_linear_part_change_nothing():
    program = small(gated_relu_program, 0.0)
    X = program.linear.X
    twice = gated_relu_program(program.features, program.y, program.beta, linear=LinearPart(np.c_[X, X, 0 * X[:, :1]]))
    a, b = (GroupLassoSolver(gap=1e-9).solve(each) for each in (program, twice))
    assert b.primal == pytest.approx(a.primal, rel=1e-7)


def test_other_beta_keep_what_was_computed():
    program = small(gated_relu_program, 0.0)
    _ = program.quadratic
    other = program.at(0.1)
    assert other.quadratic is program.quadratic
    assert other.unexplained is program.unexplained


def test_what_cannot_take_it_says_so():
    program = small(gated_relu_program, 0.0)
    with pytest.raises(SolverError, match="linear: SGD"):
        SgdSolver().solve(program)
    with pytest.raises(InputError, match=r"linear: .*LogisticLoss"):
        gated_relu_program(program.features, np.sign(program.y), 0.1, LogisticLoss(), program.linear)
    with pytest.raises(InputError, match="3 rows, but the program 40"):
        gated_relu_program(program.features, program.y, 0.1, linear=LinearPart(np.ones((3, 1))))
    with pytest.raises(InputError, match="ridge = -1"):
        LinearPart(np.ones((3, 1)), -1.0)
