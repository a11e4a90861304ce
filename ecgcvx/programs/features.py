"""The feature blocks F_i of a convex program and the cones of its patterns, as an object with products.

F = [F_1 ... F_p] is n x (p d); for a record it would not fit in memory and is never formed. All products run over
chunks of rows, and what a squared loss needs of the data, the Gram matrix, does not grow with n. `PatternFeatures` are
those of the two-layer network, F_i = D_i X; the other networks wrap them. Their rows are summed once for 8 patterns at
a time (`pattern_sums`): the Gram matrix takes a tenth of the time of a product A'A of its size.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.cores import blas_threads
from ecgcvx.errors import InputError
from ecgcvx.programs.pattern_sums import (
    PATTERNS_A_CODE,
    Codes,
    add_code_sums,
    apply_rows,
    codes_of,
    correlations,
    pair_products,
)
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

Index = NDArray[np.intp]
CHUNK_ELEMENTS = 1 << 20  # of a chunk of results: 8 MB, so that it is read back from cache
CHUNK_ROWS = 1 << 16  # of the products of blocks
SHARED = 1e7  # rows times pairs of codes from which threads pay


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

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` (a,) and j in `second` (b,), (a d, b d); weights as in `gram`."""
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


def products_of_rows(features: Features, first: Index, second: Index, weights: Array | None = None) -> Array:
    """The products of some blocks from the rows of F."""
    d = features.width
    some, others = ((blocks[:, None] * d + np.arange(d)).ravel() for blocks in (first, second))
    total = np.zeros((len(some), len(others)))
    for rows, F in features.rows():
        weighted = F[:, some] if weights is None else F[:, some] * weights[rows, None]
        total += weighted.T @ F[:, others]
    return total / features.n


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

    @cached_property
    def codes(self) -> Codes:
        """The patterns of each row, 8 in a byte, (ceil(p / 8), n): as large as the packed patterns."""
        codes = np.empty((-(-self.count // PATTERNS_A_CODE), self.n), dtype=np.uint8)
        for g, packed in enumerate(np.array_split(self.patterns.packed, range(8, self.count, PATTERNS_A_CODE))):
            codes[g : g + 1] = codes_of(np.unpackbits(packed, axis=1, count=self.n).view(np.bool_))
        return codes

    def subset(self, blocks: Index) -> "PatternFeatures":
        """The features of the given patterns alone, in that order."""
        return PatternFeatures(self.X, self.patterns.subset(blocks))

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n; y, weights: (n,)."""
        every = np.arange(self.count)
        weighted = y if weights is None else weights * y
        c = self.correlate(weighted).ravel() / self.n
        return Gram(self.products(every, every, weights), c, float(y @ weighted) / self.n)

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` (a,) and j in `second` (b,), (a d, b d), in one pass."""
        return self.sums(first, second, weights) / self.n

    def sums(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j, n times what `products` returns."""
        same = np.array_equal(first, second)
        codes = [self._codes_of(blocks) for blocks in ((first,) if same else (first, second))]
        d, groups = self.width, (len(codes[0]), len(codes[-1]))
        pairs = [(a, b) for a, b in product(*map(range, groups)) if not same or a <= b]
        out = np.zeros((len(first), d, len(second), d))

        def add(X: Array, rows: slice, a: int, b: int) -> None:
            products = pair_products(X, codes[0][a, rows], codes[-1][b, rows])
            i, j = slice(8 * a, min(8 * a + 8, len(first))), slice(8 * b, min(8 * b + 8, len(second)))
            products = products[: i.stop - i.start, : j.stop - j.start]
            out[i, :, j] += products.transpose(0, 2, 1, 3)
            if same and a != b:
                out[j, :, i] += products.transpose(1, 2, 0, 3)  # D_i D_j X'X is symmetric

        threads = blas_threads() if self.n * len(pairs) > SHARED else 1
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
            for start, X in row_chunks(self.X, CHUNK_ROWS):
                rows = slice(start, start + len(X))
                if weights is not None:
                    X = np.sqrt(weights[rows, None]) * X
                list(pool.map(lambda pair, X=X, rows=rows: add(X, rows, *pair), pairs))
        return out.reshape(len(first) * d, len(second) * d)

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,) for coefficients z (p, d)."""
        used = np.flatnonzero(coefficients.any(axis=1))
        if not len(used):
            return np.zeros(self.n)
        few = len(used) <= self.count // 2
        codes = self._codes_of(used) if few else self.codes
        z = coefficients[used] if few else coefficients
        chunks = row_chunks(self.X, CHUNK_ELEMENTS // self.width)
        return np.concatenate([apply_rows(X, codes[:, start : start + len(X)], z) for start, X in chunks])

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, d); r: (n,)."""
        sums = np.zeros((len(self.codes), 256, self.width))
        for start, X in row_chunks(self.X, CHUNK_ELEMENTS // self.width):
            rows = slice(start, start + len(X))
            add_code_sums(X, self.codes[:, rows], r[rows], sums)
        return correlations(sums, self.count)

    def _codes_of(self, blocks: Index) -> Codes:
        """The codes of the given patterns alone, (ceil(b / 8), n)."""
        if np.array_equal(blocks, np.arange(self.count)):
            return self.codes
        return self.subset(blocks).codes

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
