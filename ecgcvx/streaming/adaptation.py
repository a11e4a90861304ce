"""Adaptation of a stream, where it is asked for: the sizes of the neurons, their directions and patterns fixed.

With unit directions and signs, f(x) = sum_j c_j phi_j(x), phi_j = s_j (x'u_j)_+ (gated, polynomial: alike), the sizes
c >= 0 that are best for the past, a sample of age t weighted lambda^t, solve the convex program

    min over c >= 0 of  P(c) = 1/(2N) sum_t lambda^t (f(x_t) - y_t)^2 + beta sum_j c_j,    N = sum_t lambda^t

(of a network with a linear part, y_t less of what that forecasts: it stays as it was trained)
that depends on the past only through Q = sum lambda^t phi phi' / N, b = sum lambda^t y phi / N, sum lambda^t y^2 / N
and N, whatever its length. It is P of all networks with these directions; sizes are used only with a duality gap
below GAP in it. Directions that the network lacks are not found: that is what training is for.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.models import TwoLayerNetwork
from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem, nonnegative_quadratic
from ecgcvx.streaming.predictor import Step, StreamPredictor
from ecgcvx.types import Array
from ecgcvx.windows import all_windows, window_runs

GAP = 1e-6
TINY = float(np.finfo(np.float64).tiny)
SAMPLES_A_NEURON = 8  # remembered at least before a solve


@dataclass(frozen=True, eq=False)
class Adapted:
    """Sizes solved for anew.

    network : with them. before, after : P of the sizes in use until then and of these. gap : relative duality gap of
    these, among networks with these directions. samples : N, how many are remembered. drift : root mean square over
    them of the change of the forecast since training, in mV.
    """

    network: TwoLayerNetwork
    before: float
    after: float
    gap: float
    samples: float
    drift: float

    @property
    def certified(self) -> bool:
        """Whether the gap is small enough for the network to be used."""
        return self.gap <= GAP


class SizeStatistics:
    """What is remembered of a signal to size the neurons of a model: Q, b, y'y and N, all forgotten alike.

    memory : seconds after which a sample weighs 1/e.

    Raises InputError for a memory that is not positive and a model trained without a penalty, ModelError for a stack.
    """

    def __init__(self, model: Forecaster, memory: float) -> None:
        if not (np.isfinite(memory) and memory > 0):
            raise InputError(f"memory = {memory}: give a positive number of seconds")
        if not model.beta > 0:
            raise InputError(f"beta = {model.beta}: adaptation needs a model that was trained with a penalty")
        network = model.network
        if not isinstance(network, TwoLayerNetwork):
            raise ModelError("model: it is a stack of networks; adaptation takes a single two-layer network")
        self.model, self._network = model, network
        norms = network.directions
        self._units = np.sign(network.W2) / np.where(norms > 0, norms, 1.0)
        self._trained = np.abs(network.W2) * norms
        self._sizes = self._trained
        self._forget = float(np.exp(-1.0 / (memory * model.sampling_frequency)))
        m = network.neurons
        self._Q, self._b, self._yy, self._n = np.zeros((m, m)), np.zeros(m), 0.0, 0.0
        self._tail: Array = np.empty((len(model.leads), 0) if model.joined else 0)

    def absorb(self, samples: Array) -> None:
        """Take in samples (T,) in mV that follow those before, of joined leads (leads, T).

        NaN where one is missing or does not follow.
        """
        model = self.model
        signal = np.concatenate([self._tail, samples], axis=-1)
        length = signal.shape[-1]
        self._tail = signal[..., length - min(length, model.window + model.horizon - 1) :].copy()
        left = self._forget ** samples.shape[-1]
        self._Q *= left
        self._b *= left
        self._yy, self._n = self._yy * left, self._n * left
        valid = np.isfinite(np.atleast_2d(signal)).all(axis=0)
        if not window_runs(valid, model.window, model.horizon, 0, length):
            return
        windows = all_windows(signal, model.scaler, model.window, model.horizon)
        weights = self._forget ** (length - 1.0 - windows.targets)
        features = self._network.activations(windows.X[:]) * self._units
        weighted = weights[:, None] * features
        self._Q += features.T @ weighted
        y = windows.y if self._network.linear is None else windows.y - windows.X[:] @ self._network.linear
        self._b += weighted.T @ y
        self._yy += float(weights @ y**2)
        self._n += float(weights.sum())

    def solve(self) -> Adapted | None:
        """Return the best sizes, from a warm start at the last ones; None while too little is remembered for them."""
        network, beta = self._network, self.model.beta
        if self._n < SAMPLES_A_NEURON * network.neurons:
            return None
        system = AmplitudeSystem(self._Q / self._n, self._b / self._n)
        try:
            sizes = nonnegative_quadratic(system, beta, self._sizes)
        except np.linalg.LinAlgError:
            return None
        before, after = self._objective(system, self._sizes), self._objective(system, sizes)
        bound, change = self._bound(system, sizes), sizes - self._trained
        adapted = Adapted(
            network.with_output_weights(self._units * sizes),
            before, after, max(after - bound, 0.0) / after, self._n,
            self.model.scaler.scale * max(float(change @ system.Q @ change), 0.0) ** 0.5,
        )  # fmt: skip
        if adapted.certified:
            self._sizes = sizes
        return adapted

    def _objective(self, system: AmplitudeSystem, c: Array) -> float:
        return float(self._yy / self._n / 2 - system.b @ c + c @ system.Q @ c / 2 + self.model.beta * c.sum())

    def _bound(self, system: AmplitudeSystem, c: Array) -> float:
        """D(s r) = s r'y - s^2 r'r / 2 at the best s with s phi_j'r <= beta for all j, r = y - f, per sample."""
        prices: Array = system.b - system.Q @ c
        ry = self._yy / self._n - float(system.b @ c)
        rr = max(ry - float(c @ prices), TINY)
        s = min(ry / rr, self.model.beta / max(float(prices.max()), TINY))
        return s * ry - s * s * rr / 2


class AdaptiveStream:
    """A stream of one channel whose network is sized anew every so many seconds, in a thread beside it.

    memory : see `SizeStatistics`. every : seconds of signal between solves. report : called in that thread with every
    result, used or not: the log of the drift.

    The stream never waits. It keeps the samples of one interval, hands them over, and uses the network in use until a
    certified one lies ready. When the thread is not done by the end of the next interval, that interval is left out of
    the statistics and counted in `skipped`. From which sample on a network is used depends on the
    clock; `SizeStatistics` does not.

    Raises InputError when the stream has several channels or an interval is not positive.
    """

    def __init__(
        self,
        stream: StreamPredictor,
        memory: float,
        every: float = 10.0,
        report: Callable[[Adapted], object] | None = None,
    ) -> None:
        if stream.channels != 1:
            raise InputError(f"stream: it has {stream.channels} channels; adaptation follows one")
        if not (np.isfinite(every) and every > 0):
            raise InputError(f"every = {every}: give a positive number of seconds")
        self.stream, self.skipped = stream, 0
        self._statistics = SizeStatistics(stream.model, memory)
        self._report = report
        self._interval: list[Any] = [0.0] * max(round(every * stream.model.sampling_frequency), 1)
        self._gap = [np.nan] * len(stream.model.leads) if stream.model.joined else np.nan
        self._filled = 0
        self._ready: TwoLayerNetwork | None = None
        self._handed: queue.Queue[Array | None] = queue.Queue(maxsize=1)
        self._follows = True
        self._thread = threading.Thread(target=self._work, name="ecgcvx-adaptation", daemon=True)
        self._thread.start()

    def push(self, sample: float | Sequence[float] | Array, position: float | None = None) -> Step:
        """As `StreamPredictor.push`; a network that lies ready is used from this sample on."""
        if self._ready is not None:
            ready, self._ready = self._ready, None
            self.stream.replace(ready)
        step = self.stream.push(sample, position)
        if step.emptied == "jump" and self._filled:
            self._interval[self._filled - 1] = self._gap
        elif step.emptied == "jump":
            self._follows = False
        self._interval[self._filled] = sample
        self._filled += 1
        if self._filled == len(self._interval):
            self._hand_over()
        return step

    def close(self) -> None:
        """Let the thread finish what it has, and end it."""
        self._handed.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        samples = np.array(self._interval).T  # (T,), of joined leads (leads, T)
        samples[~np.isfinite(samples)] = np.nan
        if not self._follows:
            samples[..., 0] = np.nan
        self._filled, self._follows = 0, True
        try:
            self._handed.put_nowait(samples)
        except queue.Full:
            self.skipped += 1
            self._follows = False

    def _work(self) -> None:
        while (samples := self._handed.get()) is not None:
            self._statistics.absorb(samples)
            adapted = self._statistics.solve()
            if adapted is None:
                continue
            if adapted.certified:
                self._ready = adapted.network
            if self._report is not None:
                self._report(adapted)
