"""Three-layer neurons f(X; z) = s (sum_l e_l (Xz_l)_+)_+ as atoms: k inner neurons, penalty ||(z_1, ..., z_k)||_2.

With `linear` the first inner neuron has no ReLU, and atoms with z_2 = ... = z_k = 0 are those of the two-layer network.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms import kernels, three_layer_kernels
from ecgcvx.atoms.cells import MOST_CELLS, Cells, cells_of, few_patterns
from ecgcvx.atoms.chunks import padded, padded64
from ecgcvx.atoms.convolutional import gram_of_outputs
from ecgcvx.atoms.family import AtomFamily, Atoms, Objective, Passes
from ecgcvx.atoms.relu import NEAR, ROWS, ReluFamily, ReluPasses
from ecgcvx.atoms.workers import Workers, group_bounds
from ecgcvx.errors import InputError
from ecgcvx.models.three_layer import ThreeLayerNetwork
from ecgcvx.programs.three_layer import TupleFeatures, check_inner, enumerate_tuples
from ecgcvx.rows import Matrix, check_matrix
from ecgcvx.types import Array

SAMPLED_CHUNKS = 8  # that the preconditioner looks at
MOST_ROWS = 6  # whose tuples are enumerated, by a linear program for each
SHARP = 1e-30  # width of a kink that is not rounded


@dataclass(frozen=True)
class ThreeLayerFamily(AtomFamily):
    """Three-layer neurons with `inner` inner ones; the tags of one are its output sign and the inner signs.

    Raises InputError for fewer than one inner neuron.
    """

    inner: int = 4
    linear: bool = True

    def __post_init__(self) -> None:
        if self.inner < 1:
            raise InputError(f"inner neurons = {self.inner}: give at least 1")

    def prepare(self, X: Matrix) -> "ThreeLayerPasses":
        check_inner(X, self.inner)
        n, d = check_matrix(X)
        return ThreeLayerPasses(self, X, n, self.inner * d, ReluFamily().hold(X))

    def cells(self, X: Matrix) -> Cells | None:
        patterns = few_patterns(X) if X.shape[0] <= MOST_ROWS else None
        if patterns is None or (2 * len(patterns)) ** (self.inner - self.linear) > MOST_CELLS:
            return None
        try:
            tuples = enumerate_tuples(X, self.inner, linear=self.linear, limit=MOST_CELLS)
        except InputError:  # too many tuples
            return None
        return replace(cells_of(TupleFeatures(X, tuples)), tags=tuples.signs)

    def network(self, atoms: Atoms) -> ThreeLayerNetwork:
        z = atoms.points.reshape(len(atoms), self.inner, atoms.points.shape[1] // self.inner)
        return ThreeLayerNetwork.of_neurons(z, atoms.tags[:, 1:], atoms.tags[:, 0], self.linear)

    def atoms(self, network: ThreeLayerNetwork) -> Atoms:
        points = (network.Z * np.abs(network.W2)[:, None, None]).reshape(
            network.neurons, network.inner * network.inputs
        )
        used = np.linalg.norm(points, axis=1) > 0
        return Atoms(points[used], np.c_[np.sign(network.W2), network.signs][used])


@dataclass(frozen=True, eq=False)
class ThreeLayerPasses(Passes):
    """Passes of three-layer neurons over X (n, d); plain : of ReLU neurons."""

    family: ThreeLayerFamily
    X: Matrix
    n: int
    p: int
    plain: ReluPasses = field(repr=False)
    workers: Workers = field(default_factory=Workers)

    def using(self, workers: Workers) -> "ThreeLayerPasses":
        return replace(self, plain=self.plain.using(workers), workers=workers)

    @property
    def height(self) -> float:  # type: ignore[override]
        return self.plain.height

    @property
    def metric(self) -> Array:  # type: ignore[override]
        return np.asarray(np.kron(np.eye(self.family.inner), self.plain.metric), dtype=np.float64)

    def none(self) -> Atoms:
        return Atoms(np.zeros((0, self.p)), np.zeros((0, 1 + self.family.inner)))

    def on_rows(self, rows: NDArray[np.intp]) -> "ThreeLayerPasses":
        plain = self.plain.on_rows(rows)
        return replace(self, X=plain.X, n=plain.n, plain=plain)

    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        """Inner neurons as the starts of ReLU neurons, their sizes drawn; a third is near active atoms."""
        k, d = self.family.inner, self.plain.p
        inner = self.plain.starts(count * k, self.plain.none(), random).points
        order = random.permutation(len(inner))
        points = inner[order].reshape(count, k, d) * random.standard_gamma(2.0, (count, k))[:, :, None]
        signs = np.where(random.random((count, 1 + k)) < 0.5, 1.0, -1.0)
        if self.family.linear:
            signs[:, 1] = 1.0
        points = points.reshape(count, k * d)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        if len(active):
            near = slice(count - count // 3, count)
            own = self.family.units(active)
            chosen = random.integers(0, len(own), count // 3)
            points[near] = own.points[chosen] + random.choice(NEAR, len(chosen))[:, None] * points[near]
            signs[near] = own.tags[chosen]
        return self.family.units(Atoms(points, signs))

    def outputs(self, atoms: Atoms) -> Array:
        f = np.zeros(self.n)
        P, tags = self._padded64(atoms), np.ascontiguousarray(atoms.tags)
        sharp, bounds = np.full(len(atoms), SHARP), np.array([0, ROWS // kernels.CHUNK])

        def work(first: int, stop: int) -> None:
            for a in range(first, stop, ROWS):
                chunks, count = self._chunks64(a, min(a + ROWS, stop))
                out = np.zeros((len(chunks), kernels.CHUNK))
                three_layer_kernels.add_outputs(
                    chunks, P, tags[:, 0].copy(), tags[:, 1:].copy(), self.family.linear, sharp,
                    np.minimum(bounds, len(chunks)), 0, 1, out,
                )  # fmt: skip
                f[a : a + count] = out.reshape(-1)[:count]

        if len(atoms):
            self.workers.over_rows(self.n, work)
        return f

    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        if not exact:
            return self.rounded_prices(atoms, np.full(len(atoms), SHARP), v)
        P, inner = self._padded64(atoms), atoms.tags[:, 1:].copy()
        sharp, bounds = np.full(len(atoms), SHARP), np.array([0, ROWS // kernels.CHUNK])

        def work(first: int, stop: int) -> Array:
            G = np.zeros((1, *P.shape))
            for a in range(first, stop, ROWS):
                chunks, count = self._chunks64(a, min(a + ROWS, stop))
                weights = np.zeros((len(chunks), kernels.CHUNK))
                weights.reshape(-1)[:count] = v[a : a + count]
                three_layer_kernels.add_prices(
                    chunks, weights, P, inner, self.family.linear, sharp, np.minimum(bounds, len(chunks)), 0, 1, G
                )
            return G[0]

        return self._gradients(atoms, np.sum(self.workers.over_rows(self.n, work), axis=0))

    def _padded(self, atoms: Atoms) -> kernels.Single:
        return padded(atoms.points.reshape(-1, self.plain.p))

    def _padded64(self, atoms: Atoms) -> Array:
        return padded64(atoms.points.reshape(-1, self.plain.p))

    def _chunks64(self, first: int, stop: int) -> tuple[Array, int]:
        """Rows first:stop in float64 as (chunks, padded d, CHUNK), zeros after them, and their number."""
        rows = np.asarray(self.X[first:stop], dtype=np.float64)
        count, d = rows.shape
        chunks = -(-count // kernels.CHUNK)
        out = np.zeros((chunks, self.plain.held.X.shape[1], kernels.CHUNK))
        whole = np.zeros((chunks * kernels.CHUNK, d))
        whole[:count] = rows
        out[:, :d] = whole.reshape(chunks, kernels.CHUNK, d).transpose(0, 2, 1)
        return out, count

    def _gradients(self, atoms: Atoms, sums: Array) -> Array:
        d = self.plain.p
        return atoms.tags[:, :1] / self.n * sums[:, :d].reshape(len(atoms), self.p)

    def _single(self, *columns: Array) -> list[kernels.Single]:
        return [np.ascontiguousarray(column, dtype=np.float32) for column in columns]

    def rounded_outputs(self, atoms: Atoms, widths: Array) -> Array:
        X, P = self.plain.held.X, self._padded(atoms)
        signs, inner, e = self._single(atoms.tags[:, 0], atoms.tags[:, 1:], widths)
        bounds, out = group_bounds(len(X)), np.zeros((len(X), kernels.CHUNK))
        self.workers.over_groups(
            len(bounds) - 1, 2.0 * P.size * self.n,
            lambda a, b: three_layer_kernels.add_outputs(
                X, P, signs, inner, self.family.linear, e, bounds, a, b, out
            ),
        )  # fmt: skip
        return out.reshape(-1)[: self.n]

    def rounded_prices(self, atoms: Atoms, widths: Array, v: Array) -> Array:
        X, P, weights = self.plain.held.X, self._padded(atoms), self.plain.held.column(v)
        inner, e = self._single(atoms.tags[:, 1:], widths)
        bounds = group_bounds(len(X))
        G = np.zeros((len(bounds) - 1, *P.shape))
        self.workers.over_groups(
            len(G), 4.0 * P.size * self.n,
            lambda a, b: three_layer_kernels.add_prices(
                X, weights, P, inner, self.family.linear, e, bounds, a, b, G
            ),
        )  # fmt: skip
        return self._gradients(atoms, G.sum(axis=0))

    def loss_and_gradient(self, atoms: Atoms, widths: Array, objective: Objective) -> tuple[float, Array]:
        if objective.squared_targets is None:
            return super().loss_and_gradient(atoms, widths, objective)
        X, P, targets = self.plain.held.X, self._padded(atoms), self.plain.held.column(objective.squared_targets)
        signs, inner, e = self._single(atoms.tags[:, 0], atoms.tags[:, 1:], widths)
        bounds = group_bounds(len(X))
        losses = np.zeros(len(bounds) - 1)
        G = np.zeros((len(losses), *P.shape))
        self.workers.over_groups(
            len(G), 4.0 * P.size * self.n,
            lambda a, b: three_layer_kernels.add_loss_and_gradient(
                X, targets, self.n, P, signs, inner, self.family.linear, e, bounds, a, b, losses, G
            ),
        )  # fmt: skip
        return float(losses.sum()) / (2 * self.n), self._gradients(atoms, G.sum(axis=0))

    def output_gram(self, atoms: Atoms, weights: Array | None = None) -> Array:
        X, P = self.plain.held.X, self._padded(atoms)
        (inner,) = self._single(atoms.tags[:, 1:])
        bounds, out = group_bounds(len(X)), np.empty((len(X), len(atoms), kernels.CHUNK), dtype=np.float32)
        self.workers.over_groups(
            len(bounds) - 1, 2.0 * P.size * self.n,
            lambda a, b: three_layer_kernels.activations(X, P, inner, self.family.linear, bounds, a, b, out),
        )  # fmt: skip
        Phi = np.ascontiguousarray(out.transpose(1, 0, 2)).reshape(len(atoms), len(X) * kernels.CHUNK)[:, : self.n]
        return gram_of_outputs(Phi, atoms.tags[:, 0], weights)

    def curvature(self, atoms: Atoms, weights: Array | None = None) -> Array:
        """One block an inner neuron."""
        chunks, k, d = self.plain.held.X, self.family.inner, self.plain.p
        chosen = np.unique(np.linspace(0, len(chunks) - 1, min(SAMPLED_CHUNKS, len(chunks))).astype(np.intp))
        index = (chosen[:, None] * kernels.CHUNK + np.arange(kernels.CHUNK)).ravel()
        index = index[index < self.n]
        rows = chunks[chosen].transpose(0, 2, 1).reshape(-1, chunks.shape[1])[: len(index), :d]
        points = atoms.points.reshape(-1, d).astype(np.float32)
        Z = (points @ rows.T).reshape(len(atoms), k, len(rows))
        on = Z > 0
        if self.family.linear:
            on[:, 0] = True
        h = np.einsum("jk,jkn->jn", atoms.tags[:, 1:].astype(np.float32), np.where(on, Z, 0))
        mask = (on & (h > 0)[:, None]).reshape(len(points), len(rows)).astype(np.float32)
        if weights is not None:
            mask *= weights[index].astype(np.float32)
        i, j = np.tril_indices(d)
        packed = mask @ (rows[:, i] * rows[:, j]) / len(index)
        blocks = np.empty((len(points), d, d))
        blocks[:, i, j] = packed
        blocks[:, j, i] = packed
        return blocks.reshape(len(atoms), k, d, d)
