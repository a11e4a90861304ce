"""`ecgcvx predict`: apply a fitted model to a record."""

import argparse
import sys
from pathlib import Path

from ecgcvx.cli.arguments import add_model, add_record, read_record
from ecgcvx.cli.terminal import show

DESCRIPTION = """\
Apply a fitted model to a record: every sample with the forecast that was made for it, as CSV with the columns
sample, time_s, signal_mv, forecast_mv, residual_mv (empty where there is none)."""
EXAMPLES = """\
examples:
  ecgcvx predict out/208 data/mitdb208/208 --output forecast.csv
  ecgcvx predict out/100 mitdb/100 --start 60 --end 70"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_model(parser)
    add_record(parser)
    parser.add_argument("--output", type=Path, metavar="CSV", help="file to write (default: standard output)")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    import numpy as np

    from ecgcvx.files import atomic_write
    from ecgcvx.model_file import load
    from ecgcvx.output import forecast_csv

    forecaster = load(options.model)
    recording = read_record(options, forecaster)
    forecast = forecaster.predict(recording)
    text = forecast_csv(recording, forecast)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    atomic_write(options.output, lambda file: file.write(text.encode()))
    rmse = float(np.sqrt(np.nanmean((recording.signal - forecast) ** 2)))
    made = int(np.isfinite(forecast).sum())
    show(f"{recording.name}, lead {recording.lead}: {made:,} forecasts, RMSE {rmse:.5f} mV; wrote {options.output}")
    return 0
