"""A forecaster of ecgcvx in a process of its own as the peers are: as `ecgcvx fit` trains it, or linear.

Usage: python forecast_ecgcvx.py RECORD RESULT.npz --threads 2 --network relu [--horizon 5] [--window 15] [--seed 0]
RESULT gets seconds (1,) from the windows in memory to the network, the choice of beta on a validation part of the
training windows included, cpu_seconds, predictions (1, n') of the test windows, standardised, and version. A fit of a
short recording comes first, so that compiled code is there.
"""

import argparse
import os
import time
from dataclasses import replace

import numpy as np

import ecgcvx
from ecgcvx.baselines.linear import least_squares
from ecgcvx.cores import usable_cores
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit
from ecgcvx.records import read_recording
from ecgcvx.types import silent
from ecgcvx.windows import split_windows

WARM_UP = 6000  # samples


def main() -> None:
    """Parse the command line, fit, write."""
    arguments = _parser().parse_args()
    if arguments.threads < usable_cores():
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    recording = read_recording(arguments.record)
    if arguments.network == "linear":
        seconds, cpu_seconds, predictions = _linear(arguments)
    else:
        options = fit_options(
            arguments.network, window=arguments.window, horizon=arguments.horizon, seed=arguments.seed
        )
        fit(replace(recording, signal=recording.signal[:WARM_UP]), options, silent)
        cpu_started = time.process_time()
        fitted = fit(recording, options, silent)
        cpu_seconds = time.process_time() - cpu_started
        seconds = fitted.scores[-1].seconds
        predictions = fitted.forecaster.network.predict(fitted.split.test.X)
    np.savez(
        arguments.result, seconds=[seconds], cpu_seconds=cpu_seconds, predictions=predictions[None],
        version=f"ecgcvx {ecgcvx.__version__}",
    )  # fmt: skip


def _linear(arguments: argparse.Namespace) -> tuple[float, float, np.ndarray]:
    split = split_windows(read_recording(arguments.record).signal, arguments.window, arguments.horizon)
    started, cpu_started = time.perf_counter(), time.process_time()
    w = least_squares(split.train.X, split.train.y)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return seconds, cpu_seconds, split.test.X[: len(split.test)] @ w


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--network", choices=("linear", "relu", "stack"), required=True)
    parser.add_argument("--horizon", type=int, default=1, help="samples (default: %(default)s)")
    parser.add_argument("--window", type=int, default=15, help="samples (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
