"""The scaling lemma, the bidual, and networks of few neurons.

Slides: scaling of weights; the bidual and the number of neurons.
Claims: weight decay on both layers equals an l1 norm of the output weights with unit first-layer weights. The bidual is
an l1 problem over all w, which finitely many neurons solve; fewer are worse.
Found: all hold on 8 samples in the plane. The printed lambda stands for two numbers: weight decay has beta/2 where the
l1 norm has beta.
"""

import cvxpy as cp
import numpy as np
from matplotlib.figure import Figure

from _page import BLUE, INK, ORANGE, Claim, Entry, Picture, main, new_figure, style
from _plane import AGREE, BETA, X, Y, best_network, circle, solve
from ecgcvx.models import network_of
from ecgcvx.types import Array

WIDTHS = (1, 2, 3, 4, 6, 10)


def reproduce(reduced: bool) -> Entry:
    """Solve primal and bidual, and train networks of growing width."""
    program, solution = solve()
    network = network_of(program, solution.u)
    bidual, atoms = _bidual(512 if reduced else 4096)
    best = {m: best_network(m, 10 if reduced else 100) for m in WIDTHS}
    scales = np.geomspace(0.25, 4, 201)
    decay, l1 = _scaling(network.W1, network.W2, scales)
    p = solution.primal
    claims = (
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
        "Scaling lemma and bidual",
        "the scaling lemma; the bidual and the number of neurons",
        claims,
        (
            Picture(
                "scaling_and_bidual",
                "Left: weight decay along the scale of the neurons. Right: best networks of m neurons, convex optimum.",
                _number_figure(scales, decay, l1, best, p),
            ),
        ),
    )


def _bidual(count: int) -> tuple[float, int]:
    """The lasso over the neurons of a grid, and its active directions, neighbours of one sign counted once."""
    _, w = circle(count)
    A = np.maximum(X @ w.T, 0)
    a = cp.Variable(len(w))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(A @ a - Y) / (2 * len(Y)) + BETA * cp.norm1(a)))
    value = float(problem.solve(solver=cp.CLARABEL))
    assert a.value is not None
    active = np.sign(a.value) * (np.abs(a.value) > 1e-4 * np.abs(a.value).max())
    return value, int(np.count_nonzero(active * (active != np.roll(active, 1))))


def _scaling(W1: Array, W2: Array, scales: Array) -> tuple[Array, float]:
    """1/2 (||t W1||^2 + ||W2 / t||^2) for scales t, which leave the output as it is, and sum ||w_j|| |a_j|."""
    first, second = float(np.sum(W1**2)), float(np.sum(W2**2))
    return (scales**2 * first + second / scales**2) / 2, float(np.linalg.norm(W1, axis=0) @ np.abs(W2))


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
