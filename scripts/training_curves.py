"""Curves of objective and test error against time: judged from stored runs, summarised in tables and a figure.

A run is a file NAME-sSEED.npz in the folder of its problem, with seconds (k,) and either the networks of these moments
(sizes (k,), W1 (d, sum of sizes), W2 (sum of sizes,)) or predictions (k, n') of the test part. It is judged once, in
float64 from the record, and the result is kept beside it as NAME-sSEED.json.
"""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ecgcvx.metrics import root_mean_square
from ecgcvx.models import GatedNetwork, ReluNetwork
from ecgcvx.records import read_recording
from ecgcvx.types import Array
from ecgcvx.windows import Split, Windows, split_windows

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = (1e-2, 1e-3)  # above the best objective that anyone found
FLOOR = 3e-6  # of the figure
OURS = "ecgcvx"


class Point(NamedTuple):
    """One moment of a run: P at the balanced scaling (None for a forecaster), test RMSE in mV, neurons."""

    seconds: float
    objective: float | None
    test_rmse_mv: float
    neurons: int | None


@dataclass(frozen=True)
class Problem:
    """A record, a horizon (samples), beta (None for forecasters), and how many of its first windows (None: all)."""

    record: Path
    horizon: int
    beta: float | None = None
    windows: int | None = None

    @property
    def key(self) -> str:
        """Name of its folder."""
        beta = "" if self.beta is None else f"_beta{self.beta:.0e}"
        return f"{self.record.name}_h{self.horizon}{beta}" + ("" if self.windows is None else f"_n{self.windows}")

    @cached_property
    def split(self) -> Split:
        """Training and test windows, standardised."""
        return split_windows(read_recording(self.record).signal, horizon=self.horizon)

    @property
    def rows(self) -> int:
        """Training windows."""
        return len(self.split.train) if self.windows is None else self.windows


@dataclass(frozen=True)
class Curve:
    """A judged run: who, with which seed, and what happened when; ending: what the contender says of its end."""

    name: str
    seed: int
    points: tuple[Point, ...]
    ending: dict[str, Any]

    @property
    def best(self) -> float:
        """Lowest objective."""
        return min((p.objective for p in self.points if p.objective is not None), default=math.inf)

    def seconds_to(self, objective: float) -> float:
        """First moment with P <= objective; infinite if never."""
        return next((p.seconds for p in self.points if p.objective is not None and p.objective <= objective), math.inf)

    def rmse_at(self, seconds: float) -> float:
        """Test RMSE of the last moment within so many seconds."""
        return next((p.test_rmse_mv for p in reversed(self.points) if p.seconds <= seconds), math.inf)


def curves(folder: Path, problem: Problem) -> list[Curve]:
    """All runs of a problem, those judged that are not yet; in the order of their names."""
    return [_judged(run, problem) for run in sorted((folder / problem.key).glob("*.npz"))]


def _judged(run: Path, problem: Problem) -> Curve:
    kept = run.with_suffix(".json")
    name, seed = run.stem.rsplit("-s", 1)
    if not kept.exists() or kept.stat().st_mtime < run.stat().st_mtime:
        with np.load(run) as held:
            points = list(_points(held, problem))
            ending = {**json.loads(str(held["meta"])), **(json.loads(str(held["ending"])) if "ending" in held else {})}
        kept.write_text(json.dumps({"name": name, "seed": int(seed), "points": points, "ending": ending}, indent=1))
    told = json.loads(kept.read_text())
    return Curve(told["name"], told["seed"], tuple(Point(*point) for point in told["points"]), told["ending"])


def _points(held: "np.lib.npyio.NpzFile", problem: Problem) -> Iterator[Point]:
    split = problem.split
    test_rmse = _Test(split.test, split.scaler.scale)
    seconds = held["seconds"].tolist()
    if "predictions" in held:
        for now, f in zip(seconds, held["predictions"], strict=True):
            yield Point(now, None, test_rmse.of(f.astype(np.float64)), None)
        return
    assert problem.beta is not None
    ends = np.cumsum(held["sizes"])
    X = split.train.X if problem.windows is None else split.train.X[: problem.windows]
    y = split.train.y[: problem.rows]
    W1s, W2s, gates = held["W1"], held["W2"], held.get("gates")
    for now, a, b in zip(seconds, [0, *ends], ends, strict=False):
        W1, W2 = W1s[:, a:b], W2s[a:b]
        network = ReluNetwork(W1, W2) if gates is None else GatedNetwork(W1, W2, gates)
        penalty = float(np.linalg.norm(W1, axis=0) @ np.abs(W2))
        objective = float(np.mean((network.predict(X) - y) ** 2)) / 2 + problem.beta * penalty
        used = int(np.count_nonzero(np.linalg.norm(W1, axis=0) * W2))
        # A gated network minimises another objective.
        yield Point(now, objective if gates is None else None, test_rmse.of(network.predict(split.test.X)), used)


@dataclass(frozen=True)
class _Test:
    windows: Windows
    scale: float

    def of(self, f: Array) -> float:
        return self.scale * root_mean_square(self.windows.y - f)


def groups(found: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Curves by contender, all seeds of one together."""
    out = defaultdict(list)
    for curve in found:
        out[curve.name].append(curve)
    return dict(out)


def best_objective(found: Sequence[Curve]) -> float:
    """The lowest objective that anyone found."""
    return min((curve.best for curve in found), default=math.inf)


def objective_rows(found: Sequence[Curve]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: medians over the runs of every contender that has an objective, fastest to 1 % first."""
    best = best_objective(found)
    header = [
        "contender", "runs", "s to 1 %", "s to 0.1 %", "s in all", "lowest P", "above the best",
        "test RMSE at the end, mV",
    ]  # fmt: skip
    rows = []
    for name, runs in groups([curve for curve in found if curve.best < math.inf]).items():
        times = [median([run.seconds_to(best * (1 + level)) for run in runs]) for level in LEVELS]
        end = median([run.points[-1].seconds for run in runs])
        P = median([run.best for run in runs])
        rmse = median([run.points[-1].test_rmse_mv for run in runs])
        rows.append(
            ((*times, P), [name, str(len(runs)), *map(said, times), said(end), power(P, 4), power(P / best - 1, 1),
                           f"{rmse:.4f}"])
        )  # fmt: skip
    return header, [row for _, row in sorted(rows, key=lambda row: row[0])]


def forecaster_rows(found: Sequence[Curve]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: time and test error at the end, median over the runs of every contender, best first."""
    rows = []
    for name, runs in groups(found).items():
        rmse = median([run.points[-1].test_rmse_mv for run in runs])
        seconds = median([run.points[-1].seconds for run in runs])
        rows.append((rmse, [name, str(len(runs)), said(seconds), f"{rmse:.4f}"]))
    return ["forecaster", "runs", "s", "test RMSE, mV"], [row for _, row in sorted(rows)]


def median(values: Sequence[float]) -> float:
    """The median, where a run that never arrives counts as infinite."""
    return statistics.median_high(values)


def power(value: float, digits: int = 0) -> str:
    """A number as 3.8194e-3."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def said(seconds: float) -> str:
    """Seconds for a table."""
    return "never" if seconds == math.inf else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def curves_figure(panels: Sequence[tuple[str, Sequence[Curve]]]) -> "Figure":
    """(P - P_best) / P_best against seconds, both on log scales, a panel a problem.

    Every run of ours and of L-BFGS is drawn; of Adam, the lower envelope over all widths and lengths of a schedule, as
    if one had known before which to take.
    """
    from matplotlib.figure import Figure

    count = len(panels)
    columns = min(count, 2)
    lines = -(-count // columns)
    figure = Figure(figsize=(4.6 * columns, 0.5 + 3.3 * lines), dpi=150, layout="constrained")
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    named: dict[str, Artist] = {}
    for axes, (title, found) in zip(grid.flat, panels, strict=False):
        named |= _draw(axes, title, found)
    for axes in grid.flat[count:]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("above the best objective, relative")
    order = [style.label for style in STYLES if style.label in named]
    figure.legend([named[label] for label in order], order, loc="outside lower center", ncols=3, frameon=False)
    return figure


class Style(NamedTuple):
    """How the contenders whose names start with `prefix` are drawn; envelope: as one line, the best at each moment."""

    prefix: str
    label: str
    color: str
    line: str
    width: float
    envelope: bool


STYLES = (
    Style(OURS, "ecgcvx", "#1f4fa3", "-", 1.8, False),
    Style("L-BFGS 64 in chunks", "L-BFGS in chunks, 64 neurons", "#c2571a", "-", 1.2, False),
    Style("L-BFGS 256 in chunks", "L-BFGS in chunks, 256 neurons", "#c2571a", "--", 1.2, False),
    Style("L-BFGS 64", "L-BFGS, 64 neurons", "#e0a070", "-", 1.2, False),
    Style("Adam cosine", "Adam, cosine schedule, best of 6", "#4d4d4d", "-", 1.2, True),
    Style("Adam constant", "Adam, constant step, best of 2", "#9a9a9a", "--", 1.2, True),
)


def _draw(axes: "Axes", title: str, found: Sequence[Curve]) -> "dict[str, Artist]":
    best = best_objective(found)
    drawn: dict[str, Artist] = {}
    left = list(found)
    for style in STYLES:
        own = [curve for curve in left if curve.name.startswith(style.prefix)]
        left = [curve for curve in left if curve not in own]
        tracks = [_track(own)] if style.envelope and own else [_track([curve]) for curve in own]
        for seconds, objectives in tracks:
            above = np.maximum(objectives / best - 1, FLOOR)
            (drawn[style.label],) = axes.step(
                seconds, above, where="post", color=style.color, linestyle=style.line, linewidth=style.width
            )
    for level in LEVELS:
        axes.axhline(level, color="#bbbbbb", linewidth=0.7, linestyle=":")
    axes.set(xscale="log", yscale="log", ylim=(FLOOR, 3.0), xlim=(0.1, None), xlabel="seconds")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title(f"{title}, best P = {power(best, 4)}", fontsize=9, loc="left")
    axes.grid(color="#ececec", linewidth=0.5)
    axes.set_axisbelow(True)
    return drawn


def _track(runs: Sequence[Curve]) -> tuple[Array, Array]:
    """The lowest objective of any of the runs so far, at every moment of theirs; None never comes in here."""
    points = sorted((p.seconds, p.objective) for run in runs for p in run.points if p.objective is not None)
    seconds, objectives = np.array(points).T
    return seconds, np.minimum.accumulate(objectives)
