"""`ecgcvx compare`: backprop by every optimiser against the convex optimum."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from ecgcvx.cli.arguments import add_output, add_record, read_record
from ecgcvx.cli.terminal import progress_bar, show

DESCRIPTION = """\
Train the same two-layer ReLU network by backprop with every usual optimiser, each from several initialisations, and
compare with the certified optimum of the convex program: same training windows, same objective

    P = 1/(2n) ||f(X) - y||^2 + beta/2 (||W1||^2 + ||W2||^2),

same processor time on one thread for every run. Step size and schedule (constant or cosine) are tuned first, for each
optimiser on a stated grid with the same time. Linear predictors (least squares, ridge, lasso, group lasso) are scored
beside them.

With the defaults this takes some 3 minutes on two cores: 180 runs of --seconds each, as many at once as there are
cores, and the convex program. Ctrl-C stops and reports the runs that are done. The output folder holds compare.json,
objective_against_time.png and step_sizes.png."""
EXAMPLES = """\
examples:
  ecgcvx compare data/mitdb208/208
  ecgcvx compare data/mitdb208/208 --beta 1e-3 --seconds 4 --optimisers adam lbfgs gn-uniform
  ecgcvx compare my_ecg.csv --sampling-frequency 250 --horizon 5 --neurons 128 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_record(parser)
    group = parser.add_argument_group("windows")
    group.add_argument("--window", type=int, default=15, metavar="N", help="samples in a window (default 15)")
    group.add_argument("--horizon", type=int, default=1, metavar="N", help="samples ahead to predict (default 1)")
    group.add_argument(
        "--train-fraction", type=float, default=0.8, metavar="F", help="share of the record that trains (default 0.8)"
    )
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
    add_output(parser, "out/NAME-compare")


def run(options: argparse.Namespace) -> int:
    """Run the command; what is interrupted tells what was done until then."""
    from ecgcvx.comparison.report import compare_table, fairness, linear_table, write_comparison
    from ecgcvx.comparison.study import CompareOptions, compare
    from ecgcvx.files import check_folder, make_folder
    from ecgcvx.interruption import keeping

    shared = ("window", "horizon", "train_fraction", "beta", "neurons", "runs", "seconds", "gap", "jobs", "seed")
    chosen = CompareOptions(**{name: getattr(options, name) for name in shared})
    if options.optimisers is not None:
        chosen = replace(chosen, contenders=tuple(dict.fromkeys(options.optimisers)))
    recording = read_record(options)
    folder = options.output or Path("out") / f"{Path(recording.name).name}-compare"
    check_folder(folder)
    make_folder(folder)
    with keeping():
        with progress_bar() as progress:
            found = compare(recording, chosen, progress)
            progress("writing the results", None)
            facts = write_comparison(found, recording, folder)
        if options.json:
            print(json.dumps(facts, allow_nan=False))
            return 0
        show(
            f"{recording.name}, lead {recording.lead}: {chosen.window} samples predict the one {chosen.horizon} later; "
            f"{len(found.split.train):,} training windows, beta = {chosen.beta:g}\n",
            compare_table(found), "", linear_table(found), "", fairness(found),
            *([] if found.complete else [f"interrupted: {len(found.runs)} runs were done"]),
            f"wrote {', '.join(sorted(file.name for file in folder.iterdir()))} in {folder}",
        )  # fmt: skip
        return 0
