"""Where the samples of a stream come from: lines of standard input, a record, or a Lab Streaming Layer.

A line of input is a number, `time,sample` (seconds, mV) or an object with `sample` and, if there is one, `sequence`
(a count) or `time`. An empty sample, nan or null is a gap. A first line of names is passed over. Lines that are none of
these are reported on standard error with their number, counted, and are no samples; so is a last line without its end,
which may be half a number.
"""

import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster

if TYPE_CHECKING:
    from ecgcvx.records import Recording

READ = 1 << 16  # bytes
WRITE = 512  # bytes: what a pipe that select calls writable takes at once, on every system
GRACE = 2.0  # s that a reader who does not read has after SIGTERM
LONGEST = 1 << 16  # bytes of a line
BATCH = 256  # samples of a replay between looks at signals
LSL_WAIT = 0.05  # s
TENTHS = 10_000  # of a microsecond told apart: 1 ms


class Sample(NamedTuple):
    """A sample in mV, NaN in a gap, and where the source says that it is: time (s), position (samples)."""

    value: float
    time: float | None = None
    position: float | None = None


class Signals:
    """What was asked for from outside; a descriptor wakes whoever waits."""

    def __init__(self) -> None:
        self.stop = self.save = False
        self.awake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._note)

    def _note(self, number: int, _: Any) -> None:
        if number == getattr(signal, "SIGUSR1", None):
            self.save = True
        else:
            self.stop = True

    def wait(self, seconds: float | None, *, read: int | None = None) -> bool:
        """Sleep until a signal, the time, or something to read; whether there is something to read."""
        watched = [self.awake] if read is None else [self.awake, read]
        ready = select.select(watched, [], [], seconds)[0]
        if self.awake in ready:
            os.read(self.awake, 512)
        return read in ready


class Output:
    """Whole lines to a descriptor."""

    def __init__(self, descriptor: int, signals: Signals) -> None:
        self.descriptor, self.signals = descriptor, signals

    def write(self, text: str) -> None:
        """Write all of it; BrokenPipeError when the reader has gone, or has not read for a while after a stop."""
        data = memoryview(text.encode())
        waited = 0.0
        while data:
            if not select.select([], [self.descriptor], [], 0.1)[1]:
                waited = waited + 0.1 if self.signals.stop else 0.0
                if waited > GRACE:
                    raise BrokenPipeError
                continue
            data = data[os.write(self.descriptor, data[:WRITE]) :]


class Lines:
    """Samples of the lines of a descriptor; what is malformed is reported and counted."""

    def __init__(self, descriptor: int, frequency: float, signals: Signals) -> None:
        self.descriptor, self.frequency, self.signals = descriptor, frequency, signals
        self.number = self.malformed = 0

    def batches(self) -> Iterator[list[Sample]]:
        """The samples of the lines that there are, until the end or a stop; what waits by then is still read once."""
        rest, stopped = b"", False
        while not stopped:
            stopped = self.signals.stop
            if not self.signals.wait(0.0 if stopped else None, read=self.descriptor):
                yield []
                continue
            data = os.read(self.descriptor, READ)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], b""
            yield [sample for line in lines if (sample := self._sample(line)) is not None]
        if rest:
            self.number += 1
            self._report("has no line end and is not used", rest)

    def _sample(self, line: bytes) -> Sample | None:
        self.number += 1
        text = line.strip()
        if not text:
            return None
        try:
            return parse(text, self.frequency)
        except (ValueError, TypeError, KeyError, RecursionError):
            if self.number > 1 or any(character in b"0123456789{[" for character in text):
                self._report("no sample; give a number, time,sample or an object with a sample", line)
        return None

    def _report(self, why: str, line: bytes) -> None:
        self.malformed += 1
        shown = ascii(line[:60].decode(errors="replace"))
        print(f"line {self.number}: {why}: {shown}", file=sys.stderr, flush=True)


def parse(text: bytes, frequency: float) -> Sample:
    """The sample of a line; ValueError, TypeError or KeyError when it is none."""
    if text[:1] == b"{":
        found = json.loads(text)
        value = math.nan if found["sample"] is None else number(found["sample"])
        moment = None if found.get("time") is None else finite(found["time"])
        if found.get("sequence") is not None:
            return Sample(value, moment, finite(found["sequence"]))
        return Sample(value, moment, None if moment is None else moment * frequency)
    fields = text.split(b",")
    if len(fields) > 2:
        raise ValueError
    value = float(fields[-1]) if fields[-1].strip() else math.nan
    if len(fields) == 1:
        return Sample(value)
    moment = finite(float(fields[0]))
    return Sample(value, moment, moment * frequency)


def number(found: object) -> float:
    """A JSON number as float, no string and no truth value; TypeError otherwise."""
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise TypeError
    return float(found)


def finite(found: object) -> float:
    """The same, finite; ValueError otherwise."""
    value = number(found)
    if not math.isfinite(value):
        raise ValueError
    return value


def replay(
    recording: "Recording", speed: float, model: Forecaster, first: int, signals: Signals
) -> Iterator[list[Sample]]:
    """The samples of a record from the first on, at `speed` times its own, 0: as fast as they are taken."""
    frequency = recording.sampling_frequency
    if abs(frequency - model.sampling_frequency) > 1e-6 * frequency:
        raise InputError(f"{recording.name}: {frequency:g} Hz, the model takes {model.sampling_frequency:g} Hz")
    values, pace = recording.signal.tolist(), frequency * speed
    begun, index = time.perf_counter(), first
    while index < len(values) and not signals.stop:
        stop = index + BATCH
        if pace > 0:
            stop = min(stop, first + 1 + int((time.perf_counter() - begun) * pace))
        stop = min(stop, len(values))
        yield [Sample(values[i], i / frequency, i) for i in range(index, stop)]
        index = stop
        if pace > 0:
            signals.wait(max(begun + (index - first) / pace - time.perf_counter(), 0.0))


def inlet(name: str, channel: int, model: Forecaster, signals: Signals) -> Iterator[list[Sample]]:
    """The samples of a channel of a Lab Streaming Layer, until it ends for good or we are stopped."""
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        raise InputError(f"lsl: {error}; pip install 'ecgcvx[lsl]'") from None
    found: list[Any] = []
    while not found and not signals.stop:
        found = pylsl.resolve_byprop("name", name, timeout=1.0)
    if not found:
        return
    frequency = found[0].nominal_srate()
    if abs(frequency - model.sampling_frequency) > 1e-6 * model.sampling_frequency:
        raise InputError(f"{name}: {frequency:g} Hz, the model takes {model.sampling_frequency:g} Hz")
    if not 0 <= channel < found[0].channel_count():
        raise InputError(f"channel = {channel}: {name} has {found[0].channel_count()}, from 0")
    stream = pylsl.StreamInlet(found[0], processing_flags=pylsl.proc_dejitter)
    while not signals.stop:
        chunk, times = stream.pull_chunk(timeout=LSL_WAIT, max_samples=BATCH)
        yield [
            Sample(float(values[channel]), moment, moment * frequency)
            for values, moment in zip(chunk, times, strict=True)
        ]
