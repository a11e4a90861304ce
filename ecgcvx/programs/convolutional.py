"""The feature blocks and cones of a two-layer convolutional network with shared filters.

    network   f(x) = s sum_k sum_j (x_k'w_j)_+ a_j,   s = 1/K (average pooling) or 1 (sum), beta/2 (||W||_F^2 + ||a||^2)
    convex    blocks F_i = s sum_k D_{i,k} X_k, cones (2 D_{i,k} - I) X_k u >= 0 for all K patches, u_i in R^w

D_i is a pattern of all n K patches together, as the filter is shared. Everything but the sum over the patches of a row
is the two-layer program on the matrix of the patches: the price of a filter is the two-layer price on it with the
residual of a row repeated for its patches, so the certificates of two-layer networks hold as they are.

Source: Ergen & Pilanci 2021 (implicit convex regularisers of CNN architectures).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.errors import InputError
from ecgcvx.patches import Convolution, PatchMatrix
from ecgcvx.programs.features import CHUNK_ELEMENTS, Gram, Index, PatternFeatures, gram_of_rows, products_of_rows
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class ConvolutionalFeatures:
    """Blocks F_i = s sum_k D_{i,k} X_k with the cones of all patches, for `relu_program` and `gated_relu_program`.

    X : (n, d) matrix or lazy matrix. patterns : of the rows of `PatchMatrix(X, convolution)`.

    Raises InputError where the filter is longer than the window, the patterns are those of other rows, or there is more
    than one segment.
    """

    X: Matrix
    convolution: Convolution
    patterns: Patterns

    def __post_init__(self) -> None:
        if self.convolution.segments > 1:
            raise InputError(
                f"segments = {self.convolution.segments}: the filters of a pattern share their direction over the "
                "segments, which is no group lasso; train over all patterns, or give segments=1"
            )
        _ = self.patches

    @cached_property
    def patches(self) -> PatternFeatures:
        """The two-layer features of the patches."""
        return PatternFeatures(PatchMatrix(self.X, self.convolution), self.patterns)

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
        """Columns w of each block."""
        return self.convolution.width

    @cached_property
    def curvature(self) -> float:
        """mean_i (s sum_k ||x_ik||)^2."""
        return float(np.mean(self._pool(self.patches.row_norms) ** 2))

    def _pool(self, values: Array) -> Array:
        return self.convolution.pool(values, check_matrix(self.X)[1])

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]) over F (n, p w)."""
        d = self.X.shape[1]
        K, s, size = self.convolution.count(d), self.convolution.scale(d), self.count * self.width
        for start, X in row_chunks(self.X, CHUNK_ELEMENTS // (size + K * self.count)):
            masks = self.patterns.masks(start * K, (start + len(X)) * K).reshape(self.count, len(X), K)
            F = np.matmul(masks.transpose(1, 0, 2).astype(np.float64), self.convolution.rows(X))
            yield slice(start, start + len(X)), s * F.reshape(len(X), size)

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n in one pass over the rows; y, weights: (n,)."""
        return gram_of_rows(self, y, weights)

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` (a,) and j in `second` (b,), (a d, b d)."""
        return products_of_rows(self, first, second, weights)

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,) for coefficients z (p, w)."""
        return self._pool(self.patches.apply(coefficients))

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, w); r: (n,)."""
        return self.patches.correlate(self.convolution.spread(r, self.X.shape[1]))

    def cone_values(self, blocks: NDArray[np.intp], u: Array) -> Array:
        """Return C_{blocks[j]} u_j for every j, (g, n K); u: (g, w)."""
        return self.patches.cone_values(blocks, u)

    def cone_rows(self, block: int, indices: NDArray[np.intp]) -> Array:
        """Return the given rows of C_block, (k, w)."""
        return self.patches.cone_rows(block, indices)

    def interior(self, blocks: NDArray[np.intp]) -> Array:
        """The gate that made the pattern (g, w)."""
        return self.patterns.gates[blocks]
