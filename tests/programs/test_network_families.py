"""Convolutional, batch-norm, three-layer and circular programs against the theory written out and trained networks."""

import json
from functools import cache
from pathlib import Path

import family_oracles as oracle
import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns, pattern_bound, patterns_of_gates, sample_patterns
from ecgcvx.errors import InputError, SolverError
from ecgcvx.models.batch_norm import BatchNormNetwork, unwhitened
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.models.recovery import network_of
from ecgcvx.models.three_layer import ThreeLayerNetwork
from ecgcvx.patches import Convolution, PatchMatrix
from ecgcvx.programs.batch_norm import BatchNormFeatures, WhitenedMatrix, Whitening, batch_norm_program
from ecgcvx.programs.circular import circular_layers, circular_program
from ecgcvx.programs.convolutional import ConvolutionalFeatures
from ecgcvx.programs.features import PatternFeatures, matrix_of
from ecgcvx.programs.losses import LogisticLoss
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.programs.three_layer import TupleFeatures, enumerate_tuples, sample_tuples
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.sgd import SgdSolver

CASES = json.loads((Path(__file__).parent.parent / "theory_cases.json").read_text())
PRINTED = 2e-8
SOLVERS = [AdmmSolver, CvxpySolver, FistaSolver, OsqpSolver]
RANDOM = 3
N = 24


def convolutional(X, y, beta, taps=2, stride=1, pooling="average", context=0, build=relu_program):
    convolution = Convolution(taps, stride, pooling, context)
    patterns = enumerate_patterns(PatchMatrix(X, convolution)[:])
    return build(ConvolutionalFeatures(X, convolution, patterns), y, beta)


def three_layer(X, y, beta, inner=2, linear=False):
    return relu_program(TupleFeatures(X, enumerate_tuples(X, inner, linear=linear)), y, beta)


def normalised(X, y, beta):
    return batch_norm_program(BatchNormFeatures(X, enumerate_patterns(X)), y, beta)


def before(X, y, beta):
    W = WhitenedMatrix(X, Whitening.of(X))
    return relu_program(PatternFeatures(W, enumerate_patterns(W)), y, beta)


BUILD = {
    "conv_sum_pool_n5_d4_h2": lambda X, y, beta: convolutional(X, y, beta, pooling="sum"),
    "batch_norm_after_relu_n7_d2": normalised,
    "batch_norm_before_relu_n7_d2": before,
    "three_layer_n3_d2_inner2": three_layer,
    "three_layer_n4_d2_inner2": three_layer,
    "circular_cnn_n10_d5": circular_program,
}


def data(name):
    case = CASES[name]
    return np.array(case["X"]), np.array(case["y"]), case["beta"]


def small(name):
    """A program over given patterns of each family, larger than those of the file."""
    random = np.random.default_rng(3)
    X = np.c_[random.standard_normal((N, 5)), np.ones(N)]
    y = np.maximum(X @ random.standard_normal(6), 0) + 0.1 * random.standard_normal(N)
    if name == "conv":
        convolution = Convolution(3, 2)
        patterns = sample_patterns(PatchMatrix(X, convolution), 6, 0)
        return relu_program(ConvolutionalFeatures(X, convolution, patterns), y, 0.02)
    if name == "batch norm":
        return batch_norm_program(BatchNormFeatures(X, sample_patterns(X, 6, 0)), y, 0.02)
    return relu_program(TupleFeatures(X, sample_tuples(X, 2, 6, 0, linear=name == "linear inner")), y, 0.02)


@cache
def reference_of(name):
    return CvxpySolver(gap=1e-9).solve(small(name))


FAMILIES = ["conv", "batch norm", "three layers", "linear inner"]


@cache
def case(name):
    """The program of a theory case, enumerated once."""
    return BUILD[name](*data(name))


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.__name__)
@pytest.mark.parametrize(
    "name", [name if "three" not in name else pytest.param(name, marks=pytest.mark.slow) for name in BUILD]
)
def test_every_solver_reproduces_the_theory_cases(solver, name):
    program = case(name)
    solution = solver(gap=1e-7).solve(program)
    assert solution.primal == pytest.approx(CASES[name]["convex"], abs=PRINTED, rel=1e-7)
    assert solution.gap <= 1e-7
    assert solution.violation <= 1e-12


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.__name__)
@pytest.mark.parametrize("name", FAMILIES)
def test_solvers_agree_over_sampled_patterns(solver, name):
    program = small(name)
    reference = reference_of(name)
    solution = solver(gap=1e-8).solve(program)
    assert solution.status == "optimal"
    assert solution.violation <= 1e-12
    assert solution.primal == pytest.approx(reference.primal, rel=1e-7)
    assert solution.primal == program.objective(solution.u)


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_reproduce_the_convex_output(name):
    program, found = small(name), reference_of(name)
    X, expected = program.features.X, program.predict(found.u)
    if name == "conv":
        network = ConvolutionalNetwork.of_variables(program, found.u)
        np.testing.assert_allclose(network.on_window().predict(X), expected, atol=1e-9)
    elif name == "batch norm":
        network = BatchNormNetwork.of_variables(program, found.u).folded(X, 0.0)
    else:
        network = ThreeLayerNetwork.of_variables(program, found.u)
    np.testing.assert_allclose(network.predict(X), expected, atol=1e-9)
    again = type(network).from_tensors(network.tensors(), network.attributes())
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    np.testing.assert_array_equal(network.predict(X[7:9]), network.predict(X)[7:9])


@pytest.mark.parametrize("name", ["batch_norm_after_relu_n7_d2", "batch_norm_before_relu_n7_d2"])
def test_batch_norm_folds_on_the_theory_cases(name):
    """Enumerated patterns, some with few active rows; the column of ones carries means, shift and offset."""
    X, y, beta = data(name)
    program = case(name)
    found = CvxpySolver(gap=1e-9).solve(program)
    if "after" in name:
        folded = BatchNormNetwork.of_variables(program, found.u)
        ones = np.c_[X, np.ones(len(X))]
        widened = BatchNormNetwork(np.r_[folded.W1, np.zeros((1, folded.neurons))], folded.gamma, folded.W2)
        network = widened.folded(ones, float(y.mean()))
        expected = program.predict(found.u) + y.mean()
        decay = folded.gamma @ folded.gamma + folded.W2 @ folded.W2
        assert found.primal == pytest.approx(np.mean((network.predict(ones) - y) ** 2) / 2 + beta / 2 * decay)
    else:
        ones = np.c_[X, np.ones(len(X))]
        network = unwhitened(network_of(program, found.u), Whitening.of(ones))
        expected = program.predict(found.u)
    np.testing.assert_allclose(network.predict(ones), expected, atol=1e-9)


def test_a_gated_convolution_reproduces_its_program():
    X, y, beta = data("conv_sum_pool_n5_d4_h2")
    program = convolutional(X, y, beta, build=gated_relu_program)
    found = CvxpySolver(gap=1e-8).solve(program)
    network = ConvolutionalNetwork.of_variables(program, found.u)
    np.testing.assert_allclose(network.predict(X), program.predict(found.u), atol=1e-9)
    with pytest.raises(InputError, match="it is gated"):
        network.on_window()


@pytest.mark.parametrize("solver", [CvxpySolver, FistaSolver])
@pytest.mark.parametrize("name", ["conv", "three layers"])
def test_logistic_loss(solver, name):
    program = small(name)
    labelled = relu_program(program.features, np.sign(program.y - program.y.mean()), 0.02, LogisticLoss())
    solution = solver(gap=1e-7).solve(labelled)
    assert solution.status == "optimal"
    assert solution.violation <= 1e-12


@pytest.mark.parametrize("name", FAMILIES)
def test_the_products_are_those_of_the_matrix(name):
    program = small(name)
    features, random = program.features, np.random.default_rng(0)
    F = matrix_of(features)
    z, r, weights = (
        random.standard_normal((features.count, features.width)),
        random.standard_normal(N),
        random.random(N),
    )
    np.testing.assert_allclose(features.apply(z), F @ z.ravel(), atol=1e-10)
    np.testing.assert_allclose(features.correlate(r).ravel(), F.T @ r, atol=1e-10)
    gram = features.gram(r, weights)
    np.testing.assert_allclose(gram.H, F.T @ (weights[:, None] * F) / N, atol=1e-10)
    np.testing.assert_allclose(gram.c, F.T @ (weights * r) / N, atol=1e-10)
    assert gram.yy == pytest.approx(r @ (weights * r) / N)
    blocks = F.reshape(N, features.count, -1)
    worst = (
        max(np.linalg.norm(blocks[:, i].T @ blocks[:, j], 2) for i in range(features.count) for j in range(i + 1)) / N
    )
    assert worst <= features.curvature * (1 + 1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_cone_rows_are_unit_rows_of_the_values(name):
    features = small(name).features
    u = np.random.default_rng(0).standard_normal((3, features.width))
    blocks = np.array([2, 0, 2])
    values = features.cone_values(blocks, u)
    for j, block in enumerate(blocks):
        rows = features.cone_rows(int(block), np.arange(values.shape[1]))
        norms = np.linalg.norm(rows, axis=1)
        kept = norms > 0
        np.testing.assert_allclose(norms[kept], 1, rtol=1e-12)
        np.testing.assert_allclose((rows @ u[j])[kept], values[j][kept], atol=1e-12)
        assert (values[j][~kept] >= 0).all()
    every = np.arange(features.count)
    assert (features.cone_values(every, features.interior(every)) >= -1e-9).all()


def test_sgd_refuses_before_it_starts():
    with pytest.raises(SolverError, match="ConvolutionalFeatures: SGD takes minibatches"):
        SgdSolver().solve(small("conv"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BUILD if name.startswith(("conv", "batch", "three"))])
def test_no_trained_network_is_below_the_optimum(name):
    X, y, beta = data(name)
    if name.startswith("conv"):
        values = oracle.trained_conv(X, y, beta, 2, 1, "sum", 0, 10, 60)
    elif "after" in name:
        values = oracle.trained_batch_norm(X, y, beta, 8, 60)
    elif "before" in name:
        W = oracle.whitened(X)
        values = oracle.trained_conv(W, y, beta, 3, 1, "sum", 0, 8, 60)  # one patch: a plain network
    else:
        values = oracle.trained_three_layer(X, y, beta, 8, 2, False, 100)
    convex = CASES[name]["convex"]
    assert values.min() >= convex * (1 - 1e-6)
    assert values.min() == pytest.approx(convex, rel=2e-3)


def test_the_three_layer_optimum_with_a_linear_inner_neuron_is_below_that_of_two_layers():
    X, y, beta = data("three_layer_n3_d2_inner2")
    linear = CvxpySolver(gap=1e-8).solve(three_layer(X, y, beta, linear=True)).primal
    assert CASES["three_layer_n3_d2_inner2"]["two_layer"] == pytest.approx(oracle.relu_optimum(X, y, beta), abs=1e-7)
    assert linear <= CASES["three_layer_n3_d2_inner2"]["two_layer"]
    assert linear == pytest.approx(oracle.three_layer_optimum(X, y, beta, 2, True), rel=1e-6)


def test_one_inner_neuron_is_the_two_layer_network():
    X, y, beta = data("relu_random_n8_d2")
    found = CvxpySolver(gap=1e-8).solve(three_layer(X, y, beta, inner=1))
    assert found.primal == pytest.approx(CASES["relu_random_n8_d2"]["convex"], abs=PRINTED)


def check_random(family, seed):
    """A random tiny problem against the theory written out and trained networks."""
    odd = bool(seed % 2)
    if family == "conv":
        X, y, beta = oracle.random_problem(seed, 4, 4)
        program = convolutional(X, y, beta, 2, 1 + seed % 2, "average")
        optimum = oracle.conv_optimum(X, y, beta, 2, 1 + seed % 2, "average", 0)
        trained = oracle.trained_conv(X, y, beta, 2, 1 + seed % 2, "average", 0, 6, 10, seed)
    elif family == "batch norm":
        X, y, beta = oracle.random_problem(seed, 6, 3, bias=odd)
        program, optimum = normalised(X, y, beta), oracle.batch_norm_optimum(X, y, beta)
        trained = oracle.trained_batch_norm(X, y, beta, 6, 10, seed)
    elif family == "batch norm before":
        X, y, beta = oracle.random_problem(seed, 6, 2)
        W = oracle.whitened(X)
        program, optimum = before(X, y, beta), oracle.relu_optimum(W, y, beta)
        trained = oracle.trained_conv(W, y, beta, 3, 1, "sum", 0, 6, 10, seed)
    else:
        X, y, beta = oracle.random_problem(seed, 3, 2)
        program, optimum = three_layer(X, y, beta, linear=odd), oracle.three_layer_optimum(X, y, beta, 2, odd)
        trained = oracle.trained_three_layer(X, y, beta, 6, 2, odd, 10, seed)
    found = CvxpySolver(gap=1e-9).solve(program)
    assert found.primal == pytest.approx(optimum, rel=1e-6)
    # Thin cones may end FISTA at its limit of rounds, but what it states of its gap holds.
    first_order = FistaSolver(gap=1e-8).solve(program)
    assert first_order.primal * (1 - first_order.gap) <= optimum * (1 + 1e-6)
    assert first_order.status != "optimal" or first_order.primal == pytest.approx(optimum, rel=1e-6)
    assert trained.min() >= found.primal * (1 - 1e-6)


@pytest.mark.parametrize("family", ["conv", "batch norm", "batch norm before"])
def test_random_problems(family):
    check_random(family, 1)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["conv", "batch norm", "batch norm before", "three layers"])
def test_many_random_problems(family):
    for seed in range(RANDOM):
        check_random(family, seed)


@pytest.mark.parametrize(("taps", "stride", "context"), [(2, 1, 0), (3, 2, 1), (5, 1, 2), (4, 3, 1)])
def test_patch_matrices_are_explicit_loops(taps, stride, context):
    X = np.random.default_rng(taps).standard_normal((9, 8))
    patches = PatchMatrix(X, Convolution(taps, stride, context=context))
    expected = oracle.patches_of(X, taps, stride, context).reshape(-1, taps + context)
    np.testing.assert_array_equal(patches[:], expected)
    for a, b in [(0, 1), (3, 11), (5, 5), (7, 200)]:
        np.testing.assert_array_equal(patches[a:b], expected[a:b])


@pytest.mark.parametrize("pooling", ["average", "sum"])
def test_the_price_of_a_filter_is_that_of_the_patches(pooling):
    """v'f(X; w)/n of the pooled filter is the two-layer price on the patches with the residual repeated."""
    random = np.random.default_rng(0)
    X, v, W = random.standard_normal((30, 9)), random.standard_normal(30), random.standard_normal((4, 5))
    convolution = Convolution(4, 2, pooling, 0)
    pooled = convolution.pool(np.maximum(PatchMatrix(X, convolution)[:] @ W, 0), 9)
    on_patches = convolution.spread(v, 9) @ np.maximum(PatchMatrix(X, convolution)[:] @ W, 0)
    np.testing.assert_allclose(v @ pooled, on_patches, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_the_number_of_convolutional_patterns_grows_as_a_power_of_the_patches(n):
    """Cover's count of n K rows of rank h, at most 2 (e n K / h)^h: a power of n at a fixed h, not 2^(n K)."""
    X = np.random.default_rng(n).standard_normal((n, 6))
    for stride, K in ((3, 2), (1, 4)):
        patterns = enumerate_patterns(PatchMatrix(X, Convolution(3, stride, context=0))[:])
        count = len(patterns) + np.count_nonzero(patterns.coverage == 1)  # the zero pattern is its opposite
        assert count == pattern_bound(n * K, 3)
        assert count <= 2 * (np.e * n * K / 3) ** 3


def test_given_and_sampled_patterns_of_the_gated_form():
    X, y, beta = data("conv_sum_pool_n5_d4_h2")
    gated = CvxpySolver(gap=1e-8).solve(convolutional(X, y, beta, pooling="sum", build=gated_relu_program))
    assert gated.primal <= CASES["conv_sum_pool_n5_d4_h2"]["convex"]
    convolution = Convolution(2, 1, "sum", 0)
    patches = PatchMatrix(X, convolution)
    given = patterns_of_gates(patches, np.random.default_rng(0).standard_normal((5, 2)))
    some = gated_relu_program(ConvolutionalFeatures(X, convolution, given), y, beta)
    flat = patches[:].reshape(5, 3, 2)
    masks = [given.mask(i).reshape(5, 3, 1) for i in range(len(given))]
    blocks = [((mask * flat).sum(axis=1), np.zeros((0, 2)), np.eye(2)) for mask in masks]
    expected = oracle.group_lasso(blocks, y, beta)
    assert CvxpySolver(gap=1e-8).solve(some).primal == pytest.approx(expected, rel=1e-7)
    assert expected >= gated.primal


def test_the_circular_filters_make_up_the_filter_at_the_cost_of_the_penalty():
    for d in (5, 6):
        random = np.random.default_rng(d)
        X, y = random.standard_normal((20, d)), random.standard_normal(20)
        program = circular_program(X, y, 0.02)
        t = CvxpySolver(gap=1e-9).solve(program).u
        u, v = circular_layers(program, t)
        w = sum(np.array([[a[(i - k) % d] for k in range(d)] for i in range(d)]) @ b for a, b in zip(u, v, strict=True))
        np.testing.assert_allclose(X @ w, program.predict(t), atol=1e-9)
        assert np.abs(np.fft.fft(w, norm="ortho")).sum() / np.sqrt(d) == pytest.approx(program.penalty(t) / 0.02)
        assert (np.sum(u**2) + np.sum(v**2)) / 2 == pytest.approx(program.penalty(t) / 0.02, rel=1e-9)


def test_whitened_rows_have_unit_covariance_and_weights_go_back():
    random = np.random.default_rng(0)
    X = np.c_[random.standard_normal((50, 3)) @ random.standard_normal((3, 3)) + 2, np.ones(50)]
    whitening = Whitening.of(X)
    W = whitening(X)
    np.testing.assert_allclose(W[:, :-1].T @ W / 50, np.eye(3, 4), atol=1e-12)
    V = random.standard_normal((4, 5))
    weights, biases = whitening.unwhiten(V)
    np.testing.assert_allclose(X @ weights + biases, W @ V, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: Convolution(0), "taps = 0"),
        (lambda X: Convolution(3, 0), "stride = 0"),
        (lambda X: Convolution(3, 1, "max"), "pooling = 'max'"),
        (lambda X: Convolution(3, 1, context=-1), "context = -1"),
        (lambda X: Convolution(3, segments=0), "segments = 0"),
        (lambda X: ConvolutionalFeatures(X, Convolution(2, segments=2), sample_patterns(X, 2, 0)), "no group lasso"),
        (lambda X: PatchMatrix(X, Convolution(5)), "taps = 5: longer than the window of 3 samples"),
        (lambda X: sample_tuples(X, 9, 4, 0), "inner neurons = 9: give from 1 to 8"),
        (lambda X: enumerate_tuples(X, 0), "inner neurons = 0"),
        (lambda X: enumerate_tuples(X[:3], 2, limit=4), "more than 4"),
        (lambda X: Whitening.of(np.c_[X[:, :2], np.ones((8, 2))]), "column 2 is constant"),
        (lambda X: BatchNormFeatures(np.c_[X[:, 2:], np.ones((8, 2))], sample_patterns(X, 2, 0)), "column 2 is const"),
        (lambda X: Whitening.of(np.c_[np.full(8, 3.0), X]), r"column 0 is constant \(3\)"),
        (lambda X: TupleFeatures(X[:5], sample_tuples(X, 2, 3, 0)), "made for 8 rows, but X has 5"),
    ],
)
def test_bad_input_is_refused_before_any_training(make, message):
    with pytest.raises(InputError, match=message):
        make(np.random.default_rng(0).standard_normal((8, 4)))


def test_rows_that_a_cone_does_not_have_bind_nothing():
    """Of batch norm, a cone of few active rows is written out and has other rows than the samples, perhaps more."""
    X, y, beta = oracle.random_problem(1, 7, 3, bias=True)
    features = BatchNormFeatures(X, enumerate_patterns(X))
    rows = features.cone_values(np.arange(features.count), np.zeros((features.count, 3))).shape[1]
    assert rows > 7
    for block, basis in enumerate(features.bases):
        own = 7 if basis.cone is None else len(basis.cone)
        found = features.cone_rows(block, np.arange(rows))
        np.testing.assert_array_equal(found[own:], 0)
        assert (np.linalg.norm(found[:own], axis=1) > 0).all()
    found = CvxpySolver(gap=1e-9).solve(batch_norm_program(features, y, beta)).primal
    assert found == pytest.approx(oracle.batch_norm_optimum(X, y, beta), rel=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_products_of_some_blocks_are_those_of_the_gram_matrix(name):
    features = small(name).features
    d, first, second = features.width, np.array([3, 0]), np.array([1, 3, 2])
    H = features.gram(np.ones(N)).H.reshape(features.count, d, features.count, d)
    expected = H[first][:, :, second].reshape(len(first) * d, len(second) * d)
    np.testing.assert_allclose(features.products(first, second), expected, atol=1e-13)
