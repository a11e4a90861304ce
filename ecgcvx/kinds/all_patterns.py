"""Training over all patterns of a family of atoms: what ReLU, convolutional and other kinds have in common."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ecgcvx.atoms.family import Atoms
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, Gap, at_most, searched
from ecgcvx.interruption import wanted
from ecgcvx.kinds.kind import Limits, Trained
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.pricing import CLOSE, search
from ecgcvx.solvers.active_set.solution import AtomSolution, Round
from ecgcvx.solvers.active_set.sparsify import (
    RELAXED_STEPS,
    SparsePoint,
    Sparsified,
    carry_over,
    pruned_curve,
    relax,
    sparsify,
)
from ecgcvx.solvers.check import Check, check_network
from ecgcvx.solvers.column_generation import ColumnGeneration
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Windows

GAP, CONFIRM_STARTS = 1e-2, 3000
ROUNDS, MANY_ROUNDS = 8, 1000  # of the active set: by default, and where a gap is asked for
LONG = 1 << 17  # windows above which the default confirms by FEWER starts
FEWER = 1000
RANKING_GAP, RANKING_ROUNDS = 0.05, 2  # of a point of a path: enough to rank betas
RANKING_ROWS = 1 << 16  # of it at least, evenly spaced: neighbouring windows say much the same
LARGEST_STARTS = 32
# Times beta: where neurons are removed (at beta fewer of them recur from seed to seed), and where those that are left,
# or all of them, descend once more (less costs more of the gap than it gains).
REMOVED, RELAXED, RELAXED_ALL = 1.6, 0.28, 0.21
SIZE_STEPS, ALL_STEPS = 40, 160  # of that descent: of a size to choose from, of all neurons
MOST_READABLE = 256  # neurons above which pruning is fast, where the size is to be chosen
SLOWLY = 3  # times the chosen size, below which pruning is slow


def active_set(
    gap: float | None, rounds: int | None, confirm_starts: int | None, seed: int, most: int | None, n: int
) -> ActiveSetSolver:
    """Return the active set for n windows with the options of a kind, None where they are not given.

    most : rounds at most where neither they nor a gap are given; None for `ROUNDS`.
    """
    usual = MANY_ROUNDS if gap is not None else most or ROUNDS
    starts = CONFIRM_STARTS if gap is not None or n <= LONG else FEWER
    return ActiveSetSolver(
        gap=GAP if gap is None else gap,
        rounds=usual if rounds is None else rounds,
        confirm_starts=starts if confirm_starts is None else confirm_starts,
        seed=seed,
    )


class Size(NamedTuple):
    """A network of some size, its atoms, and its squared errors (v,) on held-out windows, standardised."""

    neurons: int
    atoms: Atoms
    network: Any
    errors: Array


class Readable(NamedTuple):
    """A network of few neurons, that of all neurons, and whether the few were carried over from other rows."""

    few: Trained
    best: Trained
    carried: bool = False


@dataclass(frozen=True, eq=False)
class AllPatternsProblem:
    """A program over all patterns (of any beta) with the solver that trains it.

    plain : makes the network that is kept of the family's and the program, where it is not the same.
    """

    program: AllPatterns
    solver: ActiveSetSolver | ColumnGeneration
    seed: int
    plain: Callable[[Any, AllPatterns], Any] | None = None

    def with_targets(self, y: Array) -> "AllPatternsProblem":
        """Return the problem of other targets (n,) of the same rows, whose preparation is shared."""
        return replace(self, program=self.program.with_targets(y))

    @cached_property
    def ranking(self) -> AllPatterns:
        """The program on every k-th row, as few as rank betas and sizes: once to twice `RANKING_ROWS` of many."""
        step, n = self._step, self.program.n
        return self.program if step == 1 else self.program.on_rows(np.arange(0, n, step))

    @property
    def _step(self) -> int:
        return max(1, self.program.n // RANKING_ROWS)

    def largest_beta(self) -> float:
        """Return the largest price that a search finds at the zero network: below it the network is not zero."""
        passes = self.program.passes
        none, v = passes.none(), self.program.fitted(np.zeros(self.program.n)).v
        starts = passes.starts(LARGEST_STARTS, none, np.random.default_rng(self.seed))
        return float(search(self.program, v, starts, none, CLOSE).prices.max(initial=0.0))

    def train(
        self, beta: float, *, warm: Trained | None, limits: Limits, progress: Progress, rough: bool = False
    ) -> Trained:
        """Train at a beta; Ctrl-C or the time limit end it with the best network so far."""
        solver, program = self.solver, self.program
        if rough and isinstance(solver, ActiveSetSolver):
            solver = replace(solver, gap=RANKING_GAP, rounds=RANKING_ROUNDS, confirm_starts=0)
            program = self.ranking
        program = program.at(beta)
        start = warm.warm if warm is not None and isinstance(warm.warm, Atoms) and len(warm.warm) else None

        def tell(line: Round) -> None:
            share = min(1.0, np.log(max(line.gap, 1e-12)) / np.log(solver.gap)) if line.rows == program.n else 0.0
            progress(
                f"all patterns of {line.rows:,} windows: {line.neurons} neurons, P = {line.primal:.6e}, gap "
                f"{at_most(line.gap)}",
                max(0.0, share),
            )

        extra: dict[str, Any] = {}
        if isinstance(solver, ActiveSetSolver) and not rough:
            extra = {"checkpoint": limits.checkpoint, "resume": limits.resume}
        solution = solver.solve(program, warm_start=start, callback=tell, time_limit=limits.left, **extra)
        return self._trained(solution, solver, program)

    def prune(
        self, trained: Trained, tolerance: float | None, most: int | None, limits: Limits, progress: Progress
    ) -> tuple[Trained, Sparsified]:
        """Return the training with the smallest network that is allowed, and the curve to it; see `sparsify`.

        The lower bound stays, and so does what its gap rests on.
        """
        program = self.program.at(trained.beta)
        found = sparsify(
            program, trained.solution, tolerance=tolerance or 0.0, max_neurons=most, time_limit=limits.left,
            callback=lambda point: progress(f"sparsifying: {point.neurons} neurons, P = {point.primal:.6e}", None),
        )  # fmt: skip
        atoms, primal = found.chosen.atoms, found.chosen.primal
        counts = f"from {len(trained.solution.atoms)} to {len(atoms)} neurons ({found.status})"
        pruned = replace(
            trained, network=self.network_of(atoms, found.chosen.free), objective=primal,
            gap=replace(trained.gap, primal=primal), detail=f"{trained.detail}; sparsified {counts}", warm=atoms,
        )  # fmt: skip
        return pruned, found

    def sizes(self, trained: Trained, held: Windows, limits: Limits, progress: Progress) -> list[Size]:
        """Return networks of falling size, a rough training pruned and relaxed, with errors on held-out windows."""
        sizes: list[Size] = []
        program, smaller = self.ranking.at(REMOVED * trained.beta), self.ranking.at(RELAXED * trained.beta)

        def seen(point: SparsePoint) -> None:
            point = relax(smaller, point.atoms, steps=SIZE_STEPS)
            network = self.network_of(point.atoms, point.free)
            r = held.y - network.predict(held.X)
            sizes.append(Size(point.neurons, point.atoms, network, r * r))
            error = f"{np.sqrt(np.mean(r * r)):.5f} standard deviations"
            progress(f"pruned to {point.neurons} neurons, validation {error}", None)

        pruned_curve(
            program, trained.solution.atoms, most=MOST_READABLE, time_limit=limits.left, callback=seen
        )  # fmt: skip
        return sizes

    def readable(self, trained: Trained, neurons: int, chosen: Atoms, limits: Limits, progress: Progress) -> Readable:
        """Return the network pruned to so many neurons, and that of all neurons, both relaxed.

        They are no optimum of any beta: their P and gap are stated at that of the training, where it proved or searched
        its lower bound. Many windows are pruned and relaxed on the program of `ranking`, and what comes of it descends
        on all of them. chosen : the atoms that were chosen by validation, on other rows, carried over where no time is
        left to prune with care and that is better.
        """
        program, ranking = self.program.at(trained.beta), self.ranking

        def tell(point: SparsePoint) -> None:
            progress(f"pruned to {point.neurons} neurons, P = {point.primal:.6e}", None)

        def relaxed(atoms: Atoms, share: float, steps: int) -> SparsePoint:
            beta = share * trained.beta
            point = relax(ranking.at(beta), atoms, steps=steps, expired=lambda: limits.expired)
            return point if self._step == 1 else carry_over(program.at(beta), point.atoms)

        progress(f"removing neurons down to {neurons}", None)
        points = pruned_curve(
            ranking.at(REMOVED * trained.beta), trained.solution.atoms, most=SLOWLY * neurons, fewest=neurons,
            reach=True, time_limit=limits.left, callback=tell,
        ).points  # fmt: skip
        if not points:  # a network of no neurons
            return Readable(trained, trained)
        few, carried = relaxed(points[-1].atoms, RELAXED, RELAXED_STEPS), False
        if limits.expired and not wanted():
            other = carry_over(program.at(RELAXED * trained.beta), chosen)
            carried = other.primal < few.primal
            few = other if carried else few
        kept, every = self._at(program, trained, few, RELAXED), trained.solution.atoms
        if len(every) <= few.neurons or limits.expired:
            return Readable(kept, kept, carried)
        progress(f"relaxing all {len(every)} neurons", None)
        best = self._at(program, trained, relaxed(every, RELAXED_ALL, ALL_STEPS), RELAXED_ALL)
        return Readable(kept, best, carried)

    def _at(self, program: AllPatterns, trained: Trained, point: SparsePoint, share: float) -> Trained:
        primal = program.objective(point.atoms)
        return replace(
            trained, network=self.network_of(point.atoms, point.free), objective=primal, warm=point.atoms,
            gap=replace(trained.gap, primal=primal, whose=f"at beta = {trained.beta:.3g}"),
            detail=f"{trained.detail}; {point.neurons} neurons, relaxed at {share:g} beta",
        )  # fmt: skip

    def network_of(self, atoms: Atoms, free: Array) -> Any:
        """Return the network of atoms and the weights (q,) of the free part, as it is kept."""
        network = self.program.family.network(atoms)
        if self.program.free == "linear":
            network = replace(network, linear=free)
        return network if self.plain is None else self.plain(network, self.program)

    def check(self, trained: Trained, limits: Limits) -> tuple[Check, ...]:
        """Solve the convex program over the network's own patterns by solvers that did not make it."""
        assert trained.objective is not None
        program = self.program.at(trained.beta)
        return check_network(program, trained.warm, trained.objective, time_limit=limits.left)

    def _trained(
        self, solution: AtomSolution, solver: ActiveSetSolver | ColumnGeneration, program: AllPatterns
    ) -> Trained:
        return Trained(
            network=self.network_of(solution.atoms, solution.free),
            beta=program.beta,
            gap=_gap(solution, program),
            objective=solution.primal,
            status=solution.status,
            detail=_detail(solution, solver),
            seconds=solution.seconds,
            iterations=len(solution.history),
            warm=solution.atoms,
            history=solution.history,
            solution=solution,
            problem=self,
            step=1 if program.n == self.program.n else self._step,
        )


def _gap(solution: AtomSolution, program: AllPatterns) -> Gap:
    if solution.evidence is Evidence.ENUMERATED and program.cells is not None:
        return Gap(solution.primal, solution.dual, solution.evidence, f"{len(program.cells):,} cells")
    return searched(solution.primal, solution.dual, solution.starts)


def _detail(solution: AtomSolution, solver: ActiveSetSolver | ColumnGeneration) -> str:
    name = f"column generation with {solver.master}" if isinstance(solver, ColumnGeneration) else "active set"
    rounds = f"{name} over all patterns, {len(solution.history)} rounds"
    found = solution.confirmation
    if solution.evidence is Evidence.ENUMERATED:
        return f"{rounds}, every pattern priced"
    if found is None:
        return f"{rounds}, bound not confirmed"
    return (
        f"{rounds}; {found.starts:,} fresh starts found {found.violators:,} violators, "
        f"largest price {found.price:.4f} beta"
    )


def refuse_resume(solver: str) -> InputError:
    """Return the error for a solver that keeps no checkpoint."""
    return InputError(f"resume: solver={solver!r} keeps no checkpoint; leave it out")
