"""Fewer atoms for a little more P: backward elimination, the rest solved again after every removal.

With Q and b of the atoms' outputs, P = c'Qc/2 - (b - beta)'c + y'y/(2n) over amplitudes c >= 0. To remove atom j and
resize the others costs at least c_j^2 / (2 (Q^-1)_jj), and exactly that unless another amplitude would fall below zero
(Hassibi and Stork 1993, of weights). The bounds order the atoms, and the exact cost is computed for those whose bound
is below the least cost found. Small atoms are not always the cheap ones: one of two close atoms costs nothing.

After a removal descent moves the atoms that are left, which changes the costs. Far from the tolerance an eighth of the
atoms goes between two descents, those of the lowest bounds, in portions after which the others are sized again: of two
close atoms each is cheap, and the second one is not once the first is gone. Near the tolerance fewer go, in the end one
at a time by its exact cost.

What is left was shrunk for many atoms. At a smaller beta, where no atoms are added, it gets back what the penalty took:
the relaxed lasso (Meinshausen 2007). Its P is that of the smaller beta. Atoms are removed before that: the larger the
beta at which they are, the more of what is left another training leaves too (docs/choosing.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.workers import workers
from ecgcvx.errors import InputError
from ecgcvx.interruption import stoppable, wanted
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem, amplitude_system, nonnegative_quadratic, resize
from ecgcvx.solvers.active_set.descent import descend
from ecgcvx.solvers.active_set.solution import AtomSolution, evaluate, used
from ecgcvx.solvers.solution import Stopwatch
from ecgcvx.types import Array

GROUP = 8  # of the atoms one goes between two descents, far from the tolerance
GROUP_FIRST = 3  # above the sizes that a curve is for
PORTIONS = 8  # of a group, after each of which the other atoms are sized again
EXACT = 300  # atoms up to which the one that goes is chosen by its exact cost
WIDTH = 1e-4  # of the rounded kinks, relative
RIDGE = 1e-12  # of the mean diagonal of Q
DESCENT_STEPS = 60
DESCENT_TOLERANCE = 1e-6
SHOWN = 0.1  # of P: how far the curve goes at least, by default
CURVE_STEPS = 20  # between two sizes of a curve
RELAXED_STEPS = 500  # of the descent after pruning
RELAXED_WIDTH = 1e-2  # of its kinks; narrower ones gain nothing on rows that were not trained on
CARRIED_STEPS = 15


class SparsePoint(NamedTuple):
    """A network of a curve: its atoms and free weights, P, and the root-mean-square residual, in units of y."""

    atoms: Atoms
    free: Array
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
        run = _Elimination(program.using(pool), _point(program.using(pool), solution.atoms), solution.primal, clock)
        return run.run(tolerance, max_neurons, shown, callback)


class _Elimination:
    """Backward elimination from a network `first`; reference : P to compare with."""

    def __init__(self, program: AllPatterns, first: SparsePoint, reference: float, clock: Stopwatch) -> None:
        self.program, self.first, self.reference, self.clock = program, first, reference, clock
        self.priced: SparsePoint | None = None

    def expired(self) -> bool:
        return self.clock.expired

    def run(self, tolerance: float, max_neurons: int | None, shown: float, callback: Callback | None) -> Sparsified:
        curve, status = [self.first], ""
        limit, most = (1 + tolerance) * self.reference, max_neurons or len(self.first.atoms)
        end = (1 + max(tolerance, shown)) * self.reference
        with stoppable() as loop:
            while (here := curve[-1]).neurons > 1 and (here.primal <= end or here.neurons > most):
                if self.expired():
                    status = self.clock.reason
                    break
                count = max(1, here.neurons // GROUP)
                if here.neurons > most:
                    count = min(count, here.neurons - most)
                after = self.without(here, count)
                while count > 1 and here.primal <= limit < after.primal:
                    count //= 2
                    after = self.without(here, count)
                curve.append(after)
                if callback is not None:
                    callback(after)
        if loop.stopped:
            status = "interrupted"
        allowed = [point for point in curve if point.neurons <= most] or curve[-1:]
        good = [point for point in allowed if point.primal <= limit]
        chosen = min(good or allowed[:1], key=lambda point: (point.neurons, point.primal))
        status = status or ("tolerance" if good else "max neurons")
        return Sparsified(chosen, tuple(curve), self.reference, tolerance, status, self.clock.seconds)

    def without(self, here: SparsePoint, count: int, steps: int = DESCENT_STEPS) -> SparsePoint:
        """The network without its `count` cheapest atoms, the others resized and moved by so many steps at most."""
        program, family = self.program, self.program.family
        units, norms = family.units(here.atoms), family.norms(here.atoms)
        if here is not self.priced:
            self.priced, self.system = here, amplitude_system(program, units, norms)
        system = self.system
        if count == 1 and len(norms) <= EXACT:
            norms = cheapest_removal(system, program.beta, norms)
        else:
            norms = cheap_removals(system, program.beta, norms, count)
        sized = used(program, family.scaled(units, norms))
        if not program.quadratic:
            sized = used(program, resize(program, sized))
        return _descended(program, sized, WIDTH, steps, self.expired)


def _point(program: AllPatterns, atoms: Atoms) -> SparsePoint:
    here = evaluate(program, atoms)
    return SparsePoint(atoms, here.free, here.primal, float(np.sqrt(here.v @ here.v / program.n)))


def _descended(
    program: AllPatterns, atoms: Atoms, width: float, steps: int, expired: Callable[[], bool]
) -> SparsePoint:
    """The atoms after so many steps of descent at most, or as they are where that is better."""
    moved, _ = descend(program, atoms, width, DESCENT_TOLERANCE, steps, expired)
    return min(_point(program, atoms), _point(program, moved), key=lambda point: point.primal)


def relax(
    program: AllPatterns,
    atoms: Atoms,
    *,
    steps: int = RELAXED_STEPS,
    threads: int | None = None,
    expired: Callable[[], bool] = wanted,
) -> SparsePoint:
    """Return atoms of a larger beta after a descent of so many steps at the program's; P is the program's.

    expired : asked between steps whether the descent is to end with what it has; by default where the work is to stop.
    """
    with workers(threads) as pool:
        return _descended(program.using(pool), atoms, RELAXED_WIDTH, steps, expired)


def carry_over(program: AllPatterns, atoms: Atoms) -> SparsePoint:
    """Return atoms that were trained on other rows, resized and relaxed a little; P is the program's."""
    with workers(None) as pool:
        program = program.using(pool)
        sized = used(program, resize(program, atoms))
        return _descended(program, sized, RELAXED_WIDTH, CARRIED_STEPS, wanted)


@dataclass(frozen=True, eq=False)
class PrunedCurve:
    """Networks of falling size, from all atoms that it needs. status : 'complete', 'time limit' or 'interrupted'."""

    points: tuple[SparsePoint, ...]
    status: str


def pruned_curve(
    program: AllPatterns,
    atoms: Atoms,
    *,
    most: int = 256,
    fewest: int = 8,
    reach: bool = False,
    threads: int | None = None,
    callback: Callback | None = None,
    time_limit: float = float("inf"),
) -> PrunedCurve:
    """Prune atoms down to `fewest` neurons, whatever P they cost.

    First they are resized and descend a little: they may come from another beta. Above `most` neurons a third of them
    goes between two descents, from there on an eighth. The networks to choose from when few neurons should forecast as
    well as all: relaxed, by their error on rows that were not trained on, which is the caller's to compute. On the time
    limit or Ctrl-C the curve ends early; with reach, the time limit makes the rest of the way to `fewest` one step.

    Raises InputError for numbers of neurons below 1 or a time limit that is not positive.
    """
    if not 1 <= fewest <= most:
        raise InputError(f"fewest = {fewest}, most = {most}: give 1 <= fewest <= most")
    clock = Stopwatch(time_limit)
    points: list[SparsePoint] = []
    with workers(threads) as pool:
        program, status = program.using(pool), "complete"
        with stoppable() as loop:
            sized = used(program, resize(program, atoms))
            here = _descended(program, sized, WIDTH, CURVE_STEPS, lambda: clock.expired)
            run = _Elimination(program, here, here.primal, clock)
            while len(here.atoms):
                if points and clock.expired:  # a descent that was cut short would be compared with whole ones
                    status = clock.reason
                    if reach and not wanted() and here.neurons > fewest:
                        points.append(run.without(points[-1], points[-1].neurons - fewest, CURVE_STEPS))
                    break
                points.append(here)
                if callback is not None:
                    callback(here)
                if here.neurons <= fewest:
                    break
                group, least = (GROUP_FIRST, most) if here.neurons > most else (GROUP, fewest)
                count = min(max(1, here.neurons // group), here.neurons - least)
                here = run.without(here, count, CURVE_STEPS)
        if loop.stopped:
            status = "interrupted"
    return PrunedCurve(tuple(points), status)


def cheap_removals(system: AmplitudeSystem, beta: float, amplitudes: Array, count: int) -> Array:
    """Return the amplitudes (m,) >= 0 without the `count` atoms of the lowest bounds, or more, the others resized.

    amplitudes : (m,) >= 0, where to start from. They go in up to `PORTIONS` portions, each by the bounds of what is
    left, sized again.
    """
    left, c, part = np.arange(len(amplitudes)), amplitudes, system
    portion, target = -(-count // PORTIONS), len(amplitudes) - count
    while len(left) > target:
        order = np.argsort(removal_bounds(part, c), kind="stable")
        kept = np.sort(order[min(portion, len(left) - target) :])
        resized = nonnegative_quadratic(_part(part, kept), beta, c[kept])
        kept, c = kept[resized > 0], resized[resized > 0]
        left, part = left[kept], _part(part, kept)
    out = np.zeros(len(amplitudes))
    out[left] = c
    return out


def cheapest_removal(system: AmplitudeSystem, beta: float, amplitudes: Array) -> Array:
    """Return the amplitudes (m,) >= 0 without the atom whose removal raises P least, the others resized.

    amplitudes : (m,) >= 0, where to start from.
    """
    m = len(system.b)
    full = nonnegative_quadratic(system, beta, amplitudes)
    bounds = removal_bounds(system, full)
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


def removal_bounds(system: AmplitudeSystem, amplitudes: Array) -> Array:
    """c_j^2 / (2 (Q^-1)_jj) (m,): what the removal of each atom costs at least."""
    Q, m = system.Q, len(system.b)
    ridge = RIDGE * float(np.trace(Q)) / m
    while True:
        factor, failed = lapack.dpotrf(Q + ridge * np.eye(m), lower=1)
        if not failed:
            break
        ridge = max(10 * ridge, RIDGE)
    root = lapack.dtrtri(factor, lower=1)[0]  # Q^-1 = root'root
    diagonal = np.einsum("ij,ij->j", np.tril(root), np.tril(root))
    return np.asarray(amplitudes**2 / (2 * np.maximum(diagonal, 1e-300)))


def _value(system: AmplitudeSystem, beta: float, c: Array) -> float:
    return float(c @ system.Q @ c / 2 - (system.b - beta) @ c)


def _part(system: AmplitudeSystem, kept: NDArray[np.intp]) -> AmplitudeSystem:
    return AmplitudeSystem(system.Q[np.ix_(kept, kept)], system.b[kept])
