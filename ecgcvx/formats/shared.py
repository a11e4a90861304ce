"""What every file format shares: what a reader returns, the stretch of time asked for, text of unknown encoding."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import RecordError
from ecgcvx.types import Array

LOWEST, HIGHEST = 1.0, 1e5  # Hz: no ECG is sampled outside


class Rhythm(NamedTuple):
    """A stretch of a rhythm as annotators mark it, from sample `start` to `stop` (exclusive): `VFIB`, `N`, ..."""

    start: int
    stop: int
    name: str


class Marks(NamedTuple):
    """An annotation file: samples (k,) from the start of what was read, WFDB symbols, stretches of rhythm."""

    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    rhythms: tuple[Rhythm, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader returns of one lead.

    signal : (n,) in `unit`, NaN where there is no sample. sampling_frequency : Hz. lead : its name, or its number.
    unit : as the file names it, "" where it names none. others : numbers of the other ECG leads, when this one was
    taken without having been asked for. notes : what the user should know of how the file was read.
    """

    signal: Array
    sampling_frequency: float
    lead: str
    unit: str
    annotation: Marks | None = None
    others: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def check_frequency(frequency: float, source: str, cure: str) -> None:
    """Refuse a sampling frequency in Hz that no ECG has; RecordError."""
    if not LOWEST <= frequency <= HIGHEST:
        raise RecordError(f"{source}: sampled at {frequency:.4g} Hz, which no ECG is; {cure}")


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
