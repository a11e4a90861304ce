"""Shared filters f(X; w) = s c sum_k (x_k'w)_+ over the patches of each row as atoms, c the scale of the pooling.

With the patches as rows of one matrix and B the pooling, f = s B (Xw)_+ and v'f/n = s (B'v)'(Xw)_+/n: every pass is one
of ReLU neurons on the patches, with outputs pooled and residuals spread. On windows of a signal the patches are its
short windows, which the overlapping windows share (`ecgcvx.patches`).
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms import kernels
from ecgcvx.atoms.cells import Cells, cells_of, few_patterns
from ecgcvx.atoms.chunks import HeldChunks, padded
from ecgcvx.atoms.family import AtomFamily, Atoms, Passes
from ecgcvx.atoms.relu import ReluFamily, ReluPasses
from ecgcvx.atoms.workers import Workers
from ecgcvx.errors import InputError
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.patches import Convolution, Patches, PatchMatrix, patches_of
from ecgcvx.programs.convolutional import ConvolutionalFeatures
from ecgcvx.rows import Matrix, check_matrix, take_rows
from ecgcvx.types import Array

SAMPLED_ROWS = 512  # that the preconditioner looks at
BLOCK_ELEMENTS = 1 << 23  # of outputs of patches that are held at once: 32 MB


@dataclass(frozen=True)
class ConvolutionalFamily(AtomFamily):
    """Filters of a convolution, pooled, on rows of `columns` columns; the tag of one is its output sign."""

    convolution: Convolution
    columns: int

    def __post_init__(self) -> None:
        self.convolution.count(self.columns)
        if self.convolution.segments > 1:
            raise InputError(f"segments = {self.convolution.segments}: filters in segments are a SegmentedFamily")

    def prepare(self, X: Matrix) -> "ConvolutionalPasses":
        n, _ = check_matrix(X)
        patches = patches_of(X, self.convolution)
        sampled = np.unique(np.linspace(0, n - 1, min(n, SAMPLED_ROWS)).astype(np.intp))
        sample = self.convolution.rows(take_rows(X, sampled))
        on_patches = ReluFamily().hold(patches.matrix)
        return ConvolutionalPasses(self, X, n, self.convolution.width, patches, on_patches, sampled, sample)

    def cells(self, X: Matrix) -> Cells | None:
        patterns = few_patterns(PatchMatrix(X, self.convolution))
        return None if patterns is None else cells_of(ConvolutionalFeatures(X, self.convolution, patterns))

    def network(self, atoms: Atoms) -> ConvolutionalNetwork:
        return ConvolutionalNetwork.of_filters(self.convolution, self.columns, atoms.points, atoms.tags[:, 0])

    def atoms(self, network: ConvolutionalNetwork) -> Atoms:
        sizes = np.linalg.norm(network.W1, axis=0) * np.abs(network.W2)
        used = sizes > 0
        return Atoms((network.W1 * np.abs(network.W2)).T[used], np.sign(network.W2)[used, None])


@dataclass(frozen=True, eq=False)
class ConvolutionalPasses(Passes):
    """Passes of filters over rows X (n, d).

    on_patches : those of ReLU neurons on the patches. sampled, sample : rows (r,) and their patches (r, K, w) that the
    preconditioner looks at.
    """

    family: ConvolutionalFamily
    X: Matrix
    n: int
    p: int
    patches: Patches = field(repr=False)
    on_patches: ReluPasses = field(repr=False)
    sampled: NDArray[np.intp] = field(repr=False)
    sample: Array = field(repr=False)
    workers: Workers = field(default_factory=Workers)

    def using(self, workers: Workers) -> "ConvolutionalPasses":
        return replace(self, on_patches=self.on_patches.using(workers), workers=workers)

    @property
    def height(self) -> float:  # type: ignore[override]
        return self.on_patches.height

    @property
    def metric(self) -> Array:  # type: ignore[override]
        return self.on_patches.metric

    def none(self) -> Atoms:
        return self.on_patches.none()

    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        return self.on_patches.starts(count, active, random)

    def outputs(self, atoms: Atoms) -> Array:
        return self.patches.pool(self.on_patches.outputs(atoms))

    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        return self._of_rows(self.on_patches.prices(atoms, self.patches.spread(v), exact=exact))

    def rounded_outputs(self, atoms: Atoms, widths: Array) -> Array:
        return self.patches.pool(self.on_patches.rounded_outputs(atoms, widths))

    def rounded_prices(self, atoms: Atoms, widths: Array, v: Array) -> Array:
        return self._of_rows(self.on_patches.rounded_prices(atoms, widths, self.patches.spread(v)))

    def _of_rows(self, gradients: Array) -> Array:
        """Means over patches as means over rows."""
        return gradients * (self.on_patches.n / self.n)

    def output_gram(self, atoms: Atoms, weights: Array | None = None) -> Array:
        m, N = len(atoms), self.on_patches.n
        Phi = np.empty((m, self.n), dtype=np.float32)
        block = max(1, BLOCK_ELEMENTS // N)
        for first in range(0, m, block):
            Phi[first : first + block] = self.patches.pool(
                activations(self.on_patches.held, atoms.points[first : first + block])
            )
        return gram_of_outputs(Phi, atoms.tags[:, 0], weights)

    def curvature(self, atoms: Atoms, weights: Array | None = None) -> Array:
        J = self.slopes(atoms.points)
        weighted = J if weights is None else J * weights[self.sampled, None]
        return np.asarray(np.matmul(weighted.transpose(0, 2, 1), J) / len(self.sampled))[:, None]

    def slopes(self, points: Array) -> Array:
        """Gradients (m, r, w) in the filters (m, w) of their pooled outputs on the sampled rows."""
        rows, K, w = self.sample.shape
        scale = self.family.convolution.scale(self.family.columns)
        active = (self.sample.reshape(-1, w) @ points.T > 0).reshape(rows, K, len(points)).transpose(2, 0, 1)
        return np.asarray(scale * np.matmul(active[:, :, None, :].astype(np.float64), self.sample)[:, :, 0])


def activations(chunks: HeldChunks, points: Array) -> kernels.Single:
    """Return max(Xp_j, 0) of every atom in float32, (m, n)."""
    Z = np.matmul(padded(points), chunks.X)
    np.maximum(Z, 0, out=Z)
    return np.ascontiguousarray(Z.transpose(1, 0, 2)).reshape(len(points), len(Z) * Z.shape[2])[:, : chunks.n]


def gram_of_outputs(Phi: kernels.Single, signs: Array, weights: Array | None) -> Array:
    """Phi'H Phi/n in float32 of outputs Phi (m, n), which are overwritten, and signs (m,)."""
    if weights is not None:
        Phi *= np.sqrt(weights).astype(np.float32)
    return (Phi @ Phi.T).astype(np.float64) * np.outer(signs, signs) / Phi.shape[1]
