"""What beats are like as a rule, learned without labels, and how far a beat is from that.

The distance of a beat is that to its nearest neighbours among the reference beats, the first part of a recording: the
Euclidean distance to the k-th of them, k = `SHARE` of all. So many neighbours only the usual beats have: ectopic beats
may be in the reference, up to that share. Distances are taken in the bins of on-times and of contributions, their
logarithms counted from the median of the reference in units of its spread (1.4826 times the median absolute
deviation), and averaged; to these the beat adds how early it comes and how long the pause after it is, r and q the
interval before and after it over the usual one less one, in units of the spread of r:

    score = mean_v (log d_v - median) / spread + (EARLY max(-r, 0) + PAUSE max(q, 0)) / (spread of r + FLOOR).

What the forecast misses is no part of it: with the residual as a further view the score is worse.

Sources: distance to the k-th neighbour, Ramaswamy, Rastogi & Shim 2000; robust units, Rousseeuw & Croux 1993.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.anomalies.measured import MeasuredBeats
from ecgcvx.errors import InputError
from ecgcvx.types import Array

SHARE = 0.3
EARLY, PAUSE, FLOOR = 2.0, 0.5, 0.01
FEWEST, MOST = 20, 1500  # reference beats
SMALLEST = 1e-6  # of a distance


class Judged(NamedTuple):
    """Of b beats: score (b,), its parts from patterns and from timing, and what each pattern has beyond the usual.

    excess : (b, p) ms that it is on beyond the usual; of a network without gates what it adds beyond, standardised,
    summed over the bins.
    """

    scores: Array
    shape: Array
    timing: Array
    excess: Array


@dataclass(frozen=True, eq=False)
class Usual:
    """Reference beats by view, with median and spread of their log distances; spread of their intervals.

    reference : (K, L p) of each view. centres, spreads : (views,). mean : (L, p) of the first view. rr : spread.
    """

    reference: tuple[Array, ...]
    centres: Array
    spreads: Array
    mean: Array
    rr: float

    @classmethod
    def learn(cls, beats: MeasuredBeats, chosen: NDArray[np.bool_]) -> "Usual":
        """Learn from chosen beats (b,). Raises InputError for fewer than 20."""
        count = int(chosen.sum())
        if count < FEWEST:
            raise InputError(f"learn: {count} whole beats to learn from, needed are {FEWEST}; learn from more seconds")
        views = beats.views(chosen)
        reference = tuple(view[np.linspace(0, count - 1, min(count, MOST)).astype(np.intp)] for view in views)
        logs = logs_by_view(views, reference)
        centres = np.median(logs, axis=1)
        spreads = spread(logs - centres[:, None])
        first = beats.adds if beats.on is None else beats.on
        mean = np.median(first[chosen], axis=0).astype(np.float64)
        return cls(reference, centres, spreads, mean, float(spread(beats.rr[chosen, :1].T)[0]))

    def judge(self, beats: MeasuredBeats) -> Judged:
        """Return how unusual beats are."""
        every = np.ones(len(beats), dtype=bool)
        logs = logs_by_view(beats.views(every), self.reference)
        shape = ((logs - self.centres[:, None]) / self.spreads[:, None]).mean(axis=0)
        timing = timing_scores(beats, self.rr)
        held, unit = (beats.adds, 1.0) if beats.on is None else (beats.on, beats.bin_ms)
        return Judged(shape + timing, shape, timing, unit * (held - self.mean).sum(axis=1))


def timing_scores(beats: MeasuredBeats, usual_spread: float) -> Array:
    """Return the part of the score (b,) from when beats come. usual_spread : of the interval before a beat."""
    early, pause = np.maximum(-beats.rr[:, 0], 0.0), np.maximum(beats.rr[:, 1], 0.0)
    found: Array = (EARLY * early + PAUSE * pause) / (usual_spread + FLOOR)
    return found


def spread(values: Array) -> Array:
    """Return 1.4826 times the median absolute value of rows (k, n), at least `SMALLEST`."""
    found: Array = np.maximum(1.4826 * np.median(np.abs(values), axis=1), SMALLEST)
    return found


def logs_by_view(views: Sequence[Array], reference: Sequence[Array]) -> Array:
    """Return the `log_distances` (views, b) of b beats, view by view."""
    return np.stack([log_distances(view, known) for view, known in zip(views, reference, strict=True)])


def log_distances(view: Array, reference: Array) -> Array:
    """Return the log of the distance of each row (b, f) to the k-th nearest of the reference (K, f)."""
    k = max(int(SHARE * len(reference)), 2)
    sizes = (reference**2).sum(axis=1)
    out = np.empty(len(view))
    for start in range(0, len(view), 512):
        rows = view[start : start + 512]
        squares = sizes - 2 * rows @ reference.T + (rows**2).sum(axis=1)[:, None]
        out[start : start + 512] = np.partition(squares, k, axis=1)[:, k]
    return np.log(np.sqrt(np.maximum(out, 0.0)) + SMALLEST)
