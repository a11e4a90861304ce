"""Pieces of a data set's rows that are read from the records when they are needed, in this process or another."""

from collections.abc import Iterator
from dataclasses import dataclass

from ecgcvx.dataset.options import Reading
from ecgcvx.errors import InputError
from ecgcvx.records import read_recording
from ecgcvx.reductions.interface import BLOCK, PIECE
from ecgcvx.types import Array
from ecgcvx.windows import Scaler, Windows

Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class RecordRows:
    """Windows of one signal: the runs of their starts, in samples of the record; see `Windows`.

    source, lead, reading : as `read_recording` takes them. samples, sampling_frequency : of the signal, in Hz.
    stretch : first and last (exclusive) sample that is read, None for all of them.

    Raises InputError, when it is read, for a record that has changed.
    """

    source: str
    lead: str | int | None
    reading: Reading
    scaler: Scaler
    runs: Runs
    length: int
    horizon: int
    samples: int
    sampling_frequency: float
    stretch: tuple[int, int] | None

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """Yield X (rows, d) and y (rows,), standardised, of the windows in order."""
        windows = self._windows()
        for first in range(0, len(windows), BLOCK):
            rows = slice(first, first + BLOCK)
            yield windows.X[rows], windows.y[rows]

    def _windows(self) -> Windows:
        given, runs, samples = self.reading.arguments(), self.runs, self.samples
        if self.stretch is not None:
            first, last = self.stretch
            begin = given["start"] or 0.0
            given |= {"start": begin + first / self.sampling_frequency, "end": begin + last / self.sampling_frequency}
            runs, samples = tuple((a - first, b - first) for a, b in runs), last - first
        signal = read_recording(self.source, self.lead, **given).signals
        if signal.shape[-1] != samples:
            raise InputError(
                f"{self.source}: {signal.shape[-1]:,} samples where {samples:,} were; it changed, start again"
            )
        return Windows(self.scaler.standardise(signal), runs, self.length, self.horizon)


def record_pieces(
    source: str, lead: str | int | None, reading: Reading, windows: Windows, scaler: Scaler, sampling_frequency: float
) -> list[RecordRows]:
    """Return the windows of a signal in pieces; of a long record each reads a stretch alone, unless it is resampled."""
    pieces, n, ahead = [], len(windows), windows.length - 1 + windows.horizon
    for first in range(0, n, PIECE):
        runs = cut_runs(windows.runs, first, min(first + PIECE, n))
        stretch = (runs[0][0], runs[-1][1] + ahead) if n > PIECE and reading.resample is None else None
        pieces.append(
            RecordRows(source, lead, reading, scaler, runs, windows.length, windows.horizon,
                       windows.signal.shape[-1], sampling_frequency, stretch)
        )  # fmt: skip
    return pieces


def cut_runs(runs: Runs, first: int, last: int) -> Runs:
    """Return the runs of the windows of numbers first to last (exclusive)."""
    cut, at = [], 0
    for start, stop in runs:
        low, high = max(first - at, 0), min(last - at, stop - start)
        if low < high:
            cut.append((start + low, start + high))
        at += stop - start
    return tuple(cut)
