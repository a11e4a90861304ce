"""Backprop against the convex optimum of networks with a quadratic and a polynomial activation, on planted toy data.

n = 100 samples of d = 10 standard normal inputs, m = 10 planted unit directions with weights +-1. Both sides minimise

    1/(2n) ||f - y||^2 + beta ||alpha||_1,   f(x) = sum_j alpha_j s(x'u_j),   ||u_j|| = 1

backprop over m neurons from random starts (Adam on minibatches with a cosine schedule, and L-BFGS on the whole batch
and a smooth form of the same objective), the semidefinite program over any number of them. Every clock runs from the
data in memory; objectives are computed off the clock.

Usage: python scripts/reproduce/polynomial_networks.py [--output docs]      writes quadratic_network.png and
                                                                            polynomial_network.png
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from ecgcvx.activations import QUADRATIC, RELU_LIKE, Polynomial, relu_polynomial
from ecgcvx.decomposition import polynomial_network_of
from ecgcvx.figures import save_figure
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.solvers.polynomial import PolynomialSolver
from ecgcvx.types import Array

ADAM, LBFGS, CONVEX, RELU = "#8a8a8a", "#e0913d", "#4a8df0", "#1a1a1a"
SAMPLES, INPUTS, NEURONS = 100, 10, 10
STEPS, BATCH, STEP_SIZE = 20_000, 25, 2e-2
SNAPSHOTS = 200
FLOOR = 1e-8  # of the figures: what is nearer to the optimum is drawn there


@dataclass(frozen=True)
class Task:
    """Data, activation and beta of one figure."""

    X: Array
    y: Array
    activation: Polynomial
    beta: float

    def objective(self, U: Array, alpha: Array) -> float:
        """Objective of directions U (m, d), normalised here, and weights alpha (m,)."""
        U = U / np.linalg.norm(U, axis=1, keepdims=True)
        r = self.activation(self.X @ U.T) @ alpha - self.y
        return float(r @ r) / (2 * len(r)) + self.beta * float(np.abs(alpha).sum())


@dataclass(frozen=True)
class Curve:
    """Seconds and objectives of one run."""

    seconds: Array
    objectives: Array


def planted(activation: Polynomial, beta: float, seed: int) -> Task:
    """Noiseless targets of a network with 10 neurons."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((SAMPLES, INPUTS))
    U = rng.standard_normal((NEURONS, INPUTS))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    return Task(X, activation(X @ U.T) @ rng.choice([-1.0, 1.0], NEURONS), activation, beta)


def adam_run(task: Task, seed: int) -> Curve:
    """Adam over directions and weights; the derivative of |alpha| at 0 is taken as 0."""
    rng = np.random.default_rng(seed)
    m, d = NEURONS, INPUTS
    parameters = rng.standard_normal((m, d + 1)) / np.sqrt(d)
    mean, square = np.zeros_like(parameters), np.zeros_like(parameters)
    a, b, _ = task.activation
    kept, seconds = [parameters.copy()], [0.0]
    marks = set(np.unique(np.geomspace(1, STEPS, SNAPSHOTS).astype(int)))
    started = time.perf_counter()
    for step in range(1, STEPS + 1):
        rows = rng.integers(0, SAMPLES, BATCH)
        X, V, alpha = task.X[rows], parameters[:, :d], parameters[:, d]
        lengths = np.sqrt(np.einsum("md,md->m", V, V))
        U = V / lengths[:, None]
        Z = X @ U.T
        S = task.activation(Z)
        slope = (S @ alpha - task.y[rows]) / BATCH
        along = ((slope[:, None] * (2 * a * Z + b)) * alpha).T @ X
        gradient = np.empty_like(parameters)
        gradient[:, :d] = (along - np.einsum("md,md->m", along, U)[:, None] * U) / lengths[:, None]
        gradient[:, d] = slope @ S + task.beta * np.sign(alpha)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = STEP_SIZE * (1 + np.cos(np.pi * step / STEPS)) / 2
        corrected = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        parameters = parameters - rate * mean / (1 - 0.9**step) / corrected
        if step in marks:
            kept.append(parameters.copy())
            seconds.append(time.perf_counter() - started)
    return Curve(np.array(seconds), np.array([task.objective(p[:, :d], p[:, d]) for p in kept]))


def lbfgs_run(task: Task, seed: int) -> Curve:
    """L-BFGS over w_j = sqrt|alpha_j| u_j with random signs of alpha_j, where beta ||alpha||_1 is weight decay."""
    rng = np.random.default_rng(seed)
    signs = rng.permutation(np.repeat([1.0, -1.0], NEURONS // 2))
    a, b, c = task.activation

    def value(flat: Array) -> tuple[float, Array]:
        W = flat.reshape(NEURONS, INPUTS)
        lengths = np.linalg.norm(W, axis=1)
        Z = task.X @ W.T
        r = (a * Z**2 + b * Z * lengths + c * lengths**2) @ signs - task.y
        slope = r / SAMPLES
        radial = b * (slope @ Z) / lengths + 2 * c * slope.sum()
        inner = (slope[:, None] * (2 * a * Z + b * lengths)).T @ task.X + radial[:, None] * W
        total = float(r @ slope) / 2 + task.beta * float(flat @ flat)
        return total, (inner * signs[:, None] + 2 * task.beta * W).ravel()

    start = rng.standard_normal(NEURONS * INPUTS) / np.sqrt(INPUTS)
    kept, seconds = [start], [0.0]
    started = time.perf_counter()

    def keep(flat: Array) -> None:
        kept.append(flat.copy())
        seconds.append(time.perf_counter() - started)

    options = {"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-14, "gtol": 1e-9}
    minimize(value, start, jac=True, method="L-BFGS-B", callback=keep, options=options)
    return Curve(np.array(seconds), np.array([value(flat)[0] for flat in kept]))


def convex_run(task: Task) -> tuple[float, float, float, int]:
    """Median seconds of 5 solves, objective, relative gap and neurons of the semidefinite program."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        program = PolynomialProgram(task.X, task.y, task.beta, task.activation)
        solution = PolynomialSolver().solve(program)
        times.append(time.perf_counter() - started)
    network = polynomial_network_of(program, solution.u)
    return float(np.median(times)), solution.primal, solution.gap, network.neurons


def race(task: Task, name: str, runs: int, axes: Axes) -> None:
    """Draw how far every run of one task is above the convex optimum, and print what the runs reach."""
    seconds, optimum, gap, neurons = convex_run(task)
    print(f"{name}: convex {optimum:.8e} in {1e3 * seconds:.1f} ms, gap {gap:.1e}, {neurons} neurons")
    kinds: tuple[tuple[str, Callable[[Task, int], Curve], str], ...] = (
        ("Adam", adam_run, ADAM),
        ("L-BFGS", lbfgs_run, LBFGS),
    )
    for label, run, color in kinds:
        curves = [run(task, seed) for seed in range(runs)]
        ends = np.array([curve.objectives.min() for curve in curves])
        reached = int((ends <= optimum * 1.001).sum())
        took = float(np.median([curve.seconds[-1] for curve in curves]))
        print(
            f"  {label}: best {ends.min():.8e}, worst {ends.max():.8e}, {reached} of {runs} within 0.1 %, {took:.2f} s"
        )
        for i, curve in enumerate(curves):
            shown = f"{label}, {runs} starts: {reached} end within 0.1 %" if i == 0 else None
            above = np.maximum(curve.objectives / optimum - 1, FLOOR)
            axes.plot(np.maximum(curve.seconds, 1e-4), above, color=color, linewidth=0.9, alpha=0.8, label=shown)
    note = f"convex: {neurons} neurons, {1e3 * seconds:.0f} ms, proved gap {gap:.0e}"
    axes.axvline(seconds, color=CONVEX, linewidth=0.8, linestyle=":")
    axes.plot([seconds], [FLOOR], "o", color=CONVEX, markersize=9, markeredgecolor="white", label=note, zorder=5,
              clip_on=False)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="objective above the convex optimum, relative")
    axes.set_ylim(FLOOR, None)
    axes.grid(color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def activation_panel(axes: Axes) -> None:
    """Draw the ReLU and its polynomial."""
    t = np.linspace(-7, 7, 400)
    exact = relu_polynomial(-5, 5)
    axes.axvspan(-5, 5, color="#f2f2f2", linewidth=0, label="interval of the fit")
    axes.plot(t, np.maximum(t, 0), color=RELU, linewidth=1.2, label="ReLU")
    axes.plot(t, RELU_LIKE(t), color=CONVEX, linewidth=1.5, label=".09 t² + .5 t + .47")
    axes.set(
        xlabel="t",
        title=f"least squares on [-5, 5]: {exact.a:.5f}, {exact.b:.3f}, {exact.c:.5f}",
        xlim=(-7, 7),
        ylim=(-0.6, 8.5),
    )
    axes.title.set_fontsize(9)
    axes.grid(color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def main() -> None:
    """Run both races and write both figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder of the figures (default docs)")
    parser.add_argument("--runs", type=int, default=10, help="starts of each kind of backprop (default 10)")
    parser.add_argument("--beta", type=float, default=1e-2, help="weight of the penalty (default 1e-2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data (default 0)")
    arguments = parser.parse_args()
    toy = f"n = {SAMPLES}, d = {INPUTS}, {NEURONS} planted neurons, beta = {arguments.beta:g}"
    with threadpool_limits(1):
        figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
        axes = figure.subplots()
        race(planted(QUADRATIC, arguments.beta, arguments.seed), "quadratic", arguments.runs, axes)
        figure.suptitle(f"Quadratic activation t²: {toy}", fontsize=11, fontweight="bold", x=0.02, ha="left")
        save_figure(figure, arguments.output / "quadratic_network.png")
        figure = Figure(figsize=(10.4, 4.4), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.8))
        activation_panel(left)
        race(planted(RELU_LIKE, arguments.beta, arguments.seed), "polynomial", arguments.runs, right)
        figure.suptitle(f"Polynomial activation near a ReLU: {toy}", fontsize=11, fontweight="bold", x=0.02, ha="left")
        save_figure(figure, arguments.output / "polynomial_network.png")


if __name__ == "__main__":
    main()
