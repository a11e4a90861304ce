"""Sample in, forecast out: a `Forecaster` fed sample by sample or in chunks, in constant memory, for any time.

After sample t the stream holds f(x_t), the forecast of sample t + horizon, and the residual s_t - f(x_{t-horizon}) of
the forecast that was due. Both are, bit for bit, those of `Forecaster.predict` on the whole recording, however the
samples were cut into chunks: a window that a gap or a jump touches forecasts nothing.

The score of a residual is |residual| over a running median of |residual|; it is an alarm above a running threshold that
the share `rate` of all scores exceeds in the long run, whatever the signal: where most of it is normal, so is at most
about that share of false alarms. Score and threshold know only the past.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ecgcvx.checkpoint import read_checkpoint, save_checkpoint
from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import GAMMA
from ecgcvx.model_file import digest
from ecgcvx.models import Model, TwoLayerNetwork
from ecgcvx.rowwise import padded
from ecgcvx.streaming.engine import engine_of
from ecgcvx.streaming.intervals import StreamIntervals
from ecgcvx.streaming.kernels import Rules, State, settle_chunk, slide_chunk
from ecgcvx.training_range import Outside
from ecgcvx.types import Array

Bools = NDArray[np.bool_]
SETTLE_SECONDS = 1.0  # of residuals before the first score
SCALE_SECONDS = 10.0  # in which a scale that is too large falls by 1/e
TAIL_SECONDS = 600.0  # the same of the threshold
JUMP = 0.5  # samples between where a sample is and where it should be
CLOCK_GAIN = 0.01  # a source whose rate is off by more than JUMP times this, .5 %, does not keep up with the clock
STATE_FORMAT, STATE_NAME = 2, "ecgcvx-stream"
NO_INTERVALS: Array = np.empty((0, 2))


class Step(NamedTuple):
    """What one sample brought.

    number : of the sample in the stream, from 0. prediction : in mV, of sample number + horizon, NaN without a whole
    window. residual : in mV, the sample minus the forecast that was due; NaN where none was. score : see the module.
    alarm : whether the score is above the threshold. patterns : (m,) the active neurons. emptied : why the window was
    emptied, 'missing' or 'jump', else ''. outside : whether the window of the prediction lies outside the training
    range, see `ecgcvx.training_range`. intervals : (C, 2) ends in mV of the intervals round the prediction, of every
    coverage that the stream was asked for.
    """

    number: int
    prediction: float
    residual: float
    score: float
    alarm: bool
    patterns: Bools
    emptied: str
    outside: bool
    intervals: Array


class Steps(NamedTuple):
    """What a chunk of T samples brought, by channel: arrays (c, T), or (T,) for a chunk of one dimension; see `Step`.

    first : number of the first sample. patterns : (.., T, m) if they were asked for. missing : where a sample was.
    jump : whether the chunk did not follow the one before it. outside : which predictions are from windows outside.
    intervals : (.., T, C, 2).
    """

    first: int
    predictions: Array
    residuals: Array
    scores: Array
    alarms: Bools
    patterns: Bools | None
    missing: Bools
    jump: bool
    outside: Bools
    intervals: Array


class StreamPredictor:
    """A forecaster of one signal or of many channels at once, all in mV at its sampling frequency.

    channels : how many; each has its own window, scale and threshold. rate : of alarms, the share of scores. outside :
    what becomes of a prediction from a window outside the training range, 'flag', 'linear' or 'nan', as in
    `Forecaster.predict`. coverages : of prediction intervals that follow the signal by the step gamma; none by default
    (`ecgcvx.intervals`).

    Making one compiles its passes, or reads them from the cache, so that the first sample is as fast as the last.

    A network without compiled passes, e.g. a stack, is evaluated in batches: to the same bits, some ten times slower
    for single samples. The patterns of a stack are those of its lowest stages.

    Of joined leads the samples of all are taken together, in the order of `Forecaster.leads`; where one is missing, all
    are. Residual, score and alarm are of the lead that is forecast.

    Raises InputError for channels below 1, a rate or coverage outside (0, 1), or another word for `outside`; ModelError
    for coverages of a model that keeps no calibration.
    """

    def __init__(
        self,
        model: Forecaster,
        channels: int = 1,
        rate: float = 1e-4,
        outside: Outside = "flag",
        *,
        coverages: Sequence[float] = (),
        gamma: float = GAMMA,
    ) -> None:
        if channels < 1:
            raise InputError(f"channels = {channels}: give at least 1")
        if not 0.0 < rate < 1.0:
            raise InputError(f"rate = {rate}: give a share of alarms between 0 and 1, e.g. 1e-4")
        frequency = model.sampling_frequency
        self.model, self.channels, self.rate, self.outside = model, channels, rate, model.policy(outside)
        self.intervals = StreamIntervals(model, channels, coverages, gamma) if len(coverages) else None
        # What a single sample needs of them, without detours.
        known = self.intervals
        self._fixed = None if known is None else known.fixed
        self._follows = None if known is None else known.first
        self._ends = NO_INTERVALS if known is None else known.ends
        self.samples = 0
        self._next: float | None = None
        self._rules = Rules(
            model.scaler.mean, model.scaler.scale, model.window, len(model.leads),
            max(round(SETTLE_SECONDS * frequency), 1),
            1.0 / (0.5 * SCALE_SECONDS * frequency), 1.0 / (rate * TAIL_SECONDS * frequency), rate,
        )  # fmt: skip
        self.replace(model.network)
        self._warm_up()
        self._state = self._new_state()

    @property
    def network(self) -> Model:
        """The network in use."""
        return self._network

    @property
    def threshold(self) -> Array:
        """The score (c,) above which each channel alarms now."""
        return self._state.levels[:, 1].copy()

    def replace(self, network: Model) -> None:
        """Forecast by another network with the same inputs from the next sample on; forecasts already made stand.

        Raises InputError when it takes other inputs.
        """
        inputs = len(self.model.leads) * self.model.window + 1
        if network.inputs != inputs:
            raise InputError(f"network: it takes {network.inputs} inputs, the stream has {inputs}")
        self._network, self._engine = network, engine_of(network, self.model.training_range, self.outside)
        self._on = np.empty(network.switches, dtype=np.bool_)

    def push(self, sample: float | Sequence[float] | Array, position: float | None = None) -> Step:
        """Take one sample in mV of a stream of one channel, of joined leads one of every lead (leads,).

        NaN or infinity is a gap.

        position : of the sample, in samples from any origin, where the source numbers or times them (time x sampling
        frequency). A sample that is not where a running clock expects it, within half a sample, empties the window:
        samples are missing, came twice or late, or have another sampling frequency than the model.

        Raises InputError when the stream has several channels, or other leads than there are samples.
        """
        if self.channels != 1:
            raise InputError(f"sample: the stream has {self.channels} channels; give a chunk ({self.channels}, T)")
        own, others = self._one(sample) if self.model.joined else (cast("float", sample), None)
        jump = self._jump(position, 1)
        prediction, residual, score, alarm, outside = self._engine.push(
            own, others, self._state, self._rules, self._on, self._fixed, self._follows
        )
        self.samples += 1
        emptied = "missing" if self._state.runs[0] == 0 else "jump" if jump else ""
        ends = self._ends.copy()
        return Step(self.samples - 1, prediction, residual, score, alarm, self._on.copy(), emptied, outside, ends)

    def push_chunk(self, samples: Array, position: float | None = None, patterns: bool = False) -> Steps:
        """Take T consecutive samples of every channel, (c, T), or (T,) for one; as pushing them one by one.

        Of joined leads (c, leads, T), or (leads, T) for one channel, as in `Recording.signals`.

        position : of the first sample, as in `push`. patterns : whether to return the active ones.

        Raises InputError for another shape.
        """
        chunk, others, shape = self._chunk(samples)
        c, T = chunk.shape
        jump = self._jump(position, T) if T else False
        out, alarms = np.empty((3, c, T)), np.zeros((c, T), dtype=np.bool_)
        on, outside = np.empty((c * T if patterns else 0, len(self._on)), dtype=np.bool_), np.zeros(c * T, np.bool_)
        rows, ends = np.empty((0, 0)), np.empty((c, T, 0, 2))
        if self.intervals is not None:
            rows = np.empty((c * T, self._network.inputs))
            slide_chunk(chunk, others, self._state._replace(windows=self._state.windows.copy()), self._rules, rows)
        if T:
            self._engine.forecast(chunk, others, self._state, self._rules, out, on, outside)
            settle_chunk(chunk, self._state, self._rules, out, alarms, on, outside)
        if self.intervals is not None:
            ends = self.intervals.push_chunk(chunk, out[0], out[1], rows)
        self.samples += T
        return Steps(
            first=self.samples - T,
            predictions=out[0].reshape(shape),
            residuals=out[1].reshape(shape),
            scores=out[2].reshape(shape),
            alarms=alarms.reshape(shape),
            patterns=on.reshape(*shape, len(self._on)) if patterns else None,
            missing=~np.isfinite(chunk).reshape(shape),
            jump=jump,
            outside=outside.reshape(shape),
            intervals=ends.reshape(*shape, *ends.shape[2:]),
        )

    def empty(self) -> None:
        """Empty the windows of all channels: what comes next does not follow what came before."""
        self._state.runs[:] = 0

    def save(self, path: Path) -> None:
        """Write a checkpoint, from which `resume` goes on to the same bits; the file is replaced whole or not."""
        head = {
            "format": STATE_FORMAT, "model": digest(self.model), "samples": self.samples, "next": self._next,
            "channels": self.channels, "rate": self.rate,
        }  # fmt: skip
        tensors = dict(self._state._asdict())
        if self.intervals is not None:
            head |= {"coverages": self.intervals.coverages, "gamma": self.intervals.gamma}
            tensors |= self.intervals.tensors()
        if isinstance(self._network, TwoLayerNetwork):
            tensors["W2"] = self._network.W2
        save_checkpoint(path, STATE_NAME, head, tensors)

    @classmethod
    def resume(cls, model: Forecaster, path: Path, outside: Outside = "flag") -> "StreamPredictor":
        """Return the stream that a checkpoint of this model holds, with the output weights that it had adapted to.

        Raises ModelError when the file is missing, damaged, of another model or of another version.
        """
        try:
            metadata, tensors = read_checkpoint(path, STATE_NAME)
            if metadata["format"] != STATE_FORMAT:
                raise ModelError(f"{path}: checkpoint format {metadata['format']}, this version reads {STATE_FORMAT}")
            if metadata["model"] != digest(model):
                raise ModelError(f"{path}: a checkpoint of another model; give the one it was made with")
            followed = {name: metadata[name] for name in ("coverages", "gamma") if name in metadata}
            stream = cls(model, int(metadata["channels"]), float(metadata["rate"]), outside, **followed)
            if stream.intervals is not None:
                stream.intervals.restore(tensors)
            for name, array in stream._state._asdict().items():
                if tensors[name].shape != array.shape or tensors[name].dtype != array.dtype:
                    raise ValueError(f"{name} has shape {tensors[name].shape}")
                array[:] = tensors[name]
            stream.samples = int(metadata["samples"])
            stream._next = None if metadata["next"] is None else float(metadata["next"])
            if isinstance(model.network, TwoLayerNetwork):
                stream.replace(model.network.with_output_weights(tensors["W2"]))
        except FileNotFoundError:
            raise ModelError(f"{path}: no such checkpoint; start without one") from None
        except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
            raise ModelError(
                f"{path}: not a readable checkpoint ({type(error).__name__}: {error}); start without one"
            ) from None
        return stream

    def _one(self, sample: float | Sequence[float] | Array) -> tuple[float, Array]:
        """The sample of the lead that is forecast, NaN where one is missing, and those of the others, standardised."""
        joined, every = self.model.scaler.joined, np.asarray(sample, dtype=np.float64)
        if every.shape != (len(joined) + 1,):
            raise InputError(f"sample: give {len(joined) + 1}, one of each of the leads {', '.join(self.model.leads)}")
        *others, own = every.tolist()
        z = [(other - one.mean) / one.scale for other, one in zip(others, joined, strict=True)]
        return (own if all(map(math.isfinite, z)) else math.nan), np.array(z)

    def _chunk(self, samples: Array) -> tuple[Array, Array, tuple[int, ...]]:
        """The same of a chunk, (c, T) and (c, leads - 1, T), and the shape of what is told of it."""
        joined, found = self.model.scaler.joined, np.ascontiguousarray(samples, dtype=np.float64)
        rows = found if joined else found[..., None, :]
        shape = (*rows.shape[:-2], rows.shape[-1])
        if rows.ndim == 2:
            rows = rows[None]
        if rows.ndim != 3 or rows.shape[:2] != (self.channels, len(joined) + 1):
            wanted = f"({self.channels}, T), a row a channel"
            if joined:
                wanted = (
                    f"({self.channels}, {len(joined) + 1}, T), in a channel the leads {', '.join(self.model.leads)}"
                )
            raise InputError(f"samples have shape {found.shape}; give {wanted}")
        if not joined:
            return rows[:, 0], np.empty((self.channels, 0, shape[-1])), shape
        others = np.stack([one.standardise(rows[:, k]) for k, one in enumerate(joined)], axis=1)
        return np.where(np.isfinite(rows).all(axis=1), rows[:, -1], np.nan), others, shape

    def _jump(self, position: float | None, count: int) -> bool:
        """Compare a position with the one expected, and empty the windows where it differs."""
        expected = self._next
        if position is None:
            self._next = None if expected is None else expected + count
            return False
        if not np.isfinite(position):
            raise InputError(f"position = {position}: give a finite number of samples, or none")
        if expected is None:
            self._next = position + count
            return False
        off = position - expected
        jump = abs(off) > JUMP
        # The clock follows the source slowly: jitter and drift pass, another sampling frequency does not.
        self._next = (position if jump else expected + CLOCK_GAIN * off) + count
        if jump:
            self.empty()
        return jump

    def _new_state(self) -> State:
        c, m = self.channels, self.model
        windows = np.zeros((c, padded(m.network.inputs)))
        windows[:, m.network.inputs - 1] = 1.0
        return State(
            windows, np.full((c, m.horizon), np.nan), np.zeros(c, np.int64), np.zeros(c, np.int64), np.zeros((c, 2)),
            np.zeros(c, np.int64),
        )  # fmt: skip

    def _warm_up(self) -> None:
        """Run every pass once on a state that is thrown away."""
        out, alarms = np.empty((3, self.channels, 1)), np.empty((self.channels, 1), dtype=np.bool_)
        on, outside = np.empty((0, len(self._on)), dtype=np.bool_), np.zeros(self.channels, np.bool_)
        self._state = self._new_state()
        zeros, joined = np.zeros((self.channels, 1)), len(self.model.joined)
        beside = np.zeros((self.channels, joined, 1))
        self._engine.forecast(zeros, beside, self._state, self._rules, out, on, outside)
        settle_chunk(zeros, self._state, self._rules, out, alarms, on, outside)
        if self.channels == 1:
            scratch = None if self._follows is None else self._follows.copy()
            others = np.zeros(joined) if joined else None
            self._engine.push(0.0, others, self._state, self._rules, self._on, self._fixed, scratch)
        if self.intervals is not None:
            rows = np.empty((self.channels, self._network.inputs))
            slide_chunk(zeros, beside, self._state, self._rules, rows)
            self.intervals.warm_up(rows)
