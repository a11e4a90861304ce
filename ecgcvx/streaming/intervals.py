"""Prediction intervals of a stream: they follow the signal, see `ecgcvx.intervals`.

All that a channel needs lies in one vector, since what a compiled call costs is the number of its arrays:

    window, G, C, h, gamma; steps of a miss (C,) and of a hit (C,); edges (G - 1,); level (k,)       fixed
    place of the next forecast, how many fell due, how many of each coverage held (C,)                state
    centres and widths (G, C); lower and upper ends (h, 2, C) and groups (h,) of forecasts to come
    ends of the last forecast (C, 2)
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import GAMMA, NEWEST, check_coverages, group_of, learn, log_level, start, steps
from ecgcvx.rowwise import compiled
from ecgcvx.types import Array

HEAD = 5  # numbers before the steps


class Moves(NamedTuple):
    """`Steps` as views of the vector."""

    miss: Array
    hit: Array
    gamma: float


@compiled
def push_interval(sample: float, forecast: float, residual: float, windows: Array, i: int, memory: Array) -> None:
    """Learn from a sample (mV) whose intervals fell due, and make those of a new forecast (mV).

    residual : NaN where no forecast was due. windows[i] : (at least window,) the standardised window of the forecast.
    """
    window, G, C, h = int(memory[0]), int(memory[1]), int(memory[2]), int(memory[3])
    k, gamma = HEAD, memory[4]
    moves = Moves(memory[k : k + C], memory[k + C : k + 2 * C], gamma)
    k += 2 * C
    edges = memory[k : k + G - 1]
    k += G - 1
    newest = min(window, NEWEST)
    features = (newest + 1) * (newest + 2) // 2 + max(newest - 1, 0) + max(newest - 2, 0)
    level = memory[k : k + features]
    k += features
    counts = memory[k : k + 2 + C]
    k += 2 + C
    centres = memory[k : k + G * C].reshape((G, C))
    k += G * C
    widths = memory[k : k + G * C].reshape((G, C))
    k += G * C
    pending = memory[k : k + 2 * h * C].reshape((h, 2, C))
    k += 2 * h * C
    groups = memory[k : k + h]
    out = memory[k + h :]
    head = int(counts[0])
    g = int(groups[head])
    if residual == residual and g >= 0:
        lower, upper = pending[head, 0], pending[head, 1]
        counts[1] += 1.0
        for c in range(C):
            if lower[c] <= sample <= upper[c]:
                counts[2 + c] += 1.0
        learn(sample, lower, upper, centres[g], widths[g], moves)
    groups[head] = -1.0
    if np.isfinite(forecast):
        g = group_of(log_level(windows[i], window, newest, level), edges)
        groups[head] = g
        for c in range(C):
            low = forecast + centres[g, c] - widths[g, c] / 2.0
            high = forecast + centres[g, c] + widths[g, c] / 2.0
            pending[head, 0, c], pending[head, 1, c] = low, high
            out[2 * c], out[2 * c + 1] = low, high
    else:
        out[:] = np.nan
    counts[0] = (head + 1) % h


@compiled
def push_intervals(samples: Array, forecasts: Array, residuals: Array, rows: Array, memory: Array, out: Array) -> None:
    """The same for T samples of one channel with rows (T, d); out (T, 2 C)."""
    for t in range(len(samples)):
        push_interval(samples[t], forecasts[t], residuals[t], rows, t, memory)
        out[t] = memory[len(memory) - out.shape[1] :]


class StreamIntervals:
    """Intervals of several coverages for every channel of a stream; nothing in it grows.

    gamma : step of the adaptation, 0 for none.

    Raises ModelError where the model keeps no calibration, InputError for a coverage or gamma out of range.
    """

    def __init__(self, model: Forecaster, channels: int, coverages: Sequence[float], gamma: float = GAMMA) -> None:
        known = model.calibrated()
        self.coverages, self.gamma = check_coverages(coverages), float(gamma)
        moves = steps(self.coverages, gamma)
        centres, widths = start(known, self.coverages)
        (G, C), h = centres.shape, model.horizon
        fixed = np.concatenate([[model.window, G, C, h, gamma], moves.miss, moves.hit, known.edges, known.level])
        state = [np.zeros(2 + C), centres.ravel(), widths.ravel(), np.full(2 * h * C, np.nan), np.full(h, -1.0)]
        self._memory = np.tile(np.concatenate([fixed, *state, np.full(2 * C, np.nan)]), (channels, 1))
        self._state = self._memory[:, len(fixed) :]
        self._limits = G, C, h
        self.first, self._ends = self._memory[0], self._memory[0, -2 * C :].reshape(C, 2)

    @property
    def ends(self) -> Array:
        """Ends (C, 2) in mV of the last forecast of the first channel, lower and upper."""
        return self._ends.copy()

    @property
    def held(self) -> Array:
        """Share of the samples so far that lay inside, (c, C); NaN before the first."""
        due, held = self._state[:, 1:2], self._state[:, 2 : 2 + len(self.coverages)]
        return np.where(due > 0, held / np.maximum(due, 1), np.nan)

    def push_chunk(self, samples: Array, forecasts: Array, residuals: Array, rows: Array) -> Array:
        """Take samples, forecasts and residuals (c, T) with their windows (c T, d); return ends (c, T, C, 2)."""
        c, T = samples.shape
        out = np.empty((c, T, 2 * len(self.coverages)))
        for k in range(c):
            push_intervals(samples[k], forecasts[k], residuals[k], rows[k * T : (k + 1) * T], self._memory[k], out[k])
        return out.reshape(c, T, len(self.coverages), 2)

    def warm_up(self, windows: Array, rows: Array) -> None:
        """Run both passes once on a memory that is thrown away; windows and rows : as those of a stream."""
        memory, zeros = self.first.copy(), np.zeros(1)
        push_interval(0.0, 0.0, 0.0, windows, 0, memory)
        push_intervals(zeros, zeros, zeros, rows, memory, np.empty((1, self._ends.size)))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the state by name, for a checkpoint."""
        return {"intervals": np.ascontiguousarray(self._state)}

    def restore(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Take up the state of a checkpoint; KeyError or ValueError where it does not fit."""
        found, (G, C, h) = tensors["intervals"], self._limits
        if found.shape != self._state.shape or found.dtype != np.float64:
            raise ValueError(f"intervals has shape {found.shape}")
        first = 2 + C + 2 * G * C + 2 * h * C
        places, groups = found[:, 0], found[:, first : first + h]
        inside = (places >= 0) & (places < h) & (groups >= -1).all(axis=1) & (groups < G).all(axis=1)
        if not inside.all():
            raise ValueError("intervals: places out of range")
        self._state[:] = found
