"""A network with what it needs to forecast a recording in mV."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgcvx.errors import InputError, ModelError
from ecgcvx.models import Model
from ecgcvx.records import Recording
from ecgcvx.training_range import Bools, Outside, TrainingRange, check_policy
from ecgcvx.types import Array
from ecgcvx.windows import Scaler, Split, Windows, all_windows, split_windows

if TYPE_CHECKING:
    from ecgcvx.streaming import StreamPredictor


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A network, its scaler (mV), and the recording it was made for.

    lead and sampling_frequency (Hz) name the signal that it takes; window and horizon are in samples; beta is the
    weight of the penalty that it was trained with, of a stack that of its last stage. kind : name of the network in
    `ecgcvx.kinds.registry`; that of its activation unless it is given. unit, resample : what `read_recording` was
    given for the record of the fit, the default for others: unit of values that name none, Hz to resample to.
    training_range : what its training windows cover; None in models of before there was one.
    """

    network: Model
    scaler: Scaler
    lead: str
    sampling_frequency: float
    window: int
    horizon: int
    beta: float
    kind: str = ""
    unit: str | None = None
    resample: float | None = None
    training_range: TrainingRange | None = None

    def __post_init__(self) -> None:
        if not self.kind:
            object.__setattr__(self, "kind", self.network.activation)

    def predict(self, recording: Recording, outside: Outside = "flag") -> Array:
        """Return the forecast of every sample (samples,) in mV, made `horizon` samples before it; NaN where none is.

        outside : what becomes of forecasts from windows outside the training range (`outside` tells which): 'flag'
        leaves them as they are, 'linear' puts the linear forecast in their place, 'nan' none.

        Raises ModelError when the recording has another sampling frequency, InputError when it holds no whole window or
        the model keeps no training range that `outside` could go by.
        """
        return self.predict_and_flag(recording, outside)[0]

    def predict_and_flag(self, recording: Recording, outside: Outside = "flag") -> tuple[Array, Bools]:
        """Return the forecasts of `predict`, and which of them (samples,) are from windows outside the training range.

        Without a training range none is.
        """
        policy = self.policy(outside)
        if not np.isclose(recording.sampling_frequency, self.sampling_frequency, rtol=1e-6):
            raise ModelError(
                f"{recording.name}: sampled at {recording.sampling_frequency:g} Hz, but the model was trained at "
                f"{self.sampling_frequency:g} Hz; resample the record or train on it"
            )
        windows = all_windows(recording.signal, self.scaler, self.window, self.horizon)
        f, beyond = self.network.predict(windows.X), self.beyond(windows)
        if self.training_range is not None:
            f = self.training_range.replaced(f, windows.X, beyond, policy)
        out, flags = np.full(len(recording.signal), np.nan), np.zeros(len(recording.signal), dtype=np.bool_)
        out[windows.targets], flags[windows.targets] = self.scaler.restore(f), beyond
        return out, flags

    def beyond(self, windows: Windows) -> Bools:
        """Return which windows (n,), standardised by its scaler, lie outside the training range; none without one."""
        if self.training_range is None:
            return np.zeros(len(windows), dtype=np.bool_)
        return self.training_range.outside(windows.X)

    def policy(self, outside: str) -> Outside:
        """Return what to do with forecasts outside the training range, checked.

        Raises InputError for another word than 'flag', 'linear' or 'nan', and where the model keeps no range.
        """
        found = check_policy(outside)
        if found != "flag" and self.training_range is None:
            raise InputError(f"outside = {outside!r}: this model keeps no training range; fit again, or leave it out")
        return found

    def trained_on(self, recording: Recording, split: Split) -> bool:
        """Whether the training part of a split of a recording is the one that the scaler belongs to."""
        same = np.allclose([split.scaler.mean, split.scaler.scale], [self.scaler.mean, self.scaler.scale], rtol=1e-9)
        return same and recording.sampling_frequency == self.sampling_frequency

    def training_windows(self, recording: Recording, train_fraction: float) -> Windows:
        """Return the windows that it was trained on.

        Raises ModelError when the training part of the recording is not the one that the scaler belongs to.
        """
        split = split_windows(recording.signal, self.window, self.horizon, train_fraction)
        if not self.trained_on(recording, split):
            raise ModelError(
                f"{recording.name}: its training part is not what the model was trained on; give the record, lead, "
                "start, end and train fraction of the fit"
            )
        return split.train

    def _repr_html_(self) -> str:
        from ecgcvx.notebook import facts

        lead = f", trained on lead {self.lead}" if self.lead else ""
        return facts(
            f"Forecaster: {self.kind} network, {self.network.neurons:,} neurons",
            [
                ("window", f"{self.window} samples at {self.sampling_frequency:g} Hz{lead}"),
                ("forecast", f"{self.horizon} sample{'s' if self.horizon > 1 else ''} ahead, in mV"),
                ("beta", f"{self.beta:.3g}"),
            ],
        )

    def save(self, path: str | Path) -> None:
        """Write a model file; a file that is there already is replaced whole or not at all."""
        from ecgcvx.model_file import save

        save(self, Path(path))

    def stream(self, channels: int = 1, rate: float = 1e-4, outside: Outside = "flag") -> "StreamPredictor":
        """Return a stream of forecasts; see `StreamPredictor`."""
        from ecgcvx.streaming import StreamPredictor

        return StreamPredictor(self, channels, rate, outside)
