"""The regularisation path of a recording, and the choice of beta by a chronological validation split.

The first part of the training windows trains, the rest of them validates; the test part is only reported. Every point
starts from the one before it; over sampled patterns and for a polynomial activation, one pass over the data serves the
whole path.
"""

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from io import StringIO

import numpy as np

from ecgcvx.atoms.family import Atoms
from ecgcvx.errors import InputError
from ecgcvx.metrics import root_mean_square
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import Recording
from ecgcvx.search import search_price
from ecgcvx.training import (
    POLYNOMIALS,
    STACK,
    FitOptions,
    Trained,
    polynomial_program,
    sampled_program,
    train_all_patterns,
    train_polynomial,
    train_sampled,
)
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Windows, split_windows

PATH_GAP, PATH_ROUNDS = 0.05, 2  # of a point over all patterns: enough to rank betas
LARGEST_STARTS = 32


@dataclass(frozen=True)
class PathPoint:
    """One beta: objective and its gap over the given patterns, neurons, root-mean-square errors in mV, seconds."""

    beta: float
    objective: float
    gap: float
    neurons: int
    train_rmse_mv: float
    validation_rmse_mv: float
    test_rmse_mv: float
    seconds: float


@dataclass(frozen=True, eq=False)
class RegularisationPath:
    """Points from the largest beta down, the smallest beta whose solution is zero, and the chosen point.

    windows: training, validation and test windows.
    """

    points: tuple[PathPoint, ...]
    largest_beta: float
    chosen: PathPoint
    windows: tuple[int, int, int]


def path_betas(largest: float, count: int, ratio: float) -> Array:
    """`count` betas in geometric progression from `largest` to ratio * largest.

    Raises InputError for fewer than two betas or a ratio outside (0, 1).
    """
    if count < 2:
        raise InputError(f"betas = {count}: a path takes at least 2")
    if not 0.0 < ratio < 1.0:
        raise InputError(f"ratio = {ratio}: it must lie between 0 and 1, as 1e-6")
    return np.geomspace(largest, ratio * largest, count)


def regularisation_path(
    recording: Recording,
    options: FitOptions,
    count: int,
    ratio: float,
    progress: Progress,
    first: float = 1.0,
    patience: int = 0,
) -> tuple[RegularisationPath, Trained]:
    """Fit the path on the first part of the training windows and choose beta on the rest of them.

    options.beta is not used; train_fraction serves for both splits. The betas fall from first * largest to
    ratio * largest; patience > 0 ends the path after as many points in a row with a larger validation error. Returns
    the path and the chosen training. Raises InputError when the recording is too short for three parts or an option is
    unusable.
    """
    if options.network == STACK:
        raise InputError(f"network = {STACK!r}: it chooses its own betas when it is fitted; take a path of relu")
    outer = split_windows(recording.signal, options.window, options.horizon, options.train_fraction)
    inner = split_windows(recording.signal[: outer.boundary], options.window, options.horizon, options.train_fraction)
    test = replace(outer.test, signal=inner.scaler.standardise(recording.signal))
    parts = (inner.train, inner.test, test)
    largest, solve = _along(inner.train, options, progress)
    betas = path_betas(first * largest, count, ratio / first)
    points: list[PathPoint] = []
    trained: list[Trained] = []
    started = time.perf_counter()
    for beta in betas:
        found = solve(float(beta), trained[-1] if trained else None)
        train, validation, held_out = (
            inner.scaler.scale * root_mean_square(part.y - found.network.predict(part.X)) for part in parts
        )
        now = time.perf_counter()
        neurons = found.network.neurons
        points.append(
            PathPoint(float(beta), found.primal, found.gap, neurons, train, validation, held_out, now - started)
        )
        trained.append(found)
        started = now
        progress(f"beta = {beta:.2e}: {neurons} neurons, validation {validation:.5f} mV", len(points) / count)
        best = int(np.argmin([point.validation_rmse_mv for point in points]))
        if patience and len(points) - 1 - best >= patience:
            break
    sizes = (len(inner.train), len(inner.test), len(test))
    return RegularisationPath(tuple(points), largest, points[best], sizes), trained[best]


def _along(
    windows: Windows, options: FitOptions, progress: Progress
) -> tuple[float, Callable[[float, Trained | None], Trained]]:
    """The largest beta of the windows, and what trains at a beta from the point before it."""
    if options.network in POLYNOMIALS:
        lifted = polynomial_program(windows, options, 1.0, progress)
        return lifted.largest_beta(), lambda beta, _: train_polynomial(lifted.at(beta), options, progress)
    if options.patterns is None:
        progress("the largest beta", None)
        everything = AllPatterns(windows.X, windows.y, 1.0)
        largest = search_price(windows.X, windows.y, LARGEST_STARTS, options.seed)[0] / len(windows)
        solver = replace(options.active_set(), gap=PATH_GAP, rounds=PATH_ROUNDS, confirm_starts=0)

        def over_all(beta: float, before: Trained | None) -> Trained:
            warm = before.warm if before is not None and isinstance(before.warm, Atoms) and len(before.warm) else None
            return train_all_patterns(everything.at(beta), solver, progress, warm=warm)

        return largest, over_all
    program = sampled_program(windows, options, 1.0, progress)

    def over_sample(beta: float, before: Trained | None) -> Trained:
        warm = before.warm if before is not None and not isinstance(before.warm, Atoms) else None
        return train_sampled(program.at(beta), options, progress, warm=warm)

    return program.largest_beta(), over_sample


def path_csv(path: RegularisationPath) -> str:
    """The path as CSV text, one line a beta."""
    buffer = StringIO()
    writer = csv.DictWriter(buffer, list(PathPoint.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(point) for point in path.points)
    return buffer.getvalue()
