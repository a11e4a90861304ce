"""A network with what it needs to forecast a recording in mV."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ecgcvx.errors import InputError, ModelError
from ecgcvx.intervals import GAMMA, Calibration, Interval, Local, follow, start, steps
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
    training_range : what its training windows cover; None in models of before there was one. calibration : what
    prediction intervals need, None where the fit made none. joined : names of the leads whose windows stand before
    that of `lead` in a row, in the order of `scaler.joined`. longest : of several horizons that were trained on the
    same windows (`ecgcvx.multi_horizon`), 0 for none.

    Raises InputError where names and scalers of joined leads are not as many.
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
    calibration: Calibration | None = None
    joined: tuple[str, ...] = ()
    longest: int = 0

    def __post_init__(self) -> None:
        if len(self.joined) != len(self.scaler.joined):
            raise InputError(f"joined: {len(self.joined)} names, {len(self.scaler.joined)} scalers; give one a lead")
        if not self.kind:
            object.__setattr__(self, "kind", self.network.activation)

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the leads of a row of windows, in its order: the joined ones, and last the one that is forecast."""
        return (*self.joined, self.lead)

    def predict(self, recording: Recording, outside: Outside = "flag") -> Array:
        """Return the forecast of every sample (samples,) in mV, made `horizon` samples before it; NaN where none is.

        outside : what becomes of forecasts from windows outside the training range (`outside` tells which): 'flag'
        leaves them as they are, 'linear' puts the linear forecast in their place, 'nan' none.

        Raises ModelError when the recording has another sampling frequency or lacks a joined lead, InputError when it
        holds no whole window or the model keeps no training range that `outside` could go by.
        """
        policy = self.policy(outside)
        return self.forecasts(recording).samples(policy)

    def predict_and_flag(self, recording: Recording, outside: Outside = "flag") -> tuple[Array, Bools]:
        """Return the forecasts of `predict`, and which of them (samples,) are from windows outside the training range.

        Without a training range none is.
        """
        policy = self.policy(outside)
        made = self.forecasts(recording)
        return made.samples(policy), made.flags

    def predict_interval(
        self, recording: Recording, coverage: float = 0.9, *, adapt: bool = False, gamma: float = GAMMA
    ) -> Interval:
        """Return the interval of every sample, lower and upper (samples,) in mV, made `horizon` samples before it.

        Of many samples the share `coverage` lies inside, as far as they are like the validation part of the fit; that
        is no statement on a single sample. adapt : let the intervals follow the signal by the step gamma, in the order
        of time, so that the share holds in the long run for any signal; each knows only what came before it.

        Raises ModelError where the fit made no calibration, and see `predict`; InputError for a coverage outside (0, 1)
        or beyond what the validation part supports.
        """
        self.calibrated()
        return self.forecasts(recording).interval(coverage, adapt=adapt, gamma=gamma)

    def forecasts(self, recording: Recording) -> "Forecasts":
        """Return the forecasts of a recording, computed once for several intervals or policies.

        Raises ModelError when the recording has another sampling frequency, InputError when it holds no whole window.
        """
        windows = self.windows(recording)
        return Forecasts(self, recording, windows, self.network.predict(windows.X))

    def calibrated(self) -> Calibration:
        """Return the calibration; ModelError where there is none."""
        if self.calibration is None:
            raise ModelError(
                "model: it keeps no residuals of a validation part, so that it has no prediction intervals; fit again "
                "with --intervals (Python: intervals=(.5, .9))"
            )
        return self.calibration

    def windows(self, recording: Recording) -> Windows:
        """Return every window of a recording, standardised.

        Raises ModelError when the recording has another sampling frequency or other joined leads than the model,
        InputError when it holds no whole window.
        """
        if not np.isclose(recording.sampling_frequency, self.sampling_frequency, rtol=1e-6):
            raise ModelError(
                f"{recording.name}: sampled at {recording.sampling_frequency:g} Hz, but the model was trained at "
                f"{self.sampling_frequency:g} Hz; resample the record or train on it"
            )
        self.check_leads(recording)
        return all_windows(recording.signals, self.scaler, self.window, self.horizon)

    def check_leads(self, recording: Recording) -> None:
        """Raise ModelError where the recording has other joined leads than the model."""
        held = [lead.name for lead in recording.joined]
        if [name.casefold() for name in held] != [name.casefold() for name in self.joined]:
            wanted, found = (", ".join(names) or "none" for names in (self.joined, held))
            raise ModelError(
                f"{recording.name}: the leads joined to {recording.lead} are {found}, the model's to {self.lead} are "
                f"{wanted}; read the record with those (read_recording: join)"
            )

    def check_single(self, what: str) -> None:
        """Raise ModelError where leads are joined. what : what takes models of one lead only."""
        if self.joined:
            leads = ", ".join(self.leads)
            raise ModelError(f"{what}: not of a model of joined leads ({leads}); fit one of a single lead for it")

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

    def split(self, recording: Recording, train_fraction: float) -> Split:
        """Return the windows of a recording as those that it was trained on were cut; see `split_windows`."""
        self.check_leads(recording)
        return split_windows(recording.signals, self.window, self.horizon, train_fraction, longest=self.longest)

    def trained_on(self, recording: Recording, split: Split) -> bool:
        """Whether the training part of a split of a recording is the one that the scaler belongs to."""
        ours, theirs = ([(one.mean, one.scale) for one in all_.leads] for all_ in (self.scaler, split.scaler))
        same = len(ours) == len(theirs) and np.allclose(theirs, ours, rtol=1e-9)
        return same and recording.sampling_frequency == self.sampling_frequency

    def training_windows(self, recording: Recording, train_fraction: float) -> Windows:
        """Return the windows that it was trained on.

        Raises ModelError when the training part of the recording is not the one that the scaler belongs to.
        """
        split = self.split(recording, train_fraction)
        if not self.trained_on(recording, split):
            raise ModelError(
                f"{recording.name}: its training part is not what the model was trained on; give the record, lead, "
                "start, end and train fraction of the fit"
            )
        return split.train

    def _repr_html_(self) -> str:
        from ecgcvx.notebook import facts

        lead = f", trained on lead {' and '.join((self.lead, *self.joined))}" if self.lead else ""
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

    def stream(
        self,
        channels: int = 1,
        rate: float = 1e-4,
        outside: Outside = "flag",
        *,
        coverages: Sequence[float] = (),
        gamma: float = GAMMA,
    ) -> "StreamPredictor":
        """Return a stream of forecasts; see `StreamPredictor`."""
        from ecgcvx.streaming import StreamPredictor

        return StreamPredictor(self, channels, rate, outside, coverages=coverages, gamma=gamma)


@dataclass(frozen=True, eq=False)
class Forecasts:
    """The forecasts of a recording, and all that is told of them; what several of these need is computed once.

    windows : every window of the recording, standardised. f : (n,) what the network says of them, standardised.
    """

    model: Forecaster
    recording: Recording
    windows: Windows
    f: Array

    @cached_property
    def beyond(self) -> Bools:
        """Which windows (n,) lie outside the training range; none without one."""
        return self.model.beyond(self.windows)

    @cached_property
    def local(self) -> Local:
        """What the calibration says of every window; ModelError where there is none."""
        return self.model.calibrated().local(self.windows.X)

    @property
    def flags(self) -> Bools:
        """Which samples (samples,) are forecast from windows outside the training range."""
        out = np.zeros(len(self.recording.signal), dtype=np.bool_)
        out[self.windows.targets] = self.beyond
        return out

    def samples(self, policy: Outside = "flag") -> Array:
        """Return the forecast of every sample (samples,) in mV, NaN where none is; policy : see `Forecaster.policy`."""
        f, known = self.f, self.model.training_range
        if known is not None and policy != "flag":
            f = known.replaced(f, self.windows.X, self.beyond, policy)
        out = np.full(len(self.recording.signal), np.nan)
        out[self.windows.targets] = self.model.scaler.restore(f)
        return out

    def interval(self, coverage: float, *, adapt: bool = False, gamma: float = GAMMA) -> Interval:
        """Return the interval of every sample; see `Forecaster.predict_interval`."""
        model, targets = self.model, self.windows.targets
        f, local = model.scaler.restore(self.f), self.local
        made = np.empty((2, len(f), 1))
        centres, widths = start(model.calibrated(), (coverage,))
        samples, gains = self.recording.signal[targets], steps((coverage,), gamma if adapt else 0.0)
        follow(targets, samples, f, local, model.horizon, centres, widths, gains, made[0], made[1])
        out = np.full((2, len(self.recording.signal)), np.nan)
        out[:, targets] = made[:, :, 0]
        return Interval(*out)
