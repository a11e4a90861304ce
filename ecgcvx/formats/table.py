"""One lead of a table, wherever that comes from: one column a lead, perhaps one of times."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.clock import Timeline, read_clock
from ecgcvx.formats.leads import choose_lead
from ecgcvx.formats.shared import Reading, check_frequency, sample_range
from ecgcvx.formats.units import Head, is_counter, is_time, seconds_per
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file or of memory.

    read : (column, column of times or None) -> both as floats (n,), NaN where a value is missing; clock times in s.
    place : names a row, as "line 17". clocks : columns of clock times. first : (k, width) some first rows, NaN for what
    is no number. rate : Hz, when the file says it beside the table.
    """

    source: str
    heads: tuple[Head, ...]
    named: bool
    read: Callable[[int, int | None], tuple[Array, Array | None]]
    place: Callable[[int], str]
    first: Array = field(repr=False)
    clocks: frozenset[int] = frozenset()
    rate: float | None = None
    notes: tuple[str, ...] = ()


def read_table(
    table: Table,
    wanted: str | int | None,
    start: float | None,
    end: float | None,
    sampling_frequency: float | None,
    any_unit: bool,
) -> Reading:
    """Read a lead from `start` to `end` seconds; the sampling frequency (Hz) is given, or that of the times.

    Raises
    ------
    RecordError
        when the table lacks the lead, the stretch or the frequency, or times and frequency contradict each other.
    """
    source = table.source
    if sampling_frequency is not None:
        if not (math.isfinite(sampling_frequency) and sampling_frequency > 0):
            raise RecordError(f"{source}: sampling_frequency={sampling_frequency} is not a frequency; give it in Hz")
        check_frequency(sampling_frequency, source, "correct sampling_frequency, in Hz")
        sampling_frequency = float(sampling_frequency)
    if sampling_frequency is not None and table.rate is not None and abs(table.rate / sampling_frequency - 1) > 1e-3:
        raise RecordError(
            f"{source}: sampling_frequency={sampling_frequency:g} Hz contradicts the file, which says {table.rate:g} "
            "Hz; leave it out"
        )
    times = _times(table)
    counters = [column for column, head in enumerate(table.heads) if is_counter(head)]
    # Columns that are known as times by their name do not count among the leads.
    named = {column for column, head in enumerate(table.heads) if is_time(head)}
    columns = [column for column in range(len(table.heads)) if column not in named]
    aside = set(counters) | ({times} if times is not None else set()) | table.clocks
    leads = [table.heads[c] if c not in aside else Head(table.heads[c].name or "times", "-") for c in columns]
    if all(column in aside for column in columns):
        raise RecordError(f"{source}: no column beside the times; give a file with a lead")
    choice = choose_lead(leads, wanted, source, any_unit=any_unit)
    column = columns[choice.number]
    clock = times if times is not None else next(iter(counters), None)
    signal, stamps = table.read(column, clock)
    line, notes = _timeline(table, clock, stamps, times is None, sampling_frequency)
    signal = line.place(signal)
    first, last = sample_range(len(signal), line.frequency, start, end, source)
    others = tuple(n for n in choice.others if columns[n] not in aside)
    name = leads[choice.number].name or str(choice.number)
    notes = (*table.notes, *notes, *choice.notes)
    return Reading(signal[first:last], line.frequency, name, leads[choice.number].unit, None, others, notes)


def _times(table: Table) -> int | None:
    """The column of times: the first that names its unit, or the first; without names, one that counts evenly."""
    columns = [column for column, head in enumerate(table.heads) if is_time(head)]
    columns.sort(key=lambda column: (table.heads[column].unit == "" and column not in table.clocks, column))
    if columns:
        return columns[0]
    if table.clocks:
        return min(table.clocks)
    if not table.named and len(table.heads) > 1 and len(table.first) > 3:
        steps = np.diff(table.first[:, 0])
        if (steps > 0).all() and np.abs(steps - steps.mean()).max() < 0.5 * steps.mean():
            return 0
    return None


def _timeline(
    table: Table, clock: int | None, stamps: Array | None, counts: bool, frequency: float | None
) -> tuple[Timeline, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if frequency is None and table.rate is not None:
        check_frequency(table.rate, table.source, "correct it in the file, or give sampling_frequency in Hz")
        frequency = table.rate
    if clock is None or stamps is None or (counts and frequency is None):
        if frequency is None:
            raise RecordError(f"{table.source}: no column time, t or seconds; give sampling_frequency in Hz")
        said = (f"{frequency:g} Hz is what the file says beside its samples",) if frequency == table.rate else ()
        return Timeline(frequency), said
    unit = table.heads[clock].unit
    scale = 1.0 if clock in table.clocks else seconds_per(unit) if unit else None
    if scale == 0.0:
        scale = None  # said to be clock times, but plain numbers
    if unit and scale is None and clock not in table.clocks and seconds_per(unit) is None and not counts:
        raise RecordError(f"{table.source}: its times are in {unit}, which is no unit of time; name it s, ms, us or ns")
    if not table.named and not counts:
        notes = (*notes, "the first column was taken for times")
    line = read_clock(stamps, scale, frequency, table.source, table.place, counts)
    return line, notes + line.notes
