"""The report as one HTML page: its first screen, how good the network is, and the sections put together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ecgcvx.evidence import Evidence
from ecgcvx.files import atomic_write
from ecgcvx.interpretation import Interpretation
from ecgcvx.report.beats import STRIP_SECONDS, card_figure, strip_figure
from ecgcvx.report.errors import error_words, errors_figure
from ecgcvx.report.explanation import worst_forecasts
from ecgcvx.report.figures import usual
from ecgcvx.report.horizons import Horizons, horizons_section
from ecgcvx.report.intervals import interval_band
from ecgcvx.report.methods import methods
from ecgcvx.report.sections import (
    badge,
    bar,
    beats_section,
    command,
    example_section,
    mark_of,
    patterns_section,
    stability_section,
    unit_of,
)
from ecgcvx.report.template import render
from ecgcvx.report.text import LIMITS, REFERENCES
from ecgcvx.report.training import Training
from ecgcvx.report.words import (
    at_most,
    beside,
    certificate,
    contender_name,
    duration,
    error_without,
    listed,
    share,
    size,
    where,
)
from ecgcvx.types import Array
from ecgcvx.windows import Windows

CARDS = 3


def write_report(
    path: Path, reading: Interpretation, training: Training | None, model: str, horizons: Horizons | None = None
) -> None:
    """Write the report of `report_html`; a file that is there already is replaced whole or not at all."""
    page = report_html(reading, training, model, horizons).encode()
    atomic_write(path, lambda file: file.write(page))


def report_html(
    reading: Interpretation, training: Training | None, model: str, horizons: Horizons | None = None
) -> str:
    """Return the report on a network that was read on a recording: an HTML page that needs no other file.

    training : of the fit, None where nothing is known of it. model : how to name the model on a command line.
    horizons : of a model of several, the first of which was read.
    """
    # A mean beat of a single sample has no extent to draw.
    drawable = tuple(average for average in reading.beat_averages if usual(average).sum() > 1)
    reading = replace(reading, beat_averages=drawable if drawable[:1] == reading.beat_averages[:1] else ())
    windows, own = reading.part_windows, reading.own
    retest = command(model, None if horizons is None else reading.forecaster.horizon)
    return render(
        "report.html",
        badge=badge,
        methods=methods(reading, training),
        references=REFERENCES,
        limits=LIMITS,
        stability=stability_section(reading, retest),
        example=example_section(reading, windows),
        worst=worst_forecasts(reading),
        horizons=None if horizons is None else horizons_section(horizons, reading.recording),
        **_first_screen(reading, training, retest, windows, own, horizons is not None),
        **_quality(reading, training, windows),
        **beats_section(reading),
        **patterns_section(reading),
    )


def _first_screen(
    reading: Interpretation, training: Training | None, retest: str, windows: Windows, own: bool, several: bool
) -> dict[str, Any]:
    unit = unit_of(reading)
    what = (
        "The neurons of this network are never off: each adds a quadratic function of one weighted sum of the window."
        if unit == "neuron"
        else "A pattern is one switch of the network. While a weighted sum of the window is positive it is on and adds "
        "its own linear filter of the window to the forecast; else it adds nothing."
    )
    if reading.stages:
        what += (
            " These are the patterns of the lowest network of the stack, the only one that sees the window itself; "
            "those above correct its forecast from what its neurons say."
        )
    contents = [
        ("quality", "How good it is"), ("horizons", "How far ahead"), ("beat", "The beat"),
        ("patterns", f"The {unit}s, ranked"),
        ("together", "On together, next"), ("stability", "Found again"), ("one", "One forecast"),
        ("methods", "Methods"), ("words", "Words"), ("limits", "Limits"),
    ]  # fmt: skip
    absent = {"beat"} if not reading.beat_averages else set()
    if not several:
        absent |= {"horizons"}
    if unit == "neuron" or len(reading.patterns) < 2:
        absent |= {"together"}
    return {
        "title": f"Record {reading.recording.name}, lead {reading.recording.lead}: what the network learned",
        "unit": unit,
        "summary": _summary(reading, training, windows, own),
        "cautions": _cautions(reading, training),
        "tiles": _tiles(reading, training, windows),
        "what_is": what,
        "cards": [_card(reading, place) for place in range(min(CARDS, len(reading.patterns)))],
        "recurring": _recurring(reading) or _measured(reading, training),
        "untested": None if reading.stability is not None or unit == "neuron" or reading.stages else retest,
        "contents": [entry for entry in contents if entry[0] not in absent],
    }


def _cautions(reading: Interpretation, training: Training | None) -> list[str]:
    """What the numbers should be read with: of the record, of the windows outside, and of the training."""
    found = [f"{warning[:1].upper()}{warning[1:]}." for warning in reading.recording.warnings]
    if reading.outside is not None and reading.outside.words:
        found.append(f"{reading.outside.words}.")
    if training is not None:
        of_training = [caution for caution in training.cautions if not caution.startswith("test part: ")]
        found += [f"Training: {caution}." for caution in of_training]
    return found


def _measured(reading: Interpretation, training: Training | None) -> str | None:
    """What the fit measured of how far single patterns can be read; None where it did not, or others are known."""
    if reading.stability is not None or training is None or training.recurrence is None:
        return None
    found = training.recurrence
    return (
        f"{found.words} in the network of {found.others} patterns that was chosen on the first part of the training "
        f"windows, from which this training went on: a pattern there is on in nearly the same test "
        f"windows, of {found.windows:,} (Jaccard index at least 0.9). The others are one way of many to do their work."
    )


def _recurring(reading: Interpretation) -> str | None:
    """How many of the patterns shown came back, and what to make of it; None where that was not tried."""
    if reading.stability is None:
        return None
    verdicts = [mark_of(pattern) for pattern in reading.patterns]
    stable, testable = verdicts.count("stable"), len(verdicts) - verdicts.count("not testable")
    words = (
        f"Of the {testable} patterns below that could be tested, {stable} {'is' if stable == 1 else 'are'} stable: "
        f"found again in most of {len(reading.stability.refits)} other trainings."
    )
    if 2 * stable < testable:
        words += (
            " The others are one way of many to do this work: read the network as a whole, not a single pattern. A fit "
            "with a larger --beta has fewer patterns, which recur more often, and a larger error."
        )
    return words


def _summary(reading: Interpretation, training: Training | None, windows: Windows, own: bool) -> str:
    """What the network is, on what it was evaluated, and what it is better and worse than."""
    forecaster, rate = reading.forecaster, reading.forecaster.sampling_frequency
    ahead = "1 sample" if forecaster.horizon == 1 else f"{forecaster.horizon} samples"
    neurons = forecaster.network.neurons
    what = f"A network of {neurons} {'neuron' if neurons == 1 else 'neurons'}{beside(forecaster.network)}"
    if reading.stages:
        what = f"A stack of {len(reading.stages)} networks with {neurons} neurons in all"
    words = (
        f"{what} looks at {forecaster.window} samples "
        f"({1e3 * forecaster.window / rate:.3g} ms) of {_signal(reading)} and forecasts "
        f"{f'the value of {forecaster.lead}' if forecaster.joined else 'its value'} {ahead} "
        f"({1e3 * forecaster.horizon / rate:.2g} ms) later. "
    )
    words += {
        "test": "On the last part of the record, from which it did not learn,",
        "train": f"On the first part of the record{', from which it learned,' if own else ''}",
        "all": f"On this record ({duration(reading.recording.duration)}"
        f"{', from the first part of which it learned' if own else ', from which it did not learn'})",
    }[reading.part]
    rivals = [(f"{name} ({size(error)} mV)", error) for name, error in _rivals(reading, training, windows)]
    beaten = [name for name, error in rivals if error > reading.rmse_mv]
    better = [name for name, error in rivals if error <= reading.rmse_mv]
    words += f" its error is {size(reading.rmse_mv)} mV"
    if beaten:
        words += f", smaller than that of {listed(beaten)}"
    if better:
        words += f"{', but' if beaten else ','} larger than that of {listed(better)}"
    words += "."
    if reading.leads:
        first, *others = ((share(one.variance_share), one.lead) for one in reading.leads)
        shares = listed([f"{first[0]} comes from {first[1]}", *(f"{size} from {name}" for size, name in others)])
        words += f" Of the variance of its forecast {shares}{_rest(reading)}."
    cut = f" Its run was {training.interrupted}." if training is not None and training.interrupted else ""
    return f"{words}{cut}"


def _signal(reading: Interpretation) -> str:
    """What the network looks at."""
    leads = reading.forecaster.leads
    return "the signal" if len(leads) == 1 else f"each of the leads {listed(list(leads))}"


def _rest(reading: Interpretation) -> str:
    """What of the variance comes by no lead's window, where there is some."""
    left = 1 - sum(one.variance_share for one in reading.leads)
    above = " and from the stages above" if reading.stages else ""
    return f"; the rest, {share(left)}, from the constants of the patterns{above}" if abs(left) > 5e-4 else ""


def _rivals(reading: Interpretation, training: Training | None, windows: Windows) -> list[tuple[str, float]]:
    """Other ways to forecast the same windows and their errors in mV."""
    r = windows.y - windows.forecast_lead[windows.starts + windows.length - 1]
    rivals = [("repeating the last value", float(reading.forecaster.scaler.scale * np.sqrt(np.mean(r * r))))]
    # The errors of the comparison belong to these windows only where the network's own error does.
    if training is not None and np.isclose(training.convex.test_rmse_mv, reading.rmse_mv, rtol=1e-6):
        others = [model for model in training.contenders[:-1] if model.name != "persistence"]
        rivals += [(_with_article(contender_name(model)), model.test_rmse_mv) for model in others]
    return rivals


def _with_article(name: str) -> str:
    return name if name.startswith("the ") else f"a {name}"


def _tiles(reading: Interpretation, training: Training | None, windows: Windows) -> list[dict[str, str]]:
    explained = f"{share(reading.explained_variance)} of the variance explained"
    tiles = [{"name": "error (root mean square)", "value": f"{size(reading.rmse_mv)} mV", "note": explained}]
    for name, error in _rivals(reading, training, windows)[:2]:
        change = 1 - reading.rmse_mv / error if error > 0 else 0.0
        value = f"{share(abs(change))} {'less' if change >= 0 else 'more'}"
        tiles.append({"name": f"error against {name}", "value": value, "note": f"than its {size(error)} mV"})
    if training is not None:
        gap = training.proof.proved_gap if training.proof is not None else training.convex.gap
        kind = certificate(training)[0]
        value = "unknown" if gap is None else f"at most {at_most(gap)}" if kind.startswith("proved") else at_most(gap)
        best = "network with these patterns" if training.convex.evidence is Evidence.GIVEN else "network"
        of = "gap of the last stage" if reading.stages else f"gap to the best {best}"
        tiles.append({"name": of, "value": value, "note": kind})
    return tiles


def _card(reading: Interpretation, place: int) -> dict[str, Any]:
    pattern, row, unit = reading.patterns[place], reading.table.iloc[place], unit_of(reading)
    words = where(row) if unit == "pattern" else f"adds {size(float(row['sd_mv']), 2)} mV (standard deviation)"
    figure: Markup | str = ""
    if reading.beat_averages and unit == "pattern":
        figure = card_figure(reading.beat_averages[0], place, f"The mean beat, and pattern {pattern.number}: {words}.")
    return {
        "number": pattern.number,
        "where": words[:1].upper() + words[1:],
        "without": error_without(reading, pattern.explained_variance_drop),
        "mark": mark_of(pattern),
        "figure": figure,
    }


def _quality(reading: Interpretation, training: Training | None, windows: Windows) -> dict[str, Any]:
    rows = []
    if training is not None:
        largest = max(model.test_rmse_mv for model in training.contenders)
        rows = [
            {
                "name": contender_name(model),
                "neurons": "" if model.neurons is None else model.neurons,
                "train": size(model.train_rmse_mv),
                "test": size(model.test_rmse_mv),
                "bar": bar(model.test_rmse_mv, 0.0, largest),
                "seconds": "< 0.1" if model.seconds < 0.1 else f"{model.seconds:.1f}",
                "ours": model is training.convex,
            }
            for model in training.contenders
        ]
    rate = reading.forecaster.sampling_frequency
    first = _strip_start(windows, rate)
    forecast = _forecast(reading, first, first + round(STRIP_SECONDS * rate))
    band = interval_band(reading, windows)
    residuals = reading.forecaster.scaler.scale * reading.residuals
    return {
        "comparison": rows,
        "trained_on": None if training is None else training.record,
        "stages": [
            {
                "number": stage.number,
                "neurons": stage.neurons,
                "adds": size(stage.sd_mv),
                "error": size(stage.rmse_mv),
                "explained": share(stage.explained_variance),
            }
            for stage in reading.stages
        ],
        "certificate": None if training is None else certificate(training),
        "strip": strip_figure(reading, forecast, first, None if band is None else band.ends),
        "intervals": None if band is None else band.words,
        "errors": error_words(residuals),
        "errors_figure": errors_figure(residuals),
    }


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
    joined = tuple(replace(lead, signal=lead.signal[before:stop]) for lead in recording.joined)
    part = replace(recording, signal=recording.signal[before:stop], joined=joined)
    out[before:stop] = forecaster.predict(part)
    return out
