"""An interpretation as table, CSV and JSON."""

import math
from typing import Any

import numpy as np
from rich.table import Table

from ecgcvx import __version__
from ecgcvx.beats import why_no_beats
from ecgcvx.interpretation.filters import LinearFilter
from ecgcvx.interpretation.results import COLUMNS, Interpretation, PatternSummary
from ecgcvx.interpretation.templates import Template
from ecgcvx.models.two_layer import linear_of

FREQUENCIES = 46  # points from 0 Hz to half the sampling frequency


def heading(found: Interpretation) -> str:
    """What was read, and where, in two lines."""
    network = found.forecaster.network
    of_them = {"test": " that it was not trained on", "train": " that it was trained on", "all": ""}[found.part]
    kind = {"relu": "ReLU"}.get(found.kind, found.kind)
    whose = f"{network.neurons} neurons" + (" and a linear part" if linear_of(network) is not None else "")
    if found.stages:
        whose = f"{found.stages[0].neurons} neurons of the lowest stage and its linear part"
    units = "neurons, no patterns" if found.kind == "polynomial" else f"patterns of {whose}"
    beats = "" if found.beats is not None else f"no beats found: {why_no_beats(found.recording)}"
    if found.beats is not None:
        source = {"annotations": "reference annotations", "detector": "a detector"}[found.beats.source]
        types = ", ".join(f"{count:,} {symbol}" for symbol, count in found.beats.counts.items())
        beats = f"{len(found.beats):,} beats by {source}" + ("" if found.beats.source == "detector" else f": {types}")
    joined = f" from {', '.join(found.forecaster.leads)}" if found.leads else ""
    return (
        f"{found.recording.name}, lead {found.recording.lead}{joined}: {kind} network, {len(found.table)} {units}, on "
        f"{found.windows:,} windows{of_them}\nexplained variance {found.explained_variance:.5f}, RMSE "
        f"{found.rmse_mv:.5f} mV; {beats}"
    )


def pattern_table(found: Interpretation) -> Table:
    """The patterns shown as a table; those that recur stand out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("pattern", "neurons", "drop", "share", "on", "stays ms", "SD mV", "nonlinear", "DC gain", "P", "QRS", "T",
              "rest", "recurs")  # fmt: skip
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    shares = ("coverage", "on_p", "on_qrs", "on_t", "on_baseline")
    for number, row in enumerate(found.table.head(len(found.patterns)).to_dict("records"), 1):
        on, *segments = ("" if math.isnan(row[name]) else f"{row[name]:.2f}" for name in shares)
        stability = found.patterns[number - 1].stability
        recurs = "" if stability is None else f"{stability.recurrence:.0%} {stability.verdict}"
        neurons = row["neurons"].split()
        table.add_row(
            str(number), neurons[0] if len(neurons) == 1 else f"{neurons[0]} +{len(neurons) - 1}",
            f"{row['explained_variance_drop']:.2e}", f"{row['variance_share']:.3f}", on, f"{row['dwell_ms']:.0f}",
            f"{row['sd_mv']:.4f}", f"{row['nonlinear_mv']:.4f}", f"{row['dc_gain']:.3f}", *segments, recurs,
            style="bold" if stability is not None and stability.verdict == "stable" else "",
        )  # fmt: skip
    return table


def template_table(found: Interpretation) -> Table:
    """The filters of a convolutional network as a table, as many as patterns are shown."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("filter", "share", "peak Hz", "on", "P", "QRS", "T", "rest", "fires at ms", "adds mV per mV"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in found.templates[: len(found.patterns)]:
        parts = ("",) * 4 if one.on_parts is None else tuple(f"{share:.2f}" for share in one.on_parts)
        at = "" if one.fires_at_ms is None else f"{one.fires_at_ms:.0f}"
        weights = " ".join(f"{weight:.3g}" for weight in one.weights[:4]) + (" ..." if len(one.weights) > 4 else "")
        table.add_row(str(one.number), f"{one.share:.3f}", f"{one.peak_hz:.0f}", f"{one.on:.2f}", *parts, at, weights)
    return table


def notes(found: Interpretation) -> str:
    """What the columns are, and what the refits say."""
    text = (
        "drop: of the explained variance without the pattern but for its mean; share: of the forecast's variance; on: "
        "share of the windows,\nthen of the samples of each part of the beat; nonlinear: SD of what no linear filter "
        "could do, mV"
    )
    if found.leads:
        shares = ", ".join(f"{one.lead} {100 * one.variance_share:.1f} %" for one in found.leads)
        text += f"\nshare of each lead in the forecast's variance: {shares}"
    for stage in found.stages:
        text += (
            f"\nstage {stage.number}: {stage.neurons} neurons, adds {stage.sd_mv:.4f} mV (SD); after it RMSE "
            f"{stage.rmse_mv:.5f} mV"
        )
    if found.outside is not None and found.outside.words:
        text += f"\nnote: {found.outside.words}"
    if found.stability is None:
        return text
    refits, verdicts = found.stability.refits, [one.stability.verdict for one in found.patterns if one.stability]
    return (
        f"{text}\nrecurs: in {len(refits)} networks trained again ({found.stability.seconds:.0f} s), with the same "
        f"on/off sequence and gate (phi and\ncosine >= {found.stability.threshold:g}, and above chance): "
        f"{verdicts.count('stable')} of {len(verdicts)} patterns are stable"
    )


def table_csv(found: Interpretation) -> str:
    """The table as CSV text, one line a pattern, empty where a number does not exist."""
    return found.table.to_csv(float_format="%.9g", lineterminator="\n")


def interpretation_json(found: Interpretation) -> dict[str, Any]:
    """The whole of it as one JSON object; null where a number does not exist. Units are in the names, see `COLUMNS`."""
    model = found.forecaster
    frequencies = np.linspace(0, model.sampling_frequency / 2, FREQUENCIES)
    stability = found.stability
    told = {
        "version": __version__,
        "record": found.recording.name,
        "lead": found.recording.lead,
        **({"leads": [vars(one) for one in found.leads]} if found.leads else {}),
        "sampling_frequency_hz": model.sampling_frequency,
        "window": model.window,
        "horizon": model.horizon,
        "beta": model.beta,
        "network": found.kind,
        "neurons": model.network.neurons,
        "stages": [vars(stage) for stage in found.stages],
        "inactive_neurons": found.inactive,
        "part": found.part,
        "windows": found.windows,
        "explained_variance": found.explained_variance,
        "rmse_mv": found.rmse_mv,
        "outside": None if found.outside is None else vars(found.outside),
        "warnings": found.recording.warnings,
        "importance": found.importance,
        "columns": COLUMNS,
        "table": found.table.reset_index().astype(object).to_dict("records"),
        "frequencies_hz": frequencies,
        "patterns": [_pattern(pattern, frequencies) for pattern in found.patterns],
        "overlap": found.overlap,
        "transitions": found.transitions,
        "filters": [_template(one, frequencies) for one in found.templates],
        "beats": None if found.beats is None else {"source": found.beats.source, "counts": found.beats.counts},
        "beat_averages": [vars(average) for average in found.beat_averages],
        "stability": None
        if stability is None
        else {
            "threshold": stability.threshold,
            "seconds": stability.seconds,
            "refits": [vars(refit) for refit in stability.refits],
        },
        "quadratic_form": None
        if found.quadratic is None
        else {"Q_per_mv": found.quadratic.Q, **_filter(found.quadratic.linear, frequencies)},
    }
    return dict(_plain(told))


def _pattern(pattern: PatternSummary, frequencies: np.ndarray) -> dict[str, Any]:
    return {
        "pattern": pattern.number,
        "neurons": pattern.neurons,
        "gate": None if pattern.gate is None else _gate(pattern.gate),
        "filter": _filter(pattern.filter, frequencies),
        "network_filter": _filter(pattern.network_filter, frequencies),
        "mean_window_mv": pattern.mean_window,
        "sd_window_mv": pattern.sd_window,
        "examples": pattern.examples,
        "stability": None if pattern.stability is None else vars(pattern.stability),
    }


def _template(one: Template, frequencies: np.ndarray) -> dict[str, Any]:
    return {
        **{name: value for name, value in vars(one).items() if name != "filter"},
        "fires_at_ms": one.fires_at_ms,
        "filter": _filter(one.filter, frequencies),
    }


def _gate(one: LinearFilter) -> dict[str, Any]:
    joined = {"joined": [other.taps for other in one.joined]} if one.joined else {}
    return {"template": one.taps, "bias_mv": one.bias, **joined}


def _filter(one: LinearFilter, frequencies: np.ndarray) -> dict[str, Any]:
    response = one.frequency_response(frequencies)
    return {
        "taps": one.taps,
        "bias_mv": one.bias,
        "dc_gain": one.dc_gain,
        "impulse_response": one.impulse_response,
        "lags_ms": one.lags_ms,
        "gain": np.abs(response),
        "phase_rad": np.angle(response),
        "group_delay_ms": one.group_delay_ms(frequencies),
        **({"joined": [_filter(other, frequencies) for other in one.joined]} if one.joined else {}),
    }


def _plain(value: Any) -> Any:
    """Lists, dicts, strings and finite numbers; None for all that is missing."""
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) else None
