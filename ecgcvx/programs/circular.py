"""The linear circular convolutional network with full-width filters: an l1 penalty on the Fourier coefficients.

    network   f(x) = x'sum_j circ(u_j) v_j with circ(u) v the circular convolution, beta/2 sum_j (||u_j||^2 + ||v_j||^2)
    convex    min 1/(2n) ||X w - y||^2 + beta/sqrt(d) ||F w||_1, F the unitary discrete Fourier transform

A real w has conjugate pairs of coefficients c_j, so this is a group lasso whose groups are the frequencies j = 0..d//2:
t_j = 2/sqrt(d) (Re c_j, Im c_j), half of that where the frequency is its own conjugate, and beta sum_j ||t_j||.

Source: Ergen & Pilanci 2021 (implicit convex regularisers of CNN architectures), theorem on circular CNNs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import SolverError
from ecgcvx.programs.features import CHUNK_ELEMENTS, Gram, Index, gram_of_rows, products_of_rows
from ecgcvx.programs.losses import Loss
from ecgcvx.programs.program import ConvexProgram, gated_relu_program
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class FrequencyFeatures:
    """Blocks F_j = X B_j (n, 2), one a frequency, w = sum_j B_j t_j; without cones. X : (n, d), all columns samples."""

    X: Matrix

    @cached_property
    def basis(self) -> Array:
        """B (p, d, 2); a frequency that is its own conjugate has a second column of zeros."""
        d = int(self.X.shape[1])
        phase = 2 * np.pi * np.outer(np.arange(d // 2 + 1), np.arange(d)) / d
        B = np.stack([np.cos(phase), -np.sin(phase)], axis=2)
        B[0, :, 1] = 0.0
        if d % 2 == 0:
            B[-1, :, 1] = 0.0
        return B

    @property
    def n(self) -> int:
        """Number of rows (samples)."""
        return int(self.X.shape[0])

    @property
    def count(self) -> int:
        """Number of frequencies p = d//2 + 1."""
        return len(self.basis)

    @property
    def width(self) -> int:
        """2: real and imaginary part."""
        return 2

    @cached_property
    def curvature(self) -> float:
        """An upper bound of ||F_i'F_j|| / n: d times the mean of ||x||^2."""
        total = sum(float(np.sum(rows**2)) for _, rows in row_chunks(self.X, CHUNK_ELEMENTS))
        return self.X.shape[1] * total / self.n

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]) over F (n, 2 p)."""
        flat = self.basis.transpose(1, 0, 2).reshape(self.X.shape[1], -1)
        for start, X in row_chunks(self.X, CHUNK_ELEMENTS // flat.shape[1]):
            yield slice(start, start + len(X)), X @ flat

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n in one pass over the rows; y, weights: (n,)."""
        return gram_of_rows(self, y, weights)

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` (a,) and j in `second` (b,), (a d, b d)."""
        return products_of_rows(self, first, second, weights)

    def filter(self, t: Array) -> Array:
        """Return w = sum_j B_j t_j (d,) for t (p, 2)."""
        return np.einsum("pda,pa->d", self.basis, t)

    def apply(self, coefficients: Array) -> Array:
        """Return X w (n,) for coefficients t (p, 2)."""
        w = self.filter(coefficients)
        return np.concatenate([X @ w for _, X in row_chunks(self.X, CHUNK_ELEMENTS)])

    def correlate(self, r: Array) -> Array:
        """Return F_j'r for every frequency, (p, 2); r: (n,)."""
        total = np.sum([r[a : a + len(X)] @ X for a, X in row_chunks(self.X, CHUNK_ELEMENTS)], axis=0)
        return np.einsum("pda,d->pa", self.basis, total)

    def cone_values(self, blocks: NDArray[np.intp], u: Array) -> Array:
        """There are no cones."""
        return np.empty((len(blocks), 0))

    def cone_rows(self, block: int, indices: NDArray[np.intp]) -> Array:
        """There are no cones."""
        return np.empty((0, 2))

    def interior(self, blocks: NDArray[np.intp]) -> Array:
        """There are no cones."""
        raise SolverError("features = FrequencyFeatures: a linear network has no patterns and so no cones")


def circular_program(X: Matrix, y: Array, beta: float, loss: Loss | None = None) -> ConvexProgram:
    """The program of the linear circular network on X (n, d), all of whose columns are samples (no column of ones)."""
    return gated_relu_program(FrequencyFeatures(X), y, beta, loss)


def circular_layers(program: ConvexProgram, t: Array) -> tuple[Array, Array]:
    """Return filters u (m, d) and output weights v (m, d), one pair a frequency in use, with w = sum_j circ(u_j) v_j.

    (circ(u) v)_i = sum_k u_(i-k) v_k. Their weight decay 1/2 (||u||^2 + ||v||^2) is sum_j ||t_j||.
    """
    features = program.features
    assert isinstance(features, FrequencyFeatures)
    d = int(features.X.shape[1])
    u, v = [], []
    for B, own in zip(features.basis, t, strict=True):
        size = float(np.linalg.norm(own))
        if size == 0:
            continue
        # conv(B own / size, impulse of the frequency) is its own frequency again: take the unit cosine as v.
        w = B @ own
        cosine = B[:, 0] / np.linalg.norm(B[:, 0])
        coefficient = np.fft.fft(w) / np.where(np.abs(np.fft.fft(cosine)) > 1e-9, np.fft.fft(cosine), np.inf)
        other = np.fft.ifft(coefficient).real
        root = np.sqrt(np.linalg.norm(other))
        u.append(other / root)
        v.append(cosine * root)
    return (np.array(u), np.array(v)) if u else (np.zeros((0, d)), np.zeros((0, d)))
