"""Threads over groups of rows whose number changes no result.

Rows are cut into the same groups whatever the number of threads, each group is summed by one thread, and the sums are
added in the order of the groups.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from threadpoolctl import threadpool_limits

from ecgcvx.errors import InputError

GROUPS = 16
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Workers:
    """A pool of threads; without one, work is done by the caller."""

    pool: ThreadPoolExecutor | None = None

    def over_rows(self, n: int, work: Callable[[int, int], Result]) -> list[Result]:
        """Return work(first, stop) of every group of rows, in order. NumPy leaves Python's lock during its loops."""
        bounds = [n * k // GROUPS for k in range(GROUPS + 1)]
        groups = [(a, b) for a, b in pairwise(bounds) if a < b]
        if self.pool is None:
            return [work(a, b) for a, b in groups]
        return list(self.pool.map(lambda group: work(*group), groups))


@contextmanager
def workers(threads: int | None) -> Iterator[Workers]:
    """A pool of `threads` threads (None: every core this process may use), with one BLAS thread in each.

    Raises InputError for threads < 1.
    """
    count = len(os.sched_getaffinity(0)) if threads is None and hasattr(os, "sched_getaffinity") else threads
    count = os.cpu_count() or 1 if count is None else count
    if count < 1:
        raise InputError(f"threads = {count}: give at least 1")
    with threadpool_limits(1, user_api="blas"):
        if count == 1:
            yield Workers()
            return
        with ThreadPoolExecutor(count, thread_name_prefix="ecgcvx") as pool:
            yield Workers(pool)
