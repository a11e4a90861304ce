"""The exact sizes of atoms whose directions are fixed: a convex problem in as many variables as there are atoms."""

from typing import NamedTuple

import numpy as np

from ecgcvx.atoms.family import Atoms
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.types import Array

TOLERANCE = 1e-9  # of a multiplier, relative to beta
ROUNDS = 5000


class AmplitudeSystem(NamedTuple):
    """Q = Phi'Phi/n (m, m) and b = Phi'y/n (m,) of the outputs Phi (n, m) of unit atoms."""

    Q: Array
    b: Array


def resize(program: AllPatterns, atoms: Atoms) -> Atoms:
    """Return the atoms with the amplitudes that minimise P along their directions, all of them >= 0, zeros included.

    At the result every atom left has price beta, so that only atoms which are missing keep the gap open.
    """
    if not len(atoms):
        return atoms
    family = program.family
    units, norms = family.units(atoms), family.norms(atoms)
    return family.scaled(units, nonnegative_quadratic(amplitude_system(program, units, norms), program.beta, norms))


def amplitude_system(program: AllPatterns, units: Atoms, amplitudes: Array) -> AmplitudeSystem:
    """Q and b of unit atoms, such that b - Qc is exact in float64 at the given amplitudes c (m,) >= 0.

    Q may be of float32: near the optimum prices differ by less than its rounding, b = prices + Qc does not feel it.
    """
    passes = program.passes
    Q = passes.output_gram(units)
    v = program.residual(passes.outputs(program.family.scaled(units, amplitudes)))
    gradients = passes.prices(units, v, exact=True)
    return AmplitudeSystem(Q, np.einsum("ij,ij->i", gradients, units.points) + Q @ amplitudes)


def nonnegative_quadratic(system: AmplitudeSystem, beta: float, start: Array) -> Array:
    """Minimise c'Qc/2 - (b - beta)'c over c >= 0 from a start c >= 0, by the primal active-set method.

    Lawson and Hanson (1974), chapter 23, with a warm start: a step to the minimiser on the free variables is cut where
    the first of them reaches zero.
    """
    Q, b = system.Q, system.b - beta
    regularised = Q + 1e-12 * np.trace(Q) / len(b) * np.eye(len(b))
    c = start.copy()
    free = c > 0
    for _ in range(ROUNDS):
        index = np.flatnonzero(free)
        best = np.zeros(len(b))
        best[index] = np.linalg.solve(regularised[np.ix_(index, index)], b[index])
        if (best[index] > 0).all():
            c = best
            multipliers = np.where(free, -np.inf, b - Q @ c)
            worst = int(np.argmax(multipliers))
            if multipliers[worst] <= TOLERANCE * beta:
                break
            free[worst] = True
            continue
        blocking = index[best[index] <= 0]
        shares = c[blocking] / (c[blocking] - best[blocking])
        share = float(shares.min())
        c += share * (best - c)
        free[blocking[shares <= share]] = False
        c[~free] = 0.0
    return c
