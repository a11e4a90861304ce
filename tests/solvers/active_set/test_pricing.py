"""The search for violators against all patterns of few rows, and what a bank of known maxima is for."""

import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.cone import project
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.records import read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.pricing import (
    CLOSE,
    Ascent,
    Bank,
    Sample,
    bound,
    price_atoms,
    search,
    search_until,
)
from ecgcvx.solvers.active_set.state import State, load_state, save_state
from ecgcvx.solvers.solution import Stopwatch
from ecgcvx.windows import split_windows


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_price_over_all_patterns_is_found(seed):
    rng = np.random.default_rng(seed)
    X, v = np.c_[rng.standard_normal((12, 2)), np.ones(12)], rng.standard_normal(12)
    features = PatternFeatures(X, enumerate_patterns(X))
    blocks = np.arange(features.count)
    largest = max(
        np.linalg.norm(project(features, blocks, sign * features.correlate(v) / 12), axis=1).max() for sign in (1, -1)
    )
    program = AllPatterns(X, v, 0.01)
    starts = program.passes.starts(300, program.passes.none(), rng)
    found = search(program, v, starts, program.passes.none(), CLOSE)
    assert found.prices[0] == pytest.approx(largest, rel=2e-3)
    assert found.prices[0] <= largest * (1 + 1e-12)
    assert bound(program, v, found.prices[0]).price == pytest.approx(found.prices[0] / 0.01)


@pytest.fixture(scope="module")
def near_the_optimum(record_208):
    """A program of ECG windows and a residual that is nearly optimal."""
    train = split_windows(read_recording(record_208, end=30).signal).train
    program = AllPatterns(train.X, train.y, 1e-4)
    solution = ActiveSetSolver(rounds=4, confirm_starts=0, threads=1).solve(program)
    return program, solution.atoms, program.fitted(program.passes.outputs(solution.atoms)).v


def test_every_second_ascent_begins_with_the_inverse_hessian_of_the_nearest_known_maximum():
    rng = np.random.default_rng(0)
    program = AllPatterns(rng.standard_normal((50, 3)), rng.standard_normal(50), 0.1)
    known = program.family.neurons(np.eye(3)[:2], np.array([1.0, -1.0]))
    bank = Bank(known, np.array([2.0 * np.eye(3), 3.0 * np.eye(3)]))
    near_first, opposite = np.array([0.9, 0.1, 0.4]), np.array([-1.0, 0.0, 0.0])
    points = np.array([near_first, near_first, [0.1, 0.9, 0.4], near_first, opposite, near_first])
    starts = program.family.units(program.family.neurons(points, np.array([1.0, 1.0, -1.0, 1.0, 1.0, 1.0])))
    ascent = Ascent(program, program.y, starts, bank)
    fresh = Ascent(program, program.y, starts, None)
    for k, expected in ((0, bank.inverse[0]), (2, bank.inverse[1])):
        np.testing.assert_array_equal(ascent.inverse[k], expected)
    for k in (1, 3, 4, 5):
        np.testing.assert_array_equal(ascent.inverse[k], fresh.inverse[k])


def test_rejected_trials_teach_the_curvature(near_the_optimum):
    program, atoms, v = near_the_optimum
    starts = program.passes.starts(100, atoms, np.random.default_rng(1))
    ascent = Ascent(program, v, starts, None)
    before, accepted = ascent.inverse.copy(), ascent.prices.copy()
    ascent.climb(1)
    rejected = ascent.prices == accepted
    changed = (ascent.inverse != before).any(axis=(1, 2))
    assert rejected.any()
    assert changed[rejected].mean() > 0.5
    assert (np.linalg.eigvalsh(ascent.inverse) > 0).all()


def test_prices_are_distinct_sorted_and_exact(near_the_optimum):
    program, atoms, v = near_the_optimum
    found = search(program, v, program.passes.starts(100, atoms, np.random.default_rng(0)), atoms, CLOSE)
    assert (np.diff(found.prices) <= 0).all()
    np.testing.assert_allclose(program.family.norms(found.atoms), 1)
    np.testing.assert_allclose(price_atoms(program, v, found.atoms)[:50], found.prices[:50], rtol=1e-12)
    cosines = program.family.cosines(found.atoms, found.atoms) - 2 * np.eye(len(found.prices))
    assert cosines.max() <= CLOSE.cosine + 1e-6


def test_a_bank_is_bounded_and_survives_a_checkpoint(near_the_optimum, tmp_path):
    program, atoms, v = near_the_optimum
    found = search(program, v, program.passes.starts(60, atoms, np.random.default_rng(0)), atoms, CLOSE)
    many = Bank(found.bank.atoms.subset(np.zeros(5000, dtype=int)), np.zeros((5000, 16, 16)))
    assert len(many.best(np.arange(5000.0)).atoms) == 4096
    state = State(0, atoms, program.passes.none(), found.bank, 1e-3, far=False, excess=0.1, number=3)
    save_state(tmp_path / "state", state, "here")
    back = load_state(tmp_path / "state", "here")
    np.testing.assert_array_equal(back.bank.inverse, found.bank.inverse)
    np.testing.assert_array_equal(back.bank.atoms.tags, found.bank.atoms.tags)
    assert (back.far, back.excess, back.number) == (False, 0.1, 3)


def test_a_confirmation_ends_with_its_time_and_is_one_search_without_a_limit(near_the_optimum):
    program, atoms, v = near_the_optimum
    starts = program.passes.starts(600, atoms, np.random.default_rng(2))
    whole, made = search_until(program, v, starts, atoms, Stopwatch(np.inf))
    expected = search(program, v, starts, atoms, CLOSE)
    assert made == 600
    np.testing.assert_array_equal(whole.prices, expected.prices)
    part, made = search_until(program, v, starts, atoms, Stopwatch(1e-9))
    assert made == 300  # of two parts, the first
    assert 0 < part.prices[0] <= whole.prices[0] * (1 + 1e-12)


def test_a_search_that_begins_on_a_sample_ends_on_all_rows(near_the_optimum):
    """Every price is that of all rows; the largest is as near that of a search on all rows as 2,000 rows allow."""
    program, _, v = near_the_optimum
    passes = program.passes
    starts = passes.starts(400, passes.none(), np.random.default_rng(3))
    rows = np.sort(np.random.default_rng(4).choice(program.n, program.n // 4, replace=False))
    found = search(program, v, starts, passes.none(), CLOSE, None, Sample(program.on_rows(rows), rows))
    top = found.atoms.subset(np.arange(5))
    np.testing.assert_allclose(found.prices[:5], price_atoms(program, v, top), rtol=1e-12)
    whole = search(program, v, starts, passes.none(), CLOSE)
    assert found.prices[0] >= 0.8 * whole.prices[0]


@pytest.fixture
def priced(monkeypatch):
    """How many atoms each pass of an ascent prices."""
    numbers: list[int] = []
    of = Ascent._price

    def counted(ascent, moved):
        numbers.append(len(moved))
        return of(ascent, moved)

    monkeypatch.setattr(Ascent, "_price", counted)
    return numbers


def test_ascents_that_rest_find_the_violators_beside_known_maxima(near_the_optimum, priced):
    program, atoms, v = near_the_optimum
    first = search(program, v, program.passes.starts(400, atoms, np.random.default_rng(0)), atoms, CLOSE)
    starts = program.passes.starts(400, atoms, np.random.default_rng(1)).with_more(first.atoms)
    priced.clear()
    found = search(program, v, starts, atoms, CLOSE, first.bank)
    with_rest = sum(priced)
    priced.clear()
    whole = search(program, v, starts, atoms, CLOSE._replace(resting=False), first.bank)
    assert with_rest < 0.9 * sum(priced)
    assert found.prices[0] == pytest.approx(whole.prices[0], rel=1e-3)
    clear = [int((prices > 1.01 * program.beta).sum()) for prices in (found.prices, whole.prices)]
    assert clear[0] >= 0.9 * clear[1] > 0


@pytest.mark.parametrize("seed", range(4))
def test_ascents_that_rest_save_passes_and_leave_the_bound_as_it_is(near_the_optimum, priced, seed):
    program, atoms, v = near_the_optimum
    starts = program.passes.starts(600, atoms, np.random.default_rng(seed))
    whole = search(program, v, starts, atoms, CLOSE._replace(resting=False))
    passes = sum(priced)
    priced.clear()
    found = search(program, v, starts, atoms, CLOSE)
    assert sum(priced) < 0.8 * passes
    assert found.prices[0] == pytest.approx(whole.prices[0], rel=1e-5)
    passes = sum(priced)
    priced.clear()
    beside = search(program, v, starts, atoms, CLOSE, known=2 * whole.prices[0])
    assert sum(priced) < passes
    assert beside.prices[0] <= whole.prices[0] * (1 + 1e-5)
