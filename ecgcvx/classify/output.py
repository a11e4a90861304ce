"""What a training and a classification write: metrics, CSV, WFDB annotations."""

import csv
import json
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.classify.classes import class_of
from ecgcvx.classify.classifier import ClassifiedBeats, ConvexBeatClassifier
from ecgcvx.classify.measures import ClassMeasures, measures_of
from ecgcvx.classify.training import Training
from ecgcvx.evidence import percent
from ecgcvx.files import write_files
from ecgcvx.formats.wfdb_annotation import write_marks
from ecgcvx.tensor_file import FILE

NO_DEVICE = "not a medical device: not for diagnosis or treatment"


def write_training(training: Training, folder: Path) -> dict[str, Any]:
    """Write model.safetensors, metrics.json and report.html into a folder, all or none; return metrics."""
    from ecgcvx.classify.report import report_html

    found = training_json(training)

    def fill(scratch: Path) -> None:
        training.classifier.save(scratch / FILE)
        (scratch / "metrics.json").write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        (scratch / "report.html").write_text(report_html(training), encoding="utf-8")

    write_files(folder, fill)
    return found | {"output": str(folder)}


def training_json(training: Training) -> dict[str, Any]:
    """What is known of a training, as one JSON object; held_out: measures on beats that were left out in turn."""
    classifier = training.classifier
    decided = classifier.decide(training.held_out)
    return {
        "classes": list(classifier.classes),
        "lead": classifier.lead,
        "chosen": asdict(classifier.setting),
        "filters": classifier.filters,
        "parameters": classifier.parameters,
        "machines": {
            machine.name: {
                "filters": machine.network.neurons, "objective": machine.gap.primal, "gap": machine.gap.relative,
                "gap_kind": str(machine.gap.evidence), "gap_detail": machine.gap.detail, "status": machine.status,
                "threshold": machine.threshold,
            }
            for machine in classifier.machines
        },
        "held_out_measures": {
            name: asdict(measures_of(training.truth, decided, name)) for name in classifier.classes
        },
        **classifier.training,
    }  # fmt: skip


def training_words(training: Training) -> list[str]:
    """What is known of a training, in lines."""
    classifier, facts = training.classifier, training.classifier.training
    counts = ", ".join(f"{count:,} {name}" for name, count in facts["beats"].items())
    lines = [
        f"{len(facts['records'])} recordings, lead {classifier.lead}: {counts} beats",
        f"chosen by leaving {facts['held_out']} out, of {len(facts['trials'])}: {classifier.setting.words}",
        *[f"filters of {h} taps were not tried: a class has fewer beats than weights" for h in facts["too_long"]],
    ]
    decided = classifier.decide(training.held_out)
    for machine in classifier.machines:
        lines.append(
            f"{machine.name} against the others: {filters_words(machine.network.neurons)}, {machine.gap.words}"
        )
        if machine.name in facts["proofs"]:
            lines.append(f"  {facts['proofs'][machine.name]['words']}")
        lines.append(
            f"  {facts['held_out']} left out: {measures_words(measures_of(training.truth, decided, machine.name))}"
        )
    if "crowded" in facts:
        crowded = facts["crowded"]
        found = ClassMeasures(**crowded["held_out_measures"]["S"])
        lines.append(f"{len(crowded['records'])} copies with many early beats, S, left out: {measures_words(found)}")
    return [*lines, f"{classifier.parameters:,} weights; {NO_DEVICE}"]


def filters_words(count: int) -> str:
    """E.g. '1 filter', '32 filters'."""
    return f"{count} filter{'' if count == 1 else 's'}"


def measures_words(found: ClassMeasures) -> str:
    """E.g. 'sensitivity 94.3 %, precision 88.8 %, F1 .914 of 3,788 beats'."""
    return (
        f"sensitivity {percent(found.sensitivity)}, precision {percent(found.precision)}, F1 {found.f1:.3f} "
        f"of {found.beats:,} beats"
    )


def beats_csv(found: ClassifiedBeats, classes: tuple[str, ...], sampling_frequency: float) -> str:
    """Return every beat as CSV text: sample, time_s, class, a probability p_C for each class, distance.

    distance : from the training, in units of the limit: above 1 the beat is unknown, 'Q'.
    """
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("sample", "time_s", "class", *(f"p_{name}" for name in classes), "distance"))
    for sample, name, p, distance in zip(
        found.samples, found.classes, found.probabilities, found.distances, strict=True
    ):
        time = f"{sample / sampling_frequency:.4f}"
        writer.writerow((sample, time, name, *(f"{value:.4f}" for value in p), f"{distance:.3f}"))
    return buffer.getvalue()


def write_annotations(found: ClassifiedBeats, path: Path, sampling_frequency: float) -> None:
    """Write the beats as a WFDB annotation file RECORD.EXTENSION with the symbols N, S, V, F, and Q for unknown ones.

    Raises InputError, see `write_marks`.
    """
    write_marks(path, found.samples, [str(one) for one in found.classes], sampling_frequency)


def against_annotation(found: ClassifiedBeats, classifier: ConvexBeatClassifier) -> dict[str, ClassMeasures]:
    """Return the measures of every class against the symbols of the beats, those of other classes left out.

    Empty where the symbols say none of the classes.
    """
    truth = class_of(found.windows.symbols)
    known = np.isin(truth, classifier.classes)
    there = [name for name in classifier.classes if (truth == name).any()]
    return {name: measures_of(truth[known], found.classes[known], name) for name in there}
