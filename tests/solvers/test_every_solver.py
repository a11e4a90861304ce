"""Properties that every solver has on every network that it takes."""

import cvxpy as cp
import numpy as np
import pytest
from theory_programs import theory_programs

from ecgcvx.arrangements import patterns_of_gates, sample_patterns
from ecgcvx.errors import InputError, SolverError
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss, SquaredLoss
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.group_lasso import GroupLassoSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.sgd import SgdSolver
from ecgcvx.windows import split_windows

SOLVERS = [AdmmSolver, CvxpySolver, FistaSolver, OsqpSolver]
NETWORKS = [gated_relu_program, relu_program]
THEORY = list(theory_programs())
PAIRS = [(solver, network) for solver in SOLVERS for network in NETWORKS] + [(GroupLassoSolver, gated_relu_program)]
solvers = pytest.mark.parametrize("solver", [*SOLVERS, GroupLassoSolver], ids=lambda s: s.__name__)
with_sgd = pytest.mark.parametrize(  # whatever the accuracy
    "solver", [*SOLVERS, GroupLassoSolver, SgdSolver], ids=lambda s: s.__name__
)
networks = pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
pairs = pytest.mark.parametrize(("solver", "network"), PAIRS, ids=lambda f: f.__name__)
pairs_with_sgd = pytest.mark.parametrize(
    ("solver", "network"), [*PAIRS, *((SgdSolver, network) for network in NETWORKS)], ids=lambda f: f.__name__
)


def small(network, n=40, d=4, p=6, seed=0, beta=0.02, loss=None):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)]
    y = np.maximum(X @ rng.standard_normal(d), 0) + 0.1 * rng.standard_normal(n)
    y = np.sign(y - y.mean()) if loss else y
    return network(PatternFeatures(X, sample_patterns(X, p, seed)), y, beta, loss)


@pytest.fixture(scope="module")
def ecg(record_208):
    """Programs of the first 2,000 windows of record 208 with 25 Gaussian patterns, and their optima."""
    train = split_windows(read_recording(str(record_208)).signal).train
    features = PatternFeatures(train.X[0:2000], sample_patterns(train.X[0:2000], 25, 0))
    return {network: network(features, train.y[:2000], 1e-3) for network in NETWORKS}


@solvers
@pytest.mark.parametrize(("name", "program", "optimum"), THEORY, ids=[name for name, _, _ in THEORY])
def test_reproduces_the_theory_cases(solver, name, program, optimum):
    if solver in (AdmmSolver, OsqpSolver) and not isinstance(program.loss, SquaredLoss):
        with pytest.raises(SolverError, match=r"LogisticLoss: \w+ works on the Gram matrix"):
            solver().solve(program)
        return
    if solver is GroupLassoSolver and (program.cones or not isinstance(program.loss, SquaredLoss)):
        with pytest.raises(SolverError, match="the group lasso"):
            solver().solve(program)
        return
    solution = solver(gap=1e-7).solve(program)
    assert solution.primal == pytest.approx(optimum, rel=1e-6)
    assert solution.gap <= 1e-6
    assert solution.violation <= 1e-12


@pytest.mark.slow
@pairs
def test_agrees_on_the_ecg(solver, network, ecg):
    program = ecg[network]
    solution = solver().solve(program)
    optimum = {gated_relu_program: 3.38902106e-3, relu_program: 8.61463943e-3}[network]  # Clarabel alone
    assert solution.status == "optimal"
    assert solution.gap <= 1e-5
    assert solution.primal == pytest.approx(optimum, rel=1e-5)
    assert solution.dual <= optimum * (1 + 1e-8)
    assert solution.violation <= 1e-8


@pairs
@pytest.mark.parametrize("seed", range(3))
def test_gap_and_violation_are_as_asked_and_true(solver, network, seed):
    program = small(network, seed=seed)
    solution = solver(gap=1e-8).solve(program)
    assert solution.status == "optimal"
    assert solution.gap <= 1e-8
    assert solution.violation <= 1e-12
    assert solution.primal == program.objective(solution.u)
    assert solution.dual == program.dual_bound(program.residual(solution.u)).value


def logistic_optimum(program):
    """All n rows of every cone in CVXPY, without our polish."""
    X, masks = program.features.X, [program.features.patterns.mask(int(b)) for b in program.blocks]
    U = cp.Variable(program.shape)
    values = [cp.multiply(mask, X @ U[j]) for j, mask in enumerate(masks)]
    f = sum(sign * value for sign, value in zip(program.signs, values, strict=True))
    rows = [cp.multiply(2.0 * mask - 1, X @ U[j]) >= 0 for j, mask in enumerate(masks)] if program.cones else []
    loss = cp.sum(cp.logistic(-cp.multiply(program.y, f))) / len(X)
    problem = cp.Problem(cp.Minimize(loss + program.beta * cp.sum(cp.norm(U, 2, axis=1))), rows)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return float(problem.value)


@pytest.mark.parametrize("solver", [CvxpySolver, FistaSolver])
@networks
def test_logistic_programs_are_solved(solver, network):
    program = small(network, loss=LogisticLoss())
    solution = solver(gap=1e-8).solve(program)
    assert solution.status == "optimal"
    assert solution.gap <= 1e-8
    assert solution.violation <= 1e-12
    assert solution.primal == pytest.approx(logistic_optimum(program), rel=1e-7)


@pairs
def test_scaling_of_the_data_scales_the_solution(solver, network):
    program = small(network)
    X, y = program.features.X, program.y
    features = PatternFeatures(1e3 * X, program.features.patterns)
    a = solver(gap=1e-8).solve(program)
    b = solver(gap=1e-8).solve(network(features, 10 * y, 1e4 * program.beta))
    assert b.primal == pytest.approx(100 * a.primal, rel=1e-7)
    np.testing.assert_allclose(b.u.sum(axis=0), 1e-2 * a.u.sum(axis=0), atol=1e-4)


@pairs
def test_repeated_and_permuted_rows_change_nothing(solver, network):
    program = small(network)
    X, order = program.features.X, np.random.default_rng(1).permutation(80) % 40
    features = PatternFeatures(X[order], patterns_of_gates(X[order], program.features.patterns.gates))
    twice = network(features, program.y[order], program.beta)
    assert solver().solve(twice).primal == pytest.approx(solver().solve(program).primal, rel=1e-5)


@pairs
def test_beta_above_the_largest_price_gives_exactly_zero(solver, network):
    program = small(network)
    largest = program.prices(program.y).max()
    above = solver().solve(network(program.features, program.y, 1.001 * largest))
    below = solver().solve(network(program.features, program.y, 0.9 * largest))
    assert not above.u.any()
    assert above.gap <= 1e-12
    assert below.u.any()


@pairs
@pytest.mark.parametrize("column", [0.0, 1.0])
def test_constant_columns_are_solved(solver, network, column):
    program = small(network)
    X = np.c_[program.features.X, np.full(40, column)]
    twin = network(PatternFeatures(X, sample_patterns(X, 6, 0)), program.y, 0.02)
    solution = solver().solve(twin)
    assert np.isfinite(solution.u).all()
    assert solution.gap <= 1e-5


@pairs_with_sgd
def test_zero_targets_have_the_zero_solution(solver, network):
    solution = solver().solve(network(small(network).features, np.zeros(40), 0.02))
    assert not solution.u.any()
    assert solution.primal == solution.gap == 0.0


@pairs_with_sgd
def test_the_same_call_gives_the_same_bytes(solver, network):
    a, b = (solver().solve(small(network)) for _ in range(2))
    assert a.u.tobytes() == b.u.tobytes()


@pytest.mark.slow
@pairs_with_sgd
def test_a_warm_start_at_the_optimum_stays_there(solver, network):
    program = small(network)
    cold = solver(gap=1e-8).solve(program)
    warm = solver(gap=1e-8).solve(program, warm_start=cold.u)
    assert warm.primal == pytest.approx(cold.primal, rel=1e-8)
    assert warm.iterations <= cold.iterations + 1


@pairs_with_sgd
def test_a_time_limit_gives_a_feasible_point_with_a_true_bound(solver, network, ecg):
    solution = solver(gap=1e-12).solve(ecg[network], time_limit=1e-6)
    assert solution.status == "time limit"
    assert solution.violation <= 1e-12
    assert solution.dual <= 8.61464e-3


@pairs_with_sgd
@pytest.mark.parametrize("line", [0, 1])
def test_ctrl_c_gives_the_best_point_so_far(solver, network, line):
    def stop(progress):
        if progress.iteration == line and not stopped:
            stopped.append(progress)
            raise KeyboardInterrupt

    stopped = []
    solution = solver(gap=1e-13).solve(small(network), callback=stop)
    assert stopped
    assert solution.violation <= 1e-12
    assert np.isfinite(solution.primal)
    assert solution.dual <= solution.primal


@with_sgd
def test_history_is_what_the_callback_saw(solver):
    seen = []
    solution = solver().solve(small(gated_relu_program), callback=seen.append)
    assert tuple(seen) == solution.history
    assert [line.iteration for line in seen] == list(range(solution.iterations))
    assert seen[-1].primal == solution.primal
    assert seen[-1].gap == solution.gap


@pytest.mark.parametrize("solver", [FistaSolver, GroupLassoSolver, OsqpSolver])
def test_gated_history_never_rises(solver):
    solution = solver(gap=1e-8).solve(small(gated_relu_program))
    primals = np.array([line.primal for line in solution.history])
    assert (np.diff(primals) <= 1e-9 * primals[:-1]).all()


@with_sgd
@pytest.mark.parametrize("gap", [0.0, -1.0, np.nan])
def test_bad_tolerances_are_refused(solver, gap):
    with pytest.raises(InputError, match="gap = "):
        solver(gap=gap)


@pytest.mark.parametrize("solver", [AdmmSolver, FistaSolver, GroupLassoSolver, OsqpSolver])
def test_bad_rounds_are_refused(solver):
    with pytest.raises(InputError, match="rounds = 0"):
        solver(rounds=0)


@with_sgd
def test_bad_time_limits_are_refused(solver):
    with pytest.raises(InputError, match="time_limit = 0"):
        solver().solve(small(gated_relu_program), time_limit=0)


def test_an_unknown_conic_solver_is_named():
    with pytest.raises(SolverError, match="NOSUCH"):
        CvxpySolver(solver="NOSUCH").solve(small(gated_relu_program))
