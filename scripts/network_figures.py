"""The figures of docs/networks.md: filters found, training beside backprop of the same network, numbers of patterns.

Usage: python scripts/network_figures.py filters training counts [--output docs]

filters   A convolutional network that forecasts record 208: its four largest filters as templates, their frequency
          responses, and where in the beat they fire on the test part.
training  The active set beside Adam on the weights of the same network, over processor seconds, for each family.
counts    Joint patterns of a convolutional layer by exact enumeration beside the bound in (n K / h)^h.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecgcvx.arrangements import enumerate_patterns, pattern_bound
from ecgcvx.atoms.batch_norm import BatchNormFamily
from ecgcvx.atoms.convolutional import ConvolutionalFamily
from ecgcvx.atoms.family import AtomFamily, Atoms
from ecgcvx.atoms.three_layer import ThreeLayerFamily
from ecgcvx.baselines.optimisers import ADAM, cosine
from ecgcvx.beats import Beats, find_beats
from ecgcvx.figures import save_figure
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation import Template, filter_templates
from ecgcvx.kinds.kind import Limits, make_kind
from ecgcvx.patches import Convolution, PatchMatrix
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.free import Free
from ecgcvx.records import Recording, read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array, silent
from ecgcvx.windows import split_windows
from harness import ROOT, add_record, parser

INK, BLUE, ORANGE, GREY, FAINT = "#1a1a1a", "#2f6fd0", "#d07c3a", "#8a8a8a", "#e4e4e4"
WINDOW, TAPS, HORIZON, BETA = 64, 20, 5, 3e-4  # of the filters that are shown
SHOWN, SHOWN_SECONDS = 4, 80.0  # filters, of a network of so many seconds of the record
BEFORE, AFTER = 0.25, 0.4  # s around the R peak
TRAINED = 15.0  # s of the record that the training curves take
SEEDS, STEP = (0, 1), 1e-2  # of Adam: of two steps, .01 and .03, the better one over 400 steps
SHARP = 1e-30  # width of a kink that is not rounded


def filters(recording: Recording) -> Figure:
    """Train, and draw the largest filters."""
    recording = replace(recording, signal=recording.signal[: round(SHOWN_SECONDS * recording.sampling_frequency)])
    split = split_windows(recording.signal, WINDOW, HORIZON)
    kind = make_kind("conv", {"taps": TAPS, "rounds": 5, "confirm_starts": 100})
    trained = kind.problem(split.train, 0, silent).train(BETA, warm=None, limits=Limits(), progress=silent)
    network, rate = trained.network, recording.sampling_frequency
    error = split.rmse_mv(network.predict)
    print(f"{network.neurons} filters, test {error:.4f} mV, gap {trained.gap.relative:.1e}")
    forecaster = Forecaster(
        network, split.scaler, recording.lead, rate, WINDOW, HORIZON, BETA, kind.name, recording.given_unit, None
    )
    beats = find_beats(recording)
    assert beats is not None
    found = filter_templates(forecaster, split.test, beats)[:SHOWN]
    times, shape = _mean_beat(recording, beats, split.boundary)
    figure = Figure(figsize=(9, 1.7 * SHOWN + 0.6), dpi=150, layout="constrained")
    grid = figure.subplots(SHOWN, 3, squeeze=False, width_ratios=(1, 1, 1.5))
    for axes, one in zip(grid, found, strict=True):
        colour = BLUE if one.weights[0] > 0 else ORANGE
        _draw_shape(axes[0], one, colour)
        _draw_response(axes[1], one, colour)
        _draw_beat(axes[2], one, colour, times, shape)
        for panel in axes:
            panel.tick_params(labelsize=7)
            panel.grid(color=FAINT, linewidth=0.5)
    titles = (
        "patches that switch it on, their mean (mV)",
        "frequency response",
        "output over the beat (and mean beat)",
    )
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8, loc="left")
    for axes, label in zip(grid[-1], ("ms before its last sample", "Hz", "ms from the R peak"), strict=True):
        axes.set_xlabel(label, fontsize=8)
    figure.suptitle(
        f"{SHOWN} largest of {network.neurons} filters of {1e3 * TAPS / rate:.0f} ms; windows of "
        f"{1e3 * WINDOW / rate:.0f} ms, {1e3 * HORIZON / rate:.0f} ms ahead; {SHOWN_SECONDS / 5:.0f} s of "
        f"record {recording.name} that it was not trained on",
        fontsize=9,
    )  # fmt: skip
    return figure


def _mean_beat(recording: Recording, beats: Beats, boundary: int) -> tuple[Array, Array]:
    """Times in ms from the R peak, and the mean beat in mV of the test part."""
    rate = recording.sampling_frequency
    around = np.arange(-round(BEFORE * rate), round(AFTER * rate))
    inside = (beats.samples + around[0] >= boundary) & (beats.samples + around[-1] < len(recording.signal))
    shape = recording.signal[beats.samples[inside][:, None] + around].mean(axis=0)
    return np.asarray(1e3 * around / rate, dtype=np.float64), np.asarray(shape, dtype=np.float64)


def _draw_shape(axes: Axes, one: Template, colour: str) -> None:
    ms = -one.filter.lags_ms[::-1]
    axes.plot(ms, one.shape_mv, color=INK, linewidth=1.5)
    taps = axes.twinx()
    taps.bar(ms, one.filter.taps, width=0.8 * (ms[1] - ms[0]), color=colour, alpha=0.5)
    largest = float(np.abs(one.filter.taps).max())
    taps.set(ylim=(-1.5 * largest, 1.5 * largest), yticks=[])
    side = "adds to" if one.weights[0] > 0 else "takes from"
    axes.set_ylabel(f"{side}\nthe forecast", fontsize=8, color=colour)


def _draw_response(axes: Axes, one: Template, colour: str) -> None:
    frequencies = np.linspace(0, 80, 300)
    gain = np.abs(one.filter.frequency_response(frequencies))
    axes.plot(frequencies, gain / gain.max(), color=colour)
    axes.set(ylim=(0, 1.08), xlim=(0, 80))
    axes.annotate(f"{one.peak_hz:.0f} Hz", (0.97, 0.86), xycoords="axes fraction", ha="right", fontsize=7)


def _draw_beat(axes: Axes, one: Template, colour: str, times: Array, shape: Array) -> None:
    assert one.bins_ms is not None
    assert one.fires_mv is not None
    axes.fill_between(one.bins_ms, one.fires_mv, color=colour, alpha=0.5, linewidth=0)
    axes.set(xlim=(times[0], times[-1]), ylim=(0, None), yticks=[])
    beat = axes.twinx()
    beat.plot(times, shape, color=INK, linewidth=1.0)
    beat.set(yticks=[])
    axes.annotate(f"most at {one.fires_at_ms:.0f} ms", (0.97, 0.86), xycoords="axes fraction", ha="right", fontsize=7)


@dataclass(frozen=True)
class Race:
    """A family with the beta of its race."""

    title: str
    family: Callable[[int], AtomFamily]
    beta: float
    free: Free = "none"


RACES = (
    Race("convolutional, 5 taps", lambda d: ConvolutionalFamily(Convolution(5), d), 1e-3),
    Race("batch norm after the ReLU", lambda d: BatchNormFamily(), 2e-3, "offset"),
    Race("three layers, 2 inner", lambda d: ThreeLayerFamily(2), 1e-3),
)


def training(recording: Recording) -> Figure:
    """Race the active set against Adam on the network's own weights."""
    short = replace(recording, signal=recording.signal[: round(TRAINED * recording.sampling_frequency)])
    windows = split_windows(short.signal, 15, HORIZON).train
    figure = Figure(figsize=(9.5, 3.4), dpi=150, layout="constrained")
    grid = figure.subplots(1, len(RACES))
    for axes, race in zip(grid, RACES, strict=True):
        program = AllPatterns(windows.X, windows.y, race.beta, family=race.family(windows.X.shape[1]), free=race.free)
        _ = program.passes
        ActiveSetSolver(gap=0.5, rounds=2, confirm_starts=0).solve(program)  # compiles
        points, atoms = _convex_curve(program)
        best = points[-1][2]
        for seed in SEEDS:
            curve = np.array(_backprop_curve(program, max(len(atoms), 64), points[-1][0], seed))
            label = "Adam, full batches" if seed == SEEDS[0] else None
            axes.plot(curve[1:, 0], curve[1:, 1] / best - 1, color=ORANGE, linewidth=1, label=label)
        convex = np.array(points)
        axes.plot(convex[:, 0], convex[:, 1] / best - 1, color=BLUE, marker="o", markersize=3, label="active set")
        axes.set(yscale="log", xscale="log", xlabel="processor seconds")
        axes.set_title(f"{race.title}, beta {race.beta:g}: gap {1 - best / points[-1][1]:.0e}", fontsize=8, loc="left")
        axes.grid(color=FAINT, linewidth=0.5)
        axes.tick_params(labelsize=7)
    grid[0].set_ylabel("P above the lower bound, relative", fontsize=8)
    grid[0].legend(fontsize=7, frameon=False)
    return figure


def _convex_curve(program: AllPatterns) -> tuple[list[tuple[float, float, float]], Atoms]:
    """(processor seconds, P, best D) of every round, and the atoms."""
    points: list[tuple[float, float, float]] = []
    started = time.process_time()
    found = ActiveSetSolver(gap=2e-3, rounds=12, confirm_starts=100, threads=1).solve(
        program, callback=lambda line: points.append((time.process_time() - started, line.primal, line.dual))
    )
    lower = max(dual for _, _, dual in points)
    print(f"{len(found.atoms)} atoms, gap {1 - lower / found.primal:.1e}, {points[-1][0]:.1f} CPU s")
    return [*points[:-1], (points[-1][0], found.primal, lower)], found.atoms


def _backprop_curve(program: AllPatterns, neurons: int, seconds: float, seed: int) -> list[tuple[float, float]]:
    """(processor seconds, P) of Adam on weights (w_j, a_j) with the penalty beta/2 (||w||^2 + ||a||^2).

    Full batches, a cosine schedule over `seconds`. Gradients are those of the network f = sum_j a_j f(X; w_j).
    """
    passes, none = program.passes, program.passes.none()
    random = np.random.default_rng(seed)
    start = passes.starts(neurons, none, random)
    tags = start.tags.copy()
    tags[:, 0] = 1.0
    a = np.where(random.random(neurons) < 0.5, 1.0, -1.0) * 0.3
    state, shape = ADAM.start(np.concatenate([0.3 * start.points.ravel(), a])), start.points.shape
    sharp = np.full(neurons, SHARP)
    curve: list[tuple[float, float]] = []
    started = time.process_time()
    while (spent := time.process_time() - started) < seconds:
        w, a = state.parameters[:-neurons].reshape(shape), state.parameters[-neurons:]
        signs = tags.copy()
        signs[:, 0] = a
        fitted = program.fitted(passes.rounded_outputs(Atoms(w, signs), sharp))
        slopes = passes.rounded_prices(Atoms(w, tags), sharp, fitted.v)
        value = fitted.loss + program.beta / 2 * float(np.sum(w * w) + a @ a)
        curve.append((spent, value))
        gradient = np.concatenate([
            (program.beta * w - a[:, None] * slopes).ravel(), program.beta * a - np.einsum("ij,ij->i", slopes, w)
        ])  # fmt: skip
        state = ADAM.step(state, gradient, STEP * cosine(spent / seconds))
    return curve


def counts() -> Figure:
    """Enumerate the patterns of convolutional layers on Gaussian windows."""
    figure = Figure(figsize=(5.4, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    for taps, colour, sizes in ((2, BLUE, (2, 4, 8, 16, 32, 64)), (3, ORANGE, (2, 4, 8, 16))):
        found, K = [], 0
        for n in sizes:
            X = np.random.default_rng(n).standard_normal((n, 6))
            patches = PatchMatrix(X, Convolution(taps, context=0))
            K = patches.count
            patterns = enumerate_patterns(patches[:])
            found.append(len(patterns) + int((patterns.coverage == 1).any()))
        rows = np.array(sizes) * K
        print(taps, found, [pattern_bound(int(row), taps) for row in rows])
        axes.plot(sizes, found, "o", color=colour, label=f"{taps} taps, K = {K}: enumerated")
        axes.plot(sizes, 2 * (math.e * rows / taps) ** taps, "--", color=colour, label=f"2 (e n K/{taps})^{taps}")
    few = np.arange(2, 8)
    axes.plot(few, 2.0 ** (5 * few), color=GREY, linewidth=1, label="2^(n K), K = 5: all sign vectors")
    axes.set(
        xscale="log", yscale="log", xlabel="windows n (6 samples each)", ylabel="patterns of the layer", ylim=(8, 1e8)
    )
    axes.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
    axes.minorticks_off()
    axes.grid(color=FAINT, linewidth=0.5)
    axes.legend(fontsize=7, frameon=False)
    return figure


def main() -> None:
    """Parse the command line and draw."""
    options = parser(__doc__)
    options.add_argument("what", nargs="+", choices=("filters", "training", "counts"))
    add_record(options)
    options.add_argument("--output", type=Path, default=ROOT / "docs", help="folder of the pictures")
    arguments = options.parse_args()
    recording = read_recording(arguments.record)
    for name in arguments.what:
        figure = counts() if name == "counts" else (filters if name == "filters" else training)(recording)
        save_figure(figure, arguments.output / f"networks_{name}.png")


if __name__ == "__main__":
    main()
