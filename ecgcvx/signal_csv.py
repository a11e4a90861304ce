"""Signals and forecasts as CSV, a line a sample."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, eq=False)
class ForecastColumns:
    """The columns of a network's forecasts (samples,) in mV.

    outside : (samples,) which forecasts are from windows outside the training range, a column of its own; None for a
    model that keeps no range. intervals : of the forecasts, by coverage. horizon : of a model of several, which the
    names then hold; None for one alone.
    """

    forecast: Array
    outside: Bools | None = None
    intervals: Mapping[float, Interval] = field(default_factory=dict)
    horizon: int | None = None

    def columns(self, signal: Array) -> dict[str, NDArray[Any]]:
        """Return the columns by name: forecast_mv, residual_mv (of one network alone), outside, lower_90_mv, ..."""
        own = "" if self.horizon is None else f"_{self.horizon}"
        found: dict[str, NDArray[Any]] = {f"forecast{own}_mv": self.forecast}
        if self.horizon is None:
            found["residual_mv"] = signal - self.forecast
        if self.outside is not None:
            found[f"outside{own}"] = self.outside
        for coverage, ends in self.intervals.items():
            for end, values in zip(("lower", "upper"), ends, strict=True):
                found[f"{end}_{100 * coverage:g}{own}_mv"] = values
        return found


def forecast_csv(recording: Recording, networks: Sequence[ForecastColumns]) -> str:
    """Every sample with its forecasts in mV as CSV text; empty where there is none.

    A network alone has forecast_mv, residual_mv (signal - forecast), outside, and lower_90_mv and upper_90_mv for a
    coverage of .9; one of several horizons forecast_5_mv, outside_5, lower_90_5_mv and upper_90_5_mv.
    """
    signal = recording.signal
    time = np.arange(len(signal)) / recording.sampling_frequency
    columns: dict[str, NDArray[Any]] = {"time_s": time, "signal_mv": signal}
    for network in networks:
        columns |= network.columns(signal)
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("sample", *columns))
    writer.writerows(zip(range(len(signal)), *map(_cells, columns.values()), strict=True))
    return buffer.getvalue()


def _cells(column: NDArray[Any]) -> list[str]:
    """Numbers with six decimals, marks as 0 and 1."""
    if column.dtype == np.bool_:
        return ["1" if mark else "0" for mark in column.tolist()]
    return ["" if value != value else f"{value:.6f}" for value in column.tolist()]
