"""Compiled steps of a stream: sample in, forecast, residual and score out; one sample, or chunks of many channels.

Both do the same operations in the same order, so that the bits depend on no way of cutting a signal into chunks.

A row is that of `ecgcvx.windows`. Of joined leads samples are those of the forecast lead in mV, NaN where any lead is
missing; those of the others come beside them, standardised.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.rowwise import ROWS, SUMS, compiled, row_heights, row_output, tile_heights, tile_output
from ecgcvx.streaming.intervals import push_interval
from ecgcvx.types import Array

Counts = NDArray[np.int64]
SCALE_SHARE = 0.5  # the scale is the running median of |residual|
FIRST_THRESHOLD = 20.0  # of the score, forgotten within the first 1 / rate scores
FLOOR = 1e-9  # mV: the scale of a signal that is forecast exactly


class State(NamedTuple):
    """What a stream of c channels remembers; nothing in it grows.

    windows : (c, padded d) the row of the last samples, standardised, and the 1 of the bias. pending : (c, horizon)
    forecasts in mV that are not due yet, the next one at `heads` (c,). runs : (c,) valid samples since the window was
    empty, at most window + horizon. levels : (c, 2) scale in mV and threshold of the score. seen : (c,) residuals so
    far.
    """

    windows: Array
    pending: Array
    heads: Counts
    runs: Counts
    levels: Array
    seen: Counts


class Rules(NamedTuple):
    """mean, scale (mV) of the lead that is forecast; window; leads, that one among them; residuals before the first
    score; gains of both levels; alarm rate.
    """

    mean: float
    scale: float
    window: int
    leads: int
    settle: int
    scale_gain: float
    tail_gain: float
    rate: float


@compiled
def score_residual(residual: float, levels: Array, seen: int, rules: Any) -> tuple[float, bool]:
    """Score and alarm of a residual by the levels of the past, which then take it in.

    A level follows the quantile p of a positive x by log level += gain (p - 1[x <= level]): in the long run the share
    1 - p of all x lies above it, whatever their distribution. gain = 1/(1 + (1 - p) n) at first, constant later; that
    of the scale stays large for half of the time before the first score, so that no first residual lasts.
    """
    size = abs(residual)
    score, alarm = np.nan, False
    if seen == 0:
        levels[0], levels[1] = max(size, FLOOR), FIRST_THRESHOLD
    if seen >= rules.settle:
        score = size / levels[0]
        scores = seen - rules.settle
        above = score > levels[1]
        alarm = above and rules.rate * scores >= 1.0
        gain = max(rules.tail_gain, 1.0 / (1.0 + rules.rate * scores))
        levels[1] *= np.exp(gain * ((1.0 - rules.rate) if above else -rules.rate))
    gain = max(rules.scale_gain, 1.0 / (1.0 + (1.0 - SCALE_SHARE) * max(seen - rules.settle // 2, 0)))
    levels[0] *= np.exp(gain * (SCALE_SHARE if size > levels[0] else SCALE_SHARE - 1.0))
    levels[0] = max(levels[0], FLOOR)
    return score, alarm


@compiled
def settle_step(sample: float, forecast: float, c: int, state: Any, rules: Any) -> tuple[float, float, float, bool]:
    """Forecast (NaN without a whole window), residual, score and alarm of one sample of channel c.

    A forecast that was withheld, NaN, has no residual and leaves the levels alone.
    """
    horizon = state.pending.shape[1]
    residual, score, alarm = np.nan, np.nan, False
    head, run = state.heads[c], state.runs[c]
    if run >= rules.window + horizon:
        residual = sample - state.pending[c, head]
        if not np.isnan(residual):
            score, alarm = score_residual(residual, state.levels[c], state.seen[c], rules)
            state.seen[c] += 1
    if run < rules.window:
        forecast = np.nan
    state.pending[c, head] = forecast
    state.heads[c] = (head + 1) % horizon
    return forecast, residual, score, alarm


@compiled
def count_run(sample: float, c: int, state: Any, rules: Any) -> int:
    """The valid samples of channel c up to this one, also put into the state."""
    run = 0
    if np.isfinite(sample):
        run = min(state.runs[c] + 1, rules.window + state.pending.shape[1])
    state.runs[c] = run
    return run


@compiled
def beyond(x: Array, rules: Any, border: Any) -> bool:
    """Whether a whole window x (padded d,) lies outside the training range."""
    if border.columns.shape[1] == 0:
        return False
    for k in range(rules.leads * rules.window):
        if x[k] < border.low or x[k] > border.high:
            return True
    k = border.columns.shape[1]
    work, on = np.empty((2, k)), np.empty(k, dtype=np.bool_)
    leverage = row_output(x, border.columns, border.gates, border.W2, border.polynomial, 2, border.W2[:0], work, on)
    return not (leverage <= border.limit)


@compiled
def replaced_row(x: Array, border: Any) -> float:
    """What stands for the forecast of a window x (padded d,) outside, standardised: the linear one, or NaN."""
    z = np.full(1, np.nan)
    if border.policy == 1:
        row_heights(x, border.linear_columns, z)
    return z[0]


@compiled
def slide(x: Array, first: int, window: int, z: float) -> None:
    """Take z into a window of a row x, whose oldest sample stands at `first`."""
    for k in range(first, first + window - 1):
        x[k] = x[k + 1]
    x[first + window - 1] = z


@compiled
def push_sample(
    sample: float,
    others: Any,
    state: Any,
    rules: Any,
    network: Any,
    border: Any,
    work: Array,
    on: NDArray[np.bool_],
    fixed: Any,
    intervals: Any,
) -> tuple[float, float, float, bool, bool]:
    """Forecast, residual, score, alarm and whether it is outside, of one sample of one channel; patterns in on (m,).

    others : (leads - 1,) of joined leads, None without. fixed, intervals : numbers and state of the intervals, see
    `push_interval`; None without them.
    """
    x, last = state.windows[0], (rules.leads - 1) * rules.window
    if others is not None:
        for lead in range(len(others)):
            slide(x, lead * rules.window, rules.window, others[lead])
    slide(x, last, rules.window, (sample - rules.mean) / rules.scale)
    forecast, outside = np.nan, False
    if count_run(sample, 0, state, rules) >= rules.window:
        forecast = row_output(
            x, network.W1, network.gates, network.W2, network.polynomial, network.kind, network.linear, work, on
        )
        outside = beyond(x, rules, border)
        if outside and border.policy > 0:
            forecast = replaced_row(x, border)
        forecast = forecast * rules.scale + rules.mean
    else:
        on[:] = False
    forecast, residual, score, alarm = settle_step(sample, forecast, 0, state, rules)
    if intervals is not None:
        push_interval(sample, forecast, residual, x, fixed, intervals)
    return forecast, residual, score, alarm, outside


@compiled
def beyond_tile(
    tile: Array,
    rules: Any,
    border: Any,
    work: Array,
    none: NDArray[np.bool_],
    f: Array,
    away: NDArray[np.bool_],
) -> None:
    """Which windows (ROWS,) of a tile are outside, and in f (ROWS,) what stands for their forecast, standardised."""
    tile_output(tile, border.W1, border.gates, border.W2, border.polynomial, 2, border.W2[:0], work, none, f)
    for i in range(ROWS):
        away[i] = not (f[i] <= border.limit)
    for k in range(rules.leads * rules.window):
        row = tile[k]
        for i in range(ROWS):
            away[i] |= (row[i] < border.low) | (row[i] > border.high)
    if border.policy == 1:
        tile_heights(tile, border.linear[0], f)
    else:
        f[:] = np.nan


@compiled
def forecast_chunk(
    samples: Array,
    others: Array,
    state: Any,
    rules: Any,
    network: Any,
    border: Any,
    out: Array,
    patterns: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> None:
    """Forecasts in out[0] (c, T) of a two-layer network, as if all windows were whole, for samples (c, T).

    others : (c, leads - 1, T). patterns : (c T, m) the active ones, or empty. outside : (c T,) which windows are
    outside the training range.
    """
    channels, T = samples.shape
    window, leads = rules.window, rules.leads
    z = np.empty((leads, window - 1 + T))
    tile, f, work = np.zeros((state.windows.shape[1], ROWS)), np.empty(ROWS), np.empty((SUMS + 2, ROWS))
    tile[leads * window] = 1.0
    on = np.empty((patterns.shape[1] if patterns.shape[0] else 0, ROWS), dtype=np.bool_)
    forecasts = out[0].reshape(-1)
    away, none = np.zeros(ROWS, dtype=np.bool_), np.empty((0, 0), dtype=np.bool_)
    filled, first = 0, 0
    for c in range(channels):
        for lead in range(leads):
            x, own = state.windows[c, lead * window : (lead + 1) * window], z[lead]
            own[: window - 1] = x[1:]
            for t in range(T):
                if lead < leads - 1:
                    own[window - 1 + t] = others[c, lead, t]
                else:
                    own[window - 1 + t] = (samples[c, t] - rules.mean) / rules.scale
            x[:] = own[T - 1 : T - 1 + window]
        t = 0
        while t < T:
            count = min(T - t, ROWS - filled)
            for k in range(leads * window):
                row, begin = tile[k], t + k % window
                source = z[k // window, begin : begin + count]
                for i in range(count):
                    row[filled + i] = source[i]
            filled += count
            t += count
            if filled == ROWS or (c == channels - 1 and t == T):
                tile_output(
                    tile, network.W1, network.gates, network.W2, network.polynomial, network.kind, network.linear, work,
                    on, f,
                )  # fmt: skip
                for i in range(filled):
                    forecasts[first + i] = f[i] * rules.scale + rules.mean
                if border.W1.shape[0]:
                    beyond_tile(tile, rules, border, work, none, f, away)
                    for i in range(filled):
                        outside[first + i] = away[i]
                        if away[i] and border.policy > 0:
                            forecasts[first + i] = f[i] * rules.scale + rules.mean
                for i in range(filled if patterns.shape[0] else 0):
                    for j in range(patterns.shape[1]):
                        patterns[first + i, j] = on[j, i]
                first += filled
                filled = 0


@compiled
def slide_chunk(samples: Array, others: Array, state: Any, rules: Any, rows: Array) -> None:
    """The windows of samples (c, T) and others (c, leads - 1, T) as rows (c T, leads * window + 1)."""
    channels, T = samples.shape
    last = (rules.leads - 1) * rules.window
    for c in range(channels):
        x = state.windows[c]
        for t in range(T):
            for lead in range(rules.leads - 1):
                slide(x, lead * rules.window, rules.window, others[c, lead, t])
            slide(x, last, rules.window, (samples[c, t] - rules.mean) / rules.scale)
            rows[c * T + t] = x[: last + rules.window + 1]


@compiled
def settle_chunk(
    samples: Array,
    state: Any,
    rules: Any,
    out: Array,
    alarms: NDArray[np.bool_],
    patterns: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> None:
    """Residuals and scores in out[1:] (2, c, T) and alarms (c, T), of samples (c, T) and the forecasts in out[0].

    Forecasts without a whole window become NaN, and patterns (c T, m) and outside (c T,) False there.
    """
    channels, T = samples.shape
    for c in range(channels):
        for t in range(T):
            sample = samples[c, t]
            if count_run(sample, c, state, rules) < rules.window:
                outside[c * T + t] = False
                if patterns.shape[0]:
                    patterns[c * T + t] = False
            forecast, residual, score, alarm = settle_step(sample, out[0, c, t], c, state, rules)
            out[0, c, t], out[1, c, t], out[2, c, t] = forecast, residual, score
            alarms[c, t] = alarm
