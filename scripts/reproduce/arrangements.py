"""Hyperplane arrangements of the three-sample example, and its convex program.

Slides: hyperplane arrangements; the convex program for n = 3, d = 2.
Claims: X = [[2, 2], [3, 3], [1, 0]] has three non-zero patterns, and the convex program over them has the value of the
network.
Found: both hold, but the cones printed on the slide, D X u >= 0, leave out the samples that are off. They give the
value of the gated network, which is below the network's optimum. The cones are (2D - I) X u >= 0.
"""

from typing import Any

import cvxpy as cp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from _page import BLUE, FAINT, GREY, INK, ORANGE, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.arrangements import Patterns, enumerate_patterns
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.lbfgs import train_lbfgs
from ecgcvx.baselines.problem import Problem
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram, gated_relu_program, relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import Array

X = np.array([[2.0, 2.0], [3.0, 3.0], [1.0, 0.0]])
TARGETS = (np.array([1.0, 2.0, 3.0]), np.array([1.0, -1.0, 2.0]), np.array([-1.0, 2.0, -1.0]))
BETA = 0.1
NEURONS = 6
AGREE = 1e-6  # relative, of two values that are equal


def reproduce(reduced: bool) -> Entry:
    """Draw the cones and compare the values."""
    patterns = enumerate_patterns(X)
    codes = sorted(("".join(str(int(b)) for b in patterns.mask(i)) for i in range(len(patterns))), reverse=True)
    values = [_values(patterns, y, 10 if reduced else 60) for y in TARGETS]
    right = all(abs(v["network"] - v["convex"]) <= AGREE * v["convex"] for v in values)
    printed = all(
        abs(v["printed"] - v["gated"]) <= AGREE * v["gated"] and v["printed"] < v["network"] * (1 - 1e-2)
        for v in values
    )
    first = values[0]
    claims = (
        Claim(
            "X = [[2, 2], [3, 3], [1, 0]] has three non-zero patterns.",
            f"diag({'), diag('.join(', '.join(code) for code in codes)}), by enumeration",
            codes == ["111", "110", "001"],
        ),
        Claim(
            "The convex program has the value of the network with enough neurons.",
            f"y = (1, 2, 3), beta = {BETA}: convex {first['convex']:.8f}, best of the networks with {NEURONS} neurons "
            f"{first['network']:.8f}; the same for the two other targets",
            right,
        ),
        Claim(
            "The constraints of the program are D X u >= 0.",
            f"with the printed cones {first['printed']:.8f}, that is the gated network's value and "
            f"{100 * (1 - first['printed'] / first['network']):.0f} % below what any ReLU network reaches",
            printed,
            "The cones are (2D - I) X u >= 0: samples that are off constrain too.",
        ),
    )
    return Entry(
        "Hyperplane arrangements",
        "hyperplane arrangements; the convex program of the three-sample example",
        claims,
        (
            Picture(
                "arrangements",
                "The cones of the three patterns in the plane of w, as printed and as they are, and the values "
                "they give.",
                _cone_figure(patterns, values),
            ),
        ),
    )


def _values(patterns: Patterns, y: Array, starts: int) -> dict[str, float]:
    """Optimum of the convex program, with printed cones, without cones, and the best network of so many starts."""
    features = PatternFeatures(X, patterns)
    exact = CvxpySolver(gap=1e-8)
    problem = Problem(Layers((2, NEURONS, 1)), X, y, BETA)
    runs = (train_lbfgs(problem, problem.layers.initial(np.random.default_rng(seed)), 200) for seed in range(starts))
    return {
        "convex": exact.solve(relu_program(features, y, BETA)).primal,
        "gated": exact.solve(gated_relu_program(features, y, BETA)).primal,
        "printed": _printed(relu_program(features, y, BETA)),
        "network": min(problem.objective(run.parameters) for run in runs),
    }


def _printed(program: ConvexProgram) -> float:
    """The optimum with the cones D X u >= 0."""
    assert isinstance(program.features, PatternFeatures)
    u = cp.Variable(program.shape)
    masks = [program.features.patterns.mask(int(b)) for b in program.blocks]
    f = sum(s * (mask[:, None] * X) @ u[j] for j, (s, mask) in enumerate(zip(program.signs, masks, strict=True)))
    cones = [X[mask] @ u[j] >= 0 for j, mask in enumerate(masks)]
    loss = cp.sum_squares(f - program.y) / (2 * len(X))
    problem = cp.Problem(cp.Minimize(loss + program.beta * cp.sum(cp.norm(u, 2, axis=1))), cones)
    return float(problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11))


def _cone_figure(patterns: Patterns, values: list[dict[str, float]]) -> Figure:
    figure = new_figure("Three samples: cones (blue), and what the printed cones add (hatched)", 4.6)
    grid = figure.subplot_mosaic([["a", "b", "c"], ["v", "v", "v"]], height_ratios=(1.25, 1))
    order = sorted(range(len(patterns)), key=lambda i: -int("".join(str(int(b)) for b in patterns.mask(i)), 2))
    for axes, i in zip((grid["a"], grid["b"], grid["c"]), order, strict=True):
        _draw_cone(axes, patterns.mask(i))
    names = (("network", "networks, best", INK), ("convex", "cones (2D − I)Xu ≥ 0", BLUE),
             ("printed", "cones DXu ≥ 0, as printed", ORANGE), ("gated", "no cones (gated)", GREY))  # fmt: skip
    axes = grid["v"]
    for k, (name, label, color) in enumerate(names):
        heights = [v[name] for v in values]
        bars = axes.bar(np.arange(len(values)) + 0.2 * (k - 1.5), heights, 0.18, color=color, label=label)
        axes.bar_label(bars, fmt="%.3f", fontsize=7, padding=1)
    labels = [f"y = ({', '.join(f'{t:g}' for t in y)})" for y in TARGETS]
    style(axes, ylabel="optimal value", ylim=(0, 1.2), xlim=(-0.5, 2.5))
    axes.set_xticks(np.arange(len(values)), labels)
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper center", handlelength=1.2, columnspacing=1.2)
    return figure


def _draw_cone(axes: Axes, mask: NDArray[np.bool_]) -> None:
    """The cells as sectors: those of the right cone filled, those that only the printed cone has, hatched."""
    angles = np.linspace(0, 2 * np.pi, 721)
    w = np.column_stack([np.cos(angles), np.sin(angles)])
    products = w @ X.T
    right = (products * np.where(mask, 1, -1) >= -1e-9).all(axis=1)
    printed = (products[:, mask] >= -1e-9).all(axis=1)
    looks: tuple[tuple[NDArray[np.bool_], dict[str, Any]], ...] = (
        (printed & ~right, {"facecolor": "#fbe9d6", "hatch": "///", "edgecolor": ORANGE, "linewidth": 0}),
        (right, {"facecolor": BLUE, "alpha": 0.45, "linewidth": 0}),
    )
    for chosen, options in looks:
        for a, b in _runs(chosen, angles):
            t = np.linspace(a, b, 60)
            axes.fill(np.r_[0, np.cos(t)], np.r_[0, np.sin(t)], **options)
    for direction, label, at in (((1, -1), "x₁'w = x₂'w = 0", (-1.16, 1.05)), ((0, 1), "x₃'w = 0", (0.08, 1.03))):
        line = np.array(direction) / np.linalg.norm(direction)
        axes.plot(*np.outer(line, (-1.15, 1.15)), color=INK, linewidth=1)
        axes.text(*at, label, fontsize=7)
    axes.set(aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.25, 1.2), xticks=[], yticks=[])
    axes.set_title(f"D = diag({', '.join(str(int(b)) for b in mask)})", fontsize=9)
    axes.spines[:].set_color(FAINT)


def _runs(chosen: NDArray[np.bool_], angles: Array) -> list[tuple[float, float]]:
    """Stretches of angles; one that goes over 2 pi comes in two parts."""
    edges = np.flatnonzero(np.diff(np.r_[False, chosen, False].astype(int))).reshape(-1, 2)
    return [(float(angles[a]), float(angles[b - 1])) for a, b in edges if b - a > 1]


if __name__ == "__main__":
    main(reproduce)
