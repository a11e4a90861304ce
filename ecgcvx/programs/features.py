"""The feature blocks F_i of a convex program and the cones of its patterns, as an object with products.

F = [F_1 ... F_p] is n x (p d); for a record it would not fit in memory and is never formed. All products run over
chunks of rows, and what a squared loss needs of the data, the Gram matrix, does not grow with n. `PatternFeatures` are
those of the two-layer network, F_i = D_i X; the other networks wrap them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 20  # of a chunk of F: 8 MB, so that it is read back from cache


class Gram(NamedTuple):
    """H = F'F/n (p d, p d), c = F'y/n (p d,), and y'y/n: the squared loss is u'Hu/2 - c'u + y'y/(2n)."""

    H: Array
    c: Array
    yy: float


class Features(Protocol):
    """Blocks F_i (n, d) with cones K_i = {u : C_i u >= 0}, i = 1..p, the rows of C_i scaled to unit norm.

    curvature : an upper bound of ||F_i'F_j||_2 / n over all i, j.
    """

    @property
    def n(self) -> int: ...

    @property
    def count(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def curvature(self) -> float: ...

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]) over F (n, p d), in chunks that fit in cache."""
        ...

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n in one pass, with weights w_k of the rows if there are any: H = F'diag(w)F/n."""
        ...

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,) for coefficients z (p, d)."""
        ...

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, d); r: (n,)."""
        ...

    def cone_values(self, blocks: NDArray[np.intp], u: Array) -> Array:
        """Return C_{blocks[j]} u_j for every j, (g, rows of a cone); u: (g, d)."""
        ...

    def cone_rows(self, block: int, indices: NDArray[np.intp]) -> Array:
        """Return the given rows of C_block, (k, d)."""
        ...

    def interior(self, blocks: NDArray[np.intp]) -> Array:
        """A direction inside each block's cone (g, d)."""
        ...


def gram_of_rows(features: Features, y: Array, weights: Array | None = None) -> Gram:
    """The Gram matrix from the rows of F."""
    size = features.count * features.width
    H, c = np.zeros((size, size)), np.zeros(size)
    for rows, F in features.rows():
        weighted = F if weights is None else F * weights[rows, None]
        H += weighted.T @ F
        c += weighted.T @ y[rows]
    n = features.n
    return Gram(H / n, c / n, float(y @ y if weights is None else y @ (weights * y)) / n)


def matrix_of(features: Features) -> Array:
    """F (n, p d) as a whole: small n only."""
    return np.concatenate([F for _, F in features.rows()])


class Chunk(NamedTuple):
    """Rows start:stop of X (rows, d) and of the patterns (p, rows)."""

    rows: slice
    X: Array
    masks: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PatternFeatures:
    """Blocks F_i = D_i X with cones K_i = {u : (2 D_i - I) X u >= 0}, i = 1..p.

    X: (n, d) matrix or lazy matrix; patterns: p patterns of its n rows. Cone rows are scaled to unit norm, so that a
    violation is an angle: C_i = diag(1 / ||x_k||) (2 D_i - I) X.
    """

    X: Matrix
    patterns: Patterns

    def __post_init__(self) -> None:
        n, _ = check_matrix(self.X)
        if self.patterns.n != n:
            raise InputError(f"patterns: made for {self.patterns.n} rows, but X has {n}; make them from this X")

    @property
    def n(self) -> int:
        """Number of rows (samples)."""
        return int(self.X.shape[0])

    @property
    def count(self) -> int:
        """Number of blocks p."""
        return len(self.patterns)

    @property
    def width(self) -> int:
        """Columns d of each block."""
        return int(self.X.shape[1])

    def chunks(self, patterns: Patterns, columns: int) -> Iterator[Chunk]:
        """Rows of X with their pattern masks, as many at a time as fit in cache with `columns` results a row."""
        for start, rows in row_chunks(self.X, CHUNK_ELEMENTS // max(columns, 1)):
            stop = start + len(rows)
            yield Chunk(slice(start, stop), rows, patterns.masks(start, stop))

    @cached_property
    def curvature(self) -> float:
        """mean_k ||x_k||^2, rows of zeros counted as rows of norm 1."""
        return float(np.mean(self.row_norms**2))

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]) over F (n, p d)."""
        size = self.count * self.width
        for rows, X, masks in self.chunks(self.patterns, size):
            yield rows, (masks.T[:, :, None] * X[:, None, :]).reshape(len(X), size)

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n in one pass over the rows; y, weights: (n,)."""
        return gram_of_rows(self, y, weights)

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,) for coefficients z (p, d)."""
        out = np.empty(self.n)
        for rows, X, masks in self.chunks(self.patterns, self.count):
            out[rows] = np.einsum("pr,pr->r", coefficients @ X.T, masks)
        return out

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, d); r: (n,)."""
        out = np.zeros((self.count, self.width))
        for rows, X, masks in self.chunks(self.patterns, self.count):
            out += (masks * r[rows]) @ X
        return out

    @cached_property
    def row_norms(self) -> Array:
        """||x_k|| (n,), 1 for zero rows, whose constraint is void."""
        norms = np.concatenate([np.linalg.norm(rows, axis=1) for _, rows in row_chunks(self.X, CHUNK_ELEMENTS)])
        norms[norms == 0] = 1.0
        return norms

    def cone_values(self, blocks: NDArray[np.intp], u: Array) -> Array:
        """Return C_{blocks[j]} u_j for every j, (g, n); u: (g, d)."""
        out = np.empty((len(blocks), self.n))
        for rows, X, masks in self.chunks(self.patterns.subset(blocks), len(blocks)):
            products = u @ X.T
            out[:, rows] = np.where(masks, products, -products) / self.row_norms[rows]
        return out

    def cone_rows(self, block: int, indices: NDArray[np.intp]) -> Array:
        """Return the given rows of C_block, (k, d)."""
        X = np.concatenate([self.X[k : k + 1] for k in indices]) if len(indices) else np.empty((0, self.width))
        packed = self.patterns.packed[block]
        active = (packed[indices // 8] >> (7 - indices % 8).astype(np.uint8)) & 1
        return (np.where(active, 1.0, -1.0) / self.row_norms[indices])[:, None] * X

    def interior(self, blocks: NDArray[np.intp]) -> Array:
        """A direction inside each block's cone (g, d): the gate that made the pattern."""
        return self.patterns.gates[blocks]


def two_layer_features(features: Features, purpose: str) -> PatternFeatures:
    """The features as those of a two-layer network; InputError, which names the purpose, for another network's."""
    if not isinstance(features, PatternFeatures):
        raise InputError(f"{purpose}: takes a program of the two-layer network, not one with {type(features).__name__}")
    return features
