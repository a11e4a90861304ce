"""Training a stack, stage by stage: each is the convex program over all patterns of its features.

Given its features phi (n, q) and the residual r of the stages below, a stage minimises

    P(u) = 1/(2n) || sum_j s_j (phi u_j)_+ + phi w - r ||^2 + beta sum_j ||u_j||_2

over all neurons, its linear part w by unpenalised least squares in turns with them; price, bound and gap hold for it as
for any two-layer network. They say nothing of the stack as a whole, which is not convex.

What must be chosen - the beta of each stage, and how many stages - is chosen on a validation part: the last tenth of
the training windows in time, without those that reach over the boundary. Then all training windows train the stack.
Betas are multiples of the root-mean-square residual r that a stage starts from, which makes them free of units and of
the horizon (as in the square-root lasso: Belloni, Chernozhukov, Wang, 2011).
"""

import time
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.certificates import certify_searched
from ecgcvx.errors import InputError
from ecgcvx.evidence import relative_gap
from ecgcvx.interruption import check, keeping, stoppable, wanted
from ecgcvx.metrics import root_mean_square
from ecgcvx.models.stack import Stack, Stage
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.rows import Matrix
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.solution import AtomSolution
from ecgcvx.stacks.features import features, first_projection, next_projection
from ecgcvx.stacks.joint import joint_descent
from ecgcvx.types import Array, Progress, silent
from ecgcvx.windows import Windows

HELD_OUT = 0.1  # of the training windows, the last of them, for validation
FIRST_BETA = 9e-4  # of the lowest stage, relative to the residual of the linear predictor
# Of the others, relative to the residual below; the path ends when it gets worse.
BETAS = (4e-3, 2e-3, 1e-3, 5e-4)
SEARCH_ROUNDS = 2  # of a point of the path
FINAL_ROUNDS = 2  # on all windows, from the point that validation chose
GAP = 1e-2  # at which a solve stops
NEURONS = ReluFamily()
RIDGE = 1e-9  # of a linear part, relative to the mean variance of the features


@dataclass(frozen=True)
class StackOptions:
    """How a stack is trained.

    stages : at most; one more is kept only if it forecasts the validation part better. betas : of each stage, or None
    to choose them by validation. features, power : principal components of a stage and the power of their variance
    that divides them; first_power : that of the lowest stage. rounds : of a stage at betas that are given. members :
    stacks of different seeds to average. confirm_starts : fresh starts that the searched gap of a stage rests on.
    joint : epochs of descent on all stages at once, see `joint_descent`, before the last stage is solved once more; 0
    for none. threads : None for all cores; changes no result.
    """

    stages: int = 2
    betas: tuple[float, ...] | None = None
    features: int = 42
    power: float = 0.3
    first_power: float = 0.25
    rounds: int = 4
    members: int = 1
    joint: int = 0
    confirm_starts: int = 300
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        limits = {"stages": 1, "features": 1, "rounds": 1, "members": 1, "joint": 0, "confirm_starts": 1}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)}: give at least {least}")
        for name in ("power", "first_power"):
            if not 0.0 <= getattr(self, name) <= 0.5:
                raise InputError(
                    f"{name} = {getattr(self, name)}: give a number from 0 (as they are) to 0.5 (whitened)"
                )
        if self.betas is not None and not all(np.isfinite(beta) and beta > 0 for beta in self.betas):
            raise InputError(f"betas = {self.betas}: they must be positive numbers, e.g. 1e-4")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: it must not be negative")


@dataclass(frozen=True)
class SolvedStage:
    """What is known of one stage of one member, given its features and its linear part.

    primal : P. dual : its lower bound at the largest price that a search from `starts` fresh starts found; no proof.
    seconds : of all that made the stage.
    """

    beta: float
    neurons: int
    features: int
    primal: float
    dual: float
    starts: int
    status: str
    seconds: float

    @property
    def gap(self) -> float:
        """Relative searched gap."""
        return relative_gap(self.primal, self.dual)


@dataclass(frozen=True)
class Trial:
    """One choice that was tried on the validation part; root-mean-square errors of standardised targets."""

    stage: int
    beta: float
    neurons: int
    train_rmse: float
    validation_rmse: float
    seconds: float


@dataclass(frozen=True, eq=False)
class TrainedStack:
    """A stack, what is known of its stages (members x stages), the trials behind its choices, and the time it took.

    cut : what is left after Ctrl-C, '' for a whole run.
    """

    stack: Stack
    stages: tuple[tuple[SolvedStage, ...], ...]
    trials: tuple[Trial, ...]
    seconds: float
    cut: str = ""

    @property
    def betas(self) -> tuple[float, ...]:
        """The beta of each stage."""
        return tuple(stage.beta for stage in self.stages[0])


def train_stack(
    windows: Windows,
    options: StackOptions | None = None,
    progress: Progress = silent,
    end: float = float("inf"),
) -> TrainedStack:
    """Train a stack on windows; nothing but them is looked at. progress is called with what is being done.

    end : moment of `time.perf_counter` after which nothing more is begun: no further stack, stage or beta; what is
    chosen by then is trained on all windows, each stage for a single round at least.

    Ctrl-C ends it with the stacks that are whole, or where there is none with the stages that validation had chosen, as
    they were trained on the first nine tenths of the windows. KeyboardInterrupt passes where there is no stage yet.

    Raises InputError when there are too few windows for a validation part, or an option is unusable.
    """
    options = options or StackOptions()
    started = time.perf_counter()
    # Sums of BLAS would depend on the number of threads; the solver has its own.
    with keeping(), threadpool_limits(1, "blas"):
        members, trials, cut = _members(windows, options, progress, end)
    stack = Stack(tuple(member.stages for member in members))
    solved = tuple(tuple(member.solved) for member in members)
    return TrainedStack(stack, solved, tuple(trials), time.perf_counter() - started, cut)


def _members(
    windows: Windows, options: StackOptions, progress: Progress, end: float
) -> tuple[list["_Member"], list[Trial], str]:
    """The members, what validation tried, and what is left of it after Ctrl-C, '' otherwise."""
    members: list[_Member] = []
    trials: list[Trial] = []
    cut = ""
    check()
    for k in range(options.members):
        if members and time.perf_counter() >= end:
            break
        seeded = replace(options, seed=options.seed + k)
        name = f"stack {k + 1} of {options.members}, " if options.members > 1 else ""

        def tell(what: str, share: float | None, name: str = name) -> None:
            progress(name + what, share)

        if options.betas is None:
            inner, held = hold_out(windows)
            first, choices, tried = _choose(inner, held, seeded, tell, end)
            refined = None if wanted() else _refine(windows, choices, seeded, tell, end)
            found, cut = refined or first, "" if refined else "trained on the first nine tenths of the windows"
            trials.extend(tried)
        else:
            found = _train(windows, options.betas, seeded, tell, end)
        if wanted() and members:
            return members, trials, f"{k} of {options.members} stacks are kept"
        members.append(found)
        if options.joint and time.perf_counter() < end and not wanted():
            with stoppable():
                moved = copy(found)
                moved.descend(windows, tell)
            if not wanted():
                members[-1] = moved
        if wanted():
            return members, trials, cut or f"{len(found.stages)} stages are kept"
    return members, trials, ""


def hold_out(windows: Windows) -> tuple[Windows, Windows]:
    """The windows but the last tenth in time, and the last tenth; none of the first reaches into the second.

    Raises InputError when either has no windows.
    """
    first = int(windows.starts[int((1 - HELD_OUT) * len(windows))]) if len(windows) else 0
    span = windows.length + windows.horizon - 1
    inner = tuple((a, min(b, first - span)) for a, b in windows.runs if a < first - span)
    held = tuple((max(a, first), b) for a, b in windows.runs if b > first)
    if not inner or not held:
        raise InputError(
            f"windows: {len(windows)} of them leave none to validate on; give a longer recording, or betas"
        )
    return replace(windows, runs=inner), replace(windows, runs=held)


class _Choice(NamedTuple):
    """What validation chose for a stage: beta, and the stage with its atoms, trained on the windows before."""

    beta: float
    stage: Stage
    atoms: Atoms
    solved: SolvedStage | None = None


class _Member:
    """A stack that grows on given rows, until a moment of `time.perf_counter`."""

    def __init__(self, X: Matrix, y: Array, options: StackOptions, end: float) -> None:
        self.X, self.y, self.options, self.end = X, y, options, end
        self.stages: tuple[Stage, ...] = ()
        self.solved: list[SolvedStage] = []
        self.residual = y

    def prepare(self) -> None:
        """Make the features of the next stage and its first linear part."""
        o = self.options
        self.started = time.perf_counter()
        self.projection = (
            next_projection(self.X, self.stages, o.features, o.power)
            if self.stages
            else first_projection(self.X, o.features, o.first_power)
        )
        self.phi = features(self.X, self.stages, self.projection)
        self.atoms: Atoms | None = None
        self.linear = _fitted(self.phi, self.residual)
        self.scale = root_mean_square(self.residual - self.phi @ self.linear)

    def carry(self, below: tuple[Stage, ...], choice: _Choice) -> None:
        """Take over the neurons of a stage that was trained on other rows, above other stages.

        Its features differ; the neurons are those whose inputs are nearest to the old ones in least squares.
        """
        old = features(self.X, below, choice.stage.projection)
        self.atoms = choice.atoms.moved(choice.atoms.points @ _fitted(self.phi, old).T)

    def solve(self, beta: float, rounds: int, confirm_starts: int) -> AtomSolution:
        """Solve the next stage at a beta, from the atoms of the last one."""
        o = self.options
        if self.atoms is not None and len(self.atoms):
            self.linear = _fitted(self.phi, self.residual - output(self.phi, self.atoms))
        solver = ActiveSetSolver(gap=GAP, rounds=rounds, confirm_starts=confirm_starts, seed=o.seed, threads=o.threads)
        warm = self.atoms if self.atoms is not None and len(self.atoms) else None
        program = AllPatterns(self.phi, self.residual - self.phi @ self.linear, beta, family=NEURONS)
        found = solver.solve(program, warm_start=warm, time_limit=max(self.end - time.perf_counter(), 1e-3))
        self.atoms = found.atoms
        return found

    def finish(self, beta: float, rounds: int, progress: Progress) -> None:
        """Solve the next stage once more, bound it, and put it on top."""
        progress(f"stage {len(self.stages) + 1}: beta = {beta:.2e}", None)
        found = self.solve(beta, rounds, self.options.confirm_starts)
        self.keep(self.stage(beta))
        self.solved.append(
            SolvedStage(
                beta, len(found.atoms), self.phi.shape[1], found.primal, found.dual, found.starts, found.status,
                time.perf_counter() - self.started,
            )
        )  # fmt: skip

    def descend(self, windows: Windows, progress: Progress) -> None:
        """Descend on all stages at once, then solve the last one again from there."""
        total = self.options.joint
        moved = joint_descent(
            self.stages, windows.X, windows.y, total, self.options.seed,
            lambda epoch: progress(f"all stages at once: epoch {epoch} of {total}", epoch / total),
        )  # fmt: skip
        *lower, last = moved
        self.stages, self.residual, self.solved = (), windows.y, []
        for number, stage in enumerate(lower, 1):
            progress(f"stage {number}: what it is now", None)
            started = time.perf_counter()
            self.phi = features(self.X, self.stages, stage.projection)
            found = certify_searched(
                stage.network, self.phi, self.residual - self.phi @ stage.linear, stage.beta,
                self.options.confirm_starts, self.options.seed,
            )  # fmt: skip
            self.keep(stage)
            self.solved.append(
                SolvedStage(
                    stage.beta, stage.network.neurons, self.phi.shape[1], found.primal, found.dual,
                    self.options.confirm_starts, "moved with all stages", time.perf_counter() - started,
                )
            )  # fmt: skip
        self.prepare()
        self.carry(tuple(lower), _Choice(last.beta, last, NEURONS.atoms(last.network)))
        self.finish(last.beta, FINAL_ROUNDS, progress)

    def stage(self, beta: float) -> Stage:
        """The stage as it stands."""
        assert self.atoms is not None
        network = NEURONS.network(self.atoms)
        return Stage(self.projection, self.linear, network, beta)

    def keep(self, stage: Stage) -> None:
        """Put a stage on top."""
        self.stages = (*self.stages, stage)
        self.residual = self.residual - stage.output(self.phi)


def _choose(
    inner: Windows, held: Windows, options: StackOptions, progress: Progress, end: float
) -> tuple[_Member, tuple[_Choice, ...], tuple[Trial, ...]]:
    """The stages that forecast the held-out windows best, as a member and one by one, and all that was tried.

    After Ctrl-C or the end of the time a stage that was cut short takes no part unless it is the only one.
    """
    member = _Member(inner.X, inner.y, options, end)
    residual = held.y
    trials: list[Trial] = []
    choices: list[_Choice] = []
    best = np.inf
    for number in range(1, options.stages + 1):
        if choices and time.perf_counter() >= end:
            break
        member.prepare()
        phi = features(held.X, member.stages, member.projection)
        chosen: _Choice | None = None
        for share in BETAS if member.stages else (FIRST_BETA,):
            started = time.perf_counter()
            beta = share * member.scale
            found = member.solve(beta, SEARCH_ROUNDS, 0)
            if (wanted() or time.perf_counter() >= end) and (choices or chosen):
                break
            stage = member.stage(beta)
            train = root_mean_square(member.residual - stage.output(member.phi))
            error = root_mean_square(residual - stage.output(phi))
            trials.append(Trial(number, beta, len(found.atoms), train, error, time.perf_counter() - started))
            progress(f"stage {number}, beta = {beta:.2e}: {len(found.atoms)} neurons, validation {error:.5f}", None)
            if error >= best:
                break
            neurons, q, seconds = len(found.atoms), member.phi.shape[1], time.perf_counter() - started
            solved = SolvedStage(beta, neurons, q, found.primal, found.dual, 0, found.status, seconds)
            best, chosen = error, _Choice(beta, stage, found.atoms, solved)
        if chosen is None:
            break
        choices.append(chosen)
        member.keep(chosen.stage)
        residual = residual - chosen.stage.output(phi)
        if wanted():
            break
    member.solved = [choice.solved for choice in choices if choice.solved is not None]
    return member, tuple(choices), tuple(trials)


def _refine(
    windows: Windows, choices: tuple[_Choice, ...], options: StackOptions, progress: Progress, end: float
) -> _Member | None:
    """All windows train the stages that validation chose, each from where it was; None after Ctrl-C."""
    member = _Member(windows.X, windows.y, options, end)
    for number, choice in enumerate(choices):
        member.prepare()
        member.carry(tuple(below.stage for below in choices[:number]), choice)
        member.finish(choice.beta, FINAL_ROUNDS, progress)
        if wanted():
            return None
    return member


def _train(
    windows: Windows, betas: tuple[float, ...], options: StackOptions, progress: Progress, end: float
) -> _Member:
    """All windows train stages of given betas, those above the lowest by way of larger ones."""
    member = _Member(windows.X, windows.y, options, end)
    for beta in betas:
        member.prepare()
        for share in BETAS if member.stages else ():
            if share * member.scale > 1.5 * beta and not wanted():
                member.solve(share * member.scale, SEARCH_ROUNDS, 0)
        member.finish(beta, options.rounds, progress)
        if wanted():
            break
    return member


def output(phi: Array, atoms: Atoms) -> Array:
    """sum_j s_j (phi u_j)_+ (n,)."""
    return NEURONS.network(atoms).predict(phi)


def _fitted(phi: Array, target: Array) -> Array:
    """Weights (q,) or (q, k) of the least-squares fit of target (n,) or (n, k) by phi.

    By the normal equations: the columns are decorrelated, so that squaring their condition number does no harm. Only a
    singular phi feels the ridge.
    """
    gram = phi.T @ phi
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.asarray(np.linalg.solve(gram + ridge, phi.T @ target))
