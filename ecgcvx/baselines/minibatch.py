"""Training by minibatches with any first-order optimiser, and what a training returns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ecgcvx.baselines.backprop import Workspace, backward, forward
from ecgcvx.baselines.clock import Clock, TimeUp
from ecgcvx.baselines.optimisers import ADAM, Optimiser, Schedule, State, cosine
from ecgcvx.baselines.problem import Problem
from ecgcvx.errors import InputError, SolverError
from ecgcvx.interruption import stoppable

Array = NDArray[Any]
Status = Literal["finished", "time limit", "interrupted"]


@dataclass(frozen=True, eq=False)
class BackpropResult:
    """Trained parameters (k,) in float64, objectives on the way, and why the training ended.

    history : of minibatches for each finished epoch the mean loss, seen while the weights moved, plus the penalty at
    the epoch's end: an estimate of P. Of a full-batch method P after each iteration.
    """

    parameters: NDArray[np.float64]
    history: tuple[float, ...]
    status: Status


def train_minibatch(
    problem: Problem,
    start: Array,
    random: np.random.Generator,
    optimiser: Optimiser = ADAM,
    schedule: Schedule = cosine,
    step_size: float = 2e-2,
    batch: int = 512,
    epochs: int | None = 60,
    callback: Callable[[int, float], None] | None = None,
    clock: Clock | None = None,
) -> BackpropResult:
    """Train from `start` (k,) on minibatches that partition the rows in a new order each epoch.

    KeyboardInterrupt ends the training early and returns the weights so far.

    Parameters
    ----------
    problem
        With rows that are an array, best in float32: `Problem.single`.
    start, optimiser, clock
        First parameters, the rule of a step, and the time that the training may take.
    random
        Draws the order of the rows: without a clock, the same state of it gives the same bytes.
    schedule, step_size
        The step size is step_size * schedule(share), share of the epochs or of the time, whichever is further. On the
        first 64 % of record 208, beta 1e-5 and 1e-4, Adam's default ends with a lower P than 3e-3 and 1e-2 for 16, 64
        and 256 neurons; 400 epochs with 512 neurons end lower with 3e-3 than with 1e-2.
    batch, epochs
        Rows a step at most, and passes over the rows; epochs None: until the clock's time is over.
    callback
        Called as callback(epoch, loss) after each epoch, counted from 1.

    Raises
    ------
    InputError
        When an option is out of range.
    SolverError
        When the training diverged.
    """
    _check_options(epochs, batch, step_size, clock)
    step_size = float(step_size)  # a NumPy scalar would promote the float32 arrays
    clock = Clock() if clock is None else clock
    n = len(problem)
    total_steps = inf if epochs is None else epochs * -(-n // batch)
    state = optimiser.start(np.asarray(start, problem.dtype))
    workspace = Workspace(problem.layers, min(n, batch), problem.dtype)
    history: list[float] = []
    status: Status = "finished"
    # A minibatch is too small to share between threads; one keeps the bits independent of the machine's cores.
    with threadpool_limits(1, "blas"):
        with stoppable() as loop:
            try:
                while epochs is None or len(history) < epochs:
                    loss = 0.0
                    for chosen in minibatches(n, batch, random):
                        rate = step_size * schedule(max(state.steps / total_steps, clock.share))
                        part, state = _train_step(problem, state, optimiser, chosen, rate, workspace)
                        loss += part
                        clock.see(state.parameters)
                    history.append(loss / n + problem.penalty(state.parameters))
                    if not isfinite(history[-1]):
                        raise _diverged(optimiser, step_size)
                    if callback is not None:
                        callback(len(history), history[-1])
            except TimeUp:
                status = "time limit"
        if loop.stopped:
            status = "interrupted"
    if not np.isfinite(state.parameters).all():
        raise _diverged(optimiser, step_size)
    return BackpropResult(state.parameters.astype(np.float64), tuple(history), status)


def _train_step(
    problem: Problem, state: State, optimiser: Optimiser, rows: Array, step_size: float, workspace: Workspace
) -> tuple[float, State]:
    """Return the batch's sum of losses before the step, and the state after it."""
    X, y = problem.pick(rows)
    weights = problem.layers.split(state.parameters)
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported once an epoch, by name
        loss, delta = problem.layers.loss(forward(problem.layers, weights, X, workspace), y)
        gradients = backward(weights, X, delta, workspace)
        gradient = np.concatenate([part.ravel() for part in gradients]) / len(y)
        gradient += float(problem.beta) * state.parameters
        return loss, optimiser.step(state, gradient, step_size)


def minibatches(n: int, batch: int, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each minibatch of one epoch: near-equal sizes, so that no small last one makes a noisy step."""
    edges = np.linspace(0, n, -(-n // batch) + 1).astype(int)
    order = random.permutation(n)
    for start, stop in pairwise(edges):
        yield order[start:stop]


def _diverged(optimiser: Optimiser, step_size: float) -> SolverError:
    return SolverError(f"{optimiser.name} diverged with step_size {step_size}; pass a smaller one")


def _check_options(epochs: int | None, batch: int, step_size: float, clock: Clock | None) -> None:
    if epochs is None and (clock is None or clock.seconds == inf):
        raise InputError("epochs is None; pass a number of passes, or a clock that ends the training")
    for name, value in (("epochs", 1 if epochs is None else epochs), ("batch", batch)):
        if not isinstance(value, Integral) or value < 1:
            raise InputError(f"{name} is {value}; pass an integer of at least 1")
    if not (isfinite(step_size) and step_size > 0):
        raise InputError(f"step_size is {step_size}; pass a finite number above 0")
