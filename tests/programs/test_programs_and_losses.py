"""Objective, bound and losses: definitions, weak duality, finite differences, invariances, refusals."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.arrangements import patterns_of_gates, sample_patterns
from ecgcvx.errors import InputError
from ecgcvx.programs.cone import project
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss, SquaredLoss
from ecgcvx.programs.program import gated_relu_program, relu_program

RNG = np.random.default_rng(3)
X = np.c_[RNG.standard_normal((24, 2)), np.ones(24)]
Y = {"squared": RNG.standard_normal(24), "logistic": np.sign(RNG.standard_normal(24))}
LOSSES = {"squared": SquaredLoss(), "logistic": LogisticLoss()}
FEATURES = PatternFeatures(X, sample_patterns(X, 7, 0))
NETWORKS = {"relu": relu_program, "gated": gated_relu_program}


def program(network="relu", loss="squared", beta=0.05, features=FEATURES, y=None):
    return NETWORKS[network](features, Y[loss] if y is None else y, beta, LOSSES[loss])


def optimum(p):
    """The whole program, all n rows of every cone, in CVXPY."""
    g, d = p.shape
    masks = np.stack([p.features.patterns.mask(int(b)) for b in p.blocks])
    U = cp.Variable((g, d))
    f = sum(p.signs[j] * cp.multiply(masks[j], p.features.X @ U[j]) for j in range(g))
    squared = isinstance(p.loss, SquaredLoss)
    loss = cp.sum_squares(f - p.y) / 2 if squared else cp.sum(cp.logistic(-cp.multiply(p.y, f)))
    rows = [cp.multiply(2.0 * masks[j] - 1, p.features.X @ U[j]) >= 0 for j in range(g)] if p.cones else []
    problem = cp.Problem(cp.Minimize(loss / p.features.n + p.beta * cp.sum(cp.norm(U, 2, axis=1))), rows)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return float(problem.value)


CASES = [(network, loss) for network in NETWORKS for loss in LOSSES]
OPTIMA = {case: optimum(program(*case)) for case in CASES}


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3))
def test_any_point_lies_above_and_any_residual_below_the_optimum(case, seed, scale):
    p, rng = program(*case), np.random.default_rng(seed)
    u = scale * rng.standard_normal(p.shape) * (rng.random(p.shape[0]) < 0.5)[:, None]
    if p.cones:
        u = project(p.features, p.blocks, u)
    assert p.violation(u) <= 1e-10
    assert p.objective(u) >= OPTIMA[case] * (1 - 1e-8)
    r = scale * rng.standard_normal(24)
    for v in (r, np.abs(r) * p.y, p.residual(u), p.y):
        bound = p.dual_bound(v)
        assert bound.value <= OPTIMA[case] * (1 + 1e-8)
        assert np.isfinite(bound.prices).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_residual_is_minus_n_times_the_gradient_of_the_value(loss):
    L, y = LOSSES[loss], Y[loss]
    f, h = RNG.standard_normal(24), 1e-6
    slopes = [(L.value(f + h * e, y) - L.value(f - h * e, y)) / (2 * h) for e in np.eye(24)]
    np.testing.assert_allclose(L.residual(f, y), -24 * np.array(slopes), atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("limit", [0.1, 0.7, 1.0, 5.0, np.inf])
def test_dual_value_is_the_best_over_a_grid_of_scales(loss, limit):
    L, y = LOSSES[loss], Y[loss]
    v = L.residual(0.3 * RNG.standard_normal(24), y)
    if loss == "squared":
        grid = [c * (v @ y) / 24 - c * c * (v @ v) / 48 for c in np.linspace(0, min(limit, 6.0), 20_001)]
    else:
        q = v * y
        entropy = lambda t: -t * np.log(t) - (1 - t) * np.log(1 - t)  # noqa: E731
        grid = [np.mean(entropy(c * q)) for c in np.linspace(1e-9, min(limit, (1 - 1e-9) / q.max()), 20_001)]
    assert L.dual_value(v, y, limit) == pytest.approx(max(grid), abs=1e-7)


def test_logistic_loss_does_not_overflow():
    f = np.array([1e4, -1e4])
    assert LogisticLoss().value(f, np.array([1.0, 1.0])) == pytest.approx(5e3)
    assert np.isfinite(LogisticLoss().residual(f, np.array([-1.0, 1.0]))).all()


def test_labels_zero_and_one_are_those_of_minus_one_and_one():
    a = program("gated", "logistic")
    b = program("gated", "logistic", y=(Y["logistic"] > 0).astype(int))
    np.testing.assert_array_equal(a.y, b.y)


@pytest.mark.parametrize("bad", [[0.0, 1.0, -1.0], [1.0, 2.0, 1.0], [0.5, 1.0, 0.0]])
def test_other_labels_are_refused(bad):
    with pytest.raises(InputError, match="labels in"):
        program("gated", "logistic", y=np.resize(bad, 24))


@pytest.mark.parametrize("network", NETWORKS)
def test_objective_is_its_definition(network):
    p = program(network)
    u = RNG.standard_normal(p.shape)
    f = sum(s * (FEATURES.patterns.mask(int(b)) * (X @ w)) for s, b, w in zip(p.signs, p.blocks, u, strict=True))
    expected = np.sum((f - p.y) ** 2) / 48 + 0.05 * sum(np.sqrt(w @ w) for w in u)
    np.testing.assert_allclose(p.predict(u), f, atol=1e-12)
    assert p.objective(u) == pytest.approx(expected, rel=1e-12)
    assert p.quadratic.value(u) + p.penalty(u) == pytest.approx(expected, rel=1e-12)
    h = 1e-6 * RNG.standard_normal(p.shape)
    slope = (p.quadratic.value(u + h) - p.quadratic.value(u - h)) / 2
    assert np.sum(p.quadratic.gradient(u) * h) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("y", [np.ones(23), np.ones((24, 1)), np.full(24, np.nan), np.r_[np.ones(23), np.inf]])
def test_bad_targets_are_refused(y):
    with pytest.raises(InputError, match="y h"):
        program(y=y)


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, np.inf])
def test_bad_beta_is_refused(beta):
    with pytest.raises(InputError, match="beta = "):
        program(beta=beta)


def test_a_program_without_patterns_is_refused():
    with pytest.raises(InputError, match="patterns: there are none"):
        program(features=PatternFeatures(X, FEATURES.patterns.subset([])))


@pytest.mark.parametrize("network", NETWORKS)
def test_order_and_repetition_of_rows_change_nothing(network):
    p = program(network)
    u = project(FEATURES, p.blocks, RNG.standard_normal(p.shape))
    order = np.r_[RNG.permutation(24), RNG.permutation(24)]
    features = PatternFeatures(X[order], patterns_of_gates(X[order], FEATURES.patterns.gates))
    q = program(network, features=features, y=p.y[order])
    assert q.objective(u) == pytest.approx(p.objective(u), rel=1e-12)
    assert q.dual_bound(q.residual(u)).value == pytest.approx(p.dual_bound(p.residual(u)).value, rel=1e-9)
