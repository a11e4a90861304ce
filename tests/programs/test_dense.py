"""Designs of the group lasso: products against explicit matrices, groups of any size and weight against CVXPY."""

import cvxpy as cp
import numpy as np
import pytest

from ecgcvx.errors import InputError
from ecgcvx.programs.dense import DenseFeatures, Groups
from ecgcvx.programs.program import ConvexProgram, group_lasso_program
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.group_lasso import GroupLassoSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver

SIZES, WEIGHTS = [3, 1, 5, 2, 4], [1.0, 0.3, 2.0, 0.7, 1.5]


def matrix(n=30, m=15, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m))


@pytest.mark.parametrize("layout", ["C", "F"])
def test_products_are_those_of_the_matrix(layout):
    A, rng = np.asarray(matrix(20, 12), order=layout), np.random.default_rng(1)
    features = DenseFeatures(A, 3)
    z, r, y = rng.standard_normal((4, 3)), rng.standard_normal(20), rng.standard_normal(20)
    first, second = np.array([3, 0]), np.array([1, 3, 2])
    blocks = [A[:, 3 * i : 3 * i + 3] for i in range(4)]
    A1, A2 = (np.concatenate([blocks[i] for i in some], axis=1) for some in (first, second))
    gram = features.gram(y)
    np.testing.assert_allclose(gram.H, A.T @ A / 20, atol=1e-14)
    np.testing.assert_allclose(gram.c, A.T @ y / 20, atol=1e-14)
    assert gram.yy == pytest.approx(y @ y / 20)
    np.testing.assert_allclose(features.products(first, second), A1.T @ A2 / 20, atol=1e-14)
    np.testing.assert_allclose(features.apply(z), A @ z.ravel(), atol=1e-13)
    z[[0, 1, 3]] = 0.0
    np.testing.assert_allclose(features.apply(z), A @ z.ravel(), atol=1e-13)
    np.testing.assert_allclose(features.correlate(r).ravel(), A.T @ r, atol=1e-13)
    w = rng.random(20)
    np.testing.assert_allclose(features.products(first, second, w), A1.T @ (w[:, None] * A2) / 20, atol=1e-14)
    norms = [np.linalg.norm(A[:, 3 * i : 3 * i + 3].T @ A[:, 3 * j : 3 * j + 3], 2) for i in range(4) for j in range(4)]
    assert features.curvature >= max(norms) / 20


def test_variables_and_coefficients_are_inverse():
    groups, z = Groups(SIZES, WEIGHTS), np.random.default_rng(2).standard_normal(15)
    u = groups.variables(z)
    assert u.shape == (5, 5)
    np.testing.assert_allclose(groups.coefficients(u), z)
    np.testing.assert_allclose(groups.features(matrix()).apply(u), matrix() @ z)
    parts = np.split(z, np.cumsum(SIZES)[:-1])
    np.testing.assert_allclose(
        np.linalg.norm(u, axis=1), [w * np.linalg.norm(part) for w, part in zip(WEIGHTS, parts, strict=True)]
    )


@pytest.mark.parametrize("solver", [AdmmSolver, CvxpySolver, FistaSolver, GroupLassoSolver, OsqpSolver])
@pytest.mark.parametrize("seed", range(3))
def test_groups_of_any_size_and_weight_have_the_optimum_of_cvxpy(solver, seed):
    A, rng = matrix(seed=seed), np.random.default_rng(seed)
    y, beta, groups = rng.standard_normal(30), 0.05, Groups(SIZES, WEIGHTS)
    z = cp.Variable(15)
    starts = np.cumsum([0, *SIZES])
    norms = [w * cp.norm(z[a:b]) for w, a, b in zip(WEIGHTS, starts, starts[1:], strict=False)]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(A @ z - y) / 60 + beta * sum(norms)))
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    solution = solver(gap=1e-9).solve(group_lasso_program(groups.features(A), y, beta))
    assert solution.primal == pytest.approx(problem.value, rel=1e-8)
    np.testing.assert_allclose(groups.coefficients(solution.u), z.value, atol=1e-5)
    widths = np.arange(5) < np.array(SIZES)[:, None]
    assert not solution.u[~widths].any()


def test_equal_groups_of_weight_one_are_not_copied():
    A = matrix(30, 12)
    assert Groups([4, 4, 4]).features(A).F is A


@pytest.mark.parametrize("sizes", [[], [2, 0], [2.5, 1], 3])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(InputError, match="sizes = "):
        Groups(sizes)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, np.nan], [1.0, -2.0]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(InputError, match="give 2 positive numbers"):
        Groups([1, 2], weights)


def test_matrices_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="15 columns in all"):
        Groups(SIZES).features(matrix(30, 14))
    with pytest.raises(InputError, match="no multiple"):
        DenseFeatures(matrix(), 4)
    with pytest.raises(InputError, match="at least one row"):
        DenseFeatures(np.empty((0, 4)), 4)
    broken = matrix()
    broken[7, 2] = np.inf
    with pytest.raises(InputError, match="row 7"):
        DenseFeatures(broken, 5)


def test_cones_need_patterns():
    with pytest.raises(InputError, match="DenseFeatures have no cones"):
        ConvexProgram(DenseFeatures(matrix(), 5), np.ones(30), 0.1, np.arange(3), np.ones(3), True)
