"""Runs of the comparison: each on one thread with the same time, as many at once as there are processes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ecgcvx.baselines.clock import Clock
from ecgcvx.baselines.problem import Problem
from ecgcvx.comparison.contenders import CONTENDERS, SCHEDULES
from ecgcvx.errors import SolverError
from ecgcvx.interruption import stoppable
from ecgcvx.workers import side_by_side

MARKS, FIRST_MARK = 14, 0.01  # evaluations on the way of a run, the first at this share of its time
TUNING = 10**6  # seeds of tuning runs start here: they are no initialisation of the race


@dataclass(frozen=True)
class Task:
    """A run to make; schedule and step size None where the optimiser has none."""

    contender: str
    seed: int
    schedule: str | None = None
    step_size: float | None = None


@dataclass(frozen=True)
class Run:
    """What a run came to.

    objective : P at its end on all training windows, summed in float64; inf when it diverged. test_rmse_mv : of
    the same weights. seconds : of its thread's processor time, without evaluations. iterations : epochs of a minibatch
    method. trace : (seconds, P) on the way.
    """

    task: Task
    objective: float
    test_rmse_mv: float
    seconds: float
    iterations: int
    status: str
    trace: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class RunContext:
    """What all runs share: problem in float32, test windows (n, d) and targets, mV a unit, seconds of a run."""

    problem: Problem
    test_X: NDArray[np.float32]
    test_y: NDArray[np.float32]
    scale: float
    seconds: float


def run(context: RunContext, task: Task) -> Run:
    """Make one run; KeyboardInterrupt ends it with status 'interrupted'."""
    contender = CONTENDERS[task.contender]
    problem = context.problem
    random = np.random.default_rng(task.seed)
    start = problem.layers.initial(random)
    marks = context.seconds * np.geomspace(FIRST_MARK, 1, MARKS, endpoint=False)
    with threadpool_limits(1, "blas"):
        first = problem.objective(start)
        clock = Clock(context.seconds, lambda parameters: _objective(problem, parameters), marks)
        schedule = SCHEDULES[task.schedule or "constant"]
        try:
            found = contender.train(problem, start, random, clock, schedule, task.step_size or 0.0)
        except SolverError:
            return Run(task, inf, inf, clock.elapsed, 0, "diverged", ((0.0, first), *clock.trace))
        elapsed = clock.elapsed
        value = _objective(problem, found.parameters)
        test = Problem(problem.layers, context.test_X, context.test_y, 0.0)
        # 1/(2n) ||f - y||^2 without the penalty is half the mean square.
        rmse = context.scale * np.sqrt(2 * _objective(test, found.parameters))
    trace = ((0.0, first), *clock.trace, (elapsed, value))
    return Run(task, value, float(rmse), elapsed, len(found.history), found.status, trace)


def _objective(problem: Problem, parameters: NDArray[Any]) -> float:
    if not np.isfinite(parameters).all():
        return inf
    with np.errstate(over="ignore", invalid="ignore"):  # of a run that is about to diverge
        value = problem.objective(parameters)
    return value if np.isfinite(value) else inf


def complete(context: RunContext, tasks: Iterable[Task], jobs: int, seen: Callable[[Run], None]) -> list[Run]:
    """Make the runs in `jobs` processes (1: in this one) and return those that were made, in the order of the tasks.

    seen is called after each. KeyboardInterrupt stops: what runs is cut short and dropped, the rest is not begun, and
    the list is shorter than the tasks.

    Raises SolverError when a process dies.
    """
    made: dict[Task, Run] = {}
    ordered = list(tasks)
    with stoppable():
        for task, done in side_by_side(partial(run, context), ordered, jobs):
            if done.status == "interrupted":
                break
            made[task] = done
            seen(done)
    return [made[task] for task in ordered if task in made]
