"""Forecast error against time and horizon: networks trained as convex programs beside their strongest peers.

run     Choose a model's settings on the validation part, train on the whole training part, store the test error.
tune    Only the runs on the validation part.
table   Print what is stored.
figure  Draw what is stored.

Usage: python scripts/bench_forecast.py run --model "MLP 128+128" --horizon 5 --seed 0 1 2 3 4
       python scripts/bench_forecast.py run --horizon 1 2 5 10 18 36 --record PATH_OF_100 --epochs 27 67
       python scripts/bench_forecast.py tune --model "MLP 128+128" --horizon 5 --window 30 60
       python scripts/bench_forecast.py table

All models get the same windows, 15 samples unless told otherwise, of the same rows, standardised alike. The validation
part is the last tenth of the training part, with no window in both; settings are chosen there, one after the other, by
runs with one seed (`forecast_models.MODELS` has the grid), which are not charged to a model's time; the models of
ecgcvx choose beta on a part of the training windows of their own, and that is charged. The test part is predicted once
by each training on the whole training part. Every run is a process of its own and adds one line to results.jsonl of
the output folder when it ends; what is stored is not run again. --timed marks runs on an otherwise idle machine: only
their seconds are shown.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from ecgcvx.errors import EcgcvxError
from ecgcvx.figures import save_figure
from ecgcvx.metrics import root_mean_square
from ecgcvx.records import Recording, read_recording
from ecgcvx.windows import Split, split_windows
from forecast_models import MODELS, Model, Settings, chosen_settings
from forecast_results import (
    Question,
    Run,
    append_run,
    forecast_figure,
    overview_rows,
    read_runs,
    result_rows,
    run_key,
    summaries,
    validation_rows,
)
from harness import ROOT, add_record, add_threads, machine, parser, program_file, run_peer, table, window_arrays

HORIZONS = (1, 2, 5, 10, 18, 36)
TRAINED = 0.9  # share of the training part before the validation part
TUNING_SEED = 0


@dataclass(frozen=True)
class Task:
    """A question about the record at `path`."""

    path: Path
    window: int
    horizon: int

    @cached_property
    def question(self) -> Question:
        """The question, the record by name."""
        return Question(self.path.name, self.window, self.horizon)

    @cached_property
    def recording(self) -> Recording:
        """The record."""
        return read_recording(self.path)

    @cached_property
    def split(self) -> Split:
        """Training and test windows."""
        return split_windows(self.recording.signal, self.window, self.horizon)

    @cached_property
    def inner_split(self) -> Split:
        """The windows of the training part alone: those to train on, and the validation part in place of the test."""
        known = self.recording.signal[: self.split.boundary]
        return split_windows(known, self.window, self.horizon, TRAINED)


def main() -> None:
    """Parse the command line and run one part."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except EcgcvxError as error:
        sys.exit(str(error))


def run_models(arguments: argparse.Namespace) -> None:
    """Choose settings, train with every seed, store the test errors."""
    for task, model in _cases(arguments):
        settings = _tuned(task, model, arguments)
        for seed in arguments.seed if model.seeded else arguments.seed[:1]:
            _stored(task, model, settings, "test", seed, arguments)


def tune_models(arguments: argparse.Namespace) -> None:
    """Choose settings on the validation part; what further seeds have there with the settings chosen."""
    for task, model in _cases(arguments):
        settings = _tuned(task, model, arguments)
        errors = [_stored(task, model, settings, "validation", seed, arguments) for seed in arguments.seed]
        print(f"{task.question}, {model.name}: {settings}, validation {statistics.median(errors):.5f} mV")


def _cases(arguments: argparse.Namespace) -> Iterator[tuple[Task, Model]]:
    for window, horizon in product(arguments.window, arguments.horizon):
        task = Task(arguments.record, window, horizon)
        for name in arguments.model:
            yield task, MODELS[name]


def _tuned(task: Task, model: Model, arguments: argparse.Namespace) -> Settings:
    axes = dict(model.axes)
    for name in axes:
        if getattr(arguments, name, None) is not None:
            axes[name] = tuple(getattr(arguments, name))
    return chosen_settings(axes, lambda settings: _stored(task, model, settings, "validation", TUNING_SEED, arguments))


def _stored(task: Task, model: Model, settings: Settings, part: str, seed: int, arguments: argparse.Namespace) -> float:
    """The error (mV) of a run, made now unless it is stored."""
    timed = arguments.timed and part == "test"
    wanted = run_key(task.question, model.name, settings, part, seed, timed)
    found = next((run for run in read_runs(arguments.output) if run.key == wanted), None)
    if found is None:
        found = _made(task, model, settings, part, seed, arguments, timed)
    return found.rmse_mv


def _made(
    task: Task, model: Model, settings: Settings, part: str, seed: int, arguments: argparse.Namespace, timed: bool
) -> Run:
    split = task.split if part == "test" else task.inner_split
    options = [*model.arguments(settings), *(("--seed", str(seed)) if model.seeded else ())]
    with program_file(window_arrays(split)) as program:
        data, result = program, program.with_name("result.npz")
        if model.reads == "record":
            data = task.path
            options += ["--horizon", str(task.horizon), "--window", str(task.window)]
        run_peer(model.script, [data, result, *options], arguments.threads)
        with np.load(result) as held:
            predictions = held["predictions"][-1].astype(np.float64)
            seconds, cpu_seconds, version = float(held["seconds"][-1]), float(held["cpu_seconds"]), str(held["version"])
    residuals = split.scaler.scale * (split.test.y - predictions)
    run = Run(
        task.question, model.name, settings, part, seed, root_mean_square(residuals), seconds, cpu_seconds,
        arguments.threads, timed, version, machine(),
    )  # fmt: skip
    append_run(arguments.output, run, residuals if part == "test" else None)
    print(f"{task.question}, {model.name} {settings}, {part}, seed {seed}: {seconds:.1f} s", file=sys.stderr)
    return run


def print_table(arguments: argparse.Namespace) -> None:
    """Print a table a question, and the runs on the validation part."""
    runs = read_runs(arguments.output)
    found = summaries(runs, arguments.output)
    print(machine() + "\n")
    for record, window in dict.fromkeys((s.question.record, s.question.window) for s in found):
        own = [s for s in found if (s.question.record, s.question.window) == (record, window)]
        print(f"### Record {record}, windows of {window} samples\n")
        print(table(*overview_rows(own)) + "\n")
    for question in dict.fromkeys(summary.question for summary in found):
        print(f"### Record {question.record}, {question.horizon} ahead, windows of {question.window} samples\n")
        print(table(*result_rows([summary for summary in found if summary.question == question])) + "\n")
    print("### Validation\n")
    print(table(*validation_rows(runs)))


def draw_figure(arguments: argparse.Namespace) -> None:
    """Draw errors against time and horizon."""
    figure = arguments.output / "forecast.png"
    save_figure(forecast_figure(summaries(read_runs(arguments.output), arguments.output)), figure)
    print(figure)


def _parser() -> argparse.ArgumentParser:
    command = parser(__doc__)
    shown = argparse.ArgumentDefaultsHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--output", type=Path, default=ROOT / "out" / "bench_forecast", help="folder of the results")
    parts = command.add_subparsers(required=True, metavar="PART")

    def part(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = parts.add_parser(name, parents=[common], help=run.__doc__, formatter_class=shown)
        added.set_defaults(run=run)
        return added

    for name, run in (("run", run_models), ("tune", tune_models)):
        trains = part(name, run)
        add_record(trains)
        trains.add_argument("--model", nargs="+", choices=MODELS, default=list(MODELS), help="what to train")
        trains.add_argument("--horizon", type=int, nargs="+", default=HORIZONS, help="samples")
        trains.add_argument("--window", type=int, nargs="+", default=[15], help="samples")
        trains.add_argument("--seed", type=int, nargs="+", default=[0], help="of the trainings")
        trains.add_argument("--step", type=float, nargs="+", help="step sizes to choose from, of the MLPs")
        trains.add_argument("--epochs", type=float, nargs="+", help="epochs to choose from, of the MLPs")
        add_threads(trains)
        trains.add_argument("--timed", action="store_true", help="the machine is idle: the seconds count")
    part("table", print_table)
    part("figure", draw_figure)
    return command


if __name__ == "__main__":
    main()
