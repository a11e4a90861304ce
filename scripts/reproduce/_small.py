"""Small problems, on which a convex program is held against networks trained from many starts."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import minimize

from _page import BLUE, GREY, style
from ecgcvx.types import Array

Objective = Callable[[Array], tuple[float, Array]]  # of all weights: value and gradient
SLACK = 1e-7  # relative: to which an interior point states an optimum
NEAR = 5e-3  # relative: of the best trained network
SMALLEST = 1e-8  # distance that is drawn


def trained(objective: Objective, size: int, starts: int, seed: int = 0) -> Array:
    """Return the objectives, rising, that L-BFGS reaches from so many random starts of `size` weights."""
    random = np.random.default_rng(seed)
    options = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-14, "gtol": 1e-9}
    values = []
    for _ in range(starts):
        start = random.standard_normal(size) * random.uniform(0.2, 1.5)
        values.append(float(minimize(objective, start, method="L-BFGS-B", jac=True, options=options).fun))
    return np.sort(values)


def starts_panel(axes: Axes, values: Array, optimum: float) -> None:
    """Draw how far every trained network ends above the convex optimum."""
    above = np.maximum(values / optimum - 1, SMALLEST)
    axes.plot(np.arange(1, len(values) + 1), above, ".", color=GREY, markersize=4)
    axes.axhline(SMALLEST, color=BLUE, linewidth=1.6)
    style(axes, yscale="log", xlabel="trained network, best first", ylabel="above the optimum, relative")
    axes.set_ylim(SMALLEST / 2, 10)
    axes.annotate("convex optimum", (len(values), SMALLEST), (0, 4), textcoords="offset points", ha="right",
                  fontsize=8, color=BLUE)  # fmt: skip


def reached(values: Array, optimum: float) -> str:
    """Say how many networks came within 0.1 % of the optimum, and how far the median is."""
    close = int((values <= optimum * 1.001).sum())
    return (
        f"{close} of {len(values)} trained networks within 0.1 %, lowest {values[0]:.7f}, "
        f"median {100 * (float(np.median(values)) / optimum - 1):.1f} % above"
    )


def is_optimum(values: Array, optimum: float) -> bool:
    """Whether no trained network is below the optimum and the best of them comes to it."""
    return bool(optimum * (1 - SLACK) <= values[0] <= optimum * (1 + NEAR))
