"""Pricing: ascent of the price v'f(X; w)/n over the unit sphere from many starts at once, and the bound it gives.

The price is piecewise linear in w for ReLU neurons, with as many pieces as X has patterns, and neither convex nor
concave; on many rows it looks smooth. Each start has a BFGS method of its own, all of them share each pass over the
rows. First-order ascent finds a tenth of the maxima for the same passes, and starts must not be dropped for a low price
on the way: the highest maxima are often late risers. Rows must not be sampled either, as the price of noise on a few
rows is larger than beta.

Half of all trials are rejected. They tell of the curvature too, and 28 steps that learn from them find more than 60
that do not; and so does an ascent that begins with the inverse Hessian of the nearest maximum of the search before,
which a bank keeps (docs/solvers.md has the measurements).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.family import AtomFamily, Atoms
from ecgcvx.errors import InputError
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.solution import Stopwatch
from ecgcvx.types import Array

SUFFICIENT = 1e-4  # share of the slope's promise that a step must keep
SHRINK, SHORTEST = 0.5, 0.1  # of a step after a rejection, and at least
FAILURES = 4  # rejected steps in a row before the inverse Hessian is forgotten
AFRESH = 0.3  # first step after that
STEEP = 1e-6  # curvature, in units of beta, below which a pair is not used
TINY_STEP = 1e-24  # squared length of a step on the unit sphere that tells nothing
ALIGNED = 1e-3  # cosine of step and change of slope below which a pair is a kink's, not a curvature's
WILD = 1e9  # trace of an inverse Hessian, in units of 1/beta, from which it is forgotten
WAVE_ELEMENTS = 1 << 25  # of all inverse Hessians at once: 256 MB
BANK_ELEMENTS = 1 << 20  # of the inverse Hessians that a bank keeps: 4,096 of 16 x 16
NEAR = 0.95  # price, in units of beta, from which an ascent that met a better one is kept in the bank
EXACT = 200  # atoms of largest price that are priced again in float64
CONFIRM_PART = 256  # starts of a confirmation between looks at the clock
HOPE = 10.0  # times its promise that an ascent might still gain
BLOCK = 256  # atoms compared with each other at once


def check_search(starts: int, confirm_starts: int, seed: int) -> None:
    """Refuse numbers of starts and seeds that no search can have."""
    if starts < 1:
        raise InputError(f"starts = {starts}: give at least 1")
    for name, value in (("confirm_starts", confirm_starts), ("seed", seed)):
        if value < 0:
            raise InputError(f"{name} = {value}: it must not be negative")


class Schedule(NamedTuple):
    """Ascent steps of each stage; after a stage, starts closer than `cosine` to a better one go.

    So do those that close to an active atom, unless their price is larger than `above` times beta. resting : whether
    ascents rest that will hardly exceed the largest price.
    """

    steps: tuple[int, ...]
    cosine: float
    above: float
    resting: bool = False


FAR = Schedule((8,), 0.98, 1.002)  # far from the optimum: diverse and half-way up is better than the few same maxima
CLOSE = Schedule((6, 8, 10, 14), 0.9995, 1.00001, resting=True)  # the bound rests on rare, late risers
ON_SAMPLE = Schedule((6, 8, 8, 6), 0.9995, 1.00001)  # where all but the last stage cost little


@dataclass(frozen=True, eq=False)
class Bank:
    """Maxima of a search and the inverse Hessians (m, p, p) that their ascents ended with."""

    atoms: Atoms
    inverse: Array

    @classmethod
    def empty(cls, none: Atoms) -> "Bank":
        """A bank of nothing."""
        p = none.points.shape[1]
        return cls(none, np.zeros((0, p, p)))

    def best(self, prices: Array) -> "Bank":
        """As many as a bank may keep, of highest price (m,)."""
        order = np.argsort(-prices, kind="stable")[: max(1, BANK_ELEMENTS // self.atoms.points.shape[1] ** 2)]
        return Bank(self.atoms.subset(order), self.inverse[order])


@dataclass(frozen=True, eq=False)
class Priced:
    """Unit atoms and their prices (m,), highest first, and the bank for the search that follows."""

    atoms: Atoms
    prices: Array
    bank: Bank

    def joined(self, other: "Priced") -> "Priced":
        """Both, highest price first, with the other's bank."""
        prices = np.concatenate([self.prices, other.prices])
        order = np.argsort(-prices, kind="stable")
        return Priced(self.atoms.with_more(other.atoms).subset(order), prices[order], other.bank)


class Sample(NamedTuple):
    """A program on some rows (k,) of another one, on which ascents may begin."""

    program: AllPatterns
    rows: NDArray[np.intp]


class Bound(NamedTuple):
    """The best lower bound D(c v), c <= beta / price, that a residual v gives; price: the largest, relative to beta."""

    value: float
    price: float


def bound(program: AllPatterns, v: Array, price: float) -> Bound:
    """Return the bound of the residual v (n,) when `price` is the largest over all atoms."""
    return Bound(program.dual_value(v, price), float(price / program.beta))


def price_atoms(program: AllPatterns, v: Array, atoms: Atoms) -> Array:
    """Return the prices (m,) of unit atoms in float64."""
    if not len(atoms):
        return np.zeros(0)
    return np.einsum("ij,ij->i", program.passes.prices(atoms, v, exact=True), atoms.points)


def search(
    program: AllPatterns,
    v: Array,
    starts: Atoms,
    active: Atoms,
    schedule: Schedule,
    bank: Bank | None = None,
    sample: Sample | None = None,
    known: float = 0.0,
) -> Priced:
    """Ascend from the starts; return the distinct maxima, the EXACT best of them priced in float64.

    active: atoms that need not be found again. bank: maxima of a search before, at another residual. sample : rows on
    which all stages but the last climb, where there are several; every price that is returned is that of all rows.
    known : a price found before: where the schedule lets them, ascents rest that will hardly exceed it.
    """
    early, late = (program, v), (program, v)
    if sample is not None and len(schedule.steps) > 1:
        early = sample.program, v[sample.rows]
    wave = max(64, WAVE_ELEMENTS // program.passes.p**2)
    own = program.family.units(active)
    found, prices = program.passes.none(), np.zeros(0)
    kept, kept_prices = Bank.empty(found), np.zeros(0)
    for first in range(0, max(len(starts), 1), wave):
        ascent = Ascent(*early, starts.subset(np.arange(first, min(first + wave, len(starts)))), bank)
        for stage, steps in enumerate(schedule.steps):
            if early is not late and stage == len(schedule.steps) - 1:
                ascent.go_on(*late)
            ascent.climb(steps, schedule.resting, known)
            distinct = _distinct(program, ascent.atoms, ascent.prices, own, schedule)
            gone = np.setdiff1d(np.flatnonzero(ascent.prices > NEAR * program.beta), distinct)
            kept, kept_prices = ascent.banked(kept, kept_prices, gone)
            ascent.keep(distinct)
        kept, kept_prices = ascent.banked(kept, kept_prices, np.arange(len(ascent.prices)))
        found, prices = found.with_more(ascent.atoms), np.concatenate([prices, ascent.prices])
    order = np.argsort(-prices, kind="stable")
    found, prices = found.subset(order), prices[order]
    prices[:EXACT] = price_atoms(program, v, found.subset(np.arange(min(EXACT, len(found)))))
    order = np.argsort(-prices, kind="stable")
    return Priced(found.subset(order), prices[order], kept.best(kept_prices))


def search_until(
    program: AllPatterns,
    v: Array,
    starts: Atoms,
    active: Atoms,
    clock: Stopwatch,
    bank: Bank | None = None,
    sample: Sample | None = None,
    *,
    known: float = 0.0,
) -> tuple[Priced, int]:
    """Confirm by ascents from the starts, and return how many were made: all, unless the clock ended it.

    Without a time limit it is one `search`; with one, a search at least, of `CONFIRM_PART` starts.
    """
    parts = 1 if clock.time_limit == np.inf else max(1, len(starts) // CONFIRM_PART)
    found, made = None, 0
    for part in np.array_split(np.arange(len(starts)), parts):
        if found is not None and clock.expired:
            break
        one = search(program, v, starts.subset(part), active, CLOSE, bank, sample, known)
        found, bank, made = one if found is None else found.joined(one), one.bank, made + len(part)
        known = max(known, float(one.prices.max(initial=0.0)))
    assert found is not None
    return found, made


def _distinct(program: AllPatterns, atoms: Atoms, prices: Array, own: Atoms, schedule: Schedule) -> NDArray[np.intp]:
    """Indices of positive prices, highest first, without those near a higher one or, unless better, an active atom."""
    order = np.argsort(-prices, kind="stable")
    order = order[prices[order] > 0]
    if len(own):
        near = program.family.cosines(atoms, own).max(axis=1)
        order = order[(near[order] < schedule.cosine) | (prices[order] > schedule.above * program.beta)]
    return order[first_of_close(program.family, atoms.subset(order), schedule.cosine)]


def first_of_close(family: AtomFamily, atoms: Atoms, cosine: float, most: int | None = None) -> NDArray[np.intp]:
    """Indices of unit atoms, in their order, without those closer than `cosine` to one kept before; at most `most`."""
    kept = np.empty(0, dtype=np.intp)
    for first in range(0, len(atoms), BLOCK):
        if most is not None and len(kept) >= most:
            break
        block = np.arange(first, min(first + BLOCK, len(atoms)))
        if len(kept):
            block = block[family.cosines(atoms.subset(block), atoms.subset(kept)).max(axis=1) <= cosine]
        close = family.cosines(atoms.subset(block), atoms.subset(block)) > cosine
        alone = np.ones(len(block), dtype=bool)
        for k in range(len(block)):
            if alone[k]:
                alone[k + 1 :] &= ~close[k, k + 1 :]
        kept = np.concatenate([kept, block[alone]])
    return kept[:most]


class Ascent:
    """Batched BFGS on the sphere; each row is a start with its own inverse Hessian and step."""

    def __init__(self, program: AllPatterns, v: Array, atoms: Atoms, bank: Bank | None) -> None:
        self.passes, self.family, self.v, self.beta = program.passes, program.family, v, program.beta
        self.atoms = atoms
        self.prices, self.slopes = self._price(atoms)
        self.inverse = self._fresh(self.prices)
        if bank is not None and len(bank.atoms):
            self._begin_from(bank)
        self.step = np.ones(len(atoms))
        self.failures = np.zeros(len(atoms), dtype=np.intp)

    def go_on(self, program: AllPatterns, v: Array) -> None:
        """Price the atoms on other rows of the program, to climb there from here on; curvatures stay."""
        self.passes, self.v = program.passes, v
        self.prices, self.slopes = self._price(self.atoms)
        self.step[:], self.failures[:] = 1.0, 0

    def climb(self, steps: int, resting: bool = False, known: float = 0.0) -> None:
        for _ in range(steps):
            directions = np.matmul(self.inverse, self.slopes[:, :, None])[:, :, 0]
            promise = np.einsum("ij,ij->i", self.slopes, directions)
            moving = np.flatnonzero(~self._resting(promise, known)) if resting else np.arange(len(promise))
            if not len(moving):
                return
            self._move(moving, directions[moving], promise[moving])

    def _resting(self, promise: Array, known: float) -> NDArray[np.bool_]:
        """Which ascents will hardly exceed the largest price, so that a pass over the rows is better spent on others.

        Not one whose last step was rejected, as at a kink.
        """
        return (self.failures == 0) & (self.prices + HOPE * promise < self.prices.max(initial=known))

    def _begin_from(self, bank: Bank) -> None:
        """Take the inverse Hessian of the nearest maximum in the bank, if any is on the same side; every second start.

        The others begin afresh: the rarest maxima lie where no search has been.
        """
        every = np.arange(0, len(self.atoms), 2)
        for first in range(0, len(every), BLOCK):
            rows = every[first : first + BLOCK]
            cosines = self.family.cosines(self.atoms.subset(rows), bank.atoms)
            nearest = cosines.argmax(axis=1)
            known = cosines[np.arange(len(rows)), nearest] > 0
            self.inverse[rows[known]] = bank.inverse[nearest[known]]

    def _move(self, rows: NDArray[np.intp], directions: Array, promise: Array) -> None:
        """A step of the ascents `rows`, along directions (k, p) on which the slope promises so much (k,)."""
        atoms, prices, slopes = self.atoms.subset(rows), self.prices[rows], self.slopes[rows]
        step, failures = self.step[rows], self.failures[rows]
        lengths = step / np.maximum(np.linalg.norm(directions, axis=1), 1.0)
        moved = self.family.units(atoms.moved(atoms.points + lengths[:, None] * directions))
        new_prices, new_slopes = self._price(moved)
        better = new_prices >= prices + SUFFICIENT * lengths * promise
        self._update(rows, moved.points - atoms.points, slopes - new_slopes)
        points = self.atoms.points.copy()
        points[rows[better]] = moved.points[better]
        self.atoms = self.atoms.moved(points)
        self.prices[rows[better]], self.slopes[rows[better]] = new_prices[better], new_slopes[better]
        step, failures = np.where(better, 1.0, np.maximum(SHRINK * step, SHORTEST)), np.where(better, 0, failures + 1)
        wild = np.einsum("iaa->i", self.inverse[rows]) > WILD / self.beta
        stuck = (failures >= FAILURES) | wild
        self.inverse[rows[stuck]] = self._fresh(self.prices[rows[stuck]])
        step[stuck], failures[stuck] = AFRESH, 0
        self.step[rows], self.failures[rows] = step, failures

    def _update(self, rows: NDArray[np.intp], s: Array, q: Array) -> None:
        """BFGS update of `rows` where the pair of a trial, accepted or rejected, has positive curvature."""
        sq, ss = np.einsum("ij,ij->i", s, q), np.einsum("ij,ij->i", s, s)
        qq = np.einsum("ij,ij->i", q, q)
        use = (ss > TINY_STEP) & (sq > np.maximum(STEEP * self.beta * ss, ALIGNED * np.sqrt(ss * qq)))
        rows, s, q, rho = rows[use], s[use], q[use], 1.0 / sq[use]
        H = self.inverse[rows]
        Hq = np.matmul(H, q[:, :, None])[:, :, 0]
        weight = (1.0 + rho * np.einsum("ij,ij->i", q, Hq)) * rho
        left = rho[:, None] * s
        H -= left[:, :, None] * Hq[:, None, :]
        H -= Hq[:, :, None] * left[:, None, :]
        H += (weight[:, None] * s)[:, :, None] * s[:, None, :]
        self.inverse[rows] = H

    def banked(self, bank: Bank, prices: Array, chosen: NDArray[np.intp]) -> tuple[Bank, Array]:
        """The bank and its prices with some of the ascents added."""
        atoms = bank.atoms.with_more(self.atoms.subset(chosen))
        inverse = np.concatenate([bank.inverse, self.inverse[chosen]])
        return Bank(atoms, inverse), np.concatenate([prices, self.prices[chosen]])

    def keep(self, chosen: NDArray[np.intp]) -> None:
        self.atoms = self.atoms.subset(chosen)
        for name in ("prices", "slopes", "inverse", "step", "failures"):
            setattr(self, name, getattr(self, name)[chosen])

    def _price(self, atoms: Atoms) -> tuple[Array, Array]:
        gradients = self.passes.prices(atoms, self.v)
        prices = np.einsum("ij,ij->i", gradients, atoms.points)
        return prices, gradients - prices[:, None] * atoms.points

    def _fresh(self, prices: Array) -> Array:
        sizes = 1.0 / np.maximum(prices, 0.3 * self.beta)
        return sizes[:, None, None] * self.passes.metric
