"""Threads over groups of rows whose number changes no result.

Rows are cut into the same groups whatever the number of threads, each group is summed by one thread, and the sums are
added in the order of the groups.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ecgcvx.cores import usable_cores
from ecgcvx.errors import InputError

GROUPS = 16
SMALL = 1e7  # operations below which handing over to a thread costs more than it saves
Result = TypeVar("Result")


def group_bounds(count: int, groups: int = GROUPS) -> NDArray[np.intp]:
    """Bounds (groups + 1,) of the groups of `count` rows or chunks; the same for every number of threads."""
    groups = min(groups, max(count, 1))
    return count * np.arange(groups + 1) // groups


@dataclass(frozen=True, eq=False)
class Workers:
    """A pool of threads; without one, work is done by the caller."""

    count: int = 1
    pool: ThreadPoolExecutor | None = None

    def over_rows(self, n: int, work: Callable[[int, int], Result]) -> list[Result]:
        """Return work(first, stop) of every group of rows, in order. NumPy leaves Python's lock during its loops."""
        groups = [(int(a), int(b)) for a, b in pairwise(group_bounds(n))]
        if self.pool is None:
            return [work(a, b) for a, b in groups]
        return self._every(work, groups)

    def over_groups(self, groups: int, operations: float, work: Callable[[int, int], None]) -> None:
        """Call work(first, stop) for ranges of groups that cover them all; work must be a kernel without Python's lock.

        operations : about how many the whole is, as small work stays with the caller.
        """
        if self.pool is None or operations < SMALL:
            work(0, groups)
            return
        parts = min(groups, self.count if operations < 10 * SMALL else 4 * self.count)
        cuts = groups * np.arange(parts + 1) // parts
        self._every(work, [(int(a), int(b)) for a, b in pairwise(cuts)])

    def _every(self, work: Callable[[int, int], Result], parts: list[tuple[int, int]]) -> list[Result]:
        """work(*part) of every part; on an error or Ctrl-C nothing of it runs any more, since it writes into arrays."""
        assert self.pool is not None
        futures = [self.pool.submit(work, *part) for part in parts]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            wait(futures)
            raise


@contextmanager
def workers(threads: int | None) -> Iterator[Workers]:
    """A pool of `threads` threads (None: every core this process may use), with one BLAS thread in each.

    Raises InputError for threads < 1.
    """
    count = usable_cores() if threads is None else threads
    if count < 1:
        raise InputError(f"threads = {count}: give at least 1")
    with threadpool_limits(1, user_api="blas"):
        if count == 1:
            yield Workers()
            return
        with ThreadPoolExecutor(count, thread_name_prefix="ecgcvx") as pool:
            yield Workers(count, pool)
