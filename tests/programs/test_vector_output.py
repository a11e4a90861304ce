"""Networks with several outputs: against CVXPY, the scalar programs, the dual, and the network's own output."""

import cvxpy as cp
import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns, sample_patterns
from ecgcvx.errors import InputError
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.programs.vector import VectorProgram, network_by_output, relu_by_output, vector_network_of
from ecgcvx.records import read_recording
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.vector import VectorAdmmSolver
from ecgcvx.windows import split_windows


def small(K=3, beta=0.05, n=40, d=4, p=6, seed=0):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)]
    Y = np.maximum(X @ rng.standard_normal((d, 5)), 0) @ rng.standard_normal((5, K)) + 0.1 * rng.standard_normal((n, K))
    return VectorProgram(PatternFeatures(X, sample_patterns(X, p, seed)), Y, beta)


def optimum(program):
    """The program in CVXPY, from the data."""
    n, (p, d, K) = program.features.n, program.shape
    U = [cp.Variable((d, K)) for _ in range(p)]
    masks = [program.features.patterns.mask(i)[:, None] * program.features.X for i in range(p)]
    f = sum(F @ V for F, V in zip(masks, U, strict=True))
    penalty = sum(cp.normNuc(V) for V in U)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(f - program.Y) / (2 * n) + program.beta * penalty))
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(problem.value)


@pytest.fixture(scope="module")
def ecg(record_208):
    """The next three samples of record 208: 2,000 windows, 25 patterns."""
    train = split_windows(read_recording(str(record_208)).signal).train
    features = PatternFeatures(train.X[0:2000], sample_patterns(train.X[0:2000], 25, 0))
    return VectorProgram(features, np.stack([train.y[k : 2000 + k] for k in range(3)], axis=1), 1e-3)


@pytest.mark.parametrize("beta", [0.5, 0.05, 0.005])
@pytest.mark.parametrize("K", [2, 6])
def test_equals_cvxpy_with_nuclear_norms(K, beta):
    program = small(K, beta)
    solution = VectorAdmmSolver(gap=1e-9).solve(program)
    reference = optimum(program)
    assert solution.status == "optimal"
    assert solution.primal == pytest.approx(reference, rel=1e-7)
    assert solution.dual <= reference * (1 + 1e-8)
    assert solution.primal == program.objective(solution.u)


@pytest.mark.parametrize("seed", range(3))
def test_one_output_is_the_group_lasso(seed):
    program = small(1, seed=seed)
    scalar = gated_relu_program(program.features, program.Y[:, 0], program.beta)
    u = VectorAdmmSolver(gap=1e-9).solve(program).u[:, :, 0]
    expected = CvxpySolver(gap=1e-9).solve(scalar)
    assert scalar.objective(u) == pytest.approx(expected.primal, rel=1e-8)
    assert program.objective(u[:, :, None]) == pytest.approx(scalar.objective(u), rel=1e-12)
    r = program.Y - program.predict(u[:, :, None])
    assert program.dual_bound(r).value == pytest.approx(scalar.dual_bound(r[:, 0]).value, rel=1e-12)
    np.testing.assert_allclose(program.dual_bound(r).prices, scalar.prices(r[:, 0]), rtol=1e-12)


def test_any_point_lies_above_and_any_residual_below_the_optimum():
    program, rng = small(), np.random.default_rng(1)
    value = optimum(program)
    for scale in 10.0 ** np.arange(-3, 3):
        assert program.objective(scale * rng.standard_normal(program.shape)) >= value
        assert program.dual_bound(scale * rng.standard_normal(program.Y.shape)).value <= value
        assert program.dual_bound(program.Y - scale * program.Y).value <= value


def test_closes_the_gap_on_the_ecg(ecg):
    solution = VectorAdmmSolver(gap=1e-8).solve(ecg)
    assert solution.status == "optimal"
    assert solution.gap <= 1e-8
    assert solution.primal == pytest.approx(2.6383035251e-2, rel=1e-7)


@pytest.mark.parametrize("K", [1, 3, 6])
def test_network_gives_the_predictions_and_the_penalty(K):
    program = small(K, 0.02)
    U = VectorAdmmSolver().solve(program).u
    network = vector_network_of(program, U)
    np.testing.assert_allclose(network.predict(program.features.X), program.predict(U), atol=1e-9)
    decay = (np.sum(network.W1**2) + np.sum(network.W2**2)) / 2
    assert program.beta * decay == pytest.approx(program.penalty(U), rel=1e-10)
    assert network.W1.shape[1] == sum(np.linalg.matrix_rank(V, tol=1e-9) for V in U)
    np.testing.assert_allclose(np.linalg.norm(network.W1, axis=0), np.linalg.norm(network.W2, axis=1), rtol=1e-9)


def test_network_on_the_ecg_gives_the_predictions(ecg):
    U = VectorAdmmSolver().solve(ecg).u
    np.testing.assert_allclose(vector_network_of(ecg, U).predict(ecg.features.X), ecg.predict(U), atol=1e-9)


def test_a_network_of_nothing_predicts_zero():
    program = small()
    network = vector_network_of(program, np.zeros(program.shape))
    assert network.W1.shape == (4, 0)
    assert not network.predict(program.features.X).any()


def test_no_network_with_the_same_gates_does_better():
    """The non-convex side, several neurons a gate: random weights, their norms balanced, never fall below."""
    program, rng = small(2), np.random.default_rng(4)
    value = optimum(program)
    best = vector_network_of(program, VectorAdmmSolver(gap=1e-9).solve(program).u)
    X, Y = program.features.X, program.Y
    for size in (0.0, 1e-3, 1e-2, 0.1, 1.0):
        W1, W2 = (W + size * rng.standard_normal(W.shape) for W in (best.W1, best.W2))
        f = np.where(X @ best.gates >= 0, X @ W1, 0.0) @ W2
        network_value = np.sum((f - Y) ** 2) / 80 + program.beta / 2 * (np.sum(W1**2) + np.sum(W2**2))
        assert network_value >= value * (1 - 1e-8)
        if size == 0:
            assert network_value == pytest.approx(value, rel=1e-7)


def test_rotated_outputs_rotate_the_solution():
    program = small()
    Q, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))
    rotated = VectorProgram(program.features, program.Y @ Q, program.beta)
    a, b = (VectorAdmmSolver(gap=1e-9).solve(p) for p in (program, rotated))
    assert b.primal == pytest.approx(a.primal, rel=1e-8)
    np.testing.assert_allclose(rotated.predict(b.u), program.predict(a.u) @ Q, atol=1e-4)


def test_beta_above_the_largest_price_gives_exactly_zero():
    program = small()
    largest = program.largest_beta()
    above, below = (
        VectorAdmmSolver(gap=1e-8).solve(VectorProgram(program.features, program.Y, factor * largest))
        for factor in (1.001, 0.9)
    )
    assert not above.u.any()
    assert above.gap <= 1e-12
    assert below.u.any()


def test_scaling_of_the_data_scales_the_solution():
    program = small()
    features = PatternFeatures(1e3 * program.features.X, program.features.patterns)
    a = VectorAdmmSolver(gap=1e-9).solve(program)
    b = VectorAdmmSolver(gap=1e-9).solve(VectorProgram(features, 10 * program.Y, 1e4 * program.beta))
    assert b.primal == pytest.approx(100 * a.primal, rel=1e-8)


def test_relu_by_output_is_the_scalar_programs_with_one_gram_matrix():
    program = small()
    programs = relu_by_output(program.features, program.Y, program.beta)
    for k, one in enumerate(programs):
        alone = relu_program(program.features, program.Y[:, k], program.beta)
        assert one.gram.H is programs[0].gram.H
        np.testing.assert_allclose(one.gram.c, alone.gram.c, atol=1e-14)
        assert one.gram.yy == pytest.approx(alone.gram.yy)
        assert FistaSolver().solve(one).primal == pytest.approx(CvxpySolver().solve(alone).primal, rel=1e-5)


def test_network_by_output_feeds_each_neuron_to_one_output():
    program = small()
    programs = relu_by_output(program.features, program.Y, program.beta)
    solutions = [FistaSolver().solve(one) for one in programs]
    network = network_by_output(programs, [solution.u for solution in solutions])
    expected = np.stack([one.predict(s.u) for one, s in zip(programs, solutions, strict=True)], axis=1)
    np.testing.assert_allclose(network.predict(program.features.X), expected, atol=1e-9)
    assert (np.count_nonzero(network.W2, axis=1) == 1).all()
    value = np.sum((expected - program.Y) ** 2) / 80 + program.beta / 2 * (
        np.sum(network.W1**2) + np.sum(network.W2**2)
    )
    assert value == pytest.approx(sum(solution.primal for solution in solutions), rel=1e-9)


def test_joint_relu_optimum_lies_between_the_gated_and_the_separable_one():
    """Outputs that one neuron explains: separate fits pay for it twice, which the joint network need not."""
    rng = np.random.default_rng(0)
    X = np.c_[rng.standard_normal((12, 1)), np.ones(12)]
    Y = np.outer(np.maximum(X @ [1.0, 0.3], 0), [1.0, 0.8])
    features, beta = PatternFeatures(X, enumerate_patterns(X)), 0.05
    lower = VectorAdmmSolver(gap=1e-8).solve(VectorProgram(features, Y, beta)).dual
    programs = relu_by_output(features, Y, beta)
    upper = sum(CvxpySolver(gap=1e-8).solve(one).primal for one in programs)
    w = np.array([1.0, 0.3])
    f = np.maximum(X @ w, 0)
    scales = np.linspace(0, 1, 2001)  # one neuron (s f, [1, 0.8]) with balanced weights
    penalties = scales * np.linalg.norm(w) * np.linalg.norm([1.0, 0.8])
    joint = min((1 - s) ** 2 * np.sum(Y**2) / 24 + beta * p for s, p in zip(scales, penalties, strict=True))
    assert np.allclose(np.outer(f, [1.0, 0.8]), Y)
    assert lower <= joint
    assert joint < upper


def test_stops_on_time_and_on_ctrl_c_with_a_true_bound(ecg):
    def stop(progress):
        if progress.iteration == 1:
            raise KeyboardInterrupt

    late = VectorAdmmSolver(gap=1e-12).solve(ecg, time_limit=1e-6)
    stopped = VectorAdmmSolver(gap=1e-12).solve(ecg, callback=stop)
    assert late.status == "time limit"
    assert stopped.status == "interrupted"
    assert late.dual <= stopped.primal
    assert stopped.dual <= 2.63831e-2 <= stopped.primal * (1 + 1e-4)


def test_a_warm_start_at_the_optimum_stays_there():
    program = small()
    cold = VectorAdmmSolver(gap=1e-8).solve(program)
    warm = VectorAdmmSolver(gap=1e-8).solve(program, warm_start=cold.u)
    assert warm.primal == pytest.approx(cold.primal, rel=1e-8)
    assert warm.iterations <= 3


def test_zero_targets_and_the_same_bytes():
    program = small()
    nothing = VectorAdmmSolver().solve(VectorProgram(program.features, np.zeros((40, 2)), 0.1))
    assert nothing.primal == nothing.gap == 0.0
    a, b = (VectorAdmmSolver().solve(small()).u.tobytes() for _ in range(2))
    assert a == b


@pytest.mark.parametrize("Y", [np.ones(40), np.ones((39, 2)), np.ones((40, 0)), np.full((40, 2), np.nan)])
def test_bad_targets_are_refused(Y):
    features = small().features
    with pytest.raises(InputError, match="Y h"):
        VectorProgram(features, Y, 0.1)
    with pytest.raises(InputError, match="Y h"):
        relu_by_output(features, Y, 0.1)


def test_bad_arguments_are_refused():
    program = small()
    for beta in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="beta = "):
            VectorProgram(program.features, program.Y, beta)
    empty = PatternFeatures(program.features.X, program.features.patterns.subset([]))
    with pytest.raises(InputError, match="patterns: there are none"):
        VectorProgram(empty, program.Y, 0.1)
    with pytest.raises(InputError, match="gap = "):
        VectorAdmmSolver(gap=0.0)
    with pytest.raises(InputError, match="rounds = 0"):
        VectorAdmmSolver(rounds=0)
    with pytest.raises(InputError, match="4 inputs"):
        vector_network_of(program, np.ones(program.shape)).predict(np.ones((2, 3)))
