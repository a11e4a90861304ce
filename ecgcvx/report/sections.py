"""The sections of a report on what a network does: beats, patterns, what recurs, one forecast taken apart."""

import shlex
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from ecgcvx.interpretation import Decomposition, Interpretation, PatternSummary, decompose
from ecgcvx.interpretation.table import LINEAR
from ecgcvx.report.beats import beat_figure
from ecgcvx.report.figures import (
    example_figures,
    impulse_figure,
    phase_figure,
    quadratic_figure,
    response_figure,
    shown_types,
    window_figure,
)
from ecgcvx.report.markup import coordinate, tag
from ecgcvx.report.text import BEAT_TYPES, GLOSSARY, NEURON_GLOSSARY
from ecgcvx.report.words import PARTS, error_without, growth, roughly, share, size, time_on, where
from ecgcvx.types import Array
from ecgcvx.windows import Windows

ALWAYS, HARDLY = 0.9, 0.1  # share of the samples of a part of the beat
OFTEN = 1.25  # times as often as in all windows
PARTS_SHOWN = 8  # of one forecast
COLUMNS = (
    "error without it",
    "on in windows",
    "on in beats",
    "stays on",
    "share of variance",
    "gain at 0 Hz",
    "P",
    "QRS",
    "T",
    "baseline",
)
NEURON_COLUMNS = ("error without it", "share of variance", "adds (standard deviation)")


def beats_section(reading: Interpretation) -> dict[str, Any]:
    """The mean beats with their patterns; 'beats' is None where no beat was found."""
    if reading.beats is None or not reading.beat_averages:
        return {"beats": None, "beat_figures": [], "beats_note": "", "segments": []}
    source = "reference annotations" if reading.beats.source == "annotations" else "the XQRS detector"
    whole = reading.beat_averages[0]
    types = shown_types(reading)
    drawn = types if types[0] is whole else (whole, *types) if len(types) > 1 else types
    figures = []
    for average in drawn:
        name = "All beats"
        if average.symbol not in ("all", "?"):
            meaning = BEAT_TYPES.get(average.symbol)
            name = f"Beats of type {average.symbol}{'' if meaning is None else f' ({meaning})'}"
        figures.append({"figure": beat_figure(reading, average), "words": f"{name}: mean of {average.count:,}"})
    words = f"R peaks from {source}: {whole.count:,} beats in the part that was read"
    between = np.diff(reading.beats.samples) / reading.forecaster.sampling_frequency
    words += f", {60 / float(np.median(between)):.0f} beats a minute in the median." if len(between) else "."
    if reading.beats.source == "detector":
        words += " The record has no annotations, so types of beats are not distinguished."
    note = (
        "ECG paper, enlarged: a small square is 40 ms by 0.1 mV. The band is one standard deviation over the beats. "
        "P, QRS and T name stretches of time around the R peak, not waves that were delineated."
    )
    if unit_of(reading) == "pattern":
        note += (
            " Numbered bars: the stronger the colour, the more often that pattern is on for the forecast of the "
            "sample above it."
        )
    return {"beats": words, "beat_figures": figures, "beats_note": note, "segments": _segments(reading)}


def _segments(reading: Interpretation) -> list[dict[str, str]]:
    """Which of the patterns shown are on in each part of the beat."""
    if unit_of(reading) == "neuron":
        return []
    rows = []
    for column, name in PARTS:
        shares = reading.table[column].to_numpy(dtype=float)[: len(reading.patterns)]
        usual = reading.table["coverage"].to_numpy(dtype=float)[: len(reading.patterns)]
        at_times = (shares > HARDLY) & (shares < ALWAYS)
        groups = {
            "always": shares >= ALWAYS,
            "more": at_times & (shares >= OFTEN * usual),
            "less": at_times & (shares * OFTEN <= usual),
            "hardly": shares <= HARDLY,
        }
        numbers = {key: ", ".join(str(k + 1) for k in np.flatnonzero(mask)) or "–" for key, mask in groups.items()}
        rows.append({"name": name, **numbers})
    return rows


def patterns_section(reading: Interpretation) -> dict[str, Any]:
    """The table of patterns, each of them in full, which are on together, and the words used."""
    unit = unit_of(reading)
    rows = []
    for place, pattern in enumerate(reading.patterns):
        row = reading.table.iloc[place]
        cells = [f"{size(growth(reading, pattern.explained_variance_drop))}×"]
        if unit == "neuron":
            cells += [share(pattern.variance_share), f"{size(float(row['sd_mv']), 2)} mV"]
        else:
            cells += [roughly(pattern.coverage), roughly(pattern.beat_coverage), time_on(pattern.dwell_ms)]
            cells += [share(pattern.variance_share), size(float(row["dc_gain"]), 2)]
            cells += [roughly(float(row[column])) for column, _ in PARTS]
        rows.append({"number": pattern.number, "cells": cells, "mark": mark_of(pattern)})
    K = len(rows)
    matrices = []
    if unit == "pattern" and K > 1:
        matrices = [
            _matrix("Overlap", "Overlap: of the windows in which the pattern of the row is on, the % in which the one "
                    "of the column is on too", reading.overlap),
            _matrix("Transitions", "Transitions: of the moments at which the pattern of the row switches off, the % "
                    "after which the one of the column is the next to switch on", reading.transitions),
        ]  # fmt: skip
    ranking = f"{len(reading.table)} {unit}s are at work here"
    ranking += f"; {len(reading.inactive)} neurons are never on in these windows." if reading.inactive else "."
    if rows:
        first, last = (growth(reading, reading.patterns[k].explained_variance_drop) for k in (0, -1))
        ranking += (
            f" Leaving out one of those below makes the error between {size(last)}× (the last) and {size(first)}× (the "
            "first) as large, with the others as they are."
        )
    note = "All of them, with all columns: ecgcvx interpret with --csv."
    if unit == "pattern":
        note = f"P, QRS, T, baseline: share of the samples of that part of the beat for whose forecast it is on. {note}"
    by = "most important first by " + {
        "explained_variance_drop": "the error that leaving it out would cause",
        "variance_share": "its share of the variance of the forecast",
    }.get(reading.importance, f"{reading.importance}")
    return {
        "rows": rows,
        "total": len(reading.table),
        "columns": NEURON_COLUMNS if unit == "neuron" else COLUMNS,
        "columns_note": note,
        "ranking": ranking,
        "ranked_by": by,
        "patterns": [_pattern(reading, place) for place in range(K)],
        "matrices": matrices,
        "quadratic": None
        if reading.quadratic is None
        else quadratic_figure(reading.quadratic, reading.forecaster.leads),
        "glossary": NEURON_GLOSSARY if unit == "neuron" else GLOSSARY,
    }


def _pattern(reading: Interpretation, place: int) -> dict[str, Any]:
    pattern, row = reading.patterns[place], reading.table.iloc[place]
    words = f"Leaving it out {error_without(reading, pattern.explained_variance_drop)}."
    if pattern.gate is None:
        heading = f"adds {size(float(row['sd_mv']), 2)} mV (standard deviation)"
    else:
        heading = where(row)
        words += _switching(pattern, row, pattern.gate.bias)
    leads = reading.forecaster.leads
    rows: list[dict[str, Any]] = [{"lead": name if len(leads) > 1 else "", "charts": _charts(reading, pattern, k)}
            for k, name in enumerate(leads)]  # fmt: skip
    if reading.beat_averages and pattern.gate is not None:
        phase = (phase_figure(reading, place), "Where in the beat it is on. Grey: the mean beat.")
        if len(leads) == 1:
            rows[0]["charts"].append(phase)
        else:
            rows.append({"lead": "", "charts": [phase]})
    return {
        "number": pattern.number,
        "where": heading,
        "words": words,
        "mark": mark_of(pattern),
        "rows": rows,
        "stability": _recurs(pattern, reading.kind),
        "examples": example_figures(reading, pattern),
    }


def _charts(reading: Interpretation, pattern: PatternSummary, lead: int) -> list[tuple[Markup, str]]:
    """The figures of what a pattern does with one lead, each with its caption."""
    if pattern.gate is None:
        own = "Above: the weights of its sum, by the age of the sample. Below: what 1 mV in one sample adds to the "
        charts = [(impulse_figure(reading, pattern, lead), f"{own}forecast of the whole network, on average.")]
    else:
        charts = [
            (
                window_figure(reading, pattern, pattern.gate, lead),
                "Above: the signal while it is on, mean and one standard deviation. Below: the weights that switch it.",
            ),
            (
                impulse_figure(reading, pattern, lead),
                "What 1 mV in one sample adds to the forecasts that follow: its own part, and the whole network.",
            ),
        ]
    return [
        *charts,
        (
            response_figure(reading, pattern, lead),
            "The same by frequency; 0 dB passes a wave unchanged, −20 dB a tenth of it. Group delay: by how much the "
            "forecast lags the newest sample (below 0: leads).",
        ),
    ]


def _switching(pattern: PatternSummary, row: "pd.Series[Any]", bias: float) -> str:
    """When a pattern is on and what it then adds."""
    often = f"{roughly(pattern.coverage)} of the windows"
    if np.isfinite(pattern.beat_coverage):
        often += f" and {roughly(pattern.beat_coverage)} of the beats"
    shared = "" if len(pattern.neurons) == 1 else f"; {len(pattern.neurons)} neurons share it"
    words = (
        f" It is on in {often}, for {time_on(pattern.dwell_ms)} at a time, and then adds "
        f"{size(float(row['mean_on_mv']), 2)} mV on average{shared}. It is on where the sum of the window, weighted as "
        f"shown below, is above {size(-bias, 2)} mV."
    )
    if not pd.isna(row["opposite"]):
        words += f" It is on exactly when pattern {int(row['opposite'])} is off."
    return words


def stability_section(reading: Interpretation, retest: str) -> dict[str, Any]:
    """Which patterns recur, or how to find out."""
    if unit_of(reading) == "neuron":
        words = (
            "The forecast of a network with a polynomial activation is one quadratic form, the same for every optimal "
            "network; its neurons are one way of many to write it. Read the form; a single neuron means nothing by "
            "itself."
        )
        return {"words": words, "command": None, "refits": []}
    if reading.stages:
        words = (
            "Whether the patterns of a stack recur when it is trained again is not tested: its lowest stage need not "
            "be near its own optimum, since the stages above make up for it. Do not read meaning into a single "
            "pattern. A two-layer network with a larger penalty is easier to read."
        )
        return {"words": words, "command": None, "refits": []}
    if reading.stability is None:
        words = (
            "Optimal networks are not unique: other patterns may do the same work. Whether these recur when the "
            "network is trained again (with other seeds, on other parts of the record, at other penalties) was not "
            "tested here. Do not read meaning into a single pattern before that. To test it:"
        )
        return {"words": words, "command": retest, "refits": []}
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
        f"{len(found.refits)} other ways, smaller and faster. A pattern recurs in one of them when a pattern there has "
        f"nearly the same gate and switches nearly alike (cosine and correlation at least {found.threshold:g}), more "
        "so than by chance; it is called stable when it recurs in two thirds of them and in half of every kind. "
        f"Of the patterns above {counts[0]} {'is' if counts[0] == 1 else 'are'} stable, {counts[1]} "
        f"{'is' if counts[1] == 1 else 'are'} not, and {counts[2]} cannot be tested, being on or off nearly always."
    )
    return {"words": words, "command": None, "refits": refits}


def _recurs(pattern: PatternSummary, kind: str) -> str | None:
    found = pattern.stability
    if found is None:
        return None
    recurs = f"it recurs in {int(np.sum(found.recurs))} of {len(found.recurs)} networks trained again."
    if found.verdict == "stable":
        return f"Stable: {recurs}"
    if found.verdict == "not testable":
        return "Not testable: it is on, or off, in nearly all windows, so that any network has such a pattern."
    why = (
        "The gates of a gated network are a random sample that others need not hold"
        if kind == "gated"
        else "Another optimal network may well do without it"
    )
    return f"Not stable: {recurs} {why}; do not read meaning into it."


def example_section(reading: Interpretation, windows: Windows) -> dict[str, Any]:
    """One forecast as the sum of its parts."""
    found = _decomposition(reading, windows)
    unit = unit_of(reading)
    linear = reading.forecaster.network.on_window().neurons  # the place of a linear part, behind the neurons
    groups = [[linear if k == LINEAR else int(k) for k in str(text).split()] for text in reading.table["neurons"]]
    parts = np.array([found.contributions[group].sum() for group in groups])
    largest = np.argsort(-np.abs(parts), kind="stable")[:PARTS_SHOWN]
    rest = float(np.delete(parts, largest).sum())
    rows: list[tuple[str, float, bool]] = [("mean of the signal", found.mean_mv, False)]
    rows += [(f"{unit} {k + 1}", float(parts[k]), False) for k in largest]
    others = int(np.delete([found.on[group].any() for group in groups], largest).sum())
    if reading.stages:
        rows.append(("the stages above", float(found.contributions[-1]), False))
    if others > 0:
        rows.append((f"the other {others} {unit}s{' that are on' if unit == 'pattern' else ''}", rest, False))
    rows.append(("forecast", found.forecast_mv, True))
    if np.isfinite(found.measured_mv):
        rows.append(("measured", found.measured_mv, True))
    low, high = min(0.0, *(value for _, value, _ in rows)), max(0.0, *(value for _, value, _ in rows))
    seconds = found.sample / reading.forecaster.sampling_frequency
    sums = abs(found.mean_mv + float(found.contributions.sum()) - found.forecast_mv)
    words = (
        f"The forecast of the sample at {seconds:.3f} s"
        + (", an R peak" if reading.beats is not None and found.sample in reading.beats.samples else "")
        + f", is the mean of the signal plus what each {unit} adds. The sum of the parts "
        + (f"differs from the forecast by {sums:.0e} mV." if sums > 0 else "equals the forecast.")
    )
    return {
        "words": words,
        "rows": [
            {"name": n, "value": f"{v:+.4f}".replace("-", "−"), "bar": bar(v, low, high), "total": t}
            for n, v, t in rows
        ],
    }


def _decomposition(reading: Interpretation, windows: Windows) -> Decomposition:
    """Of the R peak nearest to the middle of the part that was read, or of the middle itself."""
    first, stop = max(windows.runs, key=lambda run: run[1] - run[0])
    ahead = windows.length - 1 + windows.horizon
    sample = (first + stop) // 2 + ahead
    if reading.beats is not None:
        peaks = reading.beats.samples
        inside = peaks[(peaks >= first + ahead) & (peaks < stop + ahead)]
        if len(inside):
            sample = int(inside[np.argmin(np.abs(inside - sample))])
    return decompose(reading.forecaster, reading.recording, sample)


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


def bar(value: float, low: float, high: float) -> Markup:
    """A bar from 0 to a value on a scale, which repeats a number of its table row and is hidden from readers aloud."""
    width = 144.0 / (high - low) if high > low else 0.0
    a, b = sorted((0.0, value))
    left, long = coordinate((a - low) * width), coordinate(max((b - a) * width, 0.5))
    drawn = tag("rect", x=left, y="1", width=long, height="11", class_="plus" if value >= 0 else "minus")
    return tag("svg", drawn, viewBox="0 0 144 13", aria_hidden="true")


def badge(mark: str) -> Markup:
    """A verdict as a mark in words and colour."""
    kind = {"stable": " stable", "not stable": " unstable"}.get(mark, "")
    return tag("span", mark, class_=f"badge{kind}")


def mark_of(pattern: PatternSummary) -> str | None:
    """The verdict on a pattern, None where there is none."""
    return None if pattern.stability is None else pattern.stability.verdict


def unit_of(reading: Interpretation) -> str:
    """What the report is made of: 'pattern', or 'neuron' where a network has no patterns."""
    return "neuron" if reading.kind == "polynomial" else "pattern"


def command(model: str, horizon: int | None = None) -> str:
    """The command that tests which patterns recur; horizon : of a model of several."""
    return f"ecgcvx interpret {shlex.quote(model)} RECORD" + ("" if horizon is None else f" --horizon {horizon}")
