"""Times written as clock times, perhaps with a date: 0:00.004, 12:00:00.004, 2024-03-01T12:00:00.004Z."""

import datetime
import re
from collections.abc import Sequence

import numpy as np

from ecgcvx.types import Array

_FORM = re.compile(
    r"[\[\s'\"]*(?:(?P<date>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})[T\s,]+)?"
    r"(?:(?P<hour>\d{1,4}):)?(?P<minute>\d{1,6}):(?P<second>\d{1,2}(?:[.,:]\d{1,12})?)"
    r"\s*(?P<half>[ap]\.?m\.?)?\s*(?P<zone>Z|UTC|[+-]\d\d:?\d\d)?"
    r"(?:\s+(?P<after>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}))?[\]\s'\"]*",
    re.ASCII | re.IGNORECASE,
)
DAY = 86400.0


def is_clock(cell: str) -> bool:
    """Tell whether a cell is a clock time."""
    return _FORM.fullmatch(cell) is not None


class ClockText:
    """Turns clock times, handed over in order, into seconds since the first one's day began.

    Dates count where they begin with the year; otherwise, and without a date, a time that goes back by more than half
    a day belongs to the next one.
    """

    def __init__(self) -> None:
        self._first_day: int | None = None
        self._last = -np.inf
        self._days = 0

    def seconds(self, cells: Sequence[str]) -> Array:
        """Return times (n,) in s; NaN for what is none."""
        out = np.full(len(cells), np.nan)
        for i, cell in enumerate(cells):
            match = _FORM.fullmatch(cell)
            if match is not None:
                out[i] = self._one(match)
        return out

    def _one(self, match: re.Match[str]) -> float:
        hour = int(match["hour"] or 0)
        if match["half"]:
            hour = hour % 12 + 12 * (match["half"][0] in "pP")
        # Two colons or one in front of the milliseconds: 12:00:00:004.
        time = 3600.0 * hour + 60.0 * int(match["minute"]) + float(re.sub("[,:]", ".", match["second"]))
        day = _day(match["date"] or match["after"] or "")
        if day is not None:
            self._first_day = day if self._first_day is None else self._first_day
            return time + DAY * (day - self._first_day)
        if time + DAY * self._days < self._last - DAY / 2:
            self._days += 1
        self._last = time + DAY * self._days
        return self._last


def _day(date: str) -> int | None:
    """Number of the day of a date that begins with its year."""
    parts = [int(part) for part in re.split(r"[-/.]", date) if part]
    if len(parts) != 3 or parts[0] < 1000:
        return None
    try:
        return datetime.date(*parts).toordinal()
    except ValueError:
        return None
