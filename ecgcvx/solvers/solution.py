"""What every solver takes besides the program, and what it returns."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ecgcvx.errors import InputError, SolverError
from ecgcvx.evidence import relative_gap
from ecgcvx.interruption import stoppable, wanted
from ecgcvx.programs.cone import project
from ecgcvx.programs.losses import SquaredLoss
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.programs.summed import SummedGated
from ecgcvx.types import Array


class Iteration(NamedTuple):
    """One line of a solver's history: seconds since its start, primal objective, relative gap (NaN while unknown)."""

    iteration: int
    seconds: float
    primal: float
    gap: float


Callback = Callable[[Iteration], None]


@dataclass(frozen=True, eq=False)
class Solution:
    """The result of a solve.

    u : (g, d) variables, inside their cones to rounding. primal : P(u), evaluated on the data where the program holds
    them. dual : lower bound on the optimum of the program (its given patterns). gap : (primal - dual) / primal.
    violation : largest cone violation, a sine. status : 'optimal' when the gap is within tolerance, else why the solver
    stopped. detail : the words of the underlying solver.
    """

    u: Array
    primal: float
    dual: float
    violation: float
    iterations: int
    status: str
    detail: str
    seconds: float
    history: tuple[Iteration, ...]

    @property
    def gap(self) -> float:
        """Relative duality gap over the given patterns."""
        return relative_gap(self.primal, self.dual)


def check_stopping(gap: float, rounds: int = 1) -> None:
    """Refuse a gap that is not positive or fewer than one round."""
    if not gap > 0:
        raise InputError(f"gap = {gap}: give a positive relative gap, e.g. 1e-5")
    if rounds < 1:
        raise InputError(f"rounds = {rounds}: give at least 1")


class Solver(Protocol):
    """Anything with this method is a solver."""

    def solve(
        self,
        program: ConvexProgram,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Solve the program; on a time limit or Ctrl-C return the best point so far."""
        ...


class Stopwatch:
    """The time of one solve, and its limit in seconds.

    before : seconds that a run which goes on has taken already. Raises InputError for a limit that is not positive.
    """

    def __init__(self, time_limit: float, before: float = 0.0) -> None:
        if not time_limit > 0:
            raise InputError(f"time_limit = {time_limit}: give a positive number of seconds")
        self.time_limit, self.start = time_limit, time.perf_counter() - before

    @property
    def seconds(self) -> float:
        """Seconds since the start of the solve."""
        return time.perf_counter() - self.start

    @property
    def left(self) -> float:
        """Seconds until the limit, negative beyond it."""
        return self.time_limit - self.seconds

    @property
    def expired(self) -> bool:
        """Whether the time limit has passed, or a signal has asked the work to stop."""
        return wanted() or self.seconds >= self.time_limit

    @property
    def reason(self) -> str:
        """Why the time is over: 'interrupted' or 'time limit'."""
        return "interrupted" if wanted() else "time limit"


class Clock(Stopwatch):
    """Time, history and callback of one solve over given patterns."""

    def __init__(self, callback: Callback | None, time_limit: float) -> None:
        super().__init__(time_limit)
        self.callback = callback
        self.history: list[Iteration] = []

    def report(self, primal: float, gap: float = float("nan")) -> None:
        """Add a line to the history and tell the caller."""
        line = Iteration(len(self.history), self.seconds, primal, gap)
        self.history.append(line)
        if self.callback is not None:
            self.callback(line)

    def solution(self, u: Array, found: "Evaluation", violation: float, status: str, detail: str) -> Solution:
        """The solution at a feasible point u that was evaluated, with this clock's history and seconds."""
        history = tuple(self.history)
        return Solution(u, found.primal, found.dual, violation, len(history), status, detail, self.seconds, history)


def need_squared_loss(program: ConvexProgram | SummedGated, solver: str) -> None:
    """Raise SolverError unless the loss is squared, for solvers that see the data only through the Gram matrix."""
    if not isinstance(program.loss, SquaredLoss):
        name = type(program.loss).__name__
        raise SolverError(f"loss = {name}: {solver} works on the Gram matrix of a squared loss; use CVXPY or FISTA")


def unit_of(program: ConvexProgram) -> float:
    """Return a power of two of the size of the variables: in that unit X and y are of order one, whatever theirs is.

    Solvers with absolute tolerances, and starting values of their own, take u = unit times their variables.
    """
    H, _, constant = program.quadratic
    curvature = float(np.diag(H).max())
    size = np.sqrt(2 * constant / curvature) if curvature > 0 else 1.0
    return float(2.0 ** np.round(np.log2(size))) if size > 0 else 1.0


def feasible(program: ConvexProgram, u: Array, tolerance: float) -> Array:
    """Return u with negligible blocks zeroed and every other block projected on its cone, exact to rounding.

    Dropping u_j moves each price by at most ||u_j|| times the curvature of the features: a block is negligible when
    that is far below tolerance * beta, so that the gap does not feel it.
    """
    kept = np.linalg.norm(u, axis=1) > 1e-2 * tolerance * program.beta / program.features.curvature
    out = np.where(kept[:, None], u, 0.0)
    if program.cones:
        out[kept] = project(program.features, program.blocks[kept], u[kept])
    return out


class Evaluation(NamedTuple):
    """A feasible point on the data: its objective, the lower bound that its residual proves, and the prices (g,)."""

    primal: float
    dual: float
    prices: Array

    @property
    def gap(self) -> float:
        """Relative duality gap."""
        return relative_gap(self.primal, self.dual)


def evaluate(program: ConvexProgram | SummedGated, u: Array) -> Evaluation:
    """Evaluate a feasible point u (g, d), from the data where they are there, and not from the Gram matrix."""
    primal, (dual, prices) = program.evaluated(u)
    return Evaluation(primal, dual, prices)


def finish(program: ConvexProgram, u: Array, tolerance: float, clock: Clock, detail: str, reason: str) -> Solution:
    """Make the last iterate feasible, evaluate it on the data, and bound it.

    reason: the status if the gap turns out above the tolerance.
    """
    u = feasible(program, u, tolerance)
    found = evaluate(program, u)
    status = "optimal" if found.gap <= tolerance else reason
    with stoppable() as loop:
        clock.report(found.primal, found.gap)
    if loop.stopped:  # from the callback; the point is complete
        status = "interrupted"
    return clock.solution(u, found, program.violation(u), status, detail)
