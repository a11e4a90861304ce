"""`ecgcvx predict`: apply a fitted model to a record."""

import argparse
import sys
from pathlib import Path

from ecgcvx.cli.arguments import add_intervals, add_model, add_outside, add_record, coverages_of, read_record
from ecgcvx.cli.terminal import show
from ecgcvx.errors import InputError

DESCRIPTION = """\
Apply a fitted model to a record: every sample with the forecast that was made for it, as CSV with the columns
sample, time_s, signal_mv, forecast_mv, residual_mv (empty where there is none) and outside (1 where the forecast is
from a window outside the range of the training windows).

--intervals adds columns lower_90_mv and upper_90_mv for a coverage of 0.9, round the network's own forecast whatever
--outside says: in the long run that share of the samples lies inside, as far as the record is like the validation part
of the fit; with --adapt the intervals follow the record, and the share holds in the long run for any record. Neither
says anything of a single sample."""
EXAMPLES = """\
examples:
  ecgcvx predict out/208 data/mitdb208/208 --output forecast.csv
  ecgcvx predict out/100 mitdb/100 --start 60 --end 70
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
    import numpy as np

    from ecgcvx.cautions import forecast_caution
    from ecgcvx.files import atomic_write, check_file
    from ecgcvx.interruption import keeping
    from ecgcvx.model_file import load
    from ecgcvx.outside import outside_score
    from ecgcvx.signal_csv import forecast_csv

    if options.output is not None:
        check_file(options.output)
    if options.adapt and options.intervals is None:
        raise InputError("adapt: it belongs to intervals; give --intervals")
    forecaster = load(options.model)
    coverages = coverages_of(options, forecaster)
    recording = read_record(options, forecaster)
    policy = forecaster.policy(options.outside)
    found = forecaster.forecasts(recording)
    forecast, outside = found.samples(policy), found.flags
    intervals = {one: found.interval(one, adapt=options.adapt) for one in coverages}
    text = forecast_csv(recording, forecast, None if forecaster.training_range is None else outside, intervals)
    score = outside_score(forecaster, found.windows, found.f) if outside.any() else None
    far = forecast_caution(recording.signal, forecast, recording.sampling_frequency)
    said = [words for words in ("" if score is None else score.words, far) if words]
    if options.output is None:
        sys.stdout.write(text)
        for words in said:
            print(f"ecgcvx: {words}", file=sys.stderr)
        return 0
    with keeping():
        atomic_write(options.output, lambda file: file.write(text.encode()))
    residual = recording.signal - forecast
    made = np.isfinite(residual)
    error = f", RMSE {np.sqrt(np.mean(residual[made] ** 2)):.5f} mV" if made.any() else ""
    show(
        f"{recording.name}, lead {recording.lead}: {made.sum():,} forecasts{error}; wrote {options.output}",
        *said,
    )
    for coverage, (lower, upper) in intervals.items():
        inside = float(((recording.signal >= lower) & (recording.signal <= upper))[np.isfinite(lower)].mean())
        width = float(np.nanmean(upper - lower))
        show(f"{100 * coverage:g} % intervals: {100 * inside:.1f} % inside, mean width {width:.4f} mV")
    return 0
