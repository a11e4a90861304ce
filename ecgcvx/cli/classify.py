"""`ecgcvx classify`: tell beats apart."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgcvx.cli.arguments import JSON_HELP, add_reading, read_record
from ecgcvx.cli.terminal import progress_bar, show

if TYPE_CHECKING:
    from ecgcvx.classify.classifier import ClassifiedBeats, ConvexBeatClassifier
    from ecgcvx.records import Recording

DESCRIPTION = """\
Tell normal (N), supraventricular (S), ventricular (V) and fusion (F) beats apart in people that the training never saw.

'ecgcvx classify train RECORD...' trains convolutional networks as convex programs on annotated records, each taken as
one patient. Patients are left out in turn to choose filter length, beta and weights, to calibrate the probabilities and
to set the thresholds. With class S, copies of patients with more early beats than they had are learned from, too. The
folder gets model.safetensors, metrics.json and report.html, which shows every filter.

'ecgcvx classify MODEL RECORD' classifies the beats at the R peaks of the annotation file, or of a detector. A beat that
is like nothing in training is called Q, unknown. CSV has the columns sample, time_s, class, a probability p_C for each
class, and distance from the training (above 1: unknown); another extension than .csv writes WFDB annotations.

Not a medical device: not for diagnosis or treatment."""
EXAMPLES = """\
examples:
  ecgcvx classify train mitdb/106 mitdb/119 mitdb/208 mitdb/223 --output out/beats
  ecgcvx classify train mitdb/1?? mitdb/2?? --lead MLII --classes N,S,V
  ecgcvx classify out/beats mitdb/200 --output beats.csv
  ecgcvx classify out/beats mitdb/200 --output out/200.net"""

TRAIN = "train"
TRAINING = ("classes", "taps", "betas", "weights", "folds", "others", "gap", "prove", "seed")
WEIGHTS = ("none", "balanced", "patients")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("what", metavar="train|MODEL", help="train, or the output folder of a training or its model")
    parser.add_argument("records", metavar="RECORD", nargs="+", help="records as `ecgcvx fit` takes them")
    add_reading(parser)
    group = parser.add_argument_group("training")
    add = group.add_argument
    none: dict[str, Any] = {"default": argparse.SUPPRESS}
    add("--classes", metavar="N,V", help="the usual one first: of N, S, V, F (default N,V)", **none)
    add(
        "--taps",
        type=int,
        nargs="+",
        metavar="H",
        help="filter lengths at 180 Hz to choose from (default 9 60)",
        **none,
    )
    add(
        "--beta", dest="betas", type=float, nargs="+", metavar="B", help="betas to choose from (default 3e-3 1e-3)",
        **none,
    )  # fmt: skip
    add(
        "--weights", nargs="+", choices=WEIGHTS,
        help="of the beats in the loss, to choose from: patients lets k beats of a class in one patient weigh as "
        "sqrt(k) (default patients)", **none,
    )  # fmt: skip
    add("--folds", type=int, metavar="K", help="groups of patients that are left out in turn (default 4)", **none)
    add("--others", type=int, metavar="N", help="beats of the other classes at most (default 6000)", **none)
    add("--gap", type=float, metavar="TOL", help="relative searched gap of the final networks (default 2e-2)", **none)
    add("--prove", type=float, metavar="S", help="seconds to prove a gap in, for each network (default 0)", **none)
    add("--seed", type=int, metavar="N", help="of the searches (default 0)", **none)
    parser.add_argument(
        "--output", type=Path, metavar="PATH",
        help="folder of a training (default out/beats); file of a classification, .csv or WFDB annotations (default: "
        "CSV on standard output)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    return _train(options) if options.what == TRAIN else _classify(options)


def _train(options: argparse.Namespace) -> int:
    from ecgcvx.classify.output import training_words, write_training
    from ecgcvx.classify.training import TrainOptions, train

    chosen = {name: getattr(options, name) for name in TRAINING if hasattr(options, name)}
    if "classes" in chosen:
        chosen["classes"] = tuple(part.strip() for part in chosen["classes"].split(","))
    for name in ("taps", "betas", "weights"):
        if name in chosen:
            chosen[name] = tuple(chosen[name])
    training_options = TrainOptions(**chosen)
    recordings = [read_record(options, source=record) for record in options.records]
    folder = options.output or Path("out") / "beats"
    with progress_bar() as progress:
        training = train(recordings, training_options, progress)
        found = write_training(training, folder)
    if options.json:
        print(json.dumps(found, allow_nan=False))
        return 0
    show(*training_words(training), f"wrote model.safetensors, metrics.json and report.html in {folder}")
    return 0


def _classify(options: argparse.Namespace) -> int:
    from ecgcvx.classify.classifier import ConvexBeatClassifier
    from ecgcvx.classify.output import beats_csv, write_annotations
    from ecgcvx.errors import InputError
    from ecgcvx.files import atomic_write

    for name in TRAINING:
        if hasattr(options, name):
            raise InputError(
                f"--{'beta' if name == 'betas' else name} belongs to `ecgcvx classify train`; leave it out"
            )
    if len(options.records) > 1:
        raise InputError(f"records: {len(options.records)} are given; classify one at a time")
    annotations = options.output is not None and options.output.suffix.lower() != ".csv"
    if annotations and (options.start or options.resample):
        raise InputError("--start, --resample: annotations count samples of the whole record; leave them out")
    classifier = ConvexBeatClassifier.load(options.what)
    recording = read_record(options, lead=options.lead or classifier.lead, source=options.records[0])
    found = classifier.classify(recording)
    if annotations:
        write_annotations(found, options.output, recording.sampling_frequency)
    else:
        text = beats_csv(found, classifier.classes, recording.sampling_frequency)
        if options.output is None and not options.json:
            sys.stdout.write(text)
            return 0
        if options.output is not None:
            atomic_write(options.output, lambda file: file.write(text.encode()))
    facts = _facts(found, classifier, recording)
    if options.json:
        print(json.dumps(facts | {"output": str(options.output) if options.output else None}, allow_nan=False))
        return 0
    show(*_words(found, classifier, recording), f"wrote {options.output}")
    return 0


def _facts(found: "ClassifiedBeats", classifier: "ConvexBeatClassifier", recording: "Recording") -> dict[str, Any]:
    from ecgcvx.classify.output import against_annotation

    return {
        "record": recording.name, "lead": recording.lead, "beats": len(found), "source": found.source,
        "classes": found.counts, "left_out": found.left_out,
        "against_annotation": {name: asdict(one) for name, one in against_annotation(found, classifier).items()},
    }  # fmt: skip


def _words(found: "ClassifiedBeats", classifier: "ConvexBeatClassifier", recording: "Recording") -> list[str]:
    from ecgcvx.classify.classes import PACED
    from ecgcvx.classify.output import NO_DEVICE, against_annotation, measures_words

    counts = ", ".join(f"{count:,} {name}" for name, count in found.counts.items())
    lines = [f"{recording.name}, lead {recording.lead}: {counts} of {len(found):,} beats ({found.source})"]
    if found.left_out:
        lines.append(f"{found.left_out} beats over a gap or an end of the record were left out")
    paced = sum(symbol in PACED for symbol in found.windows.symbols)
    if paced:
        lines.append(f"{paced:,} beats are paced, by the annotation: the classes say nothing of them")
    for name, one in against_annotation(found, classifier).items():
        lines.append(f"{name} against the annotation: {measures_words(one)}")
    return [*lines, NO_DEVICE]
