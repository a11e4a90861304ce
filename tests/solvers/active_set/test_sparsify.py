"""Sparsifying: the cheapest removal against brute force, the promises of tolerance and number, who stops it."""

import itertools

import numpy as np
import pytest
from family_oracles import relu_objective as objective
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from ecgcvx.errors import InputError
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import read_recording
from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.sparsify import (
    cheap_removals,
    cheapest_removal,
    pruned_curve,
    relax,
    removal_bounds,
    sparsify,
)
from ecgcvx.windows import split_windows


@pytest.fixture(scope="module")
def solved(record_208):
    train = split_windows(read_recording(record_208, end=20).signal).train
    X, y = np.asarray(train.X[:]), train.y
    program = AllPatterns(X, y, 1e-3)
    return program, ActiveSetSolver(gap=1e-3, confirm_starts=0, rounds=15, threads=1).solve(program)


def least_value(Q, b):
    """min c'Qc/2 - b'c over c >= 0 by SciPy's non-negative least squares."""
    L = np.linalg.cholesky(Q)
    c, _ = nnls(L.T, np.linalg.solve(L, b))
    return c @ Q @ c / 2 - b @ c


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(2, 7))
def test_the_cheapest_removal_is_the_best_of_all_removals(seed, m):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3 * m, m)) + 1.0
    Q, b, beta = A.T @ A / len(A), A.T @ (A @ rng.uniform(0, 1, m)) / len(A), 0.05
    found = cheapest_removal(AmplitudeSystem(Q, b), beta, np.full(m, 0.5))
    rests = (np.delete(np.arange(m), j) for j in range(m))
    best = min(least_value(Q[np.ix_(rest, rest)], b[rest] - beta) for rest in rests)
    assert np.count_nonzero(found) < m
    assert (found >= 0).all()
    assert found @ Q @ found / 2 - (b - beta) @ found == pytest.approx(best, rel=1e-9, abs=1e-12)


def test_tolerance_0_loses_neurons_and_no_objective(solved):
    program, solution = solved
    found = sparsify(program, solution, tolerance=0.0, threads=1)
    assert found.status == "tolerance"
    assert found.chosen.neurons < len(solution.atoms)
    assert found.chosen.primal <= solution.primal
    for point in found.curve:
        assert point.primal == pytest.approx(objective(program, point.atoms), rel=1e-12)
        f = np.maximum(program.X @ point.atoms.points.T, 0) @ point.atoms.tags[:, 0]
        assert point.rmse == pytest.approx(np.sqrt(np.mean((f - program.y) ** 2)), rel=1e-12)
    neurons = [point.neurons for point in found.curve]
    assert all(after < before for before, after in itertools.pairwise(neurons))


@pytest.mark.parametrize("tolerance", [1e-3, 2e-2])
def test_the_smallest_network_within_the_tolerance(solved, tolerance):
    program, solution = solved
    found = sparsify(program, solution, tolerance=tolerance, threads=1)
    assert found.chosen.primal <= (1 + tolerance) * solution.primal
    assert found.chosen is found.within(tolerance)
    assert found.curve[-1].primal > 1.1 * solution.primal
    assert all(
        point.primal > (1 + tolerance) * solution.primal
        for point in found.curve
        if point.neurons < found.chosen.neurons
    )


@pytest.mark.parametrize("most", [1, 2, 9])
def test_not_more_neurons_than_asked_for(solved, most):
    program, solution = solved
    found = sparsify(program, solution, tolerance=0.0, max_neurons=most, threads=1)
    assert found.chosen.neurons <= most
    assert found.status == "max neurons"
    again = sparsify(program, solution, tolerance=0.0, max_neurons=most, threads=2)
    np.testing.assert_array_equal(found.chosen.atoms.points, again.chosen.atoms.points)


def test_ctrl_c_and_the_time_limit_keep_what_there_is(solved):
    def stop(point):
        seen.append(point)
        if len(seen) == 3:
            raise KeyboardInterrupt

    program, solution = solved
    seen = []
    found = sparsify(program, solution, tolerance=1.0, threads=1, callback=stop)
    assert found.status == "interrupted"
    assert found.chosen.neurons == seen[-1].neurons
    assert sparsify(program, solution, threads=1, time_limit=1e-9).chosen.neurons == len(solution.atoms)


def test_an_empty_network_stays_empty():
    X, y = np.ones((5, 1)), np.arange(5.0)
    program = AllPatterns(X, y, 1e3)
    solution = ActiveSetSolver(confirm_starts=10, threads=1).solve(program)
    assert sparsify(program, solution, threads=1).chosen.neurons == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tolerance": -1.0}, "tolerance = -1"),
        ({"max_neurons": 0}, "max_neurons = 0"),
        ({"time_limit": 0.0}, "time_limit"),
    ],
)
def test_bad_options_are_named(solved, options, named):
    program, solution = solved
    with pytest.raises(InputError, match=named):
        sparsify(program, solution, **options)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(2, 7))
def test_no_removal_costs_less_than_its_bound(seed, m):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3 * m, m))
    Q, c = A.T @ A / len(A), rng.uniform(0.1, 1, m)
    bounds = removal_bounds(AmplitudeSystem(Q, Q @ c), c)
    np.testing.assert_allclose(bounds, c**2 / (2 * np.diag(np.linalg.inv(Q))), rtol=1e-8)
    for j in range(m):
        rest = np.delete(np.arange(m), j)
        cost = least_value(Q[np.ix_(rest, rest)], (Q @ c)[rest]) + c @ Q @ c / 2
        assert cost >= bounds[j] * (1 - 1e-8)


def test_relaxing_gives_back_what_the_penalty_took(solved):
    program, solution = solved
    low, points = program.at(1e-4), pruned_curve(program, solution.atoms, most=20, fewest=4, threads=1).points
    for point in (points[0], points[-1]):
        relaxed = relax(low, point.atoms, threads=1)
        assert relaxed.neurons <= point.neurons
        assert relaxed.primal == pytest.approx(objective(low, relaxed.atoms), rel=1e-12)
        assert relaxed.primal < objective(low, point.atoms)
        assert relaxed.rmse < point.rmse
        assert objective(program, relaxed.atoms) > point.primal
    again = relax(low, points[-1].atoms, threads=2)
    np.testing.assert_array_equal(again.atoms.points, relax(low, points[-1].atoms, threads=1).atoms.points)
    with pytest.raises(InputError, match="beta = -1"):
        relax(program.at(-1.0), solution.atoms)


def test_a_pruned_curve_has_falling_sizes_down_to_the_one_that_was_asked_for(solved):
    program, solution = solved
    curve = pruned_curve(program, solution.atoms, most=12, fewest=7, threads=1)
    neurons = [point.neurons for point in curve.points]
    assert curve.status == "complete"
    assert neurons[0] <= len(solution.atoms)
    assert curve.points[0].primal <= solution.primal
    assert neurons.count(12) == 1  # large steps end at `most`
    assert neurons[-1] <= 7
    assert all(after < before for before, after in itertools.pairwise(neurons))
    for point in curve.points:
        assert point.primal == pytest.approx(objective(program, point.atoms), rel=1e-12)
    again = pruned_curve(program, solution.atoms, most=12, fewest=7, threads=2).points
    np.testing.assert_array_equal(again[-1].atoms.points, curve.points[-1].atoms.points)
    cut = pruned_curve(program, solution.atoms, most=12, fewest=7, reach=True, threads=1, time_limit=1e-9)
    assert cut.status == "time limit"
    assert len(cut.points) == 2
    assert cut.points[-1].neurons <= 7


def test_a_pruned_curve_ends_early_and_refuses_nonsense(solved):
    def stop(point):
        seen.append(point)
        if len(seen) == 2:
            raise KeyboardInterrupt

    program, solution = solved
    seen = []
    assert pruned_curve(program, solution.atoms, threads=1, callback=stop).status == "interrupted"
    assert pruned_curve(program, solution.atoms, threads=1, time_limit=1e-9).status == "time limit"
    with pytest.raises(InputError, match="fewest = 9, most = 8"):
        pruned_curve(program, solution.atoms, most=8, fewest=9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(3, 40), share=st.floats(0.05, 0.9))
def test_cheap_removals_resize_what_is_left(seed, m, share):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3 * m, m)) + 0.5
    Q, b, beta = A.T @ A / len(A), A.T @ (A @ rng.uniform(0, 1, m)) / len(A), 0.05
    count = max(1, int(share * m))
    found = cheap_removals(AmplitudeSystem(Q, b), beta, np.full(m, 0.5), count)
    left = np.flatnonzero(found)
    assert len(left) <= m - count
    assert (found >= 0).all()
    if len(left):
        best = least_value(Q[np.ix_(left, left)], b[left] - beta)
        assert found @ Q @ found / 2 - (b - beta) @ found == pytest.approx(best, rel=1e-8, abs=1e-10)


def test_of_two_close_atoms_one_stays():
    """Either alone is cheap to remove while the other one is there; both together are not."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((500, 20))
    A[:, 1] = A[:, 0] + 1e-3 * rng.standard_normal(500)
    c = np.concatenate([[1.0, 1.0], np.linspace(0.2, 0.4, 18)])
    Q = A.T @ A / len(A)
    found = cheap_removals(AmplitudeSystem(Q, Q @ c + 1e-3), 1e-3, c, 2)
    assert np.count_nonzero(found[:2]) == 1
    assert found[:2].sum() == pytest.approx(2.0, rel=0.1)
