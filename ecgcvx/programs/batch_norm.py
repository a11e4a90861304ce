"""Programs of two-layer networks with batch normalisation, over the full batch and with the population deviation.

After the ReLU, f = sum_j a_j gamma_j (h_j - mean h_j) / std h_j + b with h_j = (X w_j)_+ and the penalty
beta/2 (gamma^2 + a^2), which leaves out W, whose scale the normalisation removes, and the offset b:

    min  1/(2n) ||sum_j s_j C D_j X u_j - C y||^2 + beta/sqrt(n) sum_j ||C D_j X u_j||,   (2 D_j - I) X u_j >= 0

with C = I - 11'/n; b is the mean of y. With C D_j X = U_j S V' and t_j = S V'u_j / sqrt(n) it is the group lasso

    min  1/(2n) ||sum_j s_j sqrt(n) U_j t_j - C y||^2 + beta sum_j ||t_j||,   u_j = sqrt(n) V S^-1 t_j in the cone.

Where C D_j X has no full rank, u_j may also move along its null space, which changes the cone alone: its projection is
what binds t_j, found by Fourier-Motzkin elimination.

Before the ReLU the network is the plain one on whitened windows: `Whitening`.

Source: Ergen, Sahiner, Ozturkler, Pauly, Mardani & Pilanci, ICLR 2022 (the U_j form).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.errors import InputError
from ecgcvx.programs.elimination import eliminate
from ecgcvx.programs.features import Gram, Index, PatternFeatures, gram_of_rows, products_of_rows
from ecgcvx.programs.losses import checked_targets
from ecgcvx.programs.program import ConvexProgram, gated_relu_program, relu_program
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

MOST_ROWS = 20_000  # of a projected cone
CHUNK_ROWS = 1 << 14


@dataclass(frozen=True, eq=False)
class _Basis:
    """Of a block: M (d, d), u = M t, its columns after the rank zero, and N (d, q), the directions that t cannot see.

    cone: the projected cone (rows, d) where there are such directions and a pattern that is not all ones.
    """

    M: Array
    N: Array
    cone: Array | None


@dataclass(frozen=True, eq=False)
class BatchNormFeatures:
    """Blocks F_i = sqrt(n) U_i of batch normalisation after the ReLU, in the coordinates t, and their cones.

    X : (n, d) matrix or lazy matrix, whose last column may be ones. patterns : of its rows.

    Raises InputError for a column of X that is constant (but for the last), for a pattern whose block is constant, and
    for one whose cone has too many facets after the directions without effect are eliminated.
    """

    X: Matrix
    patterns: Patterns

    def __post_init__(self) -> None:
        check_columns(self.X)
        _ = self.bases

    @cached_property
    def plain(self) -> PatternFeatures:
        """The blocks D_i X."""
        return PatternFeatures(self.X, self.patterns)

    @cached_property
    def means(self) -> Array:
        """Means of the columns of D_i X, (p, d)."""
        return self.plain.correlate(np.ones(self.n)) / self.n

    @cached_property
    def bases(self) -> tuple[_Basis, ...]:
        """The change of variables of every block, from a QR factor updated chunk by chunk: one pass over the rows."""
        p, d = self.count, self.width
        R = np.zeros((p, 0, d))
        for _, F in self.plain.rows():
            centred = F.reshape(len(F), p, d).transpose(1, 0, 2) - self.means[:, None]
            R = np.asarray(np.linalg.qr(np.concatenate([R, centred], axis=1), mode="r"))
        return tuple(self._basis(i, R[i]) for i in range(p))

    def _basis(self, i: int, R: Array) -> _Basis:
        n, d = self.n, self.width
        _, S, Vt = np.linalg.svd(R)
        S = np.append(S, np.zeros(d - len(S)))
        rank = int(np.count_nonzero(S[0] * max(n, d) * np.finfo(float).eps < S)) if S[0] > 0 else 0
        scale = float(np.linalg.norm(self.means[i])) + float(S[0])
        if rank == 0 or S[0] <= 1e-12 * scale:
            raise InputError(f"patterns: the block of pattern {i} is constant on all rows; drop that pattern")
        M = np.zeros((d, d))
        M[:, :rank] = Vt[:rank].T * (np.sqrt(n) / S[:rank])
        N = Vt[rank:].T
        if rank == d:
            return _Basis(M, N, None)
        X = np.asarray(self.X[0:n], dtype=np.float64)
        signed = np.where(self.patterns.mask(i), 1.0, -1.0)[:, None] * X
        try:
            cone = eliminate(signed @ M, signed @ N, MOST_ROWS)
        except InputError:
            raise InputError(
                f"patterns: the active rows of pattern {i} have rank {rank} of {d}, and its cone in these coordinates "
                f"more than {MOST_ROWS:,} facets; drop that pattern"
            ) from None
        return _Basis(M, N, cone)

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

    @property
    def curvature(self) -> float:
        """1: the columns of F_i / sqrt(n) are orthonormal."""
        return 1.0

    @cached_property
    def _M(self) -> Array:
        return np.stack([basis.M for basis in self.bases])

    def weights(self, blocks: NDArray[np.intp], t: Array) -> Array:
        """First-layer weights u = M t (g, d) of variables t (g, d), inside the cones of X.

        Where t leaves directions of u free, the shift along them that leaves the cone's rows the most room is taken.
        """
        u = np.einsum("jab,jb->ja", self._M[blocks], t)
        for j, block in enumerate(blocks):
            basis = self.bases[block]
            if basis.N.shape[1] and t[j].any():
                X = np.asarray(self.X[0 : self.n], dtype=np.float64)
                signed = np.where(self.patterns.mask(int(block)), 1.0, -1.0)[:, None] * X
                u[j] += basis.N @ _roomiest(signed @ u[j], signed @ basis.N)
        return u

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]) over F (n, p d)."""
        for rows, F in self.plain.rows():
            blocks = F.reshape(len(F), self.count, self.width).transpose(1, 0, 2) - self.means[:, None]
            yield rows, np.matmul(blocks, self._M).transpose(1, 0, 2).reshape(F.shape)

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n in one pass over the rows; y, weights: (n,)."""
        return gram_of_rows(self, y, weights)

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` (a,) and j in `second` (b,), (a d, b d)."""
        return products_of_rows(self, first, second, weights)

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,) for coefficients z (p, d)."""
        u = np.einsum("pab,pb->pa", self._M, coefficients)
        return self.plain.apply(u) - float(np.sum(self.means * u))

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, d); r: (n,)."""
        return np.einsum("pab,pa->pb", self._M, self.plain.correlate(r - r.mean()))

    @cached_property
    def _row_norms(self) -> Array:
        """Norms of the rows of X M_i (p, n), 1 for rows of zeros."""
        norms = np.empty((self.count, self.n))
        for start, X in row_chunks(self.X, CHUNK_ROWS):
            norms[:, start : start + len(X)] = np.linalg.norm(X @ self._M, axis=2)
        norms[norms <= 1e-14 * norms.max(axis=1, keepdims=True)] = 1.0
        return norms

    def cone_values(self, blocks: NDArray[np.intp], u: Array) -> Array:
        """Return C_{blocks[j]} t_j for every j, (g, rows), rows that a cone does not have being 1; u: t (g, d)."""
        explicit = [self.bases[block].cone for block in blocks]
        out = np.ones((len(blocks), max([self.n, *(len(cone) for cone in explicit if cone is not None)])))
        whole = np.array([j for j, cone in enumerate(explicit) if cone is None], dtype=np.intp)
        if len(whole):
            chosen = blocks[whole]
            weights = np.einsum("jab,jb->ja", self._M[chosen], u[whole])
            for rows, X, masks in self.plain.chunks(self.patterns.subset(chosen), len(chosen)):
                products = weights @ X.T
                out[whole, rows] = np.where(masks, products, -products) / self._row_norms[chosen, rows]
        for j, cone in enumerate(explicit):
            if cone is not None:
                out[j] = 1.0
                out[j, : len(cone)] = cone @ u[j]
        return out

    def cone_rows(self, block: int, indices: NDArray[np.intp]) -> Array:
        """Return the given rows of C_block, (k, d); zeros for rows that it does not have."""
        cone = self.bases[block].cone
        there = indices < (self.n if cone is None else len(cone))
        out, known = np.zeros((len(indices), self.width)), indices[there]
        if cone is None:
            rows = self.plain.cone_rows(block, known) * self.plain.row_norms[known, None]
            out[there] = rows @ self._M[block] / self._row_norms[block, known, None]
        else:
            out[there] = cone[known]
        return out

    def interior(self, blocks: NDArray[np.intp]) -> Array:
        """The gate that made the pattern in the coordinates t (g, d): S V'g / sqrt(n), the pseudo-inverse of M."""
        return np.einsum("jab,jb->ja", np.linalg.pinv(self._M[blocks]), self.patterns.gates[blocks])


def batch_norm_program(features: BatchNormFeatures, y: Array, beta: float, *, cones: bool = True) -> ConvexProgram:
    """The program of batch normalisation after the ReLU (cones=False: its gated form) for the squared loss.

    Its targets are y - mean(y), as the optimal offset is mean(y) whatever the weights are; a logistic loss has no such
    offset and is not taken.
    """
    y = checked_targets(y, features.n, beta)
    build = relu_program if cones else gated_relu_program
    return build(features, y - y.mean(), beta)


@dataclass(frozen=True, eq=False)
class Whitening:
    """x -> [M'(x - mean), 1] (r + 1,): windows of batch normalisation before the ReLU, sqrt(n) U on the training rows.

    With C X = U S V', M = sqrt(n) V S^-1, the normalised output of any first-layer weights is sqrt(n) U g for a unit g:
    gamma scales it and the shift is the weight of the column of ones. The network is a plain one on these rows.

    mean (d,), M (d, r); a last column of ones in X has no variance and falls away.
    """

    mean: Array
    M: Array

    @classmethod
    def of(cls, X: Matrix) -> "Whitening":
        """Fit to X (n, d) in two passes; InputError for a column that is constant, but for the last."""
        n, d = check_matrix(X)
        check_columns(X)
        mean = np.sum([rows.sum(axis=0) for _, rows in row_chunks(X, CHUNK_ROWS)], axis=0) / n
        R: Array = np.zeros((0, d))
        for _, rows in row_chunks(X, CHUNK_ROWS):
            R = np.asarray(np.linalg.qr(np.concatenate([R, rows - mean]), mode="r"))
        _, S, Vt = np.linalg.svd(R, full_matrices=False)
        rank = int(np.count_nonzero(S[0] * max(n, d) * np.finfo(float).eps < S))
        return cls(mean, Vt[:rank].T * (np.sqrt(n) / S[:rank]))

    def __call__(self, X: Array) -> Array:
        """Return the whitened rows (n, r + 1) of X (n, d)."""
        return np.c_[(X - self.mean) @ self.M, np.ones(len(X))]

    def unwhiten(self, W: Array) -> tuple[Array, Array]:
        """First-layer weights W (r + 1, m) on whitened rows as weights (d, m) and biases (m,) on rows of X."""
        weights = self.M @ W[:-1]
        return weights, W[-1] - self.mean @ weights

    def whiten(self, W: Array) -> Array:
        """First-layer weights W (d, m) on rows of X as weights (r + 1, m) on whitened rows, in the span of M."""
        return np.r_[np.linalg.pinv(self.M) @ W, (self.mean @ W)[None]]


class WhitenedMatrix:
    """The whitened rows (n, r + 1) of X, made when they are asked for."""

    def __init__(self, X: Matrix, whitening: Whitening) -> None:
        self.X, self.whitening = X, whitening
        self.shape = (int(X.shape[0]), whitening.M.shape[1] + 1)

    def __getitem__(self, rows: slice) -> Array:
        """Whitened rows a:b."""
        return self.whitening(np.asarray(self.X[rows], dtype=np.float64))


def check_columns(X: Matrix) -> None:
    """InputError for a constant column of X other than the last, whose normaliser would be zero."""
    low = np.min([rows.min(axis=0) for _, rows in row_chunks(X, CHUNK_ROWS)], axis=0)
    high = np.max([rows.max(axis=0) for _, rows in row_chunks(X, CHUNK_ROWS)], axis=0)
    constant = np.flatnonzero(low[:-1] == high[:-1])
    if len(constant) or (len(low) == 1 and low[0] == high[0]):
        column = int(constant[0]) if len(constant) else 0
        raise InputError(
            f"X: column {column} is constant ({low[column]:g}), so batch norm would divide by 0; drop it, or train on "
            "rows where it varies"
        )


def _roomiest(values: Array, directions: Array) -> Array:
    """The z (q,) that maximises the least of values + directions z, none of it above 1 in units of the values."""
    from scipy.optimize import linprog

    n, q = directions.shape
    scale = max(float(np.abs(values).max()), 1e-300)
    found = linprog(
        np.append(np.zeros(q), -1.0), np.c_[-directions / scale, np.ones(n)], values / scale,
        bounds=[(None, None)] * q + [(None, 1.0)],
    )  # fmt: skip
    return found.x[:q]
