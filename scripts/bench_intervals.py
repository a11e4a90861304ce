"""Prediction intervals on whole records: coverage, width and Winkler score beside plain split conformal and a Gaussian.

run     Train a polynomial network a record and horizon, and store how its 90 % intervals do on the test part.
table   Print what is stored.

Usage: python scripts/bench_intervals.py run FOLDER_OF_RECORDS
       python scripts/bench_intervals.py table

The first 80 % of a record are the training part, of which the last fifth is the validation part; the rest tests. All
conformal intervals are those of the same network and the same residuals of the validation part, by a network that was
trained without it:

plain       one interval for all samples
groups      one for each group of the predicted error (`ecgcvx.intervals`)
adaptive    these, following the signal: gamma = .02, and .01 and .05 beside it
Gaussian    a linear autoregression of the same window by least squares, +- 1.645 standard deviations of its residuals
            on the training part

The Winkler score is the width, plus 2/(1 - coverage) times how far a sample outside is from the interval: smaller is
better, and the true quantiles have the smallest expected score. Beats and QRS (-60 to 80 ms around the R peak) are
those of the reference annotation. Every record and horizon adds one line to results.jsonl; what is there is not run
again.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.baselines.linear import least_squares
from ecgcvx.beats import SEGMENTS, find_beats, label_windows
from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import calibrate, follow, start, steps
from ecgcvx.kinds.kind import Limits
from ecgcvx.kinds.polynomial import PolynomialKind
from ecgcvx.records import read_recording
from ecgcvx.rows import row_chunks
from ecgcvx.types import Array, silent
from ecgcvx.windows import WindowMatrix, Windows, split_windows
from harness import ROOT, append_line, machine, parser, stored_lines, table, timed

WINDOW, HORIZONS, BETA, COVERAGE = 15, (1, 5, 18), 1e-5, 0.9
GAMMAS = {"groups": 0.0, "adaptive": 0.02, "adaptive, gamma .01": 0.01, "adaptive, gamma .05": 0.05}
RESULTS = ROOT / "out" / "bench_intervals" / "results.jsonl"
PARTS = ("all", "QRS", "N", "V", "other beats")


def main() -> None:
    """Parse the command line and run one part."""
    command = parser(__doc__)
    parts = command.add_subparsers(required=True, metavar="PART")
    runs = parts.add_parser("run", help=run_records.__doc__)
    runs.add_argument("folder", type=Path)
    runs.add_argument("--horizon", type=int, nargs="+", default=HORIZONS)
    runs.set_defaults(run=run_records)
    parts.add_parser("table", help=print_table.__doc__).set_defaults(run=print_table)
    arguments = command.parse_args()
    arguments.run(arguments)


def run_records(arguments: argparse.Namespace) -> None:
    """Run what is not stored yet."""
    stored = {(line["record"], line["horizon"]) for line in stored_lines(RESULTS)}
    for horizon in arguments.horizon:
        for header in sorted(arguments.folder.glob("*.hea")):
            if (header.stem, horizon) not in stored:
                found = evaluate(header.with_suffix(""), horizon)
                append_line(RESULTS, {"record": header.stem, "horizon": horizon} | found)


def trained(windows: Windows) -> Any:
    """A polynomial network."""
    problem = PolynomialKind().problem(windows, 0, silent)
    return problem.train(BETA, warm=None, limits=Limits(), progress=silent).network


def evaluate(path: Path, horizon: int) -> dict[str, Any]:
    """Scores of all intervals on the test part of a record, by part, and CPU seconds."""
    recording = read_recording(path)
    signal = recording.signal
    split = split_windows(signal, WINDOW, horizon)
    inner = split_windows(signal[: split.boundary], WINDOW, horizon)
    network, training = timed(lambda: trained(split.train))
    without = trained(inner.train)
    known = []
    for part in (inner.train, inner.test):
        rows = WindowMatrix(split.train.signal, part.runs, part.length)
        known.append((rows, inner.scaler.scale * (part.y - without.predict(part.X))))
    calibration, calibrating = timed(lambda: calibrate(known[0], known[1], (COVERAGE,)))
    model = Forecaster(network, split.scaler, "", recording.sampling_frequency, WINDOW, horizon, BETA)
    test = split.test
    y, f = signal[test.targets], model.scaler.restore(network.predict(test.X))
    local = calibration.local(test.X)
    ends = {}
    for name, gamma in GAMMAS.items():
        centres, widths = start(calibration, (COVERAGE,))
        made = np.empty((2, len(test), 1))
        follow(test.targets, y, f, local, horizon, centres, widths, steps((COVERAGE,), gamma), made[0], made[1])
        ends[name] = made[:, :, 0]
    residuals = np.sort(known[1][1])
    rank = int(np.floor((len(residuals) + 1) * (1 - COVERAGE) / 2))
    ends["plain"] = np.stack([f + residuals[rank - 1], f + residuals[-rank]])
    weights = least_squares(split.train.X, split.train.y)
    fitted, linear = (
        np.concatenate([rows @ weights for _, rows in row_chunks(part.X, 1 << 16)]) for part in (split.train, test)
    )
    half = 1.6448536 * float(np.std(split.train.y - fitted))
    ends["Gaussian"] = split.scaler.restore(np.stack([linear - half, linear + half]))
    beats = find_beats(recording)
    chosen = {"all": np.ones(len(y), dtype=bool)}
    if beats is not None:
        labels = label_windows(beats, test, recording.sampling_frequency)
        kinds = np.array([*beats.symbols, ""])[labels.beat]
        chosen |= {"QRS": labels.segment == SEGMENTS.index("qrs"), "N": kinds == "N", "V": kinds == "V"}
        chosen["other beats"] = ~np.isin(kinds, ["N", "V", ""])
    return {
        "seconds": {"training": training.cpu, "calibration": calibrating.cpu},
        "scores": {
            name: {part: score(y[of], *interval[:, of]) for part, of in chosen.items() if of.any()}
            for name, interval in ends.items()
        },
    }


def score(y: Array, lower: Array, upper: Array) -> tuple[int, float, float, float]:
    """Samples, coverage, mean width and mean Winkler score in mV."""
    inside: NDArray[np.bool_] = (y >= lower) & (y <= upper)
    beyond = np.maximum(lower - y, 0.0) + np.maximum(y - upper, 0.0)
    winkler = upper - lower + 2 / (1 - COVERAGE) * beyond
    return len(y), float(inside.mean()), float((upper - lower).mean()), float(winkler.mean())


def print_table(arguments: argparse.Namespace) -> None:
    """Print a table a horizon, medians over records."""
    found = stored_lines(RESULTS)
    print(machine() + "\n")
    for horizon in sorted({line["horizon"] for line in found}):
        own = [line["scores"] for line in found if line["horizon"] == horizon]
        rows = []
        for name in ("Gaussian", "plain", *GAMMAS):
            coverage = np.array([scores[name]["all"][1] for scores in own])
            ratio = [scores[name]["all"][3] / scores["plain"]["all"][3] for scores in own]
            width = [scores[name]["all"][2] / scores["plain"]["all"][2] for scores in own]
            parts = []
            for part in PARTS[1:]:
                shares = [scores[name][part] for scores in own if part in scores[name]]
                parts.append(f"{100 * np.average([s[1] for s in shares], weights=[s[0] for s in shares]):.1f}")
            near = int((np.abs(coverage - COVERAGE) <= 0.01 + 1e-12).sum())
            rows.append(
                [name, f"{100 * np.median(coverage):.1f} ({100 * coverage.min():.1f} to {100 * coverage.max():.1f})",
                 f"{near} of {len(own)}", f"{np.median(width):.2f}", f"{np.median(ratio):.3f}", *parts]
            )  # fmt: skip
        header = [
            "intervals", "coverage, %: median (range)", "records within 89 to 91 %", "width", "Winkler score",
            *(f"coverage, {part}" for part in PARTS[1:]),
        ]  # fmt: skip
        print(f"### {horizon} ahead, {len(own)} records; width and score relative to plain, median\n")
        print(table(header, rows) + "\n")
    seconds = [line["seconds"] for line in found]
    for name in seconds[0] if seconds else ():
        print(f"{name}: median {np.median([one[name] for one in seconds]):.2f} CPU s a record and horizon")


if __name__ == "__main__":
    main()
