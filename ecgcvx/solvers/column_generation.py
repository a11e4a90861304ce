"""Training over all patterns by convex programs over the patterns found so far, alternating with pricing.

    1. solve the ReLU program over the patterns of the neurons that there are, each with the neuron's sign;
    2. price all patterns: ascend v'(Xw)_+ from fresh starts and from the neurons; the summits above beta bound the gap;
    3. let exact amplitudes choose which summits come in, and with them their patterns; go to 1.

It shares pricing and the choice of amplitudes with the active set; but neurons move only where a convex program moves
them. The cells of many windows are tiny, yet a neuron crosses them: one that is held by a face of its cell has, if it
gains beyond, a summit of larger price near it, which the ascent from the neuron finds however many cells away. Measured
on the first 2,000 windows of record 208 at beta = 1e-2: with the ascents alone 12 rounds to a gap of 1e-5 (13 without
those from the neurons), and as many with the cells beyond every binding row, or those of sums of close neurons, added.

The amplitudes are what makes it fast. All summits at once give programs of hundreds of variables of which a few stay:
at beta = 1e-3 seven rounds take over a minute and leave a gap of .34, where amplitudes that let in 3 to 24 patterns a
round arrive at 1e-5 in 15 rounds and 10 s (OSQP).

Sources: Bach (2017), Breaking the curse of dimensionality with convex neural networks (atoms, prices); Pilanci and
Ergen (2020) (the program).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecgcvx.arrangements.patterns import Patterns, pack_signs
from ecgcvx.errors import InputError
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import SquaredLoss
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.rows import Matrix
from ecgcvx.solvers.active_set.amplitudes import amplitude_system, nonnegative_quadratic
from ecgcvx.solvers.active_set.atoms import Atoms, Iterate, evaluate
from ecgcvx.solvers.active_set.loop import ActiveSetSolution, Confirmation
from ecgcvx.solvers.active_set.pricing import (
    CONFIRM,
    LATE,
    MIDDLE,
    Bound,
    Priced,
    check_search,
    check_training,
    dual_bound,
    price_atoms,
    search,
)
from ecgcvx.solvers.active_set.relu import ReluAtoms
from ecgcvx.solvers.active_set.state import Round
from ecgcvx.solvers.active_set.workers import workers
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.solution import Solver, check_stopping
from ecgcvx.types import Array

Callback = Callable[[Round], None]
MASTERS: dict[str, Callable[[float], Solver]] = {
    "cvxpy": lambda gap: CvxpySolver(gap=gap),
    "osqp": lambda gap: OsqpSolver(gap=gap),
}
SHARE = 0.05  # of the gap over all patterns: what the master may leave over its own
POOL = 300  # summits that the amplitudes choose from
MOST_ADDED = 50
CHUNK_ELEMENTS = 1 << 20
STALL = 4  # rounds that improve nothing


@dataclass(frozen=True)
class ColumnGeneration:
    """Minimise P over all patterns with OSQP or CVXPY as the only thing that moves a neuron, to a searched gap.

    Use it as an independent check of `ActiveSetSolver`, up to about a hundred neurons: time grows with the cube of
    their number, and only linearly with the windows.

    master : 'cvxpy' (interior point) or 'osqp'. gap, confirm_starts, rounds, seed, threads : as in `ActiveSetSolver`.
    starts : fresh starts of a round.
    """

    master: str = "cvxpy"
    gap: float = 1e-4
    starts: int = 300
    confirm_starts: int = 3000
    rounds: int = 200
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)
        if self.master not in MASTERS:
            raise InputError(f"master = {self.master!r}: choose one of {', '.join(MASTERS)}")
        check_search(self.starts, self.confirm_starts, self.seed)

    def solve(
        self,
        X: Matrix,
        y: Array,
        beta: float,
        *,
        warm_start: Atoms | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> ActiveSetSolution:
        """Train on X (n, d) and y (n,); return the best point on the gap, on the time limit or on Ctrl-C.

        The time limit is looked at between the steps of the master, each of which is minutes from some hundred neurons
        up. Raises InputError for unusable data or options.
        """
        check_training(beta, time_limit)
        with workers(self.threads) as pool:
            family = ReluAtoms(X, np.asarray(y, dtype=np.float64), pool)
            return _Run(self, family, beta, callback, time_limit).solve(warm_start)


class _Run:
    """One call of `solve`."""

    def __init__(
        self, solver: ColumnGeneration, family: ReluAtoms, beta: float, callback: Callback | None, time_limit: float
    ) -> None:
        self.solver, self.family, self.beta = solver, family, beta
        self.callback, self.time_limit = callback, time_limit
        self.start = time.perf_counter()
        self.history: list[Round] = []

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def solve(self, warm_start: Atoms | None) -> ActiveSetSolution:
        here = evaluate(self.family, warm_start or self.family.none(), self.beta)
        status, dual, excess, stalled = "interrupted", 0.0, np.inf, 0
        confirmation: Confirmation | None = None
        try:
            while True:
                priced, bound = self._price(here, excess)
                if here.primal - bound.value <= self.solver.gap * here.primal:
                    priced, bound, confirmation = self._confirm(here, priced, bound)
                dual, excess = bound.value, bound.price - 1.0
                gap = self._report(here, dual, confirmation)
                if reason := self._reason(gap, stalled):
                    if confirmation is None:
                        _, bound, confirmation = self._confirm(here, priced, bound)
                        dual = bound.value
                        self._report(here, dual, confirmation)
                    status = reason
                    break
                confirmation = None
                after, interrupted = self._round(here, priced, gap)
                stalled = 0 if after.primal < here.primal * (1 - 1e-9) else stalled + 1
                here = min(here, after, key=lambda point: point.primal)
                if interrupted:
                    break
        except KeyboardInterrupt:
            pass
        return ActiveSetSolution(here.atoms, here.primal, dual, confirmation, status, self.seconds, tuple(self.history))

    def _reason(self, gap: float, stalled: int) -> str:
        """Why the run ends here; empty to go on."""
        if gap <= self.solver.gap:
            return "optimal"
        if self.seconds >= self.time_limit:
            return "time limit"
        if len(self.history) > self.solver.rounds:
            return "round limit"
        return "stalled" if stalled >= STALL else ""

    def _price(self, here: Iterate, excess: float) -> tuple[Priced, Bound]:
        """Summits from fresh starts and from the neurons themselves, near which no other summit may be left out."""
        family, number = self.family, len(self.history)
        starts = family.starts(self.solver.starts, here.atoms, np.random.default_rng([self.solver.seed, number]))
        starts = starts.with_more(here.atoms.units())
        priced = search(family, here.v, starts, family.none(), self.beta, MIDDLE if excess > 0.01 else LATE)
        own = price_atoms(family, here.v, here.atoms.units())
        return priced, self._bound(here, max(own.max(initial=0.0), priced.prices.max(initial=0.0)))

    def _bound(self, here: Iterate, price: float) -> Bound:
        return dual_bound(self.family.y, here.v, price, self.beta)

    def _confirm(self, here: Iterate, priced: Priced, bound: Bound) -> tuple[Priced, Bound, Confirmation | None]:
        """Search once more, from fresh starts of another stream."""
        count, family = self.solver.confirm_starts, self.family
        if not count:
            return priced, bound, None
        random = np.random.default_rng([self.solver.seed, len(self.history), 1])
        fresh = search(family, here.v, family.starts(count, here.atoms, random), family.none(), self.beta, CONFIRM)
        largest = float(fresh.prices.max(initial=0.0))
        confirmation = Confirmation(count, int(np.count_nonzero(fresh.prices > self.beta)), largest / self.beta)
        return priced.joined(fresh), self._bound(here, max(bound.price * self.beta, largest)), confirmation

    def _round(self, here: Iterate, priced: Priced, gap: float) -> tuple[Iterate, bool]:
        """Let violators in, solve the program over the patterns of all neurons; and whether Ctrl-C ended that."""
        violators = priced.atoms.subset(np.flatnonzero(priced.prices[:POOL] > self.beta))
        sized = self._sized(here.atoms, violators)
        if not len(sized):
            return here, False
        program, u = restricted_program(self.family.X, self.family.y, self.beta, sized)
        solver = MASTERS[self.solver.master](SHARE * max(gap, self.solver.gap))
        solution = solver.solve(program, warm_start=u, time_limit=max(self.time_limit - self.seconds, 1e-3))
        used = solution.u.any(axis=1)
        point = evaluate(self.family, Atoms(solution.u[used], program.signs[used, None]), self.beta)
        return point, solution.status == "interrupted"

    def _sized(self, atoms: Atoms, violators: Atoms) -> Atoms:
        """The atoms and those violators that get an amplitude."""
        if not len(violators):
            return atoms
        norms = np.concatenate([atoms.norms, np.zeros(len(violators))])
        units = atoms.units().with_more(violators)
        sized = units.scaled(nonnegative_quadratic(amplitude_system(self.family, units, norms), self.beta, norms))
        new = np.arange(len(atoms), len(units))
        new = new[sized.norms[new] > 0]
        new = new[np.argsort(-sized.norms[new], kind="stable")[:MOST_ADDED]]
        old = np.flatnonzero(sized.norms[: len(atoms)] > 0)
        return sized.subset(np.concatenate([old, new]))

    def _report(self, here: Iterate, dual: float, confirmation: Confirmation | None) -> float:
        """Add a line to the history, and return the gap."""
        gap = max(here.primal - dual, 0.0) / here.primal if here.primal > 0 else 0.0
        starts = self.solver.starts + (confirmation.starts if confirmation is not None else 0)
        line = Round(
            self.seconds, self.family.n, here.primal, dual, gap, len(here.atoms), starts, confirmation is not None
        )
        self.history.append(line)
        if self.callback is not None:
            self.callback(line)
        return gap


def restricted_program(X: Matrix, y: Array, beta: float, atoms: Atoms) -> tuple[ConvexProgram, Array]:
    """Return the ReLU program over the patterns of ReLU neurons, each with its neuron's sign, and its point u (g, d).

    The point is the neurons', those of one pattern and sign added and those without an active row left out, so that
    its objective is at most theirs.

    Raises InputError when no neuron has an active row.
    """
    packed, signs = pack_signs(X, atoms.points), atoms.tags[:, 0]
    patterns: dict[bytes, int] = {}
    variables: dict[tuple[int, float], int] = {}
    gates: list[Array] = []
    u: list[Array] = []
    for bits, point, sign in zip(packed, atoms.points, signs, strict=True):
        if not bits.any():
            continue
        block = patterns.setdefault(bits.tobytes(), len(patterns))
        if block == len(gates):
            gates.append(point)
        variable = variables.setdefault((block, float(sign)), len(variables))
        if variable == len(u):
            u.append(np.zeros_like(point))
        u[variable] += point
    if not u:
        raise InputError("atoms: none of them has an active row, so there is no pattern to solve over")
    bits = np.frombuffer(b"".join(patterns), dtype=np.uint8).reshape(len(patterns), -1)
    features = PatternFeatures(X, Patterns(bits, X.shape[0], np.array(gates)))
    blocks, kept = (np.array(column) for column in zip(*variables, strict=True))
    return ConvexProgram(features, y, beta, blocks.astype(np.intp), kept, True, SquaredLoss()), np.array(u)
