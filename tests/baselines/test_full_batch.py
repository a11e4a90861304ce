"""L-BFGS and the Gauss-Newton family against finite differences, scipy.optimize.least_squares and dense algebra."""

import numpy as np
import pytest
from planted import LazyRows, planted
from scipy.linalg import block_diag
from scipy.optimize import least_squares

from ecgcvx.baselines import curvature, linearisation
from ecgcvx.baselines.backprop import Layers, Polynomial, linear, logistic, relu
from ecgcvx.baselines.clock import Clock
from ecgcvx.baselines.gauss_newton import train_gauss_newton
from ecgcvx.baselines.lbfgs import train_lbfgs
from ecgcvx.baselines.linearisation import Linearisation
from ecgcvx.baselines.problem import Problem
from ecgcvx.errors import InputError

CURVATURES = [
    curvature.full,
    curvature.by_layer,
    curvature.by_neuron,
    curvature.kronecker,
    curvature.uniform_rows,
    curvature.leverage_rows,
    curvature.conjugate,
]
SHAPES = [((3, 1), relu), ((3, 4, 1), relu), ((3, 4, 1), Polynomial()), ((3, 4, 2, 1), relu), ((3, 4, 2, 1), linear)]


@pytest.fixture
def random():
    return np.random.default_rng(4)


def smooth(n=120, beta=1e-3, seed=1):
    """A problem without kinks, whose targets a network of its shape makes, and a start near those weights."""
    random = np.random.default_rng(seed)
    X = np.column_stack([random.standard_normal((n, 2)), np.ones(n)])
    layers = Layers((3, 4, 1), Polynomial())
    W1, W2 = layers.split(layers.initial(random))
    Z = X @ W1
    y = (0.09 * Z * Z + 0.5 * Z + 0.47) @ W2
    start = np.concatenate([W1.ravel(), W2]) + 0.3 * random.standard_normal(layers.size)
    return Problem(layers, X, y, beta), start


def output(problem, x):
    """f from the objective alone: of targets 0 and 1, 1/2 f^2 - 1/2 (f - 1)^2 = f - 1/2 row by row."""
    out = []
    for row in problem.X:
        losses = [Problem(problem.layers, row[None], np.array([t]), 0.0).objective(x) for t in (0.0, 1.0)]
        out.append(losses[0] - losses[1] + 0.5)
    return np.array(out)


def linearised(sizes, activation, random, n=9):
    layers = Layers(sizes, activation)
    problem = Problem(layers, random.standard_normal((n, sizes[0])), random.standard_normal(n), 0.0)
    x = layers.initial(random)
    return problem, x, Linearisation(problem, x)


@pytest.mark.parametrize(("sizes", "activation"), SHAPES)
def test_jacobian_equals_finite_differences(sizes, activation, random):
    problem, x, J = linearised(sizes, activation, random)
    dense = J.rows(problem.X)
    assert dense.shape == (9, problem.layers.size)
    for j, step in enumerate(1e-6 * np.eye(len(x))):
        column = (output(problem, x + step) - output(problem, x - step)) / 2e-6
        np.testing.assert_allclose(dense[:, j], column, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("sizes", "activation"), SHAPES)
def test_products_equal_those_with_the_jacobian(sizes, activation, random, monkeypatch):
    problem, x, _ = linearised(sizes, activation, random, 23)
    monkeypatch.setattr(linearisation, "JACOBIAN_ROWS", 7)
    J = Linearisation(problem, x)
    dense = np.vstack([J.rows(X) for X in J.pieces(7)])
    p, v = random.standard_normal(len(x)), random.standard_normal(23)
    monkeypatch.undo()
    J = Linearisation(problem, x)
    np.testing.assert_allclose(J.product(p), dense @ p, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(J.transposed_product(v), dense.T @ v, rtol=1e-10, atol=1e-12)


@pytest.fixture
def at_a_point(random):
    """J dense (200, k), its Linearisation, and a gradient."""
    problem, _, J = linearised((3, 4, 1), relu, random, 200)
    return J.rows(problem.X), J, random.standard_normal(problem.layers.size)


SHIFT = 0.05


def blocks_of_neurons(H):
    """The blocks of H of each neuron, for (3, 4, 1): weight (i, j) of W1 is parameter 4 i + j."""
    out = np.zeros_like(H)
    for own in [*(np.arange(3) * 4 + j for j in range(4)), np.arange(12, 16)]:
        out[np.ix_(own, own)] = H[np.ix_(own, own)]
    return out


@pytest.mark.parametrize(
    ("approximation", "matrix"),
    [
        (curvature.full, lambda H: H),
        (curvature.by_layer, lambda H: block_diag(H[:12, :12], H[12:, 12:])),
        (curvature.by_neuron, blocks_of_neurons),
    ],
)
def test_a_direction_solves_its_own_system(approximation, matrix, at_a_point, random):
    dense, J, g = at_a_point
    expected = np.linalg.solve(matrix(dense.T @ dense / 200) + SHIFT * np.eye(16), -g)
    np.testing.assert_allclose(approximation(J, SHIFT, random)(g, SHIFT), expected, rtol=1e-9)


def test_kronecker_solves_the_product_of_its_factors(at_a_point, random):
    """(A + pi s I) (x) (B + s / pi I) with A, B the means of a a' and delta delta', s^2 the shift."""
    _, J, g = at_a_point
    parts, start = [], 0
    for (a, delta), W in zip(J.factors(J.problem.X), J.weights, strict=True):
        A, B = a.T @ a / 200, delta.T @ delta / 200
        balance = np.sqrt((np.trace(A) / len(A)) / (np.trace(B) / len(B)))
        s = np.sqrt(SHIFT)
        H = np.kron(A + balance * s * np.eye(len(A)), B + s / balance * np.eye(len(B)))
        parts.append(np.linalg.solve(H, -g[start : start + W.size]))
        start += W.size
    np.testing.assert_allclose(curvature.kronecker(J, SHIFT, random)(g, SHIFT), np.concatenate(parts), rtol=1e-9)


def test_conjugate_gradients_reach_their_tolerance(at_a_point, random, monkeypatch):
    dense, J, g = at_a_point
    H = dense.T @ dense / 200 + SHIFT * np.eye(16)
    p = curvature.conjugate(J, SHIFT, random)(g, SHIFT)
    assert np.linalg.norm(H @ p + g) <= 0.1 * np.linalg.norm(g)
    monkeypatch.setattr(curvature, "CG_TOLERANCE", 1e-12)
    np.testing.assert_allclose(curvature.conjugate(J, SHIFT, random)(g, SHIFT), np.linalg.solve(H, -g), rtol=1e-8)


def test_all_rows_as_sample_are_the_full_matrix(at_a_point, random, monkeypatch):
    dense, J, g = at_a_point
    monkeypatch.setattr(curvature, "ROWS_A_PARAMETER", 100)
    expected = np.linalg.solve(dense.T @ dense / 200 + SHIFT * np.eye(16), -g)
    np.testing.assert_allclose(curvature.uniform_rows(J, SHIFT, random)(g, SHIFT), expected, rtol=1e-9)


def test_leverages_are_those_of_the_definition(at_a_point, random, monkeypatch):
    dense, J, _ = at_a_point
    exact = np.einsum("ij,ij->i", dense, np.linalg.solve(dense.T @ dense + 200 * SHIFT * np.eye(16), dense.T).T)
    monkeypatch.setattr(curvature, "ROWS_A_PARAMETER", 100)
    monkeypatch.setattr(curvature, "SKETCHES", 4000)
    np.testing.assert_allclose(curvature.leverages(J, SHIFT, random), exact, rtol=0.15)


@pytest.mark.parametrize("approximation", [curvature.uniform_rows, curvature.leverage_rows])
def test_a_sample_of_rows_has_the_full_matrix_as_its_mean(approximation, at_a_point, random, monkeypatch):
    dense, J, _ = at_a_point
    found = []
    monkeypatch.setattr(curvature, "_dense", lambda H: found.append(H))
    for _ in range(600):
        approximation(J, SHIFT, random)
    H = dense.T @ dense / 200
    assert np.linalg.norm(np.mean(found, axis=0) - H) < 0.05 * np.linalg.norm(H)


def test_an_undamped_step_is_the_linear_least_squares_step():
    """x + p minimises ||f + J p - y||^2: p by lstsq on the Jacobian, where the step lowers P."""
    problem, start = smooth(beta=0.0)
    J = Linearisation(problem, start).rows(problem.X)
    p = np.linalg.lstsq(J, problem.y - output(problem, start))[0]
    first = train_gauss_newton(problem, start, np.random.default_rng(0), iterations=1, damping=1e-12)
    assert problem.objective(start + p) < problem.objective(start)
    np.testing.assert_allclose(J @ (first.parameters - start), J @ p, rtol=1e-4, atol=1e-5)


def test_full_gauss_newton_ends_where_least_squares_of_scipy_does():
    problem, start = smooth()
    n = len(problem)

    def residuals(x):
        Z = problem.X @ x[:12].reshape(3, 4)
        f = (0.09 * Z * Z + 0.5 * Z + 0.47) @ x[12:]
        return np.concatenate([(f - problem.y) / np.sqrt(n), np.sqrt(problem.beta) * x])

    found = train_gauss_newton(problem, start, np.random.default_rng(0), iterations=300)
    peer = least_squares(residuals, start, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert found.history[-1] == pytest.approx(peer.cost, rel=1e-7)
    assert np.linalg.norm(problem.objective_and_gradient(found.parameters)[1]) < 1e-6


@pytest.mark.parametrize("approximation", CURVATURES)
def test_every_approximation_falls_to_a_stationary_point(approximation):
    problem, start = smooth()
    result = train_gauss_newton(problem, start, np.random.default_rng(0), approximation, iterations=1500)
    assert np.all(np.diff(result.history) < 0)
    before, after = (np.linalg.norm(problem.objective_and_gradient(x)[1]) for x in (start, result.parameters))
    assert after < 1e-3 * before
    full = train_gauss_newton(problem, start, np.random.default_rng(0), iterations=400)
    assert result.history[-1] == pytest.approx(full.history[-1], rel=0.02)


@pytest.mark.parametrize("approximation", CURVATURES)
def test_every_approximation_learns_a_planted_relu_network(approximation):
    X, y = planted(500)
    problem = Problem(Layers((5, 12, 1)), X, y, 1e-6).single()
    random = np.random.default_rng(2)
    start = problem.layers.initial(random)
    result = train_gauss_newton(problem, start, random, approximation, iterations=60)
    assert result.history[-1] < 0.05 * problem.objective(start)


def test_lbfgs_ends_at_a_stationary_point():
    problem, start = smooth()
    seen = []
    result = train_lbfgs(problem, start, 2000, callback=lambda *line: seen.append(line))
    peer = train_gauss_newton(problem, start, np.random.default_rng(0), iterations=400)
    assert np.linalg.norm(problem.objective_and_gradient(result.parameters)[1]) < 1e-6
    assert result.history[-1] == pytest.approx(problem.objective(result.parameters), rel=1e-12)
    assert result.history[-1] == pytest.approx(peer.history[-1], rel=1e-3)
    assert seen == [(k + 1, value) for k, value in enumerate(result.history)]


def gauss_newton(problem, x, **options):
    return train_gauss_newton(problem, x, np.random.default_rng(0), **options)


@pytest.mark.parametrize("train", [train_lbfgs, gauss_newton])
def test_interrupt_and_clock_keep_the_last_iterate(train):
    problem, start = smooth()

    def interrupt(iteration, value):
        if iteration == 3:
            raise KeyboardInterrupt

    stopped = train(problem, start, callback=interrupt)
    assert (stopped.status, len(stopped.history)) == ("interrupted", 3)
    assert problem.objective(stopped.parameters) == pytest.approx(stopped.history[-1], rel=1e-9)
    late = train(problem, start, clock=Clock(1e-9))
    assert late.status == "time limit"
    np.testing.assert_array_equal(late.parameters, start)


def test_refusals():
    X, y = planted(20)
    random = np.random.default_rng(0)
    start = np.ones(12)
    signs = Problem(Layers((5, 2, 1), relu, logistic), X, np.sign(y) + (y == 0), 0.0)
    with pytest.raises(InputError, match="loss is logistic"):
        train_gauss_newton(signs, start, random)
    with pytest.raises(InputError, match="one output"):
        Linearisation(Problem(Layers((5, 2, 2)), X, np.column_stack([y, y]), 0.0), np.ones(14))
    problem = Problem(Layers((5, 2, 1)), X, y, 0.0)
    with pytest.raises(InputError, match="iterations is 0"):
        train_gauss_newton(problem, start, random, iterations=0)
    with pytest.raises(InputError, match="iterations is 0"):
        train_lbfgs(problem, start, 0)
    lazy = Problem(Layers((5, 2, 1)), LazyRows(X), y, 0.0)
    with pytest.raises(InputError, match="rows cannot be picked"):
        train_gauss_newton(lazy, start, random, curvature.uniform_rows)
