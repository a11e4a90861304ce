"""Where the beats of a recording are, and which part of which beat every window forecasts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.interpret.results import SEGMENTS, BeatAverage, Beats
from ecgcvx.records import Recording
from ecgcvx.windows import Windows

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")  # WFDB's annotations of a beat; the others mark rhythm, noise, waves
LONGEST = 2.0  # s: what follows an R peak later than that is no part of its beat
DETECTABLE = 2.0  # s that the detector needs
BIN_MS = 10.0
TYPES, BEATS_A_TYPE = 6, 5  # most types of beats shown, and the fewest beats of a type


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
    """Return the beats of the reference annotation, or else of a detector; None when there are none.

    In gaps the detector sees a straight line, and what it finds there is dropped.

    Source of the detector: XQRS of wfdb (Xie & Dubiel).
    """
    if recording.annotation is not None:
        samples, symbols = recording.annotation.samples, recording.annotation.symbols
        chosen = [i for i, symbol in enumerate(symbols) if symbol in BEAT_SYMBOLS]
        if chosen:
            return Beats(samples[chosen], tuple(symbols[i] for i in chosen), "annotations")
    signal, rate = recording.signal, recording.sampling_frequency
    valid = np.isfinite(signal)
    if valid.sum() < DETECTABLE * rate or np.ptp(signal[valid]) == 0:
        return None
    from wfdb.processing import XQRS  # slow to import

    filled = np.interp(np.arange(len(signal)), np.flatnonzero(valid), signal[valid])
    detector = XQRS(sig=filled, fs=rate)
    detector.detect(verbose=False)
    found = np.asarray(detector.qrs_inds, dtype=np.int64)
    found = found[valid[found]]
    return Beats(found, ("?",) * len(found), "detector") if len(found) else None


def label(beats: Beats, windows: Windows, sampling_frequency: float) -> BeatLabels:
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
    segment = np.select([time < -240, time < -60, time < 80, time < 450 * np.sqrt(rr)], [3, 0, 1, 2], 3)
    start = BIN_MS * np.floor(time[inside].min() / BIN_MS) if inside.any() else 0.0
    place = np.floor((time - start) / BIN_MS).astype(np.int64)
    beat, segment, place = (np.where(inside, values, -1) for values in (beat, segment, place))
    return BeatLabels(beat, offset, segment, place, float(start))


def beat_columns(labels: BeatLabels, segments: Array, bins: Array, touched: Array) -> dict[str, Array]:
    """Return the columns of the table that belong to beats, NaN where a segment or a beat is in no window.

    segments (4, p), bins (labels.bins, p) : windows with that label in which each pattern is on. touched : (p,) beats.
    """
    segment, place = (np.bincount(x[x >= 0], minlength=k) for x, k in ((labels.segment, 4), (labels.bin, labels.bins)))
    seen = np.unique(labels.beat[labels.beat >= 0])
    share = np.divide(segments, segment[:, None], out=np.full(segments.shape, np.nan), where=segment[:, None] > 0)
    # A share of a few windows says little: bins that beats of usual length reach.
    often = place >= max(1.0, 0.25 * place.max(initial=0))
    shares = bins[often] / place[often, None]
    centres = labels.bin_start + BIN_MS * (np.flatnonzero(often) + 0.5)
    flat = np.ptp(shares, axis=0) == 0
    return {
        "beat_coverage": touched / len(seen) if len(seen) else np.full(len(touched), np.nan),
        **{f"on_{name}": share[i] for i, name in enumerate(SEGMENTS)},
        "peak_ms": np.where(flat, np.nan, centres[np.argmax(shares, axis=0)]),
    }


def beat_averages(
    beats: Beats, labels: BeatLabels, target_mv: Array, on: NDArray[np.bool_], sampling_frequency: float
) -> tuple[BeatAverage, ...]:
    """Return the mean beat of all beats, then of the frequent types, most frequent first, if there is more than one.

    target_mv : (n,) the sample that each window forecasts. on : (K, n) the patterns shown.
    """
    symbols = np.array(beats.symbols)
    seen = np.unique(labels.beat[labels.beat >= 0])
    names, counts = np.unique(symbols[seen], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    frequent = [str(names[i]) for i in order if counts[i] >= BEATS_A_TYPE][:TYPES]
    inside = labels.beat >= 0
    out = []
    for name in ["all", *(frequent if len(names) > 1 else [])]:
        chosen = inside if name == "all" else inside & (symbols[labels.beat] == name)
        offset, target = labels.offset[chosen], target_mv[chosen]
        first = int(offset.min())
        place = offset - first
        number = np.bincount(place)
        mean = np.bincount(place, target) / np.maximum(number, 1)
        deviation = np.bincount(place, (target - mean[place]) ** 2) / np.maximum(number, 1)
        counts_on = np.zeros((len(on), len(number)))
        for i, row in enumerate(on):
            counts_on[i] = np.bincount(place, row[chosen])
        shares = counts_on / np.maximum(number, 1)
        # The ends of the longest beats are few: keep the stretch that half of the beats reach.
        kept = np.flatnonzero(number >= 0.5 * number.max())
        kept = np.arange(kept[0], kept[-1] + 1)
        out.append(
            BeatAverage(
                symbol=name,
                count=len(np.unique(labels.beat[chosen])),
                offsets_ms=(first + kept).astype(np.float64) * (1e3 / sampling_frequency),
                mean_mv=mean[kept],
                sd_mv=np.sqrt(deviation[kept]),
                windows=number[kept],
                on=shares[:, kept],
            )
        )
    return tuple(out)
