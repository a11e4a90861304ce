"""What a report tells of the training: the metrics of a fit, as its output folder keeps them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgcvx.errors import ModelError
from ecgcvx.evidence import Evidence
from ecgcvx.records import Recording


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
    None for all.
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

    @property
    def convex(self) -> Contender:
        """The network that the report is on: the last of the comparison."""
        return self.contenders[-1]


def training_of(metrics: dict[str, Any], source: str) -> Training:
    """Return the training that the metrics of a fit tell of; ModelError naming the source where they are damaged."""
    try:
        options, solver, proof = metrics["options"], metrics["solver"], metrics.get("proof")
        return Training(
            record=str(metrics["record"]),
            lead=str(metrics["lead"]),
            version=str(metrics["version"]),
            output=str(metrics["output"]),
            network=str(options["network"]),
            solver=str(options["solver"]),
            patterns=None if options["patterns"] is None else int(options["patterns"]),
            seed=int(options["seed"]),
            train_fraction=float(options["train_fraction"]),
            beta=float(metrics["beta"]),
            beta_chosen_by=str(metrics["beta_chosen_by"]),
            train_windows=int(metrics["windows"]["train"]),
            test_windows=int(metrics["windows"]["test"]),
            status=str(solver["status"]),
            detail=str(solver["detail"]),
            contenders=tuple(_contender(model) for model in (metrics["models"][0], *metrics["models"][1:])),
            proof=None
            if proof is None
            else Proof(float(proof["primal"]), float(proof["dual_proved"]), float(proof["proved_gap"])),
            model_digest=str(metrics.get("model_digest", "")),
            cautions=tuple(str(caution) for caution in metrics.get("cautions", ())),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{source}: damaged ({type(error).__name__}: {error}); fit again") from None


def read_training(model: Path, model_digest: str | None = None) -> Training | None:
    """Return the training of a fit's output folder, or of a model file in one; None where there is no metrics.json.

    model_digest : of the model; metrics that name another one belong to another run, and are left out (None).

    Raises ModelError when the metrics are damaged.
    """
    file = (model if model.is_dir() else model.parent) / "metrics.json"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: not readable ({error}); fit again") from None
    try:
        metrics = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{file}: not JSON ({error}); fit again") from None
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


def _contender(model: dict[str, Any]) -> Contender:
    def number(name: str) -> float | None:
        return None if model[name] is None else float(model[name])

    return Contender(
        name=str(model["name"]),
        neurons=None if model["neurons"] is None else int(model["neurons"]),
        train_rmse_mv=float(model["train_rmse_mv"]),
        test_rmse_mv=float(model["test_rmse_mv"]),
        objective=number("objective"),
        gap=number("gap"),
        evidence=_evidence(model["gap_kind"]),
        seconds=float(model["seconds"]),
        gap_of=str(model.get("gap_of", "")) or LEGACY_GAP_OF.get(str(model["gap_kind"]), ""),
    )
