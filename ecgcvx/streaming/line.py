"""One line of a stream: a number, `time,sample` or an object; of joined leads a sample of each.

Of several leads a line has one number a lead, in the order of `Forecaster.leads`, behind a time where it has one more.
A line of names before the first sample puts them in its own order, and may name other columns as well.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from ecgcvx.errors import InputError
from ecgcvx.formats.amplitude import LARGEST
from ecgcvx.formats.csv_cells import number_of
from ecgcvx.formats.units import is_time, plain_unit, read_head, seconds_per
from ecgcvx.text import clean

WHOLE = re.compile(rb"[+-]?\d+\Z", re.ASCII)
INFINITE = ("inf", "-inf", "+inf")  # gaps too; other spellings of a gap are those of tables
SEPARATED = re.compile(rb"[-+.\d]*\d([;|\t ]\s*[-+.\d]*\d)+\Z", re.ASCII)
WITH_UNIT = re.compile(rb"[-+.,\d]*\d\s*(mV|uV|\xc2\xb5V|\xce\xbcV|V)\Z", re.ASCII)


class Sample(NamedTuple):
    """A sample in mV, NaN in a gap, and where the source says that it is: time (s), position (samples).

    others : samples of the leads that are joined to it, in their order.
    """

    value: float
    time: float | None = None
    position: float | None = None
    others: tuple[float, ...] = ()

    @property
    def taken(self) -> float | tuple[float, ...]:
        """What a stream takes of it."""
        return (*self.others, self.value) if self.others else self.value


class LineError(ValueError):
    """What is wrong with a line, and what to write instead, where that can be told."""


@dataclass(frozen=True)
class Columns:
    """What the fields of a line are.

    leads : names, the lead that is forecast last. places : column of each where a line of names says so, else empty.
    time : column of the time there, None without. width : number of columns there.
    """

    leads: tuple[str, ...] = ("",)
    places: tuple[int, ...] = ()
    time: int | None = None
    width: int = 0

    @property
    def wanted(self) -> str:
        """What a line with a time looks like."""
        return "time,sample" if len(self.leads) == 1 else ",".join(("time", *map(clean, self.leads)))

    def split(self, fields: list[bytes]) -> tuple[bytes | None, list[bytes]]:
        """Return the time, None without, and the samples in the order of the leads; LineError for another number."""
        if self.places:
            if len(fields) != self.width:
                raise LineError(f"not {self.width} fields as in the line of names but {len(fields)}")
            return None if self.time is None else fields[self.time], [fields[place] for place in self.places]
        count = len(self.leads)
        if len(fields) not in (count, count + 1):
            if count == 1:
                raise LineError("more than two fields; give time,sample or the sample alone")
            raise LineError(f"not {count} or {count + 1} fields but {len(fields)}; give {self.wanted}")
        return (fields[0] if len(fields) > count else None), fields[len(fields) - count :]


def named(text: bytes, columns: Columns) -> Columns | None:
    """Return what a line of names says of the columns of joined leads; None where it names none of them.

    Raises InputError where it lacks a lead or has one twice, or says another unit than mV or seconds.
    """
    cells = [cell.strip(" '\"\t") for cell in text.decode(errors="replace").split(",")]
    heads = [read_head(cell) for cell in cells]
    names, places = [head.name.casefold() for head in heads], list[int]()
    if not any(lead.casefold() in names for lead in columns.leads):
        return None
    for lead in columns.leads:
        if (count := names.count(lead.casefold())) != 1:
            raise InputError(
                f"line of names {clean(text.decode(errors='replace'), 60)!r}: {count or 'no'} columns for lead "
                f"{clean(lead)}; give one for each of {', '.join(map(clean, columns.leads))}"
            )
        places.append(names.index(lead.casefold()))
        unit = heads[places[-1]].unit
        if unit and plain_unit(unit) != "mV":
            raise InputError(f"line of names: lead {clean(lead)} is in {clean(unit)}; give mV")
    times = [place for place, head in enumerate(heads) if is_time(head)]
    for place in times[:1]:
        unit = heads[place].unit
        if unit and seconds_per(unit) != 1.0:
            raise InputError(f"line of names: {clean(cells[place])} is in {clean(unit)}; give seconds")
    return Columns(columns.leads, tuple(places), times[0] if times else None, len(cells))


ONE = Columns()


def parse(text: bytes, frequency: float, last: float | None = None, columns: Columns = ONE) -> Sample:
    """The sample of a line; ValueError, TypeError, KeyError or OverflowError when it is none.

    last : position of the sample before, in samples.
    """
    if text[:1] == b"{":
        return _of_object(json.loads(text), frequency, columns)
    if b"\0" in text:
        raise LineError("zero bytes; send plain text in UTF-8")
    if SEPARATED.match(text):
        raise LineError(f"numbers without a comma between them; write {columns.wanted}")
    if WITH_UNIT.match(text):
        raise LineError("a sample with a unit; give the number alone, in mV")
    before, fields = columns.split([field.strip() for field in text.split(b",")])
    *others, value = (voltage(decimal(field, gap=True)) for field in fields)
    if before is None:
        return Sample(value, others=tuple(others))
    moment = decimal(before)
    position = moment * frequency
    due = last is not None and abs(position - last - 1) <= 0.5
    if WHOLE.match(before) and all(map(WHOLE.match, fields)) and not due and frequency > 2:
        raise LineError(
            f"a decimal comma, or seconds and a sample without points? write 0.5, or {columns.wanted}"
        )  # fmt: skip
    return Sample(value, moment, position, tuple(others))


def _of_object(found: dict[str, object], frequency: float, columns: Columns) -> Sample:
    """The sample of an object: a number, of joined leads a list in their order or an object by their names."""
    if "sample" not in found:
        raise LineError("an object without a sample; give one, or null for a gap")
    held, leads = found["sample"], columns.leads
    if len(leads) == 1:
        held = [held]
    elif isinstance(held, dict):
        by_name = {name.casefold(): one for name, one in held.items()}
        if any(lead.casefold() not in by_name for lead in leads):
            raise LineError(f"sample lacks a lead; give {', '.join(map(clean, leads))}, or null for a gap")
        held = [by_name[lead.casefold()] for lead in leads]
    if not isinstance(held, list) or len(held) != len(leads):
        raise LineError(f"sample is no list of {len(leads)} numbers; give those of {', '.join(map(clean, leads))}")
    *others, value = (math.nan if one is None else voltage(number(one, "sample")) for one in held)
    moment = None if found.get("time") is None else finite(found["time"], "time")
    if found.get("sequence") is not None:
        count = finite(found["sequence"], "sequence")
        if not count.is_integer():
            raise LineError("sequence is no whole number; give the count of the sample")
        return Sample(value, moment, count, tuple(others))
    return Sample(value, moment, None if moment is None else moment * frequency, tuple(others))


def decimal(field: bytes, *, gap: bool = False) -> float:
    """A finite number as tables have it, NaN for a missing one where a gap may be; ValueError for any other."""
    text = field.decode("ascii")
    found = math.nan if text.lower() in INFINITE else number_of(text, ".")
    if found is None or math.isinf(found) or (math.isnan(found) and not gap):
        raise ValueError
    return found


def voltage(value: float) -> float:
    """A sample in mV; NaN for an infinite one, ValueError for one that no signal has."""
    if abs(value) > LARGEST and not math.isinf(value):
        raise LineError(f"a sample of {value:.3g} mV is none; give mV")
    return value if math.isfinite(value) else math.nan


def number(found: object, name: str) -> float:
    """A JSON number as float, no string and no truth value; LineError otherwise."""
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise LineError(f"{name} is no number; write it without quotes, as 0.5")
    return float(found)


def finite(found: object, name: str) -> float:
    """The same, finite; LineError otherwise."""
    value = number(found, name)
    if not math.isfinite(value):
        raise LineError(f"{name} is not finite; give a number, or leave it out")
    return value
