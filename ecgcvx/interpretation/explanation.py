"""One forecast explained: the exact sum of its active patterns, and what would switch each of them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.units import scaling
from ecgcvx.models.terms import terms_of
from ecgcvx.records import Recording
from ecgcvx.types import Array

ALIKE = 1e-9  # of the largest term: less than that is rounding


@dataclass(frozen=True, eq=False)
class PatternTerm:
    """What one pattern adds to a forecast, and how far it is from switching.

    Of joined leads `window` below is a row, the windows of all (`ecgcvx.windows`). adds_mv : of the forecast. filter :
    (window,) the linear filter that it applies while on, mV per mV (of a polynomial neuron its slope). distance_mv :
    Euclidean length of the smallest change of the window that takes its nearest gate to zero, infinite where it has
    none. change_mv : (window,) that change. deep : whether the gate stands on other patterns, so that distance and
    change hold while these stay as they are.
    """

    name: str
    on: bool
    adds_mv: float
    filter: Array
    distance_mv: float
    change_mv: Array
    deep: bool


@dataclass(frozen=True, eq=False)
class Explanation:
    """The forecast of one sample: mean_mv plus what `patterns` add, the largest first.

    window_mv : (window,) what it was made of, of joined leads the row of all `leads`. measured_mv : the sample.
    nearest : the pattern that the smallest change of the window switches, None where there is no gate.
    """

    record: str
    lead: str
    sample: int
    seconds: float
    sampling_frequency: float
    horizon: int
    window_mv: Array
    mean_mv: float
    forecast_mv: float
    measured_mv: float
    patterns: tuple[PatternTerm, ...]
    leads: tuple[str, ...] = ()

    @property
    def residual_mv(self) -> float:
        """The sample minus its forecast."""
        return self.measured_mv - self.forecast_mv

    @property
    def windows(self) -> Array:
        """The window of every lead (leads, samples) in mV."""
        return self.window_mv.reshape(max(len(self.leads), 1), -1)

    @property
    def active(self) -> tuple[PatternTerm, ...]:
        """The patterns that are on."""
        return tuple(pattern for pattern in self.patterns if pattern.on)

    @property
    def nearest(self) -> PatternTerm | None:
        """The pattern that the smallest change of the window switches."""
        found = min(self.patterns, key=lambda pattern: pattern.distance_mv, default=None)
        return None if found is None or math.isinf(found.distance_mv) else found


def explain(forecaster: Forecaster, recording: Recording, seconds: float) -> Explanation:
    """Return the explanation of the forecast of the sample at a time of a recording.

    Raises InputError when there is no sample at that time, or no whole window that forecasts it, ModelError for other
    joined leads than the model's.
    """
    rate, signal = recording.sampling_frequency, recording.signal
    sample = round(seconds * rate) if math.isfinite(seconds) else -1
    if not 0 <= sample < len(signal):
        raise InputError(
            f"at = {seconds:g}: the record lasts from 0 to {(len(signal) - 1) / rate:.3f} s; give a time in it"
        )
    return explain_sample(forecaster, recording, sample)


def explain_sample(forecaster: Forecaster, recording: Recording, sample: int) -> Explanation:
    """Return the explanation of the forecast of one sample (from 0); see `explain`."""
    forecaster.check_leads(recording)
    rate, scaler = recording.sampling_frequency, forecaster.scaler
    length, horizon = forecaster.window, forecaster.horizon
    first = sample - horizon - length + 1
    stretch = recording.signals[..., max(first, 0) : sample + 1]
    if first < 0 or not np.isfinite(stretch).all():
        raise InputError(
            f"at = {sample / rate:.3f}: no forecast was made for that sample, which takes {length + horizon} "
            "samples without a gap up to there; give another time"
        )
    forecaster.windows(recording)  # the same checks as a prediction
    x = np.append(scaler.standardise(stretch[..., :length]), 1.0)
    terms, scale = terms_of(forecaster.network, x), scaler.scale
    _, scales = scaling(forecaster, len(x) - 1)
    patterns = []
    for j in np.argsort(-np.abs(terms.values), kind="stable"):
        slope, height = terms.gates[j, :-1] / scales, float(terms.heights[j])  # of the window in mV
        steep = float(np.linalg.norm(slope))
        known = math.isfinite(height) and steep > 0
        change = -height * slope / steep**2 if known else np.zeros(len(slope))
        patterns.append(
            PatternTerm(
                terms.names[j], bool(terms.on[j]), scale * float(terms.values[j]),
                terms.filters[j, :-1] * (scale / scales), abs(height) / steep if known else math.inf, change,
                bool(terms.deep[j]),
            )
        )  # fmt: skip
    forecast = float(scaler.restore(forecaster.network.predict(x[None]))[0])
    return Explanation(
        record=recording.name, lead=recording.lead, sample=sample, seconds=sample / rate, sampling_frequency=rate,
        horizon=horizon, window_mv=stretch[..., :length].ravel(), mean_mv=scaler.mean, forecast_mv=forecast,
        measured_mv=float(recording.signal[sample]), patterns=tuple(patterns), leads=forecaster.leads,
    )  # fmt: skip


def explanation_json(found: Explanation) -> dict[str, Any]:
    """Return an explanation as one JSON object; null for an infinite distance."""
    return {
        "record": found.record, "lead": found.lead, "sample": found.sample, "seconds": found.seconds,
        "sampling_frequency_hz": found.sampling_frequency, "horizon": found.horizon,
        "leads": list(found.leads), "window_mv": found.window_mv.tolist(), "mean_mv": found.mean_mv,
        "forecast_mv": found.forecast_mv,
        "measured_mv": found.measured_mv, "residual_mv": found.residual_mv,
        "nearest": None if found.nearest is None else found.nearest.name,
        "patterns": [
            {
                "name": pattern.name, "on": pattern.on, "adds_mv": pattern.adds_mv, "filter": pattern.filter.tolist(),
                "distance_mv": pattern.distance_mv if math.isfinite(pattern.distance_mv) else None,
                "change_mv": pattern.change_mv.tolist() if math.isfinite(pattern.distance_mv) else None,
                "deep": pattern.deep,
            }
            for pattern in found.patterns
        ],
    }  # fmt: skip


def waterfall(found: Explanation, top: int) -> list[tuple[str, float]]:
    """Return the steps from the mean to the forecast: `top` patterns that are on, and the others that are together."""
    active = found.active
    steps = [(pattern.name, pattern.adds_mv) for pattern in active[:top]]
    if len(active) > top:
        steps.append((f"{len(active) - top} others that are on", sum(pattern.adds_mv for pattern in active[top:])))
    return steps


def explanation_words(found: Explanation) -> str:
    """Return two sentences: what the forecast is, and what it takes to switch a pattern."""
    ahead = "1 sample" if found.horizon == 1 else f"{found.horizon} samples"
    words = (
        f"The forecast of the sample at {found.seconds:.3f} s, made {ahead} before, is {found.forecast_mv:.4f} mV; "
        f"measured {found.measured_mv:.4f} mV. It is the mean of the signal, {found.mean_mv:.4f} mV, plus what "
        f"{len(found.active)} of {len(found.patterns)} patterns add."
    )
    nearest = found.nearest
    if nearest is None:
        return f"{words} No pattern has a gate: all are on everywhere."
    share = nearest.distance_mv / math.sqrt(len(found.window_mv))
    return (
        f"{words} The smallest change of the window that switches a pattern ({nearest.name}, which is "
        f"{'on' if nearest.on else 'off'}) is {nearest.distance_mv:.4g} mV long, {share:.2g} mV a sample in root mean "
        "square."
    )
