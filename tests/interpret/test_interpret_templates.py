"""Filters of a convolutional network as templates: a planted pulse is found where it was put."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ecgcvx.beats import Beats
from ecgcvx.cli import main
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation import filter_templates
from ecgcvx.models import ReluNetwork
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.patches import Convolution
from ecgcvx.windows import Scaler, Windows

RATE, TAPS, LENGTH = 100.0, 5, 12
PULSE = np.array([0.0, 1.0, 3.0, 1.0, 0.0])
SCALER = Scaler(0.2, 0.5)
DELAY = 20  # samples from the R peak to the middle of the pulse


@pytest.fixture
def planted():
    """A pulse 200 ms after every R peak, a wave of 25 Hz elsewhere; filters for both, the first one of two segments."""
    peaks = np.arange(100, 2000, 100)
    z = 0.05 * np.sin(2 * np.pi * 25.0 / RATE * np.arange(2100))
    for peak in peaks:
        z[peak + DELAY - 2 : peak + DELAY + 3] += PULSE
    centred = PULSE - PULSE.mean()
    wave = np.sin(2 * np.pi * 25.0 / RATE * np.arange(TAPS))
    W1 = np.stack([np.append(centred, -5.0), np.append(0.01 * wave, 0.0), np.zeros(TAPS + 1)], axis=1)
    W2 = np.array([[2.0, 0.01, 0.0], [-1.0, 0.0, 0.0]])
    network = ConvolutionalNetwork(W1, W2, Convolution(TAPS, segments=2), LENGTH + 1)
    forecaster = Forecaster(network, SCALER, "MLII", RATE, LENGTH, 1, 1e-3, "conv", "mV", None)
    return forecaster, Windows(z, ((0, 900), (950, 2000)), LENGTH, 1), Beats(peaks, ("N",) * len(peaks), "annotations")


def test_a_planted_pulse_is_found_where_it_is(planted):
    forecaster, windows, beats = planted
    first, second, dead = filter_templates(forecaster, windows, beats)
    assert (first.number, second.number, dead.number) == (0, 1, 2)
    np.testing.assert_allclose(first.shape_mv, SCALER.restore(PULSE), atol=0.5 * 0.2)
    np.testing.assert_allclose(first.filter.taps, (PULSE - PULSE.mean()) / np.linalg.norm(PULSE - PULSE.mean()))
    # The last sample of the patch, two after the middle of the pulse.
    assert abs(first.fires_at_ms - 1000 * (DELAY + 2) / RATE) <= 10.0
    assert second.peak_hz == pytest.approx(25.0, abs=6.0)
    assert first.on_parts[2] > 0  # T
    assert first.on_parts[[0, 1, 3]].max() == 0
    assert dead.on == 0
    assert np.isnan(dead.shape_mv).all()
    assert first.share + second.share + dead.share == pytest.approx(1)


def test_outputs_times_weights_are_what_the_forecast_gains(planted):
    """On one window: sum over patches of weights times the filter's outputs in mV."""
    forecaster, windows, _ = planted
    network, row = forecaster.network, windows.X[115:116]
    maps, total = network.maps(row)[0], 0.0  # (8, 3)
    for one in filter_templates(forecaster, windows, None):
        size = max(float(np.linalg.norm(network.W1[:TAPS, one.number])), 1e-300)
        per_patch = maps[:, one.number] * SCALER.scale / size
        total += float(per_patch[:4].sum() * one.weights[0] + per_patch[4:].sum() * one.weights[1])
        assert one.on_parts is one.fires_mv is one.bins_ms is one.fires_at_ms is None
    assert maps.any()
    assert total == pytest.approx(SCALER.scale * float(network.predict(row)[0]), rel=1e-9)


def test_other_networks_have_none(planted):
    _, windows, beats = planted
    other = Forecaster(
        ReluNetwork(np.ones((LENGTH + 1, 2)), np.ones(2)), SCALER, "MLII", RATE, LENGTH, 1, 1e-3, "relu", "mV", None
    )
    assert filter_templates(other, windows, beats) == ()


def test_the_command_shows_filters(record_208, tmp_path, capsys):
    record = [str(record_208), "--end", "10"]
    fit = ["--network", "conv", "--beta", "1e-2", "--rounds", "2", "--confirm-starts", "10", "--output", str(tmp_path)]
    assert main(["fit", *record, *fit]) == 0
    capsys.readouterr()
    assert main(["interpret", str(tmp_path), *record, "--no-stability"]) == 0
    assert "fires at ms" in capsys.readouterr().out
    assert main(["interpret", str(tmp_path), *record, "--no-stability", "--json"]) == 0
    (one, *_) = json.loads(capsys.readouterr().out)["filters"]
    assert len(one["shape_mv"]) == len(one["filter"]["taps"]) == 5
    assert 0 < one["share"] <= 1


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_patches_are_those_that_windows_have(planted, stride):
    """Share of the patches that a filter fires at, of all samples that the last patch of a window can begin at."""
    forecaster, windows, _ = planted
    weights = np.ones(3)
    convolution = Convolution(TAPS, stride=stride)
    network = ConvolutionalNetwork(forecaster.network.W1, weights, convolution, LENGTH + 1)
    found = filter_templates(replace(forecaster, network=network), windows, None)
    reach = (LENGTH - TAPS) // stride * stride
    starts = np.r_[0 : 900 + reach, 950 : 2000 + reach]
    patches = np.c_[np.lib.stride_tricks.sliding_window_view(windows.signal, TAPS)[starts], np.ones(len(starts))]
    for one in found:
        assert one.on == pytest.approx((patches @ network.W1[:, one.number] > 0).mean(), abs=1e-12)
