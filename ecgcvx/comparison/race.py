"""Runs of the comparison: each on one thread with the same time, as many at once as there are processes."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from multiprocessing import active_children, get_context, parent_process
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ecgcvx.baselines.clock import Clock
from ecgcvx.baselines.problem import Problem
from ecgcvx.comparison.contenders import CONTENDERS, SCHEDULES
from ecgcvx.errors import SolverError
from ecgcvx.interruption import check, stoppable

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
    try:
        with stoppable():
            for done in _runs(context, ordered, jobs):
                if done.status == "interrupted":
                    break
                made[done.task] = done
                seen(done)
    except BrokenProcessPool:
        raise SolverError(f"jobs = {jobs}: a process ended, perhaps for want of memory; ask for fewer") from None
    return [made[task] for task in ordered if task in made]


def _runs(context: RunContext, tasks: list[Task], jobs: int) -> Iterator[Run]:
    if jobs == 1:
        yield from (run(context, task) for task in tasks)
        return
    # A fresh interpreter for each: threads of BLAS and Numba do not survive a fork.
    others = set(active_children())
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (context,)) as pool:
        with _deaf():
            futures = [pool.submit(_run_here, task) for task in tasks]
        try:
            check()
            for future in as_completed(futures):
                yield future.result()
        except (KeyboardInterrupt, GeneratorExit):
            for process in set(active_children()) - others:  # a run may last
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore Ctrl-C, and so in processes that start meanwhile: they would die of it with a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_context: RunContext | None = None  # of this worker process


def _begin(context: RunContext) -> None:
    global _context
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _context = context


def _end_with_parent() -> None:
    """End this process when the one that started it has been killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run_here(task: Task) -> Run:
    assert _context is not None
    with _interruptible():
        return run(_context, task)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C reach a run, but not a worker that waits for one: it would die with a traceback."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
