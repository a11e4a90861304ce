"""`ecgcvx path`: choose beta along the regularisation path."""

import argparse
import json
import shlex
from pathlib import Path

from ecgcvx.cli.arguments import (
    add_network,
    add_output,
    add_record,
    add_windows,
    fit_options_of,
    given_options,
    read_record,
)
from ecgcvx.cli.terminal import progress_bar, show

DESCRIPTION = """\
Solve the convex program for falling beta, each solution starting from the one before, and choose beta where the error
is smallest on a validation part: the last share (1 - train fraction) of the training windows in time. The test part is
reported beside it and chooses nothing. The output folder holds path.csv and path.png."""
EXAMPLES = """\
examples:
  ecgcvx path data/mitdb208/208
  ecgcvx path mitdb/100 --horizon 5 --betas 25 --ratio 1e-7 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_record(parser)
    add_windows(parser)
    add_network(parser, "seed", "time_limit")
    group = parser.add_argument_group("path")
    group.add_argument("--betas", type=int, default=13, metavar="N", help="points of the path (default 13)")
    group.add_argument("--ratio", type=float, default=1e-6, help="smallest beta relative to the largest (default 1e-6)")
    add_output(parser, "out/NAME-path")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.files import check_folder, make_folder
    from ecgcvx.interruption import keeping
    from ecgcvx.output import path_json, path_table, write_path
    from ecgcvx.path import regularisation_path

    chosen = fit_options_of(options)
    recording = read_record(options)
    folder = options.output or Path("out") / f"{Path(recording.name).name}-path"
    check_folder(folder)
    make_folder(folder)
    with keeping():
        with progress_bar() as progress:
            path, _ = regularisation_path(recording, chosen, options.betas, options.ratio, progress)
            progress("writing the results", None)
            write_path(path, recording, folder)
        if options.json:
            print(json.dumps(path_json(path, recording, chosen, folder), allow_nan=False))
            return 0
        train, validation, test = path.windows
        smallest = "\nthe smallest beta was chosen; a lower --ratio may do better" if path.floor_reached else ""
        if path.status != "complete":
            smallest = f"\nthe path ended by {path.status} after {len(path.points)} of {options.betas} betas"
        show(
            f"{recording.name}, lead {recording.lead}: {train:,} training, {validation:,} validation, {test:,} test "
            f"windows{_drawn(path.step)}\nthe solution is zero from beta = {path.largest_beta:.4e} up\n",
            path_table(path),
            f"{smallest}\nbeta = {path.chosen.beta:.3e} has the smallest error on the validation part; to train on "
            f"all of it:\n  {_fit_command(options, path.chosen.beta)}\nwrote {folder}/path.csv, path.png",
        )
        return 0


def _drawn(step: int) -> str:
    return "" if step == 1 else f"\none training window in {step} was trained on, objective and gap are of these"


def _fit_command(options: argparse.Namespace, beta: float) -> str:
    """The `ecgcvx fit` that trains what a path was asked for: the options given, and beta."""
    words = ["ecgcvx", "fit", options.record]
    of_record = ("lead", "start", "end", "sampling_frequency", "unit", "annotator", "resample")
    record = {name: getattr(options, name) for name in of_record}
    network = {} if options.network == "relu" else {"network": options.network}
    for name, value in {**record, **network, **given_options(options)}.items():
        if value is not None and name != "time_limit":
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join([*words, "--beta", f"{beta:.3e}"])
