"""Real beats above, generated ones below, on ECG paper."""

from typing import TYPE_CHECKING

import numpy as np

from ecgcvx.figures import MM, MV_PER_MM, ecg_paper
from ecgcvx.types import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 40  # beats drawn one by one
REAL, GENERATED, MEAN = "#6f6f6f", "#4a8df0", "#101010"
SECONDS_PER_MM = 0.02  # at 50 mm/s
SCALE = 1.6  # times the size of paper
LEFT, BETWEEN, TOP, BOTTOM, RIGHT = 16.0, 8.0, 28.0, 12.0, 14.0  # mm


def beats_figure(
    real: Array, generated: Array, before: int, sampling_frequency: float, leads: tuple[str, ...], unit: str,
    title: str, note: str,
) -> "Figure":  # fmt: skip
    """Return a figure of beats (n, leads, length) of both: single ones, their mean and the band of 5 to 95 %.

    A small square is 20 ms and 0.1 mV (50 mm/s, 10 mm/mV), enlarged. note: lines under the title.
    """
    from matplotlib.figure import Figure

    length = real.shape[2]
    time = (np.arange(length) - before) / sampling_frequency
    both = np.concatenate([real, generated])
    low, high = np.quantile(both, 0.001), np.quantile(both, 0.999)
    limits = float(np.floor(2 * low) / 2), float(np.ceil(2 * high) / 2)
    width = SCALE * (time[-1] - time[0]) / SECONDS_PER_MM
    height = SCALE * (limits[1] - limits[0]) / MV_PER_MM
    total = np.array([LEFT + len(leads) * (width + BETWEEN) - BETWEEN + RIGHT, TOP + 2 * height + BETWEEN + BOTTOM])
    figure = Figure(figsize=tuple(total * MM), dpi=150)
    for row, (X, color, name) in enumerate(((real, REAL, "real"), (generated, GENERATED, "generated"))):
        for column, lead in enumerate(leads):
            left, up = LEFT + column * (width + BETWEEN), BOTTOM + (1 - row) * (height + BETWEEN)
            axes = figure.add_axes((left / total[0], up / total[1], width / total[0], height / total[1]))
            ecg_paper(axes, (time[0], time[-1]), limits, seconds=SECONDS_PER_MM)
            beats = X[:, column]
            axes.fill_between(time, *np.quantile(beats, (0.05, 0.95), axis=0), color=color, alpha=0.2, linewidth=0)
            axes.plot(time, beats[:SHOWN].T, color=color, linewidth=0.4, alpha=0.6)
            axes.plot(time, beats.mean(axis=0), color=MEAN, linewidth=1.4)
            axes.set_title(f"{name}, {lead}", loc="left", fontsize=9, pad=3)
            axes.tick_params(labelbottom=row == 1, labelleft=column == 0, labelsize=8)
            if row == 1:
                axes.set_xlabel("time from R (s)", fontsize=8)
            if column == 0:
                axes.set_ylabel(unit, fontsize=8)
    figure.text(LEFT / total[0], 1 - 7 / total[1], title, fontsize=11, fontweight="bold", va="center")
    figure.text(LEFT / total[0], 1 - 11 / total[1], note, fontsize=8, va="top", color="#444444")
    return figure
