"""The command line: call and print what the parser understood."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ecgcvx.errors import EcgcvxError
from ecgcvx.parser import build_parser

if TYPE_CHECKING:
    from ecgcvx.records import Recording
    from ecgcvx.training import FitOptions
    from ecgcvx.types import Progress

WIDE = 122  # columns of the table of a comparison


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it succeeded, 2 for what ecgcvx refuses (one line on standard error), 130 after Ctrl-C."""
    options = build_parser().parse_args(arguments)
    try:
        commands = {
            "fit": _fit, "path": _path, "compare": _compare, "certify": _certify, "predict": _predict,
            "interpret": _interpret,
        }  # fmt: skip
        commands[options.command](options)
    except EcgcvxError as error:
        print(f"ecgcvx: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ecgcvx: interrupted; nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _fit(options: argparse.Namespace) -> None:
    from rich.console import Console

    from ecgcvx.fitting import fit
    from ecgcvx.output import check_note, make_folder, score_table, sparsity_note, stack_notes, write_output
    from ecgcvx.proof import proof_words

    chosen = _fit_options(options, options.beta)
    recording = _read(options, options.lead)
    folder = options.output or Path("out") / Path(recording.name).name
    make_folder(folder)
    kept = chosen.solver == "active-set" and chosen.network != "stack"
    checkpoint = folder / "checkpoint.safetensors" if kept else None
    with _progress() as progress:
        result = fit(recording, chosen, progress, checkpoint=checkpoint, resume=options.resume)
        progress("writing the results", None)
        found = write_output(result, recording, chosen, folder)
    if options.json:
        print(json.dumps(found, allow_nan=False))
        return
    console = Console(soft_wrap=True, highlight=False)
    windows = found["windows"]
    console.print(
        f"{recording.name}, lead {recording.lead}, {recording.sampling_frequency:g} Hz: "
        f"{chosen.window} samples predict the one {chosen.horizon} later\n"
        f"windows: {windows['train']:,} train, {windows['test']:,} test, {windows['excluded']:,} excluded "
        f"({windows['excluded_because']['gap']:,} over gaps); "
        f"beta = {found['beta']:.3g}{' in the last stage' if result.stack else ''}, "
        f"chosen by {found['beta_chosen_by']}\n"
    )
    console.print(score_table(result.scores))
    trained = result.trained
    kind = "all patterns, as far as searched" if trained.gap_kind == "searched" else trained.gap_kind
    over = kind if chosen.patterns is None else f"the {chosen.patterns} given patterns"
    console.print(f"\nconvex: {trained.detail}; status {trained.status}")
    for line in () if result.stack is None else stack_notes(result.stack):
        console.print(line)
    for line in (*([sparsity_note(result.sparse)] if result.sparse else []), *map(check_note, result.checks)):
        console.print(line)
    console.print(
        f"train, test: root-mean-square error; gap: relative to P, over {over}\n"
        + ("" if result.proof is None else f"{proof_words(result.proof)}\n")
        + f"wrote {folder}/model.safetensors, metrics.json, predictions.png"
        + (", sparsity.csv, sparsity.png" if result.sparse else "")
        + f"; what the network does: {folder}/report.html"
    )


def _fit_options(options: argparse.Namespace, beta: float | None) -> "FitOptions":
    from ecgcvx.training import FitOptions

    patterns, solver = options.patterns, options.solver
    if patterns is None and options.network == "gated":
        patterns = 100
    if solver is None and options.network in ("polynomial", "quadratic"):
        solver = "semidefinite"
    if solver is None:
        solver = "active-set" if patterns is None else "fista"
    limits = (
        "gap", "rounds", "time_limit", "confirm_starts", "max_neurons", "tolerance", "check", "prove", "stages",
        "average", "joint",
    )  # fmt: skip
    return FitOptions(
        options.window, options.horizon, beta, patterns, options.network, solver, options.train_fraction, options.seed,
        **{name: getattr(options, name) for name in limits if hasattr(options, name)},
    )  # fmt: skip


def _path(options: argparse.Namespace) -> None:
    from rich.console import Console

    from ecgcvx.output import path_json, path_table, write_path
    from ecgcvx.path import regularisation_path

    chosen = _fit_options(options, None)
    recording = _read(options, options.lead)
    folder = options.output or Path("out") / f"{Path(recording.name).name}-path"
    with _progress() as progress:
        path, _ = regularisation_path(recording, chosen, options.betas, options.ratio, progress)
        progress("writing the results", None)
        write_path(path, recording, folder)
    if options.json:
        print(json.dumps(path_json(path, recording, chosen, folder), allow_nan=False))
        return
    train, validation, test = path.windows
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{recording.name}, lead {recording.lead}: {train:,} training, {validation:,} validation, {test:,} test "
        f"windows\nthe solution is zero from beta = {path.largest_beta:.4e} up\n"
    )
    console.print(path_table(path))
    if path.chosen == path.points[-1]:
        console.print("\nthe smallest beta was chosen; a lower --ratio may do better", end="")
    console.print(
        f"\nbeta = {path.chosen.beta:.3e} has the smallest error on the validation part; to train on all of it:\n"
        f"  {_fit_command(options, path.chosen.beta)}\nwrote {folder}/path.csv, path.png"
    )


def _fit_command(options: argparse.Namespace, beta: float) -> str:
    """The `ecgcvx fit` that trains what a path was asked for: its options that are not the defaults, and beta."""
    parser = build_parser()
    plain = vars(parser.parse_args(["fit", options.record]))
    shared = {
        name: value for name, value in vars(options).items() if name in plain and name not in ("command", "record")
    }
    words = ["ecgcvx", "fit", options.record]
    for name, value in shared.items():
        if value != plain[name] and name not in ("output", "json"):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join([*words, "--beta", f"{beta:.3e}"])


def _compare(options: argparse.Namespace) -> None:
    from rich.console import Console

    from ecgcvx.comparison.report import compare_table, fairness, linear_table, write_comparison
    from ecgcvx.comparison.study import CompareOptions, compare

    shared = ("window", "horizon", "train_fraction", "beta", "neurons", "runs", "seconds", "gap", "jobs", "seed")
    chosen = CompareOptions(**{name: getattr(options, name) for name in shared})
    if options.optimisers is not None:
        chosen = replace(chosen, contenders=tuple(dict.fromkeys(options.optimisers)))
    recording = _read(options, options.lead)
    folder = options.output or Path("out") / f"{Path(recording.name).name}-compare"
    with _progress() as progress:
        found = compare(recording, chosen, progress)
        progress("writing the results", None)
        told = write_comparison(found, recording, folder)
    if options.json:
        print(json.dumps(told, allow_nan=False))
        return
    console = Console(soft_wrap=True, highlight=False, width=WIDE)
    console.print(
        f"{recording.name}, lead {recording.lead}: {chosen.window} samples predict the one {chosen.horizon} later; "
        f"{len(found.split.train):,} training windows, beta = {chosen.beta:g}\n"
    )
    console.print(compare_table(found))
    console.print("", linear_table(found), "", fairness(found), sep="\n")
    if not found.complete:
        console.print(f"interrupted: {len(found.runs)} runs were done")
    console.print(f"wrote {', '.join(sorted(file.name for file in folder.iterdir()))} in {folder}")


def _predict(options: argparse.Namespace) -> None:
    import numpy as np

    from ecgcvx.files import atomic_write
    from ecgcvx.model_file import load
    from ecgcvx.output import forecast_csv

    forecaster = load(options.model)
    recording = _read(options, forecaster.lead if options.lead is None else options.lead)
    forecast = forecaster.predict(recording)
    text = forecast_csv(recording, forecast)
    if options.output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    atomic_write(options.output, lambda file: file.write(text.encode()))
    rmse = float(np.sqrt(np.nanmean((recording.signal - forecast) ** 2)))
    made = int(np.isfinite(forecast).sum())
    print(f"{recording.name}, lead {recording.lead}: {made:,} forecasts, RMSE {rmse:.5f} mV; wrote {options.output}")


def _certify(options: argparse.Namespace) -> None:
    from ecgcvx.certificates import certify_searched
    from ecgcvx.errors import InputError
    from ecgcvx.model_file import load
    from ecgcvx.proof import problems_of, proof_json, proof_words, prove, searched_words

    forecaster = load(options.model)
    if not options.seconds > 0:
        raise InputError(f"seconds = {options.seconds}: give a positive number")
    recording = _read(options, forecaster.lead if options.lead is None else options.lead)
    train = forecaster.training_windows(recording, options.train_fraction)
    problems = problems_of(forecaster, train)
    if not problems:
        raise InputError(
            f"{options.model}: the gap of this network was proved when it was fitted; see its metrics.json"
        )
    told, lines = [], [f"{recording.name}, lead {recording.lead}: {len(train):,} training windows"]
    with _progress() as progress:
        for one in problems:
            progress(f"{one.name}search from {options.starts} starts", None)
            searched = certify_searched(one.network, one.X, one.y, one.beta, options.starts, 0)
            proof = prove(one.network, one.X, one.y, one.beta, options.seconds, progress)
            told.append(proof_json(proof, searched))
            lines += [
                f"{one.name}beta = {one.beta:.3g}, {one.network.neurons} neurons", proof_words(proof),
                searched_words(searched),
            ]  # fmt: skip
    if options.json:
        print(json.dumps(told[0] if len(told) == 1 else {"stages": told}, allow_nan=False))
        return
    print("\n".join(lines))


def _interpret(options: argparse.Namespace) -> None:
    from rich.console import Console

    from ecgcvx.files import atomic_write
    from ecgcvx.interpret import Refitting, interpret
    from ecgcvx.interpret.output import heading, interpretation_json, notes, pattern_table, table_csv
    from ecgcvx.model_file import load
    from ecgcvx.report import read_training, report_path, write_report

    forecaster, training = load(options.model), read_training(options.model)
    recording = _read(options, forecaster.lead if options.lead is None else options.lead)
    refitting = None if options.no_stability else Refitting(rows=options.refit_windows)
    with _progress() as progress:
        found = interpret(
            forecaster, recording, top=options.top, part=options.part, train_fraction=options.train_fraction,
            importance=options.importance, refitting=refitting, progress=progress,
        )  # fmt: skip
    if options.csv is not None:
        atomic_write(options.csv, lambda file: file.write(table_csv(found).encode()))
    report = options.output
    if report is None and not options.json:
        report = report_path(options.model, recording, training)
    if report is not None:
        write_report(report, found, training, str(options.model), options.train_fraction)
    if options.json:
        print(json.dumps(interpretation_json(found), allow_nan=False))
        return
    console = Console(soft_wrap=True, highlight=False, width=WIDE)
    console.print(heading(found), "", pattern_table(found), "", notes(found), sep="\n", markup=False)
    print(f"wrote {', '.join(str(file) for file in (report, options.csv) if file is not None)}")


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A line on the terminal that says what is being done; nothing when standard error is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def progress(what: str, share: float | None) -> None:
            bar.update(task, description=what, total=None if share is None else 1.0, completed=share or 0.0)

        yield progress


def _read(options: argparse.Namespace, lead: str | None) -> "Recording":
    from ecgcvx.records import read_recording

    number = int(lead) if lead is not None and lead.isdecimal() else lead
    return read_recording(options.record, number, options.start, options.end, options.sampling_frequency)


if __name__ == "__main__":
    raise SystemExit(main())
