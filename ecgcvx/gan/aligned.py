"""Beats of a record cut out around their R peaks, of one lead or several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter

from ecgcvx.beats import counts_of, find_beats
from ecgcvx.errors import InputError
from ecgcvx.filters import between_gaps
from ecgcvx.records import Recording
from ecgcvx.types import Array

BEFORE, AFTER = 0.2222, 0.3333  # s round the R peak
BASELINE = 0.5  # Hz: what is slower is taken off
FILTERED = 2.0  # s: shorter stretches between gaps are left out
SHORTEST_RR, LONGEST_RR = 0.2, 3.0  # s


@dataclass(frozen=True, eq=False)
class AlignedBeats:
    """Beats X (n, leads, length) in `unit`, the R peak at sample `before` of each.

    symbols : one a beat, '?' from the detector. rr (n,) : s since the beat before in the record, NaN where there is
    none or a gap lies between. peaks (n,) : R peaks in samples of the record. name : of the record.
    """

    X: Array
    before: int
    sampling_frequency: float
    leads: tuple[str, ...]
    symbols: tuple[str, ...]
    rr: Array
    peaks: NDArray[np.int64]
    name: str
    unit: str = "mV"

    def __len__(self) -> int:
        return len(self.X)

    @property
    def matrix(self) -> Array:
        """The beats as rows (n, leads * length)."""
        return self.X.reshape(len(self.X), -1)

    @property
    def counts(self) -> dict[str, int]:
        """Number of beats of every class, most frequent first."""
        return counts_of(self.symbols)

    def of_class(self, *classes: str) -> "AlignedBeats":
        """The beats whose symbol is one of `classes`. Raises InputError when there are none."""
        index = np.flatnonzero(np.isin(self.symbols, classes))
        if not len(index):
            there = ", ".join(f"{symbol} ({count})" for symbol, count in self.counts.items())
            raise InputError(f"{self.name}: no beats of class {' or '.join(classes)}; there are {there}")
        return self.subset(index)

    def subset(self, index: NDArray[np.intp]) -> "AlignedBeats":
        """The beats of the given indices."""
        symbols = tuple(self.symbols[i] for i in index)
        return AlignedBeats(
            self.X[index], self.before, self.sampling_frequency, self.leads, symbols, self.rr[index], self.peaks[index],
            self.name, self.unit,
        )  # fmt: skip


def aligned_beats(recordings: Sequence[Recording], before: float = BEFORE, after: float = AFTER) -> AlignedBeats:
    """Return the beats of one record's leads, from `before` to `after` seconds round the R peaks of the first.

    Each lead is freed of its baseline by a zero-phase high-pass filter at 0.5 Hz (Butterworth, order 2), between gaps.
    Beats that reach over a gap or an end of the record are left out.

    Raises InputError for leads that do not belong together, lengths that are not positive, or when no beat is left.
    """
    if not recordings:
        raise InputError("recordings: there are none; give one for each lead")
    first = recordings[0]
    for other in recordings[1:]:
        if _layout(other) != _layout(first):
            raise InputError(
                f"{first.name}: lead {other.lead} has {_layout(other)}, lead {first.lead} {_layout(first)}; give leads "
                "of the same length, rate and unit"
            )
    names = [recording.lead for recording in recordings]
    if len(set(names)) < len(names):
        raise InputError(f"{first.name}: leads {', '.join(names)}: a lead is named twice; name each once")
    rate = first.sampling_frequency
    left, right = round(before * rate), round(after * rate)
    if not (np.isfinite([before, after]).all() and left >= 1 and right >= 1):
        raise InputError(f"before = {before} s, after = {after} s: give times of at least a sample on both sides")
    beats = find_beats(first)
    if beats is None:
        raise InputError(f"{first.name}: no beats in lead {first.lead}; give a record with annotations or R peaks")
    signals = np.stack([_without_baseline(recording.signal, rate) for recording in recordings])
    missing = np.concatenate([[0], np.cumsum(~np.isfinite(signals).all(axis=0))])
    peaks = beats.samples
    intervals = np.diff(peaks, prepend=peaks[0]) / rate
    unbroken = missing[peaks] == missing[np.concatenate([peaks[:1], peaks[:-1]])]
    rr = np.where(unbroken & (intervals >= SHORTEST_RR) & (intervals <= LONGEST_RR), intervals, np.nan)
    inside = np.flatnonzero((peaks >= left) & (peaks + right <= len(first.signal)))
    inside = inside[missing[peaks[inside] + right] == missing[peaks[inside] - left]]
    if not len(inside):
        raise InputError(
            f"{first.name}: all {len(peaks)} beats reach over a gap or an end of the record; give shorter beats"
        )
    X = np.stack([signals[:, t - left : t + right] for t in peaks[inside]])
    symbols = tuple(beats.symbols[i] for i in inside)
    return AlignedBeats(X, left, rate, tuple(names), symbols, rr[inside], peaks[inside], first.name, first.unit)


def _layout(recording: Recording) -> str:
    return f"{len(recording.signal)} samples at {recording.sampling_frequency:g} Hz in {recording.unit}"


def _without_baseline(signal: Array, rate: float) -> Array:
    """The signal high-passed between its gaps; NaN where a stretch is too short for the filter."""
    return between_gaps(signal, butter(2, BASELINE, "high", fs=rate, output="sos"), FILTERED * rate)
