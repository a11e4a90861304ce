"""Ectopic beats found without labels: VUS-PR of `ecgcvx detect`, beside residuals and the shape of the signal.

run     Score every record with ectopic beats and store what the scores are worth.
table   Print what is stored.
figure  Draw what is stored.
check   Compare our VUS-PR with that of the TSB-AD package, in an environment of its own (--make-peers makes it).

Usage: python scripts/bench_anomaly.py run FOLDER_OF_RECORDS
       python scripts/bench_anomaly.py table

The first quarter of a record trains a gated network (30 patterns, window 15, 1 sample ahead, beta 3e-4) and a linear
autoregression of the same window, and is what beats are compared with: no label is used. Anomalous are the beats that
the TimeEval collection calls so (F f S A a V J j E e), each from half way to the beat before it to half way to the next
one, 1 s at most to either side; the series is the whole record, as in TSB-AD. VUS-PR is the volume under the
precision-recall surface (Paparrizos et al. 2022) in TSB-AD's definition, up to the width that its `find_length_rank`
returns.

AR residual, network residual   |residual|, of each sample
detect                          `ecgcvx.anomalies`
on-times, contributions         its distances, each alone, without timing
patterns                        both, without timing
timing                          how early a beat comes, and the pause after it, alone
signal                          the same distance on the signal above .5 Hz in place of the patterns, without timing
signal and timing               with it

AUC and sensitivity are over the annotated V beats after the first quarter against the beats N, L, R, paced and e j
there; a beat that the detector missed has the score of the beat in whose reach it lies. The level of the sensitivity is
that which one of these normal beats a minute exceeds.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from ecgcvx.anomalies.events import by_sample, extents
from ecgcvx.anomalies.measured import BEFORE, MeasuredBeats, measure_beats
from ecgcvx.anomalies.usual import Usual, log_distances, spread
from ecgcvx.baselines.linear import least_squares
from ecgcvx.beats import find_beats
from ecgcvx.classify.measures import roc_area
from ecgcvx.forecaster import Forecaster
from ecgcvx.kinds.gated import Gated
from ecgcvx.kinds.kind import Limits
from ecgcvx.records import read_recording
from ecgcvx.rows import row_chunks
from ecgcvx.types import Array, silent
from ecgcvx.windows import split_windows
from harness import ROOT, add_peers, append_line, machine, parser, peer_python, run_peer, stored_lines, table, timed

ECTOPIC, NORMAL = "FfSAaVJjEe", "NLR/"
LEARNED, WINDOW, BETA, PATTERNS = 0.25, 15, 3e-4, 30
LEVELS = 250  # thresholds of the surface
LONGEST_PERIOD, OTHER_PERIOD = 300, 125  # samples, of TSB-AD's find_length_rank
RESULTS = ROOT / "out" / "bench_anomaly" / "results.jsonl"
METHODS = (
    "AR residual", "network residual", "signal", "on-times", "contributions", "patterns", "timing",
    "signal and timing", "detect",
)  # fmt: skip
FEW = 10  # ectopic beats: records with fewer stand apart in the table


def main() -> None:
    """Parse the command line and run one part."""
    command = parser(__doc__)
    parts = command.add_subparsers(required=True, metavar="PART")
    runs = parts.add_parser("run", help=run_records.__doc__)
    runs.add_argument("folder", type=Path)
    runs.set_defaults(run=run_records)
    parts.add_parser("table", help=print_table.__doc__).set_defaults(run=print_table)
    draws = parts.add_parser("figure", help=draw.__doc__)
    draws.add_argument("path", type=Path)
    draws.set_defaults(run=draw)
    checks = parts.add_parser("check", help=check.__doc__)
    add_peers(checks)
    checks.set_defaults(run=check)
    arguments = command.parse_args()
    arguments.run(arguments)


def run_records(arguments: argparse.Namespace) -> None:
    """Run what is not stored yet."""
    stored = {line["record"] for line in stored_lines(RESULTS)}
    for header in sorted(arguments.folder.glob("*.hea")):
        if header.stem not in stored:
            append_line(RESULTS, {"record": header.stem} | evaluate(header.with_suffix("")))


def evaluate(path: Path) -> dict[str, Any]:
    """VUS-PR of every score, AUC and sensitivity for V beats, and CPU seconds; nothing without ectopic beats."""
    recording = read_recording(path)
    signal, rate = recording.signal, recording.sampling_frequency
    annotated = find_beats(recording)
    assert annotated is not None
    symbols, n = np.array(annotated.symbols), len(signal)
    ectopic = np.isin(symbols, list(ECTOPIC))
    if not ectopic.any():
        return {"ectopic": 0}
    labels = np.zeros(n, dtype=bool)
    for begin, end in extents(annotated.samples, n, rate)[ectopic]:
        labels[begin:end] = True
    boundary = int(LEARNED * n)
    split = split_windows(signal[:boundary], WINDOW, 1, 0.99)
    problem = Gated(patterns=PATTERNS).problem(split.train, 0, silent)
    network, training = timed(lambda: problem.train(BETA, warm=None, limits=Limits(), progress=silent).network)
    model = Forecaster(network, split.scaler, "", rate, WINDOW, 1, BETA)
    beats, measuring = timed(lambda: measure_beats(model, recording))
    chosen = beats.samples < boundary
    judged, judging = timed(lambda: Usual.learn(beats, chosen).judge(beats))
    windows = model.windows(recording)
    weights = least_squares(split.train.X, split.train.y)
    linear = np.concatenate([rows @ weights for _, rows in row_chunks(windows.X, 1 << 16)])
    scores = {"AR residual": linear, "network residual": network.predict(windows.X)}
    for name, f in scores.items():
        scores[name] = np.zeros(n)
        scores[name][windows.targets] = np.abs(windows.y - f)
    on, adds = (robust(view, chosen) for view in beats.views(chosen | True))
    shape = robust(signal_bins(signal, beats, rate), chosen)
    timing = judged.timing
    by_beat = {
        "signal": shape, "on-times": on, "contributions": adds, "patterns": judged.shape, "timing": timing,
        "signal and timing": shape + timing, "detect": judged.scores,
    }  # fmt: skip
    scores |= {name: by_sample(values, beats.samples, n, rate) for name, values in by_beat.items()}
    volumes = vus_pr(labels, scores, period(signal))
    later = annotated.samples >= boundary
    ventricular, normal = later & (symbols == "V"), later & np.isin(symbols, list(NORMAL))
    found: dict[str, Any] = {
        "ectopic": int(ectopic.sum()), "V": int(ventricular.sum()), "share": float(labels.mean()), "vus_pr": volumes,
        "seconds": {"training": training.cpu, "measuring": measuring.cpu, "judging": judging.cpu},
    }  # fmt: skip
    if ventricular.any() and normal.any():
        judged_beats, truth = ventricular | normal, ventricular[ventricular | normal]
        minutes = int((n - boundary) / rate / 60)
        found["auc"], found["sensitivity"], found["level"] = {}, {}, {}
        for name, score in scores.items():
            at = score[annotated.samples] if name in by_beat else highest(score, annotated.samples, rate)
            level = np.sort(at[normal])[::-1][min(minutes, int(normal.sum()) - 1)]
            found["auc"][name] = roc_area(at[judged_beats], truth)
            found["sensitivity"][name] = float((at[ventricular] > level).mean())
            found["level"][name] = float(level)
    return found


def robust(view: Array, chosen: NDArray[np.bool_]) -> Array:
    """The distance of beats (b, f) as `Usual` takes it, of one view."""
    logs = log_distances(view, view[chosen])
    logs -= np.median(logs[chosen])
    return np.asarray(logs / spread(logs[None, chosen])[0])


def signal_bins(signal: Array, beats: MeasuredBeats, rate: float) -> Array:
    """The signal above .5 Hz in the bins of the beats (b, L), zero phase over the whole record."""
    filtered = sosfiltfilt(butter(2, 0.5, "high", fs=rate, output="sos"), signal)
    width, bins = round(beats.bin_ms * rate / 1e3), beats.adds.shape[1]
    places = beats.samples[:, None] - round(BEFORE * rate) + np.arange(bins * width)
    return np.asarray(filtered[places].reshape(len(beats), bins, width).mean(axis=2))


def highest(score: Array, samples: NDArray[np.int64], rate: float) -> Array:
    """The largest score within .15 s of samples (b,)."""
    places = np.clip(samples[:, None] + np.arange(-round(0.15 * rate), round(0.15 * rate) + 1), 0, len(score) - 1)
    return np.asarray(score[places].max(axis=1))


def period(signal: Array) -> int:
    """The width of TSB-AD's find_length_rank: the highest peak of the autocorrelation of the first 20,000 samples."""
    x = signal[:20_000] - signal[:20_000].mean()
    power = np.abs(np.fft.rfft(x, 1 << 16)) ** 2
    correlation = np.fft.irfft(power)[3:401]
    inside = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inside > correlation[:-2]) & (inside > correlation[2:]))
    if not len(peaks):
        return OTHER_PERIOD
    best = int(peaks[np.argmax(correlation[peaks])])
    return best + 3 if 3 <= best <= LONGEST_PERIOD else OTHER_PERIOD


def ranges(labels: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last sample of every labelled range."""
    edges = np.diff(np.r_[False, labels, False].astype(np.int8))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def vus_pr(labels: NDArray[np.bool_], scores: dict[str, Array], width: int) -> dict[str, float]:
    """VUS-PR of scores (n,), by name: the mean over widths 0 to `width` of the area under the range-based curve.

    Labels of a width reach half of it beyond every range and fall as sqrt(1 - distance / width). With P the labelled
    samples, recall is TP over the mean of P and the extended labels that are predicted, times the share of ranges that
    are touched; the area adds precision times the step of recall over `LEVELS` levels, evenly spaced in rank.

    The samples sort into levels once, so that a width costs sums over the neighbourhood of the ranges alone.
    """
    n, P = len(labels), int(labels.sum())
    buckets, predicted, inner = {}, {}, {}
    cut = np.linspace(0, n - 1, LEVELS).astype(np.int64)
    for name, score in scores.items():
        levels = -np.sort(-score)[cut]
        buckets[name] = np.searchsorted(-levels, -score, side="left")
        predicted[name] = np.cumsum(np.bincount(buckets[name], minlength=LEVELS)[:LEVELS])
        inner[name] = np.cumsum(np.bincount(buckets[name][labels], minlength=LEVELS)[:LEVELS])
    areas = {name: np.zeros(width + 1) for name in scores}
    for w, (near, weights, edges) in enumerate(extended(labels, width)):
        for name in scores:
            bucket = buckets[name]
            outer = np.cumsum(np.bincount(bucket[near], weights=weights, minlength=LEVELS)[:LEVELS])
            earliest = np.minimum.reduceat(np.r_[bucket, LEVELS], edges)[::2]
            touched = np.cumsum(np.bincount(earliest, minlength=LEVELS + 1)[:LEVELS]) / len(earliest)
            true = inner[name] + outer
            recall = np.minimum(true / ((2 * P + outer) / 2), 1) * touched
            areas[name][w] = np.diff(recall, prepend=0.0) @ (true / predicted[name])
    return {name: float(area.mean()) for name, area in areas.items()}


def extended(labels: NDArray[np.bool_], width: int) -> Iterator[tuple[NDArray[np.int64], Array, NDArray[np.int64]]]:
    """For each width from 0: samples beside the ranges, their labels there, and edges of the ranges, merged."""
    n, (first, last) = len(labels), ranges(labels)
    for w in range(width + 1):
        half = w // 2
        values = np.zeros(n)
        if half:
            steps = np.arange(1, half + 1)
            fall = np.sqrt(1 - steps / w)
            for places in (last[:, None] + steps, first[:, None] - steps):
                inside = (places >= 0) & (places < n)
                np.add.at(values, places[inside], np.broadcast_to(fall, places.shape)[inside])
            values[labels] = 0.0
        near = np.flatnonzero(values)
        parted = np.flatnonzero(last[:-1] + half < first[1:] - half)
        begin = np.maximum(first[np.r_[0, parted + 1]] - half, 0)
        end = np.minimum(last[np.r_[parted, len(last) - 1]] + half, n - 1)
        yield near, np.minimum(values[near], 1.0), np.stack([begin, end + 1], axis=1).ravel()


def mean_of(found: Iterable[dict[str, Any]], kind: str, name: str) -> str:
    """The mean over records."""
    return f"{np.mean([line[kind][name] for line in found]):.3f}"


def print_table(arguments: argparse.Namespace) -> None:
    """Print means over records, and every record."""
    found = [line for line in stored_lines(RESULTS) if line["ectopic"]]
    many, beating = [line for line in found if line["ectopic"] >= FEW], [line for line in found if "auc" in line]
    print(
        f"{len(found)} records with ectopic beats, {len(many)} with {FEW} or more, {len(beating)} with V beats after "
    )
    print(f"the first quarter; {machine()}\n")
    rows = [
        [name, mean_of(found, "vus_pr", name), mean_of(many, "vus_pr", name), mean_of(beating, "auc", name),
         mean_of(beating, "sensitivity", name),
         f"{np.median([line['sensitivity'][name] for line in beating]):.3f}"]
        for name in METHODS
    ]  # fmt: skip
    header = [
        "score", "VUS-PR, all", f"{FEW} or more", "AUC, V beats", "sensitivity at one false alarm a minute, mean",
        "median",
    ]  # fmt: skip
    print(table(header, rows) + "\n")
    shown = ("AR residual", "signal and timing", "detect")
    lines = [
        [line["record"], str(line["ectopic"]), *(f"{line['vus_pr'][name]:.3f}" for name in shown), str(line["V"]),
         *((f"{line[kind]['detect']:.3f}" if "auc" in line else "") for kind in ("auc", "sensitivity", "level"))]
        for line in found
    ]  # fmt: skip
    print(table(["record", "ectopic", *shown, "V beats later", "AUC", "sensitivity", "level"], lines) + "\n")
    levels = [line["level"]["detect"] for line in beating]
    print(f"score that one normal beat a minute exceeds: {np.quantile(levels, [0.1, 0.25, 0.5, 0.75, 0.9]).round(2)}")
    for name in found[0]["seconds"] if found else ():
        print(f"{name}: median {np.median([line['seconds'][name] for line in found]):.2f} CPU s a record")


def draw(arguments: argparse.Namespace) -> None:
    """Draw VUS-PR by record, of three scores."""
    import matplotlib.pyplot as plt

    found = sorted(
        (line for line in stored_lines(RESULTS) if line["ectopic"]), key=lambda line: -line["vus_pr"]["detect"]
    )
    figure, axes = plt.subplots(figsize=(12, 4.2), layout="constrained")
    places = np.arange(len(found))
    for name, color, marker in (
        ("AR residual", "#b5651d", "x"), ("patterns", "#7f9fbf", "s"), ("timing", "#999999", "^"),
        ("detect", "#1f4e79", "o"),
    ):  # fmt: skip
        values = [line["vus_pr"][name] for line in found]
        label = f"{name}: mean {np.mean(values):.2f}"
        axes.plot(places, values, marker, color=color, ms=5 if name == "detect" else 4, label=label)
        axes.axhline(float(np.mean(values)), color=color, lw=0.9, ls="--")
    axes.set_xticks(places, [f"{line['record']}\n{line['ectopic']}" for line in found], fontsize=6)
    axes.set(ylabel="VUS-PR", ylim=(0, 1.02), xlim=(-0.7, len(found) - 0.3), xlabel="record, and its ectopic beats")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, frameon=False, fontsize=8, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(arguments.path, dpi=130)


def check(arguments: argparse.Namespace) -> None:
    """Print VUS-PR of random series by the package and by us."""
    python = peer_python("tsb_ad", arguments, "tsb_ad.txt")
    if python is None:
        return
    rng = np.random.default_rng(0)
    for number in range(3):
        labels = np.zeros(6000, dtype=bool)
        for begin in rng.integers(100, 5800, 8):
            labels[begin : begin + rng.integers(5, 90)] = True
        score = rng.standard_normal(6000) + 1.5 * labels
        if number == 2:
            score = np.round(score)  # ties
        with tempfile.TemporaryDirectory() as folder:
            given, result = Path(folder) / "series.npz", Path(folder) / "result.json"
            np.savez(given, labels=labels, score=score)
            run_peer("tsb_ad.py", [given, result, "60"], 1, python)
            theirs = json.loads(result.read_text())["vus_pr"]
        print(f"series {number}: TSB-AD {theirs:.12f}, here {vus_pr(labels, {'it': score}, 60)['it']:.12f}")


if __name__ == "__main__":
    main()
