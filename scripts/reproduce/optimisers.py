"""Gauss-Newton and its approximations, first-order optimisers, L-BFGS: the race against the certified optimum.

Slides: SGD, momentum, AdaGrad, RMSProp, Adam; Gauss-Newton with block-diagonal, Kronecker-factored, sampled and
conjugate-gradient approximations.
Claims: adaptive step sizes and curvature speed training up; none of the methods knows how far from the optimum it is.
Found: holds. All minimise the same objective of one network on record 208 with equal processor time, step sizes and
schedules chosen by a run of their own; no run is below the lower bound of the convex program.
"""

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from _ecg import RECORD
from _page import BLUE, GREEN, GREY, INK, ORANGE, RED, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.comparison.contenders import CONTENDERS
from ecgcvx.comparison.race import Run
from ecgcvx.comparison.study import CompareOptions, Comparison, compare
from ecgcvx.records import read_recording
from ecgcvx.types import silent

SAMPLES, NEURONS = 10_800, 32  # half a minute: a step of the full Gauss-Newton matrix takes some .1 s then
RUNS, SECONDS, BETA = 3, 0.3, 1e-4
FIRST_ORDER = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
CURVATURE = ("gn", "gn-layer", "gn-neuron", "gn-kfac", "gn-uniform", "gn-leverage", "gn-cg")
LOOKS = ((GREY, "-"), (ORANGE, "-"), (GREEN, "-"), (RED, "-"), (BLUE, "-"), (ORANGE, "--"), (GREEN, "--"), (RED, "--"))


def reproduce(reduced: bool) -> Entry:
    """Run the race."""
    recording = read_recording(RECORD)
    options = CompareOptions(
        beta=BETA, neurons=NEURONS, runs=2 if reduced else RUNS, seconds=0.1 if reduced else SECONDS, jobs=1
    )
    found = compare(replace(recording, signal=recording.signal[:SAMPLES]), options, silent)
    certified = found.reference.trained.gap
    bound, optimum = certified.dual, certified.primal
    medians = {name: _median(found, name) / optimum - 1 for name in CONTENDERS}
    lowest = min(run.objective for run in found.runs)
    order = sorted(medians, key=medians.__getitem__)
    words = ", ".join(f"{CONTENDERS[name].label} {1 + medians[name]:.3g}" for name in order)
    adaptive = min(medians[name] for name in ("adagrad", "rmsprop", "adam"))
    claims = (
        Claim(
            "No optimiser gets below the certified optimum.",
            f"lower bound {bound:.4e} and objective {optimum:.4e} of the convex program (gap "
            f"{100 * (1 - bound / optimum):.1f} % {certified.evidence}, "
            f"{found.reference.trained.network.neurons} neurons); lowest of {len(found.runs)} runs {lowest:.4e}",
            lowest >= bound,
        ),
        Claim(
            "Adaptive step sizes train faster than SGD with one step size.",
            f"median objective after {options.seconds:g} s, in units of the convex one: {words}",
            reduced or adaptive < medians["sgd"],
        ),
        Claim(
            "Approximations make Gauss-Newton steps affordable.",
            f"in the same units: the full matrix {1 + medians['gn']:.3g}, the best approximation "
            f"{1 + min(medians[name] for name in CURVATURE[1:]):.3g}, L-BFGS {1 + medians['lbfgs']:.3g}",
            reduced or min(medians[name] for name in CURVATURE[1:]) <= medians["gn"],
        ),
    )
    return Entry(
        "Gauss-Newton and first-order optimisers",
        "first-order optimisers; Gauss-Newton and its approximations",
        claims,
        (
            Picture(
                "optimisers",
                "Objective above the certified lower bound against processor time: the median run of each optimiser, "
                "and the convex program.",
                _figure(found),
            ),
        ),
        f"{SAMPLES / 360:.0f} seconds of record 208, networks of {options.neurons} neurons, beta = {BETA:g}; step size "
        f"and schedule of each optimiser from a run with another seed; {options.runs} initialisations, "
        f"{options.seconds:g} s of one thread each.",
    )


def _median(found: Comparison, name: str) -> float:
    return float(np.median([run.objective for run in found.runs if run.task.contender == name]))


def _middle(found: Comparison, name: str) -> Run:
    """The run of an optimiser whose end is the median."""
    runs = sorted((run for run in found.runs if run.task.contender == name), key=lambda run: run.objective)
    return runs[len(runs) // 2]


def _figure(found: Comparison) -> Figure:
    figure = new_figure(f"{found.options.runs} initialisations each: the median run above the lower bound", 4.6)
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, found, FIRST_ORDER)
    left.set_ylabel("P / lower bound − 1", fontsize=9)
    _panel(right, found, ("lbfgs", *CURVATURE))
    return figure


def _panel(axes: Axes, found: Comparison, names: tuple[str, ...]) -> None:
    bound = found.reference.trained.gap.dual
    for name, (color, line) in zip(names, LOOKS, strict=False):
        moments, values = np.array(_middle(found, name).trace).T
        moments[0] = 0.01 * found.options.seconds  # the start, which a logarithm does not show
        shown = np.isfinite(values)
        # Methods with few long steps stay where they are until a step is done.
        drawn = "default" if CONTENDERS[name].grid else "steps-post"
        axes.plot(moments[shown], values[shown] / bound - 1, line, color=color, linewidth=1.2, drawstyle=drawn,
                  label=CONTENDERS[name].label)  # fmt: skip
    seconds, values = np.array(found.reference.trace).T
    axes.plot(seconds, values / bound - 1, "o-", color=INK, markersize=3, linewidth=1.4, label="convex program")
    style(axes, xscale="log", yscale="log", xlabel="processor time of one thread (s)")
    axes.legend(frameon=False, fontsize=7.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.2))


if __name__ == "__main__":
    main(reproduce)
