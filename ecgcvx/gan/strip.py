"""Beats put together to a running strip, at intervals as the record has them."""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.types import Array

BLOCK = 8  # successive intervals drawn together, so that neighbours stay alike
SHORTEST, LONGEST = 0.3, 2.5  # s


def draw_intervals(rr: Array, count: int, seed: int = 0) -> Array:
    """Return `count` RR intervals in s: blocks of successive ones of rr (n,), those that are NaN left out.

    Raises InputError when rr holds none. Source: Kuensch 1989 (the block bootstrap).
    """
    known = rr[np.isfinite(rr)]
    if not len(known):
        raise InputError("rr: no interval between two beats is known; give at least two beats without a gap between")
    random = np.random.default_rng(seed)
    blocks = -(-count // BLOCK)
    starts = random.integers(0, max(len(known) - BLOCK + 1, 1), blocks)
    drawn = known[(starts[:, None] + np.arange(BLOCK)).ravel()[:count] % len(known)]
    return np.clip(drawn, SHORTEST, LONGEST)


def running_strip(X: Array, before: int, rr: Array, sampling_frequency: float) -> tuple[Array, NDArray[np.int64]]:
    """Return a strip (samples, leads) of beats X (n, leads, length), and its R peaks (n,) in samples.

    The R peak, sample `before` of a beat, comes rr (n,) seconds after the one before it. Where two beats overlap one
    fades into the other; between beats that do not reach each other the strip is a straight line.
    """
    _, leads, length = X.shape
    steps = np.rint(rr * sampling_frequency).astype(np.int64)
    steps[0] = before
    peaks = np.cumsum(steps)
    strip = np.full((int(peaks[-1]) - before + length, leads), np.nan)
    stop = 0  # of what is written
    for beat, peak in zip(X, peaks, strict=True):
        first = int(peak) - before
        overlap = int(np.clip(stop - first, 0, length))
        share = (np.arange(overlap) + 0.5)[:, None] / max(overlap, 1)
        place = slice(first, first + overlap)
        strip[place] = (1 - share) * strip[place] + share * beat[:, :overlap].T
        strip[first + overlap : first + length] = beat[:, overlap:].T
        stop = max(stop, first + length)
    index = np.arange(len(strip))
    for column in strip.T:
        known = np.isfinite(column)
        column[:] = np.interp(index, index[known], column[known])
    return strip, peaks
