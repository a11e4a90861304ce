"""`ecgcvx detect`: beats that are not as usual."""

import argparse
import json
import sys
from pathlib import Path

from ecgcvx.cli.arguments import JSON_HELP, add_learn, add_model, add_record, load_model, read_record
from ecgcvx.cli.terminal import show

DESCRIPTION = """\
Find the beats of a record that are not as usual: by the patterns of the network that are on in them, when and for how
long, by what these add to the forecast, and by how early the beat comes. What is usual is learned from the first part
of the record (--learn), without labels; the annotation is not looked at. Ectopic beats may be in that part, as long as
they are fewer than two in three.

Events are runs of consecutive beats above --threshold, in CSV: time_s, length_s, beats, score and its parts, by how
much the beat came early in percent of the usual interval, and the patterns that are farthest from usual, each with the
milliseconds that it is on beyond what is usual ('12-41ms': neuron 12, 41 ms less). Another extension than .csv writes
WFDB annotations, a comment at the R peak of each event.

Unusual is not a diagnosis. Not a medical device: not for diagnosis or treatment."""
EXAMPLES = """\
examples:
  ecgcvx detect out/119 mitdb/119 --output events.csv
  ecgcvx detect out/119 mitdb/119 --learn 300 --threshold 10 --output out/119.unu
  ecgcvx detect out/119 mitdb/119 --json | jq '.events[0]'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    add_record(parser)
    add_learn(parser, "the first quarter")
    parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help="events.csv, or RECORD.EXTENSION for WFDB annotations (default: CSV on standard output)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.anomalies import detect
    from ecgcvx.anomalies.events import THRESHOLD
    from ecgcvx.anomalies.output import event_json, events_csv, write_event_annotations
    from ecgcvx.errors import InputError
    from ecgcvx.files import atomic_write, check_file

    annotations = options.output is not None and options.output.suffix.lower() != ".csv"
    if annotations and (options.start or options.resample):
        raise InputError("--start, --resample: annotations count samples of the whole record; leave them out")
    if options.output is not None:
        check_file(options.output)
    forecaster = load_model(options)
    recording = read_record(options, forecaster)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    found = detect(forecaster, recording, learn=options.learn, threshold=threshold)
    if annotations:
        write_event_annotations(found, options.output)
    elif options.output is not None:
        text = events_csv(found)
        atomic_write(options.output, lambda file: file.write(text.encode()))
    elif not options.json:
        sys.stdout.write(events_csv(found))
        return 0
    rate = found.sampling_frequency
    beats = sum(len(event.samples) for event in found.events)
    if options.json:
        facts = {
            "record": recording.name, "lead": recording.lead, "beats": len(found.samples), "unusual_beats": beats,
            "left_out": found.left_out, "threshold": found.threshold, "learned_s": found.learned / rate,
            "events": [event_json(event, rate) for event in found.events],
            "output": None if options.output is None else str(options.output),
        }  # fmt: skip
        print(json.dumps(facts, allow_nan=False))
        return 0
    show(
        f"{recording.name}, lead {recording.lead}: {len(found.events):,} events, {beats:,} of {len(found.samples):,} "
        f"beats; usual is what the first {found.learned / rate:.0f} s have",
        *([f"{found.left_out} beats over a gap or an end of the record were left out"] if found.left_out else []),
        f"wrote {options.output}",
    )
    return 0
