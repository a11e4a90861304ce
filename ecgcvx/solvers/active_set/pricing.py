"""Pricing: ascent of the price v'f(X; w)/n over the unit sphere from many starts at once, and the bound it gives.

The price is piecewise linear in w for ReLU neurons, with as many pieces as X has patterns, and neither convex nor
concave; on many rows it looks smooth. Each start has a BFGS method of its own, all of them share each pass over the
rows. First-order ascent finds a tenth of the maxima for the same passes, and starts must not be dropped for a low price
on the way: the highest maxima are often late risers. Rows must not be sampled either, as the price of noise on a few
rows is larger than beta.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.family import AtomFamily, Atoms
from ecgcvx.errors import InputError
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.types import Array

SUFFICIENT = 1e-4  # share of the slope's promise that a step must keep
SHRINK = 0.25
FAILURES = 4  # rejected steps in a row before the inverse Hessian is forgotten
WAVE_ELEMENTS = 1 << 25  # of all inverse Hessians at once: 256 MB
EXACT = 200  # atoms of largest price that are priced again in float64
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

    So do those that close to an active atom, unless their price is larger than `above` times beta.
    """

    steps: tuple[int, ...]
    cosine: float
    above: float


WEAK = Schedule((5,), 0.98, 1.002)  # far from the optimum: diverse and half-way up is better than the few same summits
EARLY = Schedule((4, 4, 6, 8), 0.995, 1.002)
MIDDLE = Schedule((4, 4, 6, 10), 0.999, 1.0005)
LATE = Schedule((6, 6, 8, 12), 0.9995, 1.00001)
CONFIRM = Schedule((6, 8, 10, 14), 0.9995, 1.00001)


@dataclass(frozen=True, eq=False)
class Priced:
    """Unit atoms and their prices (m,), highest first; evaluations: starts times passes that it took."""

    atoms: Atoms
    prices: Array
    evaluations: int

    def joined(self, other: "Priced") -> "Priced":
        """Both, highest price first."""
        prices = np.concatenate([self.prices, other.prices])
        order = np.argsort(-prices, kind="stable")
        atoms = self.atoms.with_more(other.atoms).subset(order)
        return Priced(atoms, prices[order], self.evaluations + other.evaluations)


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
    pool: Atoms | None = None,
) -> Priced:
    """Ascend from the starts, and with them from the pool after the first stage; return the distinct summits.

    The EXACT best are priced in float64. active: atoms that need not be found again.
    """
    wave = max(64, WAVE_ELEMENTS // program.passes.p**2)
    own = program.family.units(active)
    found, prices, evaluations = program.passes.none(), np.zeros(0), 0
    for first in range(0, max(len(starts), 1), wave):
        ascent = _Ascent(program, v, starts.subset(np.arange(first, min(first + wave, len(starts)))))
        for stage, steps in enumerate(schedule.steps):
            ascent.climb(steps)
            if stage == 0 and first == 0 and pool is not None and len(pool):
                ascent.join(_Ascent(program, v, pool))
            ascent.keep(_distinct(program, ascent.atoms, ascent.prices, own, schedule))
        found, prices = found.with_more(ascent.atoms), np.concatenate([prices, ascent.prices])
        evaluations += ascent.evaluations
    order = np.argsort(-prices, kind="stable")
    found, prices = found.subset(order), prices[order]
    prices[:EXACT] = price_atoms(program, v, found.subset(np.arange(min(EXACT, len(found)))))
    order = np.argsort(-prices, kind="stable")
    return Priced(found.subset(order), prices[order], evaluations)


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


class _Ascent:
    """Batched BFGS on the sphere; each row is a start with its own inverse Hessian and step."""

    def __init__(self, program: AllPatterns, v: Array, atoms: Atoms) -> None:
        self.passes, self.family, self.v, self.beta = program.passes, program.family, v, program.beta
        self.atoms = atoms
        self.prices, self.slopes = self._price(atoms)
        self.inverse = self._fresh(self.prices)
        self.step = np.ones(len(atoms))
        self.failures = np.zeros(len(atoms), dtype=np.intp)
        self.evaluations = len(atoms)

    def climb(self, steps: int) -> None:
        for _ in range(steps):
            if not len(self.atoms):
                return
            self._move()
            self.evaluations += len(self.atoms)

    def _move(self) -> None:
        W = self.atoms.points
        directions = np.matmul(self.inverse, self.slopes[:, :, None])[:, :, 0]
        promise = np.einsum("ij,ij->i", self.slopes, directions)
        lengths = self.step / np.maximum(np.linalg.norm(directions, axis=1), 1.0)
        moved = self.family.units(self.atoms.moved(W + lengths[:, None] * directions))
        prices, slopes = self._price(moved)
        better = prices >= self.prices + SUFFICIENT * lengths * promise
        self._update(better, moved.points - W, self.slopes - slopes)
        self.atoms = self.atoms.moved(np.where(better[:, None], moved.points, W))
        self.prices = np.where(better, prices, self.prices)
        self.slopes = np.where(better[:, None], slopes, self.slopes)
        self.step = np.where(better, 1.0, SHRINK * self.step)
        self.failures = np.where(better, 0, self.failures + 1)
        stuck = self.failures >= FAILURES
        self.inverse[stuck] = self._fresh(self.prices[stuck])
        self.step[stuck], self.failures[stuck] = 0.3, 0

    def _update(self, better: NDArray[np.bool_], s: Array, q: Array) -> None:
        sq = np.einsum("ij,ij->i", s, q)
        use = better & (sq > np.maximum(1e-12 * self.beta * np.einsum("ij,ij->i", s, s), 0.0))
        s, q, rho = s[use], q[use], 1.0 / sq[use]
        H = self.inverse[use]
        Hq = np.matmul(H, q[:, :, None])[:, :, 0]
        weight = (1.0 + rho * np.einsum("ij,ij->i", q, Hq)) * rho
        left = rho[:, None] * s
        H -= left[:, :, None] * Hq[:, None, :]
        H -= Hq[:, :, None] * left[:, None, :]
        H += (weight[:, None] * s)[:, :, None] * s[:, None, :]
        self.inverse[use] = H

    def join(self, other: "_Ascent") -> None:
        self.atoms = self.atoms.with_more(other.atoms)
        for name in ("prices", "slopes", "inverse", "step", "failures"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))
        self.evaluations += other.evaluations

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
        return sizes[:, None, None] * np.eye(self.passes.p)
