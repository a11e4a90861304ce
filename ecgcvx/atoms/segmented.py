"""Shared filters with output weights of their own for each segment of the window, as atoms p = (w, a).

    F(w, a) = sum_g a_g F_g(w),   F_g(w) = c_g sum_{k in g} (x_k'w)_+,   f(X; p) = 2 F(w, a)/||p||

of degree one, with ||p|| as the best of all penalties (||w||^2 + ||a||^2)/2 with the same output (`atoms.family`). The
patches of a segment are those of a convolution of fewer columns, so that every pass is one of filters on each segment:
together they cost what a pass over the whole window costs. With G_g the gradient of v'F_g/n in w and w'G_g its value,

    gradient of v'f/n:   (2 sum_g a_g G_g, 2 (w'G_1, ..., w'G_G))/||p|| - (v'f/n) p/||p||^2
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ecgcvx.atoms.batch_norm_kernels import add_sums
from ecgcvx.atoms.chunks import padded
from ecgcvx.atoms.convolutional import (
    BLOCK_ELEMENTS,
    ConvolutionalFamily,
    ConvolutionalPasses,
    activations,
    gram_of_outputs,
)
from ecgcvx.atoms.family import AtomFamily, Atoms, Passes
from ecgcvx.atoms.relu import NEAR
from ecgcvx.atoms.workers import Workers, group_bounds
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.patches import Convolution
from ecgcvx.rows import Matrix, check_matrix
from ecgcvx.types import Array


@dataclass(frozen=True)
class SegmentedFamily(AtomFamily):
    """Filters of a convolution in segments, on rows of `columns` columns; atoms have no tags.

    Raises InputError where the filter is longer than the window, or the segments are more than its patches.
    """

    convolution: Convolution
    columns: int

    def __post_init__(self) -> None:
        self.convolution.count(self.columns)

    def prepare(self, X: Matrix) -> "SegmentedPasses":
        n, _ = check_matrix(X)
        parts = tuple(
            ConvolutionalFamily(part.convolution, part.end - part.begin + self.convolution.context).prepare(part.of(X))
            for part in self.convolution.parts(self.columns)
        )
        return SegmentedPasses(self, X, n, self.convolution.width + len(parts), parts)

    def network(self, atoms: Atoms) -> ConvolutionalNetwork:
        scaled = atoms.points * np.sqrt(2 / np.maximum(self.norms(atoms), 1e-300))[:, None]
        w = self.convolution.width
        W1, W2 = (np.ascontiguousarray(part.T) for part in (scaled[:, :w], scaled[:, w:]))
        return ConvolutionalNetwork(W1, W2, self.convolution, self.columns)

    def atoms(self, network: ConvolutionalNetwork) -> Atoms:
        points = np.concatenate([network.W1, network.W2]).T
        points = points * (np.linalg.norm(points, axis=1, keepdims=True) / 2)
        used = (network.W1 != 0).any(axis=0) & (network.W2 != 0).any(axis=0)
        return Atoms(points[used], np.zeros((int(used.sum()), 0)))


@dataclass(frozen=True, eq=False)
class SegmentedPasses(Passes):
    """Passes of filters in segments over X (n, d). parts : those of filters on each segment."""

    family: SegmentedFamily
    X: Matrix
    n: int
    p: int
    parts: tuple[ConvolutionalPasses, ...] = field(repr=False)
    workers: Workers = field(default_factory=Workers)

    def using(self, workers: Workers) -> "SegmentedPasses":
        return replace(self, parts=tuple(part.using(workers) for part in self.parts), workers=workers)

    @property
    def height(self) -> float:  # type: ignore[override]
        return float(np.sqrt(np.mean([part.height**2 for part in self.parts]) / 2))

    @cached_property
    def metric(self) -> Array:  # type: ignore[override]
        """That of the filters; the output weights have none to guess."""
        out = np.eye(self.p)
        out[: self._width, : self._width] = np.mean([part.metric for part in self.parts], axis=0)
        return out

    @property
    def _width(self) -> int:
        return self.family.convolution.width

    def none(self) -> Atoms:
        return Atoms(np.zeros((0, self.p)), np.zeros((0, 0)))

    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        """Filters as those of one segment, the segments in turn, with Gaussian output weights; a third near active."""
        points = random.standard_normal((count, self.p))
        shares = np.diff(np.linspace(0, count, len(self.parts) + 1).astype(np.intp))
        filters = [
            part.starts(int(share), part.none(), random).points for part, share in zip(self.parts, shares, strict=True)
        ]
        points[:, : self._width] = random.permutation(np.concatenate(filters))
        points[:, self._width :] /= np.maximum(np.linalg.norm(points[:, self._width :], axis=1, keepdims=True), 1e-300)
        if len(active):
            near = slice(count - count // 3, count)
            chosen = random.integers(0, len(active), count // 3)
            lengths = random.choice(NEAR, len(chosen))
            points[near] = self.family.units(active).points[chosen] + lengths[:, None] * points[near] / np.sqrt(2)
        return self.family.units(Atoms(points, np.zeros((count, 0))))

    def _split(self, atoms: Atoms) -> tuple[Array, Array, Array]:
        """Filters w (m, h), output weights a (m, G) and ||p|| (m,), 1 for an atom of zero."""
        norms = self.family.norms(atoms)
        return atoms.points[:, : self._width], atoms.points[:, self._width :], np.where(norms > 0, norms, 1.0)

    def _weighted(self, atoms: Atoms) -> list[Atoms]:
        """The filters of each segment with 2 a_g/||p|| in place of a sign."""
        w, a, norms = self._split(atoms)
        return [Atoms(w, (2 * a[:, g] / norms)[:, None]) for g in range(len(self.parts))]

    def outputs(self, atoms: Atoms) -> Array:
        own = zip(self.parts, self._weighted(atoms), strict=True)
        return np.asarray(np.sum([part.outputs(filters) for part, filters in own], axis=0))

    def rounded_outputs(self, atoms: Atoms, widths: Array) -> Array:
        own = zip(self.parts, self._weighted(atoms), strict=True)
        return np.asarray(np.sum([part.rounded_outputs(filters, widths) for part, filters in own], axis=0))

    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        filters = self._filters(atoms)
        gradients = np.stack([part.prices(filters, v, exact=exact) for part in self.parts])
        return self._combined(atoms, gradients, np.einsum("gmw,mw->mg", gradients, filters.points))

    def rounded_prices(self, atoms: Atoms, widths: Array, v: Array) -> Array:
        filters = self._filters(atoms)
        gradients = np.stack([part.rounded_prices(filters, widths, v) for part in self.parts])
        values = np.stack([self._rounded_values(part, filters, widths, v) for part in self.parts], axis=1)
        return self._combined(atoms, gradients, values)

    def _filters(self, atoms: Atoms) -> Atoms:
        return Atoms(atoms.points[:, : self._width], np.ones((len(atoms), 1)))

    def _rounded_values(self, part: ConvolutionalPasses, filters: Atoms, widths: Array, v: Array) -> Array:
        """v'F_g/n (m,) with kinks rounded."""
        passes = part.on_patches
        chunks = passes.held
        P, e, bounds = padded(filters.points), widths.astype(np.float32), group_bounds(len(chunks.X))
        S, column = np.zeros((len(bounds) - 1, len(P), 3)), chunks.column(part.patches.spread(v))
        none = np.zeros_like(e)
        self.workers.over_groups(
            len(S), 2.0 * P.size * passes.n,
            lambda a, b: add_sums(chunks.X, column, passes.n, P, e, none, bounds, a, b, S),
        )  # fmt: skip
        return S[:, :, 2].sum(axis=0) / self.n

    def _combined(self, atoms: Atoms, gradients: Array, values: Array) -> Array:
        """Gradients (m, p) of v'f/n from those (G, m, h) and the values (m, G) of v'F_g/n."""
        _, a, norms = self._split(atoms)
        scale = 2 / norms[:, None]
        whole = np.concatenate([np.einsum("mg,gmw->mw", a, gradients), values], axis=1) * scale
        prices = scale[:, 0] * np.einsum("mg,mg->m", a, values)
        return whole - (prices / norms**2)[:, None] * atoms.points

    def output_gram(self, atoms: Atoms, weights: Array | None = None) -> Array:
        m, most = len(atoms), max(part.on_patches.n for part in self.parts)
        Phi = np.zeros((m, self.n), dtype=np.float32)
        block = max(1, BLOCK_ELEMENTS // most)
        for part, filters in zip(self.parts, self._weighted(atoms), strict=True):
            for first in range(0, m, block):
                some = slice(first, first + block)
                pooled = part.patches.pool(activations(part.on_patches.held, filters.points[some]))
                Phi[some] += pooled * filters.tags[some].astype(np.float32)
        return gram_of_outputs(Phi, np.ones(m), weights)

    def curvature(self, atoms: Atoms, weights: Array | None = None) -> Array:
        w, a, norms = self._split(atoms)
        sampled, rows = self.parts[0].sampled, len(self.parts[0].sampled)
        J = np.empty((len(atoms), rows, self.p))
        J[:, :, : self._width] = 0.0
        for g, part in enumerate(self.parts):
            along = part.slopes(w)
            J[:, :, : self._width] += a[:, g, None, None] * along
            J[:, :, self._width + g] = np.einsum("mrw,mw->mr", along, w)
        f = np.einsum("mrg,mg->mr", J[:, :, self._width :], a) * (2 / norms[:, None])
        J *= 2 / norms[:, None, None]
        J -= f[:, :, None] * (atoms.points / norms[:, None] ** 2)[:, None]
        weighted = J if weights is None else J * weights[sampled, None]
        return np.asarray(np.matmul(weighted.transpose(0, 2, 1), J) / rows)[:, None]
