"""Programs of three-layer networks: group lassos over tuples of patterns.

    network   f(x) = sum_j a_j (sum_l s_jl (x'w_jl)_+ c_jl)_+ with k inner neurons each, all ||w_jl|| <= 1, and the
              penalty beta/2 sum_j (||c_j||^2 + a_j^2)
    convex    blocks D sum_l s_l D_l X z_l over tuples (D_1..D_k, s_1..s_k, D) of inner patterns, inner signs and an
              outer pattern; penalty beta ||(z_1, ..., z_k)||_2; cones (2 D_l - I) X z_l >= 0 for every l and
              (2 D - I) sum_l s_l D_l X z_l >= 0

With `linear`, the first inner neuron has no ReLU: D_1 = I without a cone and s_1 = 1. Such networks contain the
two-layer ones (z_2 = ... = z_k = 0), so that their optimum is never higher at equal beta.

The number of tuples is that of the patterns to the power k, times signs and outer patterns: all of them on tiny
problems, sampled ones beyond.

Source: Ergen & Pilanci 2021 (global optimality beyond two layers).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ecgcvx.arrangements.enumeration import enumerate_patterns
from ecgcvx.arrangements.patterns import Patterns, pack_signs
from ecgcvx.errors import InputError
from ecgcvx.programs.features import CHUNK_ELEMENTS, Gram, Index, PatternFeatures, gram_of_rows, products_of_rows
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

LEAST_ROOM = 1e-9  # of a point inside its cone, relative: cells narrower than that are not resolved


@dataclass(frozen=True, eq=False)
class Tuples:
    """p tuples of patterns of n rows, k inner ones each.

    inner : (p, k, bytes) bits of D_1..D_k, as in `Patterns`. signs : (p, k) of +1 and -1. outer : (p, bytes) bits of D.
    points : (p, k, d) a point z inside each tuple's cones. n : rows. linear : whether the first inner neuron has no
    ReLU.
    """

    inner: NDArray[np.uint8]
    signs: Array
    outer: NDArray[np.uint8]
    points: Array
    n: int
    linear: bool

    def __len__(self) -> int:
        return len(self.signs)


@dataclass(frozen=True, eq=False)
class TupleFeatures:
    """Blocks D sum_l s_l D_l X z_l of tuples (width k d) and their cones, for `relu_program` and `gated_relu_program`.

    X : (n, d) matrix or lazy matrix. tuples : of its rows. The rows of a cone are those of the k inner patterns, one
    after the other, then those of the outer one.

    Raises InputError where the tuples are those of other rows.
    """

    X: Matrix
    tuples: Tuples

    def __post_init__(self) -> None:
        n, d = check_matrix(self.X)
        if self.tuples.n != n or self.tuples.points.shape[2] != d:
            raise InputError(f"tuples: made for {self.tuples.n} rows, but X has {n}; make them from this X")

    @cached_property
    def inner(self) -> PatternFeatures:
        """The two-layer features of the k p products D D_l, tuple by tuple."""
        tuples = self.tuples
        packed = (tuples.inner & tuples.outer[:, None]).reshape(-1, tuples.outer.shape[1])
        return PatternFeatures(
            self.X, Patterns(packed, tuples.n, tuples.points.reshape(len(packed), tuples.points.shape[2]))
        )

    @property
    def n(self) -> int:
        """Number of rows (samples)."""
        return self.tuples.n

    @property
    def count(self) -> int:
        """Number of tuples p."""
        return len(self.tuples)

    @property
    def width(self) -> int:
        """Columns k d of each block."""
        return self.tuples.points.shape[1] * self.tuples.points.shape[2]

    @property
    def curvature(self) -> float:
        """k mean_i ||x_i||^2."""
        return self.tuples.signs.shape[1] * self.inner.curvature

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]) over F (n, p k d)."""
        signs = np.repeat(self.tuples.signs.ravel(), self.inner.width)
        for rows, F in self.inner.rows():
            yield rows, F * signs

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n in one pass over the rows; y, weights: (n,)."""
        return gram_of_rows(self, y, weights)

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` (a,) and j in `second` (b,), (a d, b d)."""
        return products_of_rows(self, first, second, weights)

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,) for coefficients z (p, k d)."""
        return self.inner.apply(
            (self.tuples.signs[:, :, None] * self._split(coefficients)).reshape(-1, self.inner.width)
        )

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, k d); r: (n,)."""
        signed = self.tuples.signs[:, :, None] * self._split(self.inner.correlate(r))
        return signed.reshape(self.count, self.width)

    def _split(self, z: Array) -> Array:
        return z.reshape(-1, *self.tuples.points.shape[1:])

    def cone_values(self, blocks: NDArray[np.intp], u: Array) -> Array:
        """Return C_{blocks[j]} z_j for every j, (g, (k + 1) n); u: z (g, k d)."""
        z, tuples = self._split(u), self.tuples
        g, k, _ = z.shape
        out = np.empty((g, k + 1, self.n))
        for start, X in row_chunks(self.X, CHUNK_ELEMENTS // (g * (k + 1))):
            rows = slice(start, start + len(X))
            masks, outer, signs = self._bits(blocks, rows), self._outer(blocks, rows), tuples.signs[blocks]
            heights = z @ X.T
            out[:, :k, rows] = np.where(masks, heights, -heights)
            h = np.einsum("gk,gkr->gr", signs, np.where(masks, heights, 0.0))
            active = np.sqrt(np.maximum(masks.sum(axis=1), 1))
            out[:, k, rows] = np.where(outer, h, -h) / active
            out[:, :, rows] /= self.inner.row_norms[rows]
        if tuples.linear:
            out[:, 0] = 1.0
        return out.reshape(g, (k + 1) * self.n)

    def _bits(self, blocks: NDArray[np.intp], rows: slice) -> NDArray[np.bool_]:
        """Bits of the inner patterns (g, k, rows); rows start at a multiple of 8."""
        packed = self.tuples.inner[blocks][:, :, rows.start // 8 : -(-rows.stop // 8)]
        return np.unpackbits(packed, axis=2, count=rows.stop - rows.start).view(np.bool_)

    def _outer(self, blocks: NDArray[np.intp], rows: slice) -> NDArray[np.bool_]:
        packed = self.tuples.outer[blocks][:, rows.start // 8 : -(-rows.stop // 8)]
        return np.unpackbits(packed, axis=1, count=rows.stop - rows.start).view(np.bool_)

    def cone_rows(self, block: int, indices: NDArray[np.intp]) -> Array:
        """Return the given rows of C_block, (r, k d)."""
        tuples = self.tuples
        k = tuples.signs.shape[1]
        layer, row = np.divmod(indices, self.n)
        X = np.concatenate([self.X[i : i + 1] for i in row]) if len(row) else np.empty((0, self.inner.width))
        X = X / self.inner.row_norms[row, None]
        at = (row // 8, (7 - row % 8).astype(np.uint8))
        inner = (tuples.inner[block][:, at[0]] >> at[1]) & 1  # (k, r)
        outer = (tuples.outer[block][at[0]] >> at[1]) & 1
        active = np.sqrt(np.maximum(inner.sum(axis=0), 1))
        weights = np.zeros((len(indices), k))
        last = layer == k
        weights[last] = (np.where(outer, 1.0, -1.0) / active)[last, None] * (tuples.signs[block] * inner.T)[last]
        own = np.flatnonzero(~last)
        weights[own, layer[own]] = np.where(inner[layer[own], own], 1.0, -1.0)
        if tuples.linear:
            weights[layer == 0] = 0.0
        return (weights[:, :, None] * X[:, None, :]).reshape(len(indices), self.width)

    def interior(self, blocks: NDArray[np.intp]) -> Array:
        """The tuple's point (g, k d)."""
        return self.tuples.points[blocks].reshape(len(blocks), self.width)


def check_inner(X: Matrix, inner: int) -> None:
    """InputError for fewer than one inner neuron or more of them than rows."""
    n, _ = check_matrix(X)
    if not 1 <= inner <= n:
        raise InputError(f"inner neurons = {inner}: give from 1 to {n}, the number of rows")


def tuples_of(X: Matrix, points: Array, signs: Array, *, linear: bool = False) -> Tuples:
    """The distinct tuples of points z (p, k, d) with inner signs (p, k); those without an active row are left out.

    Raises InputError where shapes do not fit, and where there is no tuple.
    """
    n, d = check_matrix(X)
    if points.ndim != 3 or points.shape[2] != d or signs.shape != points.shape[:2]:
        raise InputError(
            f"points {points.shape}, signs {signs.shape}: X has {d} columns, so give (p, k, {d}) and (p, k)"
        )
    p, k, _ = points.shape
    if p == 0 or k == 0:
        raise InputError(f"points {points.shape}: give at least one tuple of at least one inner neuron")
    inner = pack_signs(X, points.reshape(-1, d)).reshape(p, k, -1)
    if linear:
        inner[:, 0] = np.packbits(np.ones(n, dtype=np.uint8))
        signs = np.c_[np.ones(p), signs[:, 1:]]
    outer = np.empty((p, inner.shape[2]), dtype=np.uint8)
    for start, rows in row_chunks(X, CHUNK_ELEMENTS // (p * k)):
        heights = points @ rows.T
        active = np.maximum(heights, 0.0)
        if linear:
            active[:, 0] = heights[:, 0]
        bits = np.packbits(np.einsum("pk,pkr->pr", signs, active) > 0, axis=1)
        outer[:, start // 8 : start // 8 + bits.shape[1]] = bits
    first: dict[bytes, int] = {}
    for i in range(p):
        if outer[i].any():
            first.setdefault(inner[i].tobytes() + outer[i].tobytes() + signs[i].tobytes(), i)
    kept = np.fromiter(first.values(), dtype=np.intp, count=len(first))
    return Tuples(inner[kept], signs[kept], outer[kept], points[kept], n, linear)


def sample_tuples(X: Matrix, inner: int, count: int, seed: int, *, linear: bool = False) -> Tuples:
    """Tuples of `count` Gaussian points z with random inner signs; fewer where some are equal.

    Raises InputError for more inner neurons than rows.
    """
    check_inner(X, inner)
    random = np.random.default_rng(seed)
    points = random.standard_normal((count, inner, X.shape[1]))
    return tuples_of(X, points, np.where(random.random((count, inner)) < 0.5, 1.0, -1.0), linear=linear)


def enumerate_tuples(X: Matrix, inner: int, *, linear: bool = False, limit: int = 20_000) -> Tuples:
    """All tuples with cones of full dimension, by linear programs: tiny problems only.

    Raises InputError for more inner neurons than rows and for more tuples than the limit.
    """
    check_inner(X, inner)
    rows = np.asarray(X[0 : X.shape[0]], dtype=np.float64)
    patterns = enumerate_patterns(rows)
    masks = np.stack([patterns.mask(i) for i in range(len(patterns))])
    signed = [(i, s) for i in range(len(masks)) for s in (1.0, -1.0)]
    points: list[Array] = []
    signs: list[Array] = []
    for chosen in combinations_with_replacement(signed, inner - linear):
        D = np.stack([masks[i] for i, _ in chosen]) if chosen else np.empty((0, len(rows)), dtype=bool)
        s = np.array([sign for _, sign in chosen])
        if linear:
            D, s = np.concatenate([np.ones((1, len(rows)), dtype=bool), D]), np.append(1.0, s)
        for point in _outer_cells(rows, D, s, linear):
            points.append(point)
            signs.append(s)
            if len(points) > limit:
                raise InputError(
                    f"tuples: more than {limit:,} of {len(rows)} rows and {inner} inner neurons; sample them"
                )
    return tuples_of(rows, np.array(points), np.array(signs), linear=linear)


def _outer_cells(X: Array, D: NDArray[np.bool_], s: Array, linear: bool) -> list[Array]:
    """A point (k, d) inside each cell of the outer arrangement in the inner cones, but for the one with no row on."""
    k, (n, d) = len(D), X.shape
    scale = np.linalg.norm(X, axis=1, keepdims=True)
    unit = X / np.where(scale > 0, scale, 1.0)
    inner = np.zeros((k, n, k, d))
    for own in range(int(linear), k):
        inner[own, :, own] = np.where(D[own], 1.0, -1.0)[:, None] * unit
    outer = ((s[:, None] * D).T[:, :, None] * unit[:, None, :]).reshape(n, k * d)
    fixed = inner[int(linear) :].reshape(-1, k * d)
    cells: list[tuple[Array, Array | None]] = [(fixed, None)]
    for row in outer:
        split = []
        for rows, point in cells:
            if not row.any():
                split.append((rows, point))
                continue
            for side in (row, -row):
                found = _interior(np.concatenate([rows, side[None]]))
                if found is not None:
                    split.append((np.concatenate([rows, side[None]]), found))
        cells = split
    return [
        point.reshape(k, d) for rows, point in cells if point is not None and (outer @ point > 0).any()
    ]  # fmt: skip


def _interior(rows: Array) -> Array | None:
    """A point with rows z >= t for the largest t, in the unit box; None where t is zero."""
    size = rows.shape[1]
    found = linprog(
        np.append(np.zeros(size), -1.0), np.c_[-rows, np.ones(len(rows))], np.zeros(len(rows)),
        bounds=[(-1.0, 1.0)] * size + [(0.0, 1.0)],
    )  # fmt: skip
    return found.x[:size] if found.status == 0 and found.x[size] > LEAST_ROOM else None
