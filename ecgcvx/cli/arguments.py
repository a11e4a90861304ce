"""Options that several commands share, and those of networks, taken from the fields of their kinds.

Options of a fit are absent from the parsed namespace unless they were given, so that what was given is what is passed
on: an option that the chosen network does not own is refused there, and defaults live in the kinds alone.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecgcvx.fit_options import SHARED, FitOptions, fit_options
from ecgcvx.kinds.registry import REGISTRY, kind_class
from ecgcvx.options import Option, options_of, value_type
from ecgcvx.text import clean

if TYPE_CHECKING:
    from ecgcvx.forecaster import Forecaster
    from ecgcvx.multi_horizon import MultiHorizonForecaster
    from ecgcvx.records import Recording

RECORD_HELP = """a WFDB record (path with or without .hea), a PhysioNet name such as mitdb/100 (downloaded once),
EDF, a table as .csv, .tsv, .txt or .parquet, .npy, .npz, .mat, or a file of a clinical device (HL7 aECG, SCP-ECG,
DICOM, ISHNE, MFER)"""
MODEL_HELP = "output folder of a fit, or its model.safetensors"
THRESHOLD = 6.0  # that of `ecgcvx.anomalies`, which waits for NumPy
JSON_HELP = "print one JSON object and nothing else on standard output"


def add_record(parser: argparse.ArgumentParser) -> None:
    """Add the record and what of it to read."""
    parser.add_argument("record", metavar="RECORD", help=RECORD_HELP)
    add_reading(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add what of a record to read, and how."""
    group = parser.add_argument_group("record")
    group.add_argument("--lead", help="name or number (from 0) of the lead (default: the first ECG lead)")
    group.add_argument("--start", type=float, metavar="S", help="seconds into the record to start at")
    group.add_argument("--end", type=float, metavar="S", help="seconds into the record to end at")
    group.add_argument("--sampling-frequency", type=float, metavar="HZ", help="of a table without times")
    group.add_argument("--unit", help="of values without one: uV, mV, V, adu (ADC counts), or a gain such as 200/mV")
    group.add_argument("--annotator", metavar="EXT", help="extension of the annotation file (default atr)")
    group.add_argument("--resample", type=float, metavar="HZ", help="resample to that frequency (polyphase)")


def read_record(
    options: argparse.Namespace,
    model: "Forecaster | MultiHorizonForecaster | None" = None,
    lead: str | int | None = None,
    source: str | None = None,
    join: "tuple[str | int, ...] | Literal['all'] | None" = None,
) -> "Recording":
    """Read the record of the options and say on standard error what is odd about it.

    Lead, unit and resampling are those of the model unless they are given, joined leads those of the model. lead,
    source : in place of the lead and the record of the options. join : see `read_recording`.
    """
    from ecgcvx.records import read_recording

    wanted, resample = options.lead if lead is None else lead, options.resample
    if model is not None:
        wanted = model.lead if wanted is None else wanted
        resample = model.resample if resample is None else resample
        join = model.joined or None
    source = options.record if source is None else source
    recording = read_recording(
        source, None if wanted is None else lead_number(wanted), options.start, options.end, options.sampling_frequency,
        unit=options.unit, default_unit=None if model is None else model.unit, annotator=options.annotator,
        resample=resample, join=join,
    )  # fmt: skip
    say_warnings(recording, source)
    return recording


def lead_number(lead: str | int) -> str | int:
    """Return a lead as `read_recording` takes it: text of digits is a number."""
    return int(lead) if isinstance(lead, str) and lead.isascii() and lead.isdecimal() else lead


def say_warnings(recording: "Recording", source: str) -> None:
    """Say on standard error what is odd about a recording."""
    for warning in recording.warnings:
        print(f"ecgcvx: {clean(source, 200)}: {warning}", file=sys.stderr)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the model, and which of its horizons."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--horizon", type=int, metavar="N", help="of a model of several horizons: samples ahead")


def load_model(options: argparse.Namespace) -> "Forecaster":
    """Return the model of the options, of several horizons the one that they name."""
    from ecgcvx.model_file import load

    return load(options.model, options.horizon)


def add_outside(parser: argparse.ArgumentParser) -> None:
    """Add what to do about forecasts outside of what was trained on."""
    parser.add_argument(
        "--outside", choices=("flag", "linear", "nan"), default="flag",
        help="what becomes of forecasts from windows outside the range of the training windows: flag (as they are, "
        "marked), linear (the linear forecast), nan (none) (default flag)",
    )  # fmt: skip


def add_intervals(parser: argparse.ArgumentParser) -> None:
    """Add --intervals, of a model that has them."""
    parser.add_argument(
        "--intervals", type=float, nargs="*", metavar="COVERAGE",
        help="prediction intervals of these coverages, e.g. 0.5 0.9 (without a value: those of the fit)",
    )  # fmt: skip


def coverages_of(options: argparse.Namespace, model: "Forecaster") -> tuple[float, ...]:
    """Return the coverages that were asked for, () for none; ModelError where the model has no intervals."""
    if options.intervals is None:
        return ()
    return tuple(options.intervals) or model.calibrated().coverages


def add_learn(parser: argparse.ArgumentParser, default: str) -> None:
    """Add what is learned from, and above which score a beat is an event, of `ecgcvx.anomalies`."""
    parser.add_argument("--learn", type=float, metavar="S", help=f"seconds to learn from (default {default})")
    parser.add_argument("--threshold", type=float, help=f"score above which a beat is an event (default {THRESHOLD:g})")


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the output folder and --json."""
    parser.add_argument("--output", type=Path, metavar="DIR", help=f"folder for the results (default {default})")
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


WINDOWS = ("window", "horizon", "train_fraction")


def add_windows(parser: argparse.ArgumentParser, *names: str) -> "argparse._ArgumentGroup":
    """Add the options of windows, those of `FitOptions`, all of them unless some are named; return their group."""
    group = parser.add_argument_group("windows")
    _add_options(group, FitOptions, names or WINDOWS)
    return group


def add_network(parser: argparse.ArgumentParser, *shared: str) -> None:
    """Add --network, the shared options named, and the options of all kinds, grouped by the networks that own them."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network", choices=tuple(REGISTRY), default="relu",
        help="; ".join(f"{name}: {kind_class(name).summary}" for name in REGISTRY) + " (default relu)",
    )  # fmt: skip
    _add_options(group, FitOptions, shared)
    owners: dict[str, list[str]] = {}
    for name in REGISTRY:
        for one in options_of(kind_class(name)):
            owners.setdefault(one, []).append(name)
    groups: dict[tuple[str, ...], list[str]] = {}
    for one, names in owners.items():
        groups.setdefault(tuple(names), []).append(one)
    for networks, ones in groups.items():
        group = parser.add_argument_group(f"options of {', '.join(networks)}")
        for one in ones:
            known = [options_of(kind_class(name))[one][1] for name in networks]
            choices = tuple(dict.fromkeys(choice for other in known for choice in other.choices))
            merged = replace(known[0], choices=choices)
            _add_option(group, f"--{one.replace('_', '-')}", merged, value_type(kind_class(networks[0]), one))


def given_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of a fit that were given, by name."""
    names = {*SHARED, *(one for name in REGISTRY for one in options_of(kind_class(name)))}
    return {name: value for name, value in vars(options).items() if name in names}


def fit_options_of(options: argparse.Namespace) -> FitOptions:
    """Return the options of a fit."""
    return fit_options(options.network, **given_options(options))


def _add_options(group: "argparse._ArgumentGroup", kind: type, names: tuple[str, ...]) -> None:
    for name in names:
        _, known = options_of(kind)[name]
        _add_option(group, f"--{name.replace('_', '-')}", known, value_type(kind, name))


def _add_option(group: "argparse._ArgumentGroup", flag: str, known: Option, expected: type) -> None:
    help = known.help.replace("%", "%%")
    if expected is bool:
        group.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=help)
        return
    extra: dict[str, Any] = {"choices": known.choices} if known.choices else {"type": expected}
    if known.metavar:
        extra["metavar"] = known.metavar
    if known.several:
        extra["nargs"] = "+"
    if known.bare is not None:
        extra |= {"nargs": "?", "const": expected(known.bare)}
    group.add_argument(flag, default=argparse.SUPPRESS, help=help, **extra)
