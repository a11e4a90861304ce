"""From a recording to a certified forecaster and what it is compared with: the work behind `ecgcvx fit`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ecgcvx.atoms.family import Atoms
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.linear import least_squares, persistence_weights
from ecgcvx.baselines.minibatch import train_minibatch
from ecgcvx.baselines.problem import Problem
from ecgcvx.certificates import Certificate
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.metrics import root_mean_square
from ecgcvx.models import ReluNetwork, TwoLayerNetwork
from ecgcvx.path import RegularisationPath, regularisation_path
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.proof import prove
from ecgcvx.records import Recording
from ecgcvx.rows import row_chunks
from ecgcvx.solvers.active_set.sparsify import Sparsified
from ecgcvx.solvers.check import Check, check_network
from ecgcvx.stacks.training import StackOptions, TrainedStack, train_stack
from ecgcvx.training import (
    POLYNOMIALS,
    STACK,
    FitOptions,
    Trained,
    polynomial_program,
    sampled_program,
    sparsify_trained,
    train_all_patterns,
    train_polynomial,
    train_sampled,
)
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Split, split_windows

BACKPROP_NEURONS = 64
BACKPROP_EPOCHS = 60
BESIDE_STACK = 1e-6  # its beta beside a stack, whose betas are those of other programs
STAGE_GAP = "searched, of the last stage given its features"
PATH_BETAS, PATH_FIRST, PATH_RATIO, PATH_PATIENCE = 7, 1e-3, 1e-6, 2  # of the path that chooses beta


@dataclass(frozen=True)
class Score:
    """One line of the comparison: root-mean-square errors in mV, objective P where the model has one.

    gap is relative to the objective; gap_kind says what it rests on; proved_gap is the one that was proved over all w.
    """

    name: str
    neurons: int | None
    train_rmse_mv: float
    test_rmse_mv: float
    objective: float | None
    gap: float | None
    gap_kind: str | None
    proved_gap: float | None
    seconds: float


@dataclass(frozen=True)
class SparseLine:
    """One line of the curve neurons against objective: increase is that of P over the trained network, a share."""

    neurons: int
    objective: float
    increase: float
    train_rmse_mv: float
    test_rmse_mv: float


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted forecaster, its comparison, and what it was made of.

    path : what chose beta, None where it was given. sparse : the curve of a sparsified network. checks : of the final
    network by other solvers. proof : the proved bound, None where none was asked for. stack : what is known of the
    stages of a stack, None for other networks.
    """

    forecaster: Forecaster
    scores: tuple[Score, ...]
    split: Split
    trained: Trained
    path: RegularisationPath | None
    sparse: tuple[SparseLine, ...] = ()
    checks: tuple[Check, ...] = ()
    proof: Certificate | None = None
    stack: TrainedStack | None = None


def fit(
    recording: Recording,
    options: FitOptions,
    progress: Progress,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Fit:
    """Train the convex network and its baselines on the first part of a recording and score them on the rest.

    Without a beta, the path of `regularisation_path` chooses it, and the training starts from its point. progress is
    called with what is being done. checkpoint, resume: see `ActiveSetSolver`; for the training over all patterns.

    Raises InputError when the recording or an option does not allow it.
    """
    split = split_windows(recording.signal, options.window, options.horizon, options.train_fraction)
    if options.network == STACK:
        if resume:
            raise InputError("resume: a stack keeps no checkpoint; leave it out")
        return _fit_stack(recording, split, options, progress)
    started = time.perf_counter()
    path, warm, beta = None, None, options.beta
    if beta is None:
        path, chosen = regularisation_path(
            recording, options, PATH_BETAS, PATH_RATIO, progress, first=PATH_FIRST, patience=PATH_PATIENCE
        )
        warm, beta = chosen.warm, path.chosen.beta
    program = AllPatterns(split.train.X, split.train.y, beta)
    if options.network in POLYNOMIALS:
        trained = train_polynomial(polynomial_program(split.train, options, beta, progress), options, progress)
    elif options.patterns is None:
        trained = train_all_patterns(
            program, options.over_all_patterns(), progress,
            warm=warm if isinstance(warm, Atoms) and len(warm) else None,
            time_limit=options.time_limit, checkpoint=checkpoint, resume=resume,
        )  # fmt: skip
    else:
        trained = train_sampled(sampled_program(split.train, options, beta, progress), options, progress)
    sparse: tuple[SparseLine, ...] = ()
    if options.max_neurons is not None or options.tolerance is not None:
        trained, sparsified = sparsify_trained(trained, program, options, progress)
        sparse = _sparse_lines(sparsified, program, split)
    seconds = time.perf_counter() - started
    network = trained.network
    assert isinstance(network, TwoLayerNetwork)
    checks: tuple[Check, ...] = ()
    if options.check and isinstance(trained.warm, Atoms) and len(trained.warm):
        progress(f"checking: the convex program over the patterns of {network.neurons} neurons", None)
        checks = check_network(program, trained.warm, trained.primal)
    proof = (
        prove(network, split.train.X, split.train.y, beta, options.prove, progress)
        if options.prove is not None
        else None
    )
    convex = _score(
        "convex", network.neurons, network.predict, split, seconds,
        (trained.primal, trained.gap, trained.gap_kind, None if proof is None else proof.gap),
    )  # fmt: skip
    known = replace(options, beta=beta)
    scores = (
        _linear(split, "persistence", progress), _linear(split, "linear_ar", progress),
        _backprop(split, known, progress), convex,
    )  # fmt: skip
    forecaster = Forecaster(
        network, split.scaler, recording.lead, recording.sampling_frequency, options.window, options.horizon, beta
    )
    return Fit(forecaster, scores, split, trained, path, sparse, checks, proof)


def _fit_stack(recording: Recording, split: Split, options: FitOptions, progress: Progress) -> Fit:
    chosen = StackOptions(stages=options.stages, members=options.average, joint=options.joint, seed=options.seed)
    if options.confirm_starts is not None:
        chosen = replace(chosen, confirm_starts=options.confirm_starts)
    found = train_stack(split.train, chosen, progress)
    stack, last = found.stack, found.stages[0][-1]
    members = f"{len(stack.members)} stacks of up to {stack.depth}" if len(stack.members) > 1 else f"{stack.depth}"
    trained = Trained(
        stack, last.primal, last.dual, STAGE_GAP, last.status, f"{members} stages, {stack.neurons} neurons", 0.0,
        len(found.trials), found.seconds, (), np.empty(0),
    )  # fmt: skip
    score = _score("convex", stack.neurons, stack.predict, split, found.seconds, (None, last.gap, STAGE_GAP, None))
    beside = replace(options, network="relu", stages=2, average=1, joint=0, beta=BESIDE_STACK)
    adam = replace(_backprop(split, beside, progress), objective=None)  # of another objective
    scores = (_linear(split, "persistence", progress), _linear(split, "linear_ar", progress), adam, score)
    forecaster = Forecaster(
        stack, split.scaler, recording.lead, recording.sampling_frequency, options.window, options.horizon, last.beta
    )
    return Fit(forecaster, scores, split, trained, None, stack=found)


def _sparse_lines(found: Sparsified, program: AllPatterns, split: Split) -> tuple[SparseLine, ...]:
    lines = []
    for point in found.curve:
        network = program.family.network(point.atoms)
        test = split.scaler.scale * root_mean_square(split.test.y - network.predict(split.test.X))
        increase = point.primal / found.reference - 1 if found.reference > 0 else 0.0
        lines.append(SparseLine(point.neurons, point.primal, increase, split.scaler.scale * point.rmse, test))
    return tuple(lines)


def _linear(split: Split, name: str, progress: Progress) -> Score:
    progress(name.replace("_", " "), None)
    started = time.perf_counter()
    X = split.train.X
    w = persistence_weights(X.shape[1]) if name == "persistence" else least_squares(X, split.train.y)
    seconds = time.perf_counter() - started
    return _score(
        name, None, lambda Z: np.concatenate([rows @ w for _, rows in row_chunks(Z, 1 << 16)]), split, seconds
    )


def _backprop(split: Split, options: FitOptions, progress: Progress) -> Score:
    started = time.perf_counter()
    X, y = split.train.X, split.train.y
    beta = options.beta
    assert beta is not None
    problem = Problem(Layers((X.shape[1], BACKPROP_NEURONS, 1)), X, y, beta)
    random = np.random.default_rng(options.seed)
    trained = train_minibatch(
        problem.single(), problem.layers.initial(random), random, epochs=BACKPROP_EPOCHS,
        callback=lambda epoch, loss: progress(f"backprop (Adam): P = {loss:.6e}", epoch / BACKPROP_EPOCHS),
    )  # fmt: skip
    W1, W2 = problem.layers.split(trained.parameters)
    network = ReluNetwork(W1, W2)
    seconds = time.perf_counter() - started
    objective = problem.objective(trained.parameters)
    return _score("backprop_adam", network.neurons, network.predict, split, seconds, (objective, None, None, None))


def _score(
    name: str,
    neurons: int | None,
    predict: Callable[..., Array],
    split: Split,
    seconds: float,
    certified: tuple[float | None, float | None, str | None, float | None] = (None, None, None, None),
) -> Score:
    train, test = (
        split.scaler.scale * root_mean_square(part.y - predict(part.X)) for part in (split.train, split.test)
    )
    return Score(name, neurons, train, test, *certified, seconds)
