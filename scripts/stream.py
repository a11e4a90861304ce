"""Forecast a signal as it comes: samples in mV from standard input, a record or a Lab Streaming Layer; NDJSON out.

    some-device | python scripts/stream.py out/208
    python scripts/stream.py out/208 --record data/mitdb208/208 --speed 10 | python scripts/monitor.py
    python scripts/stream.py out/208 --lsl ECG --checkpoint state.safetensors

A line of input is a number, `time,sample` (seconds, mV) or an object with `sample` and, if there is one, `sequence`
(a count) or `time`. An empty sample, nan or null is a gap. A first line of names is passed over. Lines that are none of
these are reported on standard error with their number, counted, and are no samples; so is a last line without its end,
which may be half a number.

A line of output is an object with time (s), sample, prediction (of the sample `horizon` later), residual (of the
forecast that was due), score, alarm, patterns (numbers of the active neurons) and emptied ('gap' or 'jump', where the
window was emptied). null: there is none. Lines are written whole and at once; where their reader is slow, so are we.

SIGTERM and Ctrl-C end the run after the samples read, SIGUSR1 writes the checkpoint, which the end does as well. The
last line on standard error sums up: samples, gaps, jumps, malformed lines, alarms, and microseconds a sample.
"""

import argparse
import json
import math
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ecgcvx.errors import EcgcvxError, InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.model_file import load
from ecgcvx.streaming import Step, StreamPredictor
from ecgcvx.streaming.adaptation import Adapted, AdaptiveStream

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


def replay(options: argparse.Namespace, model: Forecaster, first: int, signals: Signals) -> Iterator[list[Sample]]:
    """The samples of a record from the first on, at --speed times its own, 0: as fast as they are taken."""
    from ecgcvx.records import read_recording

    recording = read_recording(options.record, options.lead or model.lead, options.start, options.end)
    frequency = recording.sampling_frequency
    if abs(frequency - model.sampling_frequency) > 1e-6 * frequency:
        raise InputError(f"{options.record}: {frequency:g} Hz, the model takes {model.sampling_frequency:g} Hz")
    values, pace = recording.signal.tolist(), frequency * options.speed
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


def inlet(options: argparse.Namespace, model: Forecaster, signals: Signals) -> Iterator[list[Sample]]:
    """The samples of a channel of a Lab Streaming Layer, until it ends for good or we are stopped."""
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        raise InputError(f"lsl: {error}; pip install 'ecgcvx[lsl]'") from None
    found: list[Any] = []
    while not found and not signals.stop:
        found = pylsl.resolve_byprop("name", options.lsl, timeout=1.0)
    if not found:
        return
    frequency = found[0].nominal_srate()
    if abs(frequency - model.sampling_frequency) > 1e-6 * model.sampling_frequency:
        raise InputError(f"{options.lsl}: {frequency:g} Hz, the model takes {model.sampling_frequency:g} Hz")
    if not 0 <= options.channel < found[0].channel_count():
        raise InputError(f"channel = {options.channel}: {options.lsl} has {found[0].channel_count()}, from 0")
    stream = pylsl.StreamInlet(found[0], processing_flags=pylsl.proc_dejitter)
    while not signals.stop:
        chunk, times = stream.pull_chunk(timeout=LSL_WAIT, max_samples=BATCH)
        yield [
            Sample(float(values[options.channel]), moment, moment * frequency)
            for values, moment in zip(chunk, times, strict=True)
        ]


class Latencies:
    """Counts of the time that a sample took, in tenths of a microsecond: of a fixed size, for any run."""

    def __init__(self) -> None:
        self.counts, self.longest = [0] * (TENTHS + 1), 0

    def add(self, nanoseconds: int) -> None:
        """Count one."""
        self.counts[min(nanoseconds // 100, TENTHS)] += 1
        self.longest = max(self.longest, nanoseconds)

    def told(self) -> dict[str, float]:
        """Percentiles and maximum in microseconds; beyond a millisecond, the maximum."""
        total, found, below = sum(self.counts), {}, 0
        shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
        for tenth, count in enumerate(self.counts):
            below += count
            for name, share in shares.items():
                if name not in found and total and below >= share * total:
                    found[name] = (tenth + 1) / 10 if tenth < TENTHS else self.longest / 1e3
        return found | {"max": self.longest / 1e3}


def line(step: Step, sample: Sample, frequency: float) -> str:
    """The line of output of a sample."""
    moment = step.number / frequency if sample.time is None else sample.time
    told = {
        "time": round(moment, 6), "sample": shown(sample.value), "prediction": shown(step.prediction),
        "residual": shown(step.residual), "score": shown(step.score), "alarm": bool(step.alarm),
        "patterns": step.patterns.nonzero()[0].tolist(),
    }  # fmt: skip
    if step.emptied:
        told["emptied"] = step.emptied
    return json.dumps(told, allow_nan=False, separators=(",", ":")) + "\n"


def shown(value: float) -> float | None:
    """A number as JSON has it."""
    return value if math.isfinite(value) else None


def drift(adapted: Adapted) -> None:
    """Log a result of the adaptation, used or not."""
    told = {name: getattr(adapted, name) for name in ("certified", "before", "after", "gap", "samples", "drift")}
    print(json.dumps({"adapted": told}), file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> None:
    """Stream until the end."""
    model = load(options.model)
    signals = Signals()
    if options.resume:
        stream = StreamPredictor.resume(model, options.checkpoint)
    else:
        stream = StreamPredictor(model, rate=options.rate)
    adaptive = AdaptiveStream(stream, options.memory, options.adapt, drift) if options.adapt is not None else None
    push = stream.push if adaptive is None else adaptive.push
    lines = Lines(sys.stdin.fileno(), model.sampling_frequency, signals)
    if options.record is not None:
        batches = replay(options, model, stream.samples, signals)
    elif options.lsl is not None:
        batches = inlet(options, model, signals)
    else:
        batches = lines.batches()
    output, latencies, counts = Output(sys.stdout.fileno(), signals), Latencies(), Counter[str]()
    try:
        for batch in batches:
            written = []
            for sample in batch:
                begun = time.perf_counter_ns()
                step = push(sample.value, sample.position)
                latencies.add(time.perf_counter_ns() - begun)
                counts.update(samples=1, alarms=int(step.alarm))
                if step.emptied:
                    counts[f"{step.emptied}s"] += 1
                written.append(line(step, sample, model.sampling_frequency))
            output.write("".join(written))
            if signals.save and options.checkpoint is not None:
                stream.save(options.checkpoint)
            signals.save = False
    except BrokenPipeError:
        # The reader has gone: an end like another. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.descriptor)
    if adaptive is not None:
        adaptive.close()
    if options.checkpoint is not None:
        stream.save(options.checkpoint)
    told = {name: counts[name] for name in ("samples", "gaps", "jumps", "alarms")} | {"malformed": lines.malformed}
    if adaptive is not None:
        told["intervals left out"] = adaptive.skipped
    print(json.dumps(told | {"microseconds": latencies.told()}), file=sys.stderr)


def main() -> int:
    """Parse, run; 2 for what is refused, in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="output folder of `ecgcvx fit`, or its model file")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--record", help="replay a record in place of standard input")
    source.add_argument("--lsl", metavar="NAME", help="name of a Lab Streaming Layer stream")
    parser.add_argument("--lead", help="of the record, by default that of the model")
    parser.add_argument("--start", type=float, help="second of the record to start at")
    parser.add_argument("--end", type=float, help="second of the record to end at")
    parser.add_argument("--speed", type=float, default=1.0, help="times its own (default 1), 0: as fast as it goes")
    parser.add_argument("--channel", type=int, default=0, help="of the Lab Streaming Layer, from 0 (default 0)")
    parser.add_argument("--rate", type=float, default=1e-4, help="share of the scores that are alarms (default 1e-4)")
    parser.add_argument("--checkpoint", type=Path, help="file for the state of the stream")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--adapt", type=float, metavar="SECONDS", help="size the neurons anew every so often")
    parser.add_argument("--memory", type=float, default=300.0, help="of the adaptation, in seconds (default 300)")
    options = parser.parse_args()
    try:
        if options.resume and options.checkpoint is None:
            raise InputError("resume: there is no checkpoint to go on from; give --checkpoint")
        run(options)
    except EcgcvxError as error:
        print(f"stream: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
