"""From the beats of a recording to the rows that a classifier sees: 125 samples at 180 Hz, ten measures, a one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter

from ecgcvx.beats import Beats, find_beats, why_no_beats
from ecgcvx.classify.context import NAMES, SCALE, likeness, rhythm
from ecgcvx.errors import InputError
from ecgcvx.filters import between_gaps
from ecgcvx.formats.resampling import ratio, resample
from ecgcvx.records import Recording
from ecgcvx.types import Array

RATE = 180.0  # Hz
BAND = (0.5, 40.0)  # Hz: baseline wander below, muscle above
BEFORE, AFTER = 45, 80  # samples at RATE: 250 ms before the R peak to 444 ms after it
LENGTH = BEFORE + AFTER
CONTEXT = len(NAMES) + 1  # further columns of a row: what the beat is against the others of its recording, a one
SLOWEST = 100.0  # Hz of a recording: 40 Hz are well below half of it
FILTERED = 2.0  # s: shorter stretches between gaps are left out


@dataclass(frozen=True, eq=False)
class BeatWindows:
    """n beats as rows.

    signal : (n, 125) at 180 Hz between 0.5 and 40 Hz, in units of the recording's standard deviation. context :
    (n, 10), what the beat is against the others of its recording (`ecgcvx.classify.context`). samples : (n,) R peaks in
    samples of the recording. symbols : WFDB's, '?' from a detector. record : (n,) the number of the recording, of those
    named in `records`. scale : (n,) the standard deviation, in the recording's unit.
    """

    signal: Array
    context: Array
    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    record: NDArray[np.intp]
    records: tuple[str, ...]
    scale: Array

    def __len__(self) -> int:
        return len(self.signal)

    @property
    def X(self) -> Array:
        """The rows (n, 136): window, context in units of `context.SCALE`, one."""
        return np.concatenate([self.signal, self.context * SCALE, np.ones((len(self), 1))], axis=1)

    def subset(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> "BeatWindows":
        """The beats of an index, or of a mask (n,)."""
        where = np.arange(len(self))[index]
        symbols = tuple(self.symbols[i] for i in where)
        return BeatWindows(
            self.signal[where], self.context[where], self.samples[where], symbols, self.record[where], self.records,
            self.scale[where],
        )  # fmt: skip


def beat_windows(recording: Recording, beats: Beats | None = None) -> BeatWindows:
    """Return the beats of a recording as rows; those that reach over a gap or an end of it are left out.

    beats : by default those of its annotation, or else of the detector (`ecgcvx.beats.find_beats`).

    The choice of band, rate, window and context follows de Chazal et al. 2004 for the RR intervals and is otherwise
    our own. Raises InputError for a sampling frequency below 100 Hz, a recording without beats, or
    none that lies whole between gaps.
    """
    rate, name = recording.sampling_frequency, recording.name
    if rate < SLOWEST:
        raise InputError(f"{name}: {rate:g} Hz is too slow to tell beats apart; give a recording of {SLOWEST:g} Hz")
    beats = find_beats(recording) if beats is None else beats
    if beats is None:
        raise InputError(f"{name}: no beats in lead {recording.lead} ({why_no_beats(recording)})")
    filtered = between_gaps(recording.signal, butter(2, BAND, "band", fs=rate, output="sos"), FILTERED * rate)
    known = filtered[np.isfinite(filtered)]
    scale = float(known.std()) if len(known) else 0.0
    if not scale > 0:
        raise InputError(f"{name}: lead {recording.lead} has no {FILTERED:g} s of a signal that changes")
    signal = resample(filtered, ratio(rate, RATE, name)) / scale
    at = np.rint(beats.samples * (RATE / rate)).astype(np.intp)
    inside = np.flatnonzero((at >= BEFORE) & (at + AFTER <= len(signal)))
    rows = np.lib.stride_tricks.sliding_window_view(signal, LENGTH)[at[inside] - BEFORE]
    whole = np.isfinite(rows).all(axis=1)
    if not whole.any():
        raise InputError(f"{name}: none of its {len(beats)} beats lies whole between gaps and ends")
    kept = inside[whole]
    rows = np.ascontiguousarray(rows[whole])
    context = np.concatenate([rhythm(beats.samples / rate)[kept], likeness(rows, BEFORE)], axis=1)
    return BeatWindows(
        rows, context, beats.samples[kept],
        tuple(beats.symbols[i] for i in kept), np.zeros(len(kept), dtype=np.intp), (name,), np.full(len(kept), scale),
    )  # fmt: skip


def joined(parts: Sequence[BeatWindows]) -> BeatWindows:
    """Return the beats of several recordings one after the other. Raises InputError for none."""
    if not parts:
        raise InputError("recordings: there are none; give at least one")
    offsets = np.cumsum([0, *(len(part.records) for part in parts)])
    return BeatWindows(
        np.concatenate([part.signal for part in parts]),
        np.concatenate([part.context for part in parts]),
        np.concatenate([part.samples for part in parts]),
        tuple(symbol for part in parts for symbol in part.symbols),
        np.concatenate([part.record + offset for part, offset in zip(parts, offsets[:-1], strict=True)]),
        tuple(name for part in parts for name in part.records),
        np.concatenate([part.scale for part in parts]),
    )


def evenly(index: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return at most so many of an index (n,), evenly."""
    if len(index) <= most:
        return index
    return index[np.linspace(0, len(index) - 1, most).round().astype(np.intp)]
