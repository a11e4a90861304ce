"""The report as one HTML page: what every part of the template shows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from ecgcvx import __version__
from ecgcvx.errors import InputError
from ecgcvx.files import atomic_write
from ecgcvx.interpret import Decomposition, Interpretation, PatternSummary, decompose
from ecgcvx.interpret.interpretation import windows_of
from ecgcvx.report.beats import STRIP_SECONDS, beat_figure, card_figure, strip_figure
from ecgcvx.report.figures import (
    EXAMPLE_SECONDS,
    example_figures,
    impulse_figure,
    phase_figure,
    quadratic_figure,
    response_figure,
    shown_types,
    window_figure,
)
from ecgcvx.report.markup import coordinate, shown, tag
from ecgcvx.report.text import GLOSSARY, LIMITS, NEURON_GLOSSARY, REFERENCES
from ecgcvx.report.training import Training
from ecgcvx.report.words import certificate, contender_name, duration, error_without, methods, share, size, where
from ecgcvx.windows import Windows

Array = NDArray[np.float64]
CARDS = 3
PARTS_SHOWN = 8  # of one forecast
COLUMNS = (
    "error without it", "on, % of windows", "on, % of beats", "stays on, ms", "% of variance", "gain at 0 Hz", "P, %",
    "QRS, %", "T, %", "baseline, %",
)  # fmt: skip


def report_html(reading: Interpretation, training: Training | None, model: str, train_fraction: float = 0.8) -> str:
    """Return the report on a network that was read on a recording, an HTML page that needs no other file.

    training : of the fit, None where nothing is known of it. model : how to name the model on a command line.
    train_fraction : as in the reading.
    """
    _, windows = windows_of(reading.forecaster, reading.recording, reading.part, train_fraction)
    environment = Environment(
        loader=PackageLoader("ecgcvx.report"), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["badge"] = _badge
    style = Markup(environment.loader.get_source(environment, "style.css")[0])  # type: ignore[union-attr]
    return environment.get_template("report.html").render(
        version=__version__, style=style, **_first_page(reading, training, model, windows),
        **_quality(reading, training, windows), **_beats(reading), **_patterns(reading),
        stability=_stability(reading, model), example=_example(reading, windows), methods=methods(reading, training),
        references=REFERENCES, limits=LIMITS,
    )  # fmt: skip


def write_report(
    reading: Interpretation, training: Training | None, model: str, path: Path, train_fraction: float = 0.8
) -> None:
    """Write the report of `report_html`, whole or not at all."""
    page = report_html(reading, training, model, train_fraction).encode()
    atomic_write(path, lambda file: file.write(page))


def _first_page(reading: Interpretation, training: Training | None, model: str, windows: Windows) -> dict[str, Any]:
    forecaster, recording, unit = reading.forecaster, reading.recording, _unit(reading)
    rate = forecaster.sampling_frequency
    steps = "1 sample" if forecaster.horizon == 1 else f"{forecaster.horizon} samples"
    part = {
        "test": "All figures are from the later part of the record, on which it was not trained",
        "train": "All figures are from the part of the record that it was trained on",
        "all": "All figures are from the whole record",
    }[reading.part]
    task = (
        f"A network of {forecaster.network.neurons} neurons looks at {forecaster.window} samples "
        f"({1e3 * forecaster.window / rate:.3g} ms) of lead {recording.lead} and forecasts the value {steps} "
        f"({1e3 * forecaster.horizon / rate:.2g} ms) ahead, on every window of the record ({duration(recording.duration)} at "
        f"{rate:g} Hz). {part} ({reading.windows:,} forecasts)."
    )
    persistence = _persistence(windows, forecaster.scaler.scale)
    what = (
        "The neurons of this network are never off: each adds a quadratic function of one weighted sum of the window."
        if unit == "neuron"
        else "A pattern is one switch of the network: where a weighted sum of the window is positive it is on, and adds "
        "one linear filter of the window to the forecast."
    )
    cards = []
    for place, pattern in enumerate(reading.patterns[:CARDS]):
        row = reading.table.iloc[place]
        words = where(row) if unit == "pattern" else f"adds {size(float(row['sd_mv']), 2)} mV (standard deviation)"
        alternative = f"Mean beat and when {unit} {pattern.number} is on in it: {words}."
        figure = card_figure(reading.beat_averages[0], place, alternative) if reading.beat_averages else ""
        drop = pattern.explained_variance_drop
        cards.append(
            {"number": pattern.number, "where": words[:1].upper() + words[1:], "without": error_without(reading, drop),
             "mark": _mark(pattern), "figure": figure}
        )  # fmt: skip
    contents = [
        ("quality", "How good it is"), ("beat", f"The beat and its {unit}s"), ("patterns", f"The {unit}s, ranked"),
        ("together", "Together and next"), ("stability", "What would be found again"), ("one", "One forecast"),
        ("methods", "Methods"), ("words", "Words"), ("limits", "Limits"),
    ]  # fmt: skip
    absent = {"beat"} if not reading.beat_averages else set()
    if unit == "neuron":
        absent |= {"together"}
    return {
        "title": f"What the network learned on {recording.name}, lead {recording.lead}",
        "unit": unit,
        "task": task,
        "quality": _quality_words(reading, training, persistence),
        "tiles": _tiles(reading, training, persistence),
        "what_is": what,
        "cards": cards,
        "untested": None if reading.stability is not None or unit == "neuron" else _command(model),
        "contents": [entry for entry in contents if entry[0] not in absent],
    }


def _quality_words(reading: Interpretation, training: Training | None, persistence: float) -> str:
    own = training is not None and reading.part == "test"
    ours = reading.rmse_mv
    words = (
        f"The usual error (root mean square) is {size(ours)} mV; repeating the last value has {size(persistence)} mV"
    )
    if training is not None and own:
        others = [model for model in training.contenders[:-1] if model.name != "persistence"]
        words += "".join(f", a {contender_name(model)} {size(model.test_rmse_mv)} mV" for model in others)
        better = [model for model in others if model.test_rmse_mv < ours]
        if better:
            words += f". {len(better)} of these simpler ways did better than this network"
    return f"{words}. It explains {share(reading.explained_variance)} of the variance."


def _tiles(reading: Interpretation, training: Training | None, persistence: float) -> list[dict[str, str]]:
    ours = reading.rmse_mv
    tiles = [{"name": "error of the forecast", "value": f"{size(ours)} mV", "note": "root mean square"}]
    rivals = [("repeating the last value", persistence)]
    if training is not None and reading.part == "test":
        linear = [model for model in training.contenders if model.name == "linear_ar"]
        rivals += [("a linear predictor", model.test_rmse_mv) for model in linear]
    for name, error in rivals:
        change = 1 - ours / error if error > 0 else 0.0
        word = "less" if change >= 0 else "more"
        tiles.append(
            {"name": f"error against {name}", "value": f"{share(abs(change))} {word}", "note": f"than {size(error)} mV"}
        )
    if training is not None:
        kind = certificate(training)[0]
        gap = training.proof.proved_gap if training.proof is not None else training.convex.gap
        value = "unknown" if gap is None else f"{share(gap)}"
        tiles.append({"name": "gap to the best network", "value": value, "note": kind})
    return tiles


def _quality(reading: Interpretation, training: Training | None, windows: Windows) -> dict[str, Any]:
    rows = []
    if training is not None:
        largest = max(model.test_rmse_mv for model in training.contenders)
        rows = [
            {
                "name": contender_name(model),
                "neurons": "" if model.neurons is None else model.neurons,
                "train": size(model.train_rmse_mv, 3),
                "test": size(model.test_rmse_mv, 3),
                "bar": _bar(0.0, model.test_rmse_mv, 0.0, largest),
                "seconds": f"{model.seconds:.2f}" if model.seconds < 10 else f"{model.seconds:.0f}",
                "ours": model is training.convex,
            }
            for model in training.contenders
        ]
    first = _strip_start(windows, reading.forecaster.sampling_frequency)
    forecast = _forecast(reading, first, first + round(STRIP_SECONDS * reading.forecaster.sampling_frequency))
    lanes = "" if reading.kind == "polynomial" else "Bars: when the first patterns are on."
    return {
        "comparison": rows,
        "trained_on": None if training is None else training.record,
        "persistence": size(_persistence(windows, reading.forecaster.scaler.scale)),
        "rmse": size(reading.rmse_mv),
        "certificate": None if training is None else certificate(training),
        "strip": strip_figure(reading, forecast, first),
        "strip_note": lanes,
    }


def _beats(reading: Interpretation) -> dict[str, Any]:
    if reading.beats is None or not reading.beat_averages:
        return {"beats": None, "beat_figures": [], "beats_note": ""}
    source = "reference annotations" if reading.beats.source == "annotations" else "the XQRS detector"
    whole = reading.beat_averages[0]
    types = shown_types(reading)
    drawn = types if types[0] is whole else (whole, *types) if len(types) > 1 else types
    figures = []
    for average in drawn:
        name = "All beats" if average.symbol in ("all", "?") else f"Beats of type {average.symbol}"
        figures.append({"figure": beat_figure(reading, average), "words": f"{name}: mean of {average.count:,}"})
    words = f"R peaks from {source}: {whole.count:,} beats in the part that was read."
    if reading.beats.source == "detector":
        words += " The record has no annotations, so types of beats are not told apart."
    note = (
        "ECG paper enlarged 2.5 times: a small square is 40 ms by 0.1 mV. The band is one standard deviation over the "
        "beats. P, QRS and T name stretches of time around the R peak, not waves that were delineated."
    )
    if _unit(reading) == "pattern":
        note += (
            " Numbered bars: the darker, the more often that pattern is on for the forecast of the sample above it."
        )
    return {"beats": words, "beat_figures": figures, "beats_note": note}


def _patterns(reading: Interpretation) -> dict[str, Any]:
    unit = _unit(reading)
    left = 1 - reading.explained_variance
    rows = []
    for place, pattern in enumerate(reading.patterns):
        row = reading.table.iloc[place]
        factor = np.sqrt(max(left + pattern.explained_variance_drop, 0.0) / left) if left > 0 else float("nan")
        cells = [
            f"{size(float(factor), 3)}×", share(pattern.coverage), share(pattern.beat_coverage), size(pattern.dwell_ms, 3),
            share(pattern.variance_share), size(float(row["dc_gain"]), 2),
            *(share(float(row[name])) for name in ("on_p", "on_qrs", "on_t", "on_baseline")),
        ]  # fmt: skip
        rows.append({"number": pattern.number, "cells": cells, "mark": _mark(pattern)})
    K = len(rows)
    matrices = []
    if unit == "pattern" and K > 1:
        matrices = [
            _matrix("Overlap", "Overlap: of the windows in which the pattern of the row is on, the % in which the one "
                    "of the column is on too", reading.overlap),
            _matrix("Transitions", "Transitions: of the moments at which the pattern of the row switches off, the % "
                    "after which the one of the column is the next to switch on", reading.transitions),
        ]  # fmt: skip
    silent = len(reading.inactive)
    ranking = (
        f"{len(reading.table)} {unit}s are at work here"
        + (f"; {silent} neurons are never on in these windows" if silent else "")
        + ". A large network shares its work among many of them, so a single one may matter little."
    )
    by = "most important first by " + {
        "explained_variance_drop": "the error that leaving it out would cause",
        "variance_share": "its share of the variance of the forecast",
    }.get(reading.importance, f"{reading.importance}")
    return {
        "rows": rows,
        "total": len(reading.table),
        "columns": COLUMNS,
        "columns_note": "P, QRS, T, baseline: share of the samples of that part of the beat for whose forecast it is on. "
        "All columns of all rows: ecgcvx interpret with --csv.",
        "ranking": ranking,
        "ranked_by": by,
        "patterns": [_pattern(reading, place) for place in range(K)],
        "matrices": matrices,
        "quadratic": None if reading.quadratic is None else quadratic_figure(reading.quadratic),
        "example_seconds": f"{EXAMPLE_SECONDS:g}",
        "glossary": NEURON_GLOSSARY if unit == "neuron" else GLOSSARY,
    }


def _pattern(reading: Interpretation, place: int) -> dict[str, Any]:
    pattern, row, unit = reading.patterns[place], reading.table.iloc[place], _unit(reading)
    neurons = len(pattern.neurons)
    words = f"Leaving it out {error_without(reading, pattern.explained_variance_drop)}. "
    charts = []
    if pattern.gate is None:
        heading = f"adds {size(float(row['sd_mv']), 2)} mV (standard deviation)"
        window_words = "Mean of all windows, and one standard deviation."
    else:
        heading = where(row)
        words += (
            f"It is on in {share(pattern.coverage)} of the windows"
            + (f" and {share(pattern.beat_coverage)} of the beats" if np.isfinite(pattern.beat_coverage) else "")
            + f", for {size(pattern.dwell_ms, 3)} ms at a time, and then adds {size(float(row['mean_on_mv']), 2)} mV on "
            f"average{'' if neurons == 1 else f'; {neurons} neurons share it'}. It switches on where the weighted sum of the "
            f"window below is above {size(-pattern.gate.bias, 2)} mV."
        )
        window_words = (
            "Above: the signal while it is on, mean and one standard deviation. Below: the weights that switch it."
        )
        opposite = row["opposite"]
        if not pd.isna(opposite):
            words += f" It is on exactly when pattern {int(opposite)} is off."
    charts.append({"figure": window_figure(reading, pattern), "words": window_words})
    charts.append(
        {"figure": impulse_figure(reading, pattern),
         "words": "What 1 mV in one sample adds to the forecasts that follow: its own part, and the whole network."}
    )  # fmt: skip
    charts.append(
        {"figure": response_figure(reading, pattern),
         "words": "The same by frequency; 0 dB passes a wave unchanged, −20 dB a tenth of it. Group delay: by how much "
         "the forecast lags the newest sample (below 0: leads)."}
    )  # fmt: skip
    if reading.beat_averages and unit == "pattern":
        charts.append(
            {"figure": phase_figure(reading, place), "words": "Where in the beat it is on. Grey: the mean beat."}
        )
    return {
        "number": pattern.number, "where": heading, "words": words, "mark": _mark(pattern), "charts": charts,
        "stability": _stability_words(pattern), "examples": example_figures(reading, pattern),
    }  # fmt: skip


def _stability(reading: Interpretation, model: str) -> dict[str, Any]:
    if _unit(reading) == "neuron":
        words = (
            "The forecast of a network with a polynomial activation is one quadratic form, the same for every optimal "
            "network; its neurons are one way of many to write it. Read the form; a single neuron means nothing by itself."
        )
        return {"words": words, "command": None, "refits": []}
    if reading.stability is None:
        words = (
            "Optimal networks are not unique: other patterns may do the same work. Whether these recur when the network "
            "is trained again (with other seeds, on other parts of the record, at other penalties) was not tested "
            "here. Do not read meaning into a single pattern before that. To test it:"
        )
        return {"words": words, "command": _command(model), "refits": []}
    found = reading.stability
    summaries = [pattern.stability for pattern in reading.patterns]
    refits = [
        {
            "kind": refit.kind,
            "label": refit.label,
            "rows": f"{refit.rows:,}",
            "neurons": refit.neurons,
            "recurring": sum(bool(summary.recurs[k]) for summary in summaries if summary is not None),
        }
        for k, refit in enumerate(found.refits)
    ]
    counts = [
        sum(s is not None and s.verdict == verdict for s in summaries)
        for verdict in ("stable", "not stable", "not testable")
    ]
    words = (
        "Optimal networks are not unique: other patterns may do the same work. So the network was trained again in "
        f"{len(found.refits)} other ways, smaller and faster. A pattern recurs in one of them when a pattern there switches "
        f"almost alike (correlation at least {found.threshold:g}) and more so than chance would; it is called stable when "
        f"it does so in two thirds of every kind of refit. Of the patterns above {counts[0]} are stable, {counts[1]} are "
        f"not, and {counts[2]} cannot be tested, being on or off nearly always."
    )
    return {"words": words, "command": None, "refits": refits}


def _stability_words(pattern: PatternSummary) -> str | None:
    found = pattern.stability
    if found is None:
        return None
    recurs = f"It recurs in {int(np.sum(found.recurs))} of {len(found.recurs)} networks trained again"
    return {
        "stable": f"Stable: {recurs[0].lower()}{recurs[1:]}.",
        "not stable": f"Not stable: {recurs[0].lower()}{recurs[1:]}. Another optimal network may well do without it; "
        "do not read meaning into it.",
        "not testable": "Not testable: it is on, or off, in nearly all windows, so that any network has such a pattern.",
    }[found.verdict]


def _example(reading: Interpretation, windows: Windows) -> dict[str, Any] | None:
    found = _decomposition(reading, windows)
    if found is None:
        return None
    unit = _unit(reading)
    groups = [[int(k) for k in str(text).split()] for text in reading.table["neurons"]]
    parts = np.array([found.contributions[group].sum() for group in groups])
    largest = np.argsort(-np.abs(parts), kind="stable")[:PARTS_SHOWN]
    rest = found.forecast_mv - found.mean_mv - float(parts[largest].sum())
    rows: list[tuple[str, float, bool]] = [("mean of the signal", found.mean_mv, False)]
    rows += [(f"{unit} {k + 1}", float(parts[k]), False) for k in largest]
    others = int(np.sum(found.on)) if unit == "pattern" else found.contributions.size
    others -= sum(bool(found.on[groups[k]].any()) for k in largest)
    if others > 0:
        rows.append((f"the other {others} {unit}s that are on" if unit == "pattern" else "the others", rest, False))
    rows.append(("forecast", found.forecast_mv, True))
    if np.isfinite(found.measured_mv):
        rows.append(("measured", found.measured_mv, True))
    low, high = min(0.0, *(value for _, value, _ in rows)), max(0.0, *(value for _, value, _ in rows))
    seconds = found.sample / reading.forecaster.sampling_frequency
    sums = abs(found.mean_mv + float(found.contributions.sum()) - found.forecast_mv)
    words = (
        f"The forecast of the sample at {seconds:.3f} s"
        + (", an R peak" if reading.beats is not None and found.sample in reading.beats.samples else "")
        + f", is the mean of the signal plus what each {unit} adds. The sum of the parts differs from the forecast by "
        f"{sums:.0e} mV."
    )
    return {
        "words": words,
        "rows": [
            {"name": n, "value": f"{v:+.4f}".replace("-", "−"), "bar": _bar(0.0, v, low, high), "total": t}
            for n, v, t in rows
        ],
    }


def _decomposition(reading: Interpretation, windows: Windows) -> Decomposition | None:
    """Of the R peak nearest to the middle of the part that was read, or of the middle itself."""
    first, stop = max(windows.runs, key=lambda run: run[1] - run[0])
    ahead = windows.length - 1 + windows.horizon
    sample = (first + stop) // 2 + ahead
    if reading.beats is not None:
        peaks = reading.beats.samples
        inside = peaks[(peaks >= first + ahead) & (peaks < stop + ahead)]
        if len(inside):
            sample = int(inside[np.argmin(np.abs(inside - sample))])
    try:
        return decompose(reading.forecaster, reading.recording, sample)
    except InputError:
        return None


def _strip_start(windows: Windows, rate: float) -> int:
    """First sample of a strip in the middle of the longest run of windows."""
    first, stop = max(windows.runs, key=lambda run: run[1] - run[0])
    ahead = windows.length - 1 + windows.horizon
    return max(first + ahead, (first + stop) // 2 + ahead - round(STRIP_SECONDS * rate / 2))


def _forecast(reading: Interpretation, first: int, stop: int) -> Array:
    """The forecast (samples,) in mV, made for the samples first .. stop - 1 alone; NaN elsewhere."""
    forecaster, recording = reading.forecaster, reading.recording
    before = max(0, first - forecaster.window - forecaster.horizon + 1)
    out = np.full(len(recording.signal), np.nan)
    out[before:stop] = forecaster.predict(replace(recording, signal=recording.signal[before:stop]))
    return out


def _persistence(windows: Windows, scale: float) -> float:
    """Root-mean-square error in mV of repeating the newest sample of the window."""
    r = windows.y - windows.signal[windows.starts + windows.length - 1]
    return float(scale * np.sqrt(np.mean(r * r)))


def _matrix(name: str, words: str, values: Array) -> dict[str, Any]:
    def cell(value: float) -> dict[str, str]:
        known = np.isfinite(value)
        return {"value": f"{value:.2f}" if known else "0", "words": f"{100 * value:.0f}" if known else "–"}

    return {
        "name": name,
        "words": words,
        "numbers": range(1, len(values) + 1),
        "rows": [[cell(float(value)) for value in row] for row in values],
    }


def _bar(start: float, value: float, low: float, high: float) -> Markup:
    """A bar that repeats a number of its table row, hidden from readers of the text."""
    width = 144.0 / (high - low) if high > low else 0.0
    a, b = sorted((start, value))
    bar = tag("rect", x=coordinate((a - low) * width), y="1", width=coordinate(max((b - a) * width, 0.5)), height="11",
              class_="plus" if value >= start else "minus")  # fmt: skip
    return tag("svg", bar, viewBox="0 0 144 13", aria_hidden="true")


def _badge(mark: str) -> Markup:
    kind = {"stable": " stable", "not stable": " unstable"}.get(mark, "")
    return tag("span", mark, class_=f"badge{kind}")


def _mark(pattern: PatternSummary) -> str | None:
    return None if pattern.stability is None else pattern.stability.verdict


def _unit(reading: Interpretation) -> str:
    return "neuron" if reading.kind == "polynomial" else "pattern"


def _command(model: str) -> str:
    return f"ecgcvx interpret {model} RECORD --output report.html"
