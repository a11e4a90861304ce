"""Fewer atoms for a little more P: backward elimination, the rest solved again after every removal.

With Q and b of the atoms' outputs, P = c'Qc/2 - (b - beta)'c + y'y/(2n) over amplitudes c >= 0. To remove atom j and
resize the others costs at least c_j^2 / (2 (Q^-1)_jj), and exactly that unless another amplitude would fall below zero
(Hassibi and Stork 1993, of weights). The bounds order the atoms, and the exact cost is computed for those whose bound
is below the least cost found. Small atoms are not always the cheap ones: one of two close atoms costs nothing.

After a removal descent moves the atoms that are left, which changes the costs: far from the tolerance a share of the
atoms goes at once, near it one atom at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.workers import workers
from ecgcvx.errors import InputError
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem, amplitude_system, nonnegative_quadratic, resize
from ecgcvx.solvers.active_set.descent import descend
from ecgcvx.solvers.active_set.solution import AtomSolution, evaluate, used
from ecgcvx.solvers.solution import Stopwatch
from ecgcvx.types import Array

GROUP = 20  # of the atoms one is removed at once, far from the tolerance
WIDTH = 1e-4  # of the rounded kinks, relative
DESCENT_STEPS = 60
DESCENT_TOLERANCE = 1e-6
SHOWN = 0.1  # of P: how far the curve goes at least, unless told otherwise


class SparsePoint(NamedTuple):
    """A network of the curve: its atoms, P, and the root-mean-square error in units of y."""

    atoms: Atoms
    primal: float
    rmse: float

    @property
    def neurons(self) -> int:
        """Number of atoms."""
        return len(self.atoms)


Callback = Callable[[SparsePoint], None]


@dataclass(frozen=True, eq=False)
class Sparsified:
    """The curve neurons against P, most neurons first, and the network chosen on it.

    reference : P of the solution that it began with. status : 'tolerance' or 'max neurons' by what chose the network,
    'time limit' or 'interrupted' where the curve ends early.
    """

    chosen: SparsePoint
    curve: tuple[SparsePoint, ...]
    reference: float
    tolerance: float
    status: str
    seconds: float

    def within(self, tolerance: float) -> SparsePoint | None:
        """The smallest network of the curve with P <= (1 + tolerance) reference; None if there is none."""
        good = [point for point in self.curve if point.primal <= (1 + tolerance) * self.reference]
        return min(good, key=lambda point: (point.neurons, point.primal), default=None)


def sparsify(
    program: AllPatterns,
    solution: AtomSolution,
    *,
    tolerance: float = 1e-2,
    max_neurons: int | None = None,
    shown: float = SHOWN,
    threads: int | None = None,
    callback: Callback | None = None,
    time_limit: float = float("inf"),
) -> Sparsified:
    """Return the smallest network found with P at most (1 + tolerance) times the solution's, and the curve to it.

    program : of the solution. max_neurons : not more than these, whatever P they cost. The curve goes on
    until P is the share `shown` up. On the time limit or Ctrl-C it ends early.

    Raises InputError for a tolerance below 0, fewer than one neuron or unusable data.
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"tolerance = {tolerance}: give a share of P that is not negative, e.g. 1e-2")
    if max_neurons is not None and max_neurons < 1:
        raise InputError(f"max_neurons = {max_neurons}: give at least 1")
    clock = Stopwatch(time_limit)
    with workers(threads) as pool:
        run = _Elimination(program.using(pool), solution, clock)
        return run.run(tolerance, max_neurons, shown, callback)


class _Elimination:
    """One call of `sparsify`."""

    def __init__(self, program: AllPatterns, solution: AtomSolution, clock: Stopwatch) -> None:
        self.program, self.clock = program, clock
        self.reference = solution.primal
        self.first = self._point(solution.atoms)

    def expired(self) -> bool:
        return self.clock.expired

    def run(self, tolerance: float, max_neurons: int | None, shown: float, callback: Callback | None) -> Sparsified:
        curve, status = [self.first], ""
        limit, most = (1 + tolerance) * self.reference, max_neurons or len(self.first.atoms)
        end = (1 + max(tolerance, shown)) * self.reference
        try:
            while (here := curve[-1]).neurons > 1 and (here.primal <= end or here.neurons > most):
                if self.expired():
                    status = "time limit"
                    break
                count = max(1, here.neurons // GROUP)
                if here.neurons > most:
                    count = min(count, here.neurons - most)
                after = self._without(here, count)
                while count > 1 and here.primal <= limit < after.primal:
                    count //= 2
                    after = self._without(here, count)
                curve.append(after)
                if callback is not None:
                    callback(after)
        except KeyboardInterrupt:
            status = "interrupted"
        allowed = [point for point in curve if point.neurons <= most] or curve[-1:]
        good = [point for point in allowed if point.primal <= limit]
        chosen = min(good or allowed[:1], key=lambda point: (point.neurons, point.primal))
        status = status or ("tolerance" if good else "max neurons")
        return Sparsified(chosen, tuple(curve), self.reference, tolerance, status, self.clock.seconds)

    def _point(self, atoms: Atoms) -> SparsePoint:
        here = evaluate(self.program, atoms)
        return SparsePoint(atoms, here.primal, float(np.sqrt(here.v @ here.v / self.program.n)))

    def _without(self, here: SparsePoint, count: int) -> SparsePoint:
        """The network without its `count` cheapest atoms, the others resized, moved and resized."""
        atoms, program, family = here.atoms, self.program, self.program.family
        norms, kept = family.norms(atoms), np.arange(len(atoms))
        units = family.units(atoms)
        system = amplitude_system(program, units, norms)
        for _ in range(count):
            norms[kept] = cheapest_removal(_part(system, kept), program.beta, norms[kept])
            kept = kept[norms[kept] > 0]
        sized = family.scaled(units, norms).subset(kept)
        moved, _ = descend(program, sized, WIDTH, DESCENT_TOLERANCE, DESCENT_STEPS, self.expired)
        moved = used(program, resize(program, moved))
        points = [self._point(sized), self._point(moved)]
        return min(points, key=lambda point: point.primal)


def cheapest_removal(system: AmplitudeSystem, beta: float, amplitudes: Array) -> Array:
    """Return the amplitudes (m,) >= 0 without the atom whose removal raises P least, the others resized.

    amplitudes : (m,) >= 0, where to start from.
    """
    m = len(system.b)
    full = nonnegative_quadratic(system, beta, amplitudes)
    inverse = np.linalg.inv(system.Q + 1e-12 * np.trace(system.Q) / m * np.eye(m))
    bounds = full**2 / (2 * np.maximum(np.diag(inverse), 1e-300))
    base, least, best = _value(system, beta, full), np.inf, full
    for j in np.argsort(bounds, kind="stable"):
        if bounds[j] >= least:
            break
        rest = np.delete(np.arange(m), j)
        c = np.zeros(m)
        if m > 1:
            c[rest] = nonnegative_quadratic(_part(system, rest), beta, full[rest])
        cost = _value(system, beta, c) - base
        if cost < least:
            least, best = cost, c
    return best


def _value(system: AmplitudeSystem, beta: float, c: Array) -> float:
    return float(c @ system.Q @ c / 2 - (system.b - beta) @ c)


def _part(system: AmplitudeSystem, kept: NDArray[np.intp]) -> AmplitudeSystem:
    return AmplitudeSystem(system.Q[np.ix_(kept, kept)], system.b[kept])
