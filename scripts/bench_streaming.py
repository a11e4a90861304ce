"""How fast a stream is, how long it runs, and whether adaptation helps.

speed   Latency of `push` a sample, throughput of `push_chunk`, and 10,000 channels in chunks of .1 s; on one core.
long    Hours of signal as fast as possible: memory and latency at the start and at the end.
adapt   Residuals of a record with and without adaptation, by third of the record and round annotated ectopic beats.

    ecgcvx fit data/mitdb208/208 --beta 1e-4 --gap 1e-2 --max-neurons 60 --output out/60
    python scripts/bench_streaming.py speed out/60 data/mitdb208/208
    python scripts/bench_streaming.py long out/60 data/mitdb208/208 --hours 24
    ecgcvx fit mitdb/100 --end 600 --beta 1e-4 --max-neurons 60 --output out/100
    python scripts/bench_streaming.py adapt out/100 mitdb/100 --memory 60 300 1200
"""

import argparse
import os
import time
from functools import partial
from pathlib import Path

import numpy as np

from ecgcvx.beats import find_beats
from ecgcvx.forecaster import Forecaster
from ecgcvx.model_file import load
from ecgcvx.records import Recording, read_recording
from ecgcvx.streaming import StreamPredictor
from ecgcvx.streaming.adaptation import SizeStatistics
from ecgcvx.types import Array
from harness import machine, parser, timed

SAMPLES = 100_000  # of a latency
CHANNELS, CHUNK_SECONDS = 10_000, 0.1
REPEATS = 5
ADAPT_SECONDS = 10.0
AROUND, MARGIN = 0.15, 2.0  # s on either side of an R peak, and to the ends of the record
ECTOPIC = "AaJSVFE"  # WFDB's symbols


def main() -> None:
    """Parse the command line and run one part on one core."""
    arguments = _parser().parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    model, recording = load(arguments.model), read_recording(arguments.record)
    print(f"{machine()}; {arguments.model}: {model.network.neurons} neurons")
    arguments.run(arguments, model, recording)


def speed(arguments: argparse.Namespace, model: Forecaster, recording: Recording) -> None:
    """Print latency and throughput."""
    signal = recording.signal
    started = time.perf_counter()
    stream = StreamPredictor(model)
    print(f"made in {time.perf_counter() - started:.3f} s, kernels in the cache or compiled")
    print("push, microseconds a sample: " + _told(_latency(stream, signal, SAMPLES)))
    seconds = min(timed(lambda: StreamPredictor(model).push_chunk(signal))[1].wall for _ in range(REPEATS))
    print(f"push_chunk, {len(signal):,} samples: {len(signal) / seconds / 1e6:.2f} million samples/s")
    rate = model.sampling_frequency
    size = round(CHUNK_SECONDS * rate)
    many = StreamPredictor(model, CHANNELS)
    samples = np.stack([np.roll(signal[: 20 * size], k % 997) for k in range(CHANNELS)])
    chunks = [np.ascontiguousarray(samples[:, k * size : (k + 1) * size]) for k in range(20)]
    times = [timed(partial(many.push_chunk, chunk))[1].wall for chunk in chunks]
    print(
        f"{CHANNELS:,} channels of {rate:g} Hz in chunks of {CHUNK_SECONDS} s: median {1e3 * np.median(times):.1f} ms "
        f"a chunk, worst {1e3 * max(times):.1f} ms; {CHUNK_SECONDS / np.median(times):.1f} times real time"
    )


def long(arguments: argparse.Namespace, model: Forecaster, recording: Recording) -> None:
    """Print memory and latency along hours of signal, sample by sample."""
    stream, valid = StreamPredictor(model), recording.signal[np.isfinite(recording.signal)]
    hour = round(3600 * model.sampling_frequency)
    numbers = np.resize(valid, hour).tolist()
    for done in range(1, arguments.hours + 1):
        started = time.perf_counter()
        for sample in numbers[:-SAMPLES]:
            stream.push(sample)
        seconds = time.perf_counter() - started
        latency = _latency(stream, np.array(numbers[-SAMPLES:]), SAMPLES)
        if done in (1, 2, 6, 12, 18, arguments.hours):
            print(
                f"after {done} h: {_resident():.1f} MB, {1e6 * seconds / (hour - SAMPLES):.2f} microseconds a sample; "
                f"the last {SAMPLES:,}: {_told(latency)}",
                flush=True,
            )


def adapt(arguments: argparse.Namespace, model: Forecaster, recording: Recording) -> None:
    """Print the root-mean-square residuals (mV) of each third of the record, and round its ectopic beats."""
    signal = recording.signal
    parts = np.array_split(np.arange(len(signal)), 3)
    if recording.annotation is not None:
        beats = find_beats(recording)
        assert beats is not None
        around, margin = (int(second * model.sampling_frequency) for second in (AROUND, MARGIN))
        inside = (beats.samples > margin) & (beats.samples < len(signal) - margin)
        ectopic = beats.samples[inside & np.isin(beats.symbols, list(ECTOPIC))]
        parts.append((ectopic[:, None] + np.arange(-around, around + 1)).ravel())

    def told(residuals: Array) -> str:
        return ", ".join(f"{np.sqrt(np.nanmean(residuals[part] ** 2)):.5f}" for part in parts)

    print("without adaptation: " + told(StreamPredictor(model).push_chunk(signal).residuals))
    step = round(ADAPT_SECONDS * model.sampling_frequency)
    for memory in arguments.memory:
        stream, statistics, residuals = StreamPredictor(model), SizeStatistics(model, memory), []
        used = tried = 0
        for first in range(0, len(signal), step):
            piece = signal[first : first + step]
            residuals.append(stream.push_chunk(piece).residuals)
            statistics.absorb(piece)
            adapted = statistics.solve()
            tried += adapted is not None
            if adapted is not None and adapted.certified:
                stream.replace(adapted.network)
                used += 1
        print(
            f"memory {memory:g} s, {used} of {tried} certified and used: {told(np.concatenate(residuals))}", flush=True
        )


def _latency(stream: StreamPredictor, signal: Array, count: int) -> Array:
    """Nanoseconds of `count` pushes."""
    out = np.empty(count)
    for k, sample in enumerate(np.resize(signal, count).tolist()):
        started = time.perf_counter_ns()
        stream.push(sample)
        out[k] = time.perf_counter_ns() - started
    return out


def _told(nanoseconds: Array) -> str:
    p50, p99, p999 = np.percentile(nanoseconds, [50, 99, 99.9]) / 1e3
    return f"p50 {p50:.2f}, p99 {p99:.2f}, p99.9 {p999:.2f}, worst {nanoseconds.max() / 1e3:.0f}"


def _resident() -> float:
    """Resident memory in MB now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _parser() -> argparse.ArgumentParser:
    command = parser(__doc__)
    parts = command.add_subparsers(required=True, metavar="PART")
    for name, run in (("speed", speed), ("long", long), ("adapt", adapt)):
        part = parts.add_parser(name, help=run.__doc__)
        part.set_defaults(run=run)
        part.add_argument("model", type=Path, help="output folder of a fit")
        part.add_argument("record", help="record, as `ecgcvx fit` takes it")
        if name == "long":
            part.add_argument("--hours", type=int, default=24)
        if name == "adapt":
            part.add_argument("--memory", type=float, nargs="+", default=[300.0], help="seconds (default 300)")
    return command


if __name__ == "__main__":
    main()
