"""`ecgcvx fill`: the gaps of a record filled from both sides."""

import argparse
import json
from pathlib import Path

from ecgcvx.cli.arguments import JSON_HELP, add_record, read_record
from ecgcvx.cli.terminal import show

DESCRIPTION = """\
Fill the gaps of a record that are not too long, from the samples before and after them, with an interval for every
filled sample: the linear estimator of least mean squared error given up to 32 samples on each side, from the moments of
the record's own stretches without a gap. It sees a gap as one between two forecasts, forward and backward, joined at
their best.

The output has four leads: the lead as it was, gaps included; `filled LEAD`; and the ends of the intervals, `lower LEAD`
and `upper LEAD`, where something was filled. A name that ends in .csv makes a table, any other a WFDB record. Filled
samples serve for nothing else: neither the estimator nor `ecgcvx fit` trains on them. Gaps longer than --longest
or at an end of the record stay, and the ledger says which.

In the long run the share --coverage of filled samples lies inside the intervals, as far as the gaps are like other
places of the record; where samples go missing because of what the signal does, they are not."""
EXAMPLES = """\
examples:
  ecgcvx fill telemetry.csv --output filled.csv
  ecgcvx fill record --longest 20 --coverage 0.95 --output out/record_filled --json | jq '.gaps[0]'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_record(parser)
    parser.add_argument("--longest", type=int, default=30, metavar="N", help="samples of a gap to fill (default 30)")
    parser.add_argument("--coverage", type=float, default=0.9, help="of the intervals (default 0.9)")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="NAME", help="NAME.csv, or the name of a WFDB record to write"
    )
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    import numpy as np

    from ecgcvx.files import make_folder, write_files
    from ecgcvx.filling import FILLED, check_not_filled, fill_gaps, ledger
    from ecgcvx.gan.records import write_record
    from ecgcvx.signal_csv import write_columns

    recording = read_record(options)
    check_not_filled(recording)
    found = fill_gaps(recording, options.longest, options.coverage)
    signals = np.stack([recording.signal, found.signal, found.lower, found.upper], axis=1)
    lead, rate, unit = recording.lead, recording.sampling_frequency, recording.unit
    names = (lead, f"{FILLED}{lead}", f"lower {lead}", f"upper {lead}")
    make_folder(options.output.parent)
    if options.output.suffix.lower() == ".csv":
        write_columns(options.output, rate, [f"{name} ({unit})" for name in names], signals)
        written = options.output
    else:
        comment = f"Gaps of record {recording.name}, lead {lead}, of up to {options.longest} samples filled (ecgcvx)."
        made = write_files(
            options.output.parent,
            lambda scratch: write_record(scratch, options.output.name, signals, rate, names, unit, [comment]),
        )
        written = options.output.parent / made[-1].name
    lines = ledger(found, rate)
    every = ("filled", "too long", "at the edge")
    counts = {status: sum(line["status"] == status for line in lines) for status in every}
    facts = {
        "record": recording.name, "lead": lead, "unit": unit, "coverage": found.coverage, "longest": options.longest,
        "filled_samples": int(found.filled.sum()), "counts": counts, "gaps": lines, "output": str(written),
    }  # fmt: skip
    if options.json:
        print(json.dumps(facts, allow_nan=False))
        return 0
    stayed = [f"{counts[status]} {status}" for status in every[1:] if counts[status]]
    show(
        f"{recording.name}, lead {lead}: {counts['filled']} of {len(lines)} gaps filled, {found.filled.sum():,} samples"
        + (f"; left open: {', '.join(stayed)}" if stayed else ""),
        f"wrote {written}",
    )
    return 0
