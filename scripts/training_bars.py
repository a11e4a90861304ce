"""The targets that the solver over all patterns is held to, and how stored runs fare against them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training_curves import Curve, Problem, best_objective, groups, median, power, said

PATIENCE = 1.5  # a run is stopped after so many times the longest time of its bar
MEASURED = tuple[str, str, str, str]  # target, median, of all runs, met or missed


@dataclass(frozen=True)
class Bar:
    """A problem and its targets, each (value, seconds): P, the gap confirmed by `starts` fresh starts, RMSE (mV)."""

    horizon: int
    beta: float
    objective: tuple[float, float] | None = None
    gap: tuple[float, float] | None = None
    rmse: tuple[float, float] | None = None
    starts: int = 5000
    windows: int | None = None
    second_record: bool = False
    memory_gib: float | None = None
    ratio: tuple[float, str] | None = None  # share of the time of peers whose name starts so

    @property
    def seconds(self) -> float:
        """The longest time of any target."""
        return max(part[1] for part in (self.objective, self.gap, self.rmse) if part is not None)


BARS = (
    Bar(1, 1e-3, objective=(3.8195e-3, 6), gap=(5e-5, 6), ratio=(1 / 5, "L-BFGS")),
    Bar(1, 1e-4, objective=(1.1385e-3, 5), gap=(2e-3, 60)),
    Bar(1, 1e-5, objective=(6.75e-4, 10), gap=(1e-2, 180), rmse=(0.0167, 180)),
    Bar(1, 1e-6, rmse=(0.0165, 10), ratio=(1 / 6, "Adam cosine 512, 400 epochs")),
    Bar(5, 1e-5, rmse=(0.105, 12)),
    Bar(5, 1e-4, objective=(2.882e-2, 60), gap=(1e-2, 60)),
    Bar(1, 1e-3, gap=(1e-4, 3), starts=10_000, windows=8000),
    Bar(1, 1e-4, gap=(1e-2, 120), rmse=(0.0140, 120), second_record=True, memory_gib=1.5),
)


def bar_rows(number: int, bar: Bar, problem: Problem, runs: Sequence[Curve], peers: Sequence[Curve]) -> list[list[str]]:
    """A row for every target of a bar: medians over the runs, and of a ratio over those of the peer."""
    where = f"{problem.record.name}, horizon {bar.horizon}, beta = {power(bar.beta)}"
    where += f", first {bar.windows:,} windows" if bar.windows is not None else ""
    rows: list[MEASURED] = []
    if bar.objective is not None:
        value, limit = bar.objective
        rows.append(_times(f"P <= {power(value, 4)} in {limit:g} s", [run.seconds_to(value) for run in runs], limit))
    if bar.gap is not None:
        value, limit = bar.gap
        target = f"gap <= {power(value)} confirmed by {bar.starts:,} fresh starts in {limit:g} s"
        gaps = [float(run.ending["gap"]) for run in runs]
        times = [run.points[-1].seconds if gap <= value else math.inf for run, gap in zip(runs, gaps, strict=True)]
        rows.append(_times(target, times, limit, f"gap {power(median(gaps), 1)}"))
    if bar.rmse is not None:
        value, limit = bar.rmse
        errors = [run.rmse_at(limit) for run in runs]
        rows.append(_values(f"test RMSE <= {value:g} mV at {limit:g} s", errors, value, "mV"))
    if bar.memory_gib is not None:
        used = [float(run.ending["memory_gib"]) for run in runs]
        rows.append(_values(f"memory <= {bar.memory_gib:g} GiB", used, bar.memory_gib, "GiB"))
    if bar.ratio is not None:
        rows += _ratios(bar, runs, peers)
    return [[str(number), where, *row] for row in rows]


def _ratios(bar: Bar, runs: Sequence[Curve], peers: Sequence[Curve]) -> list[MEASURED]:
    """Our time over that of each peer: to within 0.1 % of the best objective, or to the error, its own end."""
    assert bar.ratio is not None
    share, start = bar.ratio
    level = 1.001 * best_objective([*runs, *peers])
    rows: list[MEASURED] = []
    for name, theirs in groups([peer for peer in peers if peer.name.startswith(start)]).items():
        if bar.objective is not None:
            target = f"within 0.1 % of the best P in {share:.2g} of the time of {name}"
            ours, peer = ([run.seconds_to(level) for run in some] for some in (runs, theirs))
        else:
            assert bar.rmse is not None
            target = f"test RMSE <= {bar.rmse[0]:g} mV in {share:.2g} of the time of {name} to its end"
            ours = [_seconds_to_rmse(run, bar.rmse[0]) for run in runs]
            peer = [run.points[-1].seconds for run in theirs]
        limit = share * median(peer)
        rows.append(_times(f"{target} ({said(median(peer))} s)", ours, limit))
    return rows


def _seconds_to_rmse(run: Curve, rmse: float) -> float:
    return next((point.seconds for point in run.points if point.test_rmse_mv <= rmse), math.inf)


def _times(target: str, times: Sequence[float], limit: float, otherwise: str = "") -> MEASURED:
    middle = median(times)
    shown = f"{said(middle)} s" if middle < math.inf else f"never{', ' + otherwise if otherwise else ''}"
    return target, shown, ", ".join(map(said, times)), "met" if middle < math.inf and middle <= limit else "missed"


def _values(target: str, values: Sequence[float], limit: float, unit: str) -> MEASURED:
    middle = median(values)
    return (
        target,
        f"{middle:.4g} {unit}",
        ", ".join(f"{value:.4g}" for value in values),
        ("met" if middle <= limit else "missed"),
    )
