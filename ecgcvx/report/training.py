"""What a report tells of the training: the metrics of a fit, as its output folder keeps them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgcvx.errors import ModelError
from ecgcvx.evidence import Evidence
from ecgcvx.files import settle
from ecgcvx.json_values import number, text, whole
from ecgcvx.records import Recording
from ecgcvx.recurrence import Recurrence

LONGEST_TEXT = 100_000  # characters
LARGEST = 1e100
"""More than any number of a fit; a percentage of it is still finite."""


@dataclass(frozen=True)
class Contender:
    """One model of the comparison; errors in mV, gap relative to the objective, evidence what it rests on.

    gap_of : what the gap is of, '' for the whole network.
    """

    name: str
    neurons: int | None
    train_rmse_mv: float
    test_rmse_mv: float
    objective: float | None
    gap: float | None
    evidence: Evidence | None
    seconds: float
    gap_of: str = ""


@dataclass(frozen=True)
class Proof:
    """A bound over all two-layer ReLU networks that was proved: primal >= P* >= dual_proved."""

    primal: float
    dual_proved: float
    proved_gap: float


@dataclass(frozen=True)
class Training:
    """How a network was trained: the task, the windows, the solver's own words, and the models it was compared with.

    output : the folder of the fit. model_digest : of its model, '' in files before there was one.
    cautions : what its numbers should be read with. beta_chosen_by : 'user' or 'validation'. patterns : sampled ones,
    None for all. interrupted : what Ctrl-C ended, '' for a whole run. recurrence : how many patterns are those
    of the network chosen on the first part of the training windows, None where that was not measured.
    """

    record: str
    lead: str
    version: str
    output: str
    network: str
    solver: str
    patterns: int | None
    seed: int
    train_fraction: float
    beta: float
    beta_chosen_by: str
    train_windows: int
    test_windows: int
    status: str
    detail: str
    contenders: tuple[Contender, ...]
    proof: Proof | None
    model_digest: str = ""
    cautions: tuple[str, ...] = ()
    interrupted: str = ""
    recurrence: Recurrence | None = None

    @property
    def convex(self) -> Contender:
        """The network that the report is on: the last of the comparison."""
        return self.contenders[-1]


def training_of(metrics: dict[str, Any], source: str) -> Training:
    """Return the training that the metrics of a fit tell of; ModelError naming the source where they are damaged."""
    try:
        options, solver, proof = metrics["options"], metrics["solver"], metrics.get("proof")
        return Training(
            record=_text(metrics, "record"),
            lead=_text(metrics, "lead"),
            version=_text(metrics, "version"),
            output=_text(metrics, "output"),
            network=_text(options, "network"),
            solver=_text(options, "solver"),
            patterns=None if options["patterns"] is None else _whole(options, "patterns"),
            seed=_whole(options, "seed"),
            train_fraction=_number(options, "train_fraction"),
            beta=_number(metrics, "beta"),
            beta_chosen_by=_text(metrics, "beta_chosen_by"),
            train_windows=_whole(metrics["windows"], "train"),
            test_windows=_whole(metrics["windows"], "test"),
            status=_text(solver, "status"),
            detail=_text(solver, "detail"),
            contenders=tuple(_contender(model) for model in (metrics["models"][0], *metrics["models"][1:])),
            proof=None
            if proof is None
            else Proof(*(_number(proof, name) for name in ("primal", "dual_proved", "proved_gap"))),
            model_digest=_text({"model_digest": ""} | metrics, "model_digest"),
            cautions=tuple(text(caution, "cautions", longest=LONGEST_TEXT) for caution in metrics.get("cautions", ())),
            interrupted=text(metrics.get("interrupted") or "", "interrupted", longest=LONGEST_TEXT),
            recurrence=_recurrence(metrics.get("recurrence")),
        )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ModelError(f"{source}: damaged ({type(error).__name__}: {error}); fit again") from None


def _recurrence(found: dict[str, Any] | None) -> Recurrence | None:
    return None if found is None else Recurrence(**{name: _whole(found, name) for name in found})


def read_training(model: Path, model_digest: str | None = None) -> Training | None:
    """Return the training of a fit's output folder, or of a model file in one; None where there is no metrics.json.

    model_digest : of the model; metrics that name another one belong to another run, and are left out (None). Of
    several horizons those are taken that name it.

    Raises ModelError when the metrics are damaged.
    """
    file = (model if model.is_dir() else model.parent) / "metrics.json"
    settle(file.parent)
    try:
        content = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: not readable ({error}); fit again") from None
    try:
        metrics = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not JSON ({error}); fit again") from None
    if isinstance(metrics, dict) and "horizons" in metrics:
        each = metrics["horizons"] if isinstance(metrics["horizons"], list) else []
        metrics = next((one for one in each if isinstance(one, dict) and one.get("model_digest") == model_digest), None)
        if metrics is None:
            return None
    training = training_of(metrics, str(file))
    own = training.model_digest in ("", model_digest) or model_digest is None
    return training if own else None


def report_path(model: Path, recording: Recording, training: Training | None) -> Path:
    """Where a report goes by default: beside the model, under a name of its own for another record than the fit's."""
    folder = model if model.is_dir() else model.parent
    own = training is not None and (training.record, training.lead) == (recording.name, recording.lead)
    return folder / ("report.html" if own else f"report-{Path(recording.name).name}.html")


LEGACY = {
    "proved (enumerated)": Evidence.ENUMERATED,
    "all neurons, by eigenvalues": Evidence.EIGENVALUES,
    "searched, of the last stage given its features": Evidence.SEARCHED,
}
"""Words of metrics files before the evidence was an enum."""
LEGACY_GAP_OF = {"searched, of the last stage given its features": "for its last stage"}


def _evidence(words: object) -> Evidence | None:
    if words is None:
        return None
    return LEGACY.get(str(words)) or Evidence(str(words))


def _text(found: Mapping[str, Any], name: str) -> str:
    return text(found[name], name, longest=LONGEST_TEXT)


def _number(found: Mapping[str, Any], name: str) -> float:
    return number(found[name], name, least=-LARGEST, most=LARGEST)


def _whole(found: Mapping[str, Any], name: str) -> int:
    return whole(found[name], name, least=0, most=1 << 64)


def _contender(model: dict[str, Any]) -> Contender:
    def known(name: str) -> float | None:
        return None if model[name] is None else _number(model, name)

    return Contender(
        name=_text(model, "name"),
        neurons=None if model["neurons"] is None else _whole(model, "neurons"),
        train_rmse_mv=_number(model, "train_rmse_mv"),
        test_rmse_mv=_number(model, "test_rmse_mv"),
        objective=known("objective"),
        gap=known("gap"),
        evidence=_evidence(model["gap_kind"]),
        seconds=_number(model, "seconds"),
        gap_of=_text({"gap_of": ""} | model, "gap_of") or LEGACY_GAP_OF.get(str(model["gap_kind"]), ""),
    )
