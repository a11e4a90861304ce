"""The numbers of a pattern against brute force, SciPy and NumPy written out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_signals import RATE, by_hand, noisy_signal, random_network, recording_of
from scipy import signal as sps
from two_layers import two_layers

from ecgcvx.activations import Polynomial
from ecgcvx.errors import InputError, ModelError
from ecgcvx.interpretation import decompose, interpret
from ecgcvx.interpretation.filters import LinearFilter
from ecgcvx.interpretation.results import COLUMNS
from ecgcvx.interpretation.sequence import transitions
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork
from ecgcvx.records import Annotation
from ecgcvx.windows import all_windows


def read(network, signal=None, **options):
    """The reading of a network made by hand, its windows, and its forecast in mV."""
    model = by_hand(network)
    recording = recording_of(noisy_signal() if signal is None else signal, annotation=options.pop("annotation", None))
    found = interpret(model, recording, part="all", refitting=None, top=options.pop("top", 50), **options)
    windows = all_windows(recording.signal, model.scaler, model.window, model.horizon)
    return found, windows, model


@pytest.mark.parametrize("taps", [[1.0], [0.2, -0.5, 1.3], list(np.hanning(15))])
def test_responses_are_those_of_scipy(taps):
    one = LinearFilter(np.array(taps), 0.1, 360.0)
    f = np.linspace(1, 170, 40)
    b = np.array(taps)[::-1]
    _, H = sps.freqz(b, worN=f, fs=360.0)
    np.testing.assert_allclose(one.frequency_response(f), H, atol=1e-12)
    _, delay = sps.group_delay((b, [1.0]), w=f, fs=360.0)
    np.testing.assert_allclose(one.group_delay_ms(f), 1e3 * delay / 360.0, atol=1e-6)
    assert one.dc_gain == pytest.approx(abs(one.frequency_response(np.zeros(1))[0]) * np.sign(sum(taps)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.sampled_from(["relu", "gated", "polynomial"]), st.integers(1, 9))
def test_the_parts_of_a_forecast_add_up_to_it(seed, kind, neurons):
    network = random_network(seed, neurons, gated=kind == "gated")
    if kind == "polynomial":
        network = PolynomialNetwork(network.W1, network.W2, Polynomial(0.1, 0.5, 0.4))
    model, recording = by_hand(network), recording_of(noisy_signal(80, seed))
    one = decompose(model, recording, 40)
    assert one.mean_mv + one.contributions.sum() == pytest.approx(
        one.forecast_mv, abs=1e-12 * (1 + abs(one.forecast_mv))
    )
    assert one.forecast_mv == model.predict(recording)[40]
    np.testing.assert_array_equal(one.window, recording.signal[35:39])


@pytest.mark.parametrize("gated", [False, True])
def test_importance_is_what_is_lost_by_removal(gated):
    network = random_network(3, 6, gated=gated)
    found, windows, _ = read(network)
    y, f = windows.y, network.predict(windows.X)
    explained = 1 - np.var(y - f) / np.var(y)
    assert found.explained_variance == pytest.approx(explained)
    for row in found.table.to_dict("records"):
        members = [int(k) for k in row["neurons"].split()]
        without = two_layers(
            np.delete(network.W1, members, 1), np.delete(network.W2, members),
            None if not isinstance(network, GatedNetwork) else np.delete(network.gates, members, 1),
        )  # fmt: skip
        left = 1 - np.var(y - without.predict(windows.X)) / np.var(y)
        assert row["explained_variance_drop"] == pytest.approx(explained - left, abs=1e-9)
        c = f - without.predict(windows.X)
        assert row["variance_share"] == pytest.approx(np.cov(c, f, ddof=0)[0, 1] / np.var(f), abs=1e-9)
        X = np.asarray(windows.X[:])
        nonlinear = c - X @ np.linalg.lstsq(X, c, rcond=None)[0]
        assert row["nonlinear_mv"] == pytest.approx(0.6 * np.sqrt(np.mean(nonlinear**2)), rel=1e-6, abs=1e-9)
    assert found.table["variance_share"].sum() == pytest.approx(1)
    assert found.table["explained_variance_drop"].is_monotonic_decreasing
    assert list(found.table.columns) == list(COLUMNS)


@pytest.mark.parametrize("gated", [False, True])
def test_chunks_of_rows_change_nothing(gated, monkeypatch):
    """Runs, beats and sums that reach from one chunk into the next are those of a single chunk."""
    from ecgcvx.interpretation import moments, units

    signal = noisy_signal(1500, 6)
    signal[700:705] = np.nan
    peaks = np.arange(40, 1480, 97)
    annotation = Annotation(peaks, np.array(["N", "V"] * len(peaks))[: len(peaks)])
    network = random_network(7, 6, gated=gated)
    whole = read(network, signal, annotation=annotation)[0]
    for module in (moments, units):
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", 64)
    pieces = read(network, signal, annotation=annotation)[0]
    pd.testing.assert_frame_equal(pieces.table, whole.table, rtol=1e-6, atol=1e-9)
    for one, other in zip(pieces.patterns, whole.patterns, strict=True):
        np.testing.assert_allclose(one.network_filter.taps, other.network_filter.taps, atol=1e-9)
        np.testing.assert_allclose(one.mean_window, other.mean_window, atol=1e-9)
        assert one.examples == other.examples
    np.testing.assert_allclose(pieces.overlap, whole.overlap)
    np.testing.assert_allclose(pieces.transitions, whole.transitions)


@pytest.mark.parametrize("gated", [False, True])
def test_coverage_dwell_filters_and_windows_of_a_pattern(gated):
    network = random_network(5, 5, gated=gated)
    signal = noisy_signal(900, 4)
    signal[300:306] = np.nan
    found, windows, model = read(network, signal)
    X = np.asarray(windows.X[:])
    gates = network.W1 if not isinstance(network, GatedNetwork) else network.gates
    for pattern in found.patterns:
        k = pattern.neurons[0]
        on = X @ gates[:, k] >= 0
        assert pattern.coverage == pytest.approx(on.mean())
        follows = np.r_[False, np.diff(windows.starts) == 1]
        runs = int((on & ~(np.r_[False, on[:-1]] & follows)).sum())
        assert pattern.dwell_ms == pytest.approx(1e3 * on.sum() / runs / RATE)
        mv = model.scaler.restore(X[:, :-1])
        np.testing.assert_allclose(pattern.mean_window, mv[on].mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(pattern.sd_window, mv[on].std(axis=0), atol=1e-9)
        np.testing.assert_array_equal(pattern.gate(mv) >= 0, on)
        np.testing.assert_allclose(
            pattern.filter(mv), model.scaler.scale * X @ network.W1[:, k] * network.W2[k], atol=1e-9
        )
        assert np.linalg.norm(pattern.gate.taps) == pytest.approx(1)
        assert len({start for start, _ in pattern.examples}) == len(pattern.examples)
    r = model.scaler.scale * (windows.y - network.predict(X))
    assert found.rmse_mv == pytest.approx(np.sqrt(np.mean(r**2)), rel=1e-9)


def test_the_network_filter_is_the_mean_of_the_local_linear_maps():
    network = random_network(8, 4)
    found, windows, _ = read(network)
    X = np.asarray(windows.X[:])
    masks = X @ network.W1 >= 0
    for pattern in found.patterns:
        on = masks[:, pattern.neurons[0]]
        maps = (masks[on] * network.W2) @ network.W1.T
        np.testing.assert_allclose(pattern.network_filter.taps, maps.mean(axis=0)[:-1], atol=1e-9)


def test_overlap_and_transitions_by_counting():
    network = random_network(11, 5)
    found, windows, _ = read(network)
    X = np.asarray(windows.X[:])
    on = np.array([X @ network.W1[:, p.neurons[0]] >= 0 for p in found.patterns])
    expected = np.array([[(a & b).sum() / a.sum() for b in on] for a in on])
    np.testing.assert_allclose(found.overlap, expected, atol=1e-12)
    counts = np.zeros((len(on), len(on)))
    for i, row in enumerate(on):
        for t in range(1, len(row)):
            if row[t - 1] and not row[t]:
                for u in range(t, len(row)):
                    begins = [j for j in range(len(on)) if on[j, u] and not on[j, u - 1]]
                    if begins:
                        counts[i, begins] += 1 / len(begins)
                        break
    totals = counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        found.transitions, np.divide(counts, totals, out=counts * 0, where=totals > 0), atol=1e-12
    )


def test_transitions_do_not_cross_a_gap():
    on = np.array([[1, 0, 0, 0], [0, 0, 1, 0]], dtype=bool)
    assert transitions(on, np.arange(4))[0, 1] == 1
    assert transitions(on, np.array([0, 1, 7, 8]))[0].sum() == 0


def test_neurons_with_one_pattern_are_one_and_opposites_know_each_other():
    w = np.array([0.3, -0.2, 0.5, 1.0, 0.1])
    network = ReluNetwork(np.stack([w, 2 * w, -w, np.r_[0, 0, 0, 0, -1.0]], axis=1), np.array([1.0, -0.2, 0.7, 1.0]))
    found, _, _ = read(network)
    assert sorted(found.table["neurons"]) == ["0 1", "2"]
    assert found.inactive == (3,)
    one, two = found.table.index
    assert found.table.loc[one, "opposite"] == two
    assert found.table.loc[two, "opposite"] == one


def test_beats_of_an_annotation_split_by_type_with_segments_by_counting():
    peaks = np.arange(60, 2900, 200)
    types = tuple("NV"[k % 2] for k in range(len(peaks)))
    network = random_network(2, 4)
    annotation = Annotation(np.r_[peaks, 2950], (*types, "+"))
    found, windows, model = read(network, noisy_signal(3000, 2), annotation=annotation)
    assert found.beats.source == "annotations"
    assert found.beats.counts == {"N": types.count("N"), "V": types.count("V")}
    assert [average.symbol for average in found.beat_averages] == ["all", "N", "V"]
    ms = 1e3 / RATE
    X, targets = np.asarray(windows.X[:]), windows.targets
    nearest = np.array([peaks[np.argmin(np.where(t >= peaks - 200 / 3, t - peaks, 10**6))] for t in targets])
    offset = (targets - nearest) * ms
    inside = (offset >= -200 / 3 * ms) & (offset < 400 / 3 * ms)
    qrs = inside & (offset >= -60) & (offset < 80)
    for pattern, row in zip(found.patterns, found.table.to_dict("records"), strict=True):
        on = X @ network.W1[:, pattern.neurons[0]] >= 0
        assert row["on_qrs"] == pytest.approx(on[qrs].mean(), abs=1e-12)
    average = found.beat_averages[2]
    at = int(np.flatnonzero(average.offsets_ms == 40)[0])
    mine = inside & (offset == 40) & np.isin(nearest, peaks[1::2])
    assert average.mean_mv[at] == pytest.approx(model.scaler.restore(windows.y)[mine].mean())
    assert average.windows[at] == mine.sum()
    number = {t: int((inside & (offset == t) & np.isin(nearest, peaks[1::2])).sum()) for t in np.unique(offset)}
    reached = [t for t, count in number.items() if count >= max(number.values()) / 2]
    np.testing.assert_allclose(average.offsets_ms[[0, -1]], [min(reached), max(reached)])
    assert average.windows.tolist() == [number[t] for t in average.offsets_ms]


def test_no_beat_and_no_pattern_are_said():
    found, _, _ = read(random_network(1, 3), noisy_signal(300))
    assert found.beats is None
    assert found.beat_averages == ()
    assert found.table["on_qrs"].isna().all()
    dead = ReluNetwork(np.zeros((5, 2)), np.array([1.0, -1.0]))
    assert read(dead)[0].patterns == ()


def test_a_polynomial_network_is_a_quadratic_form():
    network = random_network(4, 5)
    network = PolynomialNetwork(network.W1, network.W2, Polynomial(0.09, 0.5, 0.47))
    found, windows, model = read(network)
    mv = model.scaler.restore(np.asarray(windows.X[:])[:, :-1])
    np.testing.assert_allclose(found.quadratic(mv), model.scaler.restore(network.predict(windows.X)), atol=1e-9)
    assert found.kind == "polynomial"
    assert all(pattern.gate is None for pattern in found.patterns)
    form = found.quadratic
    slopes = 2 * mv @ form.Q + form.linear.taps  # of the tangent at each window
    offsets = form(mv) - (slopes * mv).sum(axis=1)
    for pattern in found.patterns:
        np.testing.assert_allclose(pattern.network_filter.taps, slopes.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(pattern.network_filter.bias, offsets.mean(), atol=1e-9)
    assert abs(model.scaler.mean) > 0.01  # else the terms with the mean would not be seen


def test_refusals():
    model, recording = by_hand(random_network(0)), recording_of(noisy_signal())
    with pytest.raises(InputError, match="top = 0"):
        interpret(model, recording, top=0)
    with pytest.raises(InputError, match="importance = 'x'"):
        interpret(model, recording, importance="x")
    with pytest.raises(ModelError, match="360 Hz"):
        interpret(model, replace(recording, sampling_frequency=360.0))
    with pytest.raises(InputError, match="sample = 3"):
        decompose(model, recording, 3)
