"""What the commands take: the parser of the command line, whose help is the reference."""

import argparse
from pathlib import Path

from ecgcvx import __version__

RECORD_HELP = """a WFDB record (path with or without .hea), a PhysioNet name such as mitdb/100 (downloaded once),
or a .csv file"""


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

--network stack puts a second network of that kind on the principal components of the window and the first one's
activations; each stage is a convex program with a gap of its own, and validation chooses its beta. The stack as a whole
has no gap.

Ctrl-C ends the training and keeps the best network so far; --resume goes on after a crash from the checkpoint in the
output folder. The folder holds model.safetensors, metrics.json, predictions.png and report.html, which tells in words
and figures what the network does; with --max-neurons or --tolerance, sparsity.csv and sparsity.png show what every
neuron is worth."""

FIT_EXAMPLES = """\
examples:
  ecgcvx fit data/mitdb208/208
  ecgcvx fit mitdb/100 --lead V5 --horizon 5 --output out/100
  ecgcvx fit data/mitdb208/208 --beta 1e-4 --gap 2e-3 --time-limit 120
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


INTERPRET_TEXT = """\
Read what a fitted network does on a record. Each pattern switches a linear filter on and off; the table ranks them,
most important first: what the forecast loses without it, where in the beat it is on (reference annotations where there
are some, else a detector), and whether it recurs when the network is trained again on parts of the record. On the
record of the fit all numbers belong to the part that it was not trained on, on another one to all of it (--part).

The report is one HTML file, to be read in any browser without a network: how good the model is, the patterns with their
figures, the beat with its patterns on ECG paper, methods and limits.

A description of associations in this record, no diagnosis."""

INTERPRET_EXAMPLES = """\
examples:
  ecgcvx interpret out/208 data/mitdb208/208 --output report.html
  ecgcvx interpret out/208 data/mitdb208/208 --part all --importance nonlinear_mv --csv patterns.csv
  ecgcvx interpret out/100 mitdb/100 --top 5 --no-stability --json | jq '.patterns[0].filter.taps'"""


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
    _add_stack(fit)
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

    interpret = commands.add_parser(
        "interpret", help="read the patterns of a fitted model", description=INTERPRET_TEXT,
        epilog=INTERPRET_EXAMPLES, formatter_class=raw,
    )  # fmt: skip
    interpret.add_argument("model", type=Path, metavar="MODEL", help="output folder of a fit, or its model.safetensors")
    _add_record(interpret)
    _add_interpretation(interpret)
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
        "--network", choices=("relu", "gated", "polynomial", "quadratic", "stack"), default="relu",
        help="relu: the two-layer ReLU network (default); gated: the gates of sampled patterns stay fixed, each with a "
        "free linear filter; polynomial, quadratic: that activation, no patterns; stack: two-layer ReLU networks on "
        "top of each other, the most accurate",
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
    group.add_argument("--gap", type=float, metavar="TOL", help="searched gap to stop at (default 1e-2)")
    group.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="rounds at most (default: active-set 8 unless --gap or --time-limit is given, cvxpy and osqp 200)",
    )
    group.add_argument(
        "--time-limit", type=float, default=float("inf"), metavar="S", help="seconds of training at most"
    )
    group.add_argument(
        "--confirm-starts",
        type=int,
        metavar="N",
        help="fresh starts that confirm the gap (default 3000; of each stage of a stack 300)",
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


def _add_stack(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("stack")
    group.add_argument(
        "--stages", type=int, default=2, metavar="S",
        help="stages at most; one more is kept only if it forecasts the validation part better (default 2)",
    )  # fmt: skip
    group.add_argument(
        "--average", type=int, default=1, metavar="K", help="mean of K stacks from different seeds (default 1)"
    )
    group.add_argument(
        "--joint", type=int, nargs="?", const=60, default=0, metavar="EPOCHS",
        help="then descend on all stages at once (Adam, default 60 epochs), and solve the last stage again",
    )  # fmt: skip


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


def _add_interpretation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("interpretation")
    group.add_argument("--top", type=int, default=12, metavar="K", help="patterns to describe in full (default 12)")
    group.add_argument(
        "--importance", choices=("explained_variance_drop", "variance_share", "nonlinear_mv", "norm", "coverage"),
        default="explained_variance_drop", help="column to rank by (default: explained_variance_drop)",
    )  # fmt: skip
    group.add_argument(
        "--part", choices=("train", "test", "all"), help="windows to use (default: those not trained on)"
    )
    group.add_argument("--train-fraction", type=float, default=0.8, metavar="F", help="as in the fit (default 0.8)")
    group.add_argument("--no-stability", action="store_true", help="do not train again to see which patterns recur")
    group.add_argument(
        "--refit-windows", type=int, default=8000, metavar="N", help="of each of these trainings at most (default 8000)"
    )
    group.add_argument(
        "--output", type=Path, metavar="HTML",
        help="the report (default: report.html beside the model, report-NAME.html for another record than the fit's; "
        "with --json none)",
    )  # fmt: skip
    group.add_argument("--csv", type=Path, metavar="FILE", help="write the table of all patterns")
    group.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")


def _add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--output", type=Path, metavar="DIR", help=f"folder for the results (default {default})")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else on standard output")
