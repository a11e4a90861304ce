"""What the loop knows of its atoms: nothing but this interface.

Every family is parametrised so that f(X; c p) = c f(X; p) for c >= 0 and the penalty of an atom is the Euclidean norm
of its parameters. Then the price of an atom, v'f(X; w)/n on the unit sphere, is <gradient, w> by Euler's theorem, and
the best size, the descent, the ascent and the bound need no more than the methods below.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class Atoms:
    """m atoms of one family.

    points : (m, p) parameters. tags : (m, t) what of an atom is discrete, as the output sign of a ReLU neuron.
    """

    points: Array
    tags: Array

    def __len__(self) -> int:
        return len(self.points)

    @property
    def norms(self) -> Array:
        """||p_j|| (m,)."""
        return np.linalg.norm(self.points, axis=1)

    def units(self) -> "Atoms":
        """The same directions with norm 1."""
        return Atoms(self.points / np.maximum(self.norms, 1e-300)[:, None], self.tags)

    def scaled(self, amplitudes: Array) -> "Atoms":
        """Each atom times its amplitude (m,) >= 0."""
        return Atoms(self.points * amplitudes[:, None], self.tags)

    def moved(self, points: Array) -> "Atoms":
        """The same tags with other parameters."""
        return Atoms(points, self.tags)

    def subset(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Atoms":
        """The atoms of an index array or a Boolean one."""
        return Atoms(self.points[chosen], self.tags[chosen])

    def with_more(self, others: "Atoms") -> "Atoms":
        """These atoms, then the others."""
        return Atoms(np.concatenate([self.points, others.points]), np.concatenate([self.tags, others.tags]))

    def cosines(self, others: "Atoms") -> Array:
        """Cosines of the angles to other atoms (m, m'), -1 where the tags differ; for unit atoms."""
        same = (self.tags[:, None] == others.tags[None]).all(axis=2)
        return np.where(same, self.points @ others.points.T, -1.0)


class Iterate(NamedTuple):
    """Atoms with their objective P and residual v (n,), both in float64."""

    atoms: Atoms
    primal: float
    v: Array


class AmplitudeSystem(NamedTuple):
    """Q = Phi'Phi/n (m, m) and b = Phi'y/n (m,) of the outputs Phi (n, m) of unit atoms."""

    Q: Array
    b: Array


class AtomFamily(Protocol):
    """A kind of atom on given rows and targets y (n,). Sums over rows may be made in float32 where it does not say."""

    @property
    def n(self) -> int:
        """Number of rows."""
        ...

    @property
    def p(self) -> int:
        """Number of parameters of an atom."""
        ...

    @property
    def y(self) -> Array:
        """Targets (n,)."""
        ...

    def none(self) -> Atoms:
        """No atoms, with arrays of the right widths."""
        ...

    def on_rows(self, rows: NDArray[np.intp]) -> "AtomFamily":
        """The same family on some of the rows."""
        ...

    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        """Unit atoms to ascend from: some from nowhere, some around the active ones."""
        ...

    def residual(self, atoms: Atoms) -> Array:
        """v = y - sum_j f(X; p_j), (n,), in float64."""
        ...

    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        """Gradients of v'f(X; p_j)/n in p_j, (m, p); exact: in float64."""
        ...

    def output_gram(self, atoms: Atoms) -> Array:
        """Phi'Phi/n (m, m) of the outputs Phi (n, m) of the atoms."""
        ...

    def loss_and_gradient(self, atoms: Atoms, widths: Array) -> tuple[float, Array]:
        """1/(2n) ||sum_j f - y||^2 and its gradient (m, p) with kinks rounded over |z| < widths (m,) > 0."""
        ...

    def curvature(self, atoms: Atoms) -> Array:
        """Blocks (m, k, b, b), k b = p, of the Gauss-Newton matrix of the loss around each atom alone."""
        ...

    def meet(self, first: Atoms, second: Atoms) -> Atoms:
        """What pairs of nearly equal atoms become when they are one."""
        ...


def evaluate(family: AtomFamily, atoms: Atoms, beta: float) -> Iterate:
    """Return the atoms with P and v, in one pass in float64."""
    v = family.residual(atoms)
    return Iterate(atoms, float(v @ v) / (2 * family.n) + beta * float(atoms.norms.sum()), v)
