"""Gauss-Newton and its approximations, first-order optimisers, L-BFGS: the race against the certified optimum.

Slides: SGD, momentum, AdaGrad, RMSProp, Adam; Gauss-Newton with block-diagonal, Kronecker-factored, sampled and
conjugate-gradient approximations.
Claims: adaptive step sizes and curvature speed training up; none of the methods knows how far from the optimum it is.
Found: holds. All minimise the same objective of one network on record 208 with equal processor time, step sizes and
schedules chosen by a run of their own; no run is below the lower bound of the convex program.
"""

import numpy as np

from _page import Claim, Entry, Picture, main
from ecgcvx.comparison.contenders import CONTENDERS
from ecgcvx.comparison.figures import time_figure
from ecgcvx.comparison.study import CompareOptions, Comparison, compare
from ecgcvx.records import read_recording

RECORD = "data/mitdb208/208"
CURVATURE = ("gn", "gn-layer", "gn-neuron", "gn-kfac", "gn-uniform", "gn-leverage", "gn-cg")
FIRST_ORDER = ("sgd", "momentum", "adagrad", "rmsprop", "adam")


def reproduce(reduced: bool) -> Entry:
    """Run the race."""
    options = CompareOptions(beta=1e-4, runs=2 if reduced else 5, seconds=0.2 if reduced else 1.5)
    found = compare(read_recording(RECORD), options, lambda what, share: None)
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
    figure = time_figure(found, "Record 208, beta = 1e-4")
    return Entry(
        "Gauss-Newton and first-order optimisers",
        "first-order optimisers; Gauss-Newton and its approximations",
        claims,
        (Picture("optimisers", "Objective above the certified lower bound against processor time, all runs.", figure),),
        f"Networks of {options.neurons} neurons; step size and schedule of each optimiser from a run with another "
        f"seed; {options.runs} initialisations, {options.seconds:g} s of one thread each.",
    )


def _median(found: Comparison, name: str) -> float:
    return float(np.median([run.objective for run in found.runs if run.task.contender == name]))


if __name__ == "__main__":
    main(reproduce)
