"""How the patterns shown follow each other: overlap, transitions, and windows to show."""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.types import Array

Masks = NDArray[np.bool_]
Labels = NDArray[np.int64]


def transitions(on: Masks, starts: Labels) -> Array:
    """Return (K, K): the share of the moments at which i switches off after which j is the next to switch on.

    on : (K, n). starts : (n,) first sample of each window; where they jump a run of windows ends, and a moment after
    which nothing switches on in its run does not count. Patterns that switch on together share the moment. Rows add up
    to 1, to 0 for a pattern after which none is ever switched on.
    """
    K, n = on.shape
    follows = np.diff(starts) == 1
    run = np.cumsum(np.r_[0, ~follows])
    changes = np.diff(on.astype(np.int8), axis=1) * follows
    counts = np.zeros((K, K))
    starts_of = [np.append(np.flatnonzero(changes[j] > 0) + 1, n) for j in range(K)]
    for i in range(K):
        stops = np.flatnonzero(changes[i] < 0) + 1
        if not len(stops):
            continue
        after = np.stack([begin[np.searchsorted(begin, stops)] for begin in starts_of])
        first = after.min(axis=0)
        good = first < n
        good[good] = run[first[good]] == run[stops[good]]
        next_one = (after[:, good] == first[good]).astype(np.float64)
        counts[i] = (next_one / next_one.sum(axis=0)).sum(axis=1)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.zeros((K, K)), where=total > 0)


def strongest_windows(
    contributions: NDArray[np.float32], beat: Labels | None, starts: Labels, count: int, apart: int
) -> NDArray[np.intp]:
    """Return up to `count` windows of largest |contribution| (n,), in distinct beats and `apart` samples apart."""
    chosen: list[int] = []
    left = np.abs(contributions)
    while len(chosen) < count and (best := int(np.argmax(left))) not in chosen and left[best] > 0:
        chosen.append(best)
        left[np.abs(starts - starts[best]) < apart] = 0.0
        if beat is not None and beat[best] >= 0:
            left[beat == beat[best]] = 0.0
    return np.array(chosen, dtype=np.intp)
