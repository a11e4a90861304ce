"""What a network does in every beat: which patterns are on when, what they add, and how early the beat comes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecgcvx.beats import find_beats, why_no_beats
from ecgcvx.classify.context import local_intervals
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.models.units import Units
from ecgcvx.records import Recording
from ecgcvx.types import Array

BEFORE, AFTER = 0.25, 0.35  # s around the R peak
BIN = 1 / 60  # s
MOST = 64  # patterns, those of the largest weights


@dataclass(frozen=True, eq=False)
class MeasuredBeats:
    """b beats of L bins of `bin_ms` around the R peak, for p patterns.

    samples : (b,) R peaks. on : (b, L, p) share of each bin in which a pattern is on; None for a network without gates.
    adds : (b, L, p) mean of what it adds there, standardised. rr : (b, 2) interval before and after the beat over the
    usual one around it, less one. neurons : of each pattern. left_out : beats over a gap or an end of the recording.
    """

    samples: NDArray[np.int64]
    on: NDArray[np.float32] | None
    adds: NDArray[np.float32]
    rr: Array
    neurons: tuple[tuple[int, ...], ...]
    bin_ms: float
    left_out: int

    def __len__(self) -> int:
        return len(self.samples)

    def views(self, chosen: NDArray[np.bool_]) -> tuple[Array, ...]:
        """Return what chosen beats (b,) are compared by, (c, L p) each."""
        held = (self.adds,) if self.on is None else (self.on, self.adds)
        return tuple(view[chosen].reshape(int(chosen.sum()), -1).astype(np.float64) for view in held)


def heaviest_units(forecaster: Forecaster) -> Units:
    """Return the patterns that beats are measured by: of a stack or of three layers those of the first layer."""
    units = forecaster.network.units()
    return units.subset(np.sort(np.argsort(-units.norms, kind="stable")[:MOST]))


def measure_beats(forecaster: Forecaster, recording: Recording) -> MeasuredBeats:
    """Return the beats of a recording as the network sees them; R peaks are those of the detector (XQRS of wfdb).

    The annotation is not looked at. Raises InputError without beats, and see `Forecaster.windows`.
    """
    beats = find_beats(replace(recording, annotation=None))
    if beats is None:
        raise InputError(f"{recording.name}: no beats in lead {recording.lead} ({why_no_beats(recording)})")
    rate = recording.sampling_frequency
    width = max(round(BIN * rate), 1)
    before, bins = round(BEFORE * rate), max(round((BEFORE + AFTER) * rate / width), 1)
    units, n, span = heaviest_units(forecaster), len(recording.signal), bins * width
    windows = forecaster.windows(recording)
    place = np.full(n, -1, dtype=np.int64)  # of the window that ends at each sample
    place[windows.targets - windows.horizon] = np.arange(len(windows))
    first = beats.samples - before
    inside = (first >= 0) & (first + span <= n)
    begin, end = (place[np.clip(first + offset, 0, n - 1)] for offset in (0, span - 1))
    whole = np.flatnonzero(inside & (begin >= 0) & (end - begin == span - 1))
    gated, shape = units.activation is None, (len(whole), bins, len(units))
    on, adds = np.zeros(shape if gated else (0, 0, 0), dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for i, row in enumerate(begin[whole]):
        rows = windows.X[row : row + span]
        active = units.on(rows)
        adds[i] = units.outputs(rows, active).reshape(bins, width, -1).mean(axis=1)
        if gated:
            on[i] = active.reshape(bins, width, -1).mean(axis=1)
    return MeasuredBeats(
        beats.samples[whole], on if gated else None, adds, local_intervals(beats.samples / rate)[whole], units.neurons,
        1e3 * width / rate, len(beats) - len(whole),
    )  # fmt: skip
