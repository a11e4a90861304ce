"""The comparison of a recording: convex program as reference, linear family, and every optimiser of backprop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.linear import (
    Triangle,
    group_lasso_path,
    lasso_path,
    least_squares,
    persistence_weights,
    ridge_path,
    triangle,
)
from ecgcvx.baselines.problem import Problem
from ecgcvx.comparison.contenders import CONTENDERS, SCHEDULES
from ecgcvx.comparison.race import TUNING, Run, RunContext, Task, complete
from ecgcvx.cores import usable_cores
from ecgcvx.errors import InputError
from ecgcvx.interruption import check, keeping, stoppable, wanted
from ecgcvx.kinds.all_patterns import AllPatternsProblem
from ecgcvx.kinds.kind import Limits, Trained
from ecgcvx.metrics import root_mean_square
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import Recording
from ecgcvx.rows import row_chunks
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.solution import Round
from ecgcvx.types import Array, Progress, silent
from ecgcvx.windows import Split, Windows, split_windows

CONVEX_LIMIT = 60.0  # seconds after which the reference is taken as it is
CONFIRM_STARTS = 1000
WARM_WINDOWS, WARM_LIMIT = 600, 5.0  # of the training that has everything compiled
PENALTIES = np.geomspace(1e-7, 1e-1, 19)
GROUP = 3  # neighbouring samples that the group lasso keeps or drops together


@dataclass(frozen=True)
class CompareOptions:
    """Options of `ecgcvx compare`; window and horizon in samples.

    neurons, runs, seconds : of each network, initialisations of each optimiser, processor time of each run. gap : to
    which the convex program is solved. contenders : names of optimisers. jobs : runs at once, None for one a core.

    Raises InputError for an option that is out of range.
    """

    window: int = 15
    horizon: int = 1
    train_fraction: float = 0.8
    beta: float = 1e-4
    neurons: int = 64
    runs: int = 10
    seconds: float = 1.5
    gap: float = 1e-2
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    jobs: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("neurons", "runs", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} = {value}: give at least 1")
        for name in ("beta", "seconds"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"{name} = {value}: it must be a positive number")
        if not 0 <= self.seed < TUNING - self.runs:
            raise InputError(f"seed = {self.seed}: it must lie between 0 and {TUNING - self.runs - 1:,}")
        for name in self.contenders:
            if name not in CONTENDERS:
                raise InputError(f"optimiser = {name!r}: choose from {', '.join(CONTENDERS)}")

    @property
    def processes(self) -> int:
        """Runs at once."""
        if self.jobs is not None:
            return self.jobs
        return usable_cores()


@dataclass(frozen=True, eq=False)
class Reference:
    """The convex network, and its objective against the processor time of one thread."""

    trained: Trained
    seconds: float
    trace: tuple[tuple[float, float], ...]
    train_rmse_mv: float
    test_rmse_mv: float

    def by(self, seconds: float) -> float | None:
        """The lowest objective on all windows that was known by then; None before the first."""
        return min((value for moment, value in self.trace if moment <= seconds), default=None)


@dataclass(frozen=True)
class LinearScore:
    """A linear predictor: its penalty, chosen on a validation part, coefficients that are not zero, RMSE in mV."""

    name: str
    penalty: float | None
    coefficients: int
    train_rmse_mv: float
    test_rmse_mv: float


@dataclass
class Comparison:
    """All that was found; what is missing after Ctrl-C is empty, and complete is False."""

    options: CompareOptions
    split: Split
    reference: Reference
    linear: tuple[LinearScore, ...] = ()
    tuning: list[Run] = field(default_factory=list)
    chosen: dict[str, Task] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    complete: bool = False


def compare(recording: Recording, options: CompareOptions, progress: Progress) -> Comparison:
    """Compare on the training part of a recording; progress is called with what is being done.

    KeyboardInterrupt ends the comparison early with what is done. Raises InputError when the recording does not allow
    it.
    """
    with keeping():
        return _compare(recording, options, progress)


def _compare(recording: Recording, options: CompareOptions, progress: Progress) -> Comparison:
    split = split_windows(recording.signal, options.window, options.horizon, options.train_fraction)
    found = Comparison(options, split, _reference(split, options, progress))
    with stoppable():
        check()
        progress("linear family", None)
        found.linear = linear_family(recording, split)
    if wanted():
        return found
    layers = Layers((options.window + 1, options.neurons, 1))
    problem = Problem(layers, split.train.X, split.train.y, options.beta).single()
    test = Problem(layers, split.test.X, split.test.y, options.beta).single()
    assert isinstance(test.X, np.ndarray)
    context = RunContext(problem, test.X, test.y, split.scaler.scale, options.seconds)
    tasks = _tuning_tasks(options)
    found.tuning = complete(context, tasks, options.processes, _counter("tuning", len(tasks), progress))
    if len(found.tuning) < len(tasks):
        return found
    found.chosen = {name: _best(name, found.tuning) for name in options.contenders}
    tasks = [
        replace(found.chosen[name], seed=options.seed + number)
        for number in range(options.runs)
        for name in options.contenders
    ]
    found.runs = complete(context, tasks, options.processes, _counter("race", len(tasks), progress))
    found.complete = len(found.runs) == len(tasks)
    return found


def _tuning_tasks(options: CompareOptions) -> list[Task]:
    return [
        Task(name, TUNING + options.seed, schedule, step_size)
        for name in options.contenders
        for schedule in SCHEDULES
        for step_size in CONTENDERS[name].grid
    ]


def _best(name: str, tuning: list[Run]) -> Task:
    """Schedule and step size with the lowest objective; none for an optimiser without a grid."""
    own = [run for run in tuning if run.task.contender == name]
    return min(own, key=lambda run: run.objective).task if own else Task(name, 0)


def _counter(phase: str, count: int, progress: Progress) -> Callable[[Run], None]:
    done = 0

    def seen(run: Run) -> None:
        nonlocal done
        done += 1
        label = CONTENDERS[run.task.contender].label
        progress(f"{phase}: run {done} of {count}, {label}: P = {run.objective:.4e}", done / count)

    progress(f"{phase}: {count} runs", 0.0)
    return seen


def _reference(split: Split, options: CompareOptions, progress: Progress) -> Reference:
    """Train the convex network on one thread, with what is compiled at its first use compiled beforehand."""
    solver = ActiveSetSolver(gap=options.gap, seed=options.seed, threads=1, confirm_starts=CONFIRM_STARTS)
    progress("compiling", None)
    first = split.train.runs[0]
    few = replace(split.train, runs=((first[0], min(first[1], first[0] + WARM_WINDOWS)),))
    small = AllPatternsProblem(
        AllPatterns(few.X, few.y, options.beta), replace(solver, rounds=1, confirm_starts=1), options.seed
    )
    small.train(options.beta, warm=None, limits=_limits(WARM_LIMIT), progress=silent)
    check()
    problem = AllPatternsProblem(AllPatterns(split.train.X, split.train.y, options.beta), solver, options.seed)
    started = time.process_time()
    moments: list[float] = []

    def show(what: str, share: float | None) -> None:
        moments.append(time.process_time() - started)
        progress(f"convex: {what}", share)

    trained = problem.train(options.beta, warm=None, limits=_limits(CONVEX_LIMIT), progress=show)
    seconds = time.process_time() - started
    trace = tuple(
        (moment, line.primal)
        for moment, line in zip(moments, trained.history, strict=False)
        if isinstance(line, Round) and line.rows == len(split.train)
    )
    train, test = (split.rmse_mv(trained.network.predict, part) for part in (split.train, split.test))
    return Reference(trained, seconds, (*trace, (seconds, trained.gap.primal)), train, test)


def _limits(seconds: float) -> Limits:
    return Limits(time.perf_counter() + seconds)


def linear_family(recording: Recording, split: Split) -> tuple[LinearScore, ...]:
    """Score persistence, least squares, ridge, lasso and group lasso.

    Each penalty is chosen on the last part of the training windows, trained on those before, as beta is in
    `regularisation_path`; the predictor is then trained on all training windows with it.
    """
    length, horizon = split.train.length, split.train.horizon
    share = split.boundary / len(recording.signal)
    inner = split_windows(recording.signal[: split.boundary], length, horizon, share)
    first, whole = (triangle(part.X, part.y) for part in (inner.train, split.train))
    groups = [list(range(j, min(j + GROUP, length))) for j in range(0, length, GROUP)] + [[length]]
    families: dict[str, Callable[[Triangle, Array], Array]] = {
        "ridge": ridge_path,
        "lasso": lasso_path,
        "group lasso": lambda data, penalties: group_lasso_path(data, penalties, groups),
    }
    scores = [
        _linear_score("persistence", None, persistence_weights(length + 1), split),
        _linear_score("least squares, AR", None, least_squares(split.train.X, split.train.y), split),
    ]
    for name, path in families.items():
        errors = [_rmse(w, inner.test) for w in path(first, PENALTIES)]
        penalty = float(PENALTIES[int(np.argmin(errors))])
        scores.append(_linear_score(name, penalty, path(whole, np.array([penalty]))[0], split))
    return tuple(scores)


def _linear_score(name: str, penalty: float | None, w: Array, split: Split) -> LinearScore:
    train, test = (split.scaler.scale * _rmse(w, part) for part in (split.train, split.test))
    return LinearScore(name, penalty, int(np.count_nonzero(w)), train, test)


def _rmse(w: Array, part: Windows) -> float:
    predicted = np.concatenate([rows @ w for _, rows in row_chunks(part.X, 1 << 16)])
    return root_mean_square(part.y - predicted)
