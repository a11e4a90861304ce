"""The patterns shown, in full."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.filters import LinearFilter, QuadraticForm
from ecgcvx.interpretation.moments import Moments
from ecgcvx.interpretation.results import PatternStability, PatternSummary
from ecgcvx.interpretation.sequence import strongest_windows
from ecgcvx.interpretation.table import Columns
from ecgcvx.interpretation.units import filter_of, gate_in_mv, in_mv, scaling
from ecgcvx.models.units import Units
from ecgcvx.types import Array
from ecgcvx.windows import Windows

EXAMPLES = 3
NUMBERS = ("explained_variance_drop", "variance_share", "norm", "coverage", "beat_coverage", "dwell_ms")


@dataclass(frozen=True, eq=False)
class Shown:
    """K units to show: index (K,) among all, on (K, n), contributions (K, n), standardised, and maps of the network."""

    units: Units
    index: NDArray[np.intp]
    on: NDArray[np.bool_]
    contributions: NDArray[np.float32]
    maps: tuple[LinearFilter, ...]


def mean_maps(forecaster: Forecaster, units: Units, joint: Array) -> tuple[LinearFilter, ...]:
    """Return the linear maps of the network, each averaged over the windows in which one of K patterns is on.

    joint (K, p) : in how many windows two patterns are on together, the pattern itself among them.
    """
    share = joint / joint.max(axis=1, keepdims=True, initial=0.0)
    filters = [in_mv(forecaster, weights) for weights in share @ units.filters]
    mean = forecaster.scaler.mean
    return tuple(replace(one, bias=one.bias + mean) for one in filters)


def mean_tangent(forecaster: Forecaster, form: QuadraticForm, found: Moments) -> LinearFilter:
    """Return the linear map of a polynomial network, the tangent of its quadratic form averaged over all windows."""
    second, first = found.xx[:-1, :-1] / found.n, found.xx[:-1, -1] / found.n
    mean, scale = scaling(forecaster, len(first))
    cross = np.outer(scale * first, mean)
    square = np.outer(scale, scale) * second + cross + cross.T + np.outer(mean, mean)  # of the window in mV
    taps = 2 * form.Q @ (scale * first + mean) + form.linear.row
    return filter_of(forecaster, taps, form.linear.bias - float((form.Q * square).sum()))


def summaries(
    forecaster: Forecaster,
    shown: Shown,
    columns: Columns,
    windows: Windows,
    beat: NDArray[np.int64] | None,
    recurrences: Sequence[PatternStability | None],
) -> tuple[PatternSummary, ...]:
    """Return the summaries of the patterns shown. beat (n,) : the beat of every window, -1 for none."""
    polynomial = shown.units.activation is not None
    span = windows.length + windows.horizon
    shape = (-1, windows.length) if forecaster.joined else (-1,)
    out = []
    for i, unit in enumerate(shown.index):
        begin = windows.starts[shown.on[i]]
        # Tap by tap: a copy of all active windows would be fifteen times the recording.
        taps = (
            scaler.restore(lead[begin + k])
            for lead, scaler in zip(np.atleast_2d(windows.signal), forecaster.scaler.leads, strict=True)
            for k in range(windows.length)
        )
        usual = np.array([(tap.mean(), tap.std()) for tap in taps]).T.reshape(2, *shape)
        best = strongest_windows(shown.contributions[i], beat, windows.starts, EXAMPLES, span)
        gate, weights = shown.units.gates[i], shown.units.filters[i]
        out.append(
            PatternSummary(
                number=i + 1,
                neurons=shown.units.neurons[i],
                gate=None if polynomial else gate_in_mv(forecaster, gate),
                filter=projection_in_mv(forecaster, weights) if polynomial else in_mv(forecaster, weights),
                network_filter=shown.maps[i],
                mean_window=usual[0],
                sd_window=usual[1],
                examples=tuple((int(start), int(start) + span) for start in windows.starts[best]),
                stability=recurrences[i],
                **{name: float(columns[name][unit]) for name in NUMBERS},
            )
        )
    return tuple(out)


def projection_in_mv(forecaster: Forecaster, weights: Array) -> LinearFilter:
    """Return z = w'x of weights (d,) on standardised rows as a filter of the window in mV: taps in 1/mV, no unit."""
    mean, scale = scaling(forecaster, len(weights) - 1)
    taps = weights[:-1] / scale
    return filter_of(forecaster, taps, float(weights[-1] - mean @ taps))
