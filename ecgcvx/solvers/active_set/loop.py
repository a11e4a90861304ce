"""The rounds: price, bound, add, resize, descend, merge, resize.

A round is a function of the state, its random starts are drawn from (seed, level, round), and its choices depend on
work counted, never on the clock: the same seed gives the same result with any number of threads and after any stop.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix
from ecgcvx.solvers.active_set.amplitudes import resize
from ecgcvx.solvers.active_set.atoms import AtomFamily, Atoms, Iterate, evaluate
from ecgcvx.solvers.active_set.descent import descend
from ecgcvx.solvers.active_set.pricing import (
    CONFIRM,
    EARLY,
    LATE,
    MIDDLE,
    WEAK,
    Bound,
    Priced,
    Schedule,
    check_search,
    check_training,
    dual_bound,
    first_of_close,
    price_atoms,
    search,
)
from ecgcvx.solvers.active_set.relu import ReluAtoms
from ecgcvx.solvers.active_set.state import Round, State, fingerprint, load_state, save_state
from ecgcvx.solvers.active_set.workers import Workers, workers
from ecgcvx.solvers.solution import check_stopping
from ecgcvx.types import Array

ROWS_FOR_LEVELS = 1 << 15  # fewer rows are solved at once
COARSE_GAP = 0.3  # more would fit the noise of the sample
COARSE_ROUNDS = 5
ROWS_A_PARAMETER = 8  # at least, on a coarse level
MOST_STARTS = 1000
POOL = 1000
MOST_ADDED = 80  # or a quarter of the atoms
WIDTHS = (1e-2, 1e-4)  # of the rounded kinks, relative: first and last, on all rows
COARSE_WIDTHS = (3e-2, 3e-3)
DESCENT_STEPS = 100
DESCENT_COST = 1.6  # of a pass of descent, in passes of pricing
MEETING = 0.9998  # cosine beyond which two atoms may become one
STALL = 8  # rounds without progress after which float32 has no more to give
CONFIRMATION = 1  # name of the other stream of random starts
FIRST_SHARE = 8  # one start in so many of a confirmation goes first

Callback = Callable[[Round], None]
Family = Callable[[Matrix, Array, Workers], AtomFamily]


class Confirmation(NamedTuple):
    """Fresh starts, how many distinct violators (price > beta) they found, and the largest price relative to beta."""

    starts: int
    violators: int
    price: float


@dataclass(frozen=True, eq=False)
class ActiveSetSolution:
    """What a run arrived at.

    atoms. primal : P in float64. dual : D at the largest price found, a searched bound and no proof. confirmation : the
    search by fresh starts that the bound rests on, None where the run was interrupted before one. status : 'optimal'
    when the gap is within tolerance, else why it stopped. history : every round.
    """

    atoms: Atoms
    primal: float
    dual: float
    confirmation: Confirmation | None
    status: str
    seconds: float
    history: tuple[Round, ...]

    @property
    def gap(self) -> float:
        """Relative searched gap."""
        return max(self.primal - self.dual, 0.0) / self.primal if self.primal > 0 else 0.0


class _Pricing(NamedTuple):
    """What a search found, the largest price of the active atoms themselves, its starts, the confirmation among it."""

    found: Priced
    own: float
    starts: int
    confirmation: Confirmation | None = None


@dataclass(frozen=True)
class ActiveSetSolver:
    """Minimise P over all patterns, to a searched relative gap.

    gap : relative searched gap to stop at, confirmed by `confirm_starts` fresh starts (0: not confirmed). rounds :
    after which to stop all the same, a limit that unlike time gives the same result everywhere. starts : fresh starts
    of a round at least. threads : None for all cores; changes no result. family : the kind of atoms.
    """

    gap: float = 1e-2
    starts: int = 150
    confirm_starts: int = 3000
    rounds: int = 1000
    seed: int = 0
    threads: int | None = None
    family: Family = ReluAtoms

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)
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
        checkpoint: Path | None = None,
        checkpoint_every: float = 15.0,
        resume: bool = False,
    ) -> ActiveSetSolution:
        """Train on X (n, d) and y (n,); return the best point on the gap, on the time limit or on Ctrl-C.

        warm_start : atoms to begin with, as those of a neighbouring beta. time_limit : seconds of training; the
        confirmation that follows takes its own. checkpoint : a file written every `checkpoint_every` seconds, between
        rounds, and removed at the end; resume : go on from it, to the same result as a run that was never stopped.

        Raises InputError for unusable data or options, SolverError for a checkpoint of another problem.
        """
        check_training(beta, time_limit)
        if resume and checkpoint is None:
            raise InputError("resume: there is no checkpoint to resume from; give its file")
        with workers(self.threads) as pool:
            run = _Run(self, self.family(X, np.asarray(y, dtype=np.float64), pool), beta, callback, time_limit)
            run.keep_checkpoints(checkpoint, checkpoint_every, resume)
            return run.solve(warm_start)


class _Run:
    """One call of `solve`."""

    def __init__(
        self, solver: ActiveSetSolver, family: AtomFamily, beta: float, callback: Callback | None, time_limit: float
    ) -> None:
        self.solver, self.full, self.beta = solver, family, beta
        self.callback, self.time_limit = callback, time_limit
        self.start = time.perf_counter()
        self.checkpoint: Path | None = None
        self.resumed: State | None = None

    def keep_checkpoints(self, path: Path | None, every: float, resume: bool) -> None:
        """Prepare to write checkpoints, and read the one to go on from."""
        self.checkpoint, self.every, self.written = path, every, self.seconds
        if path is None:
            return
        settings = {
            "beta": self.beta,
            **{k: getattr(self.solver, k) for k in ("gap", "starts", "confirm_starts", "rounds", "seed")},
        }
        self.of = fingerprint(self.full, settings)
        if resume:
            self.resumed = load_state(path, self.of)
            self.start -= self.resumed.seconds

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def expired(self) -> bool:
        return self.seconds >= self.time_limit

    def solve(self, warm_start: Atoms | None) -> ActiveSetSolution:
        state = self.resumed or self._first(warm_start)
        status, confirmation, best = "interrupted", None, None
        try:
            while state.level > 0:
                state = self._coarse(state)
            family = self.full
            here = evaluate(family, state.atoms, self.beta)
            best = here
            stalled = 0
            while True:
                pricing = self._price(family, here, state)
                confirmation = pricing.confirmation
                state = self._report(family, here, pricing, state)
                gap = state.history[-1].gap
                if gap <= self.solver.gap and (confirmation is not None or not self.solver.confirm_starts):
                    status = "optimal"
                    break
                if self.expired():
                    status = "time limit"
                    break
                if state.number >= self.solver.rounds or stalled >= STALL:
                    status = "round limit" if state.number >= self.solver.rounds else "stalled"
                    break
                state, moved = self._round(family, here, pricing, state, gap)
                stalled = 0 if moved.primal < here.primal * (1 - 1e-9) else stalled + 1
                best = here = moved
                self._save(state)
            if confirmation is None and self.solver.confirm_starts:
                pricing = self._confirmed(here, state, pricing, whole=True)
                confirmation = pricing.confirmation
                state = self._report(family, here, pricing, state)
        except KeyboardInterrupt:
            if best is None:  # on a coarse level
                best = evaluate(self.full, state.atoms, self.beta)
        assert best is not None
        last = state.history[-1] if state.history and state.history[-1].rows == self.full.n else None
        dual = last.dual if last is not None else 0.0
        if self.checkpoint is not None and status != "interrupted":
            self.checkpoint.unlink(missing_ok=True)
        return ActiveSetSolution(best.atoms, best.primal, dual, confirmation, status, self.seconds, state.history)

    def _first(self, warm_start: Atoms | None) -> State:
        none = self.full.none()
        levels = 2 if self.full.n >= ROWS_FOR_LEVELS and warm_start is None else 0
        atoms = none
        if warm_start is not None:
            atoms = resize(self.full, warm_start, self.beta)
            atoms = atoms.subset(atoms.norms > 0)
        width = COARSE_WIDTHS[0] if levels else WIDTHS[0]
        return State(levels, atoms, none, width, self.solver.starts)

    def _coarse(self, state: State) -> State:
        """The rounds of one coarse level; ends with the state from which the next one starts."""
        random = np.random.default_rng([self.solver.seed, state.level])
        rows = np.sort(random.choice(self.full.n, self.full.n // 4**state.level, replace=False))
        family = self.full.on_rows(rows)
        atoms = resize(family, state.atoms, self.beta)
        here = evaluate(family, atoms.subset(atoms.norms > 0), self.beta)
        while True:
            pricing = self._price(family, here, state)
            state = self._report(family, here, pricing, state)
            gap = state.history[-1].gap
            full = len(here.atoms) * family.p * ROWS_A_PARAMETER > family.n
            if gap <= COARSE_GAP or full or state.number >= COARSE_ROUNDS or self.expired():
                break
            state, here = self._round(family, here, pricing, state, gap)
        atoms = here.atoms
        level = state.level - 1
        if level == 0:
            atoms = resize(self.full, atoms, self.beta)
            atoms = atoms.subset(atoms.norms > 0)
        return state.after(
            level=level, atoms=atoms, width=WIDTHS[0], starts=float(self.solver.starts), excess=np.inf, number=0,
            pricing_work=0.0, descent_work=0.0,
        )  # fmt: skip

    def _price(self, family: AtomFamily, here: Iterate, state: State) -> _Pricing:
        """Search from the state's starts; where that bound would do and all rows are in, confirm by fresh ones."""
        schedule = _schedule(state.excess)
        random = np.random.default_rng([self.solver.seed, state.level, state.number])
        starts = family.starts(int(state.starts), here.atoms, random)
        pool = None if schedule is WEAK else state.pool
        priced = search(family, here.v, starts, here.atoms, self.beta, schedule, pool)
        own = float(price_atoms(family, here.v, here.atoms.units()).max(initial=0.0))
        pricing = _Pricing(priced, own, int(state.starts))
        if state.level == 0 and self.solver.confirm_starts and self._would_stop(here, pricing):
            return self._confirmed(here, state, pricing)
        return pricing

    def _would_stop(self, here: Iterate, pricing: _Pricing) -> bool:
        return here.primal - self._bound(self.full, here, pricing).value <= self.solver.gap * here.primal

    def _confirmed(self, here: Iterate, state: State, pricing: _Pricing, *, whole: bool = False) -> _Pricing:
        """The pricing with a search by fresh starts, and by the atoms themselves, whose summits may lie beside them.

        A share of the starts goes first: unless the whole is wanted, violators that it finds spare the others.
        """
        random = np.random.default_rng([self.solver.seed, state.level, state.number, CONFIRMATION])
        starts = self.full.starts(self.solver.confirm_starts, here.atoms, random)
        first = np.arange(len(starts)) % FIRST_SHARE == 0
        own = here.atoms.units()
        fresh = search(self.full, here.v, own.with_more(starts.subset(first)), here.atoms, self.beta, CONFIRM)
        tried = _Pricing(pricing.found.joined(fresh), pricing.own, pricing.starts + int(first.sum()))
        if not whole and not self._would_stop(here, tried):
            return tried
        fresh = fresh.joined(search(self.full, here.v, starts.subset(~first), here.atoms, self.beta, CONFIRM))
        violators = first_of_close(fresh.atoms.subset(fresh.prices > self.beta), CONFIRM.cosine)
        found = Confirmation(len(starts), len(violators), float(fresh.prices.max(initial=0.0)) / self.beta)
        return _Pricing(pricing.found.joined(fresh), pricing.own, pricing.starts + len(starts), found)

    def _bound(self, family: AtomFamily, here: Iterate, pricing: _Pricing) -> Bound:
        largest = max(pricing.own, float(pricing.found.prices.max(initial=0.0)))
        return dual_bound(family.y, here.v, largest, self.beta)

    def _round(
        self, family: AtomFamily, here: Iterate, pricing: _Pricing, state: State, gap: float
    ) -> tuple[State, Iterate]:
        """Add what pricing found, size it, move everything, and keep the better of the sized and the moved atoms."""
        first, last = WIDTHS if state.level == 0 else COARSE_WIDTHS
        excess = state.excess
        priced, own = pricing.found, pricing.own / self.beta - 1.0
        width = max(0.4 * state.width, last) if own > 0.25 * excess else min(state.width, first)
        chosen = _choose(priced, here.atoms, self.beta, excess)
        added = priced.atoms.subset(chosen)
        rest = priced.atoms.subset(np.setdiff1d(np.arange(len(priced.prices)), chosen)[:POOL])

        typical = 1e-2 * (float(np.median(here.atoms.norms)) if len(here.atoms) else 1.0)
        together = here.atoms.with_more(added.scaled(np.full(len(added), typical)))
        sized = resize(family, together, self.beta)
        used = sized.norms > 0
        unused = added.subset(~used[len(here.atoms) :])
        sized = sized.subset(used)

        tolerance = max(1e-10, 1e-4 * min(1.0, gap))
        moved, passes = descend(family, sized, self.beta, width, tolerance, DESCENT_STEPS, self.expired)
        moved = resize(family, _merge(family, moved), self.beta)
        after = evaluate(family, moved.subset(moved.norms > 0), self.beta)
        if after.primal > here.primal:
            after = min(here, evaluate(family, sized, self.beta), key=lambda point: point.primal)
        pricing_work = state.pricing_work + priced.evaluations
        descent_work = state.descent_work + DESCENT_COST * passes * len(sized)
        cheap = pricing_work < descent_work
        starts = min(MOST_STARTS, 1.3 * state.starts) if cheap else max(float(self.solver.starts), 0.8 * state.starts)
        state = state.after(
            atoms=after.atoms, pool=rest.with_more(unused), width=width, starts=starts, number=state.number + 1,
            pricing_work=pricing_work, descent_work=descent_work,
        )  # fmt: skip
        return state, after

    def _report(self, family: AtomFamily, here: Iterate, pricing: _Pricing, state: State) -> State:
        """Add a line to the history; a bound that was confirmed stays one when later residuals give less."""
        n, sure = family.n, pricing.confirmation is not None
        bound = self._bound(family, here, pricing)
        sure_before = [line.dual for line in state.history if line.confirmed and line.rows == n]
        dual = min(max([bound.value, *sure_before]), here.primal)
        gap = float(max(here.primal - dual, 0.0) / here.primal) if here.primal > 0 else 0.0
        line = Round(self.seconds, n, here.primal, dual, gap, len(here.atoms), pricing.starts, sure)
        if self.callback is not None:
            self.callback(line)
        return state.after(history=(*state.history, line), excess=bound.price - 1.0)

    def _save(self, state: State) -> None:
        if self.checkpoint is not None and self.seconds - self.written >= self.every:
            save_state(self.checkpoint, state.after(seconds=self.seconds), self.of)
            self.written = self.seconds


def _schedule(excess: float) -> Schedule:
    """How hard to climb, by the largest price found last, relative to beta, minus one."""
    if excess > 1.5:
        return WEAK
    if excess > 0.1:
        return EARLY
    return MIDDLE if excess > 0.01 else LATE


def _choose(priced: Priced, active: Atoms, beta: float, excess: float) -> NDArray[np.intp]:
    """Indices of the violators to add: clearly above beta, highest first, no two of them close."""
    schedule = _schedule(excess)
    cosine = schedule.cosine if schedule is WEAK else max(0.999, schedule.cosine)
    most = max(MOST_ADDED, len(active) // 4)
    good = np.flatnonzero(priced.prices > beta * (1.0 + 0.05 * max(excess, 0.0)))
    return good[first_of_close(priced.atoms.subset(good), cosine, most)]


def _merge(family: AtomFamily, atoms: Atoms) -> Atoms:
    """Atoms that have met become one, in pairs; the round keeps the result only if P has not risen."""
    units = atoms.units()
    close = np.triu(units.cosines(units) > MEETING, 1)
    alone = np.ones(len(atoms), dtype=bool)
    first, second = [], []
    for i, j in zip(*np.nonzero(close), strict=True):
        if alone[i] and alone[j]:
            alone[[i, j]] = False
            first.append(i)
            second.append(j)
    if not first:
        return atoms
    met = family.meet(atoms.subset(np.array(first)), atoms.subset(np.array(second)))
    return atoms.subset(alone).with_more(met)
