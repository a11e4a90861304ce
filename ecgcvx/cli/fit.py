"""`ecgcvx fit`: train on a record and compare."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgcvx.cli import dataset
from ecgcvx.cli.arguments import (
    RECORD_HELP,
    add_network,
    add_output,
    add_reading,
    add_windows,
    fit_options_of,
    read_record,
)
from ecgcvx.cli.terminal import progress_bar, show
from ecgcvx.errors import InputError

if TYPE_CHECKING:
    from ecgcvx.fit_options import FitOptions
    from ecgcvx.fitting import Fit
    from ecgcvx.horizons import MultiHorizonFit
    from ecgcvx.records import Recording

DESCRIPTION = """\
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

--linear free adds a linear part x'a of the window that no penalty shrinks: still a convex program, with X'v = 0 in its
dual, and never far behind the linear autoregression. Where beta is chosen on the validation part, so is that.

--network stack puts a second network of that kind on the principal components of the window and the first one's
activations; each stage is a convex program with a gap of its own, and validation chooses its beta. The stack as a whole
has no gap.

--leads all --join forecasts one lead (--lead) from the windows of all leads, side by side in one row; --leads without
--join makes each lead a signal of its own. A model of joined leads takes records that have them all; detect takes
models of one lead.

--intervals calibrates prediction intervals by the errors on the validation part, made by a network that was trained
without it; they are kept in the model file, for predict, stream and the report.

--horizon 1:36, or 1,5,18, trains one network a horizon on the same windows, with what they can share, and keeps all of
them in one model file. predict writes every horizon; other commands take one of them (--horizon 5).

Ctrl-C or SIGTERM ends the work, keeps and writes the best network so far, says where it ended, and leaves the rest out;
the exit code is 130 then. --resume goes on after a crash from the checkpoint in the
output folder. The folder holds model.safetensors, metrics.json, predictions.png and report.html, which tells in words
and figures what the network does; with --max-neurons or --tolerance, sparsity.csv and sparsity.png show what every
neuron is worth."""
EXAMPLES = """\
examples:
  ecgcvx fit data/mitdb208/208
  ecgcvx fit mitdb/ --network polynomial --output out/mitdb
  ecgcvx fit 100 101 103 --evaluate leave-one-record-out --network gated --beta 1e-4
  ecgcvx fit mitdb/100 --lead V5 --horizon 5 --output out/100
  ecgcvx fit data/mitdb208/208 --leads all --join --network polynomial
  ecgcvx fit data/mitdb208/208 --beta 1e-4 --gap 2e-3 --time-limit 120
  ecgcvx fit data/mitdb208/208 --beta 1e-4 --tolerance 1e-2 --check
  ecgcvx fit data/mitdb208/208 --beta 1e-2 --solver osqp --gap 1e-4
  ecgcvx fit my_ecg.csv --sampling-frequency 250 --network relu --patterns 12 --solver osqp
  ecgcvx fit data/mitdb208/208 --network gated --beta 1e-5
  ecgcvx fit --stats siteA.stats siteB.stats --beta 1e-4
  ecgcvx fit data/mitdb208/208 --network polynomial --horizon 5 --intervals 0.5 0.9
  ecgcvx fit data/mitdb208/208 --network gated --beta 1e-5 --horizon 1:36 --output out/fan
  ecgcvx fit data/mitdb208/208 --json | jq '.models[] | {name, test_rmse_mv}'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "record", nargs="*", metavar="RECORD", help=f"{RECORD_HELP}; several, a folder, a pattern, or a RECORDS file"
    )
    parser.add_argument(
        "--stats", type=Path, nargs="+", metavar="FILE",
        help="in place of records: files of `ecgcvx stats`, which are added; without --beta the last one validates",
    )  # fmt: skip
    add_reading(parser)
    dataset.add_arguments(parser)
    add_windows(parser, "window", "train_fraction").add_argument(
        "--horizon", metavar="N", default=argparse.SUPPRESS,
        help="samples ahead to predict (default 1); several at once as 1:36, 1:36:5 or 1,5,18",
    )  # fmt: skip
    add_network(parser, "beta", "seed", "time_limit", "baselines", "intervals", "prove")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    add_output(parser, "out/NAME")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.fitting import fit
    from ecgcvx.interruption import keeping
    from ecgcvx.output import write_output

    horizons = _horizons(options)
    chosen = fit_options_of(options)
    if horizons is not None:
        return _run_horizons(options, chosen, horizons)
    if options.stats is not None:
        if options.record:
            raise InputError(f"stats: stand for records; leave {options.record[0]} out")
        return dataset.run_statistics(options, chosen)
    if not options.record:
        raise InputError("records: the list is empty; name at least one record, or files of statistics (--stats)")
    if dataset.asked_for(options):
        return dataset.run(options, chosen)
    recording, folder = _begin(options)
    with keeping():
        with progress_bar() as progress:
            result = fit(
                recording, chosen, progress, checkpoint=folder / "checkpoint.safetensors", resume=options.resume
            )
            progress("writing the results", None)
            found = write_output(result, recording, chosen, folder)
        if options.json:
            print(json.dumps(found, allow_nan=False))
        else:
            _show(result, recording, chosen, found, folder)
    return 0


def _begin(options: argparse.Namespace) -> "tuple[Recording, Path]":
    """The one record of the options, and the output folder, made."""
    from ecgcvx.files import check_folder, make_folder

    lead, join = dataset.joined_leads(options)
    recording = read_record(options, lead=lead, source=options.record[0], join=join)
    folder = options.output or Path("out") / Path(recording.name).name
    check_folder(folder)
    make_folder(folder)
    return recording, folder


def _horizons(options: argparse.Namespace) -> tuple[int, ...] | None:
    """Several horizons of the options, None for one, which then is a number there."""
    from ecgcvx.multi_horizon import read_horizons

    given = vars(options).get("horizon")
    if given is None:
        return None
    found = read_horizons(given)
    if isinstance(found, int):
        options.horizon = found
        return None
    del options.horizon
    return found


def _run_horizons(options: argparse.Namespace, chosen: "FitOptions", horizons: tuple[int, ...]) -> int:
    """Fit several horizons at once."""
    from ecgcvx.horizon_output import write_horizons
    from ecgcvx.horizons import fit_horizons
    from ecgcvx.interruption import keeping
    from ecgcvx.multi_horizon import horizon_words

    words = f"horizon = {horizon_words(horizons)}: several are trained on one record"
    if options.stats is not None or dataset.asked_for(options):
        raise InputError(f"{words}; name one record, or give one horizon")
    if not options.record:
        raise InputError("records: the list is empty; name the record to train on")
    if options.resume:
        raise InputError(f"resume: {words} without a checkpoint; leave it out")
    recording, folder = _begin(options)
    with keeping():
        with progress_bar() as progress:
            result = fit_horizons(recording, chosen, horizons, progress)
            progress("writing the results", None)
            found = write_horizons(result, recording, chosen, folder)
        if options.json:
            print(json.dumps(found, allow_nan=False))
        else:
            _show_horizons(result, recording, chosen, folder)
    return 0


def _show_horizons(result: "MultiHorizonFit", recording: "Recording", chosen: "FitOptions", folder: Path) -> None:
    from ecgcvx.horizon_output import horizon_cautions, horizon_table
    from ecgcvx.multi_horizon import horizon_words

    counts = result.fits[0].split.counts
    show(
        f"{recording.name}, lead {recording.lead}, {recording.sampling_frequency:g} Hz: {chosen.window} samples "
        f"predict those {horizon_words(result.forecaster.horizons)} later\n"
        f"windows of every horizon: {counts.train:,} train, {counts.test:,} test, {counts.excluded:,} excluded\n",
        horizon_table(result, recording.sampling_frequency),
        "",
        *([result.interrupted] if result.interrupted else []),
        *(f"note: {caution}" for caution in horizon_cautions(result)),
        f"test: root-mean-square error; gap: relative to P, {result.fits[0].trained.gap.evidence}\n"
        f"wrote {folder}/model.safetensors, metrics.json, horizons.png; what the first network does: "
        f"{folder}/report.html",
    )


def _show(result: "Fit", recording: "Recording", chosen: "FitOptions", found: dict[str, Any], folder: Path) -> None:
    from ecgcvx.output import (
        check_note,
        choice_note,
        interval_note,
        linear_note,
        recurrence_note,
        score_table,
        sparsity_note,
    )
    from ecgcvx.proof import proof_words

    windows, trained = found["windows"], result.trained
    joined = "" if not recording.joined else " of it and of " + ", ".join(lead.name for lead in recording.joined)
    last = "" if trained.objective is not None else " in the last stage"
    show(
        f"{recording.name}, lead {recording.lead}, {recording.sampling_frequency:g} Hz: "
        f"{chosen.window} samples{joined} predict the one {chosen.horizon} later\n"
        f"windows: {windows['train']:,} train, {windows['test']:,} test, {windows['excluded']:,} excluded "
        f"({windows['excluded_because']['missing']:,} over missing samples); beta = {found['beta']:.3g}{last}, "
        f"chosen by {found['beta_chosen_by']}\n",
        score_table(result.scores),
        f"\nconvex: {trained.gap.words}\n{trained.detail}; status {trained.status}",
        *([] if result.linear is None else [linear_note(result.linear)]),
        *([] if result.choice is None else [choice_note(result.choice, trained.network.neurons)]),
        *([] if result.recurrence is None else [recurrence_note(result.recurrence)]),
        *trained.notes,
        *([sparsity_note(result.sparse)] if result.sparse else []),
        *map(check_note, result.checks),
        *([interval_note(found["intervals"])] if "intervals" in found else []),
        *([] if result.proof is None else [proof_words(result.proof)]),
        *([result.interrupted] if result.interrupted else []),
        *(f"note: {caution}" for caution in result.cautions),
        f"train, test: root-mean-square error; gap: relative to P\n"
        f"wrote {folder}/model.safetensors, metrics.json, predictions.png"
        + (", sparsity.csv, sparsity.png" if result.sparse else "")
        + f"; what the network does: {folder}/report.html",
    )
