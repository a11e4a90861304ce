"""One lead of a CSV file: one column a lead, an optional line of names, an optional column of seconds."""

import csv
import io
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ecgcvx.errors import RecordError
from ecgcvx.formats.shared import Lead, Reading, choose_lead, decode, per_millivolt, reason, sample_range

_NAME_AND_UNIT = re.compile(r"(?P<name>.*?)\s*[(\[](?P<unit>[^()\[\]]+)[)\]]")


def read_csv(
    path: Path, wanted: str | int | None, start: float | None, end: float | None, sampling_frequency: float | None
) -> Reading:
    """Read a lead from `start` to `end` seconds; without `sampling_frequency` (Hz) there must be a column of times.

    Raises
    ------
    RecordError
        when the file is missing, is not a table of numbers, or lacks the lead, the stretch or the frequency.
    """
    source = str(path)
    if sampling_frequency is not None and not (math.isfinite(sampling_frequency) and sampling_frequency > 0):
        raise RecordError(f"{source}: sampling_frequency={sampling_frequency} is not a frequency; give it in Hz")
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{source}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if not text.strip():
        raise RecordError(f"{source}: the file is empty; give one with samples")
    rows = _split_rows(text, source)
    named = not all(_is_number(cell) for cell in rows[0])
    heads = [_read_head(cell if named else "") for cell in rows[0]]
    times = [column for column, head in enumerate(heads) if head.name.casefold() in ("time", "t", "seconds")]
    columns = [column for column in range(len(heads)) if column not in times]
    leads = [Lead(heads[column].name, heads[column].unit or "mV") for column in columns]
    if not leads:
        raise RecordError(f"{source}: no column beside the times; give a file with a lead")
    number = choose_lead(leads, wanted, source)
    read_column = partial(_read_column, rows, named, source=source)
    if sampling_frequency is not None:
        frequency = float(sampling_frequency)
    elif times:
        frequency = _derive_frequency(read_column(times[0]), heads[times[0]].unit, source)
    else:
        raise RecordError(f"{source}: no column time, t or seconds; give sampling_frequency in Hz")
    signal = read_column(columns[number])
    first, last = sample_range(len(signal), frequency, start, end, source)
    divisor = per_millivolt(leads[number].unit)
    assert divisor is not None  # choose_lead has seen to it
    return Reading(signal[first:last] / divisor, frequency, leads[number].name or str(number))


def _split_rows(text: str, source: str) -> list[list[str]]:
    """Fields of each line, as many in each as in the first."""
    # Blank lines end the file, but not in a table of one column, where they are empty fields.
    if "," in text:
        text = text.rstrip()
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise RecordError(f"{source}: not a CSV file ({reason(error)}); correct it") from error
    width = len(rows[0])
    if width == 0:
        raise RecordError(f"{source}: its first line is blank; remove it")
    for line, row in enumerate(rows, start=1):
        if not row and width == 1:
            row.append("")
        if len(row) != width:
            raise RecordError(f"{source}: line {line}: {len(row)} fields where the first has {width}; correct it")
    return rows


def _read_column(rows: list[list[str]], named: bool, number: int, source: str) -> npt.NDArray[np.float64]:
    """A column (n,) as floats, NaN where a field is empty."""
    values = np.empty(len(rows) - named)
    for line, row in enumerate(rows[named:]):
        cell = row[number]
        if not _is_number(cell) or math.isinf(float(cell or "nan")):
            raise RecordError(f"{source}: line {line + 1 + named}: {cell[:40]} is not a number; correct or empty it")
        values[line] = float(cell or "nan")
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _read_head(cell: str) -> Lead:
    """Name and unit, "" where there is none, of a column: `ECG (uV)`, `ECG [uV]`, `ECG`, or a unit alone."""
    cell = cell.strip(" '\"\t")
    match = _NAME_AND_UNIT.fullmatch(cell)
    if match:
        return Lead(match["name"], match["unit"].strip())
    # A lone V is the chest lead of monitors, not a unit.
    if cell.casefold() != "v" and per_millivolt(cell):
        return Lead("", cell)
    return Lead(cell, "")


def _derive_frequency(times: npt.NDArray[np.float64], unit: str, source: str) -> float:
    """Hz of uniform times in seconds, which may be rounded to less than half a sample."""
    if unit.casefold() not in ("", "s", "sec", "seconds"):
        raise RecordError(
            f"{source}: its times are in {unit}, not seconds; convert them or give sampling_frequency in Hz"
        )
    if len(times) < 2 or np.isnan(times).any():
        raise RecordError(f"{source}: not a time in every line; complete them or give sampling_frequency in Hz")
    duration = float(times[-1] - times[0])
    period = duration / (len(times) - 1)
    deviation = np.abs(np.diff(times) - period)
    if not period > 0 or deviation.max() >= 0.5 * period:
        place = int(np.argmax(deviation)) + 1
        raise RecordError(
            f"{source}: times are not uniform, see {times[place - 1]:g} s to {times[place]:g} s; "
            "add lines with empty fields, or give sampling_frequency in Hz"
        )
    # Times rounded to, say, ms say 359.999 for 360: take the whole number where their rounding allows it.
    whole = round(1 / period)
    close = whole > 0 and abs((len(times) - 1) / whole - duration) <= deviation.max() + 1e-9 * duration
    return float(whole) if close else 1 / period
