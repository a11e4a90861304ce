"""`ecgcvx warm`: compile what is compiled once an installation, before it is needed."""

import argparse
import json

from ecgcvx.cli.arguments import JSON_HELP
from ecgcvx.cli.terminal import show
from ecgcvx.warmup import PARTS

DESCRIPTION = """\
Compile the inner loops (once an installation, about a minute), so that no later command waits for it. Every command
does this by itself for what it needs; `warm` is for images, classes and measurements. Where numba's cache cannot be
written there is nothing to keep: see `ecgcvx doctor`."""
EXAMPLES = """\
examples:
  ecgcvx warm
  ecgcvx warm --only proof --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), help="parts to compile (default: all)")
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command: one process a part, so that parts compile side by side."""
    from ecgcvx.warmup import compile_part
    from ecgcvx.workers import side_by_side

    names = list(options.only or PARTS)
    seconds = {}
    for name, took in side_by_side(compile_part, names):
        seconds[name] = took
        if not options.json:
            show(f"{name:15} {took:5.1f} s")
    if options.json:
        print(json.dumps({"seconds": {name: round(seconds[name], 3) for name in names}}))
    return 0
