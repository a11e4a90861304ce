"""`ecgcvx explain`: one forecast as the sum of its patterns."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ecgcvx.cli.arguments import JSON_HELP, add_model, add_record, load_model, read_record
from ecgcvx.cli.terminal import show

if TYPE_CHECKING:
    from ecgcvx.interpretation.explanation import Explanation

DESCRIPTION = """\
Explain the forecast of one sample: the exact sum of the linear terms of the patterns that were on, the distance of the
window to the gate of every pattern, and the smallest change of the window that would switch one.

The distance is the Euclidean length of that change in mV, over the samples of the window. A gate marked * stands on
other patterns (a deeper layer or stage): its distance holds while these stay as they are. Polynomial neurons have no
gate; they add a quadratic term each."""
EXAMPLES = """\
examples:
  ecgcvx explain out/208 data/mitdb208/208 --at 30.2
  ecgcvx explain out/208 data/mitdb208/208 --at 30.2 --svg forecast.svg
  ecgcvx explain out/208 data/mitdb208/208 --at 30.2 --json | jq '.patterns[0].change_mv'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    add_record(parser)
    parser.add_argument(
        "--at", type=float, required=True, metavar="SECONDS",
        help="time of the sample that was forecast, from where the record is read (--start)",
    )  # fmt: skip
    parser.add_argument("--top", type=int, default=10, metavar="K", help="patterns to show (default 10)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the figure")
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.errors import InputError
    from ecgcvx.files import atomic_write, check_file
    from ecgcvx.interpretation.explanation import explain, explanation_json, explanation_words

    if options.top < 1:
        raise InputError(f"top = {options.top}: give at least 1")
    if options.svg is not None:
        check_file(options.svg)
    forecaster = load_model(options)
    found = explain(forecaster, read_record(options, forecaster), options.at)
    if options.svg is not None:
        from ecgcvx.report.explanation import explanation_svg

        text = explanation_svg(found, options.top)
        atomic_write(options.svg, lambda file: file.write(text.encode()))
    if options.json:
        print(json.dumps(explanation_json(found), allow_nan=False))
        return 0
    wrote = [] if options.svg is None else [f"wrote {options.svg}"]
    show(f"{found.record}, lead {found.lead}. {explanation_words(found)}\n", _table(found, options.top), *wrote)
    return 0


def _table(found: "Explanation", top: int) -> object:
    from rich.table import Table

    from ecgcvx.interpretation.explanation import waterfall

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("part", "adds mV", "sum mV", "distance to its gate mV"):
        table.add_column(title, justify="left" if title == "part" else "right", no_wrap=True)
    total = found.mean_mv
    table.add_row("mean of the signal", "", f"{total:.4f}", "")
    for k, (name, adds) in enumerate(waterfall(found, top)):
        total += adds
        pattern = found.active[k] if k < top else None
        far = "" if pattern is None or math.isinf(pattern.distance_mv) else f"{pattern.distance_mv:.4g}"
        table.add_row(name, f"{adds:+.4f}", f"{total:.4f}", far + ("*" if far and pattern and pattern.deep else ""))
    table.add_row("forecast", "", f"{found.forecast_mv:.4f}", "", style="bold")
    table.add_row("measured", "", f"{found.measured_mv:.4f}", "")
    return table
