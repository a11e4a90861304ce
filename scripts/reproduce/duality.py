"""Convex duality on the circle: the dual constraint of every direction w at the optimum.

Slides: convex duality of two-layer networks, the semi-infinite dual.
Claims: the dual max v'y/n - ||v||^2/(2n) subject to |v'(Xw)_+| <= beta n for every ||w|| <= 1 has the value of the
network; at the optimum the constraint is active exactly at the neurons.
Found: both hold on 8 samples in the plane, where the constraint can be drawn against the angle of w.
"""

import cvxpy as cp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from _page import BLUE, GREEN, GREY, INK, RED, Claim, Entry, Picture, main, new_figure, style
from _plane import AGREE, BETA, X, Y, best_network, circle, solve
from ecgcvx.models import network_of
from ecgcvx.types import Array

NEURONS = 10  # of the network that is trained from many starts


def reproduce(reduced: bool) -> Entry:
    """Solve primal and dual, and draw the constraint."""
    program, solution = solve()
    v = program.residual(solution.u)
    network = network_of(program, solution.u)
    neurons = network.W1.T / np.linalg.norm(network.W1, axis=0)[:, None]
    touching = np.abs(v @ np.maximum(X @ neurons.T, 0)) / len(Y) / BETA
    angles, price = _price(v, 200_001)
    dual = _dual(512 if reduced else 4096)
    best, p = best_network(NEURONS, 10 if reduced else 100), solution.primal
    claims = (
        Claim(
            "The dual, with a constraint for every w of the unit ball, has the value of the network.",
            f"network {best:.7f}, convex program {p:.7f}, dual over a grid of the circle {dual:.7f}",
            abs(dual - p) < 1e-4 * p and abs(best - p) < AGREE * p,
        ),
        Claim(
            "At the optimum |v'(Xw)_+| / n touches beta at the active neurons and nowhere exceeds it.",
            f"largest value on the circle {price.max() / BETA:.8f} beta; at the {network.neurons} neurons "
            f"{touching.min():.8f} to {touching.max():.8f} beta",
            price.max() < BETA * (1 + 1e-6) and touching.min() > 1 - 1e-6,
        ),
    )
    return Entry(
        "Convex duality",
        "convex duality of the two-layer network",
        claims,
        (
            Picture(
                "duality",
                "Price of every direction w at the optimum, against its angle; it touches beta at the neurons.",
                _circle_figure(angles, price, neurons, network.W2),
            ),
        ),
    )


def _price(v: Array, count: int) -> tuple[Array, Array]:
    """|v'(Xw)_+| / n for directions w round the circle."""
    angles, w = circle(count)
    return angles, np.abs(v @ np.maximum(X @ w.T, 0)) / len(Y)


def _dual(count: int) -> float:
    """The dual with its constraint on a grid: an upper bound of the dual, close for many directions."""
    _, w = circle(count)
    A = np.maximum(X @ w.T, 0).T
    v = cp.Variable(len(Y))
    value = (v @ Y - cp.sum_squares(v) / 2) / len(Y)
    problem = cp.Problem(cp.Maximize(value), [A @ v <= BETA * len(Y), A @ v >= -BETA * len(Y)])
    return float(problem.solve(solver=cp.CLARABEL))


def _circle_figure(angles: Array, price: Array, neurons: Array, W2: Array) -> Figure:
    figure = new_figure("The dual constraint at the optimum, over the whole circle", 3.5)
    axes: Axes = figure.subplots()
    degrees = np.degrees(angles)
    axes.fill_between(degrees[::50], price[::50], color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(degrees[::50], price[::50], color=BLUE, linewidth=1.4)
    axes.axhline(BETA, color=INK, linewidth=0.9, linestyle="--")
    axes.text(3, BETA * 1.02, "β", fontsize=10)
    for x in X:
        edges = np.degrees(np.arctan2(x[1], x[0]) + np.array([0.5, 1.5]) * np.pi) % 360
        for edge in edges:
            axes.axvline(edge, color=GREY, linewidth=0.4, linestyle=":")
    for w, a in zip(neurons, W2, strict=True):
        at = np.degrees(np.arctan2(w[1], w[0])) % 360
        color = GREEN if a > 0 else RED
        axes.plot(at, BETA, "o", color=color, markersize=7, zorder=4)
    axes.plot([], [], "o", color=GREEN, markersize=6, label="neuron, output weight > 0")
    axes.plot([], [], "o", color=RED, markersize=6, label="neuron, output weight < 0")
    axes.plot([], [], ":", color=GREY, linewidth=0.8, label="x'w = 0 for a sample")
    style(axes, xlabel="angle of w (degrees)", ylabel="|v'(Xw)₊| / n", xlim=(0, 360), ylim=(0, BETA * 1.32))
    axes.set_xticks(range(0, 361, 45))
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    return figure


if __name__ == "__main__":
    main(reproduce)
