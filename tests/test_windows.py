"""Windows against a plain loop over the samples: nothing crosses a gap or the split, and nothing is lost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.errors import InputError
from ecgcvx.windows import Scaler, all_windows, split_windows


def by_hand(signal, length, horizon, first, stop):
    """(start, window, target) of every admissible window, one sample at a time."""
    out = []
    for s in range(first, stop):
        end = s + length - 1 + horizon
        if end < stop and np.isfinite(signal[s : end + 1]).all():
            out.append((s, signal[s : s + length], signal[end]))
    return out


def boundary_by_hand(signal, length, horizon, fraction):
    """The sample after the first share of those that belong to any window or its target."""
    used = sorted(
        {t for s, _, _ in by_hand(signal, length, horizon, 0, len(signal)) for t in range(s, s + length + horizon)}
    )
    return used[int(fraction * len(used)) - 1] + 1 if int(fraction * len(used)) else 0


@st.composite
def gapped_signals(draw):
    n = draw(st.integers(10, 120))
    signal = np.random.default_rng(draw(st.integers(0, 999))).standard_normal(n)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, n - 1))
        signal[at : at + draw(st.integers(1, 5))] = np.nan
    return signal


@settings(max_examples=200, deadline=None)
@given(gapped_signals(), st.integers(1, 8), st.integers(1, 5), st.floats(0.2, 0.9))
def test_split_equals_a_loop_over_samples(signal, length, horizon, fraction):
    k = boundary_by_hand(signal, length, horizon, fraction)
    expected = [by_hand(signal, length, horizon, 0, k), by_hand(signal, length, horizon, k, len(signal))]
    try:
        split = split_windows(signal, length, horizon, fraction)
    except InputError:
        assert not expected[0] or not expected[1] or np.nanstd(signal[:k]) < 1e-9 or np.isfinite(signal[k:]).sum() < 2
        return
    mean, scale = np.nanmean(signal[:k]), np.nanstd(signal[:k])
    assert split.scaler.mean == pytest.approx(mean)
    assert split.scaler.scale == pytest.approx(scale)
    assert split.scaler.restore(split.scaler.standardise(signal)) == pytest.approx(signal, nan_ok=True)
    for part, rows in zip((split.train, split.test), expected, strict=True):
        np.testing.assert_array_equal(part.starts, [s for s, _, _ in rows])
        np.testing.assert_allclose(part.X[:][:, :-1], [(w - mean) / scale for _, w, _ in rows], atol=1e-9)
        np.testing.assert_allclose(part.y, [(t - mean) / scale for _, _, t in rows], atol=1e-9)
        assert (part.X[:][:, -1] == 1).all()
    counts = split.counts
    assert counts.train + counts.test + counts.excluded == max(len(signal) - length - horizon + 1, 0)
    assert counts.split == len(by_hand(signal, length, horizon, 0, len(signal))) - counts.train - counts.test


@settings(max_examples=50, deadline=None)
@given(gapped_signals(), st.integers(0, 130), st.integers(0, 130))
def test_any_slice_of_the_matrix_is_the_same_rows(signal, a, b):
    try:
        X = all_windows(signal, Scaler(0.0, 1.0), 3, 1).X
    except InputError:
        return
    np.testing.assert_array_equal(X[a:b], X[:][a:b])


@settings(max_examples=50, deadline=None)
@given(gapped_signals(), st.data())
def test_any_rows_of_the_matrix_are_those_rows(signal, data):
    """Some windows by number, of a signal with gaps, so that a window's number and its first sample differ."""
    try:
        X = all_windows(signal, Scaler(0.0, 1.0), 3, 1).X
    except InputError:
        return
    rows = np.array(data.draw(st.lists(st.integers(0, len(X) - 1), min_size=1, max_size=20)), dtype=np.intp)
    np.testing.assert_array_equal(X.take(rows)[:], X[:][rows])


def test_a_matrix_is_an_array_for_numpy_and_anything_but_a_slice_is_refused_by_name():
    windows = split_windows(np.sin(np.arange(120.0)), 15, 1).train
    X = windows.X
    by_hand = np.c_[np.lib.stride_tricks.sliding_window_view(windows.signal, 15)[: len(windows)], np.ones(len(windows))]
    np.testing.assert_array_equal(np.asarray(X), by_hand)
    np.testing.assert_array_equal(np.asarray(X, np.float32), by_hand.astype(np.float32))
    with pytest.raises(ValueError, match="copy"):
        np.asarray(X, copy=False)
    for rows in (3, slice(0, 8, 2), [0, 1]):
        with pytest.raises(InputError, match=r"rows .*: a window matrix is sliced as X\[a:b\]"):
            X[rows]


def test_windows_are_views_of_the_signal():
    split = split_windows(np.sin(np.arange(400.0)), 15, 1)
    assert all(np.shares_memory(view, split.train.signal) for view in split.train.X.views)


def test_no_training_window_sees_the_test_part():
    signal = np.random.default_rng(0).standard_normal(500)
    changed = signal.copy()
    changed[400:] = 1e6 * np.arange(100)
    one, two = split_windows(signal, 15, 4), split_windows(changed, 15, 4)
    np.testing.assert_array_equal(one.train.X[:], two.train.X[:])
    np.testing.assert_array_equal(one.train.y, two.train.y)
    assert one.scaler == two.scaler


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"length": 0}, "window = 0"),
        ({"horizon": 0}, "horizon = 0"),
        ({"train_fraction": 1.0}, "train_fraction = 1.0"),
        ({"train_fraction": float("nan")}, "train_fraction = nan"),
        ({"length": 30}, "test part"),
    ],
)
def test_bad_options_are_named(options, named):
    with pytest.raises(InputError, match=named):
        split_windows(np.sin(np.arange(100.0)), **options)


@pytest.mark.parametrize("signal", [np.ones(100), np.full(100, np.nan), np.empty(0)])
def test_signals_without_information_are_refused(signal):
    with pytest.raises(InputError, match="signal"):
        split_windows(signal)


def test_split_counts_windows_not_time():
    """Nine tenths of the record are a gap: both parts have their share of what is left."""
    signal = np.full(10_000, np.nan)
    signal[:500] = np.sin(np.arange(500.0))
    signal[9500:] = np.cos(np.arange(500.0))
    split = split_windows(signal, 15, 1, 0.8)
    assert split.boundary == 9800
    assert len(split.train) == 500 - 15 + 300 - 15
    assert len(split.test) == 200 - 15


def test_scaler_is_mean_and_deviation_of_the_training_part():
    signal = 3.0 + 2.0 * np.random.default_rng(0).standard_normal(1000)
    scaler = split_windows(signal).scaler
    assert scaler.mean == pytest.approx(sum(signal[:800]) / 800)
    assert scaler.scale == pytest.approx(np.sqrt(sum((signal[:800] - scaler.mean) ** 2) / 800))
    z = scaler.standardise(signal)
    assert z[:800].mean() == pytest.approx(0, abs=1e-12)
    assert z[:800].var() == pytest.approx(1)
    np.testing.assert_allclose(scaler.restore(z), signal)


@pytest.mark.parametrize("part", ["train", "test"])
def test_error_of_forecasts_is_that_of_the_samples_in_mv(part):
    signal = np.cumsum(np.random.default_rng(1).standard_normal(400))
    split = split_windows(signal, 5, 2)
    windows = getattr(split, part)
    squares = [(signal[t] - signal[t - 2]) ** 2 for t in windows.targets]  # the last sample is the forecast
    error = split.rmse_mv(lambda X: np.asarray(X)[:, -2], None if part == "test" else windows)
    assert error == pytest.approx(np.sqrt(sum(squares) / len(squares)), rel=1e-12)


@pytest.mark.parametrize("value", [1e300, -1e11])
def test_sample_that_is_no_voltage_is_named(value):
    signal = np.sin(np.arange(500.0))
    signal[17] = value
    with pytest.raises(InputError, match=r"sample 17 is .* mV, which is no ECG"):
        split_windows(signal)
    with pytest.raises(InputError, match="sample 17"):
        all_windows(signal, Scaler(0.0, 1.0), 15, 1)


def test_constant_test_part_is_refused():
    signal = np.sin(np.arange(500.0))
    signal[390:] = 0.0
    with pytest.raises(InputError, match=r"the test part is constant \(0 mV from sample 400 on\)"):
        split_windows(signal)


def test_a_test_part_whose_targets_are_constant_is_refused_whatever_its_gaps():
    """A gap moves the boundary: the part begins with samples that vary, and forecasts none of them."""
    signal = np.sin(np.arange(6000.0))
    signal[4800:] = 0.3
    signal[5000] = np.nan
    with pytest.raises(InputError, match=r"the test part is constant \(0.3 mV from sample 4799 on\)"):
        split_windows(signal)


def test_a_longer_recording_is_asked_for_only_where_it_helps():
    with pytest.raises(InputError, match="give a longer recording"):
        split_windows(np.sin(np.arange(12.0)))
    signal = np.sin(np.arange(5000.0))
    signal[::10] = np.nan
    with pytest.raises(InputError, match="choose another lead, or a smaller window or horizon"):
        split_windows(signal)
