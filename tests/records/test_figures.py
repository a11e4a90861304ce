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
