"""Column generation against CVXPY over enumerated patterns, against the active set on windows, and stopped."""

import itertools

import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.atoms.family import Atoms
from ecgcvx.errors import InputError
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.check import check_network
from ecgcvx.solvers.column_generation import MASTERS, ColumnGeneration, restricted_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.windows import split_windows


def random_problem(seed, n=14, d=3):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)]
    return X, np.sin(2 * X[:, 0]) + 0.3 * rng.standard_normal(n)


def objective(X, y, beta, atoms):
    f = np.maximum(X @ atoms.points.T, 0) @ atoms.tags[:, 0]
    return np.mean((f - y) ** 2) / 2 + beta * np.linalg.norm(atoms.points, axis=1).sum()


@pytest.fixture(scope="module")
def windows(record_208):
    train = split_windows(read_recording(record_208, end=4).signal).train
    return np.asarray(train.X[:500]), train.y[:500]


@pytest.mark.parametrize(("seed", "n", "d", "beta"), [(0, 10, 3, 0.1), (1, 11, 3, 0.02), (2, 40, 2, 0.05)])
def test_the_optimum_over_all_enumerated_patterns(seed, n, d, beta):
    X, y = random_problem(seed, n, d)
    exact = CvxpySolver(gap=1e-7).solve(relu_program(PatternFeatures(X, enumerate_patterns(X)), y, beta))
    for master in MASTERS:
        found = ColumnGeneration(master, gap=1e-5, starts=100, confirm_starts=200, threads=1).solve(
            AllPatterns(X, y, beta)
        )
        assert found.status == "optimal"
        assert found.primal == pytest.approx(exact.primal, rel=2e-5)
        assert found.primal >= exact.dual * (1 - 1e-9)
        assert found.primal == pytest.approx(objective(X, y, beta, found.atoms), rel=1e-12)


@pytest.mark.slow
def test_both_masters_and_the_active_set_agree_on_windows(windows):
    X, y = windows
    one, two = (
        ColumnGeneration(m, gap=1e-4, confirm_starts=500, threads=1).solve(AllPatterns(X, y, 1e-2))
        for m in ("cvxpy", "osqp")
    )
    other = ActiveSetSolver(gap=1e-4, confirm_starts=500, rounds=40, threads=1).solve(AllPatterns(X, y, 1e-2))
    for found in (one, two):
        assert found.status == "optimal"
        assert found.confirmation.starts == 500
        assert found.primal == pytest.approx(other.primal, rel=5e-4)
        objectives = [line.primal for line in found.history]
        assert all(after <= before for before, after in itertools.pairwise(objectives))
    assert one.primal == pytest.approx(two.primal, rel=2e-4)


def test_a_warm_start_goes_on_and_a_solution_stays(windows):
    X, y = windows
    solver = ColumnGeneration("osqp", gap=1e-3, confirm_starts=200, threads=1)
    short = ColumnGeneration("osqp", gap=1e-3, rounds=3, threads=1).solve(AllPatterns(X, y, 1e-2))
    assert short.status == "round limit"
    done = solver.solve(AllPatterns(X, y, 1e-2), warm_start=short.atoms)
    assert done.history[0].primal == pytest.approx(short.primal, rel=1e-12)
    again = solver.solve(AllPatterns(X, y, 1e-2), warm_start=done.atoms)
    assert len(again.history) <= 2


def test_ctrl_c_and_the_time_limit_keep_the_best_point(windows):
    def stop(_line):
        if len(lines) == 4:
            raise KeyboardInterrupt
        lines.append(_line)

    X, y = windows
    lines = []
    found = ColumnGeneration("osqp", gap=1e-9, threads=1).solve(AllPatterns(X, y, 1e-2), callback=stop)
    assert found.status == "interrupted"
    assert len(found.atoms)
    assert found.primal <= lines[-1].primal
    late = ColumnGeneration("osqp", gap=1e-9, threads=1).solve(AllPatterns(X, y, 1e-2), time_limit=0.3)
    assert late.status == "time limit"
    assert late.primal <= lines[0].primal


def test_from_the_largest_beta_up_the_network_is_empty():
    X, y = random_problem(0)
    found = ColumnGeneration(confirm_starts=50, threads=1).solve(AllPatterns(X, y, 1e3))
    assert (len(found.atoms), found.status) == (0, "optimal")
    still = ColumnGeneration(confirm_starts=50, threads=1).solve(AllPatterns(X, np.zeros(len(y)), 1e-2))
    assert (len(still.atoms), still.primal, still.gap) == (0, 0.0, 0.0)


def test_neurons_of_one_pattern_and_sign_are_one_variable():
    X, y = random_problem(4)
    w = np.array([1.0, -0.2, 0.1])
    points = np.array([w, 2 * w, w, -w, [0.0, 0.0, -1.0]])  # the last has no active row
    atoms = Atoms(points, np.array([[1.0], [1.0], [-1.0], [1.0], [1.0]]))
    program, u = restricted_program(AllPatterns(X, y, 0.1), atoms)
    assert program.shape == (3, 3)
    assert len(program.features.patterns) == 2
    np.testing.assert_allclose(u, [3 * w, w, -w])
    assert program.violation(u) == 0.0
    assert program.objective(u) == pytest.approx(objective(X, y, 0.1, atoms) - 0.1, rel=1e-12)
    with pytest.raises(InputError, match="no pattern"):
        restricted_program(AllPatterns(X, y, 0.1), atoms.subset(np.array([4])))


@pytest.mark.slow
def test_the_check_finds_what_is_left_and_refuses_what_is_too_large(monkeypatch):
    X, y = random_problem(5)
    exact = CvxpySolver(gap=1e-7).solve(relu_program(PatternFeatures(X, enumerate_patterns(X)), y, 0.02))
    done = ColumnGeneration(gap=1e-6, confirm_starts=100, threads=1).solve(AllPatterns(X, y, 0.02))
    rough = done.atoms.moved(0.9 * done.atoms.points)
    primal = objective(X, y, 0.02, rough)
    for check in check_network(AllPatterns(X, y, 0.02), rough, primal):
        assert check.objective == pytest.approx(exact.primal, rel=1e-5)
        assert check.difference == pytest.approx((primal - check.objective) / primal)
        assert check.status == "optimal"
    monkeypatch.setattr("ecgcvx.solvers.check.MOST_VARIABLES", {"cvxpy": 5, "osqp": 3})
    for check in check_network(AllPatterns(X, y, 0.02), rough, primal):
        assert check.objective is None
        assert "keep 1 neurons" in check.status


@pytest.mark.parametrize(
    ("options", "data", "call", "named"),
    [
        ({"gap": 0.0}, {}, {}, "gap"),
        ({"master": "fista"}, {}, {}, "master = 'fista'"),
        ({"starts": 0}, {}, {}, "starts = 0"),
        ({"seed": -1}, {}, {}, "seed = -1"),
        ({}, {"beta": -1.0}, {}, "beta = -1"),
        ({}, {"y": np.full(14, np.nan)}, {}, "finite"),
        ({}, {}, {"time_limit": 0.0}, "time_limit = 0"),
    ],
)
def test_bad_options_are_named(options, data, call, named):
    X, y = random_problem(0)
    with pytest.raises(InputError, match=named):
        ColumnGeneration(**options).solve(AllPatterns(**({"X": X, "y": y, "beta": 0.1} | data)), **call)
