"""`ecgcvx interpret`: read the patterns of a fitted model."""

import argparse
import json
import sys
from pathlib import Path

from ecgcvx.cli.arguments import add_model, add_record, load_model, read_record
from ecgcvx.cli.terminal import progress_bar, show

DESCRIPTION = """\
Read what a fitted network does on a record. Each pattern switches a linear filter on and off; the table ranks them,
most important first: what the forecast loses without it, where in the beat it is on (reference annotations where there
are some, else a detector), and whether it recurs when the network is trained again on parts of the record. On the
record of the fit all numbers belong to the part that it was not trained on, on another one to all of it (--part).

The report is one HTML file, to be read in any browser without a network: how good the model is, the patterns with their
figures, the beat with its patterns on ECG paper, methods and limits.

A description of associations in this record, no diagnosis."""
EXAMPLES = """\
examples:
  ecgcvx interpret out/208 data/mitdb208/208 --output report.html
  ecgcvx interpret out/208 data/mitdb208/208 --part all --importance nonlinear_mv --csv patterns.csv
  ecgcvx interpret out/100 mitdb/100 --top 5 --no-stability --json | jq '.patterns[0].filter.taps'"""

METRICS = "metrics.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    add_record(parser)
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


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.files import atomic_write, check_file
    from ecgcvx.interpretation import Refitting, interpret
    from ecgcvx.interpretation.output import (
        heading,
        interpretation_json,
        notes,
        pattern_table,
        table_csv,
        template_table,
    )
    from ecgcvx.interruption import keeping, wanted
    from ecgcvx.model_file import digest
    from ecgcvx.report import read_training, report_path, write_report

    forecaster = load_model(options)
    training = read_training(options.model, digest(forecaster))
    folder = options.model if options.model.is_dir() else options.model.parent
    if training is None and (folder / METRICS).exists():
        print(f"ecgcvx: {METRICS} belongs to another model and is left out; fit again", file=sys.stderr)
    recording = read_record(options, forecaster)
    report = options.output
    if report is None and not options.json:
        report = report_path(options.model, recording, training)
    for file in (report, options.csv):
        if file is not None:
            check_file(file)
    refitting = None if options.no_stability else Refitting(rows=options.refit_windows)
    with progress_bar() as progress:
        found = interpret(
            forecaster, recording, top=options.top, part=options.part, train_fraction=options.train_fraction,
            importance=options.importance, refitting=refitting, progress=progress,
        )  # fmt: skip
    with keeping():
        if options.csv is not None:
            atomic_write(options.csv, lambda file: file.write(table_csv(found).encode()))
        if report is not None:
            write_report(report, found, training, str(options.model))
        if options.json:
            print(json.dumps(interpretation_json(found), allow_nan=False))
            return 0
        files = ", ".join(str(file) for file in (report, options.csv) if file is not None)
        filters = (template_table(found), "") if found.templates else ()
        cut = ["interrupted: which patterns recur is left out"] if wanted() and found.stability is None else []
        show(heading(found), "", *filters, pattern_table(found), "", notes(found), *cut, f"wrote {files}")
        return 0
