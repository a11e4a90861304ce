"""What the solvers know of atoms: nothing but this interface.

A family chooses the parameters p of its atoms such that f(X; c p) = c f(X; p) for c >= 0 and the penalty of an atom is
the Euclidean norm ||p||. Then the price of a unit atom, v'f(X; p)/n, is <gradient, p> by Euler's theorem, and the best
amplitudes, the descent, the ascent over the unit sphere and the bound need no more than what is here.

Atoms of another degree are brought to degree one by the family. Example: a filter w with output weights a,
F(w, a) = sum_k a_k (X_k w)_+, of degree two with penalty (||w||^2 + ||a||^2)/2, has p = (w, a) and

    f(X; p) = 2 F(w, a) / ||p||,      f = 0 at p = 0,      gradient of v'f:  2 grad(v'F)/||p|| - 2 v'F p/||p||^3

whose best balance ||w|| = ||a|| the optimum finds by itself, as it has the smallest norm for the same output. An atom
that is normalised over all rows (batch normalisation after the activation) needs its mean and its length first, so its
passes go over the rows twice; nothing here assumes one.

What of an atom is discrete is its tags: they never change, and only the family reads them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.workers import Workers
from ecgcvx.rows import Matrix, take_rows
from ecgcvx.types import Array

if TYPE_CHECKING:
    from ecgcvx.atoms.cells import Cells

Index = NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Atoms:
    """m atoms of one family.

    points : (m, p) parameters. tags : (m, t) what of an atom is discrete, e.g. the output sign of a ReLU neuron.
    """

    points: Array
    tags: Array

    def __len__(self) -> int:
        return len(self.points)

    def moved(self, points: Array) -> "Atoms":
        """The same tags with other parameters."""
        return Atoms(points, self.tags)

    def subset(self, chosen: Index) -> "Atoms":
        """The atoms of an index array or a Boolean one."""
        return Atoms(self.points[chosen], self.tags[chosen])

    def with_more(self, others: "Atoms") -> "Atoms":
        """These atoms, then the others."""
        return Atoms(np.concatenate([self.points, others.points]), np.concatenate([self.tags, others.tags]))


class Objective(Protocol):
    """A loss with its targets: what a pass of descent needs of the program."""

    @property
    def squared_targets(self) -> Array | None:
        """y (n,) where the loss is ||f - y||^2/(2n), else None: families may have a faster pass for it."""
        ...

    def loss_and_residual(self, f: Array) -> tuple[float, Array]:
        """The loss L(f) of outputs f (n,), and v = -n dL/df (n,)."""
        ...


class Passes(ABC):
    """Passes of one family over given rows X, prepared once. Sums over rows may be made in float32 where not said."""

    family: "AtomFamily"
    X: Matrix
    """The rows (n, d)."""
    n: int
    """Number of rows."""
    p: int
    """Number of parameters of an atom."""
    height: float
    """Root mean square of what a unit atom's kink is met by (x'p of a ReLU neuron): the unit of the rounded widths."""
    metric: Array
    """A guess (p, p) at the inverse Hessian of a price, up to scale, from which an ascent begins; of norm about 1."""
    workers: Workers

    @abstractmethod
    def using(self, workers: Workers) -> Self:
        """The same prepared rows with another pool of threads."""

    @abstractmethod
    def none(self) -> Atoms:
        """No atoms, with arrays of the right widths."""

    def on_rows(self, rows: NDArray[np.intp]) -> Self:
        """The passes over some of the rows, of ascending indices."""
        passes = self.family.prepare(take_rows(self.X, rows)).using(self.workers)
        return cast(Self, passes)  # a family prepares passes of one class

    @abstractmethod
    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        """Unit atoms to ascend from: some from nowhere, some around the active ones."""

    @abstractmethod
    def outputs(self, atoms: Atoms) -> Array:
        """sum_j f(X; p_j), (n,), in float64."""

    @abstractmethod
    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        """Gradients of v'f(X; p_j)/n in p_j, (m, p); exact: in float64."""

    @abstractmethod
    def rounded_outputs(self, atoms: Atoms, widths: Array) -> Array:
        """sum_j f(X; p_j), (n,), with kinks rounded over |z| < widths (m,) > 0."""

    @abstractmethod
    def rounded_prices(self, atoms: Atoms, widths: Array, v: Array) -> Array:
        """Gradients (m, p) of v'f(X; p_j)/n with kinks rounded alike, at fixed widths."""

    @abstractmethod
    def output_gram(self, atoms: Atoms, weights: Array | None = None) -> Array:
        """Phi'H Phi/n (m, m) of the outputs Phi (n, m) of the atoms, H the diagonal of weights (n,) >= 0 or 1."""

    @abstractmethod
    def curvature(self, atoms: Atoms, weights: Array | None = None) -> Array:
        """Blocks (m, k, b, b), k b = p, of the Gauss-Newton matrix of sum_i h_i f_i^2/(2n) for each atom alone.

        They precondition the descent; a sample of the rows is enough.
        """

    def loss_and_gradient(self, atoms: Atoms, widths: Array, objective: Objective) -> tuple[float, Array]:
        """The loss of sum_j f and its gradient (m, p) with kinks rounded over |z| < widths (m,) > 0.

        Two passes; a family may have one pass for the squared loss.
        """
        loss, v = objective.loss_and_residual(self.rounded_outputs(atoms, widths))
        return loss, -self.rounded_prices(atoms, widths, v)

    def correlations(self, atoms: Atoms, V: Array) -> Array:
        """Phi'V/n (m, q) with columns V (n, q), in float64: by Euler's theorem the prices of each column."""
        prices = [np.einsum("ij,ij->i", self.prices(atoms, v, exact=True), atoms.points) for v in V.T]
        return np.array(prices).reshape(V.shape[1], len(atoms)).T


class AtomFamily(ABC):
    """A kind of atom, without data: its passes over rows, its network, and how its atoms compare.

    The methods that are not abstract hold for atoms whose tags say all that parameters do not; a family in which
    different parameters make the same atom overrides `cosines` and `meet`.
    """

    @abstractmethod
    def prepare(self, X: Matrix) -> Passes:
        """The passes over rows X (n, d), on the caller's thread until `using` says otherwise.

        Raises InputError when X is unusable.
        """

    @abstractmethod
    def network(self, atoms: Atoms) -> Any:
        """The network whose output is the sum of the atoms."""

    @abstractmethod
    def atoms(self, network: Any) -> Atoms:
        """The atoms of a network of this family, those that are zero left out."""

    def cells(self, X: Matrix) -> "Cells | None":
        """The cells of the rows X with their exact prices, where they are few and the family can enumerate them."""
        return None

    def norms(self, atoms: Atoms) -> Array:
        """||p_j|| (m,), the amplitudes."""
        return np.linalg.norm(atoms.points, axis=1)

    def units(self, atoms: Atoms) -> Atoms:
        """The same directions with amplitude 1."""
        return atoms.moved(atoms.points / np.maximum(self.norms(atoms), 1e-300)[:, None])

    def scaled(self, atoms: Atoms, amplitudes: Array) -> Atoms:
        """Each atom times its amplitude (m,) >= 0."""
        return atoms.moved(atoms.points * amplitudes[:, None])

    def cosines(self, atoms: Atoms, others: Atoms) -> Array:
        """Cosines of the angles between unit atoms (m, m'), -1 where the tags differ."""
        same = (atoms.tags[:, None] == others.tags[None]).all(axis=2)
        return np.where(same, atoms.points @ others.points.T, -1.0)

    def meet(self, first: Atoms, second: Atoms) -> Atoms:
        """What pairs of nearly equal atoms become when they are one."""
        return first.moved(first.points + second.points)
