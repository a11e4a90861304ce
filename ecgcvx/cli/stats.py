"""`ecgcvx stats`: the sufficient statistics of records as a file."""

import argparse
import json
from pathlib import Path

from ecgcvx.cli.arguments import JSON_HELP, RECORD_HELP, add_network, add_reading, add_windows, fit_options_of
from ecgcvx.cli.dataset import add_spreading, reading_of, spread_of
from ecgcvx.cli.terminal import progress_bar, show
from ecgcvx.errors import InputError
from ecgcvx.text import clean

DESCRIPTION = """\
Write the sums over the windows of records that a polynomial, quadratic or gated network is trained from, as one file.
`ecgcvx fit --stats A B` adds those of several files and trains on them: sites share sums in place of ECG, and the
network is that of all records in one place.

Every window of a record counts, standardised by the mean and the standard deviation of the whole signal. A gated
network's gates come from --seed and --patterns: files with other gates cannot be added.

A file holds the name, lead, number of windows, mean and standard deviation of each signal, and the sums over all of
them together. Sums of few windows can be traced back to their samples: see docs/datasets.md on what a file reveals."""
EXAMPLES = """\
examples:
  ecgcvx stats mitdb/ --network polynomial --output siteA.stats
  ecgcvx stats 100 101 --network gated --patterns 100 --seed 0 --engine records --output siteB.stats
  ecgcvx fit --stats siteA.stats siteC.stats --beta 1e-4 --output out/both"""
DEFAULT = Path("statistics.safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("record", nargs="+", metavar="RECORD", help=f"{RECORD_HELP}; a folder, a pattern, or RECORDS")
    add_reading(parser)
    add_spreading(parser.add_argument_group("several records"))
    add_windows(parser, "window", "horizon")
    add_network(parser, "seed")
    parser.add_argument("--output", type=Path, metavar="FILE", default=DEFAULT, help=f"file (default {DEFAULT})")
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.dataset import DatasetOptions, expand_sources
    from ecgcvx.dataset.statistics import record_statistics

    wanted = DatasetOptions(
        fit_options_of(options), reading_of(options), "leave-one-record-out", options.strict, jobs=options.jobs,
        **spread_of(options),
    )  # fmt: skip
    if options.output.is_dir():
        raise InputError(f"{options.output}: a folder; give a file")
    with progress_bar() as progress:
        found = record_statistics(expand_sources(options.record), wanted, progress)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    found.save(options.output)
    windows = int(found.total.n)
    if options.json:
        print(json.dumps({**found.settings, "fingerprint": found.fingerprint, "windows": windows,
                          "signals": len(found.sources), "skipped": dict(found.skipped),
                          "file": str(options.output)}))  # fmt: skip
        return 0
    features = f"{len(found.total.c):,} features"
    show(
        f"{found.network}: sums of the products of {features}"
        + (f" of {len(found.gates)} gates" if len(found.gates) else ""),
        f"{len(found.sources)} signals, {windows:,} windows, {found.sampling_frequency:g} Hz; "
        f"fingerprint {found.fingerprint[:16]}",
        *(f"skipped {clean(source)}: {clean(why)}" for source, why in found.skipped),
        f"wrote {options.output}; what it reveals: docs/datasets.md",
    )
    return 0
