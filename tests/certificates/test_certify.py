"""Certificates against CVXPY, brute force over patterns, and finite differences; what they call proved must hold."""

import json
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_layers import two_layers

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.certificates import (
    certify_enumerated,
    certify_given,
    certify_searched,
    kkt_residuals,
    primal_objective,
)
from ecgcvx.errors import InputError
from ecgcvx.models import ReluNetwork

CASES = json.loads((Path(__file__).parents[1] / "theory_cases.json").read_text())
RELU_CASES = ["relu_lecture_y=[1, 2, 3]", "relu_random_n8_d2", "relu_random_n8_d3"]


def arrays(name):
    case = CASES[name]
    return np.array(case["X"]), np.array(case["y"], dtype=float), case["beta"], case["convex"]


def optimal_network(X, y, beta, patterns, logistic=False, cones=True):
    """The network of the convex program over the patterns, written out in CVXPY and solved tightly."""
    n, d = X.shape
    signs = (1, -1) if cones else (1,)
    masks = [patterns.mask(i) for i in range(len(patterns))]
    U = [(cp.Variable(d), s, mask) for mask in masks for s in signs]
    f = sum(s * cp.multiply(mask.astype(float), X @ u) for u, s, mask in U)
    loss = cp.sum(cp.logistic(cp.multiply(-y, f))) / n if logistic else cp.sum_squares(f - y) / (2 * n)
    constraints = [cp.multiply(2.0 * mask - 1, X @ u) >= 0 for u, _, mask in U] if cones else []
    problem = cp.Problem(cp.Minimize(loss + beta * sum(cp.norm(u) for u, _, _ in U)), constraints)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    kept = [(u.value, s) for u, s, _ in U if np.linalg.norm(u.value) > 1e-6]
    gates = None if cones else patterns.gates[[np.linalg.norm(u.value) > 1e-6 for u, _, _ in U]].T
    roots = np.array([np.sqrt(np.linalg.norm(u)) for u, _ in kept])
    W1 = np.stack([u for u, _ in kept], axis=1) / roots
    return two_layers(W1, np.array([s for _, s in kept]) * roots, gates), problem.value


@pytest.fixture(scope="module", params=RELU_CASES)
def solved(request):
    X, y, beta, value = arrays(request.param)
    patterns = enumerate_patterns(X)
    network, found = optimal_network(X, y, beta, patterns)
    assert found == pytest.approx(value, abs=1e-7)
    return network, X, y, beta, patterns, value


def test_the_optimum_is_certified_over_all_patterns(solved):
    network, X, y, beta, patterns, value = solved
    proved = certify_enumerated(network, X, y, beta)
    assert proved.primal == pytest.approx(value, abs=1e-6)
    assert proved.dual == pytest.approx(value, rel=2e-4)
    assert proved.dual <= value + 1e-7
    assert proved.price == pytest.approx(1, abs=1e-3)
    given_all = certify_given(network, X, y, beta, patterns)
    assert given_all.dual == pytest.approx(proved.dual, rel=1e-9)


def test_a_thorough_search_finds_the_price_of_the_enumeration(solved):
    _, X, y, beta, _, _ = solved
    network = ReluNetwork(np.ones((X.shape[1], 1)) * 0.3, np.array([0.5]))
    proved, searched = certify_enumerated(network, X, y, beta), certify_searched(network, X, y, beta, 300, 0)
    assert searched.price == pytest.approx(proved.price, rel=1e-6)
    assert (proved.proved, searched.proved) == (True, False)
    assert "heuristic search, not a proof" in str(searched)
    assert "300 starts" in str(searched)
    assert "as far as" not in str(proved)


def test_kkt_residuals_vanish_at_the_optimum_only(solved):
    network, X, y, beta, patterns, _ = solved
    for chosen in (None, patterns):
        at_optimum = kkt_residuals(network, X, y, beta, patterns=chosen)
        assert at_optimum.stationarity.max() < 2e-3
        assert at_optimum.balance < 1e-9
    off = ReluNetwork(network.W1 * 1.05, network.W2 / 1.05)
    assert kkt_residuals(off, X, y, beta).balance == pytest.approx(1 - 1 / 1.05**2, rel=1e-6)
    off = ReluNetwork(network.W1 * 1.1, network.W2 * 1.1)
    assert kkt_residuals(off, X, y, beta).stationarity.max() > 2e-2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(RELU_CASES), st.integers(1, 4))
def test_weak_duality_for_any_network(seed, name, neurons):
    """Whatever the network, a proved dual is below the optimum and the optimum is below its primal."""
    X, y, beta, value = arrays(name)
    rng = np.random.default_rng(seed)
    network = ReluNetwork(rng.standard_normal((X.shape[1], neurons)), rng.standard_normal(neurons))
    found = certify_enumerated(network, X, y, beta)
    assert found.dual <= value + 1e-7
    assert found.primal >= value - 1e-7


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_price_of_given_patterns_is_the_maximum_over_their_cones(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
    patterns = enumerate_patterns(X).subset(rng.choice(40, size=4, replace=False))
    network = ReluNetwork(rng.standard_normal((3, 2)), rng.standard_normal(2))
    v = y - network.predict(X)
    best = 0.0
    for i in range(4):
        w = cp.Variable(3)
        cone = [cp.multiply(2.0 * patterns.mask(i) - 1, X @ w) >= 0, cp.norm(w) <= 1]
        for s in (1, -1):
            best = max(best, cp.Problem(cp.Maximize(s * (v * patterns.mask(i)) @ X @ w), cone).solve(solver="CLARABEL"))
    found = certify_given(network, X, y, 0.1, patterns)
    assert found.price * 0.1 * 12 == pytest.approx(best, rel=1e-5, abs=1e-7)


def test_logistic_optimum_is_certified():
    X, y, beta, value = arrays("relu_logistic_n8_d2")
    patterns = enumerate_patterns(X)
    network, found = optimal_network(X, y, beta, patterns, logistic=True)
    assert found == pytest.approx(value, abs=1e-7)
    certificate = certify_enumerated(network, X, y, beta, "logistic")
    assert certificate.primal == pytest.approx(value, abs=1e-6)
    assert value - 1e-4 < certificate.dual <= value + 1e-7
    assert kkt_residuals(network, X, y, beta, "logistic").stationarity.max() < 2e-3


def test_gated_networks_are_certified_over_their_gates():
    X, y, beta, _ = arrays("relu_random_n8_d3")
    patterns = enumerate_patterns(X)
    network, value = optimal_network(X, y, beta, patterns, cones=False)
    assert value == pytest.approx(CASES["relu_random_n8_d3"]["gated"], abs=1e-7)
    certificate = certify_given(network, X, y, beta, patterns)
    assert certificate.primal == pytest.approx(value, abs=1e-6)
    assert certificate.dual == pytest.approx(value, rel=2e-4)
    assert certificate.dual <= value + 1e-7
    assert kkt_residuals(network, X, y, beta).stationarity.max() < 2e-3
    with pytest.raises(InputError, match="gated"):
        certify_enumerated(network, X, y, beta)


def test_the_gradient_that_kkt_uses_is_that_of_the_objective():
    """Away from faces the stationarity is the gradient of P in u, by finite differences in the weights."""
    rng = np.random.default_rng(5)
    X, y, beta = rng.standard_normal((30, 3)), rng.standard_normal(30), 0.05
    w, a = rng.standard_normal(3), 0.7
    size = np.sqrt(np.linalg.norm(w) * a)
    network = ReluNetwork((w / np.linalg.norm(w) * size)[:, None], np.array([size]))

    def P(u):
        return float(np.mean((np.maximum(X @ u, 0) - y) ** 2)) / 2 + beta * np.linalg.norm(u)

    u = network.W1[:, 0] * network.W2[0]
    gradient = np.array([(P(u + 1e-6 * e) - P(u - 1e-6 * e)) / 2e-6 for e in np.eye(3)])
    assert kkt_residuals(network, X, y, beta).stationarity[0] == pytest.approx(
        np.linalg.norm(gradient) / beta, rel=1e-5
    )
    assert primal_objective(network, X, y, beta) == pytest.approx(P(u), rel=1e-12)


def test_unusable_input_is_refused():
    X, y = np.ones((4, 2)), np.ones(4)
    network = ReluNetwork(np.ones((2, 1)), np.ones(1))
    with pytest.raises(InputError, match="y has shape"):
        certify_enumerated(network, X, y[:3], 0.1)
    with pytest.raises(InputError, match="beta = 0"):
        certify_enumerated(network, X, y, 0.0)
    with pytest.raises(InputError, match="starts = 0"):
        certify_searched(network, X, y, 0.1, 0, 0)
    with pytest.raises(InputError, match="labels"):
        certify_enumerated(network, X, y * 3, 0.1, "logistic")
