"""What bench_forecast.py stores, one JSON line a run, and its table and figure.

Beside results.jsonl lies the folder `residuals` with y - f (n',) in mV of every run on the test part, as float32, of
which the errors of averaged forecasts are made.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.metrics import root_mean_square
from ecgcvx.types import Array
from forecast_models import LINEAR, Settings
from harness import append_line
from training_curves import said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AVERAGED = 3  # forecasts


@dataclass(frozen=True)
class Question:
    """What is forecast: a record by name, the window and the horizon in samples."""

    record: str
    window: int
    horizon: int


@dataclass(frozen=True)
class Run:
    """One training and its root-mean-square error (mV) on one part; timed: on an otherwise idle machine.

    part : 'validation', the last tenth of the training part, with the training on what comes before it; or 'test'.
    """

    question: Question
    model: str
    settings: Settings
    part: str
    seed: int
    rmse_mv: float
    seconds: float
    cpu_seconds: float
    threads: int
    timed: bool
    version: str
    machine: str

    @property
    def key(self) -> tuple[object, ...]:
        """What tells this run from others."""
        return run_key(self.question, self.model, self.settings, self.part, self.seed, self.timed)

    @property
    def residuals(self) -> str:
        """Name of its file in the folder of residuals."""
        of = "_".join(f"{name}{value:g}" for name, value in self.settings.items())
        where = f"{self.question.record}_w{self.question.window}_h{self.question.horizon}"
        return f"{where}_{self.model}_{of}_s{self.seed}.npy".replace(" ", "-")


def run_key(
    question: Question, model: str, settings: Settings, part: str, seed: int, timed: bool
) -> tuple[object, ...]:
    """The key of a run that may not have been made yet."""
    return question, model, frozenset(settings.items()), part, seed, timed


def read_runs(folder: Path) -> list[Run]:
    """All stored runs, in the order in which they were made; none where there is no file.

    Raises InputError for a line that is no run.
    """
    file = folder / "results.jsonl"
    runs = []
    for number, line in enumerate(file.read_text().splitlines() if file.exists() else [], 1):
        try:
            held = json.loads(line)
            runs.append(Run(**{**held, "question": Question(**held["question"])}))
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{file}, line {number}: no result of a run; delete the line") from None
    return runs


def append_run(folder: Path, run: Run, residuals: Array | None = None) -> None:
    """Store a run: its residuals first, so that a line never lacks them."""
    if residuals is not None:
        (folder / "residuals").mkdir(parents=True, exist_ok=True)
        np.save(folder / "residuals" / run.residuals, residuals.astype(np.float32))
    append_line(folder / "results.jsonl", asdict(run))


@dataclass(frozen=True)
class Summary:
    """All runs of one model with the same settings on one question; mean of AVERAGED forecasts if `averaged`.

    rmses : in mV on the test part, one a seed, or one a combination of seeds. seconds : of the timed runs, of a mean
    the sum over its members. validation : in mV, None without one. chosen : validation prefers these settings among
    those that were run on the test part.
    """

    question: Question
    model: str
    settings: Settings
    rmses: tuple[float, ...]
    seconds: tuple[float, ...]
    validation: float | None
    chosen: bool = True
    averaged: bool = False

    @property
    def name(self) -> str:
        """Name of its row."""
        return f"mean of {AVERAGED}: {self.model}" if self.averaged else self.model

    @property
    def rmse(self) -> float:
        """Median over the seeds."""
        return statistics.median(self.rmses)

    @property
    def time(self) -> float | None:
        """Median seconds."""
        return statistics.median(self.seconds) if self.seconds else None


def summaries(runs: Sequence[Run], folder: Path) -> list[Summary]:
    """What the runs on the test part come to, question by question, the lowest median first."""
    found = []
    for own in _groups(runs):
        tested = {run.seed: run for run in own if run.part == "test"}
        if not tested:
            continue
        seeds = sorted(tested)
        errors = [run.rmse_mv for run in own if run.part == "validation"]
        single = Summary(
            own[0].question, own[0].model, own[0].settings,
            rmses=tuple(tested[seed].rmse_mv for seed in seeds),
            seconds=tuple(run.seconds for run in own if run.timed),
            validation=statistics.median(errors) if errors else None,
        )  # fmt: skip
        found.append(single)
        if len(seeds) >= AVERAGED:
            found.append(_averaged(single, [np.load(folder / "residuals" / tested[seed].residuals) for seed in seeds]))
    best: dict[tuple[Question, str], float] = {}
    for summary in found:
        if summary.validation is not None:
            rivals = summary.question, summary.model
            best[rivals] = min(summary.validation, best.get(rivals, np.inf))
    judged = [
        replace(summary, chosen=summary.validation in (None, best.get((summary.question, summary.model))))
        for summary in found
    ]
    return sorted(judged, key=lambda summary: (*asdict(summary.question).values(), summary.rmse))


def _groups(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs of one model with one choice of settings on one question, together."""
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.question, run.model, frozenset(run.settings.items())), []).append(run)
    return list(groups.values())


def _averaged(single: Summary, residuals: Sequence[Array]) -> Summary:
    """The mean of AVERAGED forecasts, over all choices of so many seeds."""
    rmses = tuple(root_mean_square(np.mean(part, axis=0)) for part in combinations(residuals, AVERAGED))
    seconds = tuple(AVERAGED * time for time in single.seconds)
    return replace(single, rmses=rmses, seconds=seconds, averaged=True)


def result_rows(found: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of one question."""
    header = ["forecaster", "settings", "validation, mV", "test RMSE, mV, median", "range", "runs", "s"]
    rows = []
    for summary in found:
        name = f"**{summary.name}**" if summary.model.startswith("ecgcvx") else summary.name
        settings = _told(summary.settings) + ("" if summary.chosen else " (not chosen)")
        validation = "" if summary.validation is None else f"{summary.validation:.5f}"
        seconds = "" if summary.time is None else said(summary.time)
        count = str(len(summary.rmses))
        rows.append([name, settings, validation, f"{summary.rmse:.5f}", _spread(summary.rmses), count, seconds])
    return header, rows


def overview_rows(found: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Header and rows for one record and window: the median error of every model at every horizon."""
    chosen = {(summary.name, summary.question.horizon): summary.rmse for summary in found if summary.chosen}
    horizons = sorted({horizon for _, horizon in chosen})
    rows = [
        [name, *(f"{chosen[name, horizon]:.4f}" if (name, horizon) in chosen else "" for horizon in horizons)]
        for name in dict.fromkeys(name for name, _ in chosen)
    ]
    return ["test RMSE, mV", *map(_ahead, horizons)], sorted(rows, key=lambda row: row[1:])


def validation_rows(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of all runs on a validation part, median over seeds, best first for each question and model."""
    order = sorted(
        _groups(run for run in runs if run.part == "validation"),
        key=lambda own: (own[0].question.record, own[0].question.horizon, own[0].model, own[0].question.window,
                         statistics.median(run.rmse_mv for run in own)),
    )  # fmt: skip
    rows = []
    for own in order:
        asked, errors = own[0].question, [run.rmse_mv for run in own]
        rows.append([
            asked.record, str(asked.horizon), str(asked.window), own[0].model, _told(own[0].settings),
            f"{statistics.median(errors):.5f}", _spread(errors), str(len(errors)),
        ])  # fmt: skip
    return ["record", "horizon", "window", "forecaster", "settings", "validation RMSE, mV", "range", "runs"], rows


def _spread(errors: Sequence[float]) -> str:
    return "" if len(errors) == 1 else f"{min(errors):.5f} to {max(errors):.5f}"


def _told(settings: Settings) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in settings.items())


COLOURS = {
    LINEAR: "#9a9a9a", "gradient boosting": "#8a6d3b", "MLP 64": "#e0a070", "MLP 512": "#d07c3a",
    "MLP 128+128": "#c2571a", "MLP 128+128 (PyTorch)": "#7a3610", "ecgcvx, two layers": "#7fa3e0",
    "ecgcvx, stack": "#1f4fa3",
}  # fmt: skip


def forecast_figure(found: Sequence[Summary]) -> "Figure":
    """RMSE against time, a panel for each question that was timed; RMSE over the linear AR's against horizon."""
    from matplotlib.figure import Figure

    chosen = [summary for summary in found if summary.chosen and summary.model in COLOURS]
    timed = sorted({(s.question.record, s.question.horizon) for s in chosen if s.time is not None})
    records = sorted({summary.question.record for summary in chosen}, reverse=True)
    columns = max(len(timed), len(records), 1)
    lines = (1 if timed else 0) + 1
    figure = Figure(figsize=(4.8 * columns, 0.6 + 3.5 * lines), dpi=150, layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    drawn: dict[str, Any] = {}
    for axes, (record, horizon) in zip(grid[0], timed, strict=False):
        own = [s for s in chosen if (s.question.record, s.question.horizon) == (record, horizon)]
        drawn |= _against_time(axes, own)
        axes.set_title(f"record {record}, {_ahead(horizon)}", fontsize=9, loc="left")
    for axes, record in zip(grid[-1], records, strict=False):
        drawn |= _against_horizon(axes, [s for s in chosen if s.question.record == record])
        axes.set_title(f"record {record}", fontsize=9, loc="left")
    for row, used in ((grid[0], len(timed) if timed else len(records)), (grid[-1], len(records))):
        for axes in row[used:]:
            axes.remove()
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _ahead(horizon: int) -> str:
    return f"{horizon} ahead"


def _against_time(axes: "Axes", found: Sequence[Summary]) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    for summary in found:
        if summary.time is None or summary.model == LINEAR:  # its error would hide the differences of the others
            continue
        below, above = summary.rmse - min(summary.rmses), max(summary.rmses) - summary.rmse
        drawn[summary.name] = axes.errorbar(
            summary.time, summary.rmse, [[below], [above]], color=COLOURS[summary.model], capsize=2, markersize=6,
            marker="s" if summary.averaged else "o", linestyle="none",
        )  # fmt: skip
    axes.set(xscale="log", xlabel="seconds of training", ylabel="test RMSE (mV)")
    axes.xaxis.set_major_formatter("{x:g}")
    _grid(axes)
    return drawn


def _against_horizon(axes: "Axes", found: Sequence[Summary]) -> dict[str, Any]:
    drawn: dict[str, Any] = {}
    linear = {summary.question.horizon: summary.rmse for summary in found if summary.model == LINEAR}
    for name in sorted({summary.name for summary in found if summary.model != LINEAR}):
        own = sorted((s for s in found if s.name == name and s.question.horizon in linear), key=_horizon)
        horizons = [summary.question.horizon for summary in own]
        ratios = [summary.rmse / linear[summary.question.horizon] for summary in own]
        if own:
            (drawn[name],) = axes.plot(
                horizons, ratios, color=COLOURS[own[0].model], linestyle="--" if own[0].averaged else "-",
                marker="s" if own[0].averaged else "o", markersize=4, linewidth=1.2,
            )  # fmt: skip
    axes.set(xscale="log", xlabel="horizon (samples)", ylabel="test RMSE over that of the linear AR", xlim=(0.9, 42))
    axes.set_xticks(sorted(linear), [str(horizon) for horizon in sorted(linear)], minor=False)
    axes.minorticks_off()
    _grid(axes)
    return drawn


def _horizon(summary: Summary) -> int:
    return summary.question.horizon


def _grid(axes: "Axes") -> None:
    axes.grid(color="#ececec", linewidth=0.5)
    axes.set_axisbelow(True)
