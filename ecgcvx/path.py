"""The regularisation path of a recording, and the choice of beta by a chronological validation split.

The first part of the training windows trains, the rest of them validates; the test part is only reported. Every point
starts from the one before it; what a network computes of the data once serves the whole path.
"""

import csv
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from io import StringIO

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.fit_options import FitOptions
from ecgcvx.interruption import check, keeping, raising, wanted
from ecgcvx.kinds.kind import Limits, Problem, Trained
from ecgcvx.metrics import root_mean_square
from ecgcvx.records import Recording
from ecgcvx.sharing import Sharing
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Split, Windows, split_windows


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

    windows: training, validation and test windows, how many of each. inner : the split of the training part. status :
    'complete', or 'time limit' or 'interrupted' where smaller betas might have been tried. floor_reached : whether the
    chosen beta is the smallest that the path would try. step : every step-th training window was trained on, which
    objectives and gaps are of; the errors are of all windows.
    """

    points: tuple[PathPoint, ...]
    largest_beta: float
    chosen: PathPoint
    windows: tuple[int, int, int]
    inner: Split
    status: str = "complete"
    floor_reached: bool = False
    step: int = 1


def path_betas(largest: float, count: int, ratio: float) -> Array:
    """`count` betas in geometric progression from `largest` to ratio * largest.

    Raises InputError for fewer than two betas or a ratio outside (0, 1).
    """
    if count < 2:
        raise InputError(f"betas = {count}: a path takes at least 2")
    if not 0.0 < ratio < 1.0:
        raise InputError(f"ratio = {ratio}: it must lie between 0 and 1, e.g. 1e-6")
    return np.geomspace(largest, ratio * largest, count)


def regularisation_path(
    recording: Recording,
    options: FitOptions,
    count: int,
    ratio: float,
    progress: Progress,
    first: float = 1.0,
    patience: int = 0,
    *,
    split: Split | None = None,
    limits: Limits | None = None,
    problem: Problem | None = None,
    sharing: Sharing | None = None,
) -> tuple[RegularisationPath, Trained]:
    """Fit the path on the first part of the training windows and choose beta on the rest of them.

    split : of the recording with these options, problem : of the first part of the training windows; made here unless
    they are given. options.beta is not used; train_fraction serves for both splits. sharing : with other horizons;
    after the path of one of them the betas are its choice and one step to either side, from its training there.
    The betas fall from first * largest to ratio * largest; patience > 0 ends the path after as many points in a row
    with a larger validation error. At the end of the time limit or on Ctrl-C the path ends with the points that are
    whole; a point that was cut short takes no part in the choice unless it is the only one. KeyboardInterrupt passes
    where there is none yet.

    Returns the path and the chosen training. Raises InputError when the recording is too short for three parts or an
    option is unusable.
    """
    kind = options.network
    if not kind.takes_beta:
        raise InputError(f"network = {kind.name!r}: it chooses its own betas when it is fitted; take a path of relu")
    kind.check_joined(len(recording.joined))
    if kind.needs_beta is not None:
        raise InputError(f"{kind.described}: it trains at a single beta; leave the solver out, or pass patterns=N")
    if len(kind.linear_parts(False)) > 1:
        raise InputError("linear = 'auto': a path is that of one program; give penalised or free")
    limits, sharing = options.limits() if limits is None else limits, sharing or Sharing()
    signal = recording.signals
    outer = split or split_windows(signal, options.window, options.horizon, options.train_fraction)
    inner = inner_split(signal, outer, options, sharing)
    test = replace(outer.test, signal=inner.scaler.standardise(signal))
    parts = (inner.train, inner.test, test)
    with keeping():
        with raising():
            if problem is None:
                problem = sharing.problem(kind, inner.train, options.seed, progress)
            progress("the largest beta", None)
            largest = problem.largest_beta()
        betas, before = path_betas(first * largest, count, ratio / first), sharing.paths.get(kind)
        if before is not None:
            betas = before[0].chosen.beta * (betas[0] / betas[1]) ** np.array([1.0, 0.0, -1.0])
        warm = None if before is None else before[1]
        points, trained, status = _points(problem, betas, parts, inner.scaler.scale, patience, limits, progress, warm)
    best = _best(points)
    sizes = (len(inner.train), len(inner.test), len(test))
    floor = before is None and points[best].beta == float(betas[-1])
    path = RegularisationPath(tuple(points), largest, points[best], sizes, inner, status, floor, trained[best].step)
    if sharing.longest:
        sharing.paths[kind] = path, trained[best]
    return path, trained[best]


def inner_split(signal: Array, split: Split, options: FitOptions, sharing: Sharing) -> Split:
    """Return the training part of a split divided once more, into training and validation."""
    return split_windows(
        signal[..., : split.boundary], options.window, options.horizon, options.train_fraction, longest=sharing.longest
    )


def first_part(
    path: RegularisationPath | None, recording: Recording, split: Split, options: FitOptions, sharing: Sharing
) -> Split:
    """Return the `inner_split` of a recording, that of its path where there is one."""
    return path.inner if path is not None else inner_split(recording.signals, split, options, sharing)


def falling(
    problem: Problem, betas: Array, limits: Limits, progress: Progress, warm: Trained | None = None
) -> Iterator[Trained]:
    """Train at betas that fall, each from the one before; a training that was cut short is the last."""
    for beta in betas:
        warm = problem.train(float(beta), warm=warm, limits=limits, progress=progress, rough=True)
        yield warm
        if warm.cut:
            return


def _points(
    problem: Problem, betas: Array, parts: tuple[Windows, ...], scale: float, patience: int, limits: Limits,
    progress: Progress, warm: Trained | None,
) -> tuple[list[PathPoint], list[Trained], str]:  # fmt: skip
    """The points of falling beta with their trainings, and why they end."""
    points: list[PathPoint] = []
    trained: list[Trained] = []
    started = time.perf_counter()
    check()
    for found in falling(problem, betas, limits, progress, warm):
        if found.cut and points:
            return points, trained, found.status
        train, validation, held_out = (
            scale * root_mean_square(part.y - found.network.predict(part.X)) for part in parts
        )
        now = time.perf_counter()
        neurons = found.network.neurons
        primal, gap = found.gap.primal, found.gap.relative
        points.append(PathPoint(found.beta, primal, gap, neurons, train, validation, held_out, now - started))
        trained.append(found)
        started = now
        progress(
            f"beta = {found.beta:.2e}: {neurons} neurons, validation {validation:.5f} mV", len(points) / len(betas)
        )
        if found.cut or (wanted() and len(points) < len(betas)):
            return points, trained, found.status if found.cut else "interrupted"
        if patience and len(points) - 1 - _best(points) >= patience:
            break
    return points, trained, "complete"


def _best(points: list[PathPoint]) -> int:
    """Index of the point with the smallest validation error."""
    return int(np.argmin([point.validation_rmse_mv for point in points]))


def path_csv(path: RegularisationPath) -> str:
    """The path as CSV text, one line a beta."""
    buffer = StringIO()
    writer = csv.DictWriter(buffer, list(PathPoint.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(point) for point in path.points)
    return buffer.getvalue()
