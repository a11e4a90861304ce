"""The signals of a data set that train one network: which of their windows train and test, held or read anew."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from ecgcvx.dataset.options import DatasetOptions, Reading
from ecgcvx.dataset.rows import record_pieces
from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.fit_options import FitOptions
from ecgcvx.records import Recording
from ecgcvx.reductions import Engine, LocalEngine, Rows, held
from ecgcvx.types import Progress
from ecgcvx.windows import Scaler, WindowCounts, Windows, all_windows, split_windows


@dataclass(frozen=True, eq=False)
class Signal:
    """A recording with its windows to train on and to test on, all standardised by `scaler`."""

    recording: Recording
    train: Windows
    test: Windows
    scaler: Scaler
    counts: WindowCounts


@dataclass(frozen=True, eq=False)
class Part:
    """One signal of a data set: what is known of it without its samples, and these where they are held in memory."""

    source: str
    lead: str | int | None
    reading: Reading
    fit: FitOptions
    evaluate: str
    name: str
    lead_name: str
    sampling_frequency: float
    scaler: Scaler
    counts: WindowCounts
    pieces: Sequence[Rows]
    held: Signal | None
    joined: tuple[str, ...] = ()

    def read(self) -> Signal:
        """Return the signal, from memory or from its record."""
        return self.held or _signal(self.source, self.lead, self.reading, self.fit, self.evaluate)


def make_part(source: str, lead: str | int | None, options: DatasetOptions) -> Part:
    """Read a signal once and return its part; it stays in memory where the engine is 'memory'.

    Raises EcgcvxError for a record that cannot be used.
    """
    fit, reading = options.fit, options.reading
    found = _signal(source, lead, reading, fit, options.evaluate)
    recording, frequency = found.recording, found.recording.sampling_frequency
    keep = options.engine == "memory"
    chosen = recording.lead if lead is None else lead
    pieces: Sequence[Rows] = (
        held(found.train.X, found.train.y) if keep
        else record_pieces(source, chosen, reading, found.train, found.scaler, frequency)
    )  # fmt: skip
    return Part(
        source, lead, reading, fit, options.evaluate, recording.name, recording.lead, frequency, found.scaler,
        found.counts, pieces, found if keep else None, tuple(one.name for one in recording.joined),
    )  # fmt: skip


def read_parts(
    signals: Sequence[tuple[str, str | int | None]], options: DatasetOptions, progress: Progress
) -> Iterator[Part | EcgcvxError]:
    """Yield the part of each signal, of a source and a lead, or why it cannot be used.

    Raises InputError for the first that cannot, where the options are strict.
    """
    for number, (source, lead) in enumerate(signals):
        progress(f"reading record {number + 1} of {len(signals)}", number / len(signals))
        try:
            yield make_part(source, lead, options)
        except EcgcvxError as error:
            if options.strict:
                raise InputError(f"{error} (strict)") from error
            yield error


def make_engine(options: DatasetOptions) -> AbstractContextManager[Engine]:
    """Return the engine of a data set: threads of this process, or the workers of a Dask cluster."""
    if options.engine == "dask":
        from ecgcvx.cores import usable_cores
        from ecgcvx.reductions.cluster import dask_engine

        return dask_engine(options.cluster, options.jobs or usable_cores())
    return nullcontext(LocalEngine(options.jobs))


def _signal(source: str, lead: str | int | None, reading: Reading, fit: FitOptions, evaluate: str) -> Signal:
    recording = reading.read(source, lead)
    fit.network.check_joined(len(recording.joined))
    if evaluate == "pooled":
        split = split_windows(recording.signals, fit.window, fit.horizon, fit.train_fraction)
        return Signal(recording, split.train, split.test, split.scaler, split.counts)
    signals = recording.signals
    scaler = Scaler.of(signals[..., np.isfinite(signals).reshape(-1, signals.shape[-1]).all(axis=0)], "all of it")
    windows = all_windows(signals, scaler, fit.window, fit.horizon)
    possible = max(len(recording.signal) - fit.window - fit.horizon + 1, 0)
    counts = WindowCounts(len(windows), len(windows), missing=possible - len(windows), split=0)
    return Signal(recording, windows, windows, scaler, counts)


def check_alike(parts: Sequence[Part]) -> None:
    """Raise InputError for signals of several sampling frequencies, or with different joined leads."""
    rates = {part.sampling_frequency for part in parts}
    if len(rates) > 1:
        listed = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise InputError(f"records: sampled at {listed} Hz; pass resample (--resample HZ) to bring them to one rate")
    for part in parts[1:]:
        if part.joined != parts[0].joined:
            first, other = (f"{one.name} joins {', '.join(one.joined)}" for one in (parts[0], part))
            raise InputError(f"leads: {first} but {other}; name leads that all records have (--leads A,B --join)")
