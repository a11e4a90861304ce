"""Certificates of polynomial networks: proved, and the same as the program's, with which they share no code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polynomial_cases import ACTIVATIONS, backprop_objective, best_of_backprop, random_data

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.certificates import (
    certify_enumerated,
    certify_given,
    certify_polynomial,
    certify_searched,
    kkt_residuals,
)
from ecgcvx.errors import InputError
from ecgcvx.models import PolynomialNetwork, ReluNetwork, polynomial_network_of
from ecgcvx.models.maps import balance
from ecgcvx.programs.losses import LogisticLoss, SquaredLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.solvers.polynomial import PolynomialSolver


@pytest.mark.parametrize("name", list(ACTIVATIONS))
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_polynomial_network_has_a_proved_gap(name, loss):
    """The dual holds for any network: none of 20 backprop runs is below it; at the optimum the gap closes."""
    X, y = random_data(12, logistic=loss == "logistic")
    signs, activation = np.repeat([1.0, -1.0], 2), ACTIVATIONS[name]
    rng = np.random.default_rng(0)
    W = rng.standard_normal((4, X.shape[1]))
    lengths = np.linalg.norm(W, axis=1)
    start = PolynomialNetwork((W / lengths[:, None]).T, signs * lengths**2, activation)
    certificate = certify_polynomial(start, X, y, 0.05, loss)
    primal, _ = backprop_objective(W.ravel(), X, y, 0.05, activation, signs, loss)
    assert certificate.primal == pytest.approx(primal, rel=1e-10)
    assert certificate.dual <= best_of_backprop(12, name, 0.05, 4, 20, loss)
    program = PolynomialProgram(X, y, 0.05, activation, LogisticLoss() if loss == "logistic" else SquaredLoss())
    best = certify_polynomial(polynomial_network_of(program, PolynomialSolver().solve(program).u), X, y, 0.05, loss)
    assert best.gap <= 1e-6
    assert best.proved
    assert best.price == pytest.approx(1, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from(list(ACTIVATIONS)))
def test_the_price_of_a_polynomial_network_is_that_of_the_program(seed, d, name):
    """Two methods that share no code, and no direction of a cloud of them has a larger price."""
    rng = np.random.default_rng(seed)
    X, y, u = rng.standard_normal((20, d)), rng.standard_normal(20), rng.standard_normal((d, 2))
    network = PolynomialNetwork(u / np.linalg.norm(u, axis=0), rng.standard_normal(2), ACTIVATIONS[name])
    certificate = certify_polynomial(network, X, y, 0.1)
    residual = y - network.predict(X)
    prices = PolynomialProgram(X, y, 0.1, ACTIVATIONS[name]).prices(residual)
    assert certificate.price * 0.1 == pytest.approx(prices.max(), rel=1e-7)
    U = rng.standard_normal((d, 500))
    U /= np.linalg.norm(U, axis=0)
    assert np.abs(residual @ network.polynomial(X @ U)).max() / 20 <= 0.1 * certificate.price * (1 + 1e-9)


def test_certificates_of_other_networks_are_refused():
    X, y = random_data(1)
    network = PolynomialNetwork(np.eye(3), np.ones(3), ACTIVATIONS["polynomial"])
    for refuse in (
        lambda: certify_enumerated(network, X, y, 0.1),
        lambda: certify_searched(network, X, y, 0.1, 5, 0),
        lambda: certify_given(network, X, y, 0.1, enumerate_patterns(X)),
        lambda: kkt_residuals(network, X, y, 0.1),
    ):
        with pytest.raises(InputError, match="polynomial"):
            refuse()
    with pytest.raises(InputError, match="no polynomial"):
        certify_polynomial(ReluNetwork(np.eye(3), np.ones(3)), X, y, 0.1)
    with pytest.raises(InputError, match="length 2"):
        certify_polynomial(PolynomialNetwork(2 * np.eye(3), np.ones(3), ACTIVATIONS["quadratic"]), X, y, 0.1)
    with pytest.raises(InputError, match="polynomial"):
        balance(network)
