"""Figures: the forecast drawn over the signal on ECG paper, the residual below it."""

from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from ecgcvx.files import atomic_write
from ecgcvx.types import Array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ecgcvx.fan import FanStrip
    from ecgcvx.fitting import SparseLine
    from ecgcvx.intervals import Interval
    from ecgcvx.path import RegularisationPath

SECONDS_PER_MM, MV_PER_MM = 0.04, 0.1  # ECG paper: 25 mm/s and 10 mm/mV
MM = 1 / 25.4  # inches
SIGNAL, FORECAST, GRID = "#1a1a1a", "#4a8df0", "#e8a0a0"
STRIP_SECONDS = 8.0
NARROWEST, TALLEST = 150.0, 150.0  # mm, of a figure, and of a strip that is enlarged
MOST_ENLARGED = 4.0
TITLE_MM, NOTE_MM = 2.5, 1.6  # of a character, on average
LARGEST_SPAN = 15.0  # mV on ECG paper; more is drawn to a smaller scale


def forecast_figure(
    signal: Array,
    forecast: Array,
    sampling_frequency: float,
    first: int,
    title: str,
    note: str,
    band: "tuple[float, Interval] | None" = None,
) -> "Figure":
    """Return a strip of signal and forecast (samples,) in mV from sample `first` on, on ECG paper, and its scale.

    A strip that is short is enlarged. The residual below has the same time axis and an amplitude scale of its own.
    note: under the title; the scale is added to it. band : coverage and ends (samples,) in mV of an interval of the
    forecast, drawn in both.
    """
    from matplotlib.figure import Figure

    stop = min(first + round(STRIP_SECONDS * sampling_frequency), len(signal))
    time = np.arange(first, stop) / sampling_frequency
    shown, predicted = signal[first:stop], forecast[first:stop]
    residual = shown - predicted
    low, high, square = paper_limits(shown, predicted)
    width, height = max((time[-1] - time[0]) / SECONDS_PER_MM, 1.0), (high - low) / square
    times = max(1.0, float(np.floor(min(STRIP_SECONDS / SECONDS_PER_MM / width, TALLEST / height, MOST_ENLARGED))))
    width, height = times * width, times * height
    below, left, right, between, bottom = 28.0, 18.0, 6.0, 4.0, 13.0  # mm
    across = max(left + width + right, NARROWEST)
    scale = f"{times / SECONDS_PER_MM:g} mm/s, {times / square:g} mm/mV"
    titles = wrap(title, int((across - left - right) / TITLE_MM)) or [""]
    notes = wrap(f"{note}; {scale}", int((across - left - right) / NOTE_MM))
    top = 9.0 + 5.5 * len(titles) + 4.0 * len(notes)
    total = np.array([across, bottom + below + between + height + top])
    figure = Figure(figsize=tuple(total * MM), dpi=150)

    def axes(up: float, tall: float) -> "Axes":
        return figure.add_axes((left / total[0], up / total[1], width / total[0], tall / total[1]))

    upper, lower = axes(bottom + below + between, height), axes(bottom, below)
    ecg_paper(upper, (time[0], time[-1]), (low, high), square)
    if band is not None:
        coverage, (under, over) = band[0], (end[first:stop] for end in band[1])
        upper.fill_between(
            time, np.clip(under, low, high), np.clip(over, low, high), color=FORECAST, alpha=0.25, linewidth=0,
            label=f"{100 * coverage:g} % interval",
        )  # fmt: skip
        lower.fill_between(time, under - predicted, over - predicted, color=FORECAST, alpha=0.25, linewidth=0)
    upper.plot(time, shown, color=SIGNAL, linewidth=2.2, label="signal")
    upper.plot(time, predicted, color=FORECAST, linewidth=0.8, label="forecast")
    for beyond, edge, mark in ((shown > high, high, 6), (shown < low, low, 7)):  # carets that point outwards
        if beyond.any():
            upper.plot(time[beyond], np.full(beyond.sum(), edge), color=SIGNAL, marker=mark, linestyle="none")
    upper.set_ylabel("mV" if square == MV_PER_MM else f"mV, {square:g} a small square")
    upper.tick_params(labelbottom=False)
    upper.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, borderpad=0.0, ncols=3, frameon=False,
                 fontsize=8)  # fmt: skip
    lower.plot(time, residual, color=FORECAST, linewidth=0.7)
    lower.axhline(0, color=SIGNAL, linewidth=0.5)
    lower.set(xlim=(time[0], time[-1]), xlabel="time (s)", ylabel="residual (mV)")
    lower.grid(color=GRID, linewidth=0.4)
    for text, size, weight, colour, above in (
        (titles, 11, "bold", "black", 0.0), (notes, 8, "normal", "#444444", 5.5 * len(titles)),
    ):  # fmt: skip
        figure.text(left / total[0], 1 - (3.0 + above) / total[1], "\n".join(text), fontsize=size, fontweight=weight,
                    va="top", color=colour, linespacing=1.15)  # fmt: skip
    return figure


def horizon_figure(
    signal: Array, sampling_frequency: float, strip: "FanStrip", errors: "Mapping[str, Mapping[int, float]]",
    title: str, note: str,
) -> "Figure":  # fmt: skip
    """Return the fans of a strip over the signal (samples,) in mV, and errors in mV by model and horizon below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 7.2), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(5, 3))
    time, shown = np.arange(strip.first, strip.stop) / sampling_frequency, signal[strip.first : strip.stop]
    low, high, square = paper_limits(shown, np.concatenate([fan.forecast for fan in strip.fans] or [shown]))
    ecg_paper(upper, (time[0], time[-1]), (low, high), square)
    if strip.coverage is not None:
        note = f"{note}; band: their {100 * strip.coverage:g} % intervals"
    for number, fan in enumerate(strip.fans):
        seconds = fan.samples / sampling_frequency
        if fan.interval is not None:
            under, over = (np.clip(end, low, high) for end in fan.interval)
            upper.fill_between(seconds, under, over, color=FORECAST, alpha=0.25, linewidth=0)
        upper.plot(seconds, fan.forecast, color=FORECAST, linewidth=1.4, zorder=3,
                   label="forecasts made at the dot" if number == 0 else None)  # fmt: skip
        upper.plot(seconds[:1], fan.forecast[:1], "o", color=FORECAST, markersize=4, zorder=4)
    upper.plot(time, shown, color=SIGNAL, linewidth=1.2, label="signal", zorder=2)
    upper.set(ylabel="mV", xlabel="time (s)")
    upper.legend(loc="upper right", fontsize=8, ncols=2)
    styles = {"convex": (FORECAST, "-"), "linear_ar": (SIGNAL, "--"), "persistence": ("#8a8a8a", ":")}
    for name, of in errors.items():
        color, style = styles.get(name, ("#a84a00", "-."))
        ahead = 1e3 * np.array(list(of)) / sampling_frequency
        lower.plot(ahead, list(of.values()), style, color=color, marker="o", markersize=2.5, label=name)
    lower.set(xlabel="ahead (ms)", ylabel="test RMSE (mV)", ylim=(0, None), xlim=(0, None))
    lower.grid(color="#e4e4e4", linewidth=0.5)
    lower.set_axisbelow(True)
    lower.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.02, ha="left")
    upper.set_title(note, fontsize=8, color="#444444", loc="left")
    return figure


def path_figure(path: "RegularisationPath", title: str) -> "Figure":
    """Return errors (mV) and neurons against beta, the beta chosen on the validation part marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    from ecgcvx.plots import plot_path

    figure = Figure(figsize=(7.2, 5.2), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    betas = [point.beta for point in path.points]
    plot_path(path, ax=upper).set_xlabel("")
    lower.step(betas, [point.neurons for point in path.points], where="mid", color=SIGNAL, linewidth=1)
    lower.axvline(path.chosen.beta, color=FORECAST, linewidth=0.8, linestyle=":")
    lower.set(xlabel="beta", ylabel="neurons")
    lower.yaxis.set_major_locator(MaxNLocator(integer=True))
    lower.grid(color="#e4e4e4", linewidth=0.5)
    lower.set_axisbelow(True)
    upper.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    upper.yaxis.set_major_formatter("{x:g}")
    upper.yaxis.set_minor_formatter(NullFormatter())
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.02, ha="left")
    return figure


def sparsity_figure(lines: "tuple[SparseLine, ...]", chosen: int, title: str) -> "Figure":
    """Return the increase of P (percent) and the errors (mV) against neurons, the chosen network marked."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(7.2, 5.2), dpi=150, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    neurons = [line.neurons for line in lines]
    upper.plot(neurons, [100 * line.increase for line in lines], color=SIGNAL, marker="o", markersize=3)
    upper.axhline(0, color="#8a8a8a", linewidth=0.5)
    upper.set(ylabel="P, increase (%)")
    for name, color, style in (("train", "#8a8a8a", "-"), ("test", SIGNAL, "--")):
        errors = [getattr(line, f"{name}_rmse_mv") for line in lines]
        lower.plot(neurons, errors, style, color=color, marker="o", markersize=3, label=name)
    lower.set(xscale="log", xlabel="neurons", ylabel="RMSE (mV)")
    lower.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    lower.xaxis.set_major_formatter("{x:g}")
    lower.xaxis.set_minor_formatter(NullFormatter())
    for axes in (upper, lower):
        axes.axvline(chosen, color=FORECAST, linewidth=0.8, linestyle=":", label=f"kept: {chosen}")
        axes.grid(color="#e4e4e4", linewidth=0.5)
        axes.set_axisbelow(True)
    lower.legend(frameon=False, fontsize=8)
    lower.invert_xaxis()
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.02, ha="left")
    return figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG; a file that is there already is replaced whole or not at all."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    atomic_write(path, lambda file: file.write(buffer.getvalue()))


def strip_start(forecast: Array, sampling_frequency: float, first: int) -> int:
    """First sample of a strip in the middle of the longest run of forecasts after sample `first`."""
    known = np.r_[False, np.isfinite(forecast[first:]), False]
    edges = np.flatnonzero(np.diff(known.astype(np.int8))).reshape(-1, 2) + first
    a, b = edges[np.argmax(edges[:, 1] - edges[:, 0])]
    return max(int(a), int(a + b) // 2 - round(STRIP_SECONDS * sampling_frequency / 2))


def paper_limits(signal: Array, forecast: Array) -> tuple[float, float, float]:
    """Limits of the amplitude axis in mV, at halves of it, and the mV of a small square.

    What is far beyond the other samples is cut off, and what spans more than `LARGEST_SPAN` is drawn to a smaller
    scale, so that the height of a figure has a bound.
    """
    finite = signal[np.isfinite(signal)]
    if not len(finite):
        return -1.0, 1.0, MV_PER_MM
    low, high = np.percentile(finite, [1, 99])
    room = max(2.0 * (high - low), 2.0)
    both = np.concatenate([finite, forecast[np.isfinite(forecast)]])
    low, high = max(low - room, both.min()), min(high + room, both.max())
    square = MV_PER_MM
    while high - low > LARGEST_SPAN * square / MV_PER_MM:
        square *= 10
    half = 5 * square
    return float(np.floor(low / half - 0.4) * half), float(np.ceil(high / half + 0.4) * half), square


def ecg_paper(
    axes: "Axes",
    times: tuple[float, float],
    mv: tuple[float, float],
    square: float = MV_PER_MM,
    seconds: float = SECONDS_PER_MM,
) -> None:
    """Draw small squares of `seconds` by `square` mV, and strong lines at every fifth."""
    from matplotlib.collections import LineCollection

    axes.set(xlim=times, ylim=mv)
    for step, width in ((1, 0.25), (5, 0.7)):
        t, v = step * seconds, step * square
        columns = np.arange(np.ceil(times[0] / t), np.floor(times[1] / t) + 1) * t
        rows = np.arange(np.ceil(mv[0] / v - 1e-9), np.floor(mv[1] / v + 1e-9) + 1) * v
        lines = [((x, mv[0]), (x, mv[1])) for x in columns] + [((times[0], y), (times[1], y)) for y in rows]
        axes.add_collection(LineCollection(lines, colors=GRID, linewidths=width, zorder=0))
    tick = 10 * square
    axes.set_yticks(np.arange(np.ceil(mv[0] / tick), np.floor(mv[1] / tick) + 1) * tick)
