"""Training a convex network on windows: which program, which solver, and what comes out of them alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ecgcvx.activations import QUADRATIC, RELU_LIKE
from ecgcvx.arrangements.patterns import Patterns, patterns_of_gates
from ecgcvx.arrangements.sampling import sample_patterns
from ecgcvx.atoms.family import Atoms
from ecgcvx.baselines.linear import least_squares
from ecgcvx.errors import InputError
from ecgcvx.models import Model, network_of, polynomial_network_of
from ecgcvx.models.maps import merge
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.features import PatternFeatures, two_layer_features
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.program import ConvexProgram, gated_relu_program, relu_program
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.solution import AtomSolution, Round
from ecgcvx.solvers.active_set.sparsify import Sparsified, sparsify
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.column_generation import MASTERS, ColumnGeneration
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.polynomial import PolynomialCvxpySolver, PolynomialSolver
from ecgcvx.solvers.solution import Iteration, Solution, Solver
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Windows

NETWORKS = {"gated": gated_relu_program, "relu": relu_program}
SOLVERS: dict[str, Callable[[], Solver]] = {
    "fista": FistaSolver,
    "admm": AdmmSolver,
    "cvxpy": CvxpySolver,
    "osqp": OsqpSolver,
}
ALL_PATTERNS = "active-set"
GAP = 1e-2
CONFIRM_STARTS = 3000
ROUNDS, MANY_ROUNDS = 8, 1000  # of the active set: by default, and where a gap or a time limit is asked for
STACK = "stack"
POLYNOMIALS = {"polynomial": RELU_LIKE, "quadratic": QUADRATIC}
POLYNOMIAL_SOLVERS: dict[str, Callable[[], PolynomialSolver | PolynomialCvxpySolver]] = {
    "semidefinite": PolynomialSolver,
    "cvxpy": PolynomialCvxpySolver,
}


@dataclass(frozen=True)
class FitOptions:
    """What `ecgcvx fit` can be told; window and horizon in samples.

    beta : None to choose it on a validation part. patterns : number of sampled D_i, None for all of them and for the
    networks with a polynomial activation, which have none and whose solver is 'semidefinite' or 'cvxpy'. gap :
    relative duality gap to stop at, 1e-2 unless given. rounds, time_limit (seconds), confirm_starts : limits of the
    solver over all patterns, and the fresh starts that its gap rests on; rounds None for 8 of the active set, or as
    many as a gap or time limit that is given takes. max_neurons, tolerance :
    keep the smallest network with P at most the share `tolerance` up, and not more neurons. check : solve the program
    over the final patterns again by other solvers. prove : seconds to spend on a proved bound, None for none. stages,
    average, joint : of a stack, see `StackOptions`; it chooses a beta for each stage, and when to stop.
    """

    window: int = 15
    horizon: int = 1
    beta: float | None = None
    patterns: int | None = None
    network: Literal["relu", "gated", "polynomial", "quadratic", "stack"] = "relu"
    solver: Literal["active-set", "fista", "admm", "cvxpy", "osqp", "semidefinite"] = "active-set"
    train_fraction: float = 0.8
    seed: int = 0
    gap: float | None = None
    rounds: int | None = None
    time_limit: float = float("inf")
    confirm_starts: int | None = None
    max_neurons: int | None = None
    tolerance: float | None = None
    check: bool = False
    prove: float | None = None
    stages: int = 2
    average: int = 1
    joint: int = 0

    def __post_init__(self) -> None:
        polynomial = self.network in POLYNOMIALS
        solvers = tuple(POLYNOMIAL_SOLVERS) if polynomial else (ALL_PATTERNS, *SOLVERS)
        known = {"network": (*NETWORKS, *POLYNOMIALS, STACK), "solver": solvers}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(f"{name} = {getattr(self, name)!r}: choose one of {', '.join(values)}")
        if self.beta is not None and not (np.isfinite(self.beta) and self.beta > 0):
            raise InputError(f"beta = {self.beta}: it must be a positive number, as 1e-5")
        if self.patterns is not None and self.patterns < 3:
            raise InputError(f"patterns = {self.patterns}: ask for at least 3")
        if polynomial and self.patterns is not None:
            raise InputError(f"patterns = {self.patterns}: a {self.network} network has none; leave the number out")
        if not polynomial and self.patterns is None and self.solver not in (ALL_PATTERNS, *MASTERS):
            raise InputError(f"solver = {self.solver!r}: it works on a sample of patterns; give the number of patterns")
        if self.patterns is not None and self.solver == ALL_PATTERNS:
            raise InputError(
                f"solver = {self.solver!r}: it works on all patterns, the other solvers on a sample; "
                "leave the number of patterns out"
            )
        if not polynomial and self.patterns is None and self.solver != ALL_PATTERNS and self.beta is None:
            raise InputError(f"beta: {self.solver} trains one beta over all patterns; give it, or a number of patterns")
        sampled = self.patterns is not None or polynomial
        if sampled and (self.check or self.max_neurons is not None or self.tolerance is not None):
            raise InputError(
                "check, max_neurons, tolerance: for a ReLU network over all patterns; leave the patterns out"
            )
        if self.max_neurons is not None and self.max_neurons < 1:
            raise InputError(f"max_neurons = {self.max_neurons}: give at least 1")
        if self.tolerance is not None and not (np.isfinite(self.tolerance) and self.tolerance >= 0):
            raise InputError(f"tolerance = {self.tolerance}: give a share of P that is not negative, as 1e-2")
        if self.patterns is None and self.network == "gated":
            raise InputError(f"network = {self.network!r}: its gates are a sample; give the number of patterns")
        if self.network == STACK:
            self._check_stack()
        elif (self.stages, self.average, self.joint) != (2, 1, 0):
            raise InputError(f"stages, average, joint: for a stack, not for a {self.network} network; leave them out")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: it must not be negative")
        if not self.time_limit > 0:
            raise InputError(f"time_limit = {self.time_limit}: give a positive number of seconds")
        if self.prove is not None and not self.prove > 0:
            raise InputError(f"prove = {self.prove}: give a positive number of seconds")
        if self.prove is not None and self.network != "relu":
            raise InputError("prove: the gap of a gated network is a proof for its gates already; leave it out")

    def _check_stack(self) -> None:
        unused = ("beta", "patterns", "gap", "rounds", "max_neurons", "tolerance", "prove")
        given = [name for name in unused if getattr(self, name) is not None]
        given += [name for name, default in (("time_limit", float("inf")), ("check", False), ("solver", ALL_PATTERNS))
                  if getattr(self, name) != default]  # fmt: skip
        if given:
            raise InputError(f"{given[0]} = {getattr(self, given[0])}: a stack takes none; leave it out")
        for name, least in (("stages", 1), ("average", 1), ("joint", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)}: give at least {least}")

    @property
    def _starts(self) -> int:
        return CONFIRM_STARTS if self.confirm_starts is None else self.confirm_starts

    @property
    def _gap(self) -> float:
        return GAP if self.gap is None else self.gap

    def active_set(self) -> ActiveSetSolver:
        """The solver over all patterns, as it was asked for."""
        endless = self.gap is not None or self.time_limit < float("inf")
        rounds = (MANY_ROUNDS if endless else ROUNDS) if self.rounds is None else self.rounds
        return ActiveSetSolver(gap=self._gap, rounds=rounds, confirm_starts=self._starts, seed=self.seed)

    def over_all_patterns(self) -> ActiveSetSolver | ColumnGeneration:
        """The active set, or column generation with the solver of this name as its master."""
        if self.solver not in MASTERS:
            return self.active_set()
        limits = {} if self.rounds is None else {"rounds": self.rounds}
        return ColumnGeneration(self.solver, gap=self._gap, confirm_starts=self._starts, seed=self.seed, **limits)


@dataclass(frozen=True, eq=False)
class Trained:
    """A convex network as its solver left it; of a stack, the numbers are those of its last stage.

    primal : P. dual : its lower bound, over what gap_kind says. status, detail : why and how the solver ended. warm :
    where the solver of a neighbouring beta may start.
    """

    network: Model
    primal: float
    dual: float
    gap_kind: str
    status: str
    detail: str
    violation: float
    iterations: int
    seconds: float
    history: tuple[Round, ...] | tuple[Iteration, ...]
    warm: Atoms | Array
    solution: AtomSolution | None = None  # of a training over all patterns

    @property
    def gap(self) -> float:
        """Relative duality gap."""
        return max(self.primal - self.dual, 0.0) / self.primal if self.primal > 0 else 0.0


def train_all_patterns(
    program: AllPatterns,
    solver: ActiveSetSolver | ColumnGeneration,
    progress: Progress,
    *,
    warm: Atoms | None = None,
    time_limit: float = float("inf"),
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Trained:
    """Train a network over all patterns of the windows; see `ActiveSetSolver` and `ColumnGeneration`.

    Raises InputError for a checkpoint to resume from where the solver keeps none.
    """

    def tell(line: Round) -> None:
        share = min(1.0, np.log(max(line.gap, 1e-12)) / np.log(solver.gap)) if line.rows == program.n else 0.0
        progress(
            f"all patterns of {line.rows:,} windows: {line.neurons} neurons, P = {line.primal:.6e}, gap {line.gap:.1e}",
            max(0.0, share),
        )

    if isinstance(solver, ColumnGeneration):
        if resume:
            raise InputError(f"resume: column generation keeps no checkpoint; use the solver {ALL_PATTERNS!r}")
        solution = solver.solve(program, warm_start=warm, callback=tell, time_limit=time_limit)
    else:
        solution = solver.solve(
            program, warm_start=warm, callback=tell, time_limit=time_limit, checkpoint=checkpoint, resume=resume
        )
    network = program.family.network(solution.atoms)
    return Trained(
        network, solution.primal, solution.dual, "searched", solution.status,
        _detail(solution, solver), 0.0, len(solution.history), solution.seconds, solution.history, solution.atoms,
        solution,
    )  # fmt: skip


def sparsify_trained(
    trained: Trained, program: AllPatterns, options: FitOptions, progress: Progress
) -> tuple[Trained, Sparsified]:
    """Return the training with the smallest network that the options allow, and the curve to it; see `sparsify`.

    The lower bound stays, and so does its gap's meaning.
    """
    assert trained.solution is not None
    found = sparsify(
        program, trained.solution, tolerance=options.tolerance or 0.0, max_neurons=options.max_neurons,
        callback=lambda point: progress(f"sparsifying: {point.neurons} neurons, P = {point.primal:.6e}", None),
    )  # fmt: skip
    atoms, primal = found.chosen.atoms, found.chosen.primal
    network = program.family.network(atoms)
    counts = f"from {len(trained.solution.atoms)} to {len(atoms)} neurons ({found.status})"
    detail = f"{trained.detail}; sparsified {counts}"
    return replace(trained, network=network, primal=primal, detail=detail, warm=atoms), found


def _detail(solution: AtomSolution, solver: ActiveSetSolver | ColumnGeneration) -> str:
    name = f"column generation with {solver.master}" if isinstance(solver, ColumnGeneration) else "active set"
    rounds = f"{name} over all patterns, {len(solution.history)} rounds"
    found = solution.confirmation
    if found is None:
        return f"{rounds}, bound not confirmed"
    return (
        f"{rounds}; {found.starts:,} fresh starts found {found.violators:,} violators, "
        f"largest price {found.price:.4f} beta"
    )


def sampled_program(windows: Windows, options: FitOptions, beta: float, progress: Progress) -> ConvexProgram:
    """The program over sampled patterns, with its Gram matrix."""
    assert options.patterns is not None
    progress(f"{options.patterns} patterns of {len(windows):,} windows", None)
    patterns = fit_patterns(windows, options.patterns, options.network, options.seed)
    program = NETWORKS[options.network](PatternFeatures(windows.X, patterns), windows.y, beta)
    progress(f"Gram matrix of {len(patterns)} blocks", None)
    _ = program.quadratic  # computed here once, so that every beta shares it
    return program


def train_sampled(
    program: ConvexProgram, options: FitOptions, progress: Progress, *, warm: Array | None = None
) -> Trained:
    """Train over the given patterns of a program with the solver that the options name."""
    name = f"{options.network} network, {options.solver}"
    progress(f"{name}: solving", None)
    solution: Solution = SOLVERS[options.solver]().solve(
        program, warm_start=warm, time_limit=options.time_limit,
        callback=lambda line: progress(f"{name}: round {line.iteration + 1}, P = {line.primal:.6e}", None),
    )  # fmt: skip
    network = merge(network_of(program, solution.u), two_layer_features(program.features, name).X)
    return Trained(
        network, solution.primal, solution.dual, "given patterns", solution.status, solution.detail,
        solution.violation, solution.iterations, solution.seconds, solution.history, solution.u,
    )  # fmt: skip


def polynomial_program(windows: Windows, options: FitOptions, beta: float, progress: Progress) -> PolynomialProgram:
    """The program of a network with a polynomial activation, with its Gram matrix."""
    program = PolynomialProgram(windows.X, windows.y, beta, POLYNOMIALS[options.network])
    progress(f"moments of {len(windows):,} windows", None)
    _ = program.quadratic  # computed here once, so that every beta shares it
    return program


def train_polynomial(program: PolynomialProgram, options: FitOptions, progress: Progress) -> Trained:
    """Train a network with a polynomial activation with the solver that the options name."""
    progress(f"{options.network} network, {options.solver}: solving", None)
    solution: Solution = POLYNOMIAL_SOLVERS[options.solver]().solve(program, time_limit=options.time_limit)
    return Trained(
        polynomial_network_of(program, solution.u), solution.primal, solution.dual, "all neurons, by eigenvalues",
        solution.status, solution.detail, 0.0, solution.iterations, solution.seconds, solution.history, solution.u,
    )  # fmt: skip


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
