"""Where the beats of a recording are, and which part of which beat every window forecasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgcvx.records import Recording
from ecgcvx.windows import Windows

Labels = NDArray[np.int64]
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")  # WFDB's annotations of a beat; the others mark rhythm, noise, waves
LONGEST = 2.0  # s: what follows an R peak later than that is no part of its beat
DETECTABLE, SLOWEST = 2.0, 50.0  # s and Hz that the detector needs; its filter passes 5 to 20 Hz
NO_BEATS = frozenset(("VF", "VFIB", "VFL", "VFI", "ASYS", "AS"))  # rhythm marks: fibrillation, flutter, asystole
BIN_MS = 10.0
SEGMENTS = ("p", "qrs", "t", "baseline")
P_START_MS, QRS_START_MS, QRS_END_MS, T_END_MS = -240.0, -60.0, 80.0, 450.0  # from the R peak; T's times sqrt(RR / 1 s)


@dataclass(frozen=True, eq=False)
class Beats:
    """R peaks (b,) in samples of the recording, with a type for each.

    source : 'annotations', whose symbols are WFDB's ('N', 'V', 'A', ...), or 'detector' (XQRS of wfdb, all '?').

    A beat reaches from RR/3 before its R peak, RR the interval before it, to 2/3 RR of the interval after it; intervals
    count as 2 s at most. Its segments are stretches of time around the R peak, not a delineation of waves: P from -240
    to -60 ms, QRS to +80 ms, T to 450 sqrt(RR / 1 s) ms, all within the beat; what is left is baseline.
    """

    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    source: Literal["annotations", "detector"]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def counts(self) -> dict[str, int]:
        """Number of beats of every type, most frequent first."""
        return counts_of(self.symbols)


def counts_of(names: Sequence[str] | NDArray[np.str_]) -> dict[str, int]:
    """Return how often every name occurs, most frequent first, equally frequent ones in order."""
    values, counts = np.unique(names, return_counts=True)
    return {str(values[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")}


@dataclass(frozen=True, eq=False)
class BeatLabels:
    """What every window forecasts: beat (n,), segment (n,) of `SEGMENTS`, offset (n,) in samples from the R peak.

    bin : (n,) of the offset, the first of which begins at bin_start ms. Outside the beats all but offset are -1.
    """

    beat: Labels
    offset: Labels
    segment: Labels
    bin: Labels
    bin_start: float

    @property
    def bins(self) -> int:
        """Number of bins."""
        return int(self.bin.max(initial=0)) + 1


def find_beats(recording: Recording) -> Beats | None:
    """Return the beats of the reference annotation, or else of a detector; None when there are none (`why_no_beats`).

    What lies in a rhythm without beats (ventricular fibrillation or flutter, asystole, by the rhythm marks of the
    annotation) is none. In gaps the detector sees a straight line, and what it finds there is dropped.

    Source of the detector: XQRS of wfdb (Xie & Dubiel).
    """
    if recording.annotation is not None:
        samples, symbols = recording.annotation.samples, recording.annotation.symbols
        chosen = [i for i, symbol in enumerate(symbols) if symbol in BEAT_SYMBOLS]
        if chosen:
            kept = np.array(chosen)[~_without_beats(recording, samples[chosen])]
            return Beats(samples[kept], tuple(symbols[i] for i in kept), "annotations") if len(kept) else None
    signal, rate = recording.signal, recording.sampling_frequency
    valid = np.isfinite(signal)
    if rate < SLOWEST or valid.sum() < DETECTABLE * rate or np.ptp(signal[valid]) == 0:
        return None
    from wfdb.processing import XQRS  # slow to import

    filled = np.interp(np.arange(len(signal)), np.flatnonzero(valid), signal[valid])
    detector = XQRS(sig=filled, fs=rate)
    detector.detect(verbose=False)
    found = np.asarray(detector.qrs_inds, dtype=np.int64)
    found = found[valid[found]]
    found = found[~_without_beats(recording, found)]
    return Beats(found, ("?",) * len(found), "detector") if len(found) else None


def why_no_beats(recording: Recording) -> str:
    """Return why `find_beats` found none, as a part of a sentence."""
    if recording.sampling_frequency < SLOWEST:
        return f"{recording.sampling_frequency:g} Hz is too slow for the detector, which needs {SLOWEST:g} Hz"
    if np.isfinite(recording.signal).sum() < DETECTABLE * recording.sampling_frequency:
        return f"the detector needs {DETECTABLE:g} s of signal"
    rhythms = () if recording.annotation is None else recording.annotation.rhythms
    if any(rhythm.name in NO_BEATS for rhythm in rhythms):
        return "its rhythm, as annotated, has none"
    return "neither annotated nor found by the detector"


def _without_beats(recording: Recording, samples: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which samples (k,) lie in a rhythm that has no beats."""
    inside = np.zeros(len(samples), dtype=bool)
    for rhythm in () if recording.annotation is None else recording.annotation.rhythms:
        if rhythm.name in NO_BEATS:
            inside |= (samples >= rhythm.start) & (samples < rhythm.stop)
    return inside


def label_windows(beats: Beats, windows: Windows, sampling_frequency: float) -> BeatLabels:
    """Return the place in its beat of the sample that each window forecasts; see `Beats` for beats and segments."""
    peaks, longest = beats.samples, LONGEST * sampling_frequency
    usual = float(np.median(np.diff(peaks))) if len(peaks) > 1 else sampling_frequency
    intervals = np.minimum(np.diff(peaks, prepend=peaks[0] - usual, append=peaks[-1] + usual), longest)
    before, after = intervals[:-1], intervals[1:]
    targets = windows.targets
    beat = np.searchsorted(np.ceil(peaks - before / 3), targets, side="right") - 1
    inside = (beat >= 0) & (targets < np.ceil(peaks + after * 2 / 3)[beat])
    offset = targets - peaks[beat]
    time, rr = 1e3 * offset / sampling_frequency, after[beat] / sampling_frequency
    limits = (P_START_MS, QRS_START_MS, QRS_END_MS, t_end_ms(rr))
    segment = np.select([time < limit for limit in limits], [3, 0, 1, 2], 3)
    start = BIN_MS * np.floor(time[inside].min() / BIN_MS) if inside.any() else 0.0
    place = np.floor((time - start) / BIN_MS).astype(np.int64)
    beat, segment, place = (np.where(inside, values, -1) for values in (beat, segment, place))
    return BeatLabels(beat, offset, segment, place, float(start))


def t_end_ms(rr: Any) -> Any:
    """Return where T ends, in ms from the R peak, for intervals rr in s to the next one."""
    return T_END_MS * np.sqrt(rr)
