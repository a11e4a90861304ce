"""Maps between networks and variables: outputs stay, penalties do not grow, splits are the shortest."""

import cvxpy as cp
import numpy as np
import pytest
from two_layers import two_layers

from ecgcvx.arrangements import enumerate_patterns, patterns_of_gates, sample_patterns
from ecgcvx.errors import InputError, SolverError
from ecgcvx.models import ReluNetwork, network_of
from ecgcvx.models.maps import balance, decompose, merge, variables_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver

BUILDERS = {"relu": relu_program, "gated": gated_relu_program}


def decay(network):
    return (np.sum(network.W1**2) + np.sum(network.W2**2)) / 2


def windows(n, d, seed=0):
    """Overlapping windows of a smooth signal with a column of ones: narrow cones, as those of an ECG."""
    rng = np.random.default_rng(seed)
    signal = np.convolve(rng.standard_normal(n + d + 8), np.hanning(9), "valid")[: n + d]
    X = np.lib.stride_tricks.sliding_window_view(signal, d)[:n]
    return np.c_[X, np.ones(n)], signal[d:][:n]


def random_network(X, neurons, gated, seed=1):
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    return two_layers(
        rng.standard_normal((d, neurons)) * rng.uniform(0.1, 10, neurons),
        rng.standard_normal(neurons),
        rng.standard_normal((d, neurons)) if gated else None,
    )


def program_for(network, X, gated):
    """The program over the patterns of a network's own directions."""
    directions = network.gates if gated else network.W1
    features = PatternFeatures(X, patterns_of_gates(X, directions.T))
    return BUILDERS["gated" if gated else "relu"](features, np.zeros(len(X)), 0.1)


@pytest.fixture(params=[False, True], ids=["relu", "gated"])
def gated(request):
    return request.param


def test_variables_predict_what_the_network_predicts_at_no_larger_penalty(gated):
    X, _ = windows(200, 5)
    network = random_network(X, 30, gated)
    program = program_for(network, X, gated)
    u = variables_of(program, network)
    np.testing.assert_allclose(program.predict(u), network.predict(X), atol=1e-9)
    assert program.violation(u) < 1e-9
    assert program.penalty(u) <= program.beta * decay(network) * (1 + 1e-12)
    # Distinct patterns: nothing to add up, so that the balanced network attains the penalty.
    if len(program.features.patterns) == 30:
        assert program.penalty(u) == pytest.approx(program.beta * decay(balance(network)), rel=1e-12)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_solution_survives_the_way_to_its_network_and_back(kind):
    X, y = windows(60, 3)
    program = BUILDERS[kind](PatternFeatures(X, sample_patterns(X, 20, 0)), y, 1e-2)
    u = CvxpySolver().solve(program).u
    back = variables_of(program, network_of(program, u))
    assert program.objective(back) == pytest.approx(program.objective(u), rel=1e-9)
    assert program.violation(back) < 1e-9


def test_a_neuron_on_a_face_finds_the_only_cone_that_is_offered():
    X = np.array([[2.0, 2.0], [3.0, 3.0], [1.0, 0.0]])
    network = ReluNetwork(np.array([[1.0], [-1.0]]), np.array([-2.0]))  # orthogonal to the first two rows
    for pattern in ([0, 0, 1], [1, 1, 1]):
        patterns = enumerate_patterns(X)
        index = next(i for i in range(len(patterns)) if list(patterns.mask(i)) == pattern)
        program = relu_program(PatternFeatures(X, patterns.subset([index])), np.zeros(3), 0.1)
        u = variables_of(program, network)
        np.testing.assert_allclose(u, [[0, 0], [2, -2]])
        np.testing.assert_allclose(program.predict(u), network.predict(X), atol=1e-12)


def test_neurons_without_an_active_sample_are_left_out():
    X = np.c_[np.arange(1.0, 6.0), np.ones(5)]
    network = ReluNetwork(np.array([[-1.0, 1.0], [0.5, 1.0]]), np.array([1.0, 1.0]))
    program = relu_program(PatternFeatures(X, enumerate_patterns(X)), np.zeros(5), 0.1)
    u = variables_of(program, network)
    assert np.count_nonzero(np.linalg.norm(u, axis=1)) == 1
    np.testing.assert_allclose(program.predict(u), network.predict(X), atol=1e-12)


def test_unusable_networks_are_refused(gated):
    X, y = windows(60, 3)
    features = PatternFeatures(X, sample_patterns(X, 3, 0))
    build, other = (BUILDERS[k] for k in (("gated", "relu") if gated else ("relu", "gated")))
    network = random_network(X, 40, gated)
    with pytest.raises(InputError, match="have none for neuron"):
        variables_of(build(features, y, 0.1), network)
    with pytest.raises(InputError, match="but the program is not"):
        variables_of(other(features, y, 0.1), network)
    narrow = two_layers(np.ones((2, 1)), np.ones(1), np.ones((2, 1)) if gated else None)
    with pytest.raises(InputError, match="X has 4 columns"):
        variables_of(build(features, y, 0.1), narrow)
    with pytest.raises(InputError, match="X has 4 columns"):
        merge(narrow, X)


def test_merging_keeps_the_output_and_one_neuron_a_cone_and_sign(gated):
    X, _ = windows(30, 2)
    network = random_network(X, 400, gated)
    merged = merge(network, X)
    patterns = patterns_of_gates(X, (network.gates if gated else network.W1).T)
    assert merged.neurons <= (1 if gated else 2) * (len(patterns) + 1) < network.neurons
    np.testing.assert_allclose(merged.predict(X), network.predict(X), atol=1e-9)
    assert decay(merged) <= decay(balance(network)) * (1 + 1e-12)
    assert merge(merged, X).neurons == merged.neurons


def test_neurons_on_a_common_face_merge():
    X = np.array([[1.0, 0.0], [0.0, 1.0]])
    network = ReluNetwork(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones(2))  # the two edges of the positive quadrant
    merged = merge(network, X)
    assert merged.neurons == 1
    np.testing.assert_allclose(merged.predict(X), [1.0, 1.0], atol=1e-12)


def test_a_merged_neuron_takes_part_in_the_next_decision():
    """The y axis has no side for row 0; joined to the first neuron it has one, so that the third must stay apart."""
    X = np.array([[1.0, 0.0], [0.0, 1.0]])
    network = ReluNetwork(np.array([[0.0, 1.0, -1.0], [1.0, 1.0, 1.0]]), np.ones(3))
    merged = merge(network, X)
    assert merged.neurons == 2
    np.testing.assert_allclose(merged.predict(X), network.predict(X), atol=1e-12)


def test_rounding_does_not_move_a_neuron_off_its_face():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 4))
    w = np.linalg.svd(X[:3])[2][3]  # orthogonal to the first three rows, up to rounding of either sign
    patterns = patterns_of_gates(X, [w + 1e-3 * np.linalg.solve(np.vstack([X[:3], w]), [a, b, c, 0.0])
                                     for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])  # fmt: skip
    assert len(patterns) == 8
    for index in range(8):
        program = relu_program(PatternFeatures(X, patterns.subset([index])), np.zeros(40), 0.1)
        network = ReluNetwork(w[:, None], np.ones(1))
        np.testing.assert_allclose(program.predict(variables_of(program, network)), network.predict(X), atol=1e-9)


def test_balancing_keeps_the_output_everywhere_and_attains_the_least_weight_decay(gated):
    X, _ = windows(50, 4)
    network = random_network(X, 12, gated)
    balanced = balance(network)
    elsewhere = np.random.default_rng(2).standard_normal(X.shape)
    np.testing.assert_allclose(balanced.predict(elsewhere), network.predict(elsewhere), atol=1e-9)
    norms = np.linalg.norm(balanced.W1, axis=0)
    np.testing.assert_allclose(norms, np.abs(balanced.W2), rtol=1e-12)
    least = np.sum(np.linalg.norm(network.W1, axis=0) * np.abs(network.W2))
    assert decay(balanced) == pytest.approx(least, rel=1e-12)
    assert least < decay(network)


def test_neurons_without_effect_are_balanced_away():
    network = ReluNetwork(np.array([[1.0, 0.0, 2.0], [1.0, 0.0, 1.0]]), np.array([0.0, 3.0, -1.0]))
    assert balance(network).neurons == 1
    assert balance(ReluNetwork(np.ones((2, 1)), np.zeros(1))).neurons == 0
    assert merge(ReluNetwork(np.ones((2, 1)), np.zeros(1)), np.eye(2)).neurons == 0


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_gated_weights_become_relu_variables_with_the_same_output(method):
    X, y = windows(300, 4)
    features = PatternFeatures(X, sample_patterns(X, 25, 0))
    gated, relu = gated_relu_program(features, y, 1e-3), relu_program(features, y, 1e-3)
    u = CvxpySolver().solve(gated).u
    split = decompose(features, gated.blocks, u, method)
    assert split.shape == relu.shape
    np.testing.assert_allclose(relu.predict(split), gated.predict(u), atol=1e-9 * np.abs(split).max())
    assert relu.violation(split) < 1e-9
    assert relu.penalty(split) >= gated.penalty(u) * (1 - 1e-12)
    np.testing.assert_allclose(
        network_of(relu, split).predict(X), gated.predict(u), atol=1e-9 * max(1, np.abs(split).max())
    )


@pytest.mark.parametrize("seed", range(4))
def test_exact_splits_are_the_shortest(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((25, 3))
    features = PatternFeatures(X, sample_patterns(X, 6, seed))
    blocks = np.arange(6)
    u = rng.standard_normal((6, 3))
    exact, fast = (decompose(features, blocks, u, method) for method in ("exact", "fast"))
    for block, z in zip(blocks, u, strict=True):
        C = (2.0 * features.patterns.mask(block) - 1)[:, None] * X
        v, w = cp.Variable(3), cp.Variable(3)
        lengths = cp.norm(v) + cp.norm(w)
        cp.Problem(cp.Minimize(lengths), [v - w == z, C @ v >= 0, C @ w >= 0]).solve(solver="CLARABEL")
        found = np.linalg.norm(exact[block]) + np.linalg.norm(exact[6 + block])
        assert found == pytest.approx(float(lengths.value), rel=1e-6)
        assert found <= (np.linalg.norm(fast[block]) + np.linalg.norm(fast[6 + block])) * (1 + 1e-9)


def test_fast_splits_stop_at_the_face():
    X = np.random.default_rng(1).standard_normal((50, 4))
    features = PatternFeatures(X, sample_patterns(X, 5, 0))
    split = decompose(features, np.arange(5), np.random.default_rng(7).standard_normal((5, 4)), "fast")
    assert np.linalg.norm(split, axis=1).all()  # none of the weights or their opposites lies in its cone
    for block in range(5):
        heights = features.cone_values(np.array([block, block]), split[[block, 5 + block]])
        assert abs(heights.min()) < 1e-9 * np.abs(split[block]).max()


@pytest.mark.parametrize("width", [1e-1, 1e-4, 1e-7])
def test_exact_splits_in_a_narrow_cone(width):
    """In |y| <= width x the shortest split of (0, 1) is (1/(2 width), +-1/2)."""
    X = np.array([[width, 1.0], [width, -1.0]])
    features = PatternFeatures(X, patterns_of_gates(X, [[1.0, 0.1 * width]]))
    split = decompose(features, np.array([0]), np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(split, [[0.5 / width, 0.5], [0.5 / width, -0.5]], rtol=1e-6)


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_weights_inside_their_cone_are_not_split(method):
    X, _ = windows(100, 3)
    features = PatternFeatures(X, sample_patterns(X, 5, 0))
    gates = features.patterns.gates
    np.testing.assert_allclose(decompose(features, np.arange(5), 2 * gates, method), np.r_[2 * gates, 0 * gates])
    np.testing.assert_allclose(decompose(features, np.arange(5), -3 * gates, method), np.r_[0 * gates, 3 * gates])


def test_variables_of_one_block_add_up():
    X, _ = windows(100, 3)
    features = PatternFeatures(X, sample_patterns(X, 5, 0))
    u = np.random.default_rng(0).standard_normal((2, 4))
    both = decompose(features, np.array([3, 3]), u)
    np.testing.assert_allclose(both[3] - both[8], u.sum(axis=0), atol=1e-9 * np.abs(both).max())
    assert not np.delete(both, [3, 8], axis=0).any()


def test_gates_on_a_face_and_unknown_methods_are_refused():
    X = np.array([[1.0, 0.0], [0.0, 1.0]])
    features = PatternFeatures(X, patterns_of_gates(X, [[1.0, 0.0]]))
    u = np.array([[2.0, -1.0]])
    with pytest.raises(SolverError, match="face of row 1"):
        decompose(features, np.array([0]), u)
    with pytest.raises(InputError, match="method = 'slow'"):
        decompose(features, np.array([0]), u, "slow")
