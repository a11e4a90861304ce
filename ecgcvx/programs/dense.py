"""Features that are a matrix in memory: the group lasso over groups of its columns, of any sizes and weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgcvx.errors import InputError
from ecgcvx.programs.features import Gram, Index, gram_of_rows, products_of_rows
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class DenseFeatures:
    """Blocks of `width` consecutive columns of a matrix F (n, p d) in memory.

    Raises InputError if F is no matrix of finite numbers, or its columns are no multiple of the width.
    """

    F: Array
    width: int

    def __post_init__(self) -> None:
        F = np.asarray(self.F, dtype=np.float64)
        if F.ndim != 2 or min(F.shape) < 1:
            raise InputError(f"F has shape {F.shape}; give a matrix with at least one row and one column")
        if self.width < 1 or F.shape[1] % self.width:
            raise InputError(f"width = {self.width}: the {F.shape[1]} columns of F are no multiple of it; use Groups")
        if not np.isfinite(F).all():
            raise InputError(f"F holds a number that is not finite in row {np.argmin(np.isfinite(F).all(axis=1))}")
        object.__setattr__(self, "F", F)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.F)

    @property
    def count(self) -> int:
        """Number of blocks p."""
        return self.F.shape[1] // self.width

    @cached_property
    def curvature(self) -> float:
        """The mean over the rows of the largest squared norm that a row has in any block."""
        squares = np.add.reduceat(self.F**2, np.arange(0, self.F.shape[1], self.width), axis=1)
        return float(squares.max(axis=1).mean())

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]): all of it at once."""
        yield slice(0, self.n), self.F

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n; y, weights: (n,)."""
        return gram_of_rows(self, y, weights)

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` (a,) and j in `second` (b,), (a d, b d)."""
        if weights is not None:
            return products_of_rows(self, first, second, weights)
        F = self._columns(first)
        G = F if np.array_equal(first, second) else self._columns(second)
        return F.T @ G / self.n

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,) for coefficients z (p, d)."""
        used = np.flatnonzero(coefficients.any(axis=1))
        if 4 * len(used) > self.count:
            return self.F @ coefficients.ravel()
        return self._columns(used) @ coefficients[used].ravel()

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, d); r: (n,)."""
        return (r @ self.F).reshape(self.count, self.width)

    def cone_values(self, blocks: Index, u: Array) -> Array:
        """No rows: each cone is the whole space."""
        return np.empty((len(blocks), 0))

    def cone_rows(self, block: int, indices: Index) -> Array:
        """No rows."""
        return np.empty((0, self.width))

    def interior(self, blocks: Index) -> Array:
        """The middle of the whole space."""
        return np.zeros((len(blocks), self.width))

    def _columns(self, blocks: Index) -> Array:
        """The columns of some blocks, in the memory layout of F."""
        n, d = self.n, self.width
        if self.F.flags.f_contiguous:
            return self.F.T.reshape(self.count, d, n)[blocks].reshape(len(blocks) * d, n).T
        return self.F.reshape(n, self.count, d)[:, blocks].reshape(n, len(blocks) * d)


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of consecutive columns, of any sizes and with a weight each:

        minimise  1/(2n) ||A z - y||^2 + beta sum_g weights_g ||z_g||_2

    is the plain program of the blocks A_g / weights_g in the variables u_g = weights_g z_g. Groups narrower than the
    widest are padded by columns of zeros, whose variables stay zero.

    Parameters
    ----------
    sizes : p positive integers
    weights : (p,) array of positive numbers, ones unless given

    Raises
    ------
    InputError
        If a size or a weight is not positive, or there is not one weight a group.
    """

    sizes: Sequence[int] | NDArray[np.intp]
    weights: ArrayLike | None = None

    def __post_init__(self) -> None:
        sizes = np.asarray(self.sizes)
        if sizes.ndim != 1 or not len(sizes) or sizes.dtype.kind not in "iu" or (sizes < 1).any():
            raise InputError(f"sizes = {self.sizes}: give a positive number of columns for each group")
        weights = np.ones(len(sizes)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)
        if weights.shape != sizes.shape or not (np.isfinite(weights) & (weights > 0)).all():
            raise InputError(f"weights = {self.weights}: give {len(sizes)} positive numbers, one a group")
        object.__setattr__(self, "sizes", sizes.astype(np.intp))
        object.__setattr__(self, "weights", weights)

    def features(self, A: Array) -> DenseFeatures:
        """Return the blocks of A (n, sum of sizes); A itself where groups are of one size and of weight one.

        Raises InputError if A has another number of columns.
        """
        A = np.asarray(A, dtype=np.float64)
        if A.ndim != 2 or A.shape[1] != self._group.size:
            raise InputError(f"A has shape {A.shape}; the groups have {self._group.size} columns in all")
        if self._own.all() and (np.asarray(self.weights) == 1).all():
            return DenseFeatures(A, self._own.shape[1])
        F = np.zeros((len(A), self._own.size))
        F[:, self._own.ravel()] = A / np.asarray(self.weights)[self._group]
        return DenseFeatures(F, self._own.shape[1])

    def coefficients(self, u: Array) -> Array:
        """Return z (columns of A,) of a program's variables u (p, d)."""
        return u[self._own] / np.asarray(self.weights)[self._group]

    def variables(self, z: Array) -> Array:
        """Return a program's variables u (p, d), e.g. to start from, of z (columns of A,)."""
        u = np.zeros(self._own.shape)
        u[self._own] = z * np.asarray(self.weights)[self._group]
        return u

    @cached_property
    def _group(self) -> Index:
        """The group of each column of A."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def _own(self) -> NDArray[np.bool_]:
        """Which of a program's variables (p, d) belong to a column of A."""
        sizes = np.asarray(self.sizes)
        return np.arange(sizes.max()) < sizes[:, None]
