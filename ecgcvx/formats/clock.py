"""Times of samples: the sampling frequency that they say, and the gaps that they show."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.shared import HIGHEST, LOWEST
from ecgcvx.types import Array

SCALES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
_EPOCHS = {"s": (1e8, 1e10), "ms": (1e11, 1e13), "us": (1e14, 1e16), "ns": (1e17, 1e19)}  # 1973 to 2286
SLOWEST_UNNAMED = 20.0  # Hz: below it, times whose unit is not named are hardly in s
USUAL = (50.0, 5e3)  # Hz
SAMPLED = 1 << 20  # steps that the typical step is taken from
BLOCK = 1 << 20
JUMPS = 0.1  # share of the steps that may be jumps
AGREE = 0.01  # by how much a sampling frequency that is given may differ from that of the times
LARGEST_GAP = 10**8  # samples


@dataclass(frozen=True, eq=False)
class Timeline:
    """Where rows stand in time: at `frequency` Hz, before row rows[i] (> 0) `skipped[i]` samples are missing."""

    frequency: float
    rows: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def place(self, values: Array) -> Array:
        """Return values (n,) with NaN where samples are missing."""
        if not self.rows:
            return values
        out = np.full(len(values) + sum(self.skipped), np.nan)
        shift = 0
        for first, stop, skipped in zip((0, *self.rows), (*self.rows, len(values)), (*self.skipped, 0), strict=True):
            out[first + shift : stop + shift] = values[first:stop]
            shift += skipped
        return out


def read_clock(
    times: Array,
    scale: float | None,
    frequency: float | None,
    source: str,
    place: Callable[[int], str],
    counts: bool = False,
) -> Timeline:
    """Return frequency and gaps of times (n,), one a row.

    scale : s in a unit of the times; None when their unit is not known. frequency : Hz when it is given, to be
    confirmed. place : names a row, as "line 17". counts : they are sample numbers, not times.

    Raises
    ------
    RecordError
        when times are missing, go back, are not uniform, contradict the frequency, or say one that no ECG has.
    """
    cure = "correct the times, or remove their column and give sampling_frequency in Hz"
    if np.isnan(times).any():
        row = int(np.argmax(np.isnan(times)))
        raise RecordError(f"{source}: not a time in every line, see {place(row)}; {cure}")
    if len(times) < 2:
        if frequency is None:
            raise RecordError(f"{source}: not a time in every line but one; give sampling_frequency in Hz")
        return Timeline(frequency)
    step = _typical_step(times)
    if step < 0 or (step == 0 and frequency is None):
        state = "go back" if step < 0 else "stand still"
        raise RecordError(f"{source}: its times {state}, see {place(0)} and {place(1)}; {cure}")
    notes: tuple[str, ...] = ()
    if step == 0:
        return _coarse(times, scale, frequency, source, place, cure)
    if counts:
        if step != 1 or frequency is None:
            return Timeline(frequency or math.nan)
        scale = 1 / frequency
    if scale is None:
        scale, notes = _guess_scale(float(times[0]), step, frequency, source)
    _check_rate(1 / (step * scale), step, scale, source)
    if frequency is not None and abs(step * scale * frequency - 1) > AGREE:
        raise RecordError(
            f"{source}: sampling_frequency={frequency:g} Hz contradicts its times, which say {1 / (step * scale):g} "
            "Hz; leave it out, or remove the column of times"
        )
    rows, skipped, span, deviation = _walk(times, step, source, place, cure)
    if frequency is None:
        frequency = _round_frequency(span * scale, len(times) - 1 - len(rows), deviation * scale, len(rows))
    if rows:
        notes = (
            *notes,
            f"{len(rows)} jump{'s' * (len(rows) > 1)} in its times, the first after {place(rows[0] - 1)}: "
            f"{sum(skipped):,} missing samples are gaps",
        )
    return Timeline(frequency, tuple(rows), tuple(skipped), notes)


def _typical_step(times: Array) -> float:
    """Mean of the steps of one sample, among the first ones, those in the middle and the last."""
    n, size = len(times) - 1, SAMPLED // 3
    places = [0, max(n // 2 - size // 2, 0), max(n - size, 0)] if n > SAMPLED else [0]
    length = size if n > SAMPLED else n
    steps = np.concatenate([np.diff(times[first : first + length + 1]) for first in places])
    step = float(np.median(steps))
    for _ in range(3):
        if step <= 0:
            return step
        step = float(steps[(steps > 0) & (steps < 1.75 * step)].mean())
    return step


def _guess_scale(first: float, step: float, frequency: float | None, source: str) -> tuple[float, tuple[str, ...]]:
    """Seconds in a unit of times whose unit is not named."""
    for unit, (low, high) in _EPOCHS.items():
        if low <= abs(first) < high and LOWEST <= 1 / (step * SCALES[unit]) <= HIGHEST:
            return SCALES[unit], (f"its times were taken for {unit} since 1970",) * (unit != "s")
    rate = 1 / step
    if frequency is not None:
        for unit, scale in SCALES.items():
            if abs(step * scale * frequency - 1) <= AGREE:
                return scale, (f"its times were taken for {unit}",) * (unit != "s")
        if step == 1:
            return 1 / frequency, ("its times were taken for sample numbers",)
        if rate < SLOWEST_UNNAMED:
            raise RecordError(
                f"{source}: its times step by {step:g}, which is no step at sampling_frequency={frequency:g} Hz in any "
                "unit of time; correct one of them, or remove the column of times"
            )
        return 1.0, ()
    if SLOWEST_UNNAMED <= rate <= HIGHEST:
        slow = rate > USUAL[1]
        return 1.0, (
            f"{rate:g} Hz is much for an ECG; name the column of times with its unit if they are not in s",
        ) * slow
    raise RecordError(f"{source}: its times, read in s, say {rate:.4g} Hz, which no ECG has; {_hint(step)}")


def _hint(step: float) -> str:
    likely = [unit for unit, scale in SCALES.items() if USUAL[0] <= 1 / (step * scale) <= USUAL[1]]
    asked = f"are the times in {likely[0]}? " if likely else ""
    unit = likely[0] if likely else "s"
    return f"{asked}name their column with its unit, as 'time ({unit})', or remove it and give sampling_frequency in Hz"


def _check_rate(rate: float, step: float, scale: float, source: str) -> None:
    if not LOWEST <= rate <= HIGHEST:
        raise RecordError(f"{source}: its times say {rate:.4g} Hz, which no ECG has; {_hint(step)}")


def _walk(
    times: Array, step: float, source: str, place: Callable[[int], str], cure: str
) -> tuple[list[int], list[int], float, float]:
    """Rows after a jump, samples missing before each, span without jumps, largest deviation of a step from `step`."""
    rows: list[int] = []
    skipped: list[int] = []
    span = deviation = 0.0
    n = len(times) - 1
    for first in range(0, n, BLOCK):
        part = np.diff(times[first : first + BLOCK + 1])
        small = part <= 0.5 * step
        if small.any():
            row = first + int(np.argmax(small))
            raise RecordError(f"{source}: times are not uniform, see {_between(times, row, place)}; {cure}")
        jumps = np.flatnonzero(part >= 1.5 * step)
        counts = np.rint(part[jumps] / step)
        if counts.sum() + sum(skipped) > LARGEST_GAP:
            row = first + int(jumps[np.argmax(counts)])
            raise RecordError(
                f"{source}: its times jump too far, see {_between(times, row, place)}; split the file there"
            )
        rows += (jumps + first + 1).tolist()
        skipped += (counts - 1).astype(np.int64).tolist()
        if len(rows) > JUMPS * n:
            raise RecordError(f"{source}: times are not uniform, see {_between(times, rows[0] - 1, place)}; {cure}")
        steps = np.delete(part, jumps) if len(jumps) else part
        if len(steps):
            span += float(steps.sum())
            deviation = max(deviation, float(np.abs(steps - step).max()))
    return rows, skipped, span, deviation


def _between(times: Array, row: int, place: Callable[[int], str]) -> str:
    return f"{times[row]:.10g} to {times[row + 1]:.10g} ({place(row)}, {place(row + 1)})"


def _round_frequency(span: float, steps: int, deviation: float, jumps: int) -> float:
    """Hz of `steps` steps that take `span` s in all."""
    # Times rounded to, say, ms say 359.999 for 360: take the whole number where their rounding allows it.
    rate = steps / span
    whole = round(rate)
    close = whole > 0 and abs(steps / whole - span) <= deviation * (1 + jumps) + 1e-9 * span
    return float(whole) if close else rate


def _coarse(
    times: Array, scale: float | None, frequency: float | None, source: str, place: Callable[[int], str], cure: str
) -> Timeline:
    """Times that stand still over many samples: they can only confirm a frequency and the absence of gaps."""
    assert frequency is not None
    changes = np.flatnonzero(np.diff(times)) + 1
    ticks = np.diff(times)[changes - 1]
    if len(changes) and ((ticks <= 0).any() or (ticks > 1.5 * np.median(ticks)).any()):
        row = int(changes[np.argmax((ticks <= 0) | (ticks > 1.5 * np.median(ticks)))])
        raise RecordError(f"{source}: its times jump at {place(row)}, too coarse to place a gap; split the file there")
    if len(changes) > 2:
        samples = (changes[-1] - changes[0]) / (len(changes) - 1)
        tick = float(np.median(ticks))
        scales = [scale] if scale is not None else list(SCALES.values())
        if not any(abs(tick * s * frequency / samples - 1) <= 5 * AGREE for s in scales):
            raise RecordError(
                f"{source}: {samples:g} samples a step of its times do not go with sampling_frequency={frequency:g} "
                f"Hz; {cure}"
            )
    return Timeline(frequency)
