"""Normalised neurons as atoms, batch norm after the ReLU: f(X; p) = s ||p|| sqrt(n) C(Xp)_+ / ||C(Xp)_+||.

With C = I - 11'/n the output has mean 0 and standard deviation ||p|| over the rows, whatever the size of the neuron
itself; the direction of p is free of penalty, its length is gamma a. With h = (Xp)_+, c = Ch/||Ch|| and t = v'c,

    gradient of v'f:  s sqrt(n) (t p/||p|| + ||p||/||Ch|| X'diag(1[Xp > 0])(Cv - t c))

so that a pass sums h, h^2 and vh over all rows first, and goes over them again for the gradient: two `heights` and one
`correlate`. Where ||Ch|| is zero up to rounding, e.g. at p = 0, the atom and its gradient are 0.

Statistics are those of the rows that the passes are made for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms import kernels
from ecgcvx.atoms.batch_norm_kernels import add_centred_prices, add_sums
from ecgcvx.atoms.cells import Cells, few_patterns
from ecgcvx.atoms.chunks import padded
from ecgcvx.atoms.convolutional import activations, gram_of_outputs
from ecgcvx.atoms.family import AtomFamily, Atoms, Passes
from ecgcvx.atoms.relu import CURVATURE_CHUNKS, ReluFamily, ReluPasses
from ecgcvx.atoms.workers import Workers, group_bounds
from ecgcvx.errors import InputError
from ecgcvx.models.batch_norm import BatchNormNetwork
from ecgcvx.programs.batch_norm import BatchNormFeatures, check_columns
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

EXACT_ROWS = 1 << 12
SHARP = 1e-30  # width of a kink that is not rounded
CONSTANT = 1e-5  # of the size of its inputs: a neuron that varies less over the rows counts as constant
SHIFT_CHUNKS = 4  # whose mean is taken off before squares are summed


@dataclass(frozen=True)
class BatchNormFamily(AtomFamily):
    """Normalised neurons; the tag of one is its output sign."""

    def prepare(self, X: Matrix) -> "BatchNormPasses":
        check_columns(X)
        plain = ReluFamily().hold(X)
        sums = np.sum([np.einsum("ij,ij->j", rows, rows) for _, rows in row_chunks(X, EXACT_ROWS)], axis=0)
        return BatchNormPasses(self, X, plain.n, plain.p, plain, np.sqrt(sums / plain.n))

    def cells(self, X: Matrix) -> Cells | None:
        patterns = few_patterns(X)
        if patterns is None:
            return None
        try:
            features = BatchNormFeatures(X, patterns)
        except InputError:  # a block is constant, or its cone has too many facets
            return None

        def directions(blocks: NDArray[np.intp], u: Array) -> Array:
            points = features.weights(blocks, u)
            return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-300)

        return Cells(features, directions, np.zeros((len(patterns), 0)))

    def network(self, atoms: Atoms) -> BatchNormNetwork:
        return BatchNormNetwork.of_neurons(atoms.points, atoms.tags[:, 0])

    def atoms(self, network: BatchNormNetwork) -> Atoms:
        sizes = network.gamma * np.abs(network.W2)
        used = sizes > 0
        directions = network.W1.T[used] / np.linalg.norm(network.W1.T[used], axis=1, keepdims=True)
        return Atoms(sizes[used, None] * directions, np.sign(network.W2)[used, None])


@dataclass(frozen=True, eq=False)
class _Sums:
    """Of neurons over the rows (m,): mean, norm ||Ch||, v'Ch, and which of them are constant."""

    mean: Array
    norm: Array
    product: Array
    constant: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class BatchNormPasses(Passes):
    """Passes of normalised neurons over X (n, d); plain : of ReLU neurons; sizes : root mean squares of its columns."""

    family: BatchNormFamily
    X: Matrix
    n: int
    p: int
    plain: ReluPasses = field(repr=False)
    sizes: Array = field(repr=False)
    workers: Workers = field(default_factory=Workers)

    def using(self, workers: Workers) -> "BatchNormPasses":
        return replace(self, plain=self.plain.using(workers), workers=workers)

    @property
    def height(self) -> float:  # type: ignore[override]
        return self.plain.height

    @property
    def metric(self) -> Array:  # type: ignore[override]
        return self.plain.metric

    def none(self) -> Atoms:
        return self.plain.none()

    def on_rows(self, rows: NDArray[np.intp]) -> "BatchNormPasses":
        plain = self.plain.on_rows(rows)
        return replace(self, X=plain.X, n=plain.n, plain=plain)

    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        return self.plain.starts(count, active, random)

    def outputs(self, atoms: Atoms) -> Array:
        sums = self._exact_sums(atoms.points, None)
        weights = atoms.tags[:, 0] * self._factors(atoms, sums)
        f = self.plain.outputs(Atoms(atoms.points, weights[:, None]))
        return f - float(weights @ sums.mean)

    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        if not exact:
            return self.rounded_prices(atoms, np.full(len(atoms), SHARP), v)
        sums = self._exact_sums(atoms.points, v)
        constants, slopes = self._centred(sums, v)
        G = np.zeros(atoms.points.shape)
        for a, rows in self._rows():
            Z = np.maximum(atoms.points @ rows.T, 0.0)
            G += np.where(Z > 0, v[a : a + len(rows)] + constants[:, None] + slopes[:, None] * Z, 0.0) @ rows
        return self._gradients(atoms, sums, G)

    def rounded_outputs(self, atoms: Atoms, widths: Array) -> Array:
        sums = self._sums(atoms.points, widths, None)
        weights = atoms.tags[:, 0] * self._factors(atoms, sums)
        f = self.plain.rounded_outputs(Atoms(atoms.points, weights[:, None]), widths)
        return f - float(weights @ sums.mean)

    def rounded_prices(self, atoms: Atoms, widths: Array, v: Array) -> Array:
        sums = self._sums(atoms.points, widths, v)
        constants, slopes = self._centred(sums, v)
        chunks = self.plain.held
        P, bounds = padded(atoms.points), group_bounds(len(chunks.X))
        numbers = [x.astype(np.float32) for x in (widths, constants, slopes)]
        weights, G = chunks.column(v), np.zeros((len(bounds) - 1, *P.shape))
        self.workers.over_groups(
            len(G), 4.0 * P.size * self.n,
            lambda a, b: add_centred_prices(chunks.X, weights, P, *numbers, bounds, a, b, G),
        )  # fmt: skip
        return self._gradients(atoms, sums, G.sum(axis=0)[:, : self.p])

    def output_gram(self, atoms: Atoms, weights: Array | None = None) -> Array:
        sums = self._sums(atoms.points, np.full(len(atoms), SHARP), None)
        Phi = activations(self.plain.held, atoms.points)
        Phi -= Phi.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
        Phi *= self._factors(atoms, sums).astype(np.float32)[:, None]
        return gram_of_outputs(Phi, atoms.tags[:, 0], weights)

    def curvature(self, atoms: Atoms, weights: Array | None = None) -> Array:
        chunks = self.plain.held
        chosen = np.unique(np.linspace(0, len(chunks.X) - 1, min(CURVATURE_CHUNKS // 8, len(chunks.X))).astype(np.intp))
        index = (chosen[:, None] * kernels.CHUNK + np.arange(kernels.CHUNK)).ravel()
        rows = chunks.X[chosen].transpose(0, 2, 1).reshape(len(index), -1)[index < self.n, : self.p]
        h = None if weights is None else np.sqrt(weights[index[index < self.n]]).astype(np.float32)
        sums = self._sums(atoms.points, np.full(len(atoms), SHARP), None)
        factors, norms = self._factors(atoms, sums), self.family.norms(atoms)
        blocks = np.empty((len(atoms), 1, self.p, self.p))
        Z = np.maximum(rows @ atoms.points.T.astype(np.float32), 0.0)
        for j, z in enumerate(Z.T):
            J = (z > 0)[:, None] * rows
            J -= J.mean(axis=0)
            c = (z - z.mean()) / max(float(sums.norm[j]), 1e-300) * np.sqrt(self.n)  # of mean square 1
            along = c @ J / len(c)
            tangent = float(factors[j]) * (J - np.outer(c, along))
            J = tangent + np.outer(norms[j] * c, atoms.points[j] / max(norms[j], 1e-300) ** 2)
            J = J if h is None else J * h[:, None]
            blocks[j, 0] = J.T @ J / len(c)
        return blocks

    def _factors(self, atoms: Atoms, sums: _Sums) -> Array:
        """||p|| sqrt(n)/||Ch|| (m,), by which a centred neuron is multiplied; 0 for a constant one."""
        norms = self.family.norms(atoms)
        return np.where(sums.constant, 0.0, norms * np.sqrt(self.n) / np.where(sums.constant, 1.0, sums.norm))

    def _centred(self, sums: _Sums, v: Array) -> tuple[Array, Array]:
        """Constants and slopes (m,) with (Cv - t c)_i = v_i + constant + slope h_i."""
        slopes = np.where(sums.constant, 0.0, -sums.product / np.where(sums.constant, 1.0, sums.norm) ** 2)
        return -float(v.mean()) - slopes * sums.mean, slopes

    def _gradients(self, atoms: Atoms, sums: _Sums, G: Array) -> Array:
        """Gradients of v'f/n from sums G (m, d) of the centred residuals over the active rows."""
        norms = self.family.norms(atoms)
        safe = np.where(sums.constant, 1.0, sums.norm)
        radial = (sums.product / safe / np.maximum(norms, 1e-300))[:, None] * atoms.points
        gradients = (radial + (norms / safe)[:, None] * G) * (atoms.tags[:, :1] / np.sqrt(self.n))
        return np.where(sums.constant[:, None], 0.0, gradients)

    def _sums(self, points: Array, widths: Array, v: Array | None) -> _Sums:
        chunks = self.plain.held
        P, e, bounds = padded(points), widths.astype(np.float32), group_bounds(len(chunks.X))
        some = np.unique(np.linspace(0, self.n // kernels.CHUNK, SHIFT_CHUNKS).astype(np.intp))
        some = some[some < max(self.n // kernels.CHUNK, 1)]
        count = min(self.n, kernels.CHUNK)
        shifts = np.maximum(np.matmul(P, chunks.X[some]), 0)[:, :, :count].mean(axis=(0, 2), dtype=np.float64)
        S, column = np.zeros((len(bounds) - 1, len(P), 3)), chunks.column(np.zeros(0) if v is None else v)
        shifted = shifts.astype(np.float32)
        self.workers.over_groups(
            len(S),
            2.0 * P.size * self.n,
            lambda a, b: add_sums(chunks.X, column, self.n, P, e, shifted, bounds, a, b, S),
        )
        return self._finished(points, S.sum(axis=0), shifted.astype(np.float64), v)

    def _exact_sums(self, points: Array, v: Array | None) -> _Sums:
        """In float64, in two passes: about the mean."""
        mean = np.zeros(len(points))
        for _, rows in self._rows():
            mean += np.maximum(points @ rows.T, 0.0).sum(axis=1)
        mean /= self.n
        S = np.zeros((len(points), 3))
        for a, rows in self._rows():
            h = np.maximum(points @ rows.T, 0.0) - mean[:, None]
            S[:, 0] += h.sum(axis=1)
            S[:, 1] += np.einsum("ij,ij->i", h, h)
            if v is not None:
                S[:, 2] += h @ v[a : a + len(rows)]
        return self._finished(points, S, mean, v)

    def _finished(self, points: Array, S: Array, shifts: Array, v: Array | None) -> _Sums:
        total, square, product = S.T
        norm = np.sqrt(np.maximum(square - total**2 / self.n, 0.0))
        constant = norm <= CONSTANT * np.sqrt(self.n) * (np.abs(points) @ self.sizes)
        centred = product - (0.0 if v is None else float(v.mean()) * total)
        return _Sums(total / self.n + shifts, norm, centred, constant)

    def _rows(self) -> Iterator[tuple[int, Array]]:
        return row_chunks(self.X, EXACT_ROWS)
