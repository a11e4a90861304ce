"""The rounds: price, bound, add, resize, descend, merge, resize.

A round is a function of the state, its random starts are drawn from (seed, level, round), and its choices depend on
work counted, never on the clock: the same seed gives the same result with any number of threads and after any stop.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.family import AtomFamily, Atoms
from ecgcvx.atoms.workers import workers
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, relative_gap
from ecgcvx.interruption import check, stoppable
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.amplitudes import amplitudes, resize
from ecgcvx.solvers.active_set.descent import descend
from ecgcvx.solvers.active_set.pricing import (
    CLOSE,
    FAR,
    ON_SAMPLE,
    Bank,
    Bound,
    Priced,
    Sample,
    bound,
    check_search,
    first_of_close,
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
    used,
)
from ecgcvx.solvers.active_set.state import State, fingerprint, load_state, save_state
from ecgcvx.solvers.solution import Stopwatch, check_stopping

ROWS_FOR_LEVELS = 1 << 15  # fewer rows are solved at once
LEVELS = 2  # of coarse rows, at least
COARSEST = 1 << 16  # rows of the coarsest level at most
COARSE_GAP = 0.3  # less would fit the noise of the sample
COARSE_GAP_MANY = 0.1  # with COARSEST rows; more of them have less noise, as their root
COARSE_ROUNDS = 5
SAMPLED = 1 << 20  # rows beyond which ascents begin on a sample
SAMPLE, SAMPLE_SHARE = 1 << 18, 16  # its rows: so many at least, and one in so many
ROWS_A_PARAMETER = 8  # at least, on a coarse level
EXCESS_FAR = 0.6  # of the largest price over beta, beyond which half as many and short ascents do
STARTS_AN_ATOM = 4
MOST_STARTS = 3000
POOL = 600
ROUND_ROWS, LEAST_SHARE = 1 << 17, 0.25  # of more rows a round takes fewer starts
ADDED_FAR, ADDED_CLOSE = 100, 300  # atoms a round, or the share of the atoms
SHARE_FAR, SHARE_CLOSE = 0.4, 0.5
CLEAR = 0.02  # of the excess: how far over beta a price must be
WIDTHS = (1e-3, 1e-4)  # of the rounded kinks, relative: first and last, on all rows
COARSE_WIDTHS = (3e-2, 3e-3)
DESCENT_STEPS = 40
MEETING = 0.9998  # cosine beyond which two atoms may become one
SAME = 1 - 1e-10  # cosine of maximisers that cells share
STALL = 8  # rounds without progress after which float32 has no more to give
PROGRESS, PROGRESS_OF_GAP = 1e-9, 1e-3  # what counts as such: a share of P, less where the gap asked for is small
CONFIRMATION = 1  # name of the other stream of random starts
ROUNDS_SHARE = 0.8  # of a time limit, for the rounds; the rest is for the confirmation
SURPRISE = 2.0  # times the gap of the search before, above which what the last confirmation found gets one more round
FIRST_SHARE = 8  # one start in so many of a confirmation goes first


class _Pricing(NamedTuple):
    """What a search found, the largest price of the active atoms themselves, its starts, the confirmation among it.

    exact : whether every cell was priced, and no search was made.
    """

    found: Priced
    own: float
    starts: int
    confirmation: Confirmation | None = None
    exact: bool = False

    @property
    def largest(self) -> float:
        """The largest price known, of what was found and of the active atoms."""
        return max(self.own, float(self.found.prices.max(initial=0.0)))

    @property
    def sure(self) -> bool:
        """Whether the bound is a proof or was confirmed by fresh starts."""
        return self.exact or self.confirmation is not None


@dataclass(frozen=True)
class ActiveSetSolver:
    """Minimise P over all patterns, to a searched relative gap.

    gap : relative searched gap to stop at, confirmed by `confirm_starts` fresh starts (0: not confirmed). rounds :
    after which to stop all the same, a limit that unlike time gives the same result everywhere; one more where the
    confirmation then finds more than twice the gap of the search before, as of one rare violator. starts : fresh starts
    of a round at least. threads : None for all cores; changes no result.
    """

    gap: float = 1e-2
    starts: int = 150
    confirm_starts: int = 3000
    rounds: int = 1000
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)
        check_search(self.starts, self.confirm_starts, self.seed)

    def solve(
        self,
        program: AllPatterns,
        *,
        warm_start: Atoms | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
        checkpoint: Path | None = None,
        checkpoint_every: float = 15.0,
        resume: bool = False,
    ) -> AtomSolution:
        """Solve the program; return the best point on the gap, on the time limit or on Ctrl-C.

        warm_start : atoms to begin with, e.g. those of a neighbouring beta. time_limit : seconds, of which the rounds
        take at most the share `ROUNDS_SHARE` where a confirmation is to follow, which ends with the starts that were
        made by then. A step that has begun is not cut short. checkpoint : a file written every `checkpoint_every`
        seconds, between rounds, and removed at the end; resume : go on from it, to the same result as a run that was
        never stopped.

        Raises InputError for unusable options, SolverError for a checkpoint of another problem.
        """
        clock = Stopwatch(time_limit)
        if resume and checkpoint is None:
            raise InputError("resume: there is no checkpoint to resume from; give its file")
        with workers(self.threads) as pool:
            run = _Run(self, program.using(pool), callback, clock)
            run.keep_checkpoints(checkpoint, checkpoint_every, resume)
            return run.solve(warm_start)


class _Run:
    """One call of `solve`."""

    def __init__(
        self, solver: ActiveSetSolver, program: AllPatterns, callback: Callback | None, clock: Stopwatch
    ) -> None:
        self.solver, self.full, self.beta = solver, program, program.beta
        self.callback, self.clock = callback, clock
        self.checkpoint: Path | None = None
        self.resumed: State | None = None

    def keep_checkpoints(self, path: Path | None, every: float, resume: bool) -> None:
        """Prepare to write checkpoints, and read the one to go on from."""
        self.checkpoint, self.every, self.written = path, every, self.clock.seconds
        if path is None:
            return
        settings = {name: value for name, value in asdict(self.solver).items() if name != "threads"}
        self.of = fingerprint(self.full, settings)
        if resume:
            self.resumed = load_state(path, self.of)
            self.clock = Stopwatch(self.clock.time_limit, self.resumed.seconds)

    @cached_property
    def sample(self) -> Sample | None:
        """The rows on which ascents over all rows begin; None where these are few enough."""
        n = self.full.n
        if n <= SAMPLED:
            return None
        random = np.random.default_rng([self.solver.seed, SAMPLED])
        rows = np.sort(random.choice(n, max(SAMPLE, n // SAMPLE_SHARE), replace=False))
        return Sample(self.full.on_rows(rows), rows)

    def expired(self, needed: float = 0.0) -> bool:
        """Whether the time of the rounds is over, or would be after as many seconds as are needed.

        What is left of it belongs to the confirmation.
        """
        share = ROUNDS_SHARE if self.solver.confirm_starts else 1.0
        return self.clock.expired or self.clock.seconds + needed >= share * self.clock.time_limit

    def solve(self, warm_start: Atoms | None) -> AtomSolution:
        state = self.resumed or self._first(warm_start)
        status, confirmation, best = "interrupted", None, None
        with stoppable() as loop:
            check()
            while state.level > 0:
                state = self._coarse(state)
            here = evaluate(self.full, state.atoms)
            best = here
            stalled, began = 0, self.clock.seconds
            progress = min(PROGRESS, PROGRESS_OF_GAP * self.solver.gap)
            while True:
                pricing = self._price(self.full, here, state)
                confirmation = pricing.confirmation
                state = self._report(self.full, here, pricing, state)
                gap = state.history[-1].gap
                if gap <= self.solver.gap and (pricing.sure or not self.solver.confirm_starts):
                    status = "optimal"
                    break
                took, began = self.clock.seconds - began, self.clock.seconds  # of a round, the next one takes more
                if self.expired(took):
                    status = self.clock.reason
                    break
                if stalled >= STALL or self._ends(state, confirmation):
                    status = "stalled" if state.number < self.solver.rounds else "round limit"
                    break
                state, moved = self._round(self.full, here, pricing, state, gap)
                stalled = 0 if moved.primal < here.primal * (1 - progress) else stalled + 1
                best = here = moved
                self._save(state)
            if not pricing.sure and self.solver.confirm_starts and not self.clock.expired:
                pricing = self._confirmed(here, state, pricing, last=True)
                confirmation = pricing.confirmation
                state = self._report(self.full, here, pricing, state)
        if loop.stopped and best is None:  # on a coarse level
            best = evaluate(self.full, state.atoms)
        assert best is not None
        last = state.history[-1] if state.history and state.history[-1].rows == self.full.n else None
        dual = last.dual if last is not None else 0.0
        if self.checkpoint is not None and status != "interrupted":
            self.checkpoint.unlink(missing_ok=True)
        basis = Evidence.SEARCHED if self.full.cells is None or last is None else Evidence.ENUMERATED
        return AtomSolution(
            best.atoms, best.free, best.primal, dual, confirmation, status, self.clock.seconds, state.history, basis
        )

    def _ends(self, state: State, confirmation: Confirmation | None) -> bool:
        """Whether the round limit ends the rounds: not where its confirmation found far more than the search before."""
        if state.number != self.solver.rounds or confirmation is None:
            return state.number >= self.solver.rounds
        gaps = [line.gap for line in state.history if line.rows == self.full.n]
        return len(gaps) < 2 or gaps[-1] <= SURPRISE * gaps[-2]

    def _first(self, warm_start: Atoms | None) -> State:
        none = self.full.passes.none()
        levels = _levels(self.full.n) if warm_start is None else 0
        atoms = none
        if warm_start is not None:
            atoms = used(self.full, resize(self.full, warm_start))
        width = COARSE_WIDTHS[0] if levels else WIDTHS[0]
        return State(levels, atoms, none, Bank.empty(none), width)

    def _coarse(self, state: State) -> State:
        """The rounds of one coarse level; ends with the state from which the next one starts."""
        random = np.random.default_rng([self.solver.seed, state.level])
        rows = np.sort(random.choice(self.full.n, self.full.n // 4**state.level, replace=False))
        program = self.full.on_rows(rows)
        here = evaluate(program, used(program, resize(program, state.atoms)))
        while True:
            pricing = self._price(program, here, state)
            state = self._report(program, here, pricing, state)
            gap = state.history[-1].gap
            full = len(here.atoms) * program.passes.p * ROWS_A_PARAMETER > program.n
            many = program.n > COARSEST
            goal = COARSE_GAP_MANY * np.sqrt(COARSEST / program.n) if many else COARSE_GAP
            if gap <= goal or full or state.number >= COARSE_ROUNDS or self.expired():
                break
            state, here = self._round(program, here, pricing, state, gap)
        atoms, none = here.atoms, self.full.passes.none()
        level = state.level - 1
        if level == 0:
            atoms = used(self.full, resize(self.full, atoms))
        return state.after(
            level=level, atoms=atoms, pool=none, bank=Bank.empty(none), width=WIDTHS[0], far=True, excess=np.inf,
            number=0,
        )  # fmt: skip

    def _price(self, program: AllPatterns, here: Iterate, state: State) -> _Pricing:
        """Search from fresh starts and the pool; where that bound would do and all rows are in, confirm it."""
        far = state.far
        own = float(price_atoms(program, here.v, program.family.units(here.atoms)).max(initial=0.0))
        if program.cells is not None:
            return _Pricing(Priced(*program.cells.maximisers(here.v), state.bank), own, 0, exact=True)
        random = np.random.default_rng([self.solver.seed, state.level, state.number])
        last = state.level == 0 and state.number >= self.solver.rounds and self.solver.confirm_starts > 0
        if last and not self.clock.expired:
            nothing = Priced(program.passes.none(), np.zeros(0), state.bank)
            return self._confirmed(here, state, _Pricing(nothing, own, 0), last=True)
        most = int(MOST_STARTS * _share(program.n))
        count = max(self.solver.starts, min(STARTS_AN_ATOM * len(here.atoms), most) // (2 if far else 1))
        starts = program.passes.starts(count, here.atoms, random).with_more(state.pool)
        sample = self.sample if state.level == 0 else None
        schedule = FAR if far else CLOSE if sample is None else ON_SAMPLE
        priced = search(program, here.v, starts, here.atoms, schedule, state.bank, sample)
        pricing = _Pricing(priced, own, count)
        if state.level == 0 and self.solver.confirm_starts and self._would_stop(here, pricing):
            return self._confirmed(here, state, pricing)
        return pricing

    def _would_stop(self, here: Iterate, pricing: _Pricing) -> bool:
        return here.primal - self._bound(self.full, here, pricing).value <= self.solver.gap * here.primal

    def _confirmed(self, here: Iterate, state: State, pricing: _Pricing, *, last: bool = False) -> _Pricing:
        """The pricing with a search by fresh starts, and by the atoms themselves, whose summits may lie beside them.

        A share of the starts goes first: violators that it finds spare the others. last : no round follows, so that all
        starts are made, and what the pricing before left is searched with them.
        """
        random = np.random.default_rng([self.solver.seed, state.level, state.number, CONFIRMATION])
        starts = self.full.passes.starts(self.solver.confirm_starts, here.atoms, random)
        first = np.arange(len(starts)) % FIRST_SHARE == 0
        known = self.full.family.units(here.atoms)
        if last:
            known = known.with_more(state.pool)
        begin, bank = known.with_more(starts.subset(first)), pricing.found.bank
        fresh = search(self.full, here.v, begin, here.atoms, CLOSE, bank, self.sample, pricing.largest)
        made = int(first.sum())
        tried = _Pricing(pricing.found.joined(fresh), pricing.own, pricing.starts + made)
        if not last and not self._would_stop(here, tried):
            return tried
        if last or not self.clock.expired:
            rest, more = search_until(
                self.full, here.v, starts.subset(~first), here.atoms, self.clock, fresh.bank, self.sample,
                known=tried.largest,
            )  # fmt: skip
            fresh, made = fresh.joined(rest), made + more
        above = fresh.atoms.subset(fresh.prices > self.beta)
        violators = first_of_close(self.full.family, above, CLOSE.cosine)
        sure = Confirmation(made, len(violators), float(fresh.prices.max(initial=0.0)) / self.beta)
        return _Pricing(pricing.found.joined(fresh), pricing.own, pricing.starts + made, sure)

    def _bound(self, program: AllPatterns, here: Iterate, pricing: _Pricing) -> Bound:
        return bound(program, here.v, pricing.largest)

    def _round(
        self, program: AllPatterns, here: Iterate, pricing: _Pricing, state: State, gap: float
    ) -> tuple[State, Iterate]:
        """Add what pricing found, size it, move everything, and keep the better of the sized and the moved atoms."""
        first, last = WIDTHS if state.level == 0 else COARSE_WIDTHS
        excess = state.excess
        priced, own = pricing.found, pricing.own / self.beta - 1.0
        width = max(0.4 * state.width, last) if own > 0.25 * excess else min(state.width, first)
        chosen = _choose(program, pricing, here.atoms, state)
        added = priced.atoms.subset(chosen)
        rest = priced.atoms.subset(np.setdiff1d(np.arange(len(priced.prices)), chosen)[:POOL])

        family = program.family
        units = family.units(here.atoms).with_more(added)
        norms = amplitudes(program, units, np.concatenate([family.norms(here.atoms), np.zeros(len(added))]))
        kept = norms > 0
        unused = added.subset(~kept[len(here.atoms) :])
        sized = family.scaled(units, norms).subset(kept)

        tolerance = min(1e-5, 3e-5 * gap)
        moved, _ = descend(program, sized, width, tolerance, DESCENT_STEPS, self.expired)
        after = evaluate(program, used(program, resize(program, _merge(family, moved))))
        if after.primal > here.primal or pricing.exact:
            after = min(after, evaluate(program, sized), key=lambda point: point.primal)
        if after.primal > here.primal:
            after = here
        state = state.after(
            atoms=after.atoms,
            pool=rest.with_more(unused),
            bank=priced.bank,
            width=width,
            number=state.number + 1,
            far=state.far and excess > EXCESS_FAR,
        )
        return state, after

    def _report(self, program: AllPatterns, here: Iterate, pricing: _Pricing, state: State) -> State:
        """Add a line to the history; a bound that was confirmed stays one when later residuals give less."""
        n, sure = program.n, pricing.sure
        found = self._bound(program, here, pricing)
        sure_before = [line.dual for line in state.history if line.confirmed and line.rows == n]
        dual = min(max([found.value, *sure_before]), here.primal)
        gap = relative_gap(here.primal, dual)
        line = Round(self.clock.seconds, n, here.primal, dual, gap, len(here.atoms), pricing.starts, sure)
        if self.callback is not None:
            self.callback(line)
        excess = found.price - 1.0
        return state.after(history=(*state.history, line), excess=excess)

    def _save(self, state: State) -> None:
        if self.checkpoint is not None and self.clock.seconds - self.written >= self.every:
            save_state(self.checkpoint, state.after(seconds=self.clock.seconds), self.of)
            self.written = self.clock.seconds


def _levels(n: int) -> int:
    """How many times n rows are divided by four before the first round."""
    if n < ROWS_FOR_LEVELS:
        return 0
    levels = LEVELS
    while n // 4**levels > COARSEST:
        levels += 1
    return levels


def _share(n: int) -> float:
    """Of the most starts of a round, what one of n rows takes."""
    return max(LEAST_SHARE, min(1.0, ROUND_ROWS / n))


def _choose(program: AllPatterns, pricing: _Pricing, active: Atoms, state: State) -> NDArray[np.intp]:
    """Indices of the violators to add: clearly above beta, highest first, no two of them close."""
    far, excess, priced = state.far, state.excess, pricing.found
    cosine = SAME if pricing.exact else (FAR if far else CLOSE).cosine
    least, share = (ADDED_FAR, SHARE_FAR) if far else (ADDED_CLOSE, SHARE_CLOSE)
    most = max(least, int(share * len(active)))
    good = np.flatnonzero(priced.prices > program.beta * (1.0 + CLEAR * max(excess, 0.0)))
    return good[first_of_close(program.family, priced.atoms.subset(good), cosine, most)]


def _merge(family: AtomFamily, atoms: Atoms) -> Atoms:
    """Atoms that have met become one, in pairs; the round keeps the result only if P has not risen."""
    units = family.units(atoms)
    close = np.triu(family.cosines(units, units) > MEETING, 1)
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
