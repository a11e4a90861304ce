"""A causal lossless coder of ADC samples, and the adaptive stage before it.

The coder gives every sample x of an alphabet 0 .. size - 1 a probability from its forecast and from the samples before
it, so that an arithmetic coder needs -log2 of it, to within two bits for a whole file (Witten, Neal, Cleary 1987).
The distribution is a mixture: logistic and Student (4 degrees of freedom) shapes round the forecast, at multiples of
mean absolute residuals over several memories, plus a small uniform part; the weights follow Bayes' rule with a share
that returns to uniform (Herbster & Warmuth 1998, fixed share). Nothing in it is trained.

The adaptive stage is recursive least squares: the forecast and the last differences of the signal are weighted anew
after every sample, as the last stage of lossless audio coders does. Both know only the past.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.compilation import cached_njit
from ecgcvx.types import Array

MEMORIES = np.array([6.0, 24.0, 128.0, 2000.0])  # samples
MULTIPLES = np.array([0.5, 0.8, 1.2, 1.9])  # of a mean absolute residual
SHARE = 0.02  # of the weights, that returns to uniform at each sample
UNIFORM = 1e-4  # of the probability
LEAST_SCALE = 0.1  # ADC units, added to a mean absolute residual
FIRST_SCALE = 4.0
LOGISTIC = 2.0 * np.log(2.0)  # mean absolute value of the logistic distribution of scale 1; Student's, 4 degrees: 1

SCALE_MEMORY = 8.0  # samples, of `causal_scale`
FORGETTING = 0.9998  # of the adaptive stage, a sample
LAGS = 16  # differences that it sees
PRIOR = 1e-2  # variance of its first weights

compiled = cached_njit(nogil=True)


class State(NamedTuple):
    """What the coder remembers: mean absolute residuals (4,), weights of the mixture (32,), samples seen (1,)."""

    scales: Array
    weights: Array
    seen: NDArray[np.int64]


def first_state() -> State:
    """The state before the first sample."""
    parts = 2 * len(MEMORIES) * len(MULTIPLES)
    return State(np.full(len(MEMORIES), FIRST_SCALE), np.full(parts, 1.0 / parts), np.zeros(1, np.int64))


@compiled
def cumulative(shape: int, z: float) -> float:
    """P(Z < z) of the logistic (0) or Student (1) distribution whose mean absolute value is 1."""
    if shape == 0:
        u = z * LOGISTIC
        return 1.0 / (1.0 + np.exp(-u)) if u > -700.0 else 0.0
    u = z / np.sqrt(4.0 + z * z)
    return 0.5 + 0.75 * (u - u * u * u / 3.0)


@compiled
def below(edge: int, part: int, forecast: float, scales: Array, size: int) -> float:
    """P(x < edge) of one part of the mixture; 0 at edge 0 and 1 at edge `size`, so that the alphabet has all of it."""
    if edge <= 0:
        return 0.0
    if edge >= size:
        return 1.0
    scale = (scales[part // (2 * len(MULTIPLES))] + LEAST_SCALE) * MULTIPLES[part // 2 % len(MULTIPLES)]
    inside = cumulative(part % 2, (edge - 0.5 - forecast) / scale)
    return (1.0 - UNIFORM) * inside + UNIFORM * edge / size


@compiled
def mixed_below(edge: int, forecast: float, state: State, size: int) -> float:
    """P(x < edge) of the whole mixture: what an arithmetic coder asks for."""
    total = 0.0
    for part in range(len(state.weights)):
        total += state.weights[part] * below(edge, part, forecast, state.scales, size)
    return total


@compiled
def take_in(x: int, forecast: float, state: State, size: int) -> float:
    """The probability of x, after which the state has taken it in."""
    total, parts = 0.0, len(state.weights)
    for part in range(parts):
        mass = below(x + 1, part, forecast, state.scales, size) - below(x, part, forecast, state.scales, size)
        state.weights[part] *= mass
        total += state.weights[part]
    for part in range(parts):
        state.weights[part] = (1.0 - SHARE) * state.weights[part] / total + SHARE / parts
    state.seen[0] += 1
    for k in range(len(MEMORIES)):
        gain = 1.0 / min(MEMORIES[k], state.seen[0] + 1.0)
        state.scales[k] += gain * (abs(x - forecast) - state.scales[k])
    return total


@compiled
def code_lengths(samples: NDArray[np.int64], forecasts: Array, state: State, size: int) -> Array:
    """Bits (n,) of each sample of the alphabet 0 .. size - 1, given a forecast of each (n,) in the same units."""
    bits = np.empty(len(samples))
    for t in range(len(samples)):
        bits[t] = -np.log2(take_in(samples[t], forecasts[t], state, size))
    return bits


@compiled
def causal_scale(residuals: Array, memory: float) -> Array:
    """Before each residual (n,) the exponential mean of the absolute ones before it."""
    out, scale = np.empty(len(residuals)), FIRST_SCALE
    for t in range(len(residuals)):
        out[t] = scale
        scale += (abs(residuals[t]) - scale) / memory
    return out


def adapted(signal: Array, forecasts: Array, scales: Array) -> Array:
    """Forecasts (n,) of the signal (n,) after the adaptive stage; `scales` (n,): causal, of the residuals.

    Each is a sum of the forecast's and the LAGS last differences, weighted by recursive least squares of residuals over
    their scale, which starts from the forecast itself.
    """
    return (
        _adapted(np.diff(signal, prepend=signal[0]), forecasts - np.r_[signal[0], signal[:-1]], scales)
        + np.r_[signal[0], signal[:-1]]
    )


@compiled
def _adapted(steps: Array, forecast_steps: Array, scales: Array) -> Array:
    width = LAGS + 1
    weights, covariance = np.zeros(width), PRIOR * np.eye(width)
    weights[0] = 1.0
    out, row, gain = np.zeros(len(steps)), np.zeros(width), np.zeros(width)
    for t in range(len(steps)):
        row[0] = forecast_steps[t]
        for k in range(LAGS):
            row[1 + k] = steps[t - 1 - k] if t > k else 0.0
        for i in range(width):
            total = 0.0
            for j in range(width):
                total += covariance[i, j] * row[j]
            gain[i] = total
        forecast, size = 0.0, FORGETTING * scales[t] * scales[t]
        for i in range(width):
            forecast += weights[i] * row[i]
            size += gain[i] * row[i]
        out[t] = forecast
        error = steps[t] - forecast
        for i in range(width):
            weights[i] += gain[i] * error / size
            for j in range(i, width):
                covariance[i, j] = (covariance[i, j] - gain[i] * gain[j] / size) / FORGETTING
                covariance[j, i] = covariance[i, j]
    return out
