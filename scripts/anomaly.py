"""How ectopic beats score against normal ones in a stream, beside the residual of a linear autoregression.

    python scripts/anomaly.py data/mitdb208/208 --train 240 --figure docs/anomaly_208.png
    python scripts/anomaly.py mitdb/100 --train 600

The first seconds (--train) train a linear AR and a convex network, each on all windows and on those away from ectopic
beats; then both stream the whole record. The score of a beat is the maximum, or the mean, of the scores within .15 s of
its R peak. Area under the ROC: the probability that an ectopic beat scores above a normal one (ties half), on the beats
after the training seconds, and on all.

Beats are those of the reference annotation; without one, of a detector (XQRS of wfdb), and ectopic where the wave after
the QRS is discordant: below the beat's median by .1 mV. That rule sees no residual, but is no reference.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgcvx.baselines.linear import least_squares
from ecgcvx.classify.measures import roc_area
from ecgcvx.forecaster import Forecaster
from ecgcvx.models import GatedNetwork, ReluNetwork
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import Recording, read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.streaming import StreamPredictor
from ecgcvx.types import Array
from ecgcvx.windows import Scaler, all_windows
from harness import machine, table

NORMAL, ECTOPIC = "NLRej", "AaJSVFE"  # WFDB's symbols
AROUND = 0.15  # s on either side of an R peak
BEFORE, AFTER = 0.25, 0.3  # s of an ectopic beat, which training on normal ones leaves out
DISCORDANT = -0.1  # mV
WAVE = (0.1, 0.23)  # s after the steepest slope of the QRS


@dataclass(frozen=True, eq=False)
class Beats:
    """R peaks (samples), whether each is ectopic, and where they are from."""

    peaks: NDArray[np.int64]
    ectopic: NDArray[np.bool_]
    source: str


def beats_of(recording: Recording) -> Beats:
    """The annotated beats, or those of the detector and the rule above."""
    signal, rate = recording.signal, recording.sampling_frequency
    margin = int(2 * rate)
    if recording.annotation is not None:
        samples, symbols = recording.annotation.samples, np.array(recording.annotation.symbols)
        kept = np.isin(symbols, list(NORMAL + ECTOPIC)) & (samples > margin) & (samples < len(signal) - margin)
        return Beats(samples[kept], np.isin(symbols[kept], list(ECTOPIC)), "reference annotation")
    from wfdb.processing import XQRS

    detector = XQRS(sig=signal, fs=rate)
    detector.detect(verbose=False)
    near = int(0.05 * rate)
    steepest = [i - near + int(np.argmax(np.abs(np.gradient(signal[i - near : i + near])))) for i in detector.qrs_inds
                if margin < i < len(signal) - margin]  # fmt: skip
    low, high = (int(second * rate) for second in WAVE)
    whole = [signal[i - int(AROUND * rate) : i + int(0.35 * rate)] for i in steepest]
    wave = [signal[i + low : i + high].mean() - np.median(beat) for i, beat in zip(steepest, whole, strict=True)]
    return Beats(np.array(steepest), np.array(wave) < DISCORDANT, "detector and discordant wave")


def train(signal: Array, name: str, horizon: int, beta: float, rate: float) -> Forecaster:
    """A linear autoregression, as one neuron that is always on, or a convex network, on a signal in mV."""
    valid = signal[np.isfinite(signal)]
    scaler = Scaler(float(valid.mean()), float(valid.std()))
    windows = all_windows(signal, scaler, 15, horizon)
    if name == "linear AR":
        gate = np.zeros((16, 1))
        gate[-1] = 1.0
        network: GatedNetwork | ReluNetwork = GatedNetwork(
            least_squares(windows.X, windows.y)[:, None], np.ones(1), gate
        )
    else:
        solver = ActiveSetSolver(gap=3e-2, rounds=8, confirm_starts=0)
        program = AllPatterns(windows.X, windows.y, beta)
        network = program.family.network(solver.solve(program).atoms)
    return Forecaster(network, scaler, "", rate, 15, horizon, beta)


def area(scores: Array, ectopic: NDArray[np.bool_]) -> float:
    """Area under the ROC (Mann-Whitney); NaN without beats of both kinds."""
    return roc_area(scores, ectopic) if ectopic.any() and not ectopic.all() else float("nan")


def evaluate(model: Forecaster, recording: Recording, beats: Beats, held: NDArray[np.bool_], rate: float) -> tuple[
    list[str], Array
]:  # fmt: skip
    """The columns of the table, and the mean score of every beat."""
    steps = StreamPredictor(model, rate=rate).push_chunk(recording.signal)
    around = int(AROUND * recording.sampling_frequency)
    place = beats.peaks[:, None] + np.arange(-around, around + 1)
    scores, alarms = steps.scores[place], steps.alarms[place]
    most, mean = np.nanmax(scores, axis=1), np.nanmean(scores, axis=1)
    normal, ectopic = held & ~beats.ectopic, held & beats.ectopic
    cells = [f"{area(kind[of], beats.ectopic[of]):.3f}" for kind in (most, mean) for of in (held, held | True)]
    first = int(np.argmax(held) and beats.peaks[held].min())
    per_mille = (f"{1e3 * part.mean():.2f}" for part in (steps.alarms[first:], alarms[normal]))
    return [*cells, *per_mille, *(f"{alarms[of].any(axis=1).mean():.1%}" for of in (normal, ectopic))], mean


def main() -> None:
    """Print the table of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record")
    parser.add_argument("--train", type=float, default=240.0, help="seconds that train (default 240)")
    parser.add_argument("--horizons", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--beta", type=float, default=1e-4)
    parser.add_argument("--rate", type=float, default=1e-4, help="stated share of alarms (default 1e-4)")
    parser.add_argument("--figure", type=Path, help="where to draw the curves")
    options = parser.parse_args()
    recording = read_recording(options.record)
    beats = beats_of(recording)
    boundary = int(options.train * recording.sampling_frequency)
    held = beats.peaks >= boundary
    print(
        f"{recording.name}: {int(beats.ectopic.sum())} ectopic and {int((~beats.ectopic).sum())} normal beats "
        f"({beats.source}), {int(beats.ectopic[held].sum())} and {int((~beats.ectopic[held]).sum())} of them after "
        f"{options.train:g} s; beta = {options.beta:g}; {machine()}\n"
    )
    only = recording.signal[:boundary].copy()
    before, after = (int(second * recording.sampling_frequency) for second in (BEFORE, AFTER))
    for peak in beats.peaks[beats.ectopic & (beats.peaks < boundary + before)]:
        only[peak - before : peak + after] = np.nan
    rows, curves = [], {}
    for horizon in options.horizons:
        for name in ("linear AR", "convex"):
            for trained_on, signal in (("all", recording.signal[:boundary]), ("normal", only)):
                model = train(signal, name, horizon, options.beta, recording.sampling_frequency)
                cells, mean = evaluate(model, recording, beats, held, options.rate)
                rows.append([str(horizon), name, trained_on, str(model.network.neurons), *cells])
                curves[f"{name}, {trained_on} beats, {horizon} ahead"] = mean
    header = [
        "steps ahead", "model", "trained on beats", "neurons", "AUC, max, later", "all", "AUC, mean, later", "all",
        "alarms in 1,000 samples, later", "in normal beats", "normal beats alarmed", "ectopic beats alarmed",
    ]  # fmt: skip
    print(table(header, rows))
    if options.figure is not None:
        draw(curves, beats.ectopic, recording.name, options.figure)


def draw(curves: dict[str, Array], ectopic: NDArray[np.bool_], name: str, path: Path) -> None:
    """The ROC of the mean score over all beats."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 5), layout="constrained")
    for label, scores in curves.items():
        order = np.argsort(-scores, kind="stable")
        hits, false = np.cumsum(ectopic[order]) / ectopic.sum(), np.cumsum(~ectopic[order]) / (~ectopic).sum()
        linear, alone, far = label.startswith("linear"), "normal" in label, "5" in label
        axes.plot(
            false, hits, "--" if linear else "-", color="#b5651d" if far else "#1f4e79", alpha=1 if alone else 0.45,
            lw=1.8 if alone else 1.2, label=f"{label}: {area(scores, ectopic):.2f}",
        )  # fmt: skip
    axes.plot([0, 1], [0, 1], color="#999999", lw=0.8)
    axes.set(xlabel="normal beats above the level", ylabel="ectopic beats above it", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"record {name}: mean score within {AROUND:g} s of the R peak, all beats", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right", title="area", title_fontsize=8)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
