"""From a recording to a certified forecaster and what it is compared with: the work behind `ecgcvx fit`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Patterns, patterns_of_gates, row_chunks
from ecgcvx.arrangements.sampling import sample_patterns
from ecgcvx.baselines.backprop import objective_and_gradient, train_adam
from ecgcvx.baselines.linear import least_squares, persistence_weights
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.maps import merge
from ecgcvx.networks import Network, network_of
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram, gated_relu_program, relu_program
from ecgcvx.records import Recording
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.solution import Solution, Solver
from ecgcvx.windows import Split, Windows, split_windows

Array = NDArray[np.float64]
Step = Callable[[str, float | None], None]  # what is being done, and the share of it that is done (None: unknown)
NETWORKS = {"gated": gated_relu_program, "relu": relu_program}
SOLVERS: dict[str, Callable[[], Solver]] = {
    "fista": FistaSolver,
    "admm": AdmmSolver,
    "cvxpy": CvxpySolver,
    "osqp": OsqpSolver,
}
BACKPROP_NEURONS = 64
BACKPROP_EPOCHS = 60


@dataclass(frozen=True)
class FitOptions:
    """What `ecgcvx fit` can be told; window and horizon in samples, patterns the number of sampled D_i."""

    window: int = 15
    horizon: int = 1
    beta: float = 1e-5
    patterns: int = 100
    network: Literal["gated", "relu"] = "gated"
    solver: Literal["fista", "admm", "cvxpy", "osqp"] = "fista"
    train_fraction: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (("network", self.network, NETWORKS), ("solver", self.solver, SOLVERS)):
            if value not in known:
                raise InputError(f"{name} = {value!r}: choose one of {', '.join(known)}")
        if not (np.isfinite(self.beta) and self.beta > 0):
            raise InputError(f"beta = {self.beta}: it must be a positive number, as 1e-5")
        if self.patterns < 3:
            raise InputError(f"patterns = {self.patterns}: ask for at least 3")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: it must not be negative")


@dataclass(frozen=True)
class Score:
    """One line of the comparison: root-mean-square errors in mV, objective P where the model has one.

    gap is relative to the objective; gap_kind says over which patterns it is a bound.
    """

    name: str
    neurons: int | None
    train_rmse_mv: float
    test_rmse_mv: float
    objective: float | None
    gap: float | None
    gap_kind: str | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted forecaster, its comparison, and what it was made of."""

    forecaster: Forecaster
    scores: tuple[Score, ...]
    split: Split
    program: ConvexProgram
    solution: Solution


def fit(recording: Recording, options: FitOptions, step: Step) -> Fit:
    """Train the convex network and its baselines on the first part of a recording and score them on the rest.

    step is called with what is being done. Raises InputError when the recording or an option does not allow it.
    """
    split = split_windows(recording.signal, options.window, options.horizon, options.train_fraction)
    scores = [_linear(split, "persistence", step), _linear(split, "linear_ar", step), _backprop(split, options, step)]
    started = time.perf_counter()
    program, solution = _convex(split.train, options, step)
    network = merge(network_of(program, solution.u), split.train.X)
    seconds = time.perf_counter() - started
    certified = (solution.primal, solution.gap, "given patterns")
    scores.append(_score("convex", network.neurons, network.predict, split, seconds, certified))
    forecaster = Forecaster(
        network, split.scaler, recording.lead, recording.sampling_frequency, options.window, options.horizon,
        options.beta,
    )  # fmt: skip
    return Fit(forecaster, tuple(scores), split, program, solution)


def fit_patterns(windows: Windows, count: int, network: str, seed: int) -> Patterns:
    """Return `count` patterns of the windows: those of the linear predictor first, then those of Gaussian gates.

    With them the network is never worse than the penalised linear predictor: a gated network holds it in the pattern
    of all samples (the gate of the bias), a ReLU network as (Xw)_+ - (-Xw)_+ in the patterns of w and -w.
    """
    d = windows.X.shape[1]
    if network == "relu":
        w = least_squares(windows.X, windows.y)
        linear = np.stack([w, -w])
    else:
        linear = np.eye(d)[-1:]
    sampled = sample_patterns(windows.X, count, seed)
    patterns = patterns_of_gates(windows.X, np.concatenate([linear, sampled.gates]))
    return patterns.subset(np.arange(count))


def _convex(windows: Windows, options: FitOptions, step: Step) -> tuple[ConvexProgram, Solution]:
    step(f"{options.patterns} patterns of {len(windows):,} windows", None)
    patterns = fit_patterns(windows, options.patterns, options.network, options.seed)
    program = NETWORKS[options.network](PatternFeatures(windows.X, patterns), windows.y, options.beta)
    step(f"Gram matrix of {len(patterns)} blocks", None)
    _ = program.gram
    name = f"{options.network} network, {options.solver}"
    step(f"{name}: solving", None)
    solution = SOLVERS[options.solver]().solve(
        program, callback=lambda line: step(f"{name}: round {line.iteration + 1}, P = {line.primal:.6e}", None)
    )
    return program, solution


def _linear(split: Split, name: str, step: Step) -> Score:
    step(name.replace("_", " "), None)
    started = time.perf_counter()
    X = split.train.X
    w = persistence_weights(X.shape[1]) if name == "persistence" else least_squares(X, split.train.y)
    seconds = time.perf_counter() - started
    return _score(
        name, None, lambda Z: np.concatenate([rows @ w for _, rows in row_chunks(Z, 1 << 16)]), split, seconds
    )


def _backprop(split: Split, options: FitOptions, step: Step) -> Score:
    started = time.perf_counter()
    X, y = split.train.X, split.train.y
    trained = train_adam(
        X, y, BACKPROP_NEURONS, options.beta, BACKPROP_EPOCHS, seed=options.seed,
        callback=lambda epoch, epochs, loss: step(f"backprop (Adam): P = {loss:.6e}", epoch / epochs),
    )  # fmt: skip
    network = Network(trained.W1, trained.W2)
    seconds = time.perf_counter() - started
    objective = objective_and_gradient(trained.W1, trained.W2, X, y, options.beta)[0]
    return _score("backprop_adam", network.neurons, network.predict, split, seconds, (objective, None, None))


def _score(
    name: str,
    neurons: int | None,
    predict: Callable[..., Array],
    split: Split,
    seconds: float,
    certified: tuple[float | None, float | None, str | None] = (None, None, None),
) -> Score:
    train, test = (
        split.scaler.scale * root_mean_square(part.y - predict(part.X)) for part in (split.train, split.test)
    )
    return Score(name, neurons, train, test, *certified, seconds)


def root_mean_square(r: Array) -> float:
    """Return sqrt(mean(r^2))."""
    return float(np.sqrt(np.mean(r * r)))
