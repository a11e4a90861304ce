"""Convex duality in numbers: the semi-infinite dual on the circle, the scaling lemma, and the bidual.

Slides: convex duality of two-layer networks; scaling of weights; the bidual and the number of neurons.
Claims: the dual max v'y/n - ||v||^2/(2n) subject to |v'(Xw)_+| <= beta n for every ||w|| <= 1 has the value of the
network; at the optimum the constraint is active exactly at the neurons. Weight decay on both layers equals an l1 norm
of the output weights with unit first-layer weights. The bidual is an l1 problem over all w, which finitely many
neurons solve; fewer are worse.
Found: all hold on 8 samples in the plane, where the constraint can be drawn against the angle of w. The printed lambda
stands for two numbers: weight decay has beta/2 where the l1 norm has beta.
"""

import cvxpy as cp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from _page import BLUE, GREEN, GREY, INK, ORANGE, RED, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.lbfgs import train_lbfgs
from ecgcvx.baselines.problem import Problem
from ecgcvx.models import network_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import Array

X = np.array(
    [[0.35, 0.82], [0.33, -1.3], [0.91, 0.45], [-0.54, 0.58], [0.36, 0.29], [0.03, 0.55], [-0.74, -0.16], [-0.48, 0.6]]
)
Y = np.array([0.04, -0.29, -0.78, -0.26, 0.01, -0.28, 1.29, 1.01])
BETA = 0.05
WIDTHS = (1, 2, 3, 4, 6, 10)
AGREE = 1e-6


def reproduce(reduced: bool) -> Entry:
    """Solve primal, dual and bidual, and train networks of growing width."""
    program = relu_program(PatternFeatures(X, enumerate_patterns(X)), Y, BETA)
    solution = CvxpySolver(gap=1e-9).solve(program)
    v = program.residual(solution.u)
    network = network_of(program, solution.u)
    neurons = network.W1.T / np.linalg.norm(network.W1, axis=0)[:, None]
    touching = np.abs(v @ np.maximum(X @ neurons.T, 0)) / len(Y) / BETA
    angles, price = _price(v, 200_001)
    dual = _dual(512 if reduced else 4096)
    bidual, atoms = _bidual(512 if reduced else 4096)
    best = {m: _network(m, 10 if reduced else 100) for m in WIDTHS}
    scales = np.geomspace(0.25, 4, 201)
    decay, l1 = _scaling(network.W1, network.W2, scales)
    p = solution.primal
    claims = (
        Claim(
            "The dual, with a constraint for every w of the unit ball, has the value of the network.",
            f"network {best[10]:.7f}, convex program {p:.7f}, dual over a grid of the circle {dual:.7f}",
            abs(dual - p) < 1e-4 * p and abs(best[10] - p) < AGREE * p,
        ),
        Claim(
            "At the optimum |v'(Xw)_+| / n touches beta at the active neurons and nowhere exceeds it.",
            f"largest value on the circle {price.max() / BETA:.8f} beta; at the {network.neurons} neurons "
            f"{touching.min():.8f} to {touching.max():.8f} beta",
            price.max() < BETA * (1 + 1e-6) and touching.min() > 1 - 1e-6,
        ),
        Claim(
            "lambda (||W1||^2 + ||W2||^2) is lambda sum |a_j| with ||w_j|| = 1 after the best scaling of each neuron.",
            f"at the best scale 1/2 (||W1||^2 + ||W2||^2) = {decay.min():.6f}, sum ||w_j|| |a_j| = {l1:.6f}; "
            f"at twice that scale {np.interp(2, scales, decay):.3f}",
            abs(decay.min() - l1) < AGREE * l1 and abs(scales[np.argmin(decay)] - 1) < 0.02,
            "The first lambda is beta/2 where the second is beta.",
        ),
        Claim(
            "The bidual, an l1 problem over all w, has the same value with finitely many neurons, at most n + 1.",
            f"lasso over a grid of the circle {bidual:.7f} with {atoms} directions (neighbours counted once)",
            abs(bidual - p) < 1e-4 * p and atoms <= len(Y) + 1,
        ),
        Claim(
            "With fewer neurons than the convex optimum has, the network is worse; with as many it is as good.",
            f"optimum {p:.6f} with {network.neurons} neurons; best of {10 if reduced else 100} starts with m neurons: "
            + ", ".join(f"m = {m}: {value:.6f}" for m, value in best.items()),
            all((value > p * (1 + 1e-3)) == (m < network.neurons) for m, value in best.items())
            and abs(best[10] - p) < AGREE * p,
        ),
    )
    return Entry(
        "Convex duality",
        "convex duality of the two-layer network; the scaling lemma; the bidual and the number of neurons",
        claims,
        (
            Picture(
                "duality_circle",
                "Price of every direction w at the optimum, against its angle; it touches beta at the neurons.",
                _circle_figure(angles, price, neurons, network.W2),
            ),
            Picture(
                "duality_numbers",
                "Left: weight decay along the scale of the neurons. Right: best networks of m neurons, convex optimum.",
                _number_figure(scales, decay, l1, best, p),
            ),
        ),
    )


def _circle(count: int) -> tuple[Array, Array]:
    """Angles round the circle, the kinks among them, and their directions."""
    kinks = np.arctan2(X[:, 1], X[:, 0])[:, None] + np.array([0.5, 1.5]) * np.pi
    angles = np.unique(np.r_[np.linspace(0, 2 * np.pi, count, endpoint=False), kinks.ravel() % (2 * np.pi)])
    return angles, np.column_stack([np.cos(angles), np.sin(angles)])


def _price(v: Array, count: int) -> tuple[Array, Array]:
    """|v'(Xw)_+| / n for directions w round the circle."""
    angles, w = _circle(count)
    return angles, np.abs(v @ np.maximum(X @ w.T, 0)) / len(Y)


def _dual(count: int) -> float:
    """The dual with its constraint on a grid: an upper bound of the dual, close for many directions."""
    _, w = _circle(count)
    A = np.maximum(X @ w.T, 0).T
    v = cp.Variable(len(Y))
    value = (v @ Y - cp.sum_squares(v) / 2) / len(Y)
    problem = cp.Problem(cp.Maximize(value), [A @ v <= BETA * len(Y), A @ v >= -BETA * len(Y)])
    return float(problem.solve(solver=cp.CLARABEL))


def _bidual(count: int) -> tuple[float, int]:
    """The lasso over the neurons of a grid, and its active directions, neighbours of one sign counted once."""
    _, w = _circle(count)
    A = np.maximum(X @ w.T, 0)
    a = cp.Variable(len(w))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(A @ a - Y) / (2 * len(Y)) + BETA * cp.norm1(a)))
    value = float(problem.solve(solver=cp.CLARABEL))
    assert a.value is not None
    active = np.sign(a.value) * (np.abs(a.value) > 1e-4 * np.abs(a.value).max())
    return value, int(np.count_nonzero(active * (active != np.roll(active, 1))))


def _network(neurons: int, starts: int) -> float:
    """Lowest objective of a network over so many starts."""
    problem = Problem(Layers((X.shape[1], neurons, 1)), X, Y, BETA)
    runs = (train_lbfgs(problem, problem.layers.initial(np.random.default_rng(seed))) for seed in range(starts))
    return min(problem.objective(run.parameters) for run in runs)


def _scaling(W1: Array, W2: Array, scales: Array) -> tuple[Array, float]:
    """1/2 (||t W1||^2 + ||W2 / t||^2) for scales t, which leave the output as it is, and sum ||w_j|| |a_j|."""
    first, second = float(np.sum(W1**2)), float(np.sum(W2**2))
    return (scales**2 * first + second / scales**2) / 2, float(np.linalg.norm(W1, axis=0) @ np.abs(W2))


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


def _number_figure(scales: Array, decay: Array, l1: float, best: dict[int, float], p: float) -> Figure:
    figure = new_figure("The scaling lemma, and networks of few neurons", 3.2)
    left, right = figure.subplots(1, 2)
    left.plot(scales, decay, color=BLUE, label="½ (||t W1||² + ||W2 / t||²)")
    left.axhline(l1, color=INK, linestyle="--", linewidth=0.9, label="Σ ||w_j|| |a_j|")
    style(left, xscale="log", xlabel="scale t", ylabel="penalty / β", ylim=(0, None))
    left.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    left.set_xticks([], minor=True)
    left.legend(frameon=False, fontsize=8, loc="upper center")
    right.plot(list(best), list(best.values()), "o", color=ORANGE, markersize=6, label="best network of m neurons")
    right.axhline(p, color=BLUE, linewidth=1.2, label="convex optimum = dual = bidual")
    style(right, xlabel="neurons m", ylabel="objective", xlim=(0, 11))
    right.legend(frameon=False, fontsize=8, loc="upper right")
    return figure


if __name__ == "__main__":
    main(reproduce)
