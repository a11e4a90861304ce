"""All networks of the lecture on one record: error, neurons, gap and what it rests on, seconds.

Slides: the networks of the lecture (two layers, gated, quadratic, polynomial, convolutional, batch norm, three layers,
layer by layer), beside linear prediction and backprop.
Claims: every one of them is trained by a convex program, which states how far it is from its optimum.
Found: holds. A stack of layers has no gap as a whole, but each of its stages has one. On the few windows that are used
here the most accurate networks differ little; the correction names those behind least squares.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from _ecg import RECORD, Training, first_windows, linear_error
from _page import BLUE, GREY, INK, Claim, Entry, Picture, Table, main, new_figure, plain_log, style
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.linear import least_squares, persistence_weights
from ecgcvx.baselines.minibatch import train_minibatch
from ecgcvx.baselines.problem import Problem
from ecgcvx.evidence import Evidence, Gap, at_most
from ecgcvx.models import ReluNetwork
from ecgcvx.programs.circular import FrequencyFeatures, circular_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.types import Array
from ecgcvx.windows import Split, Windows, split_windows

WINDOWS, HORIZONS = 12_000, (1, 5)
BETA, NORMALISED = 3e-4, 2e-3  # the second of batch norm, whose penalty is another
SEARCH = {"rounds": 8, "confirm_starts": 300}
NETWORKS: dict[str, tuple[str, float, dict[str, Any]]] = {
    "two layers, ReLU": ("relu", BETA, SEARCH),
    "gated ReLU, 100 gates": ("gated", BETA, {"patterns": 100}),
    "quadratic": ("quadratic", BETA, {}),
    "polynomial": ("polynomial", BETA, {}),
    "convolutional, 5 taps": ("conv", BETA, {"taps": 5, **SEARCH}),
    "batch norm after the ReLU": ("batchnorm", NORMALISED, {"order": "after", **SEARCH}),
    "batch norm before the ReLU": ("batchnorm", NORMALISED, {"order": "before", **SEARCH}),
    "three layers": ("three-layer", BETA, SEARCH),
    "stack, layer by layer": ("stack", BETA, {}),
}
"""Kind, beta and options; a stack chooses its betas itself."""
CIRCULAR = "linear circular"
LINEAR, PERSISTENCE, BACKPROP = "least squares", "persistence", "two layers by backprop"
NEURONS, EPOCHS = 128, 150  # of backprop
EXACT = 1e-4  # gap of the programs that are solved to an end


@dataclass(frozen=True)
class Row:
    """A network at one horizon: test RMSE in mV, neurons, objective and gap where it has them, seconds."""

    name: str
    horizon: int
    error: float
    neurons: int | None = None
    gap: Gap | None = None
    seconds: float = 0.0

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        gap = ("–", "") if self.gap is None else (at_most(self.gap.relative), f"{self.gap.evidence} {self.gap.whose}")
        neurons = "–" if self.neurons is None else f"{self.neurons:,}"
        return self.name, str(self.horizon), f"{self.error:.4f}", neurons, gap[0], gap[1].strip(), f"{self.seconds:.1f}"


def reproduce(reduced: bool) -> Entry:
    """Train everything at both horizons."""
    rows: list[Row] = []
    horizons = HORIZONS[:1] if reduced else HORIZONS
    for horizon in horizons:
        split = split_windows(read_recording(RECORD).signal, 15, horizon)
        windows = first_windows(split.train, WINDOWS // 2 if reduced else WINDOWS)
        rows += [*_linear(split, windows), _circular(split, windows), _backprop(split, windows)]
        rows += [_network(name, split, windows) for name in NETWORKS]
    at = {(row.name, row.horizon): row for row in rows}
    convex = [row for row in rows if row.gap is not None]
    gaps = [row.gap for row in convex if row.gap is not None]
    searched = [gap.relative for gap in gaps if gap.evidence == "searched"]
    middle = float(np.median(searched))
    exact = [gap.relative for gap in gaps if gap.evidence != "searched"]
    pairs = [(at["two layers, ReLU", h], at["three layers", h]) for h in horizons]
    best = {h: min((row for row in rows if row.horizon == h), key=lambda row: row.error) for h in horizons}
    worse = [f"{row.name} ({_steps(row.horizon)})" for row in convex if row.error >= at[LINEAR, row.horizon].error]
    claims = (
        Claim(
            "Every network of the lecture is trained by a convex program that states its gap.",
            f"{len(convex)} trainings of {len(NETWORKS) + 1} networks; {len(exact)} gaps proved or exact over given "
            f"patterns, at most {at_most(max(exact))}; {len(searched)} searched, median {at_most(middle)}, largest "
            f"{at_most(max(searched))}",
            len(convex) == (len(NETWORKS) + 1) * len(horizons)
            and max(exact) <= EXACT
            and all(gap.dual > 0 for gap in gaps),
            "The gap of a stack is that of its last stage, given the stages below; the stack as a whole has none.",
        ),
        Claim(
            "At equal beta three layers are not above two.",
            "; ".join(
                f"{_steps(two.horizon)}: {three.gap.primal:.4e} against {two.gap.primal:.4e}"
                for two, three in pairs
                if two.gap and three.gap
            ),
            all(two.gap and three.gap and three.gap.primal <= two.gap.primal for two, three in pairs),
        ),
        Claim(
            "The networks forecast better than linear prediction.",
            "; ".join(
                f"{_steps(h)}: {row.name} {row.error:.4f} mV, {LINEAR} {at[LINEAR, h].error:.4f}, "
                f"{PERSISTENCE} {at[PERSISTENCE, h].error:.4f}, {BACKPROP} {at[BACKPROP, h].error:.4f}"
                for h, row in best.items()
            ),
            all(row.error < 0.9 * at[LINEAR, h].error for h, row in best.items()),
            f"Not all of them: {', '.join(worse)}." if worse else "",
        ),
    )
    return Entry(
        "All networks of the lecture on record 208",
        "the networks of the lecture, side by side",
        claims,
        (
            Picture(
                "all_networks",
                "Test error of every network, one and five steps ahead; the line is least squares.",
                _figure(rows),
            ),
        ),
        f"The first {WINDOWS:,} training windows of 15 samples, beta = {BETA:g} (batch norm {NORMALISED:g}); seconds "
        "of processor time of one thread.",
        (
            Table(
                "Record 208, test RMSE in mV.",
                ("network", "steps ahead", "test RMSE", "neurons", "gap", "which rests on", "seconds"),
                tuple(row.cells() for row in rows),
            ),
        ),
    )


def _steps(horizon: int) -> str:
    return f"{horizon} step{'s' if horizon > 1 else ''} ahead"


def _network(name: str, split: Split, windows: Windows) -> Row:
    kind, beta, options = NETWORKS[name]
    started = time.process_time()
    model = Training(kind, windows, **options).at(beta)
    seconds = time.process_time() - started
    error = split.rmse_mv(model.network.predict)
    return Row(name, split.test.horizon, error, model.network.neurons, model.gap, seconds)


def _linear(split: Split, windows: Windows) -> list[Row]:
    d, found = windows.X.shape[1], []
    for name in (PERSISTENCE, LINEAR):
        started = time.process_time()
        w = persistence_weights(d) if name == PERSISTENCE else least_squares(windows.X, windows.y)
        seconds = time.process_time() - started
        found.append(Row(name, windows.horizon, linear_error(split, w), seconds=seconds))
    return found


def _circular(split: Split, windows: Windows) -> Row:
    started = time.process_time()
    program = circular_program(np.ascontiguousarray(np.asarray(windows.X)[:, :-1]), windows.y, BETA)
    found = FistaSolver(gap=1e-6).solve(program)
    seconds = time.process_time() - started
    assert isinstance(program.features, FrequencyFeatures)
    w = program.features.filter(found.u)
    error = split.rmse_mv(lambda X: np.asarray(X)[:, :-1] @ w)
    used = int(np.linalg.norm(found.u, axis=1).astype(bool).sum())
    gap = Gap(found.primal, found.dual, Evidence.GIVEN)
    return Row(CIRCULAR, windows.horizon, error, used, gap, seconds)


def _backprop(split: Split, windows: Windows) -> Row:
    started = time.process_time()
    X: Array = np.asarray(windows.X)
    problem = Problem(Layers((X.shape[1], NEURONS, 1)), X, windows.y, BETA).single()
    random = np.random.default_rng(0)
    found = train_minibatch(problem, problem.layers.initial(random), random, step_size=3e-3, epochs=EPOCHS)
    network = ReluNetwork(*problem.layers.split(found.parameters))
    return Row(BACKPROP, windows.horizon, split.rmse_mv(network.predict), NEURONS, None, time.process_time() - started)


def _figure(rows: list[Row]) -> Figure:
    figure = new_figure("All networks on record 208", 3.8)
    horizons = sorted({row.horizon for row in rows})
    names = list(dict.fromkeys(row.name for row in rows))
    grid = figure.subplots(1, len(horizons), sharey=True, squeeze=False)[0]
    for axes, horizon in zip(grid, horizons, strict=True):
        several = [row for row in rows if row.horizon == horizon]
        for row in several:
            color = GREY if row.gap is None else BLUE
            axes.plot(row.error, names.index(row.name), "o", color=color, markersize=6)
            axes.annotate(f"{row.error:.4f}", (row.error, names.index(row.name)), (7, 0), fontsize=7, va="center",
                          textcoords="offset points", color=INK,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
        axes.axvline(next(row.error for row in several if row.name == LINEAR), color=GREY, linewidth=0.9)
        style(axes, xscale="log", xlabel="test RMSE (mV)", ylim=(len(names) - 0.5, -0.5))
        axes.set_title(_steps(horizon), fontsize=9, loc="left")
        axes.set_yticks(range(len(names)), names)
        plain_log(axes.xaxis)
        axes.set_xlim(0.85 * min(row.error for row in several), 1.6 * max(row.error for row in several))
    return figure


if __name__ == "__main__":
    main(reproduce)
