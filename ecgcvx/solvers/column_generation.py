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

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecgcvx.arrangements.patterns import Patterns, pack_signs
from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.workers import workers
from ecgcvx.errors import InputError, SolverError
from ecgcvx.evidence import relative_gap
from ecgcvx.interruption import stoppable
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.active_set.amplitudes import amplitude_system, nonnegative_quadratic
from ecgcvx.solvers.active_set.pricing import (
    CLOSE,
    Bound,
    Priced,
    bound,
    check_search,
    price_atoms,
    search,
    search_until,
)
from ecgcvx.solvers.active_set.solution import (
    AtomSolution,
    Callback,
    Confirmation,
    Iterate,
    Round,
    evaluate,
)
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.solution import Solver, Stopwatch, check_stopping
from ecgcvx.types import Array

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
        program: AllPatterns,
        *,
        warm_start: Atoms | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> AtomSolution:
        """Solve the program; return the best point on the gap, on the time limit or on Ctrl-C.

        The time limit is looked at between the steps of the master, each of which is minutes from some hundred neurons
        up. Raises InputError for unusable options, SolverError for a program of other atoms than ReLU neurons.
        """
        clock = Stopwatch(time_limit)
        _relu(program)
        with workers(self.threads) as pool:
            return _Run(self, program.using(pool), callback, clock).solve(warm_start)


class _Run:
    """One call of `solve`."""

    def __init__(
        self, solver: ColumnGeneration, program: AllPatterns, callback: Callback | None, clock: Stopwatch
    ) -> None:
        self.solver, self.program, self.beta = solver, program, program.beta
        self.family, self.passes = program.family, program.passes
        self.callback, self.clock = callback, clock
        self.history: list[Round] = []

    def solve(self, warm_start: Atoms | None) -> AtomSolution:
        here = evaluate(self.program, self.passes.none() if warm_start is None else warm_start)
        status, dual, stalled = "interrupted", 0.0, 0
        confirmation: Confirmation | None = None
        with stoppable():
            while True:
                priced, found = self._price(here)
                if here.primal - found.value <= self.solver.gap * here.primal:
                    priced, found, confirmation = self._confirm(here, priced, found)
                dual = found.value
                gap = self._report(here, dual, confirmation)
                if reason := self._reason(gap, stalled):
                    if confirmation is None:
                        _, found, confirmation = self._confirm(here, priced, found)
                        dual = found.value
                        self._report(here, dual, confirmation)
                    status = reason
                    break
                confirmation = None
                after, interrupted = self._round(here, priced, gap)
                stalled = 0 if after.primal < here.primal * (1 - 1e-9) else stalled + 1
                here = min(here, after, key=lambda point: point.primal)
                if interrupted:
                    break
        history = tuple(self.history)
        return AtomSolution(here.atoms, here.free, here.primal, dual, confirmation, status, self.clock.seconds, history)

    def _reason(self, gap: float, stalled: int) -> str:
        """Why the run ends here; empty to go on."""
        if gap <= self.solver.gap:
            return "optimal"
        if self.clock.expired:
            return self.clock.reason
        if len(self.history) > self.solver.rounds:
            return "round limit"
        return "stalled" if stalled >= STALL else ""

    def _price(self, here: Iterate) -> tuple[Priced, Bound]:
        """Summits from fresh starts and from the neurons themselves, near which no other summit may be left out."""
        own, none = self.family.units(here.atoms), self.passes.none()
        random = np.random.default_rng([self.solver.seed, len(self.history)])
        starts = self.passes.starts(self.solver.starts, here.atoms, random).with_more(own)
        priced = search(self.program, here.v, starts, none, CLOSE)
        own_prices = price_atoms(self.program, here.v, own)
        return priced, self._bound(here, max(own_prices.max(initial=0.0), priced.prices.max(initial=0.0)))

    def _bound(self, here: Iterate, price: float) -> Bound:
        return bound(self.program, here.v, price)

    def _confirm(self, here: Iterate, priced: Priced, before: Bound) -> tuple[Priced, Bound, Confirmation | None]:
        """Search once more, from fresh starts of another stream."""
        count = self.solver.confirm_starts
        if not count:
            return priced, before, None
        random = np.random.default_rng([self.solver.seed, len(self.history), 1])
        starts = self.passes.starts(count, here.atoms, random)
        fresh, made = search_until(self.program, here.v, starts, self.passes.none(), self.clock)
        largest = float(fresh.prices.max(initial=0.0))
        confirmation = Confirmation(made, int(np.count_nonzero(fresh.prices > self.beta)), largest / self.beta)
        return priced.joined(fresh), self._bound(here, max(before.price * self.beta, largest)), confirmation

    def _round(self, here: Iterate, priced: Priced, gap: float) -> tuple[Iterate, bool]:
        """Let violators in, solve the program over the patterns of all neurons; and whether Ctrl-C ended that."""
        violators = priced.atoms.subset(np.flatnonzero(priced.prices[:POOL] > self.beta))
        sized = self._sized(here.atoms, violators)
        if not len(sized):
            return here, False
        program, u = restricted_program(self.program, sized)
        solver = MASTERS[self.solver.master](SHARE * max(gap, self.solver.gap))
        solution = solver.solve(program, warm_start=u, time_limit=max(self.clock.left, 1e-3))
        kept = solution.u.any(axis=1)
        atoms = _relu(self.program).neurons(solution.u[kept], program.signs[kept])
        point = evaluate(self.program, atoms)
        return point, solution.status == "interrupted"

    def _sized(self, atoms: Atoms, violators: Atoms) -> Atoms:
        """The atoms and those violators that get an amplitude."""
        if not len(violators):
            return atoms
        norms = np.concatenate([self.family.norms(atoms), np.zeros(len(violators))])
        units = self.family.units(atoms).with_more(violators)
        norms = nonnegative_quadratic(amplitude_system(self.program, units, norms), self.beta, norms)
        new = np.arange(len(atoms), len(units))
        new = new[norms[new] > 0]
        new = new[np.argsort(-norms[new], kind="stable")[:MOST_ADDED]]
        old = np.flatnonzero(norms[: len(atoms)] > 0)
        return self.family.scaled(units, norms).subset(np.concatenate([old, new]))

    def _report(self, here: Iterate, dual: float, confirmation: Confirmation | None) -> float:
        """Add a line to the history, and return the gap."""
        gap = relative_gap(here.primal, dual)
        starts = self.solver.starts + (confirmation.starts if confirmation is not None else 0)
        n, m, sure = self.program.n, len(here.atoms), confirmation is not None
        line = Round(self.clock.seconds, n, here.primal, dual, gap, m, starts, sure)
        self.history.append(line)
        if self.callback is not None:
            self.callback(line)
        return gap


def _relu(program: AllPatterns) -> ReluFamily:
    if not isinstance(program.family, ReluFamily):
        name = type(program.family).__name__
        raise SolverError(f"family = {name}: column generation works on ReLU neurons; use the active set")
    if program.free == "offset" or program.sample_weight is not None:
        raise SolverError(
            "free, sample_weight: the programs over given patterns take no offset and no weights; use the active set"
        )
    return program.family


def restricted_program(program: AllPatterns, atoms: Atoms) -> tuple[ConvexProgram, Array]:
    """Return the program over the patterns of ReLU neurons only, each with its neuron's sign, and its point u (g, d).

    The point is the neurons', those of one pattern and sign added and those without an active row left out, so that
    its objective is at most theirs.

    Raises InputError when no neuron has an active row, SolverError for other atoms.
    """
    X = program.X
    packed, signs = pack_signs(X, atoms.points), _relu(program).signs(atoms)
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
    y, beta, loss = program.y, program.beta, program.loss
    linear = program.part.linear if program.free == "linear" else None
    return ConvexProgram(features, y, beta, blocks.astype(np.intp), kept, True, loss, linear), np.array(u)
