"""`ecgcvx stream`: forecast a signal as it comes, NDJSON out."""

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgcvx.cli.arguments import (
    add_intervals,
    add_learn,
    add_model,
    add_outside,
    coverages_of,
    load_model,
    say_warnings,
)
from ecgcvx.errors import InputError

if TYPE_CHECKING:
    from ecgcvx.anomalies.events import Event
    from ecgcvx.anomalies.stream import EventStream
    from ecgcvx.forecaster import Forecaster
    from ecgcvx.streaming import Step
    from ecgcvx.streaming.adaptation import Adapted
    from ecgcvx.streaming.line import Sample

DESCRIPTION = """\
Forecast a signal sample by sample: samples in mV from standard input, a record or a Lab Streaming Layer, one line of
JSON a sample on standard output.

A line of input is a number, `time,sample` (seconds, mV) or an object with `sample` and, if there is one, `sequence`
(a count) or `time`. An empty sample, nan or null is a gap. A first line of names is passed over. Lines that are none of
these are reported on standard error with their number, counted, and are no samples.

For a model of joined leads a line has a sample of each, in the order in which the model has them (the one that is
forecast last), alone or behind the time; a first line of names puts them in its own order, among other columns. In an
object `sample` is a list in that order, or an object by name. Where a lead is missing, all are. The output shows the
lead that is forecast.

A line of output is an object with time (s), sample, prediction (of the sample `horizon` later), residual (of the
forecast that was due), score, alarm, patterns (numbers of the active neurons), emptied ('missing' or 'jump', where
the window was emptied) and outside (true, where the window lies outside the range of the training windows). null: there
is none. With --intervals also horizon (samples) and intervals: for every coverage, e.g. "0.9", the ends (mV) of the
interval of the prediction. They follow the stream, so that in the long run that share of the samples lies inside; no
statement on a single sample. `ecgcvx monitor` shows the widest where it fell due. With --events also events, where
some were found: objects as `ecgcvx detect --json` has them, 1.5 to 3.5 s after the R peak; what is usual is learned
from the first --learn seconds, anew after --resume.

SIGTERM and Ctrl-C end the run after the samples read, with exit code 130; SIGUSR1 writes the checkpoint, which the end
does as well. The last line on standard error sums up: samples, missing, jumps, malformed lines, alarms, windows
outside, and microseconds a sample."""
EXAMPLES = """\
examples:
  some-device | ecgcvx stream out/208
  ecgcvx stream out/208 --record data/mitdb208/208 --speed 10 | ecgcvx monitor
  ecgcvx stream out/208 --lsl ECG --checkpoint state.safetensors"""
TENTHS = 10_000  # of a microsecond told apart: 1 ms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--record", help="replay a record in place of standard input")
    source.add_argument("--lsl", metavar="NAME", help="name of a Lab Streaming Layer stream")
    parser.add_argument("--lead", help="of the record, by default that of the model")
    parser.add_argument("--start", type=float, help="second of the record to start at")
    parser.add_argument("--end", type=float, help="second of the record to end at")
    parser.add_argument("--speed", type=float, default=1.0, help="times its own (default 1), 0: as fast as it goes")
    parser.add_argument(
        "--channel", metavar="N", help="of the Lab Streaming Layer, from 0 (default 0); of joined leads one each: 1,0"
    )
    parser.add_argument("--rate", type=float, default=1e-4, help="share of the scores that are alarms (default 1e-4)")
    add_outside(parser)
    add_intervals(parser)
    parser.add_argument("--events", action="store_true", help="find beats that are not as usual, see `ecgcvx detect`")
    add_learn(parser, "300")
    parser.add_argument("--checkpoint", type=Path, help="file for the state of the stream")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--adapt", type=float, metavar="SECONDS", help="size the neurons anew every so often")
    parser.add_argument("--memory", type=float, default=300.0, help="of the adaptation, in seconds (default 300)")


def run(options: argparse.Namespace) -> int:
    """Stream until the end."""
    from ecgcvx.files import check_file
    from ecgcvx.records import read_recording
    from ecgcvx.streaming import StreamPredictor
    from ecgcvx.streaming.adaptation import AdaptiveStream
    from ecgcvx.streaming.line import Columns
    from ecgcvx.streaming.source import ClockCheck, Lines, Output, Signals, inlet, replay

    if options.resume and options.intervals:
        raise InputError("intervals: the coverages of a stream that goes on are in its checkpoint; leave them out")
    if options.resume and options.checkpoint is None:
        raise InputError("resume: there is no checkpoint to go on from; give --checkpoint")
    if options.checkpoint is not None:
        check_file(options.checkpoint)
    model = load_model(options)
    if options.resume:
        stream = StreamPredictor.resume(model, options.checkpoint, options.outside)
    else:
        chosen = coverages_of(options, model)
        stream = StreamPredictor(model, rate=options.rate, outside=options.outside, coverages=chosen)
    adaptive = AdaptiveStream(stream, options.memory, options.adapt, drift) if options.adapt is not None else None
    coverages = () if stream.intervals is None else stream.intervals.coverages
    push = stream.push if adaptive is None else adaptive.push
    recording = None
    if options.record is not None:
        recording = read_recording(
            options.record, options.lead or model.lead, options.start, options.end,
            default_unit=model.unit, resample=model.resample, join=model.joined or None,
        )  # fmt: skip
        say_warnings(recording, options.record)
    events = event_stream(options, model)
    signals = Signals()  # from here on they are noted: what comes before ends at once
    lines = Lines(sys.stdin.fileno(), model.sampling_frequency, signals, Columns(model.leads))
    if recording is not None:
        batches = replay(recording, options.speed, model, stream.samples, signals)
    elif options.lsl is not None:
        batches = inlet(options.lsl, channels_of(options.channel, model), model, signals)
    else:
        batches = lines.batches()
    clock = ClockCheck(model.sampling_frequency)
    output, latencies, counts = Output(sys.stdout.fileno(), signals), Latencies(), Counter[str]()
    failed: OSError | None = None
    try:
        for batch in batches:
            written = []
            for sample in batch:
                if clock.see(sample.time):
                    print(f"ecgcvx: {clock.hint}", file=sys.stderr, flush=True)
                begun = time.perf_counter_ns()
                step = push(sample.taken, sample.position)
                latencies.add(time.perf_counter_ns() - begun)
                counts.update(samples=1, alarms=int(step.alarm), outside=int(step.outside))
                if step.emptied:
                    counts["jumps" if step.emptied == "jump" else step.emptied] += 1
                found = () if events is None else pushed(events, step, sample)
                counts.update(events=len(found))
                written.append(line(step, sample, model.sampling_frequency, model.horizon, coverages, found))
            output.write("".join(written))
            if signals.save and options.checkpoint is not None:
                stream.save(options.checkpoint)
            signals.save = False
    except BrokenPipeError:
        # The reader has gone: an end like another. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.descriptor)
    except OSError as error:  # a full disk: the checkpoint is written all the same
        failed = error
    if adaptive is not None:
        adaptive.close()
    if options.checkpoint is not None:
        stream.save(options.checkpoint)
    told: dict[str, object] = {name: counts[name] for name in ("samples", "missing", "jumps", "alarms", "outside")}
    told["malformed"] = lines.malformed
    if stream.intervals is not None:
        held = stream.intervals.held[0].tolist()
        told["inside"] = {f"{coverage:g}": shown(one) for coverage, one in zip(coverages, held, strict=True)}
    if events is not None:
        told["events"] = counts["events"]
    if adaptive is not None:
        told["intervals left out"] = adaptive.skipped
    if signals.stop:
        told["interrupted"] = True
    print(json.dumps(told | {"microseconds": latencies.told()}), file=sys.stderr)
    if failed is not None:
        raise failed
    return 0


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


def channels_of(text: str | None, model: "Forecaster") -> tuple[int, ...]:
    """The channel of every lead of the model; InputError for text that does not name as many."""
    leads = len(model.leads)
    if text is None and leads == 1:
        return (0,)
    parts = [] if text is None else text.split(",")
    if len(parts) == leads and all(part.strip().isascii() and part.strip().isdecimal() for part in parts):
        return tuple(int(part) for part in parts)
    raise InputError(f"channel = {text}: give the number of that of {', '.join(model.leads)}, from 0, commas between")


def event_stream(options: argparse.Namespace, model: "Forecaster") -> "EventStream | None":
    """The search for events, None where none was asked for; InputError for options of it alone."""
    given = {name: value for name in ("learn", "threshold") if (value := getattr(options, name)) is not None}
    if not options.events:
        for name, value in given.items():
            raise InputError(f"{name} = {value:g}: it belongs to events; give --events")
        return None
    from ecgcvx.anomalies.stream import EventStream

    return EventStream(model, **given)


def pushed(events: "EventStream", step: "Step", sample: "Sample") -> "list[Event]":
    """The events found by a sample; where samples are missing before it, it is a gap."""
    return events.push([math.nan if step.emptied == "jump" else sample.value])


def line(
    step: "Step",
    sample: "Sample",
    frequency: float,
    horizon: int,
    coverages: Sequence[float] = (),
    events: "Sequence[Event]" = (),
) -> str:
    """The line of output of a sample."""
    moment = step.number / frequency if sample.time is None else sample.time
    told: dict[str, object] = {
        "time": round(moment, 6), "sample": shown(sample.value), "prediction": shown(step.prediction),
        "residual": shown(step.residual), "score": shown(step.score), "alarm": bool(step.alarm),
        "patterns": step.patterns.nonzero()[0].tolist(),
    }  # fmt: skip
    if coverages:
        told["horizon"] = horizon
        told["intervals"] = {
            f"{coverage:g}": [shown(float(end)) for end in ends]
            for coverage, ends in zip(coverages, step.intervals, strict=True)
        }
    if events:
        from ecgcvx.anomalies.output import event_json

        # On the clock of the source, as it stands now.
        told["events"] = [event_json(event, frequency, moment - step.number / frequency) for event in events]
    if step.emptied:
        told["emptied"] = step.emptied
    if step.outside:
        told["outside"] = True
    return json.dumps(told, allow_nan=False, separators=(",", ":")) + "\n"


def shown(value: float) -> float | None:
    """A number as JSON has it."""
    return value if math.isfinite(value) else None


def drift(adapted: "Adapted") -> None:
    """Log a result of the adaptation, used or not."""
    told = {name: getattr(adapted, name) for name in ("certified", "before", "after", "gap", "samples", "drift")}
    print(json.dumps({"adapted": told}), file=sys.stderr, flush=True)
