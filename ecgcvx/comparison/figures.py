"""Figures of a comparison: how far each run is from the certified lower bound, by time and by step size."""

from typing import TYPE_CHECKING

import numpy as np

from ecgcvx.comparison.contenders import CONTENDERS, SCHEDULES
from ecgcvx.comparison.race import FIRST_MARK
from ecgcvx.comparison.study import Comparison
from ecgcvx.figures import FORECAST, SIGNAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 5
FAINT = "#e4e4e4"


def time_figure(found: Comparison, title: str) -> "Figure":
    """Return a panel an optimiser: all its runs, and the convex solver's, against the processor time of one thread."""
    from matplotlib.figure import Figure

    names = [name for name in found.options.contenders if any(run.task.contender == name for run in found.runs)]
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(1.2 + 2.3 * columns, 1.5 + 2.0 * rows), dpi=150, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    convex = np.array(found.reference.trace)
    for axes, name in zip(grid.flat, names, strict=False):
        # Methods with few long steps stay where they are until a step is done.
        drawn = "default" if CONTENDERS[name].grid else "steps-post"
        for run in found.runs:
            if run.task.contender == name:
                moments, values = np.array(run.trace).T
                moments[0] = FIRST_MARK * found.options.seconds  # the start, which a logarithm does not show
                shown = np.isfinite(values)
                style = {"color": FORECAST, "linewidth": 0.8, "alpha": 0.7, "drawstyle": drawn}
                axes.plot(moments[shown], _excess(found, values[shown]), **style)
        axes.plot(convex[:, 0], _excess(found, convex[:, 1]), color=SIGNAL, linewidth=1.4, marker="o", markersize=2.5)
        axes.axhline(_excess(found, convex[-1:, 1])[0], color=SIGNAL, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log")
        axes.set_title(CONTENDERS[name].label, fontsize=9)
        _paper(axes)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for column in range(columns):
        # The lowest panel of a column has the axis, also where the last row is not full.
        grid[(len(names) - 1 - column) // columns, column].tick_params(labelbottom=True)
    figure.supxlabel("processor time of one thread (s)", fontsize=9)
    figure.supylabel(_meaning(found), fontsize=9)
    figure.suptitle(
        f"{title}: {found.options.runs} initialisations of each optimiser (blue), convex program (black), its final "
        "value (dotted)",
        fontsize=9 if columns > 3 else 7,
    )
    return figure


def step_figure(found: Comparison, title: str) -> "Figure":
    """Return a panel for each optimiser with a step size: where one initialisation ended, by step size and schedule."""
    from matplotlib.figure import Figure

    names = [name for name in found.options.contenders if any(run.task.contender == name for run in found.tuning)]
    figure = Figure(figsize=(1.2 + 2.3 * len(names), 3.4), dpi=150, layout="constrained")
    grid = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    finite = [run.objective for run in found.tuning if np.isfinite(run.objective)]
    ceiling = 2 * _excess(found, np.array([max(finite, default=1.0)]))[0]
    for axes, name in zip(grid, names, strict=True):
        for schedule, style in zip(SCHEDULES, ("--", "-"), strict=True):
            own = [run for run in found.tuning if (run.task.contender, run.task.schedule) == (name, schedule)]
            sizes = np.array([run.task.step_size for run in own])
            values = np.array([run.objective for run in own])
            good = np.isfinite(values)
            color = {"constant": "#8a8a8a", "cosine": FORECAST}[schedule]
            excess = np.full(len(values), ceiling)
            excess[good] = _excess(found, values[good])
            axes.plot(sizes[good], excess[good], style, color=color, marker="o", markersize=3.5, label=schedule)
            label = "diverged" if len(good) > good.sum() else None
            axes.plot(sizes[~good], excess[~good], "^", color=color, markersize=6, label=label)
        if name in found.chosen:
            best = min((run for run in found.tuning if run.task.contender == name), key=lambda run: run.objective)
            if np.isfinite(best.objective):
                at = _excess(found, np.array([best.objective]))
                axes.plot([best.task.step_size], at, "o", markersize=9, fillstyle="none", color=SIGNAL, label="chosen")
        axes.axhline(
            _excess(found, np.array([found.reference.trained.gap.primal]))[0], color=SIGNAL, linewidth=0.8,
            linestyle=":", label="convex",
        )  # fmt: skip
        axes.set(xscale="log", yscale="log")
        axes.set_xlabel("step size", fontsize=8)
        axes.set_title(CONTENDERS[name].label, fontsize=9)
        _paper(axes)
    handles = {label: handle for axes in grid for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    figure.supylabel(_meaning(found), fontsize=8)
    figure.suptitle(f"{title}: sensitivity to the step size, {found.options.seconds:g} s a run", fontsize=10)
    return figure


def _excess(found: Comparison, values: np.ndarray) -> np.ndarray:
    """P / lower bound - 1; P itself where there is no positive bound."""
    dual = found.reference.trained.gap.dual
    return values / dual - 1 if dual > 0 else values


def _meaning(found: Comparison) -> str:
    return "P / lower bound - 1" if found.reference.trained.gap.dual > 0 else "P"


def _paper(axes: "Axes") -> None:
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7)
