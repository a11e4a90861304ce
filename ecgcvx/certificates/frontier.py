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

from ecgcvx.certificates.cells import explore
from ecgcvx.certificates.clusters import COARSE, LIGHT, make_room
from ecgcvx.certificates.state import Goal, Leaves, Problem, Room

AIM = 0.3  # how much of the excess over 1 of a target
ROUNDS = 5  # models of a function in a cell
EVERY = 5  # cuts of a cell before its clusters are looked at again
BUDGET = 256  # cells bounded by one task
LISTS = 1 << 18  # clusters, at most, in the lists of a cell and of all that it descends from
RUN = 16  # neighbouring cells, taken up again, that share their clusters
VARIANCE = 0.15  # of each coordinate of where the maximum is expected, before anything is known
PRECISION = 3e-3  # last weight of the barrier, relative to the excess
PATIENCE = 3600.0  # seconds that are waited at a time


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
        is_open = found.values.max(axis=1) > target
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

    value : the largest bound of a cell, so a bound on the price. cells : bounded so far. Close it, or use it in `with`.
    """

    def __init__(self, problem: Problem, value: float, threads: int) -> None:
        d = problem.windows.X.shape[1]
        place = np.zeros((1, 4, d))
        place[0, :3, 0], place[0, 1, 1:], place[0, 3] = 0.5, 1.0, VARIANCE
        self.leaves = Leaves(place, np.arange(d)[None] == 0, np.full((1, 4), value), np.ones(1))
        self.problem, self.threads, self.value, self.cells = problem, threads, value, 0
        self.rooms: SimpleQueue[Room] = SimpleQueue()
        for _ in range(threads):
            self.rooms.put(_room(problem))
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="ecgcvx-bound")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def lower(self, target: float, deadline: float, think_over: Callable[[float, int, int], float]) -> None:
        """Prove the target in every cell, as far as time allows.

        think_over (target, tasks done, tasks) gives the target to go on with, not a lower one.
        """
        above = self.leaves.values.max(axis=1) > target
        starts = np.flatnonzero(above)[::RUN]
        tasks, others = list[_Task](), list[Leaves]()
        for a, b in pairwise([*starts, len(above)]):
            cells = _take(self.leaves, slice(a, b))
            tasks.append(_Task(_take(cells, above[a:b])))
            others.append(_take(cells, ~above[a:b]))
        try:
            self._work(tasks, target, deadline, think_over)
        finally:
            parts = [_take(self.leaves, slice(0, starts[0] if len(starts) else None))]
            for task, other in zip(tasks, others, strict=True):
                parts += [*task.leaves(), other]
            place, cut, values, light = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            self.leaves = Leaves(place, cut, values, light)
            self.value = float(self.leaves.values.max())

    def _work(
        self, tasks: list[_Task], target: float, deadline: float, think_over: Callable[[float, int, int], float]
    ) -> None:
        # In any order, so that what is done says how long the rest will take; a task's children before other tasks.
        waiting = [tasks[k] for k in np.random.default_rng(0).permutation(len(tasks))]
        running, done = dict[Future[tuple[Leaves, int]], tuple[_Task, float]](), 0
        while waiting or running:
            left = deadline - time.perf_counter()
            while waiting and left > 0 and len(running) < 2 * self.threads:
                task = waiting.pop()
                if task.value <= target:
                    done += task.finish(task.given, target, waiting)
                else:
                    running[self.pool.submit(self._explore, _goal(target), task.given)] = task, target
            if left <= 0:
                running = {future: task for future, task in running.items() if not future.cancel()}
                if not running:
                    return
            for future in wait(running, min(max(left, 0.0) or PATIENCE, PATIENCE), FIRST_COMPLETED).done:
                found, cells = future.result()
                task, aim = running.pop(future)
                self.cells += cells
                finished = task.finish(found, aim, waiting)
                done += finished
                if finished:
                    target = think_over(target, done, len(tasks))

    def _explore(self, goal: Goal, given: Leaves) -> tuple[Leaves, int]:
        room = self.rooms.get()
        try:
            room.counts[:] = 0
            count = explore(self.problem, goal, given, room)
            return _take(room.out, np.arange(count)), int(room.counts[0])
        finally:
            self.rooms.put(room)


def _goal(target: float) -> Goal:
    excess = max(target - 1.0, 1e-6)
    aim = 1.0 + AIM * (target - 1.0)
    return Goal(target, aim, PRECISION * excess, COARSE, LIGHT * excess, ROUNDS, EVERY, BUDGET)


def _room(problem: Problem) -> Room:
    d, out = len(problem.g), 2 * BUDGET + RUN + 2
    return Room(
        make_room(problem.windows), np.zeros(LISTS, np.int32), np.zeros(LISTS), np.zeros(LISTS),
        Leaves(np.zeros((out, 4, d)), np.zeros((out, d), np.bool_), np.zeros((out, 4)), np.zeros(out)),
        np.zeros(1, np.int64),
    )  # fmt: skip
