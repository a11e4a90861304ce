"""ReLU neurons f(X; p) = s (Xp)_+ as atoms: compiled passes in float32, and in float64 for all that is reported.

The gradient of a price needs only the mask of the heights Z = P X', the descent a ReLU that is rounded around its kink.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms import kernels
from ecgcvx.atoms.cells import Cells, cells_of, few_patterns
from ecgcvx.atoms.chunks import HELD_ROWS, Chunks, HeldChunks, Part, SlidingChunks, padded, padded64
from ecgcvx.atoms.family import AtomFamily, Atoms, Objective, Passes
from ecgcvx.atoms.workers import GROUPS, Workers, group_bounds
from ecgcvx.models import ReluNetwork, network_of_neurons
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.rows import Matrix, check_matrix, row_chunks, slides
from ecgcvx.types import Array

ROWS = 8 * kernels.CHUNK  # that a compiled pass in float64 takes from X at a time
GRAM_GROUPS = 8  # of chunks with a Gram matrix of all atoms each
CURVATURE_CHUNKS = 64  # that the preconditioner looks at; a sample of the rows is enough for it
NEAR = (0.05, 0.15, 0.4, 1.0)  # lengths of the perturbations of active neurons


@dataclass(frozen=True)
class ReluFamily(AtomFamily):
    """ReLU neurons f(x; p) = s (x'p)_+; the tag of a neuron is its output sign s."""

    def prepare(self, X: Matrix) -> "ReluPasses":
        """As for every family; of many windows the rows are made of their signal in each pass, and not held."""
        return self._passes(X, SlidingChunks(X) if slides(X) and X.shape[0] > HELD_ROWS else None)

    def hold(self, X: Matrix) -> "ReluPasses":
        """The passes over X with all rows in memory, which families that are made of this one go on from."""
        return self._passes(X, None)

    def _passes(self, X: Matrix, chunks: Chunks | None) -> "ReluPasses":
        n, d = check_matrix(X)
        chunks = chunks or HeldChunks.empty(n, d)
        gram = np.zeros((d, d))
        bias = True
        for start, rows in row_chunks(X, kernels.CHUNK):
            if isinstance(chunks, HeldChunks):
                chunks.X[start // kernels.CHUNK, :d, : len(rows)] = rows.T
            gram += rows.T @ rows
            bias = bias and bool((rows[:, -1] == 1).all())
        values, Q = np.linalg.eigh(gram / n)
        whitening = (Q * np.maximum(values, 1e-10 * values[-1] + 1e-300) ** -0.25) @ Q.T
        height = float(np.sqrt(np.trace(gram) / (n * d)))
        metric = 2 * whitening / np.linalg.norm(whitening, 2)
        return ReluPasses(self, X, n, d, height, chunks, bias, whitening, metric)

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
    chunks: Chunks = field(repr=False)
    bias: bool
    half_whitening: Array = field(repr=False)
    metric: Array = field(repr=False)
    workers: Workers = field(default_factory=Workers)

    def using(self, workers: Workers) -> "ReluPasses":
        return replace(self, workers=workers)

    @property
    def held(self) -> HeldChunks:
        """The rows of passes that `ReluFamily.hold` made."""
        assert isinstance(self.chunks, HeldChunks)
        return self.chunks

    def on_rows(self, rows: NDArray[np.intp]) -> "ReluPasses":
        if isinstance(self.chunks, SlidingChunks):
            return self.family.prepare(self.chunks.X.take(rows)).using(self.workers)
        return super().on_rows(rows)

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
        rows = self.chunks.rows(drawn)
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
        s, P = self.family.signs(atoms), padded64(atoms.points)
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

    def _sums(
        self, shape: tuple[int, ...], groups: int, operations: float, add: Callable[[Part, Array], None]
    ) -> Array:
        """The sum of what `add` adds for every part to an array (groups of the part, *shape)."""
        bounds = group_bounds(self.chunks.count, groups)
        G = np.zeros((len(bounds) - 1, *shape))

        def work(first: int, stop: int) -> None:
            for part in self.chunks.parts(bounds, first, stop):
                add(part, G[part.groups])

        self.workers.over_groups(len(G), operations, work)
        return np.asarray(G.sum(axis=0))

    def _prices(self, points: Array, v: Array) -> Array:
        P = padded(points)

        def add(part: Part, G: Array) -> None:
            kernels.add_prices(part.X, part.column(v), P, part.bounds, *part.span, G)

        return self._sums(P.shape, GROUPS, 4.0 * P.size * self.n, add)[:, : self.p]

    def _exact_prices(self, points: Array, v: Array) -> Array:
        P = padded64(points)

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
        s, P = self.family.signs(atoms), padded64(atoms.points)
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
        m = len(atoms)
        filled = np.zeros((m + -m % kernels.TILE, self.p))
        filled[:m] = atoms.points
        P = padded(filled)
        roots = np.zeros(0) if weights is None else np.sqrt(weights)

        def add(part: Part, Q: Array) -> None:
            kernels.add_gram(part.X, P, part.column(roots), weights is not None, part.bounds, *part.span, Q)

        Q = self._sums((len(P), len(P)), GRAM_GROUPS, float(len(P)) * len(P) * self.n, add)
        s = atoms.tags[:, 0]
        lower = np.tril(Q[:m, :m])
        return (lower + np.tril(lower, -1).T) * np.outer(s, s) / self.n

    def loss_and_gradient(self, atoms: Atoms, widths: Array, objective: Objective) -> tuple[float, Array]:
        y = objective.squared_targets
        if y is None:
            return super().loss_and_gradient(atoms, widths, objective)
        P, signs, e = padded(atoms.points), atoms.tags[:, 0].astype(np.float32), widths.astype(np.float32)
        losses = np.zeros(GROUPS)

        def add(part: Part, G: Array) -> None:
            rows = min(part.rows.stop, self.n) - part.rows.start
            kernels.add_loss_and_gradient(
                part.X, part.column(y), rows, P, signs, e, part.bounds, *part.span, losses[part.groups], G
            )

        G = self._sums(P.shape, GROUPS, 4.0 * P.size * self.n, add)
        return float(losses.sum()) / (2 * self.n), G[:, : self.p] * (atoms.tags[:, :1] / self.n)

    def rounded_outputs(self, atoms: Atoms, widths: Array) -> Array:
        P, signs, e = padded(atoms.points), atoms.tags[:, 0].astype(np.float32), widths.astype(np.float32)
        out = np.zeros((self.chunks.count, kernels.CHUNK))

        def add(part: Part, _: Array) -> None:
            first = part.rows.start // kernels.CHUNK
            own = out[first : first + len(part.X)]
            kernels.rounded_outputs(part.X, P, signs, e, part.bounds, *part.span, own)

        self._sums((0,), GROUPS, 2.0 * P.size * self.n, add)
        return out.reshape(-1)[: self.n]

    def rounded_prices(self, atoms: Atoms, widths: Array, v: Array) -> Array:
        P, e = padded(atoms.points), widths.astype(np.float32)

        def add(part: Part, G: Array) -> None:
            kernels.add_rounded_prices(part.X, part.column(v), P, e, part.bounds, *part.span, G)

        G = self._sums(P.shape, GROUPS, 4.0 * P.size * self.n, add)
        return np.asarray(atoms.tags[:, :1] / self.n * G[:, : self.p])

    def curvature(self, atoms: Atoms, weights: Array | None = None) -> Array:
        P, d, count = padded(atoms.points), self.p, self.chunks.count
        i, j = np.tril_indices(d)
        extra = -len(i) % kernels.TILE
        left, right = np.append(i, np.zeros(extra, np.intp)), np.append(j, np.zeros(extra, np.intp))
        chosen = np.unique(np.linspace(0, count - 1, min(CURVATURE_CHUNKS, count)).astype(np.intp))
        sizes = np.minimum(self.n - chosen * kernels.CHUNK, kernels.CHUNK)
        X, bounds = self.chunks.some(chosen), group_bounds(len(chosen))
        h = np.zeros((len(chosen), kernels.CHUNK), dtype=np.float32)
        for place, (b, size) in enumerate(zip(chosen, sizes, strict=True)):
            first = b * kernels.CHUNK
            h[place, :size] = 1 if weights is None else weights[first : first + size]
        G = np.zeros((len(bounds) - 1, len(P), len(left)))
        self.workers.over_groups(
            len(G), 2.0 * len(P) * len(left) * int(sizes.sum()),
            lambda a, b: kernels.add_moments(X, h, P, left, right, bounds, a, b, G),
        )  # fmt: skip
        packed = G.sum(axis=0)[:, : len(i)] / int(sizes.sum())
        blocks = np.empty((len(P), 1, d, d))
        blocks[:, 0, i, j] = packed
        blocks[:, 0, j, i] = packed
        return blocks
