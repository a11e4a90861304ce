"""The output folder of a fit, and the forms in which results are written: JSON and tables."""

import csv
import json
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from rich.table import Table

from ecgcvx import __version__
from ecgcvx.evidence import at_most
from ecgcvx.figures import forecast_figure, path_figure, save_figure, sparsity_figure, strip_start
from ecgcvx.files import write_files
from ecgcvx.fit_options import FitOptions
from ecgcvx.fitting import Fit, LinearChoice, SizeChoice, SparseLine
from ecgcvx.interpretation import interpret
from ecgcvx.model_file import digest
from ecgcvx.outside import outside_json
from ecgcvx.path import RegularisationPath, path_csv
from ecgcvx.proof import proof_json
from ecgcvx.records import Recording
from ecgcvx.recurrence import Recurrence
from ecgcvx.report import training_of, write_report
from ecgcvx.scores import Score
from ecgcvx.solvers.check import Check

MODEL = "model.safetensors"
REPORT = "report.html"
OPTIONAL = ("sparsity.csv", "sparsity.png", "horizons.png", REPORT)
SCORED = ("name", "neurons", "train_rmse_mv", "test_rmse_mv", "test_inside_rmse_mv", "objective")


def metrics(result: Fit, recording: Recording, options: FitOptions, folder: Path) -> dict[str, Any]:
    """The result of a fit as one JSON object; null where a number does not exist."""
    counts = result.split.counts
    return {
        **_task(recording, options),
        "beta": result.forecaster.beta,
        "beta_chosen_by": "user" if options.beta is not None else "validation",
        "windows": {
            "train": counts.train,
            "test": counts.test,
            "excluded": counts.excluded,
            "excluded_because": {"missing": counts.missing, "split": counts.split},
        },
        "models": [_score_json(score) for score in result.scores],
        "outside": outside_json(result.outside),
        "cautions": list(result.cautions),
        **({"sparsified": [asdict(line) for line in result.sparse]} if result.sparse else {}),
        **({"check": [asdict(check) for check in result.checks]} if result.checks else {}),
        **({} if result.choice is None else {"choice": _choice_json(result.choice)}),
        **({} if result.recurrence is None else {"recurrence": asdict(result.recurrence)}),
        **({} if result.linear is None else {"linear": {"free": result.linear.free, **asdict(result.linear)}}),
        **result.trained.record,
        **({} if result.forecaster.calibration is None else {"intervals": interval_scores(result, recording)}),
        "interrupted": result.interrupted or None,
        "proof": None if result.proof is None else proof_json(result.proof),
        "output": str(folder),
    }


def interval_scores(result: Fit, recording: Recording) -> list[dict[str, Any]]:
    """How the intervals do on the test part: share inside and mean width in mV, as calibrated and adaptive."""
    model, targets = result.forecaster, result.split.test.targets
    made, signal, found = model.forecasts(recording), recording.signal[targets], []
    for coverage in model.calibrated().coverages:
        line: dict[str, Any] = {"coverage": coverage}
        for name, adapt in (("calibrated", False), ("adaptive", True)):
            lower, upper = (ends[targets] for ends in made.interval(coverage, adapt=adapt))
            inside = float(((signal >= lower) & (signal <= upper)).mean())
            line[name] = {"inside": inside, "width_mv": float((upper - lower).mean())}
        found.append(line)
    return found


def interval_note(scores: list[dict[str, Any]]) -> str:
    """One line a coverage."""
    return "\n".join(
        f"{100 * line['coverage']:g} % intervals on the test part: {100 * line['calibrated']['inside']:.1f} % inside, "
        f"mean width {line['calibrated']['width_mv']:.4f} mV; adaptive {100 * line['adaptive']['inside']:.1f} %, "
        f"{line['adaptive']['width_mv']:.4f} mV"
        for line in scores
    )


def _task(recording: Recording, options: FitOptions) -> dict[str, Any]:
    """What every JSON object begins with: the signal and what of it is predicted from what."""
    return {
        "record": recording.name,
        "lead": recording.lead,
        "sampling_frequency_hz": recording.sampling_frequency,
        "resampled_from_hz": recording.original_frequency,
        "unit": recording.unit,
        "joined": [lead.name for lead in recording.joined],
        "warnings": list(recording.warnings),
        "window": options.window,
        "horizon": options.horizon,
    }


def write_output(result: Fit, recording: Recording, options: FitOptions, folder: Path) -> dict[str, Any]:
    """Write model, metrics, figure and report into a folder; return the metrics.

    All files or none (`write_files`), and metrics name the model that they belong to by its digest. The report leaves
    out which patterns recur: the trainings that show it take as long as the fit.

    Raises InputError when the folder cannot be made.
    """
    found = metrics(result, recording, options, folder)
    whole = found | settings_of(result, options)
    write_files(folder, lambda scratch: _fill(scratch, result, recording, options, whole, folder), OPTIONAL)
    return found


def settings_of(result: Fit, options: FitOptions) -> dict[str, Any]:
    """What metrics.json holds besides the result: version, digest of the model, options, and how the solver ended."""
    trained = result.trained
    return {
        "version": __version__,
        "model_digest": digest(result.forecaster),
        "options": options.settings,
        "solver": {
            "primal": trained.gap.primal,
            "dual": trained.gap.dual,
            **{name: getattr(trained, name) for name in ("status", "detail", "violation", "iterations", "seconds")},
            "overrun": result.overrun,
        },
    }


def _fill(
    scratch: Path, result: Fit, recording: Recording, options: FitOptions, found: dict[str, Any], folder: Path
) -> None:
    text = json.dumps(found, indent=2, allow_nan=False) + "\n"
    result.forecaster.save(scratch / MODEL)
    (scratch / "metrics.json").write_text(text, encoding="utf-8")
    made = result.forecaster.forecasts(recording)
    forecast = made.samples()
    rate = recording.sampling_frequency
    ahead = "1 sample" if options.horizon == 1 else f"{options.horizon} samples"
    convex = result.scores[-1]
    band, known = None, result.forecaster.calibration
    if known is not None:
        widest = max(known.coverages)
        band = (widest, made.interval(widest, adapt=True))
    figure = forecast_figure(
        recording.signal,
        forecast,
        rate,
        strip_start(forecast, rate, result.split.boundary),
        f"{recording.name}, {recording.lead}: forecast {ahead} ({1e3 * options.horizon / rate:.3g} ms) ahead",
        f"test part; convex {options.network.title} network, {convex.neurons} neurons, "
        f"test RMSE {convex.test_rmse_mv:.4f} mV",
        band,
    )
    save_figure(figure, scratch / "predictions.png")
    if result.sparse:
        (scratch / "sparsity.csv").write_bytes(_sparsity_csv(result.sparse).encode())
        title = f"{recording.name}, {recording.lead}: neurons against objective, beta = {result.forecaster.beta:.3g}"
        save_figure(sparsity_figure(result.sparse, convex.neurons or 0, title), scratch / "sparsity.png")
    reading = interpret(result.forecaster, recording, part="test", refitting=None, split=result.split)
    write_report(scratch / REPORT, reading, training_of(found, str(folder / "metrics.json")), str(folder))


def _sparsity_csv(lines: tuple[SparseLine, ...]) -> str:
    buffer = StringIO()
    writer = csv.DictWriter(buffer, list(SparseLine.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    return buffer.getvalue()


def _choice_json(choice: SizeChoice) -> dict[str, Any]:
    """What chose the number of neurons: errors on the validation part by size."""
    return {
        "rule": choice.rule,
        "neurons": choice.chosen.neurons,
        "carried": choice.carried,
        "sizes": [asdict(line) for line in choice.lines],
    }


def choice_note(choice: SizeChoice, kept: int) -> str:
    """One sentence on the choice."""
    best = min(line.validation_rmse_mv for line in choice.lines)
    first = choice.lines[0]
    how = f"as many for each training window as the {choice.chosen.neurons} chosen by {choice.rule}"
    if choice.carried:
        how = (
            f"of the {choice.chosen.neurons} chosen by {choice.rule} on the first part of the training windows, "
            "carried over, as the time limit left none to prune the network of all of them"
        )
    return (
        f"{kept} neurons, {how}: "
        f"validation {choice.chosen.validation_rmse_mv:.5f} mV, the largest there, {first.neurons} "
        f"neurons, {first.validation_rmse_mv:.5f}, best of the curve {best:.5f}"
    )


def recurrence_note(found: Recurrence) -> str:
    """What to make of single patterns."""
    return (
        f"{found.words} among the {found.others} chosen on the first part of the training windows, on in the same test "
        f"windows; `ecgcvx interpret` trains again to see which"
    )


def linear_note(choice: LinearChoice) -> str:
    """One sentence on what chose the linear part."""
    if choice.free_rmse_mv is None:
        return (
            f"no free linear part was tried: on the validation part the linear forecast alone has "
            f"{choice.linear_rmse_mv:.3g} mV, the network {choice.penalised_rmse_mv:.3g}"
        )
    which = "a free linear part beside the neurons" if choice.free else "no free linear part"
    errors = f"{choice.free_rmse_mv:.3g} mV with it, {choice.penalised_rmse_mv:.3g} mV without"
    end = (
        "; the linear forecast alone errs by less than a thousandth of the signal's standard deviation, so that no "
        "smaller beta was tried (give --beta for one)"
        if choice.linear_exact
        else ""
    )
    return f"{which}, chosen by validation: {errors}{end}"


def _score_json(score: Score) -> dict[str, Any]:
    """A line of the comparison; the gap as its relative size, what it rests on, and what it is of."""
    gap = score.gap
    return {
        **{name: getattr(score, name) for name in SCORED},
        "gap": None if gap is None else gap.relative,
        "gap_kind": None if gap is None else str(gap.evidence),
        "gap_detail": None if gap is None else gap.detail,
        "gap_of": "" if gap is None else gap.whose,
        "proved_gap": score.proved_gap,
        "seconds": score.seconds,
        "status": score.status,
    }


def sparsity_note(lines: tuple[SparseLine, ...]) -> str:
    """One sentence on the curve: the neurons that stay within .1 %, 1 % and 5 % of P."""
    parts = []
    for share in (1e-3, 1e-2, 5e-2):
        within = [line.neurons for line in lines if line.increase <= share]
        parts.append(f"{100 * share:g} %: {min(within)}")
    return "fewest neurons with P up by at most " + ", ".join(parts)


def check_note(check: Check) -> str:
    """One sentence on a check."""
    if check.objective is None:
        return f"check by {check.solver}: {check.status}"
    return (
        f"check by {check.solver}: P = {check.objective:.6e} over the network's {check.neurons} patterns, "
        f"{check.difference:.1e} of P below it ({check.status})"
    )


def score_table(scores: tuple[Score, ...]) -> Table:
    """The comparison as a table, root-mean-square errors in mV; the best on the test part stands out.

    inside : of the test windows inside the training range, where there are others.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    parted = any(score.test_inside_rmse_mv != score.test_rmse_mv for score in scores)
    inside = ("inside mV",) if parted else ()
    for title in ("model", "neurons", "train mV", "test mV", *inside, "objective P", "gap", "seconds"):
        table.add_column(title, justify="left" if title == "model" else "right", no_wrap=True)
    best = min(score.test_rmse_mv for score in scores)
    for score in scores:
        table.add_row(
            score.name,
            "" if score.neurons is None else str(score.neurons),
            f"{score.train_rmse_mv:.5f}",
            f"{score.test_rmse_mv:.5f}",
            *(["" if score.test_inside_rmse_mv is None else f"{score.test_inside_rmse_mv:.5f}"] if parted else []),
            "" if score.objective is None else f"{score.objective:.5e}",
            "" if score.gap is None else at_most(score.gap.relative),
            f"{score.seconds:.2f}",
            style="bold" if score.test_rmse_mv == best else "",
        )
    return table


def path_table(path: RegularisationPath) -> Table:
    """The path as a table, root-mean-square errors in mV; the chosen beta stands out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("beta", "neurons", "objective P", "gap", "train mV", "valid. mV", "test mV", "seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    for point in path.points:
        table.add_row(
            f"{point.beta:.2e}",
            str(point.neurons),
            f"{point.objective:.5e}",
            at_most(point.gap),
            f"{point.train_rmse_mv:.5f}",
            f"{point.validation_rmse_mv:.5f}",
            f"{point.test_rmse_mv:.5f}",
            f"{point.seconds:.2f}",
            style="bold" if point == path.chosen else "",
        )
    return table


def path_json(path: RegularisationPath, recording: Recording, options: FitOptions, folder: Path) -> dict[str, Any]:
    """The path as one JSON object."""
    train, validation, test = path.windows
    return {
        **_task(recording, options),
        "network": options.network.name,
        "patterns": options.network.settings["patterns"],
        "windows": {"train": train, "validation": validation, "test": test},
        "step": path.step,
        "status": path.status,
        "floor_reached": path.floor_reached,
        "largest_beta": path.largest_beta,
        "chosen_beta": path.chosen.beta,
        "points": [asdict(point) for point in path.points],
        "output": str(folder),
    }


def write_path(path: RegularisationPath, recording: Recording, folder: Path) -> None:
    """Write path.csv and path.png into a folder, both or none."""

    def fill(scratch: Path) -> None:
        (scratch / "path.csv").write_bytes(path_csv(path).encode())
        title = f"{recording.name}, {recording.lead}: regularisation path"
        save_figure(path_figure(path, title), scratch / "path.png")

    write_files(folder, fill)
