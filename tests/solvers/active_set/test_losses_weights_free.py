"""Losses, sample weights and free parts against CVXPY over all enumerated patterns, and against scikit-learn."""

import cvxpy as cp
import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.atoms.family import Atoms
from ecgcvx.errors import InputError, SolverError
from ecgcvx.programs.all_patterns import AllPatterns, Profile
from ecgcvx.programs.losses import LogisticLoss, SquaredLoss
from ecgcvx.solvers.active_set.amplitudes import resize
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.column_generation import ColumnGeneration

LOSSES = {"squared": SquaredLoss(), "logistic": LogisticLoss()}


def problem(seed, loss, n=11, d=3):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)]
    f = np.sin(2 * X[:, 0]) + 0.5 * rng.standard_normal(n)
    return X, np.where(f > 0, 1.0, -1.0) if loss == "logistic" else f


def optimum(X, y, beta, loss, weights=None, free="none"):
    """The program over all patterns by an interior point: theorem 1 of Pilanci & Ergen 2020 with a free part."""
    n, d = X.shape
    w = np.ones(n) if weights is None else weights
    masks = np.unique(X @ enumerate_patterns(X).gates.T >= 0, axis=1).T
    U = {"none": np.zeros((n, 1)), "offset": np.ones((n, 1)), "linear": X}[free]
    a = cp.Variable(U.shape[1])
    f, penalty, cones = U @ a, 0, []
    for mask in masks:
        for sign in (1, -1):
            u = cp.Variable(d)
            f = f + sign * cp.multiply(mask, X @ u)
            penalty = penalty + cp.norm(u)
            cones.append(cp.multiply(2.0 * mask - 1, X @ u) >= 0)
    losses = cp.square(f - y) / 2 if loss == "squared" else cp.logistic(-cp.multiply(y, f))
    program = cp.Problem(cp.Minimize(w @ losses / n + beta * penalty), cones)
    return float(program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("free", ["none", "offset", "linear"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("seed", "beta"), [(0, 0.03), pytest.param(1, 0.01, marks=pytest.mark.slow)])
def test_the_optimum_over_all_enumerated_patterns(loss, free, weighted, seed, beta):
    X, y = problem(seed, loss)
    weights = np.random.default_rng(seed).integers(0, 4, len(y)).astype(float) if weighted else None
    if loss == "logistic" and free == "linear":
        X, y = problem(seed + 10, loss, n=14)  # whose labels no hyperplane separates
        y[:3] *= -1
        weights = None if weights is None else np.resize(weights, 14) + 1
    exact = optimum(X, y, beta, loss, weights, free)
    program = AllPatterns(X, y, beta, loss=LOSSES[loss], sample_weight=weights, free=free)
    found = ActiveSetSolver(gap=1e-4, confirm_starts=300, rounds=80, threads=1).solve(program)
    assert found.dual <= exact * (1 + 1e-3)  # searched: on few rows the maxima are kinks
    assert exact * (1 - 1e-7) <= found.primal <= exact * (1 + 1e-3)
    U = {"none": np.ones((len(y), 0)), "offset": np.ones((len(y), 1)), "linear": X}[free]
    f = U @ found.free + np.maximum(X @ found.atoms.points.T, 0) @ program.family.signs(found.atoms)
    expected = LOSSES[loss].value(f, y, weights) + beta * np.linalg.norm(found.atoms.points, axis=1).sum()
    assert found.primal == pytest.approx(expected, rel=1e-10)


def test_integer_weights_are_repeated_rows():
    X, y = problem(3, "logistic", n=40)
    counts = np.random.default_rng(0).integers(1, 4, len(y))
    share = counts.sum() / len(y)
    once = AllPatterns(X, y, 0.02, loss=LogisticLoss(), sample_weight=counts.astype(float), free="offset")
    often = AllPatterns(
        np.repeat(X, counts, axis=0), np.repeat(y, counts), 0.02 / share, loss=LogisticLoss(), free="offset"
    )
    atoms = Atoms(np.random.default_rng(1).standard_normal((4, 3)), np.array([[1.0], [-1.0], [1.0], [-1.0]]))
    assert once.objective(atoms) == pytest.approx(share * often.objective(atoms), rel=1e-12)
    one, two = (
        ActiveSetSolver(gap=1e-5, confirm_starts=0, rounds=40, threads=1).solve(program) for program in (once, often)
    )
    assert one.primal == pytest.approx(share * two.primal, rel=1e-4)
    one_sized, two_sized = (program.family.norms(resize(program, atoms)) for program in (once, often))
    np.testing.assert_allclose(one_sized, two_sized, atol=1e-6)


def test_without_neurons_a_free_linear_part_is_logistic_regression():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(5)
    X = np.c_[rng.standard_normal((300, 4)), np.ones(300)]
    y = np.where(X @ rng.standard_normal(5) + 2 * rng.logistic(size=300) > 0, 1.0, -1.0)
    weights = rng.uniform(0.2, 2.0, 300)
    program = AllPatterns(X, y, 10.0, loss=LogisticLoss(), sample_weight=weights, free="linear")
    found = ActiveSetSolver(gap=1e-6, confirm_starts=100, threads=1).solve(program)
    peer = linear_model.LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=2000)
    peer.fit(X, y, sample_weight=weights)
    assert len(found.atoms) == 0
    np.testing.assert_allclose(found.free, peer.coef_[0], rtol=1e-4)
    assert found.gap <= 1e-9


def test_without_neurons_a_free_linear_part_is_least_squares():
    X, y = problem(0, "squared", n=50)
    found = ActiveSetSolver(gap=1e-6, confirm_starts=100, threads=1).solve(AllPatterns(X, y, 10.0, free="linear"))
    np.testing.assert_allclose(found.free, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-10)
    assert (len(found.atoms), found.status) == (0, "optimal")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("free", ["none", "offset", "linear"])
def test_the_descent_sees_the_gradient_of_the_objective(loss, free):
    X, y = problem(2, loss, n=600)
    program = AllPatterns(X, y, 0.1, loss=LOSSES[loss], sample_weight=np.linspace(0.5, 1.5, 600), free=free)
    rng = np.random.default_rng(0)
    atoms = Atoms(rng.standard_normal((4, 3)), np.array([[1.0], [-1.0], [1.0], [-1.0]]))
    widths = 0.3 * program.family.norms(atoms)

    def value(points):
        z = X @ points.T
        q = np.clip(z / (2 * widths) + 0.5, 0, 1)
        return program.fitted((widths * q**2 + np.maximum(z - widths, 0)) @ atoms.tags[:, 0]).loss

    found, gradient = program.passes.loss_and_gradient(atoms, widths, Profile(program))
    assert found == pytest.approx(value(atoms.points), rel=1e-6)
    for j, k in [(0, 0), (1, 2), (3, 1)]:
        step = np.zeros_like(atoms.points)
        step[j, k] = 1e-5
        difference = (value(atoms.points + step) - value(atoms.points - step)) / 2e-5
        assert gradient[j, k] == pytest.approx(difference, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_enter_gram_and_curvature(loss):
    X, y = problem(4, loss, n=700)
    program = AllPatterns(X, y, 0.1)
    rng = np.random.default_rng(0)
    atoms = Atoms(rng.standard_normal((5, 3)), np.where(rng.random((5, 1)) < 0.5, 1.0, -1.0))
    h = rng.uniform(0, 2, 700)
    Phi = np.maximum(X @ atoms.points.T, 0) * atoms.tags[:, 0]
    np.testing.assert_allclose(program.passes.output_gram(atoms, h), Phi.T @ (Phi * h[:, None]) / 700, atol=1e-5)
    on = X @ atoms.points[1] > 0
    expected = (X[on] * h[on, None]).T @ X[on] / 700
    np.testing.assert_allclose(program.passes.curvature(atoms, h)[1, 0], expected, atol=1e-5)
    V = rng.standard_normal((700, 3))
    own = program.passes.correlations(atoms, V)
    np.testing.assert_allclose(own, Phi.T @ V / 700, atol=1e-13)
    np.testing.assert_allclose(super(type(program.passes), program.passes).correlations(atoms, V), own, atol=1e-13)


def test_a_residual_beside_the_free_part_gives_no_bound():
    X, y = problem(0, "squared", n=30)
    program = AllPatterns(X, y, 0.1, free="offset")
    v = program.fitted(np.zeros(30)).v
    assert program.dual_value(v, 0.1) > 0
    assert program.dual_value(v + 0.01, 0.1) == 0.0


def test_what_cannot_be_is_named():
    X, y = problem(0, "squared")
    with pytest.raises(InputError, match="free = 'all'"):
        AllPatterns(X, y, 0.1, free="all")
    for weights in (np.ones(3), -np.ones(len(y)), np.full(len(y), np.nan), np.zeros(len(y))):
        with pytest.raises(InputError, match="sample_weight"):
            AllPatterns(X, y, 0.1, sample_weight=weights)
    with pytest.raises(SolverError, match="free, sample_weight"):
        ColumnGeneration().solve(AllPatterns(X, y, 0.1, free="offset"))
