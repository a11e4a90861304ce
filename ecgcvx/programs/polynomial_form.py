"""The variables of the programs of polynomial networks (`ecgcvx.programs.polynomial`)."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ecgcvx.activations import Polynomial
from ecgcvx.programs.linear_part import LinearPart
from ecgcvx.programs.losses import Loss
from ecgcvx.programs.program import Quadratic
from ecgcvx.programs.sphere import largest_on_sphere
from ecgcvx.types import Array

SHARED = 512  # monomials from which threads pay: below, two of them were slower than one


class Upper(NamedTuple):
    """Row and column of each entry of the upper triangle of a symmetric matrix, (q,) each."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @classmethod
    def of(cls, order: int) -> "Upper":
        """The q = order (order + 1)/2 entries, row by row."""
        return cls(*np.triu_indices(order))

    def vector(self, M: Array) -> Array:
        """Return the entries of M (..., k, k), (..., q)."""
        return M[..., self.rows, self.columns]

    def dual(self, g: Array) -> Array:
        """Return the symmetric B (k, k) with <B, M> = g'vector(M) for every symmetric M."""
        B = np.zeros((self.columns[-1] + 1,) * 2)
        B[self.rows, self.columns] = g / 2
        return B + B.T


class PolynomialForm:
    """What does not depend on how the data are known: the variables (Z, Z'), their penalty and their prices."""

    beta: float
    activation: Polynomial
    loss: Loss
    linear: LinearPart | None

    @property
    def width(self) -> int:
        """Columns d of X."""
        raise NotImplementedError

    @property
    def quadratic(self) -> Quadratic:
        """The squared loss as m'Hm/2 - c'm + constant in the coordinates m (q,) of Z - Z'."""
        raise NotImplementedError

    def evaluated(self, Z: Array) -> tuple[float, float]:
        """Return the objective at Z (2, k, k) and the lower bound that its residual proves."""
        raise NotImplementedError

    def at(self, beta: float) -> "PolynomialForm":
        """The same program with another beta."""
        raise NotImplementedError

    def largest_beta(self) -> float:
        """The smallest beta whose solution is zero."""
        raise NotImplementedError

    @property
    def order(self) -> int:
        """Order k of the two matrices: d for the pure quadratic activation, d + 1 otherwise."""
        return self.width if self.activation.homogeneous else self.width + 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(2, k, k) of the variables (Z, Z')."""
        return 2, self.order, self.order

    @property
    def balance(self) -> Array | None:
        """Diagonal (k,) of J in the constraint tr J Z = tr Z1 - z4 = 0; None where there is none."""
        return None if self.activation.homogeneous else np.r_[np.ones(self.width), -1.0]

    @cached_property
    def upper(self) -> Upper:
        """The entries of a symmetric matrix of order k that serve as coordinates."""
        return Upper.of(self.order)

    @cached_property
    def scales(self) -> Array:
        """Factor (q,) of each monomial in f: a and 2a for squares and products, b for x, c for 1."""
        a, b, c = self.activation
        rows, columns = self.upper
        degrees = np.where(columns < self.width, a * np.where(rows == columns, 1.0, 2.0), b)
        return np.where(rows == self.width, c, degrees)

    def penalty(self, Z: Array) -> float:
        """Return beta (z4 + z4'), or beta (tr Z + tr Z') for the pure quadratic activation."""
        sizes = np.trace(Z, axis1=1, axis2=2) if self.balance is None else Z[:, -1, -1]
        return self.beta * float(sizes.sum())

    def prices_of(self, B: Array) -> Array:
        """Return the largest values (2,) of (u, 1)'B(u, 1) and of its negative over ||u|| = 1, as bounds from above."""
        d = self.width
        if self.activation.homogeneous:
            values = np.linalg.eigvalsh(B)
            return np.array([values[-1], -values[0]])
        return np.array([largest_on_sphere(s * B[:d, :d], 2 * s * B[:d, d]) + s * B[d, d] for s in (1.0, -1.0)])

    def threads(self) -> threadpool_limits:
        """A context in which small matrices are not shared between threads."""
        return threadpool_limits(1 if len(self.upper.rows) < SHARED else None, "blas")
