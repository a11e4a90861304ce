"""From a recording to a certified forecaster and what it is compared with: the work behind `ecgcvx fit`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.cautions import fit_cautions
from ecgcvx.certificates import Certificate
from ecgcvx.choice import Rule, smallest_good
from ecgcvx.evidence import percent
from ecgcvx.fit_options import FitOptions
from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import COVERAGES, Calibration, calibrate
from ecgcvx.kinds.kind import Limits, NetworkKind, Trained
from ecgcvx.kinds.registry import kind_class
from ecgcvx.metrics import root_mean_square
from ecgcvx.models import Model
from ecgcvx.outside import OutsideScore, outside_score
from ecgcvx.path import RegularisationPath, regularisation_path
from ecgcvx.proof import prove
from ecgcvx.records import Recording
from ecgcvx.scores import Score, Scorer, baselines
from ecgcvx.solvers.active_set.sparsify import Sparsified
from ecgcvx.solvers.check import Check
from ecgcvx.training_range import training_range
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Split, WindowMatrix, split_windows

PATH_BETAS, PATH_FIRST, PATH_RATIO, PATH_PATIENCE = 7, 1e-3, 1e-6, 2  # of the path that chooses beta
MANY_ROUNDS = 1000  # where time is the limit
READABLE_ROUNDS = 8  # where few neurons are chosen: their gap is at least that of the training
READABLE_RATIO = 5e-6  # its end where few neurons are chosen: smaller beta takes long to certify, and the descent at
# a tenth of beta has most of what it would gain


@dataclass(frozen=True)
class SparseLine:
    """One line of the curve neurons against objective: increase is that of P over the trained network, a share."""

    neurons: int
    objective: float
    increase: float
    train_rmse_mv: float
    test_rmse_mv: float


@dataclass(frozen=True)
class SizeLine:
    """One size of the curve that a network is chosen from: root-mean-square error in mV on the validation part."""

    neurons: int
    validation_rmse_mv: float


@dataclass(frozen=True, eq=False)
class SizeChoice:
    """The sizes on the validation part, the chosen one, and its atoms there. rule : as it was given."""

    rule: str
    lines: tuple[SizeLine, ...]
    chosen: SizeLine
    atoms: Any


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """A fitted forecaster, its comparison, and what it was made of.

    path : what chose beta, None where it was given. sparse : the curve of a sparsified network. checks : of the final
    network by other solvers. proof : the proved bound, None where none was asked for. choice :
    what chose the number of neurons, best : the network of all of them; None where all are kept. overrun : seconds of
    training beyond the time limit. outside : how it does on test windows outside the training range.
    cautions : what its numbers should be read with, a sentence each.
    """

    forecaster: Forecaster
    scores: tuple[Score, ...]
    split: Split
    trained: Trained
    path: RegularisationPath | None
    sparse: tuple[SparseLine, ...] = ()
    checks: tuple[Check, ...] = ()
    proof: Certificate | None = None
    overrun: float = 0.0
    best: Trained | None = None
    choice: SizeChoice | None = None
    outside: OutsideScore | None = None
    cautions: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        from ecgcvx.notebook import grid, number

        rows = [
            (score.name, number(score.neurons, 0), number(score.train_rmse_mv, 4), number(score.test_rmse_mv, 4),
             "" if score.gap is None else percent(score.gap.relative), number(score.seconds, 1))
            for score in self.scores
        ]  # fmt: skip
        words = "" if self.trained.gap is None else f"<div>{escape(self.trained.gap.words)}</div>"
        return grid(("model", "neurons", "train mV", "test mV", "gap", "seconds"), rows) + words


def fit(
    recording: Recording,
    options: FitOptions,
    progress: Progress,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Fit:
    """Train a convex network and its baselines on the first part of a recording and score them on the rest.

    Without a beta, the path of `regularisation_path` chooses it, and the training starts from its point. checkpoint,
    resume : see `ActiveSetSolver`; where the network keeps checkpoints.

    Raises InputError when the recording or an option does not allow it.
    """
    kind, limits = options.network, options.limits(checkpoint, resume)
    started = time.perf_counter()
    split = split_windows(recording.signal, options.window, options.horizon, options.train_fraction)
    path, trained, problem, choice, inner = _train(recording, split, options, limits, progress)
    best = None
    if choice is not None:
        trained, best = problem.readable(trained, choice.atoms, limits, progress)
    trained, sparsified = kind.pruned(problem, trained, limits, progress)
    sparse = () if sparsified is None else _sparse_lines(sparsified, problem, split)
    seconds = time.perf_counter() - started
    calibration = None
    if options.intervals is not None:
        if sparsified is not None:  # fewer neurons than those of the path: trained and pruned alike
            inner = None
        calibration = _calibration(recording, split, options, path, trained.beta, inner, limits, progress)
    checks = kind.checks(problem, trained, limits, progress)
    forecaster = Forecaster(
        trained.network, split.scaler, recording.lead, recording.sampling_frequency, options.window, options.horizon,
        trained.beta, options.network.name, recording.given_unit,
        None if recording.original_frequency is None else recording.sampling_frequency,
        training_range(split.train.X, split.train.y), calibration,
    )  # fmt: skip
    scorer = Scorer(split, forecaster.beyond(split.test))
    others = baselines(options.baselines, scorer, trained, options.seed, limits, progress)
    overrun = max(time.perf_counter() - limits.end, 0.0)
    proof = None if options.prove is None else _proof(forecaster, split, options.prove, progress)
    convex = replace(scorer.convex("convex", trained, seconds), proved_gap=None if proof is None else proof.gap)
    every = () if best is None else (scorer.convex("convex_best", best, seconds),)
    scores = (*others, *every, convex)
    outside = outside_score(forecaster, split.test)
    left_out = ("backprop_adam",) if options.baselines == "all" and len(others) < 3 else ()
    cut_short = tuple(score.name for score in others if score.status)
    cautions = fit_cautions(trained, path, options, outside, overrun, left_out, cut_short)
    return Fit(
        forecaster=forecaster, scores=scores, split=split, trained=trained, path=path, sparse=sparse, checks=checks,
        proof=proof, overrun=overrun, best=best, choice=choice, outside=outside,
        cautions=cautions,
    )  # fmt: skip


def _train(
    recording: Recording, split: Split, options: FitOptions, limits: Limits, progress: Progress
) -> tuple[RegularisationPath | None, Trained, Any, SizeChoice | None, Model | None]:
    """Choose beta and the number of neurons where they are to be chosen, then train on all training windows.

    The last entry is the network of the inner training part that was chosen, None where nothing was.
    """
    kind, path, warm, choice = options.network, None, None, None
    beta, rule = options.beta, options.network.rule(options.beta is None)
    rounds = MANY_ROUNDS if options.time_limit is not None else None if rule is None else READABLE_ROUNDS
    if beta is None and kind.takes_beta:
        ratio = PATH_RATIO if rule is None else READABLE_RATIO
        path, warm = regularisation_path(
            recording, options, PATH_BETAS, ratio, progress, PATH_FIRST, PATH_PATIENCE, split=split, limits=limits
        )
        beta = path.chosen.beta
    chosen = None if warm is None else warm.network
    if rule is not None:
        inner = path.inner if path is not None else _inner(recording, split, options)
        small: Any = kind.problem(inner.train, options.seed, progress) if warm is None else warm.problem
        if warm is None:
            warm = small.train(beta or 0.0, warm=None, limits=limits, progress=progress, rough=True)
        block = round(recording.sampling_frequency)
        choice = _choose(small.sizes(warm, inner.test, limits, progress), rule, block, inner.scaler.scale, kind)
        chosen = chosen if choice is None else small.network_of(choice.atoms)
    problem: Any = kind.problem(split.train, options.seed, progress, rounds=rounds)
    return path, problem.train(beta or 0.0, warm=warm, limits=limits, progress=progress), problem, choice, chosen


def _calibration(
    recording: Recording, split: Split, options: FitOptions, path: RegularisationPath | None, beta: float,
    network: Model | None, limits: Limits, progress: Progress,
) -> Calibration:  # fmt: skip
    """The calibration by the validation part, with the network of the part before it, trained here if not given."""
    inner = path.inner if path is not None else _inner(recording, split, options)
    if network is None:
        progress("training without the validation part", None)
        problem = options.network.problem(inner.train, options.seed, progress)
        trained = problem.train(beta, warm=None, limits=limits, progress=progress)
        network = options.network.pruned(problem, trained, limits, progress)[0].network
    known: list[tuple[WindowMatrix, Array]] = []
    for part in (inner.train, inner.test):
        rows = WindowMatrix(split.train.signal, part.runs, part.length)  # standardised as the forecaster does
        known.append((rows, inner.scaler.scale * (part.y - network.predict(part.X))))
    return calibrate(known[0], known[1], options.intervals or COVERAGES)


def _inner(recording: Recording, split: Split, options: FitOptions) -> Split:
    """The training part divided once more, into training and validation."""
    signal = recording.signal[: split.boundary]
    return split_windows(signal, options.window, options.horizon, options.train_fraction)


def _choose(sizes: Sequence[Any], rule: Rule, block: int, scale: float, kind: NetworkKind) -> SizeChoice | None:
    if not sizes:  # the time limit came first
        return None
    chosen = smallest_good(rule, [size.neurons for size in sizes], [size.errors for size in sizes], block)
    lines = tuple(SizeLine(size.neurons, scale * float(np.sqrt(size.errors.mean()))) for size in sizes)
    return SizeChoice(getattr(kind, "choose", None) or "within:1%", lines, lines[chosen], sizes[chosen].atoms)


def _proof(forecaster: Forecaster, split: Split, seconds: float, progress: Progress) -> Certificate:
    programs = kind_class(forecaster.kind).programs(forecaster.network, split.train.X, split.train.y, forecaster.beta)
    return prove(programs[-1], seconds, progress)


def _sparse_lines(found: Sparsified, problem: Any, split: Split) -> tuple[SparseLine, ...]:
    lines = []
    for point in found.curve:
        network = problem.network_of(point.atoms)
        test = split.scaler.scale * root_mean_square(split.test.y - network.predict(split.test.X))
        increase = point.primal / found.reference - 1 if found.reference > 0 else 0.0
        lines.append(SparseLine(point.neurons, point.primal, increase, split.scaler.scale * point.rmse, test))
    return tuple(lines)
