"""How many threads or processes there is room for."""

import os
from functools import cache

from threadpoolctl import ThreadpoolController


def usable_cores() -> int:
    """The cores that this process may use, not all that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas_threads() -> int:
    """The threads that BLAS would use now, as `threadpool_limits` or OMP_NUM_THREADS say, at most the usable cores."""
    counts = [int(library["num_threads"]) for library in _blas().info()]
    return min([*counts, usable_cores()])


@cache
def _blas() -> ThreadpoolController:
    import numpy  # noqa: F401 - its BLAS must be loaded before the controller looks for it

    return ThreadpoolController().select(user_api="blas")
