"""Interior point against SGD on five points: ten initialisations for several widths, the convex optimum as a line.

Slides: interior point against SGD on toy data (d = 2: a point on a line and a column of ones).
Claims: with few neurons SGD ends in other local minima for some initialisations, with many it reaches the optimum; no
run is below the value of the convex program, which an interior-point method finds at once.
Found: holds. A run counts as having reached the optimum when it ends within 2 % of it.
"""

import time
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from _page import BLUE, GREY, INK, RED, Claim, Entry, Picture, main, new_figure, style
from _race import in_stretches
from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.optimisers import SGD
from ecgcvx.baselines.problem import Problem
from ecgcvx.models import network_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import Array

X = np.column_stack([np.arange(-2.0, 3.0), np.ones(5)])
Y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
BETA = 3e-2
WIDTHS = (4, 8, 50)
RUNS = 10
STEP, BATCH = 0.02, 2
FIRST = 2e-4
REACHED = 2e-2  # above the optimum, relative


@dataclass(frozen=True)
class Run:
    """Seconds and objectives of one run of SGD."""

    seconds: Array
    objectives: Array


def reproduce(reduced: bool) -> Entry:
    """Solve the convex program, and train ten networks of each width."""
    widths, epochs = (WIDTHS[:2], 500) if reduced else (WIDTHS, 8_000)
    program = relu_program(PatternFeatures(X, enumerate_patterns(X)), Y, BETA)
    CvxpySolver().solve(program)  # imports and the first compilation of CVXPY
    started = time.thread_time()
    solution = CvxpySolver(gap=1e-8).solve(program)
    seconds = time.thread_time() - started
    runs = {m: [_sgd(m, seed, epochs) for seed in range(RUNS)] for m in widths}
    ends = {m: np.array([run.objectives[-1] for run in several]) for m, several in runs.items()}
    lowest = min(run.objectives.min() for several in runs.values() for run in several)
    reached = {m: int((values <= solution.primal * (1 + REACHED)).sum()) for m, values in ends.items()}
    said = ", ".join(f"{count} of {RUNS} with m = {m}" for m, count in reached.items())
    neurons = network_of(program, solution.u).neurons
    grows = [reached[m] for m in widths]
    claims = (
        Claim(
            "No run of SGD is below the optimum of the convex program.",
            f"optimum {solution.primal:.6f} (gap {solution.gap:.0e}, {neurons} neurons), lowest objective of all "
            f"{RUNS * len(widths)} runs {lowest:.6f}",
            lowest >= solution.primal * (1 - 1e-9),
        ),
        Claim(
            f"With m = {widths[0]} some runs end in other local minima; with more neurons more reach the optimum.",
            f"within {100 * REACHED:g} %: {said}; the worst run with m = {widths[0]} ends "
            f"{ends[widths[0]].max() / solution.primal:.1f} times as high",
            reduced or (grows == sorted(grows) and grows[0] < RUNS and grows[-1] > grows[0]),
        ),
        Claim(
            "The interior-point method has the optimum at once.",
            f"{1e3 * seconds:.0f} ms with CVXPY's modelling; SGD's runs take "
            f"{np.median([run.seconds[-1] for several in runs.values() for run in several]):.1f} s",
            reduced or seconds < min(run.seconds[-1] for several in runs.values() for run in several),
        ),
    )
    picture = Picture(
        "toy_race",
        f"Objective of {RUNS} runs of SGD for each width, the convex optimum as a line, the time of the interior-point "
        "method as a red cross.",
        _figure(runs, solution.primal, seconds, reached),
    )
    return Entry(
        "Interior point against SGD on toy data",
        "interior point against SGD, toy data",
        claims,
        (picture,),
        f"X: -2, ..., 2 with a column of ones, y = (1, -1, 1, 1, -1), beta = {BETA:g}; SGD with batches of {BATCH}, "
        f"{epochs:,} epochs, step {STEP:g} with a cosine schedule.",
    )


def _sgd(neurons: int, seed: int, epochs: int) -> Run:
    points = list(in_stretches(Problem(Layers((2, neurons, 1)), X, Y, BETA), seed, SGD, STEP, BATCH, epochs, 40))
    seconds = np.array([point.seconds for point in points])
    seconds[0] = FIRST  # which a logarithm does not show
    return Run(seconds, np.array([point.objective for point in points]))


def _figure(runs: dict[int, list[Run]], optimum: float, seconds: float, reached: dict[int, int]) -> Figure:
    figure = new_figure("SGD from ten initialisations against the convex optimum", 3.4)
    for axes, (m, several) in zip(figure.subplots(1, len(runs), sharey=True), runs.items(), strict=True):
        for run in several:
            good = run.objectives[-1] <= optimum * (1 + REACHED)
            axes.plot(run.seconds, run.objectives, color=BLUE if good else GREY, linewidth=0.9, alpha=0.9)
        axes.axhline(optimum, color=INK, linewidth=1.1, linestyle="--")
        axes.plot(seconds, optimum, "x", color=RED, markersize=9, markeredgewidth=2, zorder=5)
        style(axes, xscale="log", yscale="log", xlabel="processor time (s)",
              title=f"m = {m}: {reached[m]} of {RUNS} reach it")  # fmt: skip
    figure.axes[0].set_ylabel("objective")
    for marker, color, text in (("-", BLUE, "SGD, reaches the optimum"), ("-", GREY, "SGD, does not"),
                                ("--", INK, "convex optimum"), ("x", RED, "interior point")):  # fmt: skip
        figure.axes[0].plot([], [], marker, color=color, label=text)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False,
                  fontsize=8)  # fmt: skip
    return figure


if __name__ == "__main__":
    main(reproduce)
