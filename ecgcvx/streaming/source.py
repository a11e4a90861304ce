"""Where the samples of a stream come from: lines of standard input, a record, or a Lab Streaming Layer.

A line of input is a number, `time,sample` (seconds, mV) or an object with `sample` and, if there is one, `sequence`
(a count) or `time`; of joined leads it holds a sample of each (`ecgcvx.streaming.line`). An empty sample, nan, null and
the other spellings that tables have for what is missing are gaps. A first line of names is passed over. Lines that are
none of these are reported on standard error with their number, counted, and are no samples; so is a last line without
its end, which may be half a number.
"""

import codecs
import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.interruption import note
from ecgcvx.streaming.line import ONE, Columns, LineError, Sample, named, parse
from ecgcvx.text import clean

if TYPE_CHECKING:
    from ecgcvx.records import Recording

READ = 1 << 16  # bytes
WRITE = 512  # bytes: what a pipe that select calls writable takes at once, on every system
GRACE = 2.0  # s that a reader who does not read has after SIGTERM
LONGEST = 1 << 16  # bytes of a line
BATCH = 256  # samples of a replay between looks at signals
LSL_WAIT = 0.05  # s
LSL_LIMIT = 30.0  # s to look for an outlet
CLOCK_SAMPLES = 50  # whose steps are compared with the sampling frequency
CLOCK_TOLERANCE = 0.02
TENTHS = 10_000  # of a microsecond distinguished: 1 ms


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
            note()

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
    """Samples of the lines of a descriptor; what is malformed is reported and counted, and never ends the reader.

    A line of names that does not go with the joined leads of `columns` raises InputError.
    """

    def __init__(self, descriptor: int, frequency: float, signals: Signals, columns: Columns = ONE) -> None:
        self.descriptor, self.frequency, self.signals, self.columns = descriptor, frequency, signals, columns
        self._begun = len(columns.leads) == 1  # names are looked for until then
        self.number = self.malformed = 0
        self._position: float | None = None

    def batches(self) -> Iterator[list[Sample]]:
        """The samples of the lines that there are, until the end or a stop; what waits by then is still read once."""
        rest, stopped, skipping = b"", False, False
        while not stopped:
            stopped = self.signals.stop
            if not self.signals.wait(0.0 if stopped else None, read=self.descriptor):
                yield []
                continue
            data = os.read(self.descriptor, READ)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            if skipping and lines:  # the end of a line that was too long
                lines, skipping = lines[1:], False
            if len(rest) > LONGEST:
                if not skipping:
                    self.number += 1
                    self._report(f"is longer than {LONGEST:,} bytes and is not used", rest)
                rest, skipping = b"", True
            yield [sample for line in lines if (sample := self._sample(line)) is not None]
        if rest and not skipping:
            self.number += 1
            self._report("has no line end and is not used", rest)

    def _sample(self, line: bytes) -> Sample | None:
        self.number += 1
        if len(line) > LONGEST:
            self._report(f"is longer than {LONGEST:,} bytes and is not used", line)
            return None
        text = (line.removeprefix(codecs.BOM_UTF8) if self.number == 1 else line).strip()
        if not text:
            return None
        if not self._begun and (found := named(text, self.columns)) is not None:
            self.columns, self._begun = found, True
            return None
        try:
            sample = parse(text, self.frequency, self._position, self.columns)
        except LineError as error:
            self._report(str(error), line)
            return None
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            if self.number > 1 or any(character in b"0123456789{[" for character in text):
                self._report(f"no sample; give {self._usual} or an object with a sample", line)
            return None
        self._position, self._begun = sample.position, True
        return sample

    @property
    def _usual(self) -> str:
        return f"a number, {self.columns.wanted}" if len(self.columns.leads) == 1 else self.columns.wanted

    def _report(self, why: str, line: bytes) -> None:
        self.malformed += 1
        shown = ascii(line[:60].decode(errors="replace"))
        print(f"line {self.number}: {why}: {shown}", file=sys.stderr, flush=True)


class ClockCheck:
    """Compares the times of a stream with a sampling frequency, and says once when they do not go together."""

    def __init__(self, frequency: float) -> None:
        self._frequency = frequency
        self._steps: list[float] = []
        self._last: float | None = None
        self.hint: str | None = None

    def see(self, moment: float | None) -> bool:
        """Take the time of a sample in seconds; whether a hint has just become ready."""
        if moment is None or self.hint is not None or len(self._steps) >= CLOCK_SAMPLES:
            return False
        if self._last is not None:
            self._steps.append(moment - self._last)
        self._last = moment
        if len(self._steps) < CLOCK_SAMPLES:
            return False
        step = sorted(self._steps)[CLOCK_SAMPLES // 2]
        rate = 1.0 / step if step > 0 else math.inf
        if abs(rate - self._frequency) <= CLOCK_TOLERANCE * self._frequency:
            return False
        self.hint = f"times are {step:g} apart, the model takes {self._frequency:g} Hz ({1 / self._frequency:.4g} s)"
        for unit, factor in (("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
            if step > 0 and abs(factor * step * self._frequency - 1) <= 0.3:
                self.hint += f"; are they in {unit}? give seconds"
        return True


def replay(
    recording: "Recording", speed: float, model: Forecaster, first: int, signals: Signals
) -> Iterator[list[Sample]]:
    """The samples of a record from the first on, at `speed` times its own, 0: as fast as they are taken."""
    frequency = recording.sampling_frequency
    if abs(frequency - model.sampling_frequency) > 1e-6 * frequency:
        raise InputError(f"{recording.name}: {frequency:g} Hz, the model takes {model.sampling_frequency:g} Hz")
    model.check_leads(recording)
    leads, pace = np.atleast_2d(recording.signals), frequency * speed
    begun, index, count = time.perf_counter(), first, leads.shape[1]
    while index < count and not signals.stop:
        stop = index + BATCH
        if pace > 0:
            stop = min(stop, first + 1 + int((time.perf_counter() - begun) * pace))
        stop = min(stop, count)
        rows = leads[:, index:stop].T.tolist()
        yield [Sample(own, i / frequency, i, tuple(others)) for i, (*others, own) in enumerate(rows, index)]
        index = stop
        if pace > 0:
            signals.wait(max(begun + (index - first) / pace - time.perf_counter(), 0.0))


def inlet(name: str, channels: Sequence[int], model: Forecaster, signals: Signals) -> Iterator[list[Sample]]:
    """The samples of channels of a Lab Streaming Layer, one a lead, until it ends for good or we are stopped."""
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        raise InputError(f"lsl: {error}; pip install 'ecgcvx[lsl]'") from None
    found: list[Any] = []
    until = time.monotonic() + LSL_LIMIT
    print(f"looking for a Lab Streaming Layer outlet named {clean(name)}", file=sys.stderr, flush=True)
    while not found and not signals.stop:
        if time.monotonic() > until:
            raise InputError(f"lsl = {name!r}: no outlet of that name in {LSL_LIMIT:g} s; start it, or name another")
        found = pylsl.resolve_byprop("name", name, timeout=1.0)
    if not found:
        return
    frequency = found[0].nominal_srate()
    if abs(frequency - model.sampling_frequency) > 1e-6 * model.sampling_frequency:
        raise InputError(f"{name}: {frequency:g} Hz, the model takes {model.sampling_frequency:g} Hz")
    for channel in channels:
        if not 0 <= channel < found[0].channel_count():
            raise InputError(f"channel = {channel}: {name} has {found[0].channel_count()}, from 0")
    stream = pylsl.StreamInlet(found[0], processing_flags=pylsl.proc_dejitter)
    while not signals.stop:
        chunk, times = stream.pull_chunk(timeout=LSL_WAIT, max_samples=BATCH)
        yield [
            Sample(own, moment, moment * frequency, tuple(others))
            for values, moment in zip(chunk, times, strict=True)
            for *others, own in ([float(values[channel]) for channel in channels],)
        ]
