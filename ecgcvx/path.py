"""The regularisation path of a recording, and the choice of beta by a chronological validation split.

The first part of the training windows trains, the rest of them validates; the test part is only reported. Every point
starts from the one before it and keeps its Gram matrix: one pass over the data serves the whole path.
"""

import csv
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.fitting import NETWORKS, SOLVERS, FitOptions, Step, fit_patterns, root_mean_square
from ecgcvx.maps import merge
from ecgcvx.networks import Network, network_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.records import Recording
from ecgcvx.solvers.solution import Solution, Solver
from ecgcvx.windows import split_windows

Array = NDArray[np.float64]


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


def solve_path(program: ConvexProgram, betas: Array, solver: Solver) -> Iterator[tuple[float, Solution]]:
    """Yield (beta, solution) for falling betas, each solve warm-started by the one before it."""
    warm = None
    for beta in betas:
        solution = solver.solve(program.at(float(beta)), warm_start=warm)
        warm = solution.u
        yield float(beta), solution


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
    recording: Recording, options: FitOptions, count: int, ratio: float, step: Step
) -> tuple[RegularisationPath, Network]:
    """Fit the path on the first part of the training windows and choose beta on the rest of them.

    options.beta is not used; train_fraction serves for both splits. Returns the path and the chosen network. Raises
    InputError when the recording is too short for three parts or an option is unusable.
    """
    outer = split_windows(recording.signal, options.window, options.horizon, options.train_fraction)
    inner = split_windows(recording.signal[: outer.boundary], options.window, options.horizon, options.train_fraction)
    test = replace(outer.test, signal=inner.scaler.standardise(recording.signal))
    parts = (inner.train, inner.test, test)
    step(f"{options.patterns} patterns and their Gram matrix", None)
    patterns = fit_patterns(inner.train, options.patterns, options.network, options.seed)
    program = NETWORKS[options.network](PatternFeatures(inner.train.X, patterns), inner.train.y, 1.0)
    largest = program.largest_beta()
    betas = path_betas(largest, count, ratio)
    program.quadratic  # noqa: B018 - computed here once, so that every point of the path shares it
    points, networks = [], []
    started = time.perf_counter()
    for k, (beta, solution) in enumerate(solve_path(program, betas, SOLVERS[options.solver]())):
        network = merge(network_of(program, solution.u), inner.train.X)
        train, validation, held_out = (
            inner.scaler.scale * root_mean_square(part.y - network.predict(part.X)) for part in parts
        )
        now = time.perf_counter()
        points.append(
            PathPoint(beta, solution.primal, solution.gap, network.neurons, train, validation, held_out, now - started)
        )
        networks.append(network)
        started = now
        step(f"beta = {beta:.2e}: {network.neurons} neurons", (k + 1) / count)
    best = int(np.argmin([point.validation_rmse_mv for point in points]))
    sizes = (len(inner.train), len(inner.test), len(test))
    return RegularisationPath(tuple(points), largest, points[best], sizes), networks[best]


def path_csv(path: RegularisationPath) -> str:
    """The path as CSV text, one line a beta."""
    buffer = StringIO()
    writer = csv.DictWriter(buffer, list(PathPoint.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(point) for point in path.points)
    return buffer.getvalue()
