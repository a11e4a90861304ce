"""Signals and forecasts as CSV, a line a sample."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np

from ecgcvx.files import atomic_write
from ecgcvx.intervals import Interval
from ecgcvx.records import Recording
from ecgcvx.training_range import Bools
from ecgcvx.types import Array


def write_columns(path: Path, sampling_frequency: float, names: Sequence[str], columns: Array) -> None:
    """Write columns (samples, k) with their times in s as a CSV file, whole or not at all; NaN as empty fields."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("time (s)", *names))
    for sample, row in enumerate(columns.tolist()):
        told = ("" if value != value else f"{value:.6f}" for value in row)
        writer.writerow((f"{sample / sampling_frequency:.9g}", *told))
    atomic_write(path, lambda file: file.write(buffer.getvalue().encode()))


def forecast_csv(
    recording: Recording,
    forecast: Array,
    outside: Bools | None = None,
    intervals: Mapping[float, Interval] | None = None,
) -> str:
    """Every sample with its forecast (mV) and residual (signal - forecast) as CSV text; empty where there is none.

    outside : (samples,) which forecasts are from windows outside the training range, a column of its own; None for a
    model that keeps no range. intervals : of the forecasts, by coverage; columns lower_90_mv and upper_90_mv for .9.
    """
    chosen = {} if intervals is None else intervals
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    flagged = outside is not None
    names = [f"{end}_{100 * coverage:g}_mv" for coverage in chosen for end in ("lower", "upper")]
    mark_name = ("outside",) if flagged else ()
    writer.writerow(("sample", "time_s", "signal_mv", "forecast_mv", "residual_mv", *mark_name, *names))
    time = np.arange(len(forecast)) / recording.sampling_frequency
    residual = recording.signal - forecast
    marks = np.zeros(len(forecast), dtype=bool) if outside is None else outside
    ends = [end for interval in chosen.values() for end in interval]
    columns = zip(marks, time, recording.signal, forecast, residual, *ends, strict=True)
    for sample, (mark, *numbers) in enumerate(columns):
        told = ["" if np.isnan(value) else f"{value:.6f}" for value in numbers]
        writer.writerow((sample, *told[:4], *((int(mark),) if flagged else ()), *told[4:]))
    return buffer.getvalue()
