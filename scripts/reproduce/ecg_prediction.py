"""ECG prediction: windows of 15 samples, one and five steps ahead, convex training against ten runs of backprop.

Slides: ECG prediction (training curve, test error).
Claims: convex training reaches a lower objective than backprop from every initialisation, and a lower test error; the
result does not depend on an initialisation.
Found: holds on record 208 for both horizons, and on record 100 where its file is given. Both minimise the same
objective with the same beta; backprop has more neurons than the convex optimum, Adam, minibatches and a cosine
schedule.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from _page import BLUE, GREY, Claim, Entry, Picture, main, new_figure, plain_log, style
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.linear import least_squares, persistence_weights
from ecgcvx.baselines.minibatch import train_minibatch
from ecgcvx.baselines.problem import Problem
from ecgcvx.metrics import root_mean_square
from ecgcvx.models.recovery import network_of_neurons
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.solution import AtomSolution, Round
from ecgcvx.types import Array
from ecgcvx.windows import split_windows

BETA, ROUNDS = 1e-4, 8
NEURONS, EPOCHS, RUNS = 64, 60, 10
SAMPLES = 21_600  # of each record: a minute


@dataclass(frozen=True)
class Study:
    """One record and horizon: errors in mV, objectives, curves of (seconds, P)."""

    record: str
    horizon: int
    solution: AtomSolution
    convex: float
    runs: Array
    objectives: Array
    linear: float
    persistence: float
    curve: Array
    curves: list[Array]

    @property
    def longest(self) -> float:
        """Seconds of the longest run of backprop."""
        return max(float(trace[-1, 0]) for trace in self.curves)

    def by(self, seconds: float) -> float:
        """Objective of convex training after so many seconds."""
        return float(self.curve[self.curve[:, 0] <= seconds, 1].min(initial=np.inf))

    @property
    def name(self) -> str:
        """Record and horizon."""
        return f"{self.record}, {self.horizon} step{'s' if self.horizon > 1 else ''} ahead"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The folder of record 100."""
    parser.add_argument("--mitdb", type=Path, help="your copy of the MIT-BIH Arrhythmia Database, for record 100")


def reproduce(reduced: bool, mitdb: Path | None = None) -> Entry:
    """Train everything on every record and horizon."""
    records = {"208": Path("data/mitdb208/208")} | ({"100": mitdb / "100"} if mitdb else {})
    studies = [_study(name, path, horizon, reduced) for name, path in records.items() for horizon in (1, 5)]
    lower = [float(s.objectives.min() / s.solution.primal - 1) for s in studies]
    claims = (
        Claim(
            "Convex training ends with a lower objective than backprop from every initialisation.",
            "; ".join(
                f"{s.name}: {s.solution.primal:.3e} against {s.objectives.min():.3e} to {s.objectives.max():.3e} "
                f"(convex by the end of the longest of these runs, {s.longest:.1f} s: {s.by(s.longest):.3e})"
                for s in studies
            ),
            reduced or min(lower) > 0,
        ),
        Claim(
            "It has a lower test error.",
            "; ".join(
                f"{s.name}: {s.convex:.4f} mV against {s.runs.min():.4f} to {s.runs.max():.4f} (least squares "
                f"{s.linear:.4f}, persistence {s.persistence:.4f})"
                for s in studies
            ),
            reduced or all(s.convex < np.median(s.runs) for s in studies),
        ),
    )
    return Entry(
        "ECG prediction",
        "ECG prediction: training curve, test error",
        claims,
        (
            Picture(
                "ecg_prediction",
                "Objective against processor time, and test errors of ten runs of backprop (points) and of convex "
                "training (line).",
                _curve_figure(studies),
            ),
        ),
        f"beta = {BETA:g}, {ROUNDS} rounds over all patterns; backprop: {NEURONS} neurons, Adam, {EPOCHS} epochs, "
        f"cosine schedule. The first {SAMPLES / 360:.0f} seconds of each record"
        + ("." if mitdb else "; record 100 with `--mitdb FOLDER`."),
    )


def _study(record: str, path: Path, horizon: int, reduced: bool) -> Study:
    signal = read_recording(path).signal[: 12_000 if reduced else SAMPLES]
    split = split_windows(signal, 15, horizon)
    X, y, scale = split.train.X, split.train.y, split.scaler.scale
    test_X, test_y = np.asarray(split.test.X), split.test.y
    curve: list[tuple[float, float]] = []
    started = time.process_time()

    def seen(line: Round) -> None:
        if line.rows == len(y):
            curve.append((time.process_time() - started, line.primal))

    solver = ActiveSetSolver(rounds=2 if reduced else ROUNDS, confirm_starts=0, threads=1)
    solution = solver.solve(AllPatterns(X, y, BETA), callback=seen)
    curve.append((time.process_time() - started, solution.primal))
    network = network_of_neurons(solution.atoms.points, solution.atoms.tags[:, 0])
    problem = Problem(Layers((16, NEURONS, 1)), X, y, BETA).single()
    runs = [_backprop(problem, seed, 2 if reduced else EPOCHS) for seed in range(2 if reduced else RUNS)]
    test = Problem(problem.layers, test_X.astype(np.float32), test_y.astype(np.float32), 0.0)
    errors = np.array([scale * np.sqrt(2 * test.objective(parameters)) for parameters, _ in runs])
    linear = scale * root_mean_square(test_y - test_X @ least_squares(X, y))
    persistence = scale * root_mean_square(test_y - test_X @ persistence_weights(16))
    return Study(
        record, horizon, solution, scale * root_mean_square(test_y - network.predict(test_X)), errors,
        np.array([problem.objective(parameters) for parameters, _ in runs]), linear, persistence,
        np.array(curve), [trace for _, trace in runs],
    )  # fmt: skip


def _backprop(problem: Problem, seed: int, epochs: int) -> tuple[Array, Array]:
    """Parameters of a run, and (seconds, estimate of P) after every epoch."""
    random = np.random.default_rng(seed)
    started = time.process_time()
    moments: list[float] = []
    found = train_minibatch(
        problem, problem.layers.initial(random), random, step_size=3e-3, epochs=epochs,
        callback=lambda epoch, value: moments.append(time.process_time() - started),
    )  # fmt: skip
    return found.parameters, np.column_stack([moments, found.history])


def _curve_figure(studies: list[Study]) -> Figure:
    figure = new_figure("Objective while training, and test errors", 2.6 * ((len(studies) + 1) // 2) + 0.2)
    grid = figure.subplots(len(studies), 2, squeeze=False, width_ratios=(2, 1))
    figure.set_size_inches(7.2, 0.6 + 2.2 * len(studies))
    for (left, right), study in zip(grid, studies, strict=True):
        for i, trace in enumerate(study.curves):
            left.plot(*trace.T, color=GREY, linewidth=0.7, alpha=0.8, label="backprop" if i == 0 else None)
        left.plot(*study.curve.T, color=BLUE, linewidth=1.6, marker="o", markersize=3, label="convex")
        style(left, xscale="log", yscale="log", ylabel="objective P", ylim=(0.85 * study.solution.primal, None))
        left.set_title(f"record {study.name}", fontsize=9, loc="left")
        left.legend(frameon=False, fontsize=8, loc="upper right")
        spread = np.linspace(-0.3, 0.3, len(study.runs))
        right.plot(spread, study.runs, "o", color=GREY, markersize=4)
        right.axhline(study.convex, color=BLUE, linewidth=1.6)
        style(right, ylabel="test RMSE (mV)", xlim=(-0.6, 0.6))
        right.set_xticks([])
        right.margins(y=0.25)
        right.grid(axis="x", visible=False)
        plain_log(left.xaxis)
    grid[-1, 0].set_xlabel("processor time of one thread (s)", fontsize=9)
    return figure


if __name__ == "__main__":
    main(reproduce, add_options)
