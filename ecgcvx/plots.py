"""Plots for scripts and notebooks: each draws into `ax`, or into new axes, and returns the axes.

    plot_forecast     signal and forecast on ECG paper
    plot_residual     what the forecast missed
    plot_path         errors along a regularisation path
    plot_beat         the mean beat with its spread
    plot_patterns     which patterns are on where in the beat
    plot_filter       the filter of one pattern, mV per mV

Colours are those of Okabe & Ito (2008), which stay apart for colour-blind readers. matplotlib is imported when a plot
is made.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.figures import FORECAST, GRID, SIGNAL, ecg_paper, paper_limits
from ecgcvx.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ecgcvx.interpretation import Interpretation
    from ecgcvx.path import RegularisationPath
    from ecgcvx.records import Recording

__all__ = ["plot_beat", "plot_filter", "plot_forecast", "plot_path", "plot_patterns", "plot_residual"]

TRAIN, VALIDATION, TEST = "#8a8a8a", "#0072B2", "#D55E00"


def plot_forecast(
    recording: "Recording",
    forecast: Array,
    *,
    start: float | None = None,
    seconds: float = 8.0,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw signal and forecast (samples,) in mV on ECG paper: small squares of 40 ms by .1 mV.

    start : seconds into the recording, by default in its middle.

    Raises InputError for a forecast of another length and for a stretch outside of the recording.
    """
    time, shown, predicted = _stretch(recording, forecast, start, seconds)
    axes = _axes(ax, (9.0, 3.0))
    low, high, square = paper_limits(shown, predicted)
    ecg_paper(axes, (float(time[0]), float(time[-1])), (low, high), square)
    axes.plot(time, shown, color=SIGNAL, linewidth=2.2, label="signal")
    axes.plot(time, predicted, color=FORECAST, linewidth=0.9, label="forecast")
    axes.set(xlabel="time (s)", ylabel="mV")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, ncols=2, frameon=False, fontsize=8)
    return axes


def plot_residual(
    recording: "Recording",
    forecast: Array,
    *,
    start: float | None = None,
    seconds: float = 8.0,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw signal minus forecast in mV; the arguments are those of `plot_forecast`."""
    time, shown, predicted = _stretch(recording, forecast, start, seconds)
    axes = _axes(ax, (9.0, 2.0))
    axes.plot(time, shown - predicted, color=FORECAST, linewidth=0.7)
    axes.axhline(0, color=SIGNAL, linewidth=0.5)
    axes.set(xlim=(time[0], time[-1]), xlabel="time (s)", ylabel="signal − forecast (mV)")
    axes.grid(color=GRID, linewidth=0.4)
    return axes


def plot_path(path: "RegularisationPath", *, ax: "Axes | None" = None) -> "Axes":
    """Draw the errors of training, validation and test (mV) against beta, which falls to the right."""
    axes = _axes(ax, (6.0, 3.6))
    betas = [point.beta for point in path.points]
    for name, colour, style in (("train", TRAIN, "-"), ("validation", VALIDATION, "-"), ("test", TEST, "--")):
        errors = [getattr(point, f"{name}_rmse_mv") for point in path.points]
        axes.plot(betas, errors, style, color=colour, marker="o", markersize=3, label=name)
    axes.axvline(path.chosen.beta, color=VALIDATION, linewidth=0.8, linestyle=":", label="chosen by validation")
    axes.set(xscale="log", yscale="log", xlabel="beta", ylabel="RMSE (mV)")
    if not axes.xaxis_inverted():
        axes.invert_xaxis()
    axes.legend(frameon=False, fontsize=8)
    axes.grid(color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
    return axes


def plot_beat(reading: "Interpretation", symbol: str = "all", *, ax: "Axes | None" = None) -> "Axes":
    """Draw the mean beat of a type with one standard deviation, in mV against ms from the R peak.

    Raises InputError where the interpretation has no beats of that type.
    """
    beat = _beat(reading, symbol)
    axes = _axes(ax, (6.0, 3.0))
    low, high = beat.mean_mv - beat.sd_mv, beat.mean_mv + beat.sd_mv
    axes.fill_between(beat.offsets_ms, low, high, color="#d9dee4", linewidth=0)
    axes.plot(beat.offsets_ms, beat.mean_mv, color=SIGNAL)
    axes.set(xlabel="time from the R peak (ms)", ylabel=f"mean of {beat.count:,} beats (mV)")
    return axes


def plot_patterns(reading: "Interpretation", symbol: str = "all", *, ax: "Axes | None" = None) -> "Axes":
    """Draw in which share of the beats each of the patterns shown is on, against ms from the R peak.

    Raises InputError where the interpretation has no beats of that type.
    """
    from matplotlib.ticker import MaxNLocator

    beat = _beat(reading, symbol)
    axes = _axes(ax, (6.0, 3.0))
    numbers = np.arange(1, len(beat.on) + 1)
    image = axes.pcolormesh(beat.offsets_ms, numbers, beat.on, cmap="Blues", vmin=0, vmax=1, shading="nearest")
    axes.figure.colorbar(image, ax=axes, label="share of beats with it on")
    axes.set(xlabel="time from the R peak (ms)", ylabel="pattern")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_yaxis()
    return axes


def plot_filter(reading: "Interpretation", number: int = 1, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the filter of pattern `number` (from 1): what 1 mV in a sample adds to the forecast, against its age in ms.

    Raises InputError for a pattern that is not among those shown.
    """
    if not 1 <= number <= len(reading.patterns):
        raise InputError(f"number = {number}: the interpretation shows patterns 1 to {len(reading.patterns)}")
    found = reading.patterns[number - 1].filter
    axes = _axes(ax, (5.0, 3.0))
    axes.stem(found.lags_ms, found.impulse_response, basefmt=" ")
    axes.axhline(0, color=SIGNAL, linewidth=0.5)
    axes.set(xlabel="age of the sample (ms)", ylabel="mV per mV")
    return axes


def _axes(ax: "Axes | None", size: tuple[float, float]) -> "Axes":
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(figsize=size, layout="constrained")[1]


def _stretch(
    recording: "Recording", forecast: Array, start: float | None, seconds: float
) -> tuple[Array, Array, Array]:
    rate, samples = recording.sampling_frequency, len(recording.signal)
    if forecast.shape != recording.signal.shape:
        raise InputError(f"forecast has shape {forecast.shape}; the recording has {samples} samples")
    if seconds <= 0:
        raise InputError(f"seconds = {seconds}: give a positive number")
    count = min(max(round(seconds * rate), 2), samples)
    first = (samples - count) // 2 if start is None else round(start * rate)
    if not 0 <= first < samples - 1:
        raise InputError(f"start = {start}: the recording lasts {samples / rate:g} s")
    part = slice(first, min(first + count, samples))
    return np.arange(part.start, part.stop) / rate, recording.signal[part], forecast[part]


def _beat(reading: "Interpretation", symbol: str) -> Any:
    for average in reading.beat_averages:
        if average.symbol == symbol or (symbol == "all" and average is reading.beat_averages[0]):
            return average
    known = ", ".join(average.symbol for average in reading.beat_averages) or "none"
    raise InputError(f"symbol = {symbol!r}: no beats of that type; there are {known}")
