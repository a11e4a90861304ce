"""How a comparison is presented: table, fairness, JSON, and the files of its folder."""

import json
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from ecgcvx import __version__
from ecgcvx.comparison.contenders import BATCH, CONTENDERS
from ecgcvx.comparison.figures import step_figure, time_figure
from ecgcvx.comparison.race import Run, Task
from ecgcvx.comparison.study import Comparison
from ecgcvx.evidence import at_most
from ecgcvx.figures import save_figure
from ecgcvx.files import write_files
from ecgcvx.records import Recording

WITHIN = 0.01
TIME_FIGURE, STEP_FIGURE = "objective_against_time.png", "step_sizes.png"


@dataclass(frozen=True)
class Line:
    """An optimiser's runs in a few numbers; gaps are P / lower bound - 1, None without a positive bound.

    within : runs whose P ended within 1 % of the convex network's, or below. seconds : median processor time.
    """

    optimiser: str
    label: str
    schedule: str | None
    step_size: float | None
    step_at_edge: bool
    runs: int
    best: float
    median: float
    worst: float
    best_gap: float | None
    median_gap: float | None
    test_rmse_mv: float
    seconds: float
    iterations: int
    within: int


def lines(found: Comparison) -> list[Line]:
    """One line an optimiser that has runs, the lowest median objective first."""
    made = [
        _line(found, name, own)
        for name in found.options.contenders
        if (own := [run for run in found.runs if run.task.contender == name])
    ]
    return sorted(made, key=lambda line: line.median)


def _line(found: Comparison, name: str, runs: list[Run]) -> Line:
    objectives = [run.objective for run in runs]
    task, grid = found.chosen[name], CONTENDERS[name].grid
    reference = found.reference.trained
    return Line(
        name, CONTENDERS[name].label, task.schedule, task.step_size, task.step_size in (*grid[:1], *grid[-1:]),
        len(runs), min(objectives), median(objectives), max(objectives),
        _gap(found, min(objectives)), _gap(found, median(objectives)),
        median(run.test_rmse_mv for run in runs), median(run.seconds for run in runs),
        round(median(run.iterations for run in runs)),
        sum(run.objective <= (1 + WITHIN) * reference.gap.primal for run in runs),
    )  # fmt: skip


def _gap(found: Comparison, objective: float) -> float | None:
    dual = found.reference.trained.gap.dual
    return objective / dual - 1 if dual > 0 and isfinite(objective) else None


def compare_table(found: Comparison) -> Table:
    """Objectives of all optimisers and the convex network, test errors in mV, processor seconds of one thread."""
    table = _table("optimiser", "step size", "best P", "median P", "worst P", "gap", "test mV", "s", "within 1 %")
    reference, seconds = found.reference, found.options.seconds
    trained = reference.trained
    early = reference.by(seconds)
    if early is not None and reference.seconds > seconds:
        name = f"convex, after {seconds:g} s"
        table.add_row(name, "", _number(early), "", "", _percent(_gap(found, early)), "", f"{seconds:g}", "")
    table.add_row(
        f"convex, {trained.network.neurons} neurons", "", _number(trained.gap.primal), "", "",
        _percent(_gap(found, trained.gap.primal)), f"{reference.test_rmse_mv:.5f}", f"{reference.seconds:.2f}", "",
        style="bold",
    )  # fmt: skip
    for line in lines(found):
        step = "" if line.step_size is None else f"{line.step_size:g} {line.schedule}{'*' if line.step_at_edge else ''}"
        table.add_row(
            line.label, step, _number(line.best), _number(line.median), _number(line.worst),
            _percent(line.median_gap), _number(line.test_rmse_mv, "{:.5f}"), f"{line.seconds:.2f}",
            f"{line.within} of {line.runs}",
        )  # fmt: skip
    return table


def linear_table(found: Comparison) -> Table:
    """The linear family; penalties chosen on a validation part, errors in mV."""
    table = _table("linear", "penalty", "coefficients", "train mV", "test mV")
    for score in found.linear:
        penalty = "" if score.penalty is None else f"{score.penalty:.1e}"
        errors = (f"{score.train_rmse_mv:.5f}", f"{score.test_rmse_mv:.5f}")
        table.add_row(score.name, penalty, str(score.coefficients), *errors)
    return table


def fairness(found: Comparison) -> str:
    """What was done for the optimisers, and what the numbers mean."""
    options, trained = found.options, found.reference.trained
    edge = any(line.step_at_edge for line in lines(found))
    text = (
        f"gap: of the median, to the lower bound {trained.gap.dual:.5e} ({trained.gap.evidence}; {trained.detail})\n"
        f"within 1 %: of the convex objective; test mV: median of the runs; s: processor time of one thread\n"
        f"fairness: all minimise the same P on the same standardised windows in float32, {options.neurons} neurons, "
        f"{options.runs} initialisations (He), {options.seconds:g} s a run on one thread without evaluations, "
        f"minibatches of {BATCH}; step size and schedule (constant or cosine) tuned on another initialisation with "
        "the same time:"
    )
    for name in options.contenders:
        contender = CONTENDERS[name]
        if contender.grid:
            text += f"\n  {contender.label}: {', '.join(f'{size:g}' for size in contender.grid)}"
    if edge:
        text += "\n*: the best of the grid lies at its edge"
    if trained.network.neurons > options.neurons:
        text += f"\nthe convex network chose {trained.network.neurons} neurons itself; --neurons gives the others more"
    return text


def compare_json(found: Comparison, recording: Recording, folder: Path) -> dict[str, Any]:
    """The comparison as one JSON object; null where a number does not exist, as where a run diverged."""
    reference, options = found.reference, found.options
    trained = reference.trained
    return {
        "record": recording.name,
        "lead": recording.lead,
        "sampling_frequency_hz": recording.sampling_frequency,
        "version": __version__,
        "options": asdict(options),
        "complete": found.complete,
        "windows": {"train": len(found.split.train), "test": len(found.split.test)},
        "convex": {
            "objective": trained.gap.primal,
            "lower_bound": trained.gap.dual,
            "gap": trained.gap.relative,
            "gap_kind": str(trained.gap.evidence),
            "detail": trained.detail,
            "status": trained.status,
            "neurons": trained.network.neurons,
            "train_rmse_mv": reference.train_rmse_mv,
            "test_rmse_mv": reference.test_rmse_mv,
            "seconds": reference.seconds,
            "trace": reference.trace,
        },
        "optimisers": [
            {name: _finite(value) for name, value in asdict(line).items()}
            | {"each": [_run_json(run) for run in found.runs if run.task.contender == line.optimiser]}
            for line in lines(found)
        ],
        "tuning": [_run_json(run) for run in found.tuning],
        "linear": [asdict(score) for score in found.linear],
        "output": str(folder),
    }


def _run_json(run: Run) -> dict[str, Any]:
    task: Task = run.task
    return asdict(task) | {
        "objective": _finite(run.objective),
        "test_rmse_mv": _finite(run.test_rmse_mv),
        "seconds": run.seconds,
        "iterations": run.iterations,
        "status": run.status,
        "trace": [(moment, _finite(value)) for moment, value in run.trace],
    }


def write_comparison(found: Comparison, recording: Recording, folder: Path) -> dict[str, Any]:
    """Write compare.json, and the figures of what there is, into a folder; return the JSON object."""
    facts = compare_json(found, recording, folder)
    title = f"{recording.name}, {recording.lead}"

    def fill(scratch: Path) -> None:
        (scratch / "compare.json").write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if found.runs:
            save_figure(time_figure(found, title), scratch / TIME_FIGURE)
        if found.tuning:
            save_figure(step_figure(found, title), scratch / STEP_FIGURE)

    write_files(folder, fill, (TIME_FIGURE, STEP_FIGURE))
    return facts


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    return table


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _number(value: float, form: str = "{:.4e}") -> str:
    return form.format(value) if isfinite(value) else "diverged"


def _percent(gap: float | None) -> str:
    return "" if gap is None else at_most(gap)
