"""Programs of polynomial networks: the theory, statement by statement, against oracles of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polynomial_cases import (
    ACTIVATIONS,
    CASES,
    backprop_objective,
    best_of_backprop,
    nuclear_optimum,
    random_data,
    semidefinite_optimum,
)
from scipy.optimize import check_grad, minimize

from ecgcvx.activations import RELU_LIKE, Polynomial, relu_polynomial
from ecgcvx.errors import InputError
from ecgcvx.models import polynomial_network_of
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.sphere import largest_on_sphere
from ecgcvx.solvers.polynomial import PolynomialSolver

NAMES = list(ACTIVATIONS)


def case(name):
    found = CASES[f"{name}_n12_d3"]
    return np.array(found["X"]), np.array(found["y"]), found["beta"], found


def random_pair(order, balanced, seed):
    """A pair of positive semidefinite matrices, with tr Z1 = z4 if balanced."""
    factors = np.random.default_rng(seed).standard_normal((2, 3, order))
    if balanced:
        factors[:, :, -1] *= (
            np.linalg.norm(factors[..., :-1], axis=(1, 2)) / np.linalg.norm(factors[..., -1], axis=1)
        )[:, None]
    return factors.transpose(0, 2, 1) @ factors


def test_the_polynomial_case_of_the_theory():
    X, y, beta, facts = case("polynomial")
    found = PolynomialSolver().solve(PolynomialProgram(X, y, beta, Polynomial(*facts["abc"])))
    assert found.primal == pytest.approx(facts["convex_pair"], abs=2e-8)
    assert found.primal == pytest.approx(facts["nonconvex_4plus4"], abs=2e-8)
    assert semidefinite_optimum(X, y, beta, facts["abc"]) == pytest.approx(facts["convex_pair"], abs=2e-8)
    single = semidefinite_optimum(X, y, beta, facts["abc"], pair=False)
    assert single == pytest.approx(facts["single_Z_as_printed"], abs=2e-8)


def test_the_quadratic_case_of_the_theory():
    X, y, beta, facts = case("quadratic")
    found = PolynomialSolver().solve(PolynomialProgram(X, y, beta, ACTIVATIONS["quadratic"]))
    assert found.primal == pytest.approx(facts["nuclear"], abs=2e-8)
    assert found.primal == pytest.approx(facts["nonconvex_3plus3"], abs=2e-8)
    assert nuclear_optimum(X, y, beta) == pytest.approx(facts["nuclear"], abs=2e-8)
    assert semidefinite_optimum(X, y, beta, (1, 0, 0)) == pytest.approx(facts["sdp_pair_100"], abs=2e-8)


def test_the_gradient_of_the_oracle():
    X, y = random_data(3)
    signs = np.array([1.0, 1.0, -1.0])
    start = np.random.default_rng(0).standard_normal(9)
    for loss, targets in (("squared", y), ("logistic", np.sign(y))):
        arguments = (X, targets, 0.1, RELU_LIKE, signs, loss)
        value, gradient = (lambda w, *a, part=part: backprop_objective(w, *a)[part] for part in (0, 1))
        assert check_grad(value, gradient, start, *arguments) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_no_backprop_is_better_and_enough_neurons_reach_it(name):
    X, y = random_data(12)
    found = PolynomialSolver().solve(PolynomialProgram(X, y, 0.05, ACTIVATIONS[name]))
    one, four = (best_of_backprop(12, name, 0.05, neurons) for neurons in (1, 4))
    assert found.primal <= four * (1 + 1e-9)
    assert found.primal == pytest.approx(four, rel=1e-6)
    assert found.primal <= one * (1 + 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_backprop_is_better_with_the_logistic_loss(name):
    X, y = random_data(21, logistic=True)
    found = PolynomialSolver().solve(PolynomialProgram(X, y, 0.02, ACTIVATIONS[name], LogisticLoss()))
    best = best_of_backprop(21, name, 0.02, 4, runs=10, loss="logistic")
    assert found.gap <= 1e-6
    assert found.primal == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_products_are_those_of_the_formula(name):
    """Prediction, moments, ascent and lifted features against s(x'u), neuron by neuron."""
    rng = np.random.default_rng(5)
    X, y = random_data(5, n=200, d=4)
    program = PolynomialProgram(X, y, 0.1, ACTIVATIONS[name])
    a, b, c = program.activation
    Z = random_pair(program.order, program.balance is not None, 1)
    M = np.zeros((5, 5))
    M[: program.order, : program.order] = Z[0] - Z[1]
    by_hand = [a * x @ M[:4, :4] @ x + b * x @ M[:4, 4] + c * M[4, 4] for x in X]
    np.testing.assert_allclose(program.predict(Z), by_hand, atol=1e-10)
    m = program.upper.vector(Z[0] - Z[1])
    np.testing.assert_allclose(program.lifted() @ m, by_hand, atol=1e-10)
    assert program.quadratic.value(m) == pytest.approx(np.mean((y - by_hand) ** 2) / 2, rel=1e-10)
    weights = rng.random(len(y))
    curvature = np.einsum("nq,n,nr->qr", program.lifted(), weights, program.lifted()) / len(y)
    np.testing.assert_allclose(program.curvature(weights), curvature, atol=1e-10)
    v, u = rng.standard_normal(len(y)), rng.standard_normal(4)
    u /= np.linalg.norm(u)
    p = u if program.balance is None else np.append(u, 1.0)
    assert p @ program.ascent(v) @ p == pytest.approx(v @ program.activation(X @ u) / len(y), rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([0.0, 1e-9, 1.0]), st.booleans())
def test_the_largest_value_on_a_sphere(seed, d, linear, equal):
    """A bound, and one that a search attains; also in the hard case, where the linear term vanishes."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((d, d))
    A = np.eye(d) if equal else A + A.T
    q = linear * rng.standard_normal(d)
    bound = largest_on_sphere(A, q)
    U = rng.standard_normal((400, d))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    values = np.einsum("nd,de,ne->n", U, A, U) + U @ q
    assert values.max() <= bound + 1e-9 * (1 + abs(bound))

    def negative(w):
        size = np.linalg.norm(w)
        return -(w @ A @ w / size**2 + q @ w / size)

    starts = [U[np.argmax(values)], np.linalg.eigh(A)[1][:, -1], -np.linalg.eigh(A)[1][:, -1]]
    best = max(-minimize(negative, start, method="BFGS", options={"gtol": 1e-9}).fun for start in starts)
    assert best == pytest.approx(bound, rel=1e-6, abs=1e-6)


def test_a_planted_network_is_recovered():
    """Without noise and with a small beta the directions and weights are those that made the targets."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((400, 6))
    U, _ = np.linalg.qr(rng.standard_normal((6, 3)))
    alpha = np.array([2.0, -1.5, 0.7])
    y = (X @ U) ** 2 @ alpha
    program = PolynomialProgram(X, y, 1e-6, ACTIVATIONS["quadratic"])
    network = polynomial_network_of(program, PolynomialSolver().solve(program).u)
    assert network.neurons == 3
    np.testing.assert_allclose(network.W2, alpha, atol=1e-5)
    np.testing.assert_allclose(np.abs(np.einsum("dm,dm->m", network.W1, U)), 1, atol=1e-8)
    # With a constant term neurons of both signs can cancel at less penalty than the planted ones, but not of one sign.
    program = PolynomialProgram(X, RELU_LIKE(X @ U[:, :2]) @ [2.0, 1.5], 1e-6)
    network = polynomial_network_of(program, PolynomialSolver().solve(program).u)
    assert network.neurons == 2
    np.testing.assert_allclose(network.W2, [2.0, 1.5], atol=1e-3)
    np.testing.assert_allclose(np.einsum("dm,dm->m", network.W1, U[:, :2]), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "neurons", "same"), [("quadratic", 1, True), ("quadratic", 2, False), ("polynomial", 2, True),
    ("polynomial", 3, False)],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(2))
def test_of_neurons_of_one_sign_the_matrix_is_recovered_and_few_neurons_too(name, neurons, same, seed):
    rng = np.random.default_rng(seed)
    X, U, alpha = rng.standard_normal((300, 5)), rng.standard_normal((5, neurons)), rng.uniform(0.5, 2.0, neurons)
    U /= np.linalg.norm(U, axis=0)
    program = PolynomialProgram(X, ACTIVATIONS[name](X @ U) @ alpha, 1e-7, ACTIVATIONS[name])
    u = PolynomialSolver().solve(program).u
    lifted = U if name == "quadratic" else np.r_[U, np.ones((1, neurons))]
    np.testing.assert_allclose(u[0] - u[1], lifted * alpha @ lifted.T, atol=1e-5)
    network = polynomial_network_of(program, u)
    assert network.neurons == neurons
    assert (np.abs(network.W1.T @ U).max(axis=0) > 1 - 1e-4).all() == same


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_zero_from_the_largest_beta_up(name):
    X, y = random_data(8)
    largest = PolynomialProgram(X, y, 1.0, ACTIVATIONS[name]).largest_beta()
    program = PolynomialProgram(X, y, 1.001 * largest, ACTIVATIONS[name])
    assert not PolynomialSolver().solve(program).u.any()
    below = PolynomialSolver().solve(program.at(0.99 * largest))
    assert below.primal < np.mean(y**2) / 2
    assert below.gap <= 1e-8


@pytest.mark.parametrize("interval", [(-5.0, 5.0), (-1.0, 3.0), (-200.0, 20.0), (-1e-3, 1e-3)])
def test_the_polynomial_nearest_to_a_relu(interval):
    t = np.linspace(*interval, 200_001)
    weights = np.ones_like(t)
    weights[[0, -1]] = 0.5  # the trapezoidal rule
    scale = np.abs(t).max()
    powers = np.stack([(t / scale) ** 2, t / scale, np.ones_like(t)], axis=1) * np.sqrt(weights)[:, None]
    expected = np.linalg.lstsq(powers, np.sqrt(weights) * np.maximum(t, 0) / scale)[0] * [1 / scale, 1, scale]
    np.testing.assert_allclose(relu_polynomial(*interval), expected, rtol=1e-4)


def test_the_default_is_the_fit_on_minus_5_to_5():
    exact = relu_polynomial(-5, 5)
    np.testing.assert_allclose(exact, [15 / 160, 0.5, 15 / 32], rtol=1e-12)
    assert tuple(round(number, 2) for number in exact) == tuple(RELU_LIKE)
    for low, high in ((1.0, 2.0), (-2.0, -1.0), (0.0, 1.0), (-np.inf, 1.0)):
        with pytest.raises(InputError, match="interval"):
            relu_polynomial(low, high)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"y": np.ones(3)}, "y has shape"),
        ({"y": np.r_[np.nan, np.ones(29)]}, "row 0"),
        ({"beta": 0.0}, "beta = 0"),
        ({"activation": Polynomial(0.0, 0.0, 0.0)}, "activation"),
        ({"activation": Polynomial(np.inf, 0.0, 0.0)}, "activation"),
        ({"loss": LogisticLoss()}, "labels"),
    ],
)
def test_unusable_data_are_named(change, named):
    X, y = random_data(1)
    arguments = {"X": X, "y": y, "beta": 0.1, "activation": RELU_LIKE} | change
    with pytest.raises(InputError, match=named):
        PolynomialProgram(**arguments)
