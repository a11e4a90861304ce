"""Prediction intervals of a stream: they follow the signal, see `ecgcvx.intervals`.

What a compiled call costs is the number of its arrays: there are two, one that all channels share and one a channel.

fixed   samples in a row, G, C, h, gamma; steps of a miss (C,) and of a hit (C,); the tree (nodes, 10): `flat`, middle
        and spread in mV, group
state   place of the next forecast, how many fell due, how many of each coverage held (C,); centres and widths (G, C);
        lower and upper ends (h, 2, C) and groups (h,) of forecasts to come; ends of the last forecast (C, 2)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import GAMMA, check_coverages, end_points, learned, start, steps
from ecgcvx.residual_tree import MIDDLE, NEWEST, SPREAD, flat, leaf_of
from ecgcvx.rowwise import compiled
from ecgcvx.types import Array

HEAD, COLUMNS = 5, 10  # numbers before the steps, and of a node


@compiled
def push_interval(sample: float, forecast: float, residual: float, x: Array, fixed: Array, state: Array) -> None:
    """Learn from a sample (mV) whose intervals fell due, and make those of a new forecast (mV).

    residual : NaN where no forecast was due. fixed, state : see the module; the state changes.
    x : the row of the forecast, standardised.
    """
    # Places in the vectors, since each view of a part would cost as much as what is done with it.
    inputs, G, C, h = int(fixed[0]), int(fixed[1]), int(fixed[2]), int(fixed[3])
    head, centres = int(state[0]), 2 + C
    widths = centres + G * C
    lower = widths + G * C + 2 * C * head
    upper, group = lower + C, widths + G * C + 2 * C * h + head
    out = len(state) - 2 * C
    g = int(state[group])
    if residual == residual and g >= 0:
        state[1] += 1.0
        for c in range(C):
            low, high, at = state[lower + c], state[upper + c], g * C + c
            if low <= sample <= high:
                state[2 + c] += 1.0
            state[centres + at], state[widths + at] = learned(
                sample, low, high, state[centres + at], state[widths + at], fixed[HEAD + c], fixed[HEAD + C + c],
                fixed[4],
            )  # fmt: skip
    state[group] = -1.0
    if np.isfinite(forecast):
        nodes = fixed[HEAD + 2 * C :].reshape((-1, COLUMNS))
        leaf = leaf_of(x, inputs, nodes)
        middle, spread, g = forecast + nodes[leaf, 7], nodes[leaf, 8], int(nodes[leaf, 9])
        state[group] = g
        for c in range(C):
            low, high = end_points(middle, spread, state[centres + g * C + c], state[widths + g * C + c])
            state[lower + c], state[upper + c] = low, high
            state[out + 2 * c], state[out + 2 * c + 1] = low, high
    else:
        for c in range(2 * C):
            state[out + c] = np.nan
    state[0] = (head + 1) % h


@compiled
def push_intervals(
    samples: Array, forecasts: Array, residuals: Array, rows: Array, fixed: Array, state: Array, out: Array
) -> None:
    """The same for T samples of one channel with rows (T, d); out (T, 2 C)."""
    for t in range(len(samples)):
        push_interval(samples[t], forecasts[t], residuals[t], rows[t], fixed, state)
        out[t] = state[len(state) - out.shape[1] :]


class StreamIntervals:
    """Intervals of several coverages for every channel of a stream; nothing in it grows.

    gamma : step of the adaptation, 0 for none. fixed, first : the fixed numbers, and the state of the first channel.
    ends : (C, 2) in mV of the last forecast of the first channel, lower and upper, which the next one overwrites.

    Raises ModelError where the model keeps no calibration, InputError for a coverage or gamma out of range.
    """

    def __init__(self, model: Forecaster, channels: int, coverages: Sequence[float], gamma: float = GAMMA) -> None:
        known = model.calibrated()
        self.coverages, self.gamma = check_coverages(coverages), float(gamma)
        moves = steps(self.coverages, gamma)
        centres, widths = start(known, self.coverages)
        (G, C), h, tree = centres.shape, model.horizon, known.tree
        inputs = model.network.inputs - 1
        nodes = np.c_[flat(tree, min(inputs, NEWEST)), tree[:, [MIDDLE, SPREAD]], known.node_groups]
        fixed: Array = np.concatenate([[inputs, G, C, h, gamma], moves.miss, moves.hit, nodes.ravel()])
        state = [np.zeros(2 + C), centres.ravel(), widths.ravel(), np.full(2 * h * C, np.nan), np.full(h, -1.0)]
        self._state = np.tile(np.concatenate([*state, np.full(2 * C, np.nan)]), (channels, 1))
        self.fixed, self.first, self._limits = fixed, self._state[0], (G, C, h)
        self.ends = self._state[0, -2 * C :].reshape(C, 2)

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
            own = rows[k * T : (k + 1) * T]
            push_intervals(samples[k], forecasts[k], residuals[k], own, self.fixed, self._state[k], out[k])
        return out.reshape(c, T, len(self.coverages), 2)

    def warm_up(self, rows: Array) -> None:
        """Run the pass over chunks once on a state that is thrown away; rows : as those of a chunk."""
        zeros = np.zeros(1)
        push_intervals(zeros, zeros, zeros, rows, self.fixed, self.first.copy(), np.empty((1, self.ends.size)))

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
