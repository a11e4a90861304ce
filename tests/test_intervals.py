"""Intervals are those of split conformal prediction, in groups; with adaptation as many miss as were asked for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import (
    KEPT,
    Calibration,
    Local,
    _group_edges,
    calibrate,
    follow,
    start,
    steps,
)
from ecgcvx.model_file import digest, load
from ecgcvx.models import ReluNetwork
from ecgcvx.records import Recording
from ecgcvx.residual_tree import MIDDLE, SPREAD
from ecgcvx.streaming import StreamPredictor
from ecgcvx.windows import Scaler

RATE, WINDOW = 20.0, 6
LEAF = np.array([[-1.0, 0.0, 0.0, 0.0, 1.0]])


def rows(n, seed=0, window=WINDOW):
    return np.c_[np.random.default_rng(seed).standard_normal((n, window)).cumsum(axis=1) / 2, np.ones(n)]


def residuals(X, seed=1):
    """Errors whose size is visible in the window, shifted and skewed."""
    noise = np.random.default_rng(seed).standard_normal(len(X))
    return 0.02 * np.exp(0.8 * np.abs(X[:, -2] - X[:, -3]) + 0.1 * X[:, 2] ** 2) * (noise + 0.3 * noise**2)


def calibration(n=900, coverages=(0.5, 0.9), seed=0):
    X, Z = rows(2000, seed), rows(n, seed + 7)
    return calibrate((X, residuals(X)), (Z, residuals(Z, 2)), coverages)


def forecaster(horizon=2):
    rng = np.random.default_rng(3)
    network = ReluNetwork(rng.standard_normal((WINDOW + 1, 4)), 0.3 * rng.standard_normal(4))
    return Forecaster(network, Scaler(0.1, 0.4), "II", RATE, WINDOW, horizon, 1e-3, calibration=calibration())


def signal(n=400, seed=0, holes=3):
    rng = np.random.default_rng(seed)
    out = rng.standard_normal(n).cumsum() / 8
    for first in rng.integers(0, n, holes):
        out[first : first + int(rng.integers(1, 5))] = np.nan
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(21, 3000), st.floats(0.02, 0.9), st.integers(0, 99))
@example(19, 0.9, 0)
def test_ends_are_the_order_statistics_of_split_conformal_or_the_next_kept_ones_outwards(n, coverage, seed):
    r = np.sort(np.random.default_rng(seed).standard_normal(n))
    Z = np.c_[np.zeros((n, WINDOW)), np.ones(n)]  # a single leaf: all windows are the same
    found = calibrate((Z, r), (Z, r), (coverage,))
    assert found.counts.tolist() == [n]
    (middle, spread), r = found.tree[0, [MIDDLE, SPREAD]], (r - found.tree[0, MIDDLE]) / found.tree[0, SPREAD]
    low, high = np.quantile(middle + spread * r, [0.05, 0.95])
    np.testing.assert_allclose([middle, spread], [(low + high) / 2, (high - low) / 2], rtol=1e-9, atol=1e-9)
    lower, upper = found.ends(coverage)[0]
    rank = int(np.floor(round((n + 1) * (1 - coverage) / 2, 9)))  # from 1
    if n <= KEPT:
        assert (lower, upper) == (r[rank - 1], r[n - rank])
    slack = int(np.ceil(n / (KEPT - 1)))
    assert r[max(rank - 1 - slack, 0)] <= lower <= r[rank - 1]
    assert r[n - rank] <= upper <= r[min(n - rank + slack, n - 1)]


def test_every_group_holds_its_share_of_fresh_windows():
    X, Z, fresh = rows(40_000, 0), rows(20_000, 1), rows(60_000, 2)
    found = calibrate((X, residuals(X)), (Z, residuals(Z, 5)))
    r, local = residuals(fresh, 6), found.local(fresh)
    assert 5 <= len(found.counts) <= 20
    lower, upper = local.interval(np.zeros(len(r)), found.ends(0.9))
    inside = (r >= lower) & (r <= upper)
    for g in range(len(found.counts)):
        chosen = local.groups == g
        # Beta(n + 1 - 2 l, 2 l) over calibrations and binomial over fresh windows: five standard deviations.
        spread = np.sqrt(0.9 * 0.1 * (1 / found.counts[g] + 1 / chosen.sum()))
        assert abs(inside[chosen].mean() - 0.9) < 5 * spread
    true = 0.8 * np.abs(fresh[:, -2] - fresh[:, -3]) + 0.1 * fresh[:, 2] ** 2  # log of the size of the errors
    assert np.corrcoef(np.log(local.spreads), true)[0, 1] > 0.8
    assert np.corrcoef(local.middles, np.exp(true))[0, 1] > 0.6  # skewed errors: the middle rises with their size


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 900)), min_size=1, max_size=40))
def test_groups_hold_enough_of_the_validation_part_however_spreads_tie(values):
    spreads = np.concatenate([np.full(count, 1.0 + value) for value, count in values])
    edges = _group_edges(spreads)
    counts = np.bincount(np.searchsorted(edges, spreads, side="right"), minlength=len(edges) + 1)
    assert len(counts) <= 20
    assert len(counts) == 1 or counts.min() >= max(len(spreads) / 20, 200)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 0.3), st.sampled_from([0.5, 0.9, 0.99]), st.integers(1, 6), st.integers(0, 99))
def test_misses_of_every_group_are_as_many_as_its_width_moved(gamma, coverage, horizon, seed):
    """The identity of the module: whatever the signal, also one that runs away."""
    rng = np.random.default_rng(seed)
    n = 500
    known = calibration(coverages=(0.5,)) if coverage != 0.99 else calibration(coverages=(0.5,), n=4000)
    centres, widths = start(known, (coverage,))
    before = widths.copy()
    samples = rng.standard_normal(n).cumsum() * np.exp(rng.uniform(-1, 3) * np.arange(n) / n)
    groups = rng.integers(0, len(known.counts), n)
    targets = np.arange(horizon, n + horizon)
    lower, upper = np.empty((n, 1)), np.empty((n, 1))
    local = Local(groups, rng.standard_normal(n), rng.uniform(0.1, 2, n))
    follow(targets, samples, np.zeros(n), local, horizon, centres, widths, steps((coverage,), gamma), lower, upper)
    missed = (samples < lower[:, 0]) | (samples > upper[:, 0])
    due = np.arange(n) <= n - 1 - horizon  # the others fall due after the end
    for g in range(len(known.counts)):
        chosen = due & (groups == g)
        moved = np.log(widths[g, 0] / before[g, 0]) / gamma
        assert missed[chosen].sum() - (1 - coverage) * chosen.sum() == pytest.approx(moved, abs=1e-6)


def test_intervals_know_only_the_past():
    model, samples = forecaster(horizon=3), signal(holes=0)
    changed = samples.copy()
    changed[200:] += 9.0
    first, second = (model.predict_interval(Recording(one, RATE, "II", "x"), adapt=True) for one in (samples, changed))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a[: 200 + 3], b[: 200 + 3])  # made up to sample 199
        assert (a[203:] != b[203:]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(0, 400), max_size=8), st.integers(0, 99), st.integers(0, 400))
def test_a_stream_makes_the_intervals_of_the_whole_recording(horizon, cuts, seed, saved):
    model, samples, coverages = forecaster(horizon), signal(seed=seed), (0.5, 0.9)
    stream, parts = StreamPredictor(model, coverages=coverages), []
    for piece in np.split(samples, sorted({*cuts, saved})):
        if len(piece) == 1:
            parts.append(stream.push(float(piece[0])).intervals[None])
        else:
            parts.append(stream.push_chunk(piece).intervals)
    made = np.concatenate(parts)
    for c, coverage in enumerate(coverages):
        expected = model.predict_interval(Recording(samples, RATE, "II", "x"), coverage, adapt=True)
        due = np.flatnonzero(np.isfinite(expected.lower))
        for end in range(2):
            np.testing.assert_array_equal(made[due - horizon, c, end], expected[end][due])
        inside = (samples >= expected.lower) & (samples <= expected.upper)
        assert stream.intervals.held[0, c] == pytest.approx(inside[due].mean())


def test_one_prediction_serves_all_intervals(monkeypatch):
    model, recording = forecaster(), Recording(signal(), RATE, "II", "x")
    chosen = [(coverage, adapt) for coverage in (0.5, 0.9) for adapt in (False, True)]
    expected = [model.predict_interval(recording, coverage, adapt=adapt) for coverage, adapt in chosen]
    plain = model.predict(recording)
    calls, predict = [], ReluNetwork.predict
    monkeypatch.setattr(ReluNetwork, "predict", lambda network, X: calls.append(X) or predict(network, X))
    made = model.forecasts(recording)
    for (coverage, adapt), interval in zip(chosen, expected, strict=True):
        np.testing.assert_array_equal(made.interval(coverage, adapt=adapt), interval)
    np.testing.assert_array_equal(made.samples(), plain)
    assert len(calls) == 1


def test_a_resumed_stream_keeps_its_intervals(tmp_path):
    model, samples = forecaster(), signal()
    whole = StreamPredictor(model, coverages=(0.8,), gamma=0.1).push_chunk(samples)
    stream = StreamPredictor(model, coverages=(0.8,), gamma=0.1)
    stream.push_chunk(samples[:150])
    stream.save(tmp_path / "state")
    later = StreamPredictor.resume(model, tmp_path / "state").push_chunk(samples[150:])
    np.testing.assert_array_equal(later.intervals, whole.intervals[150:])


def test_the_model_file_keeps_the_calibration(tmp_path):
    model = forecaster()
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.calibration.coverages == (0.5, 0.9)
    recording = Recording(signal(), RATE, "II", "x")
    for a, b in zip(again.predict_interval(recording), model.predict_interval(recording), strict=True):
        np.testing.assert_array_equal(a, b)
    other = replace(model.calibration, residuals=model.calibration.residuals + 1.0)
    assert digest(replace(model, calibration=other)) != digest(model)


def test_a_model_without_calibration_says_what_to_do(tmp_path):
    model = replace(forecaster(), calibration=None)
    model.save(tmp_path / "model")
    for call in (
        lambda: load(tmp_path / "model").predict_interval(Recording(signal(), RATE, "II", "x")),
        lambda: StreamPredictor(model, coverages=(0.9,)),
    ):
        with pytest.raises(ModelError, match="fit again with --intervals"):
            call()


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 90.0, float("nan")])
def test_a_coverage_outside_its_range_is_refused(coverage):
    with pytest.raises(InputError, match=r"coverage = .*between 0 and 1"):
        forecaster().predict_interval(Recording(signal(), RATE, "II", "x"), coverage)


def test_a_coverage_beyond_the_residuals_is_refused():
    known = calibration(n=900)
    least = int(known.counts.min())
    known.ends(1 - 2 / (least + 1))
    with pytest.raises(InputError, match=f"keeps {least} residuals of a group, enough for a coverage of 0.99"):
        known.ends(1 - 1.9 / (least + 1))


@pytest.mark.parametrize(
    "change",
    [
        {"edges": np.array([1.0, 0.5, 2.0])}, {"counts": np.array([5.0, 5.0])}, {"tree": np.array([[1.0]])},
        {"residuals": -np.sort(np.random.default_rng(0).random((4, 9)), axis=1)}, {"coverages": ()},
        {"tree": np.full((1, 5), np.nan)}, {"tree": np.array([[0.0, 0.0, 1.0, 0.0, 1.0]])},
    ],
)  # fmt: skip
def test_a_calibration_that_does_not_fit_is_refused(change):
    good = {"tree": LEAF, "edges": np.arange(3.0), "residuals": np.zeros((4, 9)), "counts": np.full(4, 9.0)}
    Calibration(**good)
    with pytest.raises(InputError):
        Calibration(**{**good, **change})
