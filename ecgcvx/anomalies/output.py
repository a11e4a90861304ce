"""What a detection writes: CSV, WFDB annotations, JSON."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.anomalies.events import Detection, Event, pattern_words
from ecgcvx.formats.wfdb_annotation import write_marks

NOTE = '"'  # WFDB's symbol of a comment


def event_json(event: Event, rate: float, origin: float = 0.0) -> dict[str, Any]:
    """Return an event as JSON has it, times in s, the first sample at `origin`; early : share of the usual interval."""
    return {
        "time_s": round(origin + event.start / rate, 4),
        "length_s": round(event.length / rate, 4),
        "r_peaks_s": [round(origin + sample / rate, 4) for sample in event.samples],
        "score": round(event.score, 3),
        "score_of_patterns": round(event.shape, 3),
        "score_of_timing": round(event.timing, 3),
        "early": round(event.early, 4),
        "patterns": [
            {"neurons": list(one.neurons), "excess": round(one.excess, 3), "unit": event.unit} for one in event.patterns
        ],
    }


def events_csv(found: Detection) -> str:
    """Return the events as CSV text, a line each; early in percent of the usual interval."""
    buffer, rate = StringIO(), found.sampling_frequency
    writer = csv.writer(buffer, lineterminator="\n")
    names = ("time_s", "length_s", "beats", "score", "score_of_patterns", "score_of_timing", "early_percent")
    writer.writerow((*names, "patterns"))
    for one in found.events:
        writer.writerow(
            (f"{one.start / rate:.4f}", f"{one.length / rate:.4f}", len(one.samples), f"{one.score:.2f}",
             f"{one.shape:.2f}", f"{one.timing:.2f}", f"{100 * one.early:.0f}", pattern_words(one.patterns, one.unit))
        )  # fmt: skip
    return buffer.getvalue()


def write_event_annotations(found: Detection, path: Path) -> None:
    """Write the events as a WFDB annotation file RECORD.EXTENSION: a comment at the R peak of largest score of each.

    Raises InputError for a name that WFDB does not take, a file that is there already, and no event at all.
    """
    notes = [f"unusual {one.score:.1f} {pattern_words(one.patterns, one.unit)}" for one in found.events]
    peaks = np.array([one.peak for one in found.events], dtype=np.int64)
    write_marks(path, peaks, [NOTE] * len(notes), found.sampling_frequency, notes)
