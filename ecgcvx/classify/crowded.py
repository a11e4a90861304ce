"""Patients with many early beats, made of those that have few: what training sees of them where there are hardly any.

Where half of the beats and more are early ones, a beat's interval says other things of it than where few are. Of each
patient with some supraventricular beats, copies are made with many: the same beats in another order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.beats import Beats
from ecgcvx.classify.classes import class_of
from ecgcvx.classify.context import LONGEST_RR, likeness, rhythm
from ecgcvx.classify.windows import BEFORE, BeatWindows
from ecgcvx.types import Array

SHARES = (0.4, 0.7)  # of the beats of a copy that are early
LENGTH, EVERY = 1200, 4  # beats of a copy about; of these every fourth is learned from
LEAST = 20  # early beats of a patient that is copied
EARLY = 0.9  # of the median interval: below it a beat is early
JITTER = 0.02, 0.04  # relative, of an early beat's interval that is used again, and of the further beats of its run
NEAR = 8  # usual beats about an early one that those between early ones are drawn from


@dataclass(frozen=True, eq=False)
class Copies:
    """Beats of copies as rows, their classes (n,), and the number (n,) of the recording that each copy was made of."""

    windows: BeatWindows
    truth: NDArray[np.str_]
    source: NDArray[np.intp]

    def subset(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> "Copies":
        """The beats of an index, or of a mask (n,)."""
        return Copies(self.windows.subset(index), self.truth[index], self.source[index])


def crowded_copies(part: BeatWindows, beats: Beats, sampling_frequency: float, seed: int = 0) -> list[BeatWindows]:
    """Return a copy of a recording for each of SHARES, none of one with fewer than LEAST early beats of class S.

    part : the windows of its beats. A copy consists of runs of early beats, their lengths geometric, after usual beats
    with the intervals that they had; the beats of a run keep the interval of the first, within 4 %. They stay in the
    order of the recording, as what belongs together does. Its measures are made anew, as of any recording.
    """
    found = [_copy(part, beats, sampling_frequency, share, np.random.default_rng(seed)) for share in SHARES]
    return [one for one in found if one is not None]


def _copy(
    part: BeatWindows, beats: Beats, sampling_frequency: float, share: float, random: np.random.Generator
) -> BeatWindows | None:
    names = class_of(beats.symbols)
    place = np.full(len(beats), -1)
    place[np.isin(beats.samples, part.samples)] = np.arange(len(part))
    intervals = np.diff(beats.samples / sampling_frequency, prepend=np.nan)
    usable = (place >= 0) & (intervals > 0) & (intervals <= LONGEST_RR)
    early, usual = (np.flatnonzero(usable & (names == name)) for name in "SN")
    first = early[usable[early - 1] & (names[early - 1] == "N")]
    first = first[intervals[first] < EARLY * np.median(intervals[usable])] if usable.any() else first
    after, between = usual[names[usual - 1] == "S"], usual[np.isin(usual - 1, usual)]
    if len(first) < LEAST or not len(after) or len(between) < NEAR:
        return None
    run = max(1.0, share / (1 - share))  # early beats in a row, a mean
    more = max(0.0, (1 - share) / share - 1)  # usual beats before it but one, a mean
    times_used = int(np.ceil(LENGTH / (len(first) * (run + 1 + more))))
    order: list[int] = []
    gaps: list[float] = []
    for one in np.repeat(first, times_used):
        near = between[np.argsort(np.abs(between - one), kind="stable")[:NEAR]]
        chosen = [
            int(after[np.argmin(np.abs(after - one))]),
            *random.choice(near, random.poisson(more)).tolist(),
            int(one),
        ]
        jitter = JITTER[0] if times_used > 1 else 0.0
        gaps += [*intervals[chosen[:-1]], intervals[one] * (1 + jitter * random.standard_normal())]
        for _ in range(random.geometric(1 / run) - 1):
            number = np.searchsorted(early, one) + random.integers(-2, 3)
            chosen.append(int(early[np.clip(number, 0, len(early) - 1)]))
            gaps.append(intervals[one] * (1 + JITTER[1] * random.standard_normal()))
        order += chosen
    return _windows(part, place[order], np.cumsum(gaps), sampling_frequency, f"{100 * share:.0f} % early")


def _windows(
    part: BeatWindows, order: NDArray[np.intp], times: Array, sampling_frequency: float, words: str
) -> BeatWindows:
    """Every fourth of the windows in an order (k,), with R peaks at times (k,) and measures among all of them."""
    signal = part.signal[order]
    context = np.concatenate([rhythm(times), likeness(signal, BEFORE)], axis=1)
    return BeatWindows(
        signal, context, np.rint(times * sampling_frequency).astype(np.int64),
        tuple(part.symbols[i] for i in order), np.zeros(len(order), dtype=np.intp), (f"{part.records[0]} ({words})",),
        part.scale[order],
    ).subset(np.arange(0, len(order), EVERY))  # fmt: skip
