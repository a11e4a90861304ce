"""From the unit of a file to mV, and whether the result can be an ECG."""

import math
import re
from dataclasses import dataclass

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.shared import Reading
from ecgcvx.formats.units import ADU, VOLTAGES, plain_unit
from ecgcvx.types import Array

LARGEST = 1e10  # beyond 32-bit samples, in any unit; squares and sums of what is below are safe
ALONE = 1e6  # mV: a single sample beyond, in a file that names no unit, is not one of the signal
LARGEST_ECG, SMALLEST_ECG = 50.0, 0.02  # mV from the 1st to the 99th percentile
USUAL = (0.3, 20.0)  # mV, the same
FAR = 20.0  # times that spread away from it: an outlier
OUTLIER = 10.0  # mV from the median
SAMPLED = 200_000


@dataclass(frozen=True)
class Unit:
    """How many of a unit make one of `result`, which is mV, or adu for counts of unknown gain."""

    per: float
    result: str


def read_unit(unit: str, source: str) -> Unit:
    """Read what a caller gives as unit: uV, mV, V, nV, adu, or a gain such as 200/mV (counts that make a mV).

    Raises
    ------
    RecordError
        when it is none of them.
    """
    gain = re.fullmatch(
        r"\s*(?P<gain>[0-9]+\.?[0-9]*(e[+-]?[0-9]+)?)\s*(adu)?\s*/\s*(?P<unit>[^\W\d_]+)\s*", unit, re.I
    )
    plain = plain_unit(gain["unit"] if gain else unit)
    if gain and plain in VOLTAGES and 0 < float(gain["gain"]) < math.inf:
        return Unit(float(gain["gain"]) * VOLTAGES[plain], "mV")
    if gain is None and plain in VOLTAGES:
        return Unit(VOLTAGES[plain], "mV")
    if gain is None and plain == ADU:
        return Unit(1.0, ADU)
    raise RecordError(
        f"{source}: unit={unit[:40]!r} is no unit of an ECG; give uV, mV, V, adu, or a gain such as 200/mV"
    )


def to_millivolts(
    reading: Reading, unit: str | None, default: str | None, source: str
) -> tuple[Array, str, tuple[str, ...]]:
    """Return the signal in mV (or adu), that unit, and what is to be said of it.

    unit : what the caller says that the values are in, which the file must not contradict; default : what they are in
    when neither says.

    Raises
    ------
    RecordError
        when the units contradict each other, or a sample is too large for any voltage.
    """
    declared = plain_unit(reading.unit) if reading.unit else None
    given = None if unit is None else read_unit(unit, source)
    if given is not None and declared is not None and declared != ADU and read_unit(declared, source) != given:
        raise RecordError(
            f"{source}: unit={unit} contradicts the file, whose lead {reading.lead} is in {reading.unit}; leave it out"
        )
    notes: tuple[str, ...] = ()
    if given is not None:
        chosen = given
    elif declared is not None:
        chosen = read_unit(declared, source)
    else:
        chosen = read_unit(default or "mV", source)
        if default is not None:
            notes = (f"no unit is given for lead {reading.lead}; it was taken for {default}",)
    certain = given is not None or declared is not None
    signal = reading.signal / chosen.per if chosen.per != 1.0 else reading.signal
    if chosen.result == ADU:
        notes = (
            *notes,
            f"lead {reading.lead} is in ADC counts: where results say mV, read counts "
            "(a gain as unit, e.g. 200/mV, converts them)",
        )
    return signal, chosen.result, (*notes, *_look(signal, chosen.result, certain, reading, source))


def _look(signal: Array, unit: str, certain: bool, reading: Reading, source: str) -> tuple[str, ...]:
    """Notes on amplitudes that no ECG has."""
    n = len(signal)
    top, bottom = np.fmax.reduce(signal), np.fmin.reduce(signal)
    if not np.isfinite(top):
        return ()
    some = signal[:: max(n // SAMPLED, 1)]
    some = some[np.isfinite(some)]
    low, middle, high = np.percentile(some, [1, 50, 99]) if len(some) else (0.0, 0.0, 0.0)
    spread = float(high - low)
    peak = int(np.argmax(signal == (top if top >= -bottom else bottom)))
    height = float(signal[peak])
    at = f"sample {peak} ({peak / reading.sampling_frequency:.3f} s) of lead {reading.lead}"
    # A level that all samples share is the offset of a converter.
    alone = not certain and abs(height - middle) > 1e4 * max(spread, SMALLEST_ECG) and abs(height) > ALONE
    if abs(height) > LARGEST or alone:
        head = peak <= 1 and abs(height) > 1e8
        raise RecordError(
            f"{source}: {at} is {height:.6g} {unit}, which is no ECG; "
            + (
                "do a start time and a sampling frequency precede the samples? remove them and give sampling_frequency"
                if head
                else "correct it, or empty it to make a gap"
            )
        )
    notes: list[str] = []
    if unit != "mV":
        return ()
    if spread > LARGEST_ECG or (0 < spread < SMALLEST_ECG):
        stands = f"lead {reading.lead} spans {spread:.3g} mV"
        if certain:
            notes.append(f"{stands}, which is no ECG; is its unit right?")
        else:
            notes.append(f"{stands} if it is in mV, which is no ECG; {_likely(some, spread)}")
    else:
        bound = max(FAR * spread, OUTLIER)
        blocks = (signal[first : first + SAMPLED] for first in range(0, n, SAMPLED))
        outside = max(top - middle, middle - bottom) > bound
        count = sum(int(np.count_nonzero(np.abs(part - middle) > bound)) for part in blocks) if outside else 0
        if count:
            notes.append(
                f"{count:,} sample{'s' * (count > 1)} of lead {reading.lead} beyond {bound:.3g} mV, the largest "
                f"{height:.4g} mV at {peak / reading.sampling_frequency:.3f} s; empty what is no signal to make gaps"
            )
    return tuple(notes)


def _likely(some: Array, spread: float) -> str:
    """What the values of a lead may be in, as a cure."""
    if spread < SMALLEST_ECG:
        return "V is likely: give unit V"
    whole = bool((some == np.rint(some)).all())
    level = abs(float(np.median(some)))
    counts = whole and level > 0.5 * spread
    found = [unit for unit in ("uV", "nV") if USUAL[0] <= spread / VOLTAGES[unit] <= USUAL[1]]
    if counts or not found:
        return "ADC counts are likely: give unit adu, or the gain, e.g. 200/mV"
    return f"{found[0]} is likely{' (or ADC counts)' * whole}: give unit {found[0]}"
