"""Cells that cover half of the ball, each with what is proved there; threads lower the largest value.

The bound is that value at any moment, so that work may end whenever it has to. A cell keeps what was proved until a
lower target asks for more.
"""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import pairwise
from queue import SimpleQueue
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.certificates.bound import CHUNK, RESOLUTION, STEP, TIGHT
from ecgcvx.certificates.cells import explore
from ecgcvx.certificates.clusters import COARSE, LIGHT, empty_clusters
from ecgcvx.certificates.state import Goal, Leaves, Problem, Workspace
from ecgcvx.interruption import wanted
from ecgcvx.rows import row_chunks
from ecgcvx.types import Array

AIM = 0.3  # how much of the excess over 1 of a target
ROUNDS = 5  # models of a function in a cell
EVERY = 5  # cuts of a cell before its clusters are looked at again
BUDGET = 256  # cells bounded by one task
LISTS = 1 << 18  # clusters, at most, in the lists of a cell and of all that it descends from
RUN = 16  # neighbouring cells, taken up again, that share their clusters
VARIANCE = 0.15  # of each coordinate of where the maximum is expected, before anything is known
PRECISION = 3e-3  # last weight of the barrier, relative to the excess
DISTANT = 1e-2  # excess, relative to the target, that is thought of at most where the level is not the price
PATIENCE = 0.5  # seconds that are waited at a time


@dataclass
class _Task:
    """Cells to be worked on, and then what came of them, in order: cells, and tasks where some are open."""

    given: Leaves
    origin: "_Task | None" = None  # what it was first a part of
    parts: list["Leaves | _Task"] = field(default_factory=list)
    pending: int = 1  # of an origin: tasks that are not done

    def __post_init__(self) -> None:
        self.value = float(self.given.values.max())

    def finish(self, found: Leaves, target: float, waiting: list["_Task"]) -> bool:
        """Take what was found; a cell above the target waits as a task. Return whether its origin is done with."""
        is_open = (found.values.max(axis=1) > target) & (found.light > 0)
        ends = np.union1d(np.flatnonzero(is_open), [0, *(np.flatnonzero(is_open) + 1), len(is_open)])
        origin, parts = self.origin or self, list["Leaves | _Task"]()
        for a, b in pairwise(ends.astype(int)):
            cells = _take(found, slice(a, b))
            parts.append(_Task(cells, origin) if is_open[a] else cells)
        self.parts = parts or [found]  # at once: an interrupt must not lose a cell
        children = [part for part in parts if isinstance(part, _Task)]
        waiting += children
        origin.pending += len(children) - 1
        return origin.pending == 0

    def leaves(self) -> list[Leaves]:
        """All cells that there are now in place of the given ones."""
        found, stack = list[Leaves](), list["Leaves | _Task"]([self])
        while stack:
            part = stack.pop()
            if isinstance(part, Leaves):
                found.append(part)
            elif part.parts:
                stack += reversed(part.parts)
            else:
                found.append(part.given)
        return found


def _take(leaves: Leaves, where: slice | np.ndarray) -> Leaves:
    return Leaves(leaves.place[where], leaves.cut[where], leaves.values[where], leaves.light[where])


class Frontier:
    """A cover of half of the ball by cells, in the order in which they were cut: neighbours are close together.

    value : the largest bound of a cell, so a bound on the price. found : the largest price met, so a bound from below.
    stuck : the largest bound of a cell that is too small to be cut. reference : what targets are measured from: 1, the
    level, unless the price is known to be above it or is to be bounded below it. cells : bounded so far. Close it, or
    use it in `with`.
    """

    def __init__(self, problem: Problem, value: float, factor: float, threads: int) -> None:
        d = problem.windows.X.shape[1]
        self.factor, self.stuck, self.found = factor, 0.0, 0.0
        place = np.zeros((1, 4, d))
        place[0, :3, 0], place[0, 1, 1:], place[0, 3] = 0.5, 1.0, VARIANCE
        self.leaves = Leaves(place, np.arange(d)[None] == 0, np.full((1, 4), value), np.ones(1))
        self.problem, self.threads, self.value, self.cells = problem, threads, value, 0
        self.found = self.price_at(problem.g)
        self.stop = np.zeros(1, np.int64)  # not 0: threads bound no further cell
        self.workspaces: SimpleQueue[Workspace] = SimpleQueue()
        for _ in range(threads):
            self.workspaces.put(_workspace(problem, self.stop))
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="ecgcvx-bound")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop[0] = 1
        self.pool.shutdown(cancel_futures=True)

    def compile(self) -> None:
        """Have the kernels compiled in this thread: Ctrl-C ends that, while a thread of the pool is waited for."""
        self._explore(_goal(2.0 * self.value, self.reference), self.leaves)

    @property
    def reference(self) -> float:
        return 1.0 if self.found <= 1.0 < self.factor else self.found

    def attainable(self, factor: float) -> float:
        """Return the factor, or what can be proved at most where the prices met and rounding rule it out."""
        if factor >= self.found * (1 + RESOLUTION) + self.problem.base:
            return max(factor, self.stuck)
        return max(self.found * (1 + TIGHT) + self.problem.base, self.stuck)

    def price_at(self, w: Array) -> float:
        """Return the price of the direction of w (d,) in these axes, less what rounding may add to it."""
        windows, length = self.problem.windows, float(np.linalg.norm(w))
        if length == 0:
            return 0.0
        lines = windows.X[: len(windows.X) - len(windows.tree.mass)]
        even = sum(float(windows.rho[a : a + len(rows)] @ np.abs(rows @ w)) for a, rows in row_chunks(lines, CHUNK))
        return max(0.5 * (abs(float(self.problem.g @ w)) + abs(even)) / length - self.problem.base, 0.0)

    def _price_of(self, leaves: Leaves) -> float:
        """Return the price where the cell with the largest bound expects its maximum."""
        return self.price_at(leaves.place[int(leaves.values.max(axis=1).argmax()), 2]) if len(leaves.values) else 0.0

    def lower(self, target: float, deadline: float, adjust_target: Callable[[float, int, int], float]) -> None:
        """Prove the target in every cell, as far as time and Ctrl-C allow.

        adjust_target (target, tasks done, tasks) gives the target to go on with, not a lower one.
        """
        above = (self.leaves.values.max(axis=1) > target) & (self.leaves.light > 0)
        starts = np.flatnonzero(above)[::RUN]
        tasks, others = list[_Task](), list[Leaves]()
        for a, b in pairwise([*starts, len(above)]):
            cells = _take(self.leaves, slice(a, b))
            tasks.append(_Task(_take(cells, above[a:b])))
            others.append(_take(cells, ~above[a:b]))
        try:
            self._work(tasks, target, deadline, adjust_target)
        finally:
            parts = [_take(self.leaves, slice(0, starts[0] if len(starts) else None))]
            for task, other in zip(tasks, others, strict=True):
                parts += [*task.leaves(), other]
            place, cut, values, light = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            self.leaves = Leaves(place, cut, values, light)
            self.value = float(self.leaves.values.max())
            self.stuck = float(self.leaves.values[light == 0].max(initial=0.0))
            self.found = max(self.found, self._price_of(self.leaves))

    def _work(
        self, tasks: list[_Task], target: float, deadline: float, adjust_target: Callable[[float, int, int], float]
    ) -> None:
        # In any order, so that what is done says how long the rest will take; a task's children before other tasks.
        waiting = [tasks[k] for k in np.random.default_rng(0).permutation(len(tasks))]
        running, done = dict[Future[tuple[Leaves, int]], tuple[_Task, float]](), 0
        while waiting or running:
            left = -np.inf if wanted() else deadline - time.perf_counter()
            while waiting and left > 0 and len(running) < 2 * self.threads:
                task = waiting.pop()
                if task.value <= target:
                    done += task.finish(task.given, target, waiting)
                else:
                    running[self.pool.submit(self._explore, _goal(target, self.reference), task.given)] = task, target
            if left <= 0:
                self.stop[0] = 1
                running = {future: task for future, task in running.items() if not future.cancel()}
                if not running:
                    return
            for future in wait(running, PATIENCE if left <= 0 else min(left, PATIENCE), FIRST_COMPLETED).done:
                found, cells = future.result()
                task, aim = running.pop(future)
                self.cells += cells
                finished = task.finish(found, aim, waiting)
                done += finished
                if finished:
                    target = adjust_target(target, done, len(tasks))
                target = max(target, self._ruled_out(found, target))

    def _ruled_out(self, leaves: Leaves, target: float) -> float:
        """Return what replaces a target that cells just bounded show to be out of reach; 0 where it is not."""
        stuck = float(leaves.values[leaves.light == 0].max(initial=0.0))
        price = self._price_of(leaves)
        if target >= price * (1 + RESOLUTION) + self.problem.base:
            if self.reference != 1.0:
                self.found = max(self.found, price)
            return stuck
        self.found = max(self.found, price)
        return max(stuck, price + STEP * (self.value - price), self.attainable(self.factor))

    def _explore(self, goal: Goal, given: Leaves) -> tuple[Leaves, int]:
        work = self.workspaces.get()
        try:
            work.counts[:] = 0
            count = explore(self.problem, goal, given, work)
            return _take(work.out, np.arange(count)), int(work.counts[0])
        finally:
            self.workspaces.put(work)


def _goal(target: float, reference: float) -> Goal:
    excess = max(target - reference, 1e-6 * target)
    if reference == 1.0:
        aim = reference + AIM * (target - reference)
    else:  # the price may be just below the target: an aim below it would end the search for multipliers too early
        aim, excess = target, min(excess, DISTANT * target)
    return Goal(target, aim, PRECISION * excess, COARSE, LIGHT * excess, ROUNDS, EVERY, BUDGET)


def _workspace(problem: Problem, stop: NDArray[np.int64]) -> Workspace:
    d, out = len(problem.g), 2 * BUDGET + RUN + 2
    return Workspace(
        empty_clusters(problem.windows), np.zeros(LISTS, np.int32), np.zeros(LISTS), np.zeros(LISTS),
        Leaves(np.zeros((out, 4, d)), np.zeros((out, d), np.bool_), np.zeros((out, 4)), np.zeros(out)),
        np.zeros(1, np.int64), stop,
    )  # fmt: skip
