"""Artificial gaps of 1 to 30 samples, filled: local signal-to-noise ratio by length beside what is usually taken.

run     Cut 3,700 gaps into the last fifth of every record and store how each method fills them.
table   Print what is stored.

Usage: python scripts/bench_fill.py run FOLDER_OF_RECORDS
       python scripts/bench_fill.py table

The first 80 % of a record train; each gap is filled on its own, from 32 samples on each side. The ratio of a record and
length is 10 log10 of the energy of the samples removed, about the mean of the stretch of 64 samples around and the gap,
over that of the errors, both summed over the gaps of that length.

persistence       the last sample before the gap
linear, cubic     interpolation, the spline through 4 samples on each side
AR                an autoregression of order 32 by Burg's method on the training part, forward and backward, joined
                  linearly over the gap
ecgcvx            `ecgcvx.filling`: linear least squares given both sides, in groups of their level

QRS: gaps that touch -60 to 80 ms around an R peak of the reference annotation.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ecgcvx.beats import QRS_END_MS, QRS_START_MS, find_beats
from ecgcvx.filling import CONTEXT, LONGEST, gap_estimator
from ecgcvx.records import read_recording
from ecgcvx.types import Array
from harness import ROOT, append_line, machine, parser, stored_lines, table, timed

GAPS, TRAINED, COVERAGE = 3700, 0.8, 0.9
INTERVALS = (2, 10, 25)  # lengths whose intervals are looked at
RESULTS = ROOT / "out" / "bench_fill" / "results.jsonl"
METHODS = ("persistence", "linear", "cubic", "AR", "ecgcvx")
SHOWN = (1, 2, 3, 5, 8, 10, 15, 20, 25, 30)


def main() -> None:
    """Parse the command line and run one part."""
    command = parser(__doc__)
    parts = command.add_subparsers(required=True, metavar="PART")
    runs = parts.add_parser("run", help=run_records.__doc__)
    runs.add_argument("folder", type=Path)
    runs.set_defaults(run=run_records)
    parts.add_parser("table", help=print_table.__doc__).set_defaults(run=print_table)
    arguments = command.parse_args()
    arguments.run(arguments)


def run_records(arguments: argparse.Namespace) -> None:
    """Run what is not stored yet."""
    stored = {line["record"] for line in stored_lines(RESULTS)}
    for header in sorted(arguments.folder.glob("*.hea")):
        if header.stem not in stored:
            append_line(RESULTS, {"record": header.stem} | evaluate(header.with_suffix("")))


def burg(x: Array, order: int) -> Array:
    """The coefficients (order,) of x_t = sum_k c_k x_{t-k} by Burg's method."""
    forward, backward, a = x[1:].copy(), x[:-1].copy(), np.ones(1)
    for _ in range(order):
        k = -2 * float(forward @ backward) / float(forward @ forward + backward @ backward)
        a = np.append(a, 0.0) + k * np.append(a, 0.0)[::-1]
        forward, backward = (forward + k * backward)[1:], (backward + k * forward)[:-1]
    return -a[1:]


def ahead(coefficients: Array, past: Array, length: int) -> Array:
    """Forecasts (n, length) after the samples past (n, p)."""
    newest, made = past[:, ::-1].copy(), np.empty((len(past), length))
    for j in range(length):
        made[:, j] = newest @ coefficients
        newest = np.c_[made[:, j], newest[:, :-1]]
    return made


def evaluate(path: Path) -> dict[str, Any]:
    """Energies of signal and errors of every method by length, in QRS and elsewhere, coverage, and CPU seconds."""
    recording = read_recording(path)
    signal, rate = recording.signal, recording.sampling_frequency
    boundary = int(TRAINED * len(signal))
    estimator = gap_estimator(signal[:boundary], LONGEST)
    _, seconds = timed(lambda: estimator.weights(CONTEXT, LONGEST, CONTEXT))
    mean = float(signal[:boundary].mean())
    coefficients = burg(signal[:boundary] - mean, CONTEXT)
    beats = find_beats(recording)
    inside = np.zeros(len(signal), dtype=bool)
    for peak in () if beats is None else beats.samples:
        inside[max(peak + round(QRS_START_MS * rate / 1e3), 0) : peak + round(QRS_END_MS * rate / 1e3) + 1] = True
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, LONGEST + 1, GAPS)
    energies: dict[str, Any] = {}
    covered, judged = 0, 0
    for length in range(1, LONGEST + 1):
        span = 2 * CONTEXT + length
        starts = rng.integers(boundary, len(signal) - span, int((lengths == length).sum()))
        stretches = sliding_window_view(signal, span)[starts]
        before, gap, after = np.split(stretches, [CONTEXT, CONTEXT + length], axis=1)
        made = filled(before, length, after, mean, coefficients) | {"ecgcvx": estimator.estimate(before, length, after)}
        qrs = sliding_window_view(inside, length)[starts + CONTEXT].any(axis=1)
        power = ((gap - stretches.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        errors = {name: ((gap - guess) ** 2).sum(axis=1) for name, guess in made.items()}
        energies[str(length)] = {
            part: {"signal": float(power[of].sum()), **{name: float(error[of].sum()) for name, error in errors.items()}}
            for part, of in (("all", qrs | True), ("QRS", qrs), ("elsewhere", ~qrs))
        }
        if length in INTERVALS:
            lower, upper = estimator.interval(before, length, after, COVERAGE)
            covered += int(((gap >= lower) & (gap <= upper)).sum())
            judged += gap.size
    return {"energies": energies, "coverage": covered / judged, "seconds": seconds.cpu}


def filled(before: Array, length: int, after: Array, mean: float, coefficients: Array) -> dict[str, Array]:
    """What the other methods fill in, (n, length)."""
    share = np.arange(1, length + 1) / (length + 1)
    times = np.r_[np.arange(-4, 0), np.arange(length, length + 4)]
    spline = CubicSpline(times, np.c_[before[:, -4:], after[:, :4]], axis=1)
    forward = ahead(coefficients, before - mean, length)
    backward = ahead(coefficients, after[:, ::-1] - mean, length)[:, ::-1]
    return {
        "persistence": np.repeat(before[:, -1:], length, axis=1),
        "linear": before[:, -1:] * (1 - share) + after[:, :1] * share,
        "cubic": spline(np.arange(length)),
        "AR": mean + forward * (1 - share) + backward * share,
    }


def ratios(found: list[dict[str, Any]], length: int, part: str) -> dict[str, NDArray[np.float64]]:
    """Ratios in dB of every method, a record each; records without such a gap left out."""
    own = [line["energies"][str(length)][part] for line in found]
    own = [one for one in own if one["signal"] > 0]
    return {name: np.array([10 * np.log10(one["signal"] / one[name]) for one in own]) for name in METHODS}


def print_table(arguments: argparse.Namespace) -> None:
    """Print the medians over records by length, and how often ecgcvx is ahead."""
    found = stored_lines(RESULTS)
    print(f"{len(found)} records; {machine()}\n")
    for part in ("all", "QRS", "elsewhere"):
        rows = []
        for length in SHOWN:
            own = ratios(found, length, part)
            better = int((own["ecgcvx"] > own["AR"]).sum())
            medians = [f"{np.median(own[name]):.1f}" for name in METHODS]
            rows.append([str(length), *medians, f"{better} of {len(own['AR'])}"])
        print(f"### {part}: ratio in dB, median over records\n")
        print(table(["samples", *METHODS, "records ahead of AR"], rows) + "\n")
    behind = []
    for length in range(1, LONGEST + 1):
        own = ratios(found, length, "all")
        best = max(METHODS[:-1], key=lambda name: float(np.median(own[name])))
        if np.median(own["ecgcvx"]) <= np.median(own[best]):
            behind.append(f"{length} ({best})")
    print(f"lengths at which the median is not above that of every other method: {', '.join(behind) or 'none'}")
    coverage = np.array([line["coverage"] for line in found])
    low, high = coverage.min(), coverage.max()
    print(f"coverage of the 90 % intervals: median {np.median(coverage):.3f}, {low:.3f} to {high:.3f}")
    print(f"weights of a length: median {np.median([line['seconds'] for line in found]):.2f} CPU s")


if __name__ == "__main__":
    main()
