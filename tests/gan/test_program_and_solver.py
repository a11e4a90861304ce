"""The vector-output program against cells of the plane, CVXPY and the file of theory cases."""

import json
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.errors import InputError
from ecgcvx.gan.bounds import bracket
from ecgcvx.gan.pricing import ascend, starts
from ecgcvx.gan.program import GeneratorProgram, Neurons
from ecgcvx.gan.solver import GeneratorSolver

CASES = json.loads((Path(__file__).parent.parent / "theory_cases.json").read_text())
TIGHT = GeneratorSolver(gap=1e-5, rounds=40)


def plane(seed, n=7, r=3, beta=0.05):
    random = np.random.default_rng(seed)
    return GeneratorProgram(random.standard_normal((n, 2)), random.standard_normal((n, r)), beta)


def exact_price(program, V):
    """max ||V'(Zw)_+||/n over the unit circle: in a cell a linear map's norm, largest at a singular vector or end."""
    Z = program.Z
    angles = np.sort(np.concatenate([np.arctan2(Z[:, 0], -Z[:, 1]), np.arctan2(-Z[:, 0], Z[:, 1])]))
    largest = 0.0
    for a, b in zip(angles, np.append(angles[1:], angles[0] + 2 * np.pi), strict=True):
        middle = np.array([np.cos((a + b) / 2), np.sin((a + b) / 2)])
        M = V.T @ (Z * (Z @ middle > 0)[:, None])
        ends = np.array([[np.cos(t), np.sin(t)] for t in (a, b)])
        top = np.linalg.svd(M)[2][0]
        for w in (*ends, top, -top):
            between = (np.arctan2(w[1], w[0]) - a) % (2 * np.pi) <= b - a + 1e-12
            if between:
                largest = max(largest, float(np.linalg.norm(M @ w)))
    return largest / program.n


def dictionary(program, count=4000):
    """Directions all round the plane, and both ends of every cell."""
    t = np.concatenate([np.linspace(0, 2 * np.pi, count), np.arctan2(program.Z[:, 0], -program.Z[:, 1])])
    W = np.stack([np.cos(t), np.sin(t)], axis=1)
    return np.concatenate([W, -W[count:]])


@pytest.mark.parametrize("seed", range(6))
def test_the_optimum_is_proved_by_the_exact_price(seed):
    program = plane(seed)
    solution = TIGHT.solve(program)
    V = program.residual(solution.neurons)
    proved = program.dual_value(V, exact_price(program, V))
    assert proved <= solution.primal
    assert solution.primal - proved <= 1e-4 * solution.primal
    assert solution.dual == pytest.approx(proved, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_is_that_of_cvxpy_over_a_grid_of_directions(seed):
    program = plane(seed)
    H = np.maximum(program.Z @ dictionary(program, 400).T, 0)
    A = cp.Variable((H.shape[1], 3))
    loss = cp.sum_squares(H @ A - program.T) / (2 * program.n)
    value = cp.Problem(cp.Minimize(loss + program.beta * cp.sum(cp.norm(A, 2, axis=1)))).solve(solver="CLARABEL")
    found = TIGHT.solve(program).primal
    assert found <= value * (1 + 1e-5)  # the grid leaves directions out
    assert value <= found * (1 + 1e-3)


@pytest.mark.parametrize("name", ["relu_random_n8_d2", "relu_random_n8_d3", "relu_lecture_y=[1, 2, 3]"])
def test_one_output_is_the_scalar_program(name):
    case = CASES[name]
    program = GeneratorProgram(np.array(case["X"]), np.array(case["y"])[:, None], case["beta"])
    assert TIGHT.solve(program).primal == pytest.approx(case["convex"], rel=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_equality_is_met_at_the_least_price(seed):
    program = plane(seed, n=6, r=2)
    solution = GeneratorSolver(gap=1e-4, rounds=100).solve_equality(program.Z, program.T, residual=1e-5)
    H = np.maximum(program.Z @ dictionary(program, 400).T, 0)
    A = cp.Variable((H.shape[1], 2))
    price = cp.sum(cp.norm(A, 2, axis=1))
    value = cp.Problem(cp.Minimize(price), [H @ A == program.T]).solve(solver="CLARABEL")
    assert solution.status == "optimal"
    assert solution.residual <= 1e-5
    np.testing.assert_allclose(solution.neurons.outputs(program.Z), program.T, atol=1e-4)
    assert solution.primal == pytest.approx(value, rel=2e-3)
    assert solution.dual <= value * (1 + 1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_gated_below_and_columns_above(seed):
    program = plane(seed)
    found = bracket(program)
    optimum = TIGHT.solve(program).primal
    assert found.lower < optimum < found.upper
    assert found.upper == pytest.approx(program.objective(found.by_column))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 9), m=st.integers(1, 5), beta=st.floats(1e-3, 10))
def test_weak_duality(seed, n, m, beta):
    program = plane(seed, n=n, beta=beta)
    random = np.random.default_rng([seed])
    W, V = random.standard_normal((m, 2)), random.standard_normal((n, 3))
    neurons = Neurons(W / np.linalg.norm(W, axis=1, keepdims=True), random.standard_normal((m, 3)))
    assert program.dual_value(V, exact_price(program, V)) <= program.objective(neurons) + 1e-12


def test_weight_decay_is_the_price():
    program = plane(0)
    neurons = TIGHT.solve(program).neurons
    W1, W2 = neurons.weights()
    assert (np.sum(W1**2) + np.sum(W2**2)) / 2 == pytest.approx(neurons.price)
    np.testing.assert_allclose(np.maximum(program.Z @ W1, 0) @ W2, neurons.outputs(program.Z), atol=1e-12)


def test_the_search_finds_the_largest_price_of_the_plane():
    for seed in range(10):
        program = plane(seed, n=12)
        _, prices = ascend(program, program.T, starts(program, 100, np.zeros((0, 2)), np.random.default_rng(0)), 60)
        assert prices.max() == pytest.approx(exact_price(program, program.T), rel=1e-4)


def test_zero_beyond_the_largest_price_and_the_same_for_a_seed():
    program = plane(1)
    largest = exact_price(program, program.T)
    above = TIGHT.solve(GeneratorProgram(program.Z, program.T, 1.001 * largest))
    assert not len(above.neurons)
    assert above.status == "optimal"
    below = [GeneratorSolver(gap=1e-3).solve(GeneratorProgram(program.Z, program.T, 0.9 * largest)) for _ in range(2)]
    assert len(below[0].neurons)
    np.testing.assert_array_equal(below[0].neurons.A, below[1].neurons.A)


def test_scale_of_targets_and_rotation_of_outputs_do_not_matter():
    program = plane(2)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    optimum = TIGHT.solve(program).primal
    assert TIGHT.solve(GeneratorProgram(program.Z, program.T @ Q, program.beta)).primal == pytest.approx(
        optimum, rel=1e-5
    )
    scaled = GeneratorProgram(program.Z, 10 * program.T, 10 * program.beta)
    assert TIGHT.solve(scaled).primal == pytest.approx(100 * optimum, rel=1e-5)


@pytest.mark.parametrize(
    ("Z", "T", "beta", "words"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), 0.1, "one latent for each"),
        (np.ones(3), np.ones((3, 2)), 0.1, "Z has shape"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), 0.1, "T has shape"),
        (np.ones((3, 2)), np.ones((3, 2)), 0.0, "beta = 0"),
    ],
)
def test_what_is_refused(Z, T, beta, words):
    with pytest.raises(InputError, match=words):
        GeneratorProgram(Z, T, beta)


def test_options_that_are_refused():
    for options in ({"gap": 0.0}, {"rounds": 0}, {"starts": 0}):
        with pytest.raises(InputError):
            GeneratorSolver(**options)
