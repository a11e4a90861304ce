"""What every file format shares: its leads and their units, the choice of one, the stretch of time asked for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ecgcvx.errors import RecordError


class Reading(NamedTuple):
    """What a reader returns: `signal` (n,) in mV, Hz, the lead's name, annotation as (samples, symbols) or None."""

    signal: npt.NDArray[np.float64]
    sampling_frequency: float
    lead: str
    annotation: tuple[npt.NDArray[np.int64], tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Lead:
    """A lead as its file describes it."""

    name: str
    unit: str


_UNITS_PER_MILLIVOLT = {"v": 1e-3, "mv": 1.0, "uv": 1e3, "nv": 1e6}

# ECG leads in PhysioNet's databases and in clinical use: limb, augmented, chest, bipolar monitor and Holter leads.
_ECG_NAME = re.compile(
    r"(ecg|ekg).*"
    r"|(lead[ _-]?)?((ml|d)?i{1,3}|(ml|d)[1-6]|-?(mod\.?)?a?v[rlf]|(mod\.?|m)?v([1-9]r?|[xyz])?(-v[1-9])?)"
    r"|mcl[1-6]?|c[mcsb][1-6]|a-s|a-i|e-s",
    re.IGNORECASE,
)


def per_millivolt(unit: str) -> float | None:
    """Return how many units make a mV; None when `unit` is not a voltage."""
    return _UNITS_PER_MILLIVOLT.get(unit.replace("µ", "u").replace("μ", "u").lower())


def list_leads(leads: Sequence[Lead]) -> str:
    """Return the numbers, names and units of leads as a part of a line."""
    return ", ".join(f"{number}: {lead.name or 'unnamed'} ({lead.unit})" for number, lead in enumerate(leads))


def choose_lead(leads: Sequence[Lead], wanted: str | int | None, source: str) -> int:
    """Return the number of the lead asked for, or of the first ECG lead.

    Raises
    ------
    RecordError
        when there is no such lead, or its unit is not a voltage.
    """
    if wanted is None:
        for number, lead in enumerate(leads):
            # A file with a single, nameless lead leaves no doubt which one is meant.
            known = _ECG_NAME.fullmatch(lead.name) or (not lead.name and len(leads) == 1)
            if known and per_millivolt(lead.unit):
                return number
        raise RecordError(f"{source}: no ECG lead among {list_leads(leads)}; name the one to use with lead")
    names = [lead.name.casefold() for lead in leads]
    label = str(wanted).strip().casefold()
    if isinstance(wanted, str) and label and label in names:
        number = names.index(label)
    elif label.isdecimal() and int(label) < len(leads):
        number = int(label)
    else:
        raise RecordError(f"{source}: no lead {wanted!r}; there are {list_leads(leads)}")
    if not per_millivolt(leads[number].unit):
        raise RecordError(
            f"{source}: lead {leads[number].name or number} is in {leads[number].unit}, which is not a voltage; "
            f"choose another of {list_leads(leads)}"
        )
    return number


def sample_range(n: int, frequency: float, start: float | None, end: float | None, source: str) -> tuple[int, int]:
    """Return first and last (exclusive) of the n samples at `frequency` Hz that lie from `start` to `end` seconds.

    Raises
    ------
    RecordError
        when that is not a stretch of the record.
    """
    if n == 0:
        raise RecordError(f"{source}: the record is empty; give one with samples")
    seconds = n / frequency
    begin, stop = 0.0 if start is None else start, seconds if end is None else end
    # Half a sample of slack, so that an end typed as the rounded duration is accepted. NaN fails too.
    if not (0 <= begin < stop <= seconds + 0.5 / frequency):
        raise RecordError(f"{source}: start={begin:g} s, end={stop:g} s is not within its {seconds:g} s; change them")
    first, last = round(begin * frequency), min(round(stop * frequency), n)
    if first >= last:
        raise RecordError(f"{source}: start={begin:g} s, end={stop:g} s has no sample at {frequency:g} Hz; widen it")
    return first, last


def decode(content: bytes) -> str:
    """Return text that is UTF-8, with or without byte order mark, or else Latin-1, which every byte string is."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def reason(error: BaseException) -> str:
    """Return a library's exception as a part of a line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
