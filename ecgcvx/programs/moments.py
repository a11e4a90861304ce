"""Sums over the rows that a polynomial or a gated network is determined by, as reductions (`ecgcvx.reductions`).

    MonomialSums   sum of m m' and of y m over the rows, m the products of two columns of X: polynomial, quadratic
    GatedSums      sum of F'F and F'y over the rows, F = [D_1 X ... D_p X] of given gates: gated

Both are exact: nothing else of the data enters the squared loss of these networks. They do not grow with the rows, and
the sums of two data sets are the sums of both together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from ecgcvx.arrangements.patterns import Patterns, pack_signs
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.reductions.interface import added
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 17  # of a chunk of monomials: 1 MB, so that it stays in cache


class SecondMoments(NamedTuple):
    """n rows; H (k, k) and c (k,), the sums of products of two features and of a feature with y; yy, the sum of y^2."""

    n: float
    H: Array
    c: Array
    yy: float


@dataclass(frozen=True)
class MonomialSums:
    """Second moments of the q = order (order + 1)/2 products of two columns of X, row by row of the upper triangle.

    order : d, or d + 1 to take a column of ones as the last one.
    """

    order: int

    @property
    def size(self) -> int:
        """Number of features q."""
        return self.order * (self.order + 1) // 2

    def of(self, X: Array, y: Array) -> SecondMoments:
        """Return the sums of rows X (rows, d), y (rows,); of H the upper triangle is computed and copied."""
        H, c, at = np.zeros((self.size, self.size), order="F"), np.zeros(self.size), 0
        for monomials in monomials_of(X, self.order):
            c += monomials @ y[at : at + monomials.shape[1]]
            H = dsyrk(1.0, monomials.T, beta=1.0, c=H, trans=1, overwrite_c=1)  # half the work of a product
            at += monomials.shape[1]
        return SecondMoments(float(len(y)), np.triu(H) + np.triu(H, 1).T, c, float(y @ y))

    def join(self, first: SecondMoments, second: SecondMoments) -> SecondMoments:
        """Return the sums of both."""
        return added(first, second)

    def with_targets(self, sums: SecondMoments, X: Matrix, y: Array) -> SecondMoments:
        """Return the sums of the rows X (n, d) of `sums` with other targets y (n,): products with y are new alone."""
        c, at = np.zeros(self.size), 0
        for monomials in monomials_of(X, self.order):
            c += monomials @ y[at : at + monomials.shape[1]]
            at += monomials.shape[1]
        return SecondMoments(sums.n, sums.H, c, float(y @ y))


def monomials_of(X: Matrix, order: int) -> Iterator[Array]:
    """Yield the products (q, rows) of two columns of X (n, d), some rows at a time; order as in `MonomialSums`."""
    size = MonomialSums(order).size
    for _, rows in row_chunks(X, max(CHUNK_ELEMENTS // size, 1)):
        columns = np.ones((order, len(rows)))
        columns[: rows.shape[1]] = rows.T
        out, at = np.empty((size, len(rows))), 0
        for i in range(order):
            np.multiply(columns[i], columns[i:], out=out[at : at + order - i])
            at += order - i
        yield out


def with_ones(order: int) -> NDArray[np.intp]:
    """Where the monomials of order d + 1 stand among those of order d, when the last column of X is ones already."""
    place = np.empty((order, order), dtype=np.intp)
    rows, columns = np.triu_indices(order)
    place[rows, columns] = np.arange(len(rows))
    rows, columns = np.triu_indices(order + 1)
    return place[np.minimum(rows, order - 1), np.minimum(columns, order - 1)]


@dataclass(frozen=True, eq=False)
class GatedSums:
    """Second moments of the features F = [D_1 X ... D_p X], D_i = diag(1[X g_i >= 0]). gates : g_i, (p, d)."""

    gates: Array

    def of(self, X: Array, y: Array) -> SecondMoments:
        """Return the sums of rows X (rows, d), y (rows,)."""
        every = np.arange(len(self.gates))
        features = PatternFeatures(X, Patterns(pack_signs(X, self.gates), len(X), self.gates))
        H, c = features.sums(every, every), features.correlate(y).ravel()
        return SecondMoments(float(len(y)), H, c, float(y @ y))

    def join(self, first: SecondMoments, second: SecondMoments) -> SecondMoments:
        """Return the sums of both."""
        return added(first, second)
