"""Gaps filled from both sides, with intervals: piecewise linear estimates of least mean squared error.

For a gap of L samples with a samples before and b after it, s = (before, after) less the mean m of the signal, the
estimate of its samples is m + W_g's. The group g is that of the level of s: the mean square of the first differences of
the samples next to the gap, and of the step across it, by its quantiles. With n_g stretches without a gap in a group,

    W_g = argmin 1/n_g sum_i ||y_i - W's_i||^2 + lambda ||W - W_all||^2

is a convex program, W_all the same over all stretches with lambda ||W||^2. A forecast from before joined with one from
after is one of the W that compete here.

Filled samples serve for nothing else: weights and intervals are those of measured samples. Intervals are split
conformal ones (`ecgcvx.intervals`), by the errors on the last fifth of the stretches, which the weights do not see.

Source: Wiener 1949; Kay 1993, Fundamentals of Statistical Signal Processing, chapter 12 (linear MMSE).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.intervals import Calibration, calibrate, check_coverages
from ecgcvx.records import Recording
from ecgcvx.types import Array
from ecgcvx.windows import window_runs

CONTEXT = 32  # samples on each side of a gap
LONGEST = 30  # samples of a gap that is filled, unless told otherwise
TRAINED = 0.8  # share of the stretches that make the weights
RIDGE = 1e-9  # lambda, of the mean variance of the samples
FEWEST = 10  # stretches for each of their samples
GROUPS, GROUP_SHARE = 8, 20  # at most, and stretches of each for each sample on the sides
STRETCHES, ERRORS = 40_000, 6_000  # that make weights and intervals at most
NEAR = 8  # samples on each side that make the level, and that of the error
FILLED = "filled "  # what the name of a lead with filled gaps begins with

Bools = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Gap:
    """A gap from sample start to stop (exclusive), and what became of it: 'filled', 'too long' or 'at the edge'."""

    start: int
    stop: int
    status: str

    @property
    def length(self) -> int:
        """Its samples."""
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class Filled:
    """signal (samples,) in mV with its gaps filled, filled (samples,) where, and the ends of the intervals there.

    lower, upper : (samples,), NaN elsewhere. gaps : every gap, in order. coverage : of the intervals.
    """

    signal: Array
    filled: Bools
    lower: Array
    upper: Array
    gaps: tuple[Gap, ...]
    coverage: float


@dataclass(frozen=True, eq=False)
class GapEstimator:
    """The estimator of the gaps of a signal (samples,) in mV less its mean (mV).

    longest : samples of the longest gap. train, held : starts of the stretches of 2 CONTEXT + longest samples that make
    weights, and of those that make intervals beside them.
    """

    signal: Array
    mean: float
    longest: int
    train: Places
    held: Places
    _weights: dict[tuple[int, int, int], tuple[Array, Array]] = field(default_factory=dict)
    _calibrations: dict[tuple[int, int, int, float], list[Calibration]] = field(default_factory=dict)

    def weights(self, before: int, length: int, after: int) -> tuple[Array, Array]:
        """Return the edges (G - 1,) of the levels and W (G, before + after, length); up to CONTEXT on each side."""
        key = (before, length, after)
        if key not in self._weights:
            sides, inside = self._stretches(self.train, *key)
            levels = side_levels(sides, before)
            groups = int(np.clip(len(sides) // (GROUP_SHARE * sides.shape[1]), 1, GROUPS))
            edges = np.unique(np.quantile(levels, np.arange(1, groups) / groups))
            place = np.searchsorted(edges, levels, side="right")
            whole = least_squares_to(sides, inside, np.zeros((sides.shape[1], length)))
            own = [place == g for g in range(len(edges) + 1)]
            self._weights[key] = edges, np.stack([least_squares_to(sides[of], inside[of], whole) for of in own])
        return self._weights[key]

    def estimate(self, before: Array, length: int, after: Array) -> Array:
        """Return the samples (n, length) in mV of gaps between before (n, a) and after (n, b) in mV."""
        sides = np.concatenate([before, after], axis=1) - self.mean
        return self.mean + self._estimate(sides, before.shape[1], length)

    def interval(self, before: Array, length: int, after: Array, coverage: float) -> tuple[Array, Array]:
        """Return the ends (n, length) in mV of the intervals of gaps between before (n, a) and after (n, b) in mV."""
        key = (before.shape[1], length, after.shape[1], coverage)
        if key not in self._calibrations:
            self._calibrations[key] = self._calibrate(*key)
        middle = self.estimate(before, length, after)
        rows = _near(np.concatenate([before, after], axis=1) - self.mean, before.shape[1])
        found = [
            known.local(rows).interval(middle[:, j], known.ends(coverage))
            for j, known in enumerate(self._calibrations[key])
        ]
        return np.stack([one.lower for one in found], axis=1), np.stack([one.upper for one in found], axis=1)

    def _estimate(self, sides: Array, before: int, length: int) -> Array:
        edges, weights = self.weights(before, length, sides.shape[1] - before)
        place = np.searchsorted(edges, side_levels(sides, before), side="right")
        found = np.empty((len(sides), length))
        for g in np.unique(place):
            found[place == g] = sides[place == g] @ weights[g]
        return found

    def _calibrate(self, before: int, length: int, after: int, coverage: float) -> list[Calibration]:
        parts = []
        for starts in (self.train, self.held):
            sides, inside = self._stretches(starts[:: -(-len(starts) // ERRORS)], before, length, after)
            parts.append((_near(sides, before), inside - self._estimate(sides, before, length)))
        (X, r), (Z, s) = parts
        return [calibrate((X, r[:, j]), (Z, s[:, j]), (coverage,)) for j in range(length)]

    def _stretches(self, starts: Places, before: int, length: int, after: int) -> tuple[Array, Array]:
        """The samples on both sides (n, before + after) and inside (n, length) of gaps in stretches."""
        view = sliding_window_view(self.signal, before + length + after)[starts + CONTEXT - before]
        sides = np.concatenate([view[:, :before], view[:, before + length :]], axis=1)
        return sides, view[:, before : before + length]


def least_squares_to(sides: Array, inside: Array, origin: Array) -> Array:
    """Return argmin 1/n ||inside - sides W||^2 + lambda ||W - origin||^2 (s, length) for sides (n, s)."""
    n, s = sides.shape
    gram = sides.T @ sides / n
    penalty = RIDGE * float(np.trace(gram)) / s + 1e-300
    found: Array = origin + np.linalg.solve(gram + penalty * np.eye(s), sides.T @ (inside - sides @ origin) / n)
    return found


def side_levels(sides: Array, before: int) -> Array:
    """Return the level (n,) of sides (n, a + b): log mean square of the differences next to the gap and across it."""
    left, right = sides[:, max(before - NEAR, 0) : before], sides[:, before : before + NEAR]
    steps = np.concatenate([np.diff(left, axis=1), right[:, :1] - left[:, -1:], np.diff(right, axis=1)], axis=1)
    return np.asarray(np.log(np.mean(steps**2, axis=1) + 1e-12))


def _near(sides: Array, before: int) -> Array:
    """The samples nearest to the gap and 1, as rows of `calibrate`."""
    near = sides[:, max(before - NEAR, 0) : before + NEAR - 1]
    return np.concatenate([near, np.ones((len(near), 1))], axis=1)


def gap_estimator(signal: Array, longest: int = LONGEST) -> GapEstimator:
    """Return the estimator of gaps of up to `longest` samples, made of the stretches of a signal that have no gap.

    Raises InputError for a length below 1, and where the signal has too few stretches.
    """
    if longest < 1:
        raise InputError(f"longest = {longest}: give at least 1 sample")
    S = 2 * CONTEXT + longest
    runs = window_runs(np.isfinite(signal), S, 1, 0, len(signal))
    starts = np.concatenate([np.arange(first, stop) for first, stop in runs] or [np.empty(0, np.int64)])
    boundary = int(TRAINED * len(starts))
    train = starts[:boundary]
    held = starts[boundary + S :]  # none that overlaps with the others
    if len(train) < FEWEST * S or len(held) < FEWEST * S:
        raise InputError(
            f"signal: {len(starts)} stretches of {S} samples have no gap, and filling takes "
            f"{2 * FEWEST * S / (1 - TRAINED):.0f}; give a longer record, or fill only shorter gaps (longest)"
        )
    mean = float(signal[np.isfinite(signal)].mean())
    return GapEstimator(signal - mean, mean, longest, train[:: -(-len(train) // STRETCHES)], held)


def fill_gaps(recording: Recording, longest: int = LONGEST, coverage: float = 0.9) -> Filled:
    """Return a recording with the gaps of up to `longest` samples filled, each with an interval of a coverage.

    Raises InputError for a recording without gaps, and see `gap_estimator` and `Calibration.ends`.
    """
    (coverage,) = check_coverages((coverage,))
    if longest < 1:
        raise InputError(f"longest = {longest}: give at least 1 sample")
    found = recording.gaps
    if not len(found):
        raise InputError(f"{recording.name}: lead {recording.lead} has no gap; there is nothing to fill")
    source, n = recording.signal, len(recording.signal)
    signal, lower, upper = source.copy(), np.full(n, np.nan), np.full(n, np.nan)
    filled, gaps = np.zeros(n, dtype=np.bool_), []
    chosen = [(int(a), int(b)) for a, b in found if b - a <= longest and a > 0 and b < n]
    estimator = gap_estimator(source, max(b - a for a, b in chosen)) if chosen else None
    bounds = [0, *(int(edge) for gap in found for edge in gap), n]
    for k, (a, b) in enumerate((int(a), int(b)) for a, b in found):
        if a == 0 or b == n:
            gaps.append(Gap(a, b, "at the edge"))
        elif estimator is None or b - a > longest:
            gaps.append(Gap(a, b, "too long"))
        else:
            before = source[max(bounds[2 * k], a - CONTEXT) : a]
            after = source[b : min(bounds[2 * k + 3], b + CONTEXT)]
            signal[a:b] = estimator.estimate(before[None], b - a, after[None])[0]
            lower[a:b], upper[a:b] = (end[0] for end in estimator.interval(before[None], b - a, after[None], coverage))
            filled[a:b] = True
            gaps.append(Gap(a, b, "filled"))
    return Filled(signal, filled, lower, upper, tuple(gaps), coverage)


def check_not_filled(recording: Recording) -> None:
    """Refuse to train on a lead whose gaps were filled: InputError naming the one that was measured."""
    if recording.lead.startswith(FILLED):
        raise InputError(
            f"lead = {recording.lead}: its gaps were filled, and filled samples train nothing; take lead "
            f"{recording.lead.removeprefix(FILLED)}"
        )


def ledger(found: Filled, sampling_frequency: float) -> list[dict[str, Any]]:
    """Return every gap with its place, length and what became of it."""
    return [
        {
            "start": gap.start, "samples": gap.length, "seconds": gap.start / sampling_frequency, "status": gap.status,
        }
        for gap in found.gaps
    ]  # fmt: skip
