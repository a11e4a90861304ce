"""The mean beat with its patterns, the strip of forecasts, both on ECG paper; the small pictures of the first page."""

from dataclasses import replace

import numpy as np
from markupsafe import Markup

from ecgcvx.beats import LONGEST, P_START_MS, QRS_END_MS, QRS_START_MS, T_END_MS, t_end_ms
from ecgcvx.interpretation import BeatAverage, Interpretation
from ecgcvx.intervals import Interval
from ecgcvx.report.drawing import Panel, limits, picture
from ecgcvx.report.figures import usual
from ecgcvx.report.markup import coordinate as at
from ecgcvx.report.markup import join, tag
from ecgcvx.report.paper import MV_PER_MM, Paper, half_mv
from ecgcvx.types import Array

WIDEST, TALLEST, ENLARGED = 72.0, 95.0, 5.0  # of the mean beat: mm, mm, and at most so many times the size of paper
LANE = 4.0  # mm
LEVELS = 10  # shades of a lane
STRIP_SECONDS, STRIP_LANES = 6.0, 6
RESIDUAL_MM = 14.0
WAVES = (("P", P_START_MS, QRS_START_MS), ("QRS", QRS_START_MS, QRS_END_MS), ("T", QRS_END_MS, T_END_MS))
BEFORE_MS, AFTER_MS = -400.0, 620.0


def beat_figure(reading: Interpretation, average: BeatAverage) -> Markup:
    """The mean beat of a type on enlarged ECG paper, and below it when every pattern shown is on."""
    inside = usual(average) & (average.offsets_ms >= BEFORE_MS) & (average.offsets_ms <= AFTER_MS)
    seconds = average.offsets_ms[inside] / 1e3
    mean, sd = average.mean_mv[inside], average.sd_mv[inside]
    K = 0 if reading.kind == "polynomial" else len(average.on)
    paper = Paper((float(seconds[0]), float(seconds[-1])), half_mv(mean), 9, 7)
    times = min(ENLARGED, WIDEST / paper.width, TALLEST / paper.height)
    paper = replace(paper, enlarged=max(np.floor(2 * times) / 2, 1.0))
    panel = paper.panel
    top = paper.top + paper.height + 7
    bottom = top + LANE * K
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.01
    lanes = []
    for k in range(K):
        y = top + k * LANE
        lanes.append(lane(average.on[k][inside], panel.across(seconds - step / 2), y, LANE - 0.8))
        lanes.append(tag("text", str(k + 1), x="7.6", y=at(y + 2.6), text_anchor="end", class_="mm"))
    words = (
        f"Mean of {average.count} beats on ECG paper, from {1e3 * seconds[0]:.0f} to {1e3 * seconds[-1]:.0f} ms around "
        f"the R peak, {np.nanmin(mean):.2g} to {np.nanmax(mean):.2g} mV."
    )
    if K:
        share = np.nan_to_num(average.on[:, inside][:, int(np.argmin(np.abs(seconds)))])
        busiest = ", ".join(str(k + 1) for k in np.argsort(-share, kind="stable")[:3])
        words += f" Bars below: when each of {K} patterns is on; most often at the R peak: {busiest}."
    return picture(
        paper.left + paper.width + 3, bottom + 5, words, paper.grid(), _segments(reading, paper), paper.mv_axis(),
        panel.band(seconds, mean - sd, mean + sd, "band"), panel.line(seconds, mean, "trace"),
        paper.time_axis(0.2, "ms"),
        tag("path", d=f"M{at(panel.across(0.0))} {at(paper.top)}V{at(bottom)}", class_="moment"), *lanes,
        tag("text", "time from the R peak (ms)", x=at(paper.left + paper.width / 2), y=at(bottom + 3.4),
            text_anchor="middle", class_="mm"),
        unit="mm", class_="sheet",
    )  # fmt: skip


def card_figure(average: BeatAverage, place: int, words: str) -> Markup:
    """The mean beat in small, and below it when pattern number `place` (from 0) is on."""
    inside = usual(average)
    ms, mean = average.offsets_ms[inside], average.mean_mv[inside]
    panel = Panel((float(ms[0]), float(ms[-1])), limits(mean, zero=False), 4, 4, 252, 52)
    step = float(np.median(np.diff(ms))) if len(ms) > 1 else 1.0
    zero = at(panel.across(0.0))
    return picture(
        260, 92, words,
        tag("path", d=f"M{zero} 4V74", class_="moment"), panel.line(ms, mean, "ink"),
        lane(average.on[place][inside], panel.across(ms - step / 2), 62, 12),
        tag("text", "R", x=zero, y="88", text_anchor="middle"),
    )  # fmt: skip


def strip_figure(reading: Interpretation, forecast: Array, first: int, band: Interval | None = None) -> Markup:
    """Some seconds of signal and forecast (samples,) in mV from sample `first` on, true to scale, patterns below.

    The residual below is enlarged by a round factor, which it states. band : ends (samples,) of an interval in mV.
    """
    signal, rate = reading.recording.signal, reading.forecaster.sampling_frequency
    stop = min(first + round(STRIP_SECONDS * rate), len(signal))
    time = np.arange(first, stop) / rate
    measured, predicted = signal[first:stop], forecast[first:stop]
    residual = measured - predicted
    paper = Paper((first / rate, first / rate + STRIP_SECONDS), half_mv(measured, predicted), 9, 6)
    panel = paper.panel
    bottom = paper.top + paper.height
    times = _magnification(residual)
    scale = "at the same scale" if times == 1 else f"enlarged {times:g} times"
    half = RESIDUAL_MM / 2 * MV_PER_MM / times
    below = Panel(paper.seconds, (-half, half), paper.left, bottom + 12, paper.width, RESIDUAL_MM)
    pieces = [
        paper.grid(), paper.mv_axis(), panel.line(time, measured, "trace"), panel.line(time, predicted, "second thin"),
        paper.time_axis(1.0, "s"), tag("text", "s", x="7.8", y=at(bottom + 4), text_anchor="end", class_="mm"),
        tag("path", d=f"M{at(below.left)} {at(below.top + RESIDUAL_MM / 2)}h{at(below.width)}", class_="minor"),
        below.line(time, residual, "second thin"),
        tag("text", f"error of the forecast, {scale}: 1 mm is {MV_PER_MM / times:.3g} mV",
            x=at(below.left), y=at(below.top - 1), class_="mm"),
    ]  # fmt: skip
    if band is not None:
        low, high = (end[first:stop] for end in band)
        pieces.insert(1, panel.band(time, low, high, "band"))
        pieces.append(below.band(time, low - predicted, high - predicted, "band"))
    y = below.top + RESIDUAL_MM + 6
    gated = [pattern for pattern in reading.patterns[:STRIP_LANES] if pattern.gate is not None]
    if gated:
        pieces.append(tag("text", "patterns that are on", x=at(paper.left), y=at(y - 1.5), class_="mm"))
    for pattern in gated:
        on = _on_in_strip(reading, pattern.number - 1, first, stop)
        pieces.append(lane(on, panel.across(time - 0.5 / rate), y, LANE - 0.8))
        pieces.append(tag("text", str(pattern.number), x="7.6", y=at(y + 2.6), text_anchor="end", class_="mm"))
        y += LANE
    known = residual[np.isfinite(residual)]
    error = float(np.sqrt(np.mean(known**2))) if len(known) else float("nan")
    words = (
        f"{STRIP_SECONDS:g} s of signal and forecast from {first / rate:.1f} s on ECG paper, 25 mm/s and 10 mm/mV; the "
        f"root-mean-square error in them is {error:.3g} mV."
    )
    return picture(paper.left + paper.width + 4, y + 1, words, *pieces, unit="mm", class_="sheet strip")


def lane(share: Array, edges: Array, y: float, tall: float) -> Markup:
    """A bar whose shade is the share (k,) in 0 .. 1 of the stretch from an edge (k,) to the next."""
    level = np.round(LEVELS * np.nan_to_num(share)).astype(int)
    starts = np.r_[0, np.flatnonzero(np.diff(level)) + 1]
    width = float(np.median(np.diff(edges))) if len(edges) > 1 else 1.0
    ends = np.r_[edges[starts[1:]], edges[-1] + width]
    pieces = [tag("rect", x=at(edges[0]), y=at(y), width=at(ends[-1] - edges[0]), height=at(tall), class_="lane")]
    for shade in range(1, LEVELS + 1):
        here = level[starts] == shade
        d = "".join(
            f"M{at(a)} {at(y)}H{at(b)}v{at(tall)}H{at(a)}Z"
            for a, b in zip(edges[starts[here]], ends[here], strict=True)
        )
        if d:
            pieces.append(tag("path", d=d, class_="on", opacity=f"{shade / LEVELS:g}"))
    return join(pieces)


def _on_in_strip(reading: Interpretation, place: int, first: int, stop: int) -> Array:
    """Where a pattern is on for the forecast of the samples first .. stop - 1: 1, 0, or NaN without a window."""
    forecaster, gate = reading.forecaster, reading.patterns[place].gate
    assert gate is not None
    start = first - forecaster.horizon - forecaster.window + 1
    leads = np.atleast_2d(reading.recording.signals)[:, max(0, start) : stop]
    padded = np.pad(leads, ((0, 0), (max(0, -start), 0)), constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, forecaster.window, axis=1)[:, : stop - first]
    values = gate(np.concatenate(list(views), axis=1))
    return np.where(np.isnan(values), np.nan, (values >= 0).astype(np.float64))


def _segments(reading: Interpretation, paper: Paper) -> Markup:
    """Names of the parts of a beat over the sheet; T ends at 450 ms times the root of the usual interval in s."""
    assert reading.beats is not None
    intervals = np.diff(reading.beats.samples) / reading.forecaster.sampling_frequency
    usual_interval = float(np.median(intervals)) if len(intervals) else 1.0
    pieces = []
    for name, a, b in WAVES:
        end = float(t_end_ms(min(usual_interval, LONGEST))) if name == "T" else b
        low, high = max(a / 1e3, paper.seconds[0]), min(end / 1e3, paper.seconds[1])
        if high - low > 0.03:
            left, right = paper.panel.across([low, high])
            pieces.append(tag("path", d=f"M{at(left + 0.3)} 6.2V5.2H{at(right - 0.3)}V6.2", class_="bracket"))
            pieces.append(tag("text", name, x=at((left + right) / 2), y="4", text_anchor="middle", class_="mm"))
    return join(pieces)


def _magnification(residual: Array) -> float:
    """The largest round factor at which nearly all of the residual fits on its strip."""
    known = np.abs(residual[np.isfinite(residual)])
    size = float(np.quantile(known, 0.995)) if len(known) else 1.0
    fits = [m for m in (1, 2, 5, 10, 20, 50, 100) if m * size / MV_PER_MM <= RESIDUAL_MM / 2]
    return float(fits[-1]) if fits else 1.0
