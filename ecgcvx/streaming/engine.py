"""How a stream evaluates its network: in the compiled passes, or in batches where the network has none."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgcvx.models import Model
from ecgcvx.rowwise import Layers
from ecgcvx.streaming.intervals import push_interval
from ecgcvx.streaming.kernels import Rules, State, forecast_chunk, push_sample, settle_chunk, slide_chunk
from ecgcvx.training_range import Border, Outside, TrainingRange, border
from ecgcvx.types import Array

Bools = NDArray[np.bool_]
Outcome = tuple[float, float, float, bool, bool]  # prediction and residual in mV, score, alarm, outside


class Engine(Protocol):
    """Evaluates one network on the windows of a stream."""

    def push(
        self,
        sample: float,
        others: Array | None,
        state: State,
        rules: Rules,
        on: Bools,
        fixed: Array | None,
        intervals: Array | None,
    ) -> Outcome:
        """Take one sample of one channel; on (m,) is where the active neurons are written.

        others : (leads - 1,) samples of joined leads, standardised, None without (`ecgcvx.streaming.kernels`). fixed,
        intervals : numbers and state of the intervals (`ecgcvx.streaming.intervals`), None without them.
        """
        ...

    def forecast(
        self, chunk: Array, others: Array, state: State, rules: Rules, out: Array, on: Bools, outside: Bools
    ) -> None:
        """Write the forecasts of a chunk (c, T) into out[0] (c, T), active neurons into on (c T, m) unless empty.

        others : (c, leads - 1, T). outside : (c T,) becomes which windows lie outside the training range.
        """
        ...


class CompiledEngine:
    """The compiled passes of a two-layer network."""

    def __init__(self, layers: Layers, border: Border) -> None:
        self._layers, self._columns, self._border = layers, layers.columns(), border
        self._work = np.empty((2, len(layers.W2)))

    def push(
        self,
        sample: float,
        others: Array | None,
        state: State,
        rules: Rules,
        on: Bools,
        fixed: Array | None,
        intervals: Array | None,
    ) -> Outcome:
        outcome: Outcome = push_sample(
            sample, others, state, rules, self._columns, self._border, self._work, on, fixed, intervals
        )
        return outcome

    def forecast(
        self, chunk: Array, others: Array, state: State, rules: Rules, out: Array, on: Bools, outside: Bools
    ) -> None:
        forecast_chunk(chunk, others, state, rules, self._layers, self._border, out, on, outside)


class BatchEngine:
    """Any network, on the windows of a chunk at once: the same bits, some ten times slower for single samples."""

    def __init__(self, network: Model, known: TrainingRange | None, policy: Outside) -> None:
        self._network, self._range, self._policy = network, known, policy

    def push(
        self,
        sample: float,
        others: Array | None,
        state: State,
        rules: Rules,
        on: Bools,
        fixed: Array | None,
        intervals: Array | None,
    ) -> Outcome:
        chunk, out, alarms = np.array([[sample]]), np.empty((3, 1, 1)), np.zeros((1, 1), dtype=np.bool_)
        outside = np.zeros(1, dtype=np.bool_)
        beside = np.empty((1, 0, 1)) if others is None else others[None, :, None]
        self.forecast(chunk, beside, state, rules, out, on[None], outside)
        settle_chunk(chunk, state, rules, out, alarms, on[None], outside)
        prediction, residual, score = (float(value) for value in out[:, 0, 0])
        if fixed is not None and intervals is not None:
            push_interval(sample, prediction, residual, state.windows[0], fixed, intervals)
        return prediction, residual, score, bool(alarms[0, 0]), bool(outside[0])

    def forecast(
        self, chunk: Array, others: Array, state: State, rules: Rules, out: Array, on: Bools, outside: Bools
    ) -> None:
        rows = np.empty((chunk.size, self._network.inputs))
        slide_chunk(chunk, others, state, rules, rows)
        known = np.isfinite(rows).all(axis=1)
        f = self._network.predict(rows[known])
        if self._range is not None:
            outside[known] = self._range.outside(rows[known])
            f = self._range.replaced(f, rows[known], outside[known], self._policy)
        # Scaled as the compiled passes do.
        out[0].reshape(-1)[known] = f * rules.scale + rules.mean
        if len(on):
            on[known] = self._network.active(rows[known])
            on[~known] = False


def engine_of(network: Model, known: TrainingRange | None, policy: Outside) -> Engine:
    """Return the engine that evaluates a network. known : its training range. policy : for what lies outside."""
    compiled = network.compiled
    if compiled is None:
        return BatchEngine(network, known, policy)
    return CompiledEngine(compiled, border(known, network.inputs, policy))
