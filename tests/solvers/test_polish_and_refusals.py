"""The polish alone, from poor starts; ADMM where unbounded balancing of its penalty once diverged."""

import numpy as np
import pytest

from ecgcvx.arrangements import sample_patterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.polish import polish
from ecgcvx.solvers.solution import Clock, feasible
from ecgcvx.windows import split_windows


@pytest.fixture(scope="module")
def hard(record_208):
    """ReLU, 2,000 windows, 25 patterns, beta = 1e-4; Clarabel without the polish ends at 3.29606313e-3."""
    train = split_windows(read_recording(str(record_208)).signal).train
    X = train.X[0:2000]
    return relu_program(PatternFeatures(X, sample_patterns(X, 25, 2)), train.y[:2000], 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("solver", [AdmmSolver, FistaSolver])
def test_thin_cones_and_small_beta(solver, hard):
    solution = solver().solve(hard)
    assert solution.status == "optimal"
    assert solution.primal == pytest.approx(3.29606313e-3, rel=1e-7)
    assert solution.violation <= 1e-12


@pytest.mark.parametrize("network", [gated_relu_program, relu_program])
@pytest.mark.parametrize("size", [0.0, 0.1, 10.0])
def test_polish_descends_to_the_optimum_from_any_feasible_point(network, size):
    rng = np.random.default_rng(5)
    X = np.c_[rng.standard_normal((60, 4)), np.ones(60)]
    program = network(PatternFeatures(X, sample_patterns(X, 12, 0)), rng.standard_normal(60), 0.01)
    start = feasible(program, size * rng.standard_normal(program.shape), 1e-8)
    clock = Clock(None, 30.0)
    u, stopped = polish(program, start, 1e-9, clock)
    primals = np.array([line.primal for line in clock.history])
    assert stopped == ""
    assert (np.diff(primals) <= 1e-12).all()
    assert program.violation(u) <= 1e-12
    assert program.objective(u) == pytest.approx(CvxpySolver(gap=1e-9).solve(program).primal, rel=1e-8)
    assert program.objective(u) - program.dual_bound(program.residual(u)).value <= 1e-9 * program.objective(u)
