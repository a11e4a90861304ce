"""Fans: all that a model of several horizons forecast at one moment, and which of them a figure shows."""

from dataclasses import dataclass

import numpy as np

from ecgcvx.intervals import Interval
from ecgcvx.multi_horizon import MultiHorizonForecaster
from ecgcvx.records import Recording
from ecgcvx.types import Array

SECONDS = 1.6  # of a strip of fans
APART = 0.06  # s between two fans at least


@dataclass(frozen=True, eq=False)
class Fan:
    """Forecasts in mV made at samples[0], whose own value comes first: samples, forecast (k + 1,), and an interval."""

    samples: Array
    forecast: Array
    interval: Interval | None


@dataclass(frozen=True, eq=False)
class FanStrip:
    """Fans one after the other over the samples first .. stop - 1. coverage : of their intervals, None without."""

    first: int
    stop: int
    fans: tuple[Fan, ...]
    coverage: float | None


def fan_strip(model: MultiHorizonForecaster, recording: Recording, boundary: int) -> FanStrip:
    """Return the fans round the highest peak in the middle of the longest run of forecasts after sample `boundary`.

    Where the model has intervals, with the widest of them as they followed the record.
    """
    rate, signal = recording.sampling_frequency, recording.signal
    known = all(one.calibration is not None for one in model.forecasters)
    coverage = max(model.forecasters[0].calibrated().coverages) if known else None
    columns, lower, upper = list[Array](), list[Array](), list[Array]()
    for one in model.forecasters:
        made = one.forecasts(recording)
        columns.append(made.samples())
        if coverage is not None:
            interval = made.interval(coverage, adapt=True)
            lower.append(interval.lower)
            upper.append(interval.upper)
    aligned = np.stack(columns, axis=1)
    ends = Interval(np.stack(lower, axis=1), np.stack(upper, axis=1)) if lower else None
    whole = np.r_[False, np.isfinite(aligned[boundary:]).all(axis=1), False]
    edges = np.flatnonzero(np.diff(whole.astype(np.int8))).reshape(-1, 2) + boundary
    a, b = edges[np.argmax(edges[:, 1] - edges[:, 0])]
    long = round(SECONDS * rate)
    middle = slice(max(int(a), (int(a) + int(b)) // 2 - 2 * long), min(int(b), (int(a) + int(b)) // 2 + 2 * long))
    peak = middle.start + int(np.argmax(np.abs(signal[middle] - np.median(signal[middle]))))
    first = max(int(a), min(peak - long // 2, int(b) - long))
    stop = min(first + long, int(b))
    apart = max(model.horizons[-1], round(APART * rate), 1)
    fans = []
    for sample in range(first, stop - model.horizons[0], apart):
        own = None if ends is None else Interval(*(_from(signal, model, end, sample) for end in ends))
        fans.append(Fan(np.r_[sample, sample + np.array(model.horizons)].astype(float),
                        _from(signal, model, aligned, sample), own))  # fmt: skip
    return FanStrip(first, stop, tuple(fans), coverage)


def _from(signal: Array, model: MultiHorizonForecaster, aligned: Array, sample: int) -> Array:
    """What was forecast at a sample (k + 1,), its own value first."""
    return np.r_[signal[sample], model.fan(aligned, sample)]
