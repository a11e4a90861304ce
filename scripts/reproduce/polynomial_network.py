"""Polynomial activation: its fit of the ReLU, and backprop against the convex optimum, on planted toy data.

Slides: polynomial activation; .09 t^2 + .5 t + .47 for the ReLU.
Claims: the semidefinite program has the global optimum, which no run of backprop crosses, in less time than one run;
.09 t^2 + .5 t + .47 is a fit of the ReLU.
Found: both hold. The program needs a pair of matrices: the single Z of the slide forces positive output weights.
"""

import cvxpy as cp
import numpy as np
from matplotlib.axes import Axes

from _page import BLUE, INK, Claim, Entry, Picture, main, new_figure, style
from _planted import BETA, NOTE, TOY, Task, draw, planted, quicker, race
from ecgcvx.activations import RELU_LIKE, relu_polynomial
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.solvers.polynomial import PolynomialSolver


def reproduce(reduced: bool) -> Entry:
    """Run the race, solve with one matrix, and fit the ReLU."""
    task = planted(RELU_LIKE, BETA, 0)
    found, exact = race(task, reduced), relu_polynomial(-5, 5)
    pair, single = single_matrix(task)
    claims = (
        Claim(
            "The semidefinite program in one matrix Z has the global optimum; no run of backprop is below it.",
            f"{found.words()}. With a single Z on 12 samples of 3 inputs: {single:.4f} in place of {pair:.4f}",
            found.lowest >= found.optimum * (1 - 1e-6) and found.gap < 1e-6 and single > pair * 1.01,
            "It takes a pair of matrices: one alone makes all output weights positive.",
        ),
        quicker(found, reduced),
        Claim(
            ".09 t^2 + .5 t + .47 approximates the ReLU.",
            f"least squares on [-5, 5] gives {exact.a:.5f}, {exact.b:.3f}, {exact.c:.5f}",
            bool(np.abs(np.subtract(exact, RELU_LIKE)).max() < 5e-3),
        ),
    )
    figure = new_figure("Polynomial activation near a ReLU: backprop above the convex optimum", 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
    activation_panel(left)
    draw(found, right)
    picture = Picture("polynomial_network", f"ReLU and polynomial; backprop above the convex optimum, {TOY}.", figure)
    return Entry(
        "Polynomial activation", "polynomial activation; the ReLU and its polynomial", claims, (picture,), NOTE
    )


def activation_panel(axes: Axes) -> None:
    """Draw the ReLU and its polynomial."""
    t = np.linspace(-7, 7, 400)
    axes.axvspan(-5, 5, color="#f2f2f2", linewidth=0, label="interval of the fit")
    axes.plot(t, np.maximum(t, 0), color=INK, linewidth=1.2, label="ReLU")
    axes.plot(t, RELU_LIKE(t), color=BLUE, linewidth=1.5, label=".09 t² + .5 t + .47")
    style(axes, xlabel="t", xlim=(-7, 7), ylim=(-0.6, 8.5))
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)


def single_matrix(task: Task) -> tuple[float, float]:
    """Optimum of the program of the first samples and inputs with a pair of matrices, and with a single one."""
    X, y = task.X[:12, :3], task.y[:12] - task.y[:12].mean()
    a, b, c = task.activation
    pair = PolynomialSolver().solve(PolynomialProgram(X, y, 0.05, task.activation)).primal
    Z = cp.Variable((4, 4), PSD=True)
    f = a * cp.sum(cp.multiply(X @ Z[:3, :3], X), axis=1) + b * X @ Z[:3, 3] + c * Z[3, 3]
    penalised = cp.sum_squares(f - y) / (2 * len(y)) + 0.05 * Z[3, 3]
    problem = cp.Problem(cp.Minimize(penalised), [cp.trace(Z[:3, :3]) == Z[3, 3]])
    return pair, float(problem.solve(solver=cp.CLARABEL))


if __name__ == "__main__":
    main(reproduce)
