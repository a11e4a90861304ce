"""Small networks of every kind on the record that ships with the project, fitted once, with their readings."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit
from ecgcvx.interpretation import Interpretation, Refitting, interpret
from ecgcvx.output import metrics
from ecgcvx.records import Annotation, Recording, read_recording
from ecgcvx.report import Training, report_html, training_of
from ecgcvx.types import silent

RECORD = Path(__file__).resolve().parents[2] / "data" / "mitdb208" / "208"
OPTIONS: dict[str, dict[str, Any]] = {
    "gated": {"network": "gated", "patterns": 12, "solver": "fista", "beta": 1e-5},
    "polynomial": {"network": "polynomial", "solver": "semidefinite", "beta": 1e-4},
    "relu": {"beta": 1e-3, "rounds": 2, "confirm_starts": 20},
    "stack": {"network": "stack", "confirm_starts": 20},
}


@dataclass(frozen=True)
class Case:
    """A reading, the metrics of the fit, what is known of its training, and the page."""

    reading: Interpretation
    metrics: dict[str, Any]
    training: Training
    page: str


@cache
def minute() -> Recording:
    """The first 40 seconds of the record."""
    return read_recording(RECORD, end=40)


@cache
def case(kind: str) -> Case:
    """The case of a kind of network; 'relu' with stability, from a few refits; 'typed' with types of beats."""
    if kind == "typed":
        gated = case("gated")
        assert gated.reading.beats is not None
        peaks = gated.reading.beats.samples
        typed = replace(minute(), annotation=Annotation(peaks, tuple("NNVA"[k % 4] for k in range(len(peaks)))))
        reading = interpret(gated.reading.forecaster, typed, part="all", refitting=None)
        return Case(reading, gated.metrics, gated.training, report_html(reading, gated.training, "out/208"))
    options = fit_options(**OPTIONS[kind])
    result = fit(minute(), options, silent)
    settings = {
        "version": "0.1.0",
        "options": options.settings,
        "solver": {"status": result.trained.status, "detail": result.trained.detail},
    }
    found = metrics(result, minute(), options, Path("out/208")) | settings
    training = training_of(found, "metrics.json")
    refitting = Refitting(rows=1000, seeds=1, folds=2, factors=(3.0,)) if kind == "relu" else None
    reading = interpret(result.forecaster, minute(), refitting=refitting)
    return Case(reading, found, training, report_html(reading, training, "out/208"))
