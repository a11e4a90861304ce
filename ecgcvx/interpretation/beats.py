"""What the patterns of a network do within the beats of a recording."""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.beats import BIN_MS, SEGMENTS, BeatLabels, Beats, counts_of
from ecgcvx.interpretation.results import BeatAverage
from ecgcvx.types import Array

TYPES, BEATS_A_TYPE = 6, 5  # most types of beats shown, and the fewest beats of a type


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
    counts = counts_of(symbols[seen])
    frequent = [name for name, count in counts.items() if count >= BEATS_A_TYPE][:TYPES]
    inside = labels.beat >= 0
    out = []
    for name in ["all", *(frequent if len(counts) > 1 else [])]:
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
