"""`ecgcvx predict`: apply a fitted model to a record."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ecgcvx.cli.arguments import add_intervals, add_model, add_outside, add_record, coverages_of, read_record
from ecgcvx.cli.terminal import show
from ecgcvx.errors import InputError

if TYPE_CHECKING:
    from ecgcvx.intervals import Interval
    from ecgcvx.records import Recording
    from ecgcvx.types import Array

DESCRIPTION = """\
Apply a fitted model to a record: every sample with the forecast that was made for it, as CSV with the columns
sample, time_s, signal_mv, forecast_mv, residual_mv (empty where there is none) and outside (1 where the forecast is
from a window outside the range of the training windows).

Of a model of several horizons each has a column of its own, forecast_5_mv for 5 samples ahead: a row has all forecasts
of its sample, which were made 5 samples before it and so on. outside and the ends of intervals are named likewise.

--intervals adds columns lower_90_mv and upper_90_mv for a coverage of 0.9, of the network's own forecast whatever
--outside says; that need not lie in the middle. In the long run that share of the samples lies inside, as far as the
record is like the validation part of the fit; with --adapt the intervals follow the record, and the share holds in the
long run for any record. Neither says anything of a single sample."""
EXAMPLES = """\
examples:
  ecgcvx predict out/208 data/mitdb208/208 --output forecast.csv
  ecgcvx predict out/100 mitdb/100 --start 60 --end 70
  ecgcvx predict out/fan data/mitdb208/208 --output forecasts.csv
  ecgcvx predict out/208 data/mitdb208/208 --intervals 0.5 0.9 --adapt --output forecast.csv"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    add_record(parser)
    add_outside(parser)
    add_intervals(parser)
    parser.add_argument("--adapt", action="store_true", help="let the intervals follow the record, as time goes by")
    parser.add_argument("--output", type=Path, metavar="CSV", help="file to write (default: standard output)")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from ecgcvx.cautions import forecast_caution
    from ecgcvx.files import atomic_write, check_file
    from ecgcvx.interruption import keeping
    from ecgcvx.model_file import load, read_model
    from ecgcvx.multi_horizon import MultiHorizonForecaster
    from ecgcvx.outside import outside_score
    from ecgcvx.signal_csv import ForecastColumns, forecast_csv

    if options.output is not None:
        check_file(options.output)
    if options.adapt and options.intervals is None:
        raise InputError("adapt: it belongs to intervals; give --intervals")
    model = load(options.model, options.horizon) if options.horizon is not None else read_model(options.model)
    several = model.forecasters if isinstance(model, MultiHorizonForecaster) else (model,)
    coverages = coverages_of(options, several[0])
    recording = read_record(options, model)
    columns, said, told = [], list[str](), list[str]()
    for forecaster in several:
        policy = forecaster.policy(options.outside)
        found = forecaster.forecasts(recording)
        forecast, outside = found.samples(policy), found.flags
        intervals = {one: found.interval(one, adapt=options.adapt) for one in coverages}
        flags = None if forecaster.training_range is None else outside
        columns.append(ForecastColumns(forecast, flags, intervals, forecaster.horizon if len(several) > 1 else None))
        score = outside_score(forecaster, found.windows, found.f) if outside.any() else None
        far = forecast_caution(recording.signal, forecast, recording.sampling_frequency)
        whose = f"horizon {forecaster.horizon}: " if len(several) > 1 else ""
        said += [whose + words for words in ("" if score is None else score.words, far) if words]
        told += [whose + line for line in _scored(recording, forecast, intervals)]
    text = forecast_csv(recording, columns)
    if options.output is None:
        sys.stdout.write(text)
        for words in said:
            print(f"ecgcvx: {words}", file=sys.stderr)
        return 0
    with keeping():
        atomic_write(options.output, lambda file: file.write(text.encode()))
    first, *others = told
    head = f"{recording.name}, lead {recording.lead}: "
    if len(several) == 1:
        show(f"{head}{first}; wrote {options.output}", *said, *others)
    else:
        show(f"{head}wrote {options.output}", *told, *said)
    return 0


def _scored(recording: "Recording", forecast: "Array", intervals: "Mapping[float, Interval]") -> list[str]:
    """A line on the forecasts and one on each of their intervals."""
    import numpy as np

    residual = recording.signal - forecast
    made = np.isfinite(residual)
    error = f", RMSE {np.sqrt(np.mean(residual[made] ** 2)):.5f} mV" if made.any() else ""
    lines = [f"{made.sum():,} forecasts{error}"]
    for coverage, (lower, upper) in intervals.items():
        inside = float(((recording.signal >= lower) & (recording.signal <= upper))[np.isfinite(lower)].mean())
        width = float(np.nanmean(upper - lower))
        lines.append(f"{100 * coverage:g} % intervals: {100 * inside:.1f} % inside, mean width {width:.4f} mV")
    return lines
