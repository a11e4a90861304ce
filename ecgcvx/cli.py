"""The command line: parse, call, print."""

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

from ecgcvx import __version__
from ecgcvx.errors import EcgcvxError

if TYPE_CHECKING:
    from ecgcvx.records import Recording
    from ecgcvx.training import FitOptions, Step

RECORD_HELP = """a WFDB record (path with or without .hea), a PhysioNet name such as mitdb/100 (downloaded once),
or a .csv file"""

WIDE = 122  # columns of the table of a comparison

FIT_TEXT = """\
Train a convex two-layer network on the sliding windows of an ECG record and compare it with what you would have used
instead: persistence, a linear autoregression, and a network trained by backprop (Adam, cosine schedule).

The first part of the record (--train-fraction) trains, the rest tests; no window reaches over the boundary or over a
gap. The network minimises

    P = 1/(2n) ||f(X) - y||^2 + beta/2 (||W1||^2 + ||W2||^2)

on the standardised training windows, over all activation patterns at once (--solver active-set) or as a convex program
over a sample of them (--patterns). The gap says how far P is at most from the optimum: over all patterns by a search,
confirmed by fresh starts, over a sample of patterns by a proof. --solver cvxpy and osqp without --patterns train over
all patterns as well, by column generation: an independent check, slow beyond a hundred neurons. Without --beta it is
chosen on a validation part, the last share of the training windows, along a path of falling beta.

--network polynomial has the activation s(t) = .09 t^2 + .5 t + .47, near a ReLU on [-5, 5], --network quadratic t^2.
With ||W1_j|| = 1 and beta ||W2||_1 as penalty, their optimum over networks of any width is a semidefinite program: the
gap is proved.

Ctrl-C ends the training and keeps the best network so far; --resume goes on after a crash from the checkpoint in the
output folder. The folder holds model.safetensors, metrics.json and predictions.png; with --max-neurons or --tolerance,
sparsity.csv and sparsity.png show what every neuron is worth."""

FIT_EXAMPLES = """\
examples:
  ecgcvx fit data/mitdb208/208
  ecgcvx fit mitdb/100 --lead V5 --horizon 5 --output out/100
  ecgcvx fit data/mitdb208/208 --beta 1e-4 --gap 2e-3 --rounds 100 --time-limit 120
  ecgcvx fit data/mitdb208/208 --beta 1e-4 --tolerance 1e-2 --check
  ecgcvx fit data/mitdb208/208 --beta 1e-2 --solver osqp --gap 1e-4
  ecgcvx fit my_ecg.csv --sampling-frequency 250 --network relu --patterns 12 --solver osqp
  ecgcvx fit data/mitdb208/208 --network gated --beta 1e-5
  ecgcvx fit data/mitdb208/208 --network polynomial
  ecgcvx fit data/mitdb208/208 --json | jq '.models[] | {name, test_rmse_mv}'"""

PATH_TEXT = """\
Solve the convex program for falling beta, each solution starting from the one before, and choose beta where the error
is smallest on a validation part: the last share (1 - train fraction) of the training windows in time. The test part is
reported beside it and chooses nothing. The output folder holds path.csv and path.png."""

PATH_EXAMPLES = """\
examples:
  ecgcvx path data/mitdb208/208
  ecgcvx path mitdb/100 --horizon 5 --betas 25 --ratio 1e-7 --json"""

COMPARE_TEXT = """\
Train the same two-layer ReLU network by backprop with every usual optimiser, each from several initialisations, and
compare with the certified optimum of the convex program: same training windows, same objective

    P = 1/(2n) ||f(X) - y||^2 + beta/2 (||W1||^2 + ||W2||^2),

same processor time on one thread for every run. Step size and schedule (constant or cosine) are tuned first, for each
optimiser on a stated grid with the same time. Linear predictors (least squares, ridge, lasso, group lasso) are scored
beside them.

With the defaults this takes some 3 minutes on two cores: 180 runs of --seconds each, as many at once as there are
cores, and the convex program. Ctrl-C stops and reports the runs that are done. The output folder holds compare.json,
objective_against_time.png and step_sizes.png."""

COMPARE_EXAMPLES = """\
examples:
  ecgcvx compare data/mitdb208/208
  ecgcvx compare data/mitdb208/208 --beta 1e-3 --seconds 4 --optimisers adam lbfgs gn-uniform
  ecgcvx compare my_ecg.csv --sampling-frequency 250 --horizon 5 --neurons 128 --json"""

PREDICT_TEXT = """\
Apply a fitted model to a record: every sample with the forecast that was made for it, as CSV with the columns
sample, time_s, signal_mv, forecast_mv, residual_mv (empty where there is none)."""


CERTIFY_TEXT = """\
Recompute from a model file and the record that it was trained on how far the network is from the global optimum, with
code that shares nothing with the training:

    primal           P of the network on the training windows
    proved gap       (P - D)/P with a lower bound D on P that holds for every two-layer ReLU network of any width,
                     proved by branch and bound over all directions w, rounding included
    searched gap     what it would be if a search from random starts had found the largest price; not a proof

The bound improves for as long as it is given; Ctrl-C returns the best so far."""

CERTIFY_EXAMPLES = """\
examples:
  ecgcvx certify out/208 data/mitdb208/208
  ecgcvx certify out/208 data/mitdb208/208 --seconds 300 --json"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; its help is the reference."""
    parser = argparse.ArgumentParser(prog="ecgcvx", description="Globally optimal neural networks for ECG prediction.")
    parser.add_argument("--version", action="version", version=f"ecgcvx {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    raw = argparse.RawDescriptionHelpFormatter

    fit = commands.add_parser(
        "fit", help="train on a record and compare", description=FIT_TEXT, epilog=FIT_EXAMPLES, formatter_class=raw
    )
    _add_record(fit)
    _add_windows(fit)
    _add_network(fit).add_argument("--beta", type=float, help="weight of the penalty (default: chosen by validation)")
    _add_limits(fit)
    fit.add_argument(
        "--prove", type=float, nargs="?", const=60.0, metavar="SECONDS",
        help="then prove a bound on the gap, over all networks of any width (default 60 seconds; see `certify`)",
    )  # fmt: skip
    _add_output(fit, "out/NAME")

    path = commands.add_parser(
        "path", help="choose beta along the regularisation path", description=PATH_TEXT, epilog=PATH_EXAMPLES,
        formatter_class=raw,
    )  # fmt: skip
    _add_record(path)
    _add_windows(path)
    group = _add_network(path)
    group.add_argument("--betas", type=int, default=13, metavar="N", help="points of the path (default 13)")
    group.add_argument("--ratio", type=float, default=1e-6, help="smallest beta relative to the largest (default 1e-6)")
    _add_output(path, "out/NAME-path")

    compare = commands.add_parser(
        "compare", help="backprop by every optimiser against the convex optimum", description=COMPARE_TEXT,
        epilog=COMPARE_EXAMPLES, formatter_class=raw,
    )  # fmt: skip
    _add_record(compare)
    _add_windows(compare)
    _add_comparison(compare)
    _add_output(compare, "out/NAME-compare")

    predict = commands.add_parser(
        "predict", help="apply a fitted model to a record", description=PREDICT_TEXT, formatter_class=raw
    )
    predict.add_argument("model", type=Path, metavar="MODEL", help="output folder of a fit, or its model.safetensors")
    _add_record(predict)
    predict.add_argument("--output", type=Path, metavar="CSV", help="file to write (default: standard output)")

    certify = commands.add_parser(
        "certify", help="prove how far a fitted model is from the global optimum", description=CERTIFY_TEXT,
        epilog=CERTIFY_EXAMPLES, formatter_class=raw,
    )  # fmt: skip
    certify.add_argument("model", type=Path, metavar="MODEL", help="output folder of a fit, or its model.safetensors")
    _add_record(certify)
    certify.add_argument("--train-fraction", type=float, default=0.8, metavar="F", help="as in the fit (default 0.8)")
    certify.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of the proof at most (default 60)")
    certify.add_argument("--starts", type=int, default=100, metavar="N", help="of the search (default 100)")
    certify.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else on standard output"
    )
    return parser


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", metavar="RECORD", help=RECORD_HELP)
    group = parser.add_argument_group("record")
    group.add_argument("--lead", help="name or number (from 0) of the lead (default: the first ECG lead)")
    group.add_argument("--start", type=float, metavar="S", help="seconds into the record to start at")
    group.add_argument("--end", type=float, metavar="S", help="seconds into the record to end at")
    group.add_argument("--sampling-frequency", type=float, metavar="HZ", help="of a CSV file without a time column")


def _add_windows(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("windows")
    group.add_argument("--window", type=int, default=15, metavar="N", help="samples in a window (default 15)")
    group.add_argument("--horizon", type=int, default=1, metavar="N", help="samples ahead to predict (default 1)")
    group.add_argument(
        "--train-fraction", type=float, default=0.8, metavar="F", help="share of the record that trains (default 0.8)"
    )


def _add_network(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network", choices=("relu", "gated", "polynomial", "quadratic"), default="relu",
        help="relu: the two-layer ReLU network (default); gated: the gates of sampled patterns stay fixed, each with a "
        "free linear filter; polynomial, quadratic: that activation, no patterns",
    )  # fmt: skip
    group.add_argument(
        "--patterns", type=int, metavar="P",
        help="sample that many activation patterns (default: relu all patterns, gated 100)",
    )  # fmt: skip
    group.add_argument(
        "--solver", choices=("active-set", "fista", "admm", "cvxpy", "osqp", "semidefinite"),
        help="active-set: all patterns (default), as cvxpy and osqp by column generation; over a sample fista: "
        "accelerated proximal gradient (default there), admm: alternating directions, cvxpy: interior point, Clarabel, "
        "osqp: a sequence of quadratic programs; for polynomial and quadratic semidefinite: interior point on the Gram "
        "matrix (default), or cvxpy",
    )  # fmt: skip
    group.add_argument("--seed", type=int, default=0, help="seed of patterns and baseline (default 0)")
    return group


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training over all patterns")
    group.add_argument("--gap", type=float, default=1e-2, metavar="TOL", help="searched gap to stop at (default 1e-2)")
    group.add_argument(
        "--rounds", type=int, metavar="N", help="rounds at most (default: active-set 5, cvxpy and osqp 200)"
    )
    group.add_argument(
        "--time-limit", type=float, default=float("inf"), metavar="S", help="seconds of training at most"
    )
    group.add_argument(
        "--confirm-starts", type=int, default=3000, metavar="N", help="fresh starts that confirm the gap (default 3000)"
    )
    group.add_argument(
        "--max-neurons", type=int, metavar="K", help="keep at most K neurons: remove the ones that P misses least"
    )
    group.add_argument(
        "--tolerance", type=float, metavar="SHARE",
        help="keep the smallest network with P at most that share up, as 1e-2 (default with --max-neurons: 0)",
    )  # fmt: skip
    group.add_argument(
        "--check", action="store_true", help="solve the convex program over the network's patterns by cvxpy and osqp"
    )
    group.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("comparison")
    group.add_argument("--beta", type=float, default=1e-4, help="weight of the penalty (default 1e-4)")
    group.add_argument("--neurons", type=int, default=64, metavar="M", help="of the networks (default 64)")
    group.add_argument("--runs", type=int, default=10, metavar="N", help="initialisations an optimiser (default 10)")
    group.add_argument("--seconds", type=float, default=1.5, metavar="S", help="processor time of a run (default 1.5)")
    group.add_argument("--gap", type=float, default=1e-2, metavar="TOL", help="of the convex program (default 1e-2)")
    group.add_argument(
        "--optimisers", nargs="+", metavar="NAME",
        help="of sgd, momentum, adagrad, rmsprop, adam, lbfgs, gn, gn-layer, gn-neuron, gn-kfac, gn-uniform, "
        "gn-leverage, gn-cg (default: all)",
    )  # fmt: skip
    group.add_argument("--jobs", type=int, metavar="N", help="runs at once (default: one a core)")
    group.add_argument("--seed", type=int, default=0, help="of the first initialisation (default 0)")


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--output", type=Path, metavar="DIR", help=f"folder for the results (default {default})")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it succeeded, 2 for what ecgcvx refuses (one line on standard error), 130 after Ctrl-C."""
    options = build_parser().parse_args(arguments)
    try:
        commands = {"fit": _fit, "path": _path, "compare": _compare, "certify": _certify, "predict": _predict}
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
    from ecgcvx.output import check_note, make_folder, score_table, sparsity_note, write_output
    from ecgcvx.proof import proof_words

    chosen = _fit_options(options, options.beta)
    recording = _read(options, options.lead)
    folder = options.output or Path("out") / Path(recording.name).name
    make_folder(folder)
    checkpoint = folder / "checkpoint.safetensors" if chosen.solver == "active-set" else None
    with _progress() as step:
        result = fit(recording, chosen, step, checkpoint=checkpoint, resume=options.resume)
        step("writing the results", None)
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
        f"beta = {found['beta']:.3g}, chosen by {found['beta_chosen_by']}\n"
    )
    console.print(score_table(result.scores))
    trained = result.trained
    kind = "all patterns, as far as searched" if trained.gap_kind == "searched" else trained.gap_kind
    over = kind if chosen.patterns is None else f"the {chosen.patterns} given patterns"
    console.print(f"\nconvex: {trained.detail}; status {trained.status}")
    for line in (*([sparsity_note(result.sparse)] if result.sparse else []), *map(check_note, result.checks)):
        console.print(line)
    console.print(
        f"train, test: root-mean-square error; gap: relative to P, over {over}\n"
        + ("" if result.proof is None else f"{proof_words(result.proof)}\n")
        + f"wrote {folder}/model.safetensors, metrics.json, predictions.png"
        + (", sparsity.csv, sparsity.png" if result.sparse else "")
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
    limits = ("gap", "rounds", "time_limit", "confirm_starts", "max_neurons", "tolerance", "check", "prove")
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
    with _progress() as step:
        path, _ = regularisation_path(recording, chosen, options.betas, options.ratio, step)
        step("writing the results", None)
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
    with _progress() as step:
        found = compare(recording, chosen, step)
        step("writing the results", None)
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
    from ecgcvx.forecaster import load
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
    from ecgcvx.forecaster import load
    from ecgcvx.proof import proof_json, proof_words, prove

    forecaster = load(options.model)
    if not options.seconds > 0:
        raise InputError(f"seconds = {options.seconds}: give a positive number")
    recording = _read(options, forecaster.lead if options.lead is None else options.lead)
    train = forecaster.training_windows(recording, options.train_fraction)
    network, beta = forecaster.network, forecaster.beta
    with _progress() as step:
        step(f"search from {options.starts} starts", None)
        searched = certify_searched(network, train.X, train.y, beta, options.starts, 0)
        proof = prove(network, train, beta, options.seconds, step)
    if options.json:
        print(json.dumps(proof_json(proof, searched), allow_nan=False))
        return
    print(
        f"{recording.name}, lead {recording.lead}: {len(train):,} training windows, beta = {beta:.3g}, "
        f"{network.neurons} neurons\n{proof_words(proof)}\n"
        f"{searched.name}: largest price found {searched.price:.5f} beta; if it were the largest of "
        f"all, at most {searched.gap:.2%} of P; not a proof"
    )


@contextmanager
def _progress() -> "Iterator[Step]":
    """A line on the terminal that says what is being done; nothing when standard error is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def step(what: str, share: float | None) -> None:
            bar.update(task, description=what, total=None if share is None else 1.0, completed=share or 0.0)

        yield step


def _read(options: argparse.Namespace, lead: str | None) -> "Recording":
    from ecgcvx.records import read_recording

    number = int(lead) if lead is not None and lead.isdecimal() else lead
    return read_recording(options.record, number, options.start, options.end, options.sampling_frequency)


if __name__ == "__main__":
    raise SystemExit(main())
