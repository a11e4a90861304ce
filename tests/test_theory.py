"""The two-layer theory, statement by statement, each against an oracle that shares no code with the package.

The oracles: the programs written out in CVXPY over patterns from linear programs, the network's own non-convex
objective minimised by L-BFGS from many starts, grids of directions in the plane, and the values of theory_cases.json.
"""

import json
from functools import cache
from itertools import product
from math import comb
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from ecgcvx.arrangements import enumerate_patterns, pattern_bound
from ecgcvx.models import ReluNetwork, network_of
from ecgcvx.models.maps import balance, merge, variables_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver

CASES = json.loads((Path(__file__).parent / "theory_cases.json").read_text())
LECTURE = [name for name in CASES if name.startswith("relu_lecture")]
PLANE = [*LECTURE, "relu_random_n8_d2"]
RELU = [*PLANE, "relu_random_n8_d3"]
PRINTED = 2e-8  # the optima of the file are rounded to eight digits
TIGHT = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
SOLVER = CvxpySolver(gap=1e-7)


def data(name):
    case = CASES[name]
    return np.array(case["X"]), np.array(case["y"])


@cache
def solved(name, build=relu_program, beta=None, loss=None):
    """The package's own program over all patterns, and its solution."""
    X, y = data(name)
    features = PatternFeatures(X, enumerate_patterns(X))
    program = build(features, y, CASES[name].get("beta") if beta is None else beta, loss)
    return program, SOLVER.solve(program)


@cache
def masks_of(name):
    """All patterns (p, n) with cells of full dimension: one linear program for each of the 2^n sign vectors."""
    X, _ = data(name)
    n, d = X.shape
    found = []
    for bits in product([False, True], repeat=n):
        signed = (2.0 * np.array(bits) - 1)[:, None] * X
        # The largest margin t with signed w >= t in the unit box.
        program = linprog([0] * d + [-1], np.c_[-signed, np.ones(n)], np.zeros(n), bounds=[(-1, 1)] * d + [(0, 1)])
        if -program.fun > 1e-9:
            found.append(bits)
    return np.array(found)


def circle(count):
    angles = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angles), np.sin(angles)])


def optimum(name, cones="signed", loss="squared", bias=False):
    """The convex program written out, with the cones (2 D_i - I) X u >= 0, the printed D_i X u >= 0, or none."""
    (X, y), beta = data(name), CASES[name]["beta"]
    n, d = X.shape
    f, penalty, constraints = cp.Variable() if bias else 0.0, 0.0, []
    for mask in masks_of(name):
        for sign in (1, -1):
            u = cp.Variable(d)
            f, penalty = f + sign * (mask[:, None] * X) @ u, penalty + cp.norm(u)
            rows = {"signed": (2.0 * mask - 1)[:, None] * X, "printed": mask[:, None] * X, "none": np.zeros((0, d))}
            if len(rows[cones]):
                constraints.append(rows[cones] @ u >= 0)
    value = cp.sum_squares(f - y) / 2 if loss == "squared" else cp.sum(cp.logistic(cp.multiply(-y, f)))
    problem = cp.Problem(cp.Minimize(value / n + beta * penalty), constraints)
    problem.solve(solver="CLARABEL", **TIGHT)
    return float(problem.value)


def dual_over_patterns(name, bias=False):
    """max r'y/n - ||r||^2/(2n) such that every i, s has z >= 0 with ||s X'D_i r + X'(2 D_i - I) z|| <= beta n.

    A free bias adds 1'r = 0.
    """
    (X, y), beta = data(name), CASES[name]["beta"]
    n, _ = X.shape
    r = cp.Variable(n)
    constraints = [cp.sum(r) == 0] if bias else []
    for mask in masks_of(name):
        for sign in (1, -1):
            z = cp.Variable(n, nonneg=True)
            price = cp.norm(sign * X.T @ cp.multiply(mask, r) + X.T @ cp.multiply(2.0 * mask - 1, z))
            constraints.append(price <= beta * n)
    problem = cp.Problem(cp.Maximize((r @ y - cp.sum_squares(r) / 2) / n), constraints)
    problem.solve(solver="CLARABEL", **TIGHT)
    return float(problem.value), r.value


def network_objective(weights, X, y, beta, neurons, loss="squared", bias=False):
    """1/n sum l(f, y) + beta/2 (||W1||^2 + ||W2||^2) and its gradient; weights: W1, W2 and perhaps a free bias."""
    n, d = X.shape
    W1, W2 = weights[: d * neurons].reshape(d, neurons), weights[d * neurons : (d + 1) * neurons]
    hidden = np.maximum(X @ W1, 0)
    f = hidden @ W2 + (weights[-1] if bias else 0.0)
    if loss == "squared":
        value, slope = np.sum((f - y) ** 2) / (2 * n), (f - y) / n
    else:
        value, slope = np.mean(np.logaddexp(0, -y * f)), -y / (1 + np.exp(y * f)) / n
    inner = X.T @ (slope[:, None] * (hidden > 0) * W2) + beta * W1
    gradient = [inner.ravel(), hidden.T @ slope + beta * W2, [slope.sum()] if bias else []]
    return value + beta / 2 * (np.sum(W1**2) + np.sum(W2**2)), np.concatenate(gradient)


@cache
def trained(name, neurons, starts, loss="squared", bias=False):
    """Final values and weights of L-BFGS from random starts, best first."""
    X, y = data(name)
    rng = np.random.default_rng(neurons)
    size = (X.shape[1] + 1) * neurons + bias
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-10}
    problem = X, y, CASES[name]["beta"], neurons, loss, bias
    points = (rng.standard_normal(size) * rng.uniform(0.2, 1.5) for _ in range(starts))
    runs = [minimize(network_objective, x, problem, "L-BFGS-B", jac=True, options=options) for x in points]
    return sorted(((float(run.fun), run.x) for run in runs), key=lambda pair: pair[0])


def network_of_weights(weights, d, neurons):
    """The network of the first two groups of weights of `network_objective`."""
    return ReluNetwork(weights[: d * neurons].reshape(d, neurons), weights[d * neurons : (d + 1) * neurons])


# Section 1: the convex program is the network


@pytest.mark.parametrize("name", RELU)
def test_the_convex_value_is_the_one_written_out(name):
    _, solution = solved(name)
    assert solution.primal == pytest.approx(CASES[name]["convex"], abs=PRINTED, rel=1e-7)
    assert solution.primal == pytest.approx(optimum(name), rel=1e-6)


@pytest.mark.parametrize("name", RELU)
def test_convex_value_is_the_best_of_many_trained_networks(name):
    _, solution = solved(name)
    # The optimum of d3 lies on faces, kinks of the objective where L-BFGS stops early: more so the more neurons.
    runs, tolerance = (trained(name, 5, 60), 1e-4) if name.endswith("d3") else (trained(name, 10, 40), 1e-5)
    assert runs[0][0] == pytest.approx(solution.primal, rel=tolerance)
    assert runs[0][0] >= solution.dual
    assert runs[0][0] >= solution.primal * (1 - 1e-7)


@pytest.mark.parametrize("neurons", [1, 2])
def test_too_few_neurons_are_strictly_worse(neurons):
    name = "relu_random_n8_d2"
    best = trained(name, neurons, 60)[0][0]
    assert best == pytest.approx(CASES[name][f"nonconvex_m{neurons}"], rel=1e-5)
    assert best > solved(name)[1].primal + 2e-4
    # All networks of that size whose directions are on a grid: training has missed nothing.
    assert best_on_a_grid(*data(name), CASES[name]["beta"], neurons) == pytest.approx(best, rel=1e-3)


def shrunk(z, beta):
    return np.sign(z) * np.maximum(np.abs(z) - beta, 0)


def best_on_a_grid(X, y, beta, neurons):
    """min over directions w_j on the circle of min_a 1/(2n) ||sum_j a_j (X w_j)_+ - y||^2 + beta ||a||_1, m <= 2."""
    n = len(y)
    hidden = np.maximum(X @ circle(720), 0)
    G, c = hidden.T @ hidden / n, hidden.T @ y / n
    first, second = (k.ravel() for k in np.meshgrid(range(720), range(720))) if neurons == 2 else (np.arange(720),) * 2
    a, b = np.zeros(len(first)), np.zeros(len(first))
    norms = np.maximum(np.diag(G), 1e-30)
    cross = G[first, second]
    for _ in range(300 if neurons == 2 else 1):
        a = shrunk(c[first] - cross * b, beta) / norms[first]
        if neurons == 2:
            b = shrunk(c[second] - cross * a, beta) / norms[second]
    quadratic = a * a * norms[first] / 2 + b * b * norms[second] / 2 + a * b * cross - a * c[first] - b * c[second]
    return float((y @ y / (2 * n) + quadratic + beta * (np.abs(a) + np.abs(b))).min())


@pytest.mark.parametrize("name", RELU)
def test_the_reconstructed_network_attains_the_convex_value(name):
    X, y = data(name)
    program, solution = solved(name)
    network = merge(network_of(program, solution.u), X)
    weights = np.concatenate([network.W1.ravel(), network.W2])
    value, _ = network_objective(weights, X, y, program.beta, network.neurons)
    assert value == pytest.approx(solution.primal, rel=1e-7)
    np.testing.assert_allclose(network.predict(X), program.predict(solution.u), atol=1e-8)
    assert network.neurons <= len(y) + 1


def test_as_many_neurons_as_the_merged_optimum_are_enough():
    name = "relu_random_n8_d2"
    program, solution = solved(name)
    neurons = merge(network_of(program, solution.u), data(name)[0]).neurons
    assert neurons == 3
    assert trained(name, neurons, 60)[0][0] == pytest.approx(solution.primal, rel=1e-6)


@pytest.mark.parametrize("name", PLANE)
def test_a_trained_network_is_a_point_of_the_convex_program(name):
    """The way back: variables of a trained network predict the same, and cost no more."""
    X, _ = data(name)
    program, solution = solved(name)
    value, weights = trained(name, 10, 40)[0]
    d = X.shape[1]
    network = network_of_weights(weights, d, 10)
    u = variables_of(program, network)
    np.testing.assert_allclose(program.predict(u), network.predict(X), atol=1e-9)
    assert solution.primal * (1 - 1e-7) <= program.objective(u) <= value * (1 + 1e-9)


def test_training_balances_the_layers():
    """Of all rescalings the balanced one has the least weight decay, ||w1|| |w2|: the value of the scaled form."""
    name = "relu_random_n8_d2"
    X, y = data(name)
    value, weights = trained(name, 10, 40)[0]
    network = network_of_weights(weights, 2, 10)
    norms, outer = np.linalg.norm(network.W1, axis=0), np.abs(network.W2)
    alive = norms * outer > 1e-6
    np.testing.assert_allclose(norms[alive], outer[alive], rtol=1e-3)
    scaled = np.sum((network.predict(X) - y) ** 2) / 16 + CASES[name]["beta"] * norms @ outer
    assert scaled == pytest.approx(value, rel=1e-6)
    rescaled = balance(network)
    again = np.concatenate([rescaled.W1.ravel(), rescaled.W2])
    assert network_objective(again, X, y, CASES[name]["beta"], rescaled.neurons)[0] == pytest.approx(scaled, rel=1e-9)


# Section 1: duality


@pytest.mark.parametrize("name", RELU)
def test_the_dual_attains_the_primal(name):
    program, solution = solved(name)
    value, r = dual_over_patterns(name)
    assert value == pytest.approx(solution.primal, rel=1e-6)
    assert value == pytest.approx(CASES[name]["dual"], abs=1e-7)
    assert solution.dual == pytest.approx(solution.primal, rel=1e-6)
    np.testing.assert_allclose(r, program.residual(solution.u), atol=1e-3)  # strongly convex in r: the square root


@pytest.mark.parametrize("name", PLANE)
def test_prices_are_those_of_all_unit_neurons(name):
    """max_{||w|| <= 1} |r'(Xw)_+| / n over a fine circle is the largest price, and beta at the optimum."""
    X, _ = data(name)
    program, solution = solved(name)
    residuals = np.stack([program.residual(solution.u), np.random.default_rng(0).standard_normal(len(X))])
    seen = np.abs(residuals @ np.maximum(X @ circle(100_000), 0)).max(axis=1) / len(X)
    np.testing.assert_allclose([program.prices(r).max() for r in residuals], seen, rtol=1e-6)
    assert seen[0] == pytest.approx(program.beta, rel=1e-4)


@pytest.mark.parametrize("name", ["relu_random_n8_d2", "relu_random_n8_d3"])
def test_a_residual_bounds_the_optimum_from_below(name):
    program, solution = solved(name)
    rng = np.random.default_rng(0)
    for scale in (0.0, 1e-3, 1e-1, 1.0):
        u = solution.u + scale * rng.standard_normal(program.shape)
        assert program.dual_bound(program.residual(u)).value <= solution.primal * (1 + 1e-9)


# Section 1: where the lecture is printed differently


@pytest.mark.parametrize("name", LECTURE)
def test_the_lecture_example_has_three_nonzero_patterns(name):
    X, _ = data(name)
    patterns = enumerate_patterns(X)
    found = {tuple(int(bit) for bit in patterns.mask(i)) for i in range(len(patterns))}
    assert found == {(0, 0, 1), (1, 1, 0), (1, 1, 1)}
    assert found | {(0, 0, 0)} == {tuple(mask) for mask in CASES[name]["patterns"]}


@pytest.mark.parametrize("name", LECTURE)
def test_cones_as_printed_give_the_gated_value_and_not_the_network(name):
    """*[lecture]* D_i X u >= 0 omits the rows of the inactive samples; (2 D_i - I) X u >= 0 holds."""
    case = CASES[name]
    printed = optimum(name, cones="printed")
    assert printed == pytest.approx(case["cones_as_printed"], abs=PRINTED)
    assert printed == pytest.approx(solved(name, gated_relu_program)[1].primal, rel=1e-6)
    assert optimum(name, cones="signed") == pytest.approx(case["convex"], abs=PRINTED)
    assert trained(name, 10, 40)[0][0] > printed + 0.03


def test_the_factor_of_the_penalty_is_one_half():
    """*[lecture]* beta (||W1||^2 + ||W2||^2) beside beta sum ||u_i|| is off: ours is beta/2 beside beta."""
    name = "relu_random_n8_d2"
    program, solution = solved(name)
    network = network_of(program, solution.u)
    squares = np.sum(network.W1**2) + np.sum(network.W2**2)
    assert program.penalty(solution.u) == pytest.approx(program.beta / 2 * squares, rel=1e-9)
    assert solved(name, beta=2 * program.beta)[1].primal > solution.primal * 1.2


@pytest.mark.parametrize("name", ["relu_random_n8_d2", "relu_random_n8_d3"])
def test_the_number_of_patterns_is_covers_and_below_the_printed_bound(name):
    """*[lecture]* prints sums of C(n, k); the count of data in general position has C(n - 1, k)."""
    X, _ = data(name)
    n, d = X.shape
    cover = 2 * sum(comb(n - 1, k) for k in range(d))
    assert len(masks_of(name)) == CASES[name]["P"] == cover == pattern_bound(n, d)
    assert len(enumerate_patterns(X)) == np.count_nonzero(masks_of(name).any(axis=1))
    assert cover < 2 * sum(comb(n, k) for k in range(d))


# Section 1: beta-max


def test_the_smallest_beta_with_the_zero_solution_needs_the_cones():
    name = "beta_max_n8_d2"
    (X, y), case = data(name), CASES[name]
    network = np.abs(y @ np.maximum(X @ circle(1_000_000), 0)).max() / len(y)
    gated = max(np.linalg.norm(X.T @ (mask * y)) for mask in masks_of(name)) / len(y)
    features = PatternFeatures(X, enumerate_patterns(X))
    with_cones, without = (build(features, y, 1.0).prices(y).max() for build in (relu_program, gated_relu_program))
    assert with_cones == pytest.approx(case["with_cones"], abs=PRINTED)
    assert with_cones == pytest.approx(network, rel=1e-9)
    assert without == pytest.approx(case["without_cones_gated"], abs=PRINTED)
    assert without == pytest.approx(gated, rel=1e-9)


@pytest.mark.parametrize(
    ("build", "limit"), [(relu_program, "with_cones"), (gated_relu_program, "without_cones_gated")]
)
def test_the_solution_vanishes_exactly_at_beta_max(build, limit):
    case = CASES["beta_max_n8_d2"]
    assert not solved("beta_max_n8_d2", build, case[limit] * 1.001)[1].u.any()
    program, solution = solved("beta_max_n8_d2", build, case[limit] * 0.999)
    assert solution.u.any()
    assert solution.primal < program.objective(np.zeros(program.shape))


# Sections 1 and 2: order of the values


@pytest.mark.parametrize("name", RELU)
def test_gated_value_is_at_most_the_relu_value(name):
    gated = solved(name, gated_relu_program)[1].primal
    assert gated == pytest.approx(CASES[name]["gated"], abs=PRINTED, rel=1e-7)
    # One variable a gate is enough: a pair of signs has the same value.
    assert gated == pytest.approx(optimum(name, cones="none"), rel=1e-6)
    assert gated < solved(name)[1].primal


@pytest.mark.parametrize("build", [relu_program, gated_relu_program])
def test_the_optimal_value_rises_with_beta_and_is_concave(build):
    """A minimum of functions linear in beta."""
    betas = np.linspace(0.01, 0.2, 8)
    values = np.array([solved("relu_random_n8_d2", build, beta)[1].primal for beta in betas])
    assert (np.diff(values) > -1e-9).all()
    assert (np.diff(values, 2) < 1e-8).all()


def test_a_gated_program_sees_data_only_through_the_gram_matrix():
    """Minimised over H, c and y'y/n alone, the program has the value that the solution has on the data."""
    program, solution = solved("relu_random_n8_d2", gated_relu_program)
    H, c, constant = program.quadratic
    u = cp.Variable(H.shape[0])
    penalty = cp.sum(cp.norm(cp.reshape(u, program.shape, order="C"), 2, axis=1))
    problem = cp.Problem(cp.Minimize(cp.quad_form(u, cp.psd_wrap(H)) / 2 - c @ u + constant + program.beta * penalty))
    problem.solve(solver="CLARABEL", **TIGHT)
    assert float(problem.value) == pytest.approx(solution.primal, rel=1e-6)


# Section 1: other losses


def test_logistic_loss():
    name = "relu_logistic_n8_d2"
    _, solution = solved(name, loss=LogisticLoss())
    assert solution.primal == pytest.approx(CASES[name]["convex"], abs=PRINTED, rel=1e-7)
    assert solution.primal == pytest.approx(optimum(name, loss="logistic"), rel=1e-6)
    assert solution.dual == pytest.approx(solution.primal, rel=1e-6)
    runs = trained(name, 10, 20, loss="logistic")
    assert runs[0][0] == pytest.approx(solution.primal, rel=1e-5)
    assert runs[0][0] >= solution.dual


def test_a_free_output_bias_keeps_the_equivalence():
    name = "relu_free_bias_n8_d2"
    value = optimum(name, bias=True)
    assert value == pytest.approx(CASES[name]["convex"], abs=PRINTED)
    assert value < solved("relu_random_n8_d2")[1].primal
    assert dual_over_patterns(name, bias=True)[0] == pytest.approx(value, rel=1e-6)
    assert trained(name, 10, 20, bias=True)[0][0] == pytest.approx(value, rel=1e-5)
