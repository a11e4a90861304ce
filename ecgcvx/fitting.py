"""From a recording to a certified forecaster and what it is compared with: the work behind `ecgcvx fit`."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ecgcvx.cautions import fit_cautions
from ecgcvx.certificates import Certificate
from ecgcvx.choice import Rule, smallest_good
from ecgcvx.evidence import at_most
from ecgcvx.filling import check_not_filled
from ecgcvx.fit_options import FitOptions
from ecgcvx.fit_start import LinearChoice, rough, start
from ecgcvx.forecaster import Forecaster
from ecgcvx.interruption import check, keeping, raising, stoppable, wanted
from ecgcvx.intervals import COVERAGES, Calibration, calibrate
from ecgcvx.kinds.kind import Limits, NetworkKind, Trained
from ecgcvx.kinds.registry import kind_class
from ecgcvx.models import Model
from ecgcvx.outside import OutsideScore, outside_score
from ecgcvx.path import RegularisationPath, first_part
from ecgcvx.proof import prove
from ecgcvx.records import Recording
from ecgcvx.recurrence import Recurrence, recurrence
from ecgcvx.scores import Score, Scorer, baselines
from ecgcvx.sharing import Sharing
from ecgcvx.solvers.active_set.sparsify import Sparsified
from ecgcvx.solvers.check import Check
from ecgcvx.training_range import training_range
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Split, WindowMatrix, split_windows

SIZES_SHARE, TRAIN_SHARE = 0.3, 0.7  # of what is left of a time limit, where neurons are chosen
MANY_ROUNDS = 1000  # where time is the limit
READABLE_ROUNDS = 6  # where few neurons are chosen: their gap is at least that of the training


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
    """The sizes on the validation part, the chosen one, its network there, and the atoms of that.

    rule : as it was given. neurons : for all training windows, as many for each of them. carried : whether these atoms
    were carried over to all windows, as the time limit left none to prune the network of all windows to so many.
    """

    rule: str
    lines: tuple[SizeLine, ...]
    chosen: SizeLine
    network: Any
    atoms: Any
    neurons: int
    carried: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """A fitted forecaster, its comparison, and what it was made of.

    path : what chose beta, None where it was given. sparse : the curve of a sparsified network. checks : of the final
    network by other solvers. proof : the proved bound, None where none was asked for. choice :
    what chose the number of neurons, best : the network of all of them; None where all are kept. overrun : seconds of
    training beyond the time limit. outside : how it does on test windows outside the training range.
    cautions : what its numbers should be read with, a sentence each. linear : what chose the linear part, None where
    nothing did. interrupted : what Ctrl-C ended and what is kept, '' for a whole run; the scores of baselines that were
    not trained are missing then. recurrence : how many patterns of the chosen network are among those chosen on the
    first part of the training windows too, None where nothing was chosen and where they were carried over from there.
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
    linear: LinearChoice | None = None
    interrupted: str = ""
    recurrence: Recurrence | None = None

    def _repr_html_(self) -> str:
        from ecgcvx.notebook import grid, number

        rows = [
            (score.name, number(score.neurons, 0), number(score.train_rmse_mv, 4), number(score.test_rmse_mv, 4),
             "" if score.gap is None else at_most(score.gap.relative), number(score.seconds, 1))
            for score in self.scores
        ]  # fmt: skip
        words = "" if self.trained.gap is None else f"<div>{escape(self.trained.gap.words)}</div>"
        return grid(("model", "neurons", "train mV", "test mV", "gap", "seconds"), rows) + words


class _Training(NamedTuple):
    """What the training came to: its windows, and what it went through.

    chosen : the network of the inner training part that was chosen, None where nothing was. cut : where Ctrl-C ended
    it, '' if nowhere.
    """

    split: Split
    trained: Trained
    problem: Any
    choice: SizeChoice | None
    chosen: Model | None = None
    cut: str = ""


def fit(
    recording: Recording,
    options: FitOptions,
    progress: Progress,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    sharing: Sharing | None = None,
) -> Fit:
    """Train a convex network and its baselines on the first part of a recording and score them on the rest.

    Without a beta, the path of `regularisation_path` chooses it, and the training starts from its point. checkpoint,
    resume : see `ActiveSetSolver`; where the network keeps checkpoints. sharing : with fits of other horizons.

    Ctrl-C ends the work: the best network so far is kept, and what comes after it is left out (`Fit.interrupted`).
    KeyboardInterrupt passes where there is no network yet.

    Raises InputError when the recording or an option does not allow it.
    """
    check_not_filled(recording)
    options.network.check_joined(len(recording.joined))
    with keeping():
        return _fit(recording, options, progress, checkpoint, resume, sharing or Sharing())


def _fit(
    recording: Recording, options: FitOptions, progress: Progress, checkpoint: Path | None, resume: bool,
    sharing: Sharing,
) -> Fit:  # fmt: skip
    limits = options.limits(checkpoint, resume)
    started = time.perf_counter()
    longest = sharing.longest
    split = split_windows(recording.signals, options.window, options.horizon, options.train_fraction, longest=longest)
    check()
    options, linear, path, warm = start(recording, split, options, limits, progress, sharing)
    kind = options.network
    exact = linear is not None and linear.linear_exact
    split, trained, problem, choice, inner, cut = _train(
        recording, split, options, limits, progress, path, warm, sharing, exact
    )
    sharing.trained = trained
    best = None
    if choice is not None and not cut:
        readable = problem.readable(trained, choice.neurons, choice.atoms, limits, progress)
        if wanted():
            choice, cut = None, "while neurons were removed from the network of all windows; all neurons are kept"
        else:
            trained, best = readable.few, readable.best
            choice = replace(choice, carried=readable.carried)
    sparsified = None
    if not cut:
        trained, sparsified = kind.pruned(problem, trained, limits, progress)
        cut = "while neurons were removed" if wanted() else ""
    sparse = () if sparsified is None else _sparse_lines(sparsified, problem, split)
    seconds = time.perf_counter() - started
    calibration = None
    if options.intervals is not None and not cut:
        if sparsified is not None:  # fewer neurons than those of the path: trained and pruned alike
            inner = None
        with stoppable():
            calibration = _calibration(recording, split, options, path, trained.beta, inner, limits, progress, sharing)
        if wanted():
            calibration, cut = None, "while the intervals were calibrated"
    checks: tuple[Check, ...] = ()
    if not cut:
        with stoppable():
            checks = kind.checks(problem, trained, limits, progress)
        if wanted():
            checks, cut = (), "while the network was checked by other solvers"
    forecaster = Forecaster(
        trained.network, split.scaler, recording.lead, recording.sampling_frequency, options.window, options.horizon,
        trained.beta, options.network.name, recording.given_unit,
        None if recording.original_frequency is None else recording.sampling_frequency,
        training_range(split.train.X, split.train.y), calibration, tuple(lead.name for lead in recording.joined),
        longest,
    )  # fmt: skip
    scorer = Scorer(split, forecaster.beyond(split.test))
    others = baselines(options.baselines, scorer, trained, options.seed, limits, progress)
    if wanted() and not cut:
        cut = "while the baselines were trained"
    overrun = max(time.perf_counter() - limits.end, 0.0)
    proof = None
    if options.prove is not None and not cut:
        with stoppable():
            proof = _proof(forecaster, split, options.prove, progress)
        cut = "while the gap was proved" if wanted() else ""
    convex = replace(scorer.convex("convex", trained, seconds), proved_gap=None if proof is None else proof.gap)
    every = () if best is None else (scorer.convex("convex_best", best, seconds),)
    scores = (*others, *every, convex)
    outside = outside_score(forecaster, split.test)
    left_out = ("backprop_adam",) if options.baselines == "all" and len(others) < 3 and not cut else ()
    cut_short = tuple(score.name for score in others if score.status)
    cautions = fit_cautions(trained, path, options, outside, overrun, left_out, cut_short)
    recurring = None
    if choice is not None and not cut and not choice.carried:
        recurring = _recurrence(recording, split, first_part(path, recording, split, options, sharing), trained, choice)
    return Fit(
        forecaster=forecaster, scores=scores, split=split, trained=trained, path=path, sparse=sparse, checks=checks,
        proof=proof, overrun=overrun, best=best, choice=choice, outside=outside, cautions=cautions, linear=linear,
        interrupted=f"interrupted {cut}" if cut else "",
        recurrence=recurring,
    )  # fmt: skip


def _train(
    recording: Recording,
    split: Split,
    options: FitOptions,
    limits: Limits,
    progress: Progress,
    path: RegularisationPath | None,
    warm: Trained | None,
    sharing: Sharing,
    linear_exact: bool,
) -> _Training:
    """Choose the number of neurons where it is to be chosen, then train on all training windows.

    Beside a linear part that is nearly exact by itself there are few neurons; all are kept as trained.
    """
    kind, choice = options.network, None
    beta = options.beta if path is None else path.chosen.beta
    rule = kind.rule(options.beta is None and not linear_exact)
    rounds = MANY_ROUNDS if options.time_limit is not None else None if rule is None else READABLE_ROUNDS
    chosen = None if warm is None else warm.network
    nothing = rule is None and warm is None  # to start from or to choose on that part
    inner = None if nothing else first_part(path, recording, split, options, sharing)
    if wanted() and inner is not None and warm is not None:
        return _before_all(recording, split, inner, warm, "while beta was chosen")
    if rule is not None and inner is not None:
        warm = rough(options, inner, beta, limits, progress, sharing) if warm is None else warm
        if not wanted():  # nearer its optimum: the rounds are not lost, the training of all windows starts from it
            warm = warm.problem.train(beta or 0.0, warm=warm, limits=limits, progress=progress, rough=True)
        sizes = [] if wanted() else warm.problem.sizes(warm, inner.test, limits.share(SIZES_SHARE), progress)
        if wanted():
            return _before_all(recording, split, inner, warm, "while the number of neurons was chosen")
        windows = len(split.train) / len(inner.train)
        choice = _choose(sizes, rule, round(recording.sampling_frequency), inner.scaler.scale, kind, windows)
        chosen = chosen if choice is None else choice.network
    with raising() if warm is None else stoppable():
        problem: Any = sharing.problem(kind, split.train, options.seed, progress, rounds=rounds)
        check()
    if not wanted():
        own = limits if choice is None else limits.share(TRAIN_SHARE)
        trained: Trained = problem.train(beta or 0.0, warm=warm or sharing.trained, limits=own, progress=progress)
        if not wanted():
            return _Training(split, trained, problem, choice, chosen)
        if inner is None or warm is None or trained.gap.relative <= warm.gap.relative:
            return _Training(split, trained, problem, None, None, "during the training")
    assert inner is not None
    assert warm is not None
    return _before_all(recording, split, inner, warm, "during the training")


def _before_all(recording: Recording, split: Split, inner: Split, warm: Trained, when: str) -> _Training:
    """The training on the first part of the training windows, where Ctrl-C came before a better one on all of them."""
    signal = inner.scaler.standardise(recording.signals)
    train, test = replace(inner.train, signal=signal), replace(split.test, signal=signal)
    counts = replace(split.counts, train=len(train), split=split.counts.split + split.counts.train - len(train))
    part = Split(train, test, inner.scaler, split.boundary, counts)
    which = "" if warm.step == 1 else f"one in {warm.step} of "
    kept = f"the network kept was trained on {which}the first {len(train):,} of {len(split.train):,} training windows"
    return _Training(part, warm, warm.problem, None, None, f"{when}; {kept}")


def _recurrence(recording: Recording, split: Split, inner: Split, trained: Trained, choice: SizeChoice) -> Recurrence:
    """How many patterns the network chosen on the first part has as well, by the test windows in which they are on."""
    other = replace(split.test, signal=inner.scaler.standardise(recording.signals))
    units = [network.units() for network in (trained.network, choice.network)]
    first, second = (one.gates[~one.linear] for one in units)
    return recurrence((split.test.X, first), (other.X, second))


def _calibration(
    recording: Recording, split: Split, options: FitOptions, path: RegularisationPath | None, beta: float,
    network: Model | None, limits: Limits, progress: Progress, sharing: Sharing,
) -> Calibration:  # fmt: skip
    """The calibration by the validation part, with the network of the part before it, trained here if not given."""
    inner = first_part(path, recording, split, options, sharing)
    if network is None:
        progress("training without the validation part", None)
        problem: Any = sharing.problem(options.network, inner.train, options.seed, progress)
        trained = problem.train(beta, warm=None, limits=limits, progress=progress)
        network = options.network.pruned(problem, trained, limits, progress)[0].network
    known: list[tuple[WindowMatrix, Array]] = []
    for part in (inner.train, inner.test):
        rows = WindowMatrix(split.train.signal, part.runs, part.length)  # standardised as the forecaster does
        known.append((rows, inner.scaler.scale * (part.y - network.predict(part.X))))
    return calibrate(known[0], known[1], options.intervals or COVERAGES)


def _choose(
    sizes: Sequence[Any], rule: Rule, block: int, scale: float, kind: NetworkKind, windows: float
) -> SizeChoice | None:
    """The choice of a size by the rule; windows : how many times those of the validated networks the final one has."""
    if not sizes:  # the time limit came first
        return None
    chosen = smallest_good(rule, [size.neurons for size in sizes], [size.errors for size in sizes], block)
    lines = tuple(SizeLine(size.neurons, scale * float(np.sqrt(size.errors.mean()))) for size in sizes)
    kept = math.ceil(windows * lines[chosen].neurons)
    name, size = getattr(kind, "choose", None) or "within:1%", sizes[chosen]
    return SizeChoice(name, lines, lines[chosen], size.network, size.atoms, kept)


def _proof(forecaster: Forecaster, split: Split, seconds: float, progress: Progress) -> Certificate:
    programs = kind_class(forecaster.kind).programs(forecaster.network, split.train.X, split.train.y, forecaster.beta)
    return prove(programs[-1], seconds, progress)


def _sparse_lines(found: Sparsified, problem: Any, split: Split) -> tuple[SparseLine, ...]:
    lines = []
    for point in found.curve:
        network = problem.network_of(point.atoms, point.free)
        test = split.rmse_mv(network.predict)
        increase = point.primal / found.reference - 1 if found.reference > 0 else 0.0
        lines.append(SparseLine(point.neurons, point.primal, increase, split.scaler.scale * point.rmse, test))
    return tuple(lines)
