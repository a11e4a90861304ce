"""Backprop against the convex program of networks with a polynomial activation, on planted toy data.

n = 100 samples of d = 10 standard normal inputs, m = 10 planted unit directions with weights +-1. Both sides minimise

    1/(2n) ||f - y||^2 + beta ||alpha||_1,   f(x) = sum_j alpha_j s(x'u_j),   ||u_j|| = 1

backprop over m neurons from random starts (Adam on minibatches with a cosine schedule, and L-BFGS on the whole batch
and a smooth form of the same objective), the semidefinite program over any number of them. Every clock runs from the
data in memory; objectives are computed off the clock.
"""

import time
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import minimize

from _page import GREY, ORANGE, RED, Claim, style
from ecgcvx.activations import Polynomial
from ecgcvx.models import polynomial_network_of
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.solvers.polynomial import PolynomialSolver
from ecgcvx.types import Array

ADAM, LBFGS = GREY, ORANGE
SAMPLES, INPUTS, NEURONS = 100, 10, 10
BETA, RUNS = 1e-2, 10
TOY = f"n = {SAMPLES}, d = {INPUTS}, {NEURONS} planted neurons, beta = {BETA:g}"
REACHED = 1e-3  # above the optimum, relative
STEPS, BATCH, STEP_SIZE = 6_000, 25, 2e-2
NOTE = f"Adam: {STEPS:,} steps of {BATCH} samples; L-BFGS: the whole batch, a smooth form of the same objective."
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


def adam_run(task: Task, seed: int, steps: int) -> Curve:
    """Adam over directions and weights; the derivative of |alpha| at 0 is taken as 0."""
    rng = np.random.default_rng(seed)
    m, d = NEURONS, INPUTS
    parameters = rng.standard_normal((m, d + 1)) / np.sqrt(d)
    mean, square = np.zeros_like(parameters), np.zeros_like(parameters)
    a, b, _ = task.activation
    kept, seconds = [parameters.copy()], [0.0]
    marks = set(np.unique(np.geomspace(1, steps, SNAPSHOTS).astype(int)))
    started = time.thread_time()
    for step in range(1, steps + 1):
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
        rate = STEP_SIZE * (1 + np.cos(np.pi * step / steps)) / 2
        corrected = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        parameters = parameters - rate * mean / (1 - 0.9**step) / corrected
        if step in marks:
            kept.append(parameters.copy())
            seconds.append(time.thread_time() - started)
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
    started = time.thread_time()

    def keep(flat: Array) -> None:
        kept.append(flat.copy())
        seconds.append(time.thread_time() - started)

    options = {"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-14, "gtol": 1e-9}
    minimize(value, start, jac=True, method="L-BFGS-B", callback=keep, options=options)
    return Curve(np.array(seconds), np.array([value(flat)[0] for flat in kept]))


def convex_run(task: Task) -> tuple[float, float, float, int]:
    """Median seconds of 5 solves, objective, relative gap and neurons of the semidefinite program."""
    times = []
    for _ in range(5):
        started = time.thread_time()
        program = PolynomialProgram(task.X, task.y, task.beta, task.activation)
        solution = PolynomialSolver().solve(program)
        times.append(time.thread_time() - started)
    network = polynomial_network_of(program, solution.u)
    return float(np.median(times)), solution.primal, solution.gap, network.neurons


@dataclass(frozen=True)
class Race:
    """All runs of one task: the convex program's seconds, optimum, gap and neurons, and curves by method."""

    seconds: float
    optimum: float
    gap: float
    neurons: int
    curves: dict[str, list[Curve]]

    def reached(self, method: str) -> int:
        """Runs that end within 0.1 % of the optimum."""
        return sum(curve.objectives.min() <= self.optimum * (1 + REACHED) for curve in self.curves[method])

    @property
    def lowest(self) -> float:
        """The lowest objective of all runs of backprop."""
        return min(float(curve.objectives.min()) for several in self.curves.values() for curve in several)

    @property
    def took(self) -> float:
        """Seconds of the quickest method of backprop, median of its runs."""
        return min(float(np.median([curve.seconds[-1] for curve in several])) for several in self.curves.values())

    def words(self) -> str:
        """What is said of it."""
        ends = ", ".join(f"{name} {self.reached(name)} of {len(several)}" for name, several in self.curves.items())
        return (
            f"convex {self.optimum:.6e}, proved gap {self.gap:.0e}, {self.neurons} neurons, "
            f"{1e3 * self.seconds:.0f} ms; lowest of backprop {self.lowest:.6e}; runs within 0.1 %: {ends}"
        )


def race(task: Task, reduced: bool) -> Race:
    """Make all runs of one task."""
    runs, steps = (2, 500) if reduced else (RUNS, STEPS)
    seconds, optimum, gap, neurons = convex_run(task)
    curves = {
        "Adam": [adam_run(task, seed, steps) for seed in range(runs)],
        "L-BFGS": [lbfgs_run(task, seed) for seed in range(runs)],
    }
    return Race(seconds, optimum, gap, neurons, curves)


def draw(found: Race, axes: Axes) -> None:
    """Draw how far every run is above the convex optimum."""
    for (label, curves), color in zip(found.curves.items(), (ADAM, LBFGS), strict=True):
        for i, curve in enumerate(curves):
            shown = f"{label}, {len(curves)} starts: {found.reached(label)} end within 0.1 %" if i == 0 else None
            above = np.maximum(curve.objectives / found.optimum - 1, FLOOR)
            axes.plot(np.maximum(curve.seconds, 1e-4), above, color=color, linewidth=0.9, alpha=0.8, label=shown)
    note = f"convex: {found.neurons} neurons, {1e3 * found.seconds:.0f} ms, proved gap {found.gap:.0e}"
    axes.axvline(found.seconds, color=RED, linewidth=0.8, linestyle=":")
    axes.plot([found.seconds], [FLOOR], "x", color=RED, markersize=9, markeredgewidth=2, label=note, zorder=5,
              clip_on=False)  # fmt: skip
    style(axes, xscale="log", yscale="log", xlabel="processor time (s)", ylim=(FLOOR, 3e3),
          ylabel="objective above the optimum, relative")  # fmt: skip
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)


def quicker(found: Race, reduced: bool) -> Claim:
    """The claim on time."""
    return Claim(
        "It has it in less time than a run of the quickest method of backprop.",
        f"{1e3 * found.seconds:.0f} ms against {1e3 * found.took:.0f} ms",
        reduced or found.seconds < found.took,
    )
