"""The file of a forecaster: its network's arrays and its settings in one safetensors file (`tensor_file`).

Forecasters of several horizons lie in one file side by side: arrays named 'HORIZON/NAME', settings in a list.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.errors import InputError, ModelError, RecordError
from ecgcvx.forecaster import Forecaster
from ecgcvx.formats.amplitude import read_unit
from ecgcvx.intervals import Calibration
from ecgcvx.json_values import number, text, whole
from ecgcvx.kinds.registry import model_class
from ecgcvx.multi_horizon import MultiHorizonForecaster, horizon_words
from ecgcvx.residual_tree import NEWEST, check_tree
from ecgcvx.tensor_file import digest_of, read_tensors, short, write_tensors
from ecgcvx.training_range import TrainingRange
from ecgcvx.types import Array
from ecgcvx.windows import Scaler

FORMAT = 5
JOINED = 6  # of several leads
SEVERAL = 7  # horizons
WITHOUT_RANGE = 4  # the same without a training range
LEGACY = (1, 2, 3)  # before the digest: ReLU and gated, with a polynomial activation, stacks
RANGE = ("whitening", "linear")  # arrays of a training range, kept as `training_range.NAME`
CALIBRATION = ("tree", "edges", "residuals", "counts")  # arrays of a calibration, kept as `calibration.NAME`
LONGEST_SPAN = 1 << 24  # samples of a window, and of a horizon
LONGEST_TEXT = 1000  # characters


def save(model: Forecaster | MultiHorizonForecaster, path: Path) -> None:
    """Write a model file, of one horizon or of several; a file that is there is replaced whole or not at all."""
    write_tensors(path, *_content(model))


def load(path: str | Path, horizon: int | None = None) -> Forecaster:
    """Read a model file, or the model of an output folder.

    horizon : of a model of several, samples ahead; may be left out where there is one alone.

    Raises ModelError when it is missing, damaged, changed since it was written, not of this program, or of a newer one;
    InputError for a horizon that it does not have, and where it has several and none is named.
    """
    found = read_model(path)
    if isinstance(found, MultiHorizonForecaster):
        if horizon is None and len(found.horizons) > 1:
            raise InputError(
                f"{path}: it forecasts {horizon_words(found.horizons)} samples ahead; name one of them with --horizon "
                "(Python: horizon=)"
            )
        return found.at(found.horizons[0] if horizon is None else horizon)
    if horizon not in (None, found.horizon):
        raise InputError(f"horizon = {horizon}: the model forecasts {found.horizon} ahead; leave it out, or fit again")
    return found


def load_horizons(path: str | Path) -> MultiHorizonForecaster:
    """Read a model file as one of several horizons, a single one included; see `load` for what is raised."""
    found = read_model(path)
    return found if isinstance(found, MultiHorizonForecaster) else MultiHorizonForecaster((found,))


def read_model(path: str | Path) -> Forecaster | MultiHorizonForecaster:
    """Read a model file of one horizon or of several; see `load` for what is raised."""
    file, tensors, metadata = read_tensors(path, "ecgcvx fit")
    version = metadata.get("format")
    if "classes" in metadata:
        raise ModelError(f"{file}: a classifier of beats, no network that forecasts; give it to `ecgcvx classify`")
    if isinstance(version, bool) or version not in (SEVERAL, JOINED, FORMAT, WITHOUT_RANGE, *LEGACY):
        raise ModelError(f"{file}: model format {version!r}, this version reads 1 to {SEVERAL}; update ecgcvx")
    legacy = version in LEGACY and not {"digest", "network"} & set(metadata)  # one flipped bit makes a 5 a 1
    forecaster: Forecaster | MultiHorizonForecaster
    try:
        if legacy:
            metadata = _modern(metadata, tensors)
        forecaster = _several(metadata, tensors) if version == SEVERAL else _forecaster(metadata, tensors)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{file}: damaged model ({short(error)}); fit again") from None
    written, settings = _content(forecaster)
    if not legacy and (version, metadata.get("digest")) != (settings["format"], digest_of(written, settings)):
        raise ModelError(f"{file}: its digest does not match its content: the file was changed or damaged; fit again")
    return forecaster


def digest(model: Forecaster | MultiHorizonForecaster) -> str:
    """Return the SHA-256 of all weights and settings of a forecaster, or of those of several horizons."""
    return digest_of(*_content(model))


def _content(model: Forecaster | MultiHorizonForecaster) -> tuple[dict[str, Array], dict[str, Any]]:
    """All arrays and settings, as they are written."""
    if isinstance(model, Forecaster):
        return _tensors(model), _settings(model)
    tensors = {f"{one.horizon}/{name}": tensor for one in model.forecasters for name, tensor in _tensors(one).items()}
    return tensors, {"format": SEVERAL, "horizons": [_settings(one) for one in model.forecasters]}


def _several(metadata: dict[str, Any], tensors: dict[str, Array]) -> MultiHorizonForecaster:
    """The forecasters of checked metadata; see `_forecaster`."""
    each, found = metadata["horizons"], []
    if not isinstance(each, list) or not each or not all(isinstance(one, dict) for one in each):
        raise TypeError("horizons is no list of JSON objects")
    parts: dict[str, dict[str, Array]] = {
        str(whole(one["horizon"], "horizon", least=1, most=LONGEST_SPAN)): {} for one in each
    }
    for name, tensor in tensors.items():
        horizon, _, short_name = name.partition("/")
        parts[horizon][short_name] = tensor
    for one, own in zip(each, parts.values(), strict=True):
        if one.get("format") not in (JOINED, FORMAT, WITHOUT_RANGE):
            raise ValueError(f"format {one.get('format')!r} of a horizon")
        found.append(_forecaster(one, own))
    return MultiHorizonForecaster(tuple(found))


def _tensors(forecaster: Forecaster) -> dict[str, Array]:
    """All arrays of a forecaster: those of its network, its training range and its calibration."""
    known = forecaster.training_range
    more = {} if known is None else {f"training_range.{name}": getattr(known, name) for name in RANGE}
    kept = forecaster.calibration
    if kept is not None:
        more |= {f"calibration.{name}": getattr(kept, name) for name in CALIBRATION}
    return forecaster.network.tensors() | more


def _settings(forecaster: Forecaster) -> dict[str, Any]:
    known = forecaster.training_range
    limits = {} if known is None else {"low": known.low, "high": known.high, "limit": known.limit}
    return {
        "format": JOINED if forecaster.joined else WITHOUT_RANGE if known is None else FORMAT,
        **({"training_range": limits} if limits else {}),
        "network": forecaster.kind,
        "attributes": forecaster.network.attributes(),
        "scaler": {"mean": forecaster.scaler.mean, "scale": forecaster.scaler.scale},
        **{name: getattr(forecaster, name) for name in ("lead", "sampling_frequency", "window", "horizon", "beta")},
        **({"joined": _joined_leads(forecaster)} if forecaster.joined else {}),
        **({"longest": forecaster.longest} if forecaster.longest else {}),
        **({} if forecaster.calibration is None else {"coverages": list(forecaster.calibration.coverages)}),
        **{name: value for name in ("unit", "resample") if (value := getattr(forecaster, name)) is not None},
    }


def _joined_leads(forecaster: Forecaster) -> list[dict[str, Any]]:
    leads = zip(forecaster.joined, forecaster.scaler.joined, strict=True)
    return [{"lead": name, "mean": scaler.mean, "scale": scaler.scale} for name, scaler in leads]


def _forecaster(metadata: dict[str, Any], tensors: dict[str, Array]) -> Forecaster:
    """The forecaster of checked metadata; what does not fit is a ValueError, TypeError, LookupError or the like."""
    scaler, attributes = metadata["scaler"], metadata["attributes"]
    if not isinstance(scaler, dict) or not isinstance(attributes, dict):
        raise TypeError("scaler and attributes are no JSON objects")
    lead, kind = (text(metadata[name], name, longest=LONGEST_TEXT) for name in ("lead", "network"))
    window, horizon = (whole(metadata[name], name, least=1, most=LONGEST_SPAN) for name in ("window", "horizon"))
    joined, scalers = _joined_of(metadata)
    inputs = (1 + len(joined)) * window + 1
    known = _training_range(metadata["training_range"], tensors, inputs) if "training_range" in metadata else None
    if known is not None:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("training_range.")}
    kept = _calibration(metadata["coverages"], tensors, inputs - 1) if "coverages" in metadata else None
    if kept is not None:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("calibration.")}
    network = model_class(kind).from_tensors(tensors, attributes)
    if set(network.tensors()) != set(tensors):
        raise ValueError(f"tensors {', '.join(sorted(tensors))}")
    if network.inputs != inputs:
        raise ValueError(f"the network has {network.inputs} inputs for {1 + len(joined)} windows of {window}")
    return Forecaster(
        network=network,
        scaler=_scaler(scaler, scalers),
        lead=lead,
        sampling_frequency=number(metadata["sampling_frequency"], "sampling_frequency", positive=True),
        window=window,
        horizon=horizon,
        beta=number(metadata["beta"], "beta", least=0.0),
        kind=kind,
        unit=_unit(metadata.get("unit")),
        resample=number(metadata["resample"], "resample", positive=True) if "resample" in metadata else None,
        training_range=known,
        calibration=kept,
        joined=joined,
        longest=whole(metadata["longest"], "longest", least=1, most=LONGEST_SPAN) if "longest" in metadata else 0,
    )


def _scaler(numbers: dict[str, Any], joined: tuple[Scaler, ...] = ()) -> Scaler:
    return Scaler(number(numbers["mean"], "mean"), number(numbers["scale"], "scale", positive=True), joined)


def _joined_of(metadata: dict[str, Any]) -> tuple[tuple[str, ...], tuple[Scaler, ...]]:
    """Names and scalers of joined leads; those of no other format than JOINED, which has at least one."""
    held = metadata.get("joined", [])
    if not isinstance(held, list) or not all(isinstance(one, dict) for one in held):
        raise TypeError("joined is no list of JSON objects")
    if bool(held) != (metadata["format"] == JOINED):
        raise ValueError(f"{len(held)} joined leads in format {metadata['format']}")
    names = tuple(text(one["lead"], "lead of joined", longest=LONGEST_TEXT) for one in held)
    return names, tuple(map(_scaler, held))


def _training_range(limits: object, tensors: dict[str, Array], inputs: int) -> TrainingRange:
    """A training range of checked limits and arrays."""
    if not isinstance(limits, dict):
        raise TypeError("training_range is no JSON object")
    whitening, linear = (tensors[f"training_range.{name}"] for name in RANGE)
    if linear.shape != (inputs,) or whitening.ndim != 2 or len(whitening) != inputs or not whitening.shape[1]:
        raise ValueError(f"training range of shapes {whitening.shape}, {linear.shape}")
    if not (np.isfinite(whitening).all() and np.isfinite(linear).all()):
        raise ValueError("training range holds a number that is not finite")
    low, high = number(limits["low"], "low"), number(limits["high"], "high")
    return TrainingRange(low, high, whitening, number(limits["limit"], "limit", positive=True), linear)


def _calibration(coverages: object, tensors: dict[str, Array], window: int) -> Calibration:
    """A calibration of checked coverages and arrays."""
    if not isinstance(coverages, list):
        raise TypeError("coverages is no list")
    if "calibration.tree" not in tensors:
        raise ValueError("its prediction intervals are of an earlier version, or none")
    tree, edges, residuals, counts = (tensors[f"calibration.{name}"] for name in CALIBRATION)
    check_tree(tree, min(window, NEWEST))
    return Calibration(tree, edges, residuals, counts, tuple(number(one, "coverages") for one in coverages))


def _unit(value: object) -> str | None:
    """A unit as `read_recording` takes it."""
    if value is None:
        return None
    unit = text(value, "unit", longest=LONGEST_TEXT)
    try:
        read_unit(unit, "model")
    except RecordError as error:
        raise ValueError(str(error)) from None
    return unit


def _modern(metadata: dict[str, Any], tensors: dict[str, Array]) -> dict[str, Any]:
    """The metadata of formats 1 to 3 as this format has them."""
    kind, attributes = "gated" if "gates" in tensors else "relu", {}
    if metadata["format"] == 2:
        polynomial = [number(one, "polynomial") for one in metadata["activation"]["polynomial"]]
        kind, attributes = "quadratic" if polynomial[1:] == [0.0, 0.0] else "polynomial", {"polynomial": polynomial}
    elif metadata["format"] == 3:
        kind, attributes = "stack", {"betas": metadata["betas"]}
    return metadata | {"network": kind, "attributes": attributes}
