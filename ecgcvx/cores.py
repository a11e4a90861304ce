"""How many threads or processes there is room for."""

import os


def usable_cores() -> int:
    """The cores that this process may use, not all that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
