"""Figures of a recording have a bounded size, whatever its amplitude."""

import numpy as np
import pytest

from ecgcvx.figures import forecast_figure


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("pop", [0.0, 900.0, -1e9])
def test_height_is_bounded(factor, pop):
    signal = factor * np.sin(np.arange(3000) / 9)
    signal[1000] += factor * pop
    figure = forecast_figure(signal, signal, 360.0, 0, "title", "note")
    width, height = figure.get_size_inches() * figure.dpi
    assert height < 1400
    assert width < 1600
    assert len(figure.axes[0].collections) == 2  # the grid is two collections, not a line at a time


def test_ordinary_signals_are_on_ecg_paper_and_pops_are_marked():
    signal = np.sin(np.arange(3000) / 9)
    figure = forecast_figure(signal, signal, 360.0, 0, "title", "note")
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    height = axes.get_position().height * figure.get_size_inches()[1] * 25.4
    assert height == pytest.approx((high - low) / 0.1)  # 10 mm a mV
    assert (low, high) == (-1.5, 1.5)
    marked = signal.copy()
    marked[1000] = 900
    axes = forecast_figure(marked, signal, 360.0, 0, "title", "note").axes[0]
    assert axes.get_ylim()[1] < 8
    wild = signal.copy()
    wild[1000:1020] = -1e4  # a forecast that fails does not set the scale
    assert forecast_figure(signal, wild, 360.0, 0, "title", "note").axes[0].get_ylim()[0] > -8
    [carets] = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert carets.get_xdata().tolist() == [1000 / 360]


@pytest.mark.parametrize("seconds", [0.02, 0.5, 1.2, 2.0, 5.0, 9.0])
def test_a_short_strip_is_enlarged_and_its_words_lie_clear_of_it(seconds):
    signal = 0.4 * np.sin(np.arange(round(360 * seconds)) / 9)
    long = "a record with a name of some length, MLII: forecast 1 sample (2.78 ms) ahead" * 2
    figure = forecast_figure(signal, signal, 360.0, 0, long, "test part; a network, 34 neurons, test RMSE .0160 mV")
    figure.canvas.draw()
    upper = figure.axes[0].get_window_extent()
    assert figure.get_size_inches()[0] * 25.4 >= 150
    if seconds >= 1:
        assert upper.width / figure.dpi * 25.4 >= 99
    boxes = [text.get_window_extent() for text in figure.texts] + [figure.axes[0].get_legend().get_window_extent()]
    for k, box in enumerate(boxes):
        assert box.y0 >= upper.y1 - 1  # clear of the signal
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])
    shown = (min(len(signal), 8 * 360) - 1) / 360
    time_mm = upper.width / figure.dpi * 25.4 / shown if seconds >= 0.1 else None
    stated = figure.texts[1].get_text().replace("\n", " ")
    assert time_mm is None or f"; {time_mm:.4g} mm/s" in stated
