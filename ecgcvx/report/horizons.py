"""Several horizons in the report: fans on ECG paper, and the errors by horizon."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ecgcvx.fan import FanStrip
from ecgcvx.multi_horizon import horizon_words
from ecgcvx.records import Recording
from ecgcvx.report.drawing import Panel, limits, picture
from ecgcvx.report.markup import coordinate as at
from ecgcvx.report.markup import tag
from ecgcvx.report.paper import Paper, half_mv
from ecgcvx.report.words import NAMES, share, size

ENLARGED = 4.0  # times 25 mm/s and 10 mm/mV
WIDTH, HEIGHT = 520.0, 230.0
ROWS = 8  # of the table at most
LINES = {"convex": "first", "linear_ar": "second", "persistence": "behind", "backprop_adam": "third"}
COLOURS = {"first": "blue", "second": "orange", "behind": "grey", "third": "violet"}


@dataclass(frozen=True, eq=False)
class Horizons:
    """What the report tells of several horizons: fans, and errors in mV on the test part by model and horizon."""

    strip: FanStrip
    errors: Mapping[str, Mapping[int, float]]


def horizons_section(horizons: Horizons, recording: Recording) -> dict[str, Any]:
    """Return figures and words of the section."""
    several = tuple(horizons.errors["convex"])
    strip = horizons.strip
    places = np.unique(np.linspace(0, len(several) - 1, min(ROWS, len(several))).round().astype(int))
    shown = [several[place] for place in places]
    band = "" if strip.coverage is None else f" Band: their {share(strip.coverage)} intervals."
    return {
        "words": f"One network each forecasts the signal {horizon_words(several)} samples ahead. The rest of this "
        f"report is on the first of them, {several[0]} ahead; --horizon takes another.",
        "fans": fans_figure(strip, recording),
        "fans_words": "Signal (thick), and fans: each line has all that was forecast at the moment where it starts, on "
        f"ECG paper enlarged {ENLARGED:g} times.{band}",
        "errors": errors_by_horizon(horizons.errors, recording.sampling_frequency),
        "rows": [
            {"horizon": horizon, "ms": f"{1e3 * horizon / recording.sampling_frequency:.3g}",
             "errors": [size(of[horizon]) if horizon in of else "" for of in horizons.errors.values()]}
            for horizon in shown
        ],
        "of": "" if len(shown) == len(several) else f", of {len(shown)} of the {len(several)} horizons",
        "models": [_name(name) for name in horizons.errors],
        "legend": "; ".join(f"{COLOURS[LINES.get(name, 'third')]}: {_name(name)}" for name in horizons.errors),
    }  # fmt: skip


def fans_figure(strip: FanStrip, recording: Recording) -> Markup:
    """The fans of a strip over the signal, enlarged."""
    rate = recording.sampling_frequency
    time = np.arange(strip.first, strip.stop) / rate
    signal = recording.signal[strip.first : strip.stop]
    paper = Paper(
        (strip.first / rate, strip.stop / rate), half_mv(signal, *(fan.forecast for fan in strip.fans)), 9, 6, ENLARGED
    )
    panel = paper.panel
    pieces = [paper.grid(), paper.mv_axis()]
    pieces += [panel.band(fan.samples / rate, *fan.interval, "band") for fan in strip.fans if fan.interval is not None]
    pieces.append(panel.line(time, signal, "trace"))
    for fan in strip.fans:
        seconds = fan.samples / rate
        pieces.append(panel.line(seconds, fan.forecast, "second thin"))
        x, y = float(panel.across(seconds[0])), float(panel.down(np.clip(fan.forecast[0], *panel.y)))
        pieces.append(tag("circle", cx=at(x), cy=at(y), r="0.7", class_="dot second"))
    bottom = paper.top + paper.height
    pieces += [
        paper.time_axis(0.2, "s"),
        tag("text", "s", x=at(paper.left + paper.width + 2), y=at(bottom + 4), class_="mm"),
    ]
    words = f"{len(strip.fans)} fans of forecasts over {(strip.stop - strip.first) / rate:.2g} s of the signal."
    return picture(paper.left + paper.width + 5, bottom + 6, words, *pieces, unit="mm", class_="sheet strip")


def _name(model: str) -> str:
    return "convex network" if model == "convex" else NAMES.get(model, model)


def errors_by_horizon(errors: Mapping[str, Mapping[int, float]], rate: float) -> Markup:
    """Errors in mV against how far ahead they are, in ms."""
    every = np.array([value for of in errors.values() for value in of.values()])
    ahead = 1e3 * np.array(sorted({horizon for of in errors.values() for horizon in of})) / rate
    panel = Panel((0.0, 1.04 * float(ahead.max())), limits(every), 52.0, 22.0, WIDTH - 66.0, HEIGHT - 60.0)
    lines, said = [], []
    for name, of in errors.items():
        x, y = 1e3 * np.array(list(of)) / rate, np.array(list(of.values()))
        style = LINES.get(name, "third")
        lines.append(panel.line(x, y, style))
        said.append(f"{_name(name)} {y[0]:.3g} mV at {x[0]:.3g} ms, {y[-1]:.3g} at {x[-1]:.3g}")
    words = f"Errors against the horizon: {'; '.join(said)}."
    return picture(
        WIDTH, HEIGHT, words, panel.beside("error on the test part (mV)"), *lines, panel.below("samples ahead, in ms")
    )
