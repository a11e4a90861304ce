"""The figures of a pattern: what switches it, what it does, where in the beat it is on, examples on ECG paper."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ecgcvx.interpretation import BeatAverage, Interpretation, LinearFilter, PatternSummary, QuadraticForm
from ecgcvx.report.drawing import Panel, limits, picture
from ecgcvx.report.markup import coordinate as at
from ecgcvx.report.markup import join, number, tag
from ecgcvx.report.paper import Paper, half_mv
from ecgcvx.types import Array

WIDTH, HEIGHT, LEFT, RIGHT = 300.0, 236.0, 48.0, 13.0  # of a chart
UPPER, LOWER = (24.0, 74.0), (132.0, 66.0)  # top and height of its two panels
HIGHEST_HZ = 100.0
LEAST_DB = -60.0
EXAMPLE_SECONDS = 1.2
CELLS = 40  # of a matrix that is drawn, a side
NAME, SIDE_BY_SIDE = 7, 6  # letters of a lead's name beside the matrix; leads whose names stand below it, too
STYLES = ("first", "second dashed", "third dotted")


def window_figure(reading: Interpretation, pattern: PatternSummary, gate: LinearFilter, lead: int) -> Markup:
    """The windows of a lead in which a pattern is on, mean and spread, above the weights of its gate.

    lead : number of a joined lead in `Forecaster.leads`, 0 of a single one; weights of all leads have one scale.
    """
    rate, L = reading.forecaster.sampling_frequency, reading.forecaster.window
    ms = -gate.lags_ms[::-1]
    mean, sd = (np.atleast_2d(windows)[lead] for windows in (pattern.mean_window, pattern.sd_window))
    taps = gate.leads[lead].taps
    across = (float(ms[0]) - 600 / rate, 600 / rate)
    upper = _panel(UPPER, across, limits(mean - sd, mean + sd, zero=False))
    lower = _panel(LOWER, across, limits(gate.row))
    peak = int(np.argmax(np.abs(taps)))
    words = (
        f"{_lead(reading, lead)}Signal in the {L} samples of the window while {_name(reading, pattern)} is on: mean "
        f"from {number(round(float(mean[0]), 3))} mV (oldest) to {number(round(float(mean[-1]), 3))} mV (newest), "
        f"standard deviation {np.mean(sd):.3g} mV on average. Weights of its gate below: the largest is "
        f"{number(round(float(taps[peak]), 3))} at {number(round(float(ms[peak]), 1))} ms."
    )
    return picture(
        WIDTH, HEIGHT, words,
        upper.beside("signal while it is on (mV)"), upper.band(ms, mean - sd, mean + sd, "band"),
        upper.line(ms, mean, "ink"), upper.below("", numbers=False),
        lower.beside("weights of its gate"), lower.bars(ms, taps, 600 / rate, "fill"),
        lower.below("time before the newest sample (ms)"),
    )  # fmt: skip


def impulse_figure(reading: Interpretation, pattern: PatternSummary, lead: int) -> Markup:
    """Impulse responses of the pattern's own filter of a lead and of the whole network while it is on."""
    own, whole = pattern.filter.leads[lead], pattern.network_filter.leads[lead]
    polynomial = reading.kind == "polynomial"
    lag = own.lags_ms
    across = (-0.6 * float(lag[1] if len(lag) > 1 else 1), float(lag[-1]) + 0.6 * float(lag[1] if len(lag) > 1 else 1))
    upper = _panel(UPPER, across, limits(pattern.filter.row))
    lower = _panel(LOWER, across, limits(pattern.network_filter.row))
    words = (
        f"{_lead(reading, lead)}Impulse responses. {_name(reading, pattern).capitalize()} alone: {_extremes(own)}. "
        f"Whole network{'' if polynomial else ' while it is on'}: {_extremes(whole)}."
    )
    return picture(
        WIDTH, HEIGHT, words,
        upper.beside("this neuron's weights (1/mV)" if polynomial else "this pattern alone (mV per mV)"),
        upper.stems(lag, own.impulse_response, "first"), upper.below("", numbers=False),
        lower.beside("whole network, mean slope (mV per mV)" if polynomial else "whole network while it is on"),
        lower.stems(lag, whole.impulse_response, "second"), lower.below("age of the sample (ms)"),
    )  # fmt: skip


def response_figure(reading: Interpretation, pattern: PatternSummary, lead: int) -> Markup:
    """Gain (dB) and group delay (ms) of a lead by frequency (Hz), of the pattern and of the network while it is on."""
    own, whole = pattern.filter.leads[lead], pattern.network_filter.leads[lead]
    highest = min(HIGHEST_HZ, own.sampling_frequency / 2)
    hz = np.linspace(0.0, highest, 101)
    gains = [_decibel(filter_, hz) for filter_ in (own, whole)]
    delay = whole.group_delay_ms(hz)
    span = float(own.lags_ms[-1]) if len(own.taps) > 1 else 1.0
    delay = np.where(np.abs(delay) <= 2 * span, delay, np.nan)
    low, high = limits(*gains, zero=True)
    upper = _panel(UPPER, (0.0, highest), (max(low, LEAST_DB), high))
    lower = _panel(LOWER, (0.0, highest), limits(delay))
    at_ten = float(whole.group_delay_ms(np.array([10.0]))[0])
    words = (
        f"{_lead(reading, lead)}Frequency responses to {highest:g} Hz. Gain at 0 Hz: alone {own.dc_gain:.3g}, whole "
        f"network {whole.dc_gain:.3g}; at 20 Hz: alone {_gain(own, 20):.3g}, whole network {_gain(whole, 20):.3g}. "
        f"Group delay of the whole network at 10 Hz: {at_ten:.2g} ms."
    )
    return picture(
        WIDTH, HEIGHT, words,
        upper.beside("gain (dB)"), upper.line(hz, gains[0], "first"), upper.line(hz, gains[1], "second dashed"),
        _legend((("first", "alone"), ("second dashed", "network")), 168, 62), upper.below("", numbers=False),
        lower.beside("group delay, whole network (ms)"), lower.line(hz, delay, "second dashed"),
        lower.below("frequency (Hz)"),
    )  # fmt: skip


def phase_figure(reading: Interpretation, place: int) -> Markup:
    """How often pattern number `place` (from 0) is on around the R peak, by type of beat, the mean beat in grey."""
    averages = shown_types(reading)
    whole = reading.beat_averages[0]
    inside = usual(whole)
    ms = whole.offsets_ms[inside]
    panel = _panel((24.0, 174.0), (float(ms[0]), float(ms[-1])), (0.0, 100.0))
    behind = _panel((24.0, 174.0), panel.x, limits(whole.mean_mv[inside], zero=False))
    pieces = [
        panel.beside("on, % of the beats", np.array([0.0, 50.0, 100.0])),
        behind.line(ms, whole.mean_mv[inside], "behind"),
    ]
    names = []
    for style, average in zip(STYLES, averages, strict=False):
        here = usual(average) & (average.offsets_ms >= ms[0]) & (average.offsets_ms <= ms[-1])
        pieces.append(panel.line(average.offsets_ms[here], 100 * average.on[place][here], style))
        names.append((style, average.symbol))
    if len(names) > 1:
        pieces.append(_legend(tuple(names), WIDTH - RIGHT - 46 * len(names), 46))
    share = whole.on[place][inside]
    known = np.isfinite(share)
    top = float(ms[known][np.argmax(share[known])]) if known.any() else float("nan")
    words = (
        f"Share of the beats in which {_name(reading, reading.patterns[place])} is on, against the time from the R "
        f"peak: most, {100 * float(np.nanmax(share)):.0f} %, at {number(round(top))} ms; "
        f"least, {100 * float(np.nanmin(share)):.0f} %. The mean beat is drawn in grey behind."
    )
    return picture(WIDTH, HEIGHT, words, *pieces, panel.below("time from the R peak (ms)"))


def example_figures(reading: Interpretation, pattern: PatternSummary) -> list[Markup]:
    """Strips around the example windows on ECG paper, true to scale, window and forecast marked."""
    signal, rate = reading.recording.signal, reading.forecaster.sampling_frequency
    out = []
    for first, stop in pattern.examples:
        length = max(round(EXAMPLE_SECONDS * rate), round(1.3 * (stop - first)))
        a = max(0, (first + stop - length) // 2)
        b = min(len(signal), a + length)
        a = max(0, b - length)
        time = np.arange(a, b) / rate
        paper = Paper((a / rate, (a + length) / rate), half_mv(signal[a:b]), 1, 1)
        panel = paper.panel
        left, right = panel.across([first / rate, (first + reading.forecaster.window - 1) / rate])
        value = float(signal[stop - 1])
        words = (
            f"{length / rate:.2g} s of the record around {first / rate:.2f} s, where "
            f"{_name(reading, pattern)} contributes most; the forecast sample measures {value:.3g} mV."
        )
        hold = at(max(right - left, 0.6))
        mark = tag(
            "circle",
            cx=at(panel.across((stop - 1) / rate)),
            cy=at(panel.down(np.clip(value, *paper.mv))),
            r="0.8",
            class_="mark",
        )
        out.append(
            picture(
                paper.width + 2, paper.height + 5.5, words, paper.grid(),
                tag("rect", x=at(left), y="1", width=hold, height=at(paper.height), class_="hold"),
                panel.line(time, signal[a:b], "trace"), mark,
                tag("text", f"{first / rate:.2f} s", x="1", y=at(paper.height + 4.5), class_="mm"),
                unit="mm", class_="sheet",
            )
        )  # fmt: skip
    return out


def quadratic_figure(form: QuadraticForm, leads: tuple[str, ...]) -> Markup:
    """The matrix Q of a polynomial network as a map of signs and sizes; of several leads in blocks of two of them."""
    Q, L = _blocks(form.Q), len(form.Q)
    cell = 240.0 / len(Q)
    ms = -form.linear.lags_ms[::-1]
    panel = Panel((float(ms[0]) - 0.5, 0.5), (0.0, 1.0), LEFT, 14, 240, 240)
    largest = float(np.abs(Q).max()) or 1.0
    pieces = []
    for i, j in np.ndindex(*Q.shape):
        value = float(Q[i, j]) / largest
        if abs(value) > 0.02:
            pieces.append(
                tag("rect", x=at(LEFT + j * cell), y=at(14 + i * cell), width=at(cell), height=at(cell),
                    class_="plus" if value > 0 else "minus", opacity=f"{abs(value):.2f}")
            )  # fmt: skip
    frame = tag("rect", x=at(LEFT), y="14", width="240", height="240", class_="frame")
    words = (
        f"Matrix of the products of two samples, {L} by {L}, from {form.Q.min():.3g} to {form.Q.max():.3g} per mV; "
        "the newest sample is at the lower right."
    )
    if len(leads) > 1:
        words = words.replace("is at the lower right", f"of each lead, {', '.join(leads)}, is at the lower right of it")
        ends = np.arange(len(leads) + 1) * 240 / len(leads)
        inner = [
            tag("path", d=f"M{at(LEFT + e)} 14v240M{at(LEFT)} {at(14 + e)}h240", class_="axis") for e in ends[1:-1]
        ]
        middles = (ends[:-1] + ends[1:]) / 2
        names = [
            tag("text", name[:NAME], x=at(LEFT - 5), y=at(18 + e), text_anchor="end")
            for name, e in zip(leads, middles, strict=True)
        ]
        if len(leads) <= SIDE_BY_SIDE:
            names += [
                tag("text", name[:NAME], x=at(LEFT + e), y="270", text_anchor="middle")
                for name, e in zip(leads, middles, strict=True)
            ]
        return picture(WIDTH, 280, words, *pieces, frame, *inner, *names)
    sides = [
        tag("text", "oldest", x=at(LEFT - 5), y="24", text_anchor="end"),
        tag("text", "newest", x=at(LEFT - 5), y="252", text_anchor="end"),
    ]
    return picture(WIDTH, 296, words, *pieces, frame, *sides, panel.below("sample (ms before the newest)"))


def _blocks(Q: Array) -> Array:
    """A matrix (L, L), or of a larger one the entries of greatest size in blocks of it."""
    step = -(-len(Q) // CELLS)
    if step == 1:
        return Q
    edges = np.arange(0, len(Q), step)
    high = np.maximum.reduceat(np.maximum.reduceat(Q, edges, axis=0), edges, axis=1)
    low = np.minimum.reduceat(np.minimum.reduceat(Q, edges, axis=0), edges, axis=1)
    return np.where(high >= -low, high, low)


def shown_types(reading: Interpretation) -> tuple[BeatAverage, ...]:
    """The beat averages to draw: every type where beats have some, at most three; all beats together else."""
    types = tuple(average for average in reading.beat_averages[1:] if average.count >= 3)
    return types[: len(STYLES)] or reading.beat_averages[:1]


def usual(average: BeatAverage) -> NDArray[np.bool_]:
    """Which offsets (k,) at least half of the beats reach; a stretch around the R peak."""
    return average.windows >= 0.5 * average.windows.max()


def _name(reading: Interpretation, pattern: PatternSummary) -> str:
    return f"{'neuron' if reading.kind == 'polynomial' else 'pattern'} {pattern.number}"


def _lead(reading: Interpretation, lead: int) -> str:
    """Which lead a figure is of, where there are several."""
    names = reading.forecaster.leads
    return f"Lead {names[lead]}. " if len(names) > 1 else ""


def _panel(place: tuple[float, float], x: tuple[float, float], y: tuple[float, float]) -> Panel:
    return Panel(x, y, LEFT, place[0], WIDTH - LEFT - RIGHT, place[1])


def _legend(entries: tuple[tuple[str, str], ...], left: float, step: float) -> Markup:
    pieces = []
    for k, (style, words) in enumerate(entries):
        x = left + step * k
        pieces += [tag("path", d=f"M{at(x)} 14h14", class_=f"line {style}"), tag("text", words, x=at(x + 18), y="18")]
    return join(pieces)


def _decibel(filter_: LinearFilter, hz: Array) -> Array:
    return np.asarray(20 * np.log10(np.maximum(np.abs(filter_.frequency_response(hz)), 1e-6)), dtype=np.float64)


def _gain(filter_: LinearFilter, hz: float) -> float:
    return float(np.abs(filter_.frequency_response(np.array([hz])))[0])


def _extremes(filter_: LinearFilter) -> str:
    h, lag = filter_.impulse_response, filter_.lags_ms
    high, low = int(np.argmax(h)), int(np.argmin(h))
    return f"largest {h[high]:.3g} at {lag[high]:.3g} ms, least {h[low]:.3g} at {lag[low]:.3g} ms"
