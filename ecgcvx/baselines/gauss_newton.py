"""Gauss-Newton: each step minimises the squared loss of the linearised network, damped as by Levenberg and Marquardt.

    p = argmin 1/(2n) ||f(x) + J p - y||^2 + beta/2 ||x + p||^2 + damping/2 ||p||^2,    x <- x + p

The solution is (J'J/n + (beta + damping) I) p = -g with g the gradient of P. An approximate J'J gives a direction only:
its length then minimises the exact quadratic along it, one product J p. The damping follows the ratio of the decrease
of P to the one that the quadratic promises.

Sources: Nocedal & Wright (2006), sections 10.3 and 4.1; Martens & Grosse (2015), sections 6.4 and 6.5.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from threadpoolctl import threadpool_limits

from ecgcvx.baselines.backprop import squared
from ecgcvx.baselines.clock import Clock, TimeUp
from ecgcvx.baselines.curvature import Curvature, Solve, full
from ecgcvx.baselines.linearisation import Linearisation
from ecgcvx.baselines.minibatch import BackpropResult, Status
from ecgcvx.baselines.problem import Problem
from ecgcvx.errors import InputError
from ecgcvx.interruption import stoppable
from ecgcvx.types import Array

FIRST_DAMPING = 0.1
LEAST_DAMPING, MOST_DAMPING = 1e-9, 1e9
GOOD, POOR = 0.75, 0.25  # ratios of decrease to promise that lower and raise the damping
LOWER, RAISE = 0.1, 4.0
GRADIENT_TOLERANCE = 1e-9  # norm of the gradient, relative to 1 + ||x||


class _Point(NamedTuple):
    parameters: Array
    value: float
    gradient: Array


def train_gauss_newton(
    problem: Problem,
    start: NDArray[Any],
    random: np.random.Generator,
    curvature: Curvature = full,
    iterations: int = 100,
    damping: float = FIRST_DAMPING,
    callback: Callable[[int, float], None] | None = None,
    clock: Clock | None = None,
) -> BackpropResult:
    """Minimise P from `start` (k,) by damped Gauss-Newton steps with an approximation of `curvature`.

    Ends after so many iterations, at a stationary point, when no damping lowers P any more, or when the clock's time is
    over. P falls at every iteration. KeyboardInterrupt ends the training early. callback(iteration, P) is called after
    each iteration. random: for what the curvature draws.

    Raises InputError for a loss that is not squared, more than one output, iterations < 1, or damping < 0.
    """
    if problem.layers.loss is not squared:
        raise InputError(f"loss is {problem.layers.loss.__name__}; Gauss-Newton steps are for the squared loss")
    if iterations < 1 or damping < 0:
        raise InputError(f"iterations is {iterations}, damping is {damping}; pass at least 1, and at least 0")
    clock = Clock() if clock is None else clock
    history: list[float] = []
    status: Status = "finished"
    x = np.array(start, dtype=np.float64)
    with threadpool_limits(1, "blas"):
        with stoppable() as loop:
            try:
                here = _Point(x, *problem.objective_and_gradient(x))
                while len(history) < iterations and not _stationary(here):
                    J = Linearisation(problem, here.parameters, clock)
                    solve = curvature(J, problem.beta + damping, random)
                    there, damping = _step(problem, here, J, solve, damping)
                    if there is None:
                        break
                    here, x = there, there.parameters
                    history.append(here.value)
                    if callback is not None:
                        callback(len(history), here.value)
                    clock.see(x)
            except TimeUp:
                status = "time limit"
        if loop.stopped:
            status = "interrupted"
    return BackpropResult(x, tuple(history), status)


def _step(
    problem: Problem, here: _Point, J: Linearisation, solve: Solve, damping: float
) -> tuple[_Point | None, float]:
    """Return the first point that lowers P as the damping rises, and the damping of the next step; None at the end."""
    while damping <= MOST_DAMPING:
        try:
            p = solve(here.gradient, problem.beta + damping)
        except LinAlgError:
            damping = max(RAISE * damping, LEAST_DAMPING)
            continue
        p, promise = _along(problem, here.gradient, J, p, damping)
        x = here.parameters + p
        there = _Point(x, *problem.objective_and_gradient(x))
        ratio = (here.value - there.value) / promise if promise > 0 else -1.0
        if ratio < POOR:
            damping = max(RAISE * damping, LEAST_DAMPING)
        elif ratio > GOOD:
            damping = max(LOWER * damping, LEAST_DAMPING)
        if there.value < here.value:
            return there, damping
    return None, damping


def _along(problem: Problem, gradient: Array, J: Linearisation, p: Array, damping: float) -> tuple[Array, float]:
    """Scale p to the minimum of the damped quadratic along it; also return the decrease of P that is promised there."""
    Jp = J.product(p).astype(np.float64)
    slope, square = float(gradient @ p), float(p @ p)
    bend = float(Jp @ Jp) / len(problem) + problem.beta * square
    if bend + damping * square <= 0:
        return p, 0.0
    scale = -slope / (bend + damping * square)
    return scale * p, -scale * slope - 0.5 * scale * scale * bend


def _stationary(here: _Point) -> bool:
    return float(np.linalg.norm(here.gradient)) <= GRADIENT_TOLERANCE * (1 + float(np.linalg.norm(here.parameters)))
