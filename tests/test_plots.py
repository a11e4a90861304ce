"""Plots draw the numbers that they are given, into the axes that they are given."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import ecgcvx
from ecgcvx import plots
from ecgcvx.errors import InputError

mpl.use("agg")


@pytest.fixture(scope="module")
def recording(record_208):
    return ecgcvx.read_recording(record_208, end=40)


@pytest.fixture(scope="module")
def model(recording):
    return ecgcvx.fit(recording, "gated", patterns=6, beta=1e-3, baselines="none").forecaster


@pytest.fixture(scope="module")
def reading(model, recording):
    return ecgcvx.interpret(model, recording, part="all", top=3, refitting=None)


@pytest.fixture
def ax():
    return Figure().add_subplot()


def line(axes, label):
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return found


def test_the_forecast_is_drawn_over_the_signal_to_scale(recording, model, ax):
    forecast = model.predict(recording)
    assert plots.plot_forecast(recording, forecast, start=10.0, seconds=2.0, ax=ax) is ax
    part = slice(3600, 4320)
    assert np.array_equal(line(ax, "signal").get_ydata(), recording.signal[part])
    assert np.array_equal(line(ax, "forecast").get_ydata(), forecast[part])
    assert np.allclose(line(ax, "signal").get_xdata(), np.arange(3600, 4320) / 360)
    low, high = ax.get_ylim()
    assert low < recording.signal[part].min()
    assert high > recording.signal[part].max()


def test_the_residual_is_the_difference(recording, model, ax):
    forecast = model.predict(recording)
    plots.plot_residual(recording, forecast, start=10.0, seconds=2.0, ax=ax)
    assert np.array_equal(ax.lines[0].get_ydata(), (recording.signal - forecast)[3600:4320])


def test_a_path_has_its_points_and_falls_to_the_right(recording, ax):
    path = ecgcvx.regularisation_path(recording, "gated", patterns=6, betas=3, ratio=1e-2)
    plots.plot_path(path, ax=ax)
    assert list(line(ax, "validation").get_ydata()) == [point.validation_rmse_mv for point in path.points]
    assert ax.xaxis_inverted()


def test_beats_patterns_and_filters_are_those_of_the_reading(reading, ax):
    beat = reading.beat_averages[0]
    plots.plot_beat(reading, ax=ax)
    assert np.array_equal(ax.lines[0].get_ydata(), beat.mean_mv)
    patterns = plots.plot_patterns(reading, ax=Figure().add_subplot())
    assert np.allclose(patterns.collections[0].get_array().reshape(beat.on.shape), beat.on, equal_nan=True)
    taps = plots.plot_filter(reading, 2, ax=Figure().add_subplot())
    assert np.array_equal(taps.containers[0].markerline.get_ydata(), reading.patterns[1].filter.impulse_response)


def test_without_axes_there_are_new_ones(recording, model):
    from matplotlib import pyplot

    axes = plots.plot_residual(recording, model.predict(recording))
    assert axes.get_ylabel() == "signal − forecast (mV)"
    pyplot.close(axes.figure)


def test_what_cannot_be_drawn_is_refused(recording, reading, ax):
    forecast = np.zeros(len(recording.signal))
    with pytest.raises(InputError, match="forecast has shape"):
        plots.plot_forecast(recording, forecast[:-1], ax=ax)
    with pytest.raises(InputError, match="start = 400: the recording lasts 40 s"):
        plots.plot_forecast(recording, forecast, start=400, ax=ax)
    with pytest.raises(InputError, match="seconds = 0"):
        plots.plot_residual(recording, forecast, seconds=0, ax=ax)
    with pytest.raises(InputError, match="no beats of that type"):
        plots.plot_beat(reading, "Z", ax=ax)
    with pytest.raises(InputError, match="patterns 1 to 3"):
        plots.plot_filter(reading, 9, ax=ax)
