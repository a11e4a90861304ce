"""The numbers of every pattern, ranked, as a table; and as CSV."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgcvx.beats import BeatLabels
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.beats import beat_columns
from ecgcvx.interpretation.moments import Moments
from ecgcvx.interpretation.results import COLUMNS, PatternStability
from ecgcvx.models.units import Units
from ecgcvx.types import Array
from ecgcvx.windows import Windows

Columns = dict[str, Array]
LINEAR = "linear"  # in place of a neuron's index: the linear part
EMPTY = ("beat_coverage", "on_p", "on_qrs", "on_t", "on_baseline", "peak_ms")  # without beats


def numbers(
    forecaster: Forecaster, units: Units, found: Moments, windows: Windows, f: Array, labels: BeatLabels | None
) -> Columns:
    """Return the numeric columns of `COLUMNS` (p,) in the order of the units; f (n,) the output of the network."""
    n, scale, y, r = len(windows), forecaster.scaler.scale, windows.y, windows.y - f
    mean = found.c / n
    variance = np.maximum(found.cc / n - mean**2, 0.0)
    with_error = found.cr / n - mean * r.mean()
    with_forecast = found.cf / n - mean * f.mean()
    linear = np.linalg.lstsq(found.xx, found.cx.T, rcond=1e-12)[0].T  # predictors of every contribution
    network = forecaster.network.on_window()
    norms = np.append(np.linalg.norm(network.W1, axis=0) * np.abs(network.W2), 0.0)  # of a linear part no penalty
    beats = {name: np.full(len(units), np.nan) for name in EMPTY}
    if labels is not None and (labels.beat >= 0).any():
        beats = beat_columns(labels, found.segments, found.bins, found.beats)
    return {
        "explained_variance_drop": (2 * with_error + variance) / y.var(),
        "variance_share": with_forecast / max(float(f.var()), 1e-300),
        "norm": np.array([norms[list(members)].sum() for members in units.neurons]),
        "coverage": found.on / n,
        "dwell_ms": 1e3 * found.on / np.maximum(found.runs, 1) / forecaster.sampling_frequency,
        "sd_mv": scale * np.sqrt(variance),
        "nonlinear_mv": scale * np.sqrt(np.maximum(found.cc - np.einsum("pd,pd->p", linear, found.cx), 0.0) / n),
        "mean_on_mv": scale * found.c / np.maximum(found.on, 1),
        "dc_gain": units.filters[:, -1 - windows.length : -1].sum(axis=1),
        **beats,
    }


def table_of(
    columns: Columns,
    units: Units,
    neurons: int,
    order: NDArray[np.intp],
    opposite: NDArray[np.intp],
    recurrences: Sequence[PatternStability | None],
) -> pd.DataFrame:
    """Return the table in the order given; neurons : of the network; opposite (p,) by unit, -1 for none; recurrences
    of the first patterns."""
    p = len(order)
    place = np.empty(p, dtype=np.intp)
    place[order] = np.arange(1, p + 1)
    known = [*recurrences, *[None] * (p - len(recurrences))]
    table = pd.DataFrame(
        {
            "neurons": [" ".join(str(j) if j < neurons else LINEAR for j in units.neurons[i]) for i in order],
            **{name: values[order] for name, values in columns.items()},
            "opposite": pd.array([place[opposite[i]] if opposite[i] >= 0 else None for i in order], dtype="Int64"),
            "recurrence": [np.nan if one is None else one.recurrence for one in known],
            "stability": pd.array([None if one is None else one.verdict for one in known], dtype="string"),
        },
        index=pd.RangeIndex(1, p + 1, name="pattern"),
    )
    return table[list(COLUMNS)]
