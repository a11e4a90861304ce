"""ReLU neurons f(X; p) = s (Xp)_+ as atoms: compiled passes in float32, and in float64 for all that is reported.

The gradient of a price needs only the mask of the heights Z = P X', the descent a ReLU that is rounded around its kink.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ecgcvx.atoms import kernels
from ecgcvx.atoms.cells import Cells, cells_of, few_patterns
from ecgcvx.atoms.family import AtomFamily, Atoms, Objective, Passes
from ecgcvx.atoms.workers import Workers, group_bounds
from ecgcvx.models import ReluNetwork, network_of_neurons
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

ROWS = 8 * kernels.CHUNK  # that a compiled pass in float64 takes from X at a time
GRAM_GROUPS = 8  # of chunks with a Gram matrix of all atoms each
CURVATURE_CHUNKS = 64  # that the preconditioner looks at; a sample of the rows is enough for it
NEAR = (0.05, 0.15, 0.4, 1.0)  # lengths of the perturbations of active neurons


@dataclass(frozen=True)
class ReluFamily(AtomFamily):
    """ReLU neurons f(x; p) = s (x'p)_+; the tag of a neuron is its output sign s."""

    def prepare(self, X: Matrix) -> "ReluPasses":
        n, d = check_matrix(X)
        chunks = kernels.empty_chunks(n, d)
        gram = np.zeros((d, d))
        bias = True
        for start, rows in row_chunks(X, kernels.CHUNK):
            chunks.X[start // kernels.CHUNK, :d, : len(rows)] = rows.T
            gram += rows.T @ rows
            bias = bias and bool((rows[:, -1] == 1).all())
        values, Q = np.linalg.eigh(gram / n)
        whitening = (Q * np.maximum(values, 1e-10 * values[-1] + 1e-300) ** -0.25) @ Q.T
        height = float(np.sqrt(np.trace(gram) / (n * d)))
        return ReluPasses(self, X, n, d, height, chunks, bias, whitening, 2 * whitening / np.linalg.norm(whitening, 2))

    def cells(self, X: Matrix) -> Cells | None:
        patterns = few_patterns(X)
        return None if patterns is None else cells_of(PatternFeatures(X, patterns))

    def network(self, atoms: Atoms) -> ReluNetwork:
        return network_of_neurons(atoms.points, self.signs(atoms))

    def atoms(self, network: ReluNetwork) -> Atoms:
        norms = np.linalg.norm(network.W1, axis=0) * np.abs(network.W2)
        used = norms > 0
        return self.neurons((network.W1 * np.abs(network.W2)).T[used], np.sign(network.W2)[used])

    def neurons(self, points: Array, signs: Array) -> Atoms:
        """The atoms of directions times amplitudes (m, d) and output signs (m,)."""
        return Atoms(points, signs[:, None])

    def signs(self, atoms: Atoms) -> Array:
        """Output signs (m,)."""
        return atoms.tags[:, 0]


@dataclass(frozen=True, eq=False)
class ReluPasses(Passes):
    """Passes of ReLU neurons over X (n, d); bias : whether its last column is 1."""

    family: ReluFamily
    X: Matrix
    n: int
    p: int
    height: float
    chunks: kernels.Chunks = field(repr=False)
    bias: bool
    half_whitening: Array = field(repr=False)
    metric: Array = field(repr=False)
    workers: Workers = field(default_factory=Workers)

    def using(self, workers: Workers) -> "ReluPasses":
        return replace(self, workers=workers)

    def none(self) -> Atoms:
        return Atoms(np.zeros((0, self.p)), np.zeros((0, 1)))

    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        """A third isotropic, a third in the metric (X'X)^(-1/4), half of these with a kink through a row, the rest near
        active neurons or between two of them."""
        third = count // 3
        points = random.standard_normal((count, self.p))
        signs = np.where(random.random(count) < 0.5, 1.0, -1.0)
        points[:third] @= self.half_whitening
        through = slice(0, third // 2)
        drawn = random.integers(0, self.n, third // 2)
        rows = self.chunks.X[drawn // kernels.CHUNK, : self.p, drawn % kernels.CHUNK].astype(np.float64)
        along = np.eye(self.p)[-1] if self.bias else rows
        heights = np.einsum("ij,ij->i", points[through], rows) / np.maximum((along * rows).sum(axis=1), 1e-300)
        points[through] -= heights[:, None] * along
        if len(active):
            own, near = self.family.units(active), slice(2 * third, count)
            chosen = random.integers(0, len(own), count - 2 * third)
            lengths = random.choice(NEAR, len(chosen))
            unit = points[near] / np.linalg.norm(points[near], axis=1, keepdims=True)
            points[near] = own.points[chosen] + lengths[:, None] * unit
            pairs = len(chosen) // 2
            others = own.points[random.integers(0, len(own), pairs)]
            share = random.random((pairs, 1))
            points[2 * third : 2 * third + pairs] = share * own.points[chosen[:pairs]] + (1 - share) * others
            signs[near] = own.tags[chosen, 0]
        return self.family.units(Atoms(points, signs[:, None]))

    def outputs(self, atoms: Atoms) -> Array:
        s, P = self.family.signs(atoms), self.chunks.padded64(atoms.points)
        f = np.zeros(self.n)

        def work(first: int, stop: int) -> None:
            for a, rows in self._slices(first, stop):
                kernels.outputs64(rows, P, s, f[a : a + len(rows)])

        if len(P):
            self.workers.over_rows(self.n, work)
        return f

    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        sums = self._exact_prices(atoms.points, v) if exact else self._prices(atoms.points, v)
        return atoms.tags[:, :1] / self.n * sums

    def _prices(self, points: Array, v: Array) -> Array:
        X, P, weights = self.chunks.X, self.chunks.padded(points), self.chunks.column(v)
        bounds = group_bounds(len(X))
        G = np.zeros((len(bounds) - 1, *P.shape))
        self.workers.over_groups(
            len(G), 4.0 * P.size * self.n, lambda a, b: kernels.add_prices(X, weights, P, bounds, a, b, G)
        )
        return G.sum(axis=0)[:, : self.p]

    def _exact_prices(self, points: Array, v: Array) -> Array:
        P = self.chunks.padded64(points)

        def work(first: int, stop: int) -> Array:
            out = np.zeros(P.shape)
            for a, rows in self._slices(first, stop):
                kernels.prices64(rows, v[a : a + len(rows)], P, out)
            return out

        return np.asarray(np.sum(self.workers.over_rows(self.n, work), axis=0)[:, : self.p])

    def _slices(self, first: int, stop: int) -> Iterator[tuple[int, Array]]:
        for a in range(first, stop, ROWS):
            yield a, np.ascontiguousarray(self.X[a : min(a + ROWS, stop)], dtype=np.float64)

    def correlations(self, atoms: Atoms, V: Array) -> Array:
        s, P = self.family.signs(atoms), self.chunks.padded64(atoms.points)
        extra = np.zeros((self.n, -V.shape[1] % kernels.TILE))
        columns = np.ascontiguousarray(np.concatenate([V, extra], axis=1))

        def work(first: int, stop: int) -> Array:
            out = np.zeros((len(P), columns.shape[1]))
            for a, rows in self._slices(first, stop):
                kernels.correlations64(rows, columns[a : a + len(rows)], P, out)
            return out

        sums = np.sum(self.workers.over_rows(self.n, work), axis=0)[:, : V.shape[1]]
        return np.asarray(s[:, None] / self.n * sums)

    def output_gram(self, atoms: Atoms, weights: Array | None = None) -> Array:
        X, m = self.chunks.X, len(atoms)
        roots = self.chunks.column(np.ones(0) if weights is None else np.sqrt(weights))
        filled = np.zeros((m + -m % kernels.TILE, self.p))
        filled[:m] = atoms.points
        P = self.chunks.padded(filled)
        bounds = group_bounds(len(X), GRAM_GROUPS)
        Q = np.zeros((len(bounds) - 1, len(P), len(P)))
        self.workers.over_groups(
            len(Q),
            float(len(P)) * len(P) * self.n,
            lambda a, b: kernels.add_gram(X, P, roots, weights is not None, bounds, a, b, Q),
        )
        s = atoms.tags[:, 0]
        lower = np.tril(Q.sum(axis=0)[:m, :m])
        return (lower + np.tril(lower, -1).T) * np.outer(s, s) / self.n

    def loss_and_gradient(self, atoms: Atoms, widths: Array, objective: Objective) -> tuple[float, Array]:
        if objective.squared_targets is None:
            return super().loss_and_gradient(atoms, widths, objective)
        X, P, targets = self.chunks.X, self.chunks.padded(atoms.points), self.chunks.column(objective.squared_targets)
        signs, e = atoms.tags[:, 0].astype(np.float32), widths.astype(np.float32)
        bounds = group_bounds(len(X))
        losses = np.zeros(len(bounds) - 1)
        G = np.zeros((len(losses), *P.shape))
        self.workers.over_groups(
            len(G), 4.0 * P.size * self.n,
            lambda a, b: kernels.add_loss_and_gradient(X, targets, self.n, P, signs, e, bounds, a, b, losses, G),
        )  # fmt: skip
        gradient = G.sum(axis=0)[:, : self.p] * (atoms.tags[:, :1] / self.n)
        return float(losses.sum()) / (2 * self.n), gradient

    def rounded_outputs(self, atoms: Atoms, widths: Array) -> Array:
        X, P = self.chunks.X, self.chunks.padded(atoms.points)
        signs, e = atoms.tags[:, 0].astype(np.float32), widths.astype(np.float32)
        bounds = group_bounds(len(X))
        out = np.zeros((len(X), kernels.CHUNK))
        self.workers.over_groups(
            len(bounds) - 1,
            2.0 * P.size * self.n,
            lambda a, b: kernels.rounded_outputs(X, P, signs, e, bounds, a, b, out),
        )
        return out.reshape(-1)[: self.n]

    def rounded_prices(self, atoms: Atoms, widths: Array, v: Array) -> Array:
        X, P, weights = self.chunks.X, self.chunks.padded(atoms.points), self.chunks.column(v)
        e, bounds = widths.astype(np.float32), group_bounds(len(X))
        G = np.zeros((len(bounds) - 1, *P.shape))
        self.workers.over_groups(
            len(G), 4.0 * P.size * self.n, lambda a, b: kernels.add_rounded_prices(X, weights, P, e, bounds, a, b, G)
        )
        return np.asarray(atoms.tags[:, :1] / self.n * G.sum(axis=0)[:, : self.p])

    def curvature(self, atoms: Atoms, weights: Array | None = None) -> Array:
        X, P, d = self.chunks.X, self.chunks.padded(atoms.points), self.p
        i, j = np.tril_indices(d)
        extra = -len(i) % kernels.TILE
        left, right = np.append(i, np.zeros(extra, np.intp)), np.append(j, np.zeros(extra, np.intp))
        chosen = np.unique(np.linspace(0, len(X) - 1, min(CURVATURE_CHUNKS, len(X))).astype(np.intp))
        rows = int(np.minimum(self.n - chosen * kernels.CHUNK, kernels.CHUNK).sum())
        bounds, h = group_bounds(len(chosen)), self.chunks.column(np.ones(self.n) if weights is None else weights)
        G = np.zeros((len(bounds) - 1, len(P), len(left)))
        self.workers.over_groups(
            len(G), 2.0 * len(P) * len(left) * rows,
            lambda a, b: kernels.add_moments(X, h, chosen, P, left, right, bounds, a, b, G),
        )  # fmt: skip
        packed = G.sum(axis=0)[:, : len(i)] / rows
        blocks = np.empty((len(P), 1, d, d))
        blocks[:, 0, i, j] = packed
        blocks[:, 0, j, i] = packed
        return blocks
