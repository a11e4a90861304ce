"""The exact sizes of atoms whose directions are fixed: a convex problem in as many variables as there are atoms.

For the squared loss it is a quadratic program over c >= 0; another loss takes Newton steps, each of them such a program
with the samples weighted by the loss's second derivative. Free weights are eliminated (a Schur complement).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from ecgcvx.atoms.family import Atoms
from ecgcvx.compilation import cached_njit
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.free import Fitted
from ecgcvx.types import Array

TOLERANCE = 1e-9  # of a multiplier, relative to beta
RIDGE = 1e-13  # of the unit diagonal, towards the start; ten times as much where the factorisation fails
SWEEPS = 60  # of coordinate descent, before the exchanges
EVERY = 5  # sweeps between those over all variables
EXCHANGES = 60
MOST_SINGLE = 100  # exchanges more, for few variables
ROUNDING = 1e-14  # of b
PATIENCE = 3  # exchanges of blocks without fewer wrong variables, after which one variable goes at a time
NEWTON_STEPS = 30
SUFFICIENT = 1e-4


class AmplitudeSystem(NamedTuple):
    """Q = Phi'Phi/n (m, m) and b = Phi'y/n (m,) of the outputs Phi (n, m) of unit atoms."""

    Q: Array
    b: Array


def resize(program: AllPatterns, atoms: Atoms) -> Atoms:
    """Return the atoms with the amplitudes that minimise P along their directions, all of them >= 0, zeros included.

    At the result every atom left has price beta, so that only atoms which are missing keep the gap open.
    """
    family = program.family
    units, norms = family.units(atoms), family.norms(atoms)
    return family.scaled(units, amplitudes(program, units, norms))


def amplitudes(program: AllPatterns, units: Atoms, start: Array) -> Array:
    """The amplitudes (m,) >= 0 of unit atoms that minimise P, from a start (m,) >= 0."""
    c = start
    if not len(c):
        return c
    if program.quadratic:
        return nonnegative_quadratic(amplitude_system(program, units, c), program.beta, c)
    point = program.fitted(f := program.passes.outputs(program.family.scaled(units, c)))
    for _ in range(NEWTON_STEPS):
        system = _system(program, units, c, point)
        target = nonnegative_quadratic(system, program.beta, c)
        slope = float((program.beta - (system.b - system.Q @ c)) @ (target - c))
        if slope >= -1e-12 * point.loss:
            break
        c, f, point, moved = _search(program, units, (c, f, point), target, slope)
        if not moved:
            break
    return c


def amplitude_system(program: AllPatterns, units: Atoms, amplitudes: Array) -> AmplitudeSystem:
    """Q and b of unit atoms, such that b - Qc is exact in float64 at the given amplitudes c (m,) >= 0.

    Q may be of float32: near the optimum prices differ by less than its rounding, b = prices + Qc does not feel it. For
    another loss than the squared one they are those of its quadratic model at c.
    """
    return _system(program, units, amplitudes, program.at_atoms(program.family.scaled(units, amplitudes)))


def _system(program: AllPatterns, units: Atoms, c: Array, point: Fitted) -> AmplitudeSystem:
    passes, part = program.passes, program.part
    h = program.curvature_weights(point)
    Q = passes.output_gram(units, h)
    if part.width:
        U = part.columns
        C = passes.correlations(units, U if h is None else U * h[:, None])
        Q = Q - program.n * C @ part.inverse_gram(h) @ C.T
    gradients = passes.prices(units, point.v, exact=True)
    return AmplitudeSystem(Q, np.einsum("ij,ij->i", gradients, units.points) + Q @ c)


def _search(
    program: AllPatterns, units: Atoms, here: tuple[Array, Array, Fitted], target: Array, slope: float
) -> tuple[Array, Array, Fitted, bool]:
    """Halve the step from c to the target until P keeps some of the promise; outputs are linear in the step."""
    c, f, point = here
    beta, primal = program.beta, point.loss + program.beta * float(c.sum())
    far = program.passes.outputs(program.family.scaled(units, target))
    share = 1.0
    while share > 1e-8:
        moved = target if share == 1.0 else c + share * (target - c)
        outputs = far if share == 1.0 else f + share * (far - f)
        after = program.fitted(outputs, point.free)
        if after.loss + beta * float(moved.sum()) <= primal + SUFFICIENT * share * slope + 1e-15 * primal:
            return moved, outputs, after, True
        share /= 2
    return c, f, point, False


def nonnegative_quadratic(system: AmplitudeSystem, beta: float, start: Array) -> Array:
    """Minimise c'Qc/2 - (b - beta)'c over c >= 0 from a start c >= 0: coordinate descent, then block pivoting.

    In units in which the diagonal of Q is one, so that no scale of rows, targets or atoms matters. Block principal
    pivoting exchanges all variables of wrong sign at once and solves for the free ones by Cholesky; where that makes no
    progress one variable goes at a time, which ends (Kim & Park 2011). A singular Q, or one of float32 that is slightly
    indefinite, is made definite by a ridge towards the start, which moves nothing that is at its place.
    """
    diagonal = np.diag(system.Q)
    largest = float(diagonal.max(initial=0.0))
    if largest <= 0.0:
        return np.zeros_like(start)
    d = 1.0 / np.sqrt(np.maximum(diagonal, 1e-24 * largest))
    Q, b = system.Q * d[:, None] * d, (system.b - beta) * d
    np.fill_diagonal(Q, 1.0)  # also of an atom without output, which then ends at zero
    c = start / d
    tolerance = np.maximum(TOLERANCE * beta * d, ROUNDING * float(np.abs(b).max()) + 1e-300)
    gradient = b - Q @ c
    _coordinate_descent(Q, c, gradient, 1e4 * tolerance)
    return _pivot(Q, b, c, tolerance) * d


@cached_njit(nogil=True, fastmath=True, boundscheck=False)
def _coordinate_descent(Q: Array, c: Array, gradient: Array, tolerance: Array) -> None:
    """Sweeps over the free variables, sometimes over all; c and gradient = b - Qc are changed in place."""
    m = len(c)
    for sweep in range(SWEEPS):
        worst, whole = 0.0, sweep % EVERY == 0
        for j in range(m):
            if c[j] == 0.0 and (not whole or gradient[j] <= 0.0):
                continue
            new = max(0.0, c[j] + gradient[j] / Q[j, j])
            change = new - c[j]
            if change != 0.0:
                c[j] = new
                row = Q[j]
                for i in range(m):
                    gradient[i] -= change * row[i]
                worst = max(worst, abs(change) * Q[j, j] / tolerance[j])
        if whole and worst < 1.0:
            return


def _pivot(Q: Array, b: Array, start: Array, tolerance: Array) -> Array:
    """Block principal pivoting from the support of a start; of all points on the way, made feasible, the best."""
    m, ridge = len(b), RIDGE
    free = start > 0
    best, lowest = start, _value(Q, b, start)
    fewest, patience = m + 1, PATIENCE
    for _ in range(EXCHANGES + min(m, MOST_SINGLE)):
        c, ridge = _on_free(Q, b, start, free, ridge)
        gradient = b - Q @ c - ridge * (c - start)
        wrong = (free & (c < 0)) | (~free & (gradient > tolerance))
        feasible = np.maximum(c, 0.0)
        if (value := _value(Q, b, feasible)) < lowest:
            best, lowest = feasible, value
        count = int(wrong.sum())
        if not count:
            return c
        if count < fewest:
            fewest, patience = count, PATIENCE
            free ^= wrong
        elif patience:
            patience -= 1
            free ^= wrong
        else:
            last = int(np.flatnonzero(wrong)[-1])
            free[last] = not free[last]
    return best


def _on_free(Q: Array, b: Array, start: Array, free: NDArray[np.bool_], ridge: float) -> tuple[Array, float]:
    """The minimiser on the free variables, the others zero, and the ridge that it took."""
    index = np.flatnonzero(free)
    c = np.zeros(len(b))
    while len(index):
        A = Q[np.ix_(index, index)]
        A.flat[:: len(index) + 1] += ridge
        factor, failed = lapack.dpotrf(A, lower=1)
        if not failed:
            c[index] = lapack.dpotrs(factor, b[index] + ridge * start[index], lower=1)[0]
            break
        ridge = max(10.0 * ridge, RIDGE)
    return c, ridge


def _value(Q: Array, b: Array, c: Array) -> float:
    return float(c @ (Q @ c)) / 2 - float(b @ c)
