"""ReLU neurons f(X; p) = s (Xp)_+ as atoms: passes over the rows in float32, in chunks that stay in cache.

A pass is a product Z = P X' of a chunk, one or a few element-wise steps on Z, and a product of Z with the chunk. Two
identities keep the steps few. The gradient of a price needs only the mask of Z, as the weights can multiply the rows
of X instead. And the ReLU rounded over |z| < e, (z + e)^2 / (4 e) there, is with c = clip(z/e, -1, 1)

    e/4 c (2z/e - c) + z/2 + e/4,   its derivative (1 + c)/2,

so that the terms z/2, e/4 and 1/2, summed over neurons or rows, cost one vector each.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Matrix, check_matrix, row_chunks
from ecgcvx.errors import InputError
from ecgcvx.solvers.active_set.atoms import AmplitudeSystem, Array, Atoms
from ecgcvx.solvers.active_set.workers import Workers

Single = NDArray[np.float32]
CHUNK_ELEMENTS = 100_000  # of Z: 400 kB, so that it is read back from the second cache
CURVATURE_ROWS = 1 << 15  # rows that the preconditioner looks at; a sample of them is enough for it
NEAR = (0.05, 0.15, 0.4, 1.0)  # lengths of the perturbations of active neurons
HALF, ONE = np.float32(0.5), np.float32(1.0)


@dataclass(frozen=True, eq=False)
class ReluAtoms:
    """ReLU neurons on X (n, d) with targets y (n,); the tag of a neuron is its output sign.

    Raises InputError when X or y is unusable.
    """

    X: Matrix
    y: Array
    workers: Workers
    n: int = field(init=False)
    p: int = field(init=False)
    rows: Single = field(init=False, repr=False)
    bias: bool = field(init=False)
    half_whitening: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n, d = check_matrix(self.X)
        if self.y.shape != (n,) or not np.isfinite(self.y).all():
            raise InputError(f"y has shape {self.y.shape}; give {n} finite numbers, one for each row of X")
        rows = np.empty((n, d), dtype=np.float32)
        gram = np.zeros((d, d))
        for start, chunk in row_chunks(self.X, 1 << 14):
            rows[start : start + len(chunk)] = chunk
            gram += chunk.T @ chunk
        values, Q = np.linalg.eigh(gram / n)
        whitening = (Q * np.maximum(values, 1e-10 * values[-1] + 1e-300) ** -0.25) @ Q.T
        made = {"n": n, "p": d, "rows": rows, "bias": bool((rows[:, -1] == 1).all()), "half_whitening": whitening}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def none(self) -> Atoms:
        return Atoms(np.zeros((0, self.p)), np.zeros((0, 1)))

    def on_rows(self, rows: NDArray[np.intp]) -> "ReluAtoms":
        X = np.concatenate([self.X[k : k + 1] for k in rows]) if not isinstance(self.X, np.ndarray) else self.X[rows]
        return ReluAtoms(X, self.y[rows], self.workers)

    def starts(self, count: int, active: Atoms, random: np.random.Generator) -> Atoms:
        """A third isotropic, a third in the metric (X'X)^(-1/4), half of these with a kink through a row, the rest near
        active neurons or between two of them."""
        third = count // 3
        points = random.standard_normal((count, self.p))
        signs = np.where(random.random(count) < 0.5, 1.0, -1.0)
        points[:third] @= self.half_whitening
        through = slice(0, third // 2)
        rows = self.rows[random.integers(0, self.n, third // 2)].astype(np.float64)
        along = np.eye(self.p)[-1] if self.bias else rows
        heights = np.einsum("ij,ij->i", points[through], rows) / np.maximum((along * rows).sum(axis=1), 1e-300)
        points[through] -= heights[:, None] * along
        if len(active):
            own, near = active.units(), slice(2 * third, count)
            chosen = random.integers(0, len(own), count - 2 * third)
            lengths = random.choice(NEAR, len(chosen))
            unit = points[near] / np.linalg.norm(points[near], axis=1, keepdims=True)
            points[near] = own.points[chosen] + lengths[:, None] * unit
            pairs = len(chosen) // 2
            others = own.points[random.integers(0, len(own), pairs)]
            share = random.random((pairs, 1))
            points[2 * third : 2 * third + pairs] = share * own.points[chosen[:pairs]] + (1 - share) * others
            signs[near] = own.tags[chosen, 0]
        return Atoms(points, signs[:, None]).units()

    def residual(self, atoms: Atoms) -> Array:
        s, P = atoms.tags[:, 0], atoms.points
        v = self.y.copy()

        def work(first: int, stop: int) -> None:
            for a, b in _chunks(first, stop, len(P)):
                v[a:b] -= s @ np.maximum(P @ np.asarray(self.X[a:b], dtype=np.float64).T, 0.0)

        if len(P):
            self.workers.over_rows(self.n, work)
        return v

    def prices(self, atoms: Atoms, v: Array, *, exact: bool = False) -> Array:
        kind: Any = np.float64 if exact else np.float32
        P, weights = atoms.points.astype(kind), v.astype(kind)

        def work(first: int, stop: int) -> Array:
            out = np.zeros(P.shape)
            for a, b in _chunks(first, stop, len(P)):
                X: Any = np.asarray(self.X[a:b], dtype=np.float64) if exact else self.rows[a:b]
                Z = P @ X.T
                np.greater(Z, 0, out=Z, casting="unsafe")
                out += Z @ (X * weights[a:b, None])
            return out

        return atoms.tags[:, :1] / self.n * np.sum(self.workers.over_rows(self.n, work), axis=0)

    def amplitude_system(self, atoms: Atoms) -> AmplitudeSystem:
        P, y = atoms.points.astype(np.float32), self.y.astype(np.float32)

        def work(first: int, stop: int) -> tuple[Array, Array]:
            Q, b_ = np.zeros((len(P), len(P))), np.zeros(len(P))
            for a, b in _chunks(first, stop, len(P)):
                Z = P @ self.rows[a:b].T
                np.maximum(Z, 0, out=Z)
                Q += Z @ Z.T
                b_ += Z @ y[a:b]
            return Q, b_

        sums = self.workers.over_rows(self.n, work)
        s = atoms.tags[:, 0]
        Q = sum((part[0] for part in sums), np.zeros((len(P), len(P))))
        c = sum((part[1] for part in sums), np.zeros(len(P)))
        return AmplitudeSystem(Q * np.outer(s, s) / self.n, s * c / self.n)

    def loss_and_gradient(self, atoms: Atoms, widths: Array) -> tuple[float, Array]:
        s = atoms.tags[:, 0]
        P = (atoms.points / widths[:, None]).astype(np.float32)
        heights = (s * widths / 4).astype(np.float32)
        slope = (s @ atoms.points / 2).astype(np.float32)
        offset = self.y - float(s @ widths) / 4

        def work(first: int, stop: int) -> tuple[float, Array, Array]:
            loss, bent, straight = 0.0, np.zeros(P.shape), np.zeros(self.p)
            for a, b in _chunks(first, stop, len(P)):
                X = self.rows[a:b]
                Z = P @ X.T
                C = np.clip(Z, -ONE, ONE)
                Z += Z
                Z -= C
                Z *= C
                error = heights @ Z
                error += X @ slope
                error -= offset[a:b]
                loss += float(error @ error)
                weighted = X * error[:, None]
                bent += C @ weighted
                straight += weighted.sum(axis=0)
            return loss, bent, straight

        sums = self.workers.over_rows(self.n, work)
        gradient = sum((part[1] + part[2] for part in sums), np.zeros(P.shape))
        return sum(part[0] for part in sums) / (2 * self.n), gradient * (s / (2 * self.n))[:, None]

    def curvature(self, atoms: Atoms) -> Array:
        P, d = atoms.points.astype(np.float32), self.p
        i, j = np.tril_indices(d)
        sample = np.ascontiguousarray(self.rows[:: max(1, self.n // CURVATURE_ROWS)])

        def work(first: int, stop: int) -> Array:
            out = np.zeros((len(P), len(i)))
            for a, b in _chunks(first, stop, max(len(P), len(i))):
                X = sample[a:b]
                Z = P @ X.T
                np.greater(Z, 0, out=Z, casting="unsafe")
                out += Z @ (X[:, i] * X[:, j])
            return out

        packed = np.sum(self.workers.over_rows(len(sample), work), axis=0) / len(sample)
        blocks = np.empty((len(P), 1, d, d))
        blocks[:, 0, i, j] = packed
        blocks[:, 0, j, i] = packed
        return blocks

    def meet(self, first: Atoms, second: Atoms) -> Atoms:
        return first.moved(first.points + second.points)


def _chunks(first: int, stop: int, width: int) -> list[tuple[int, int]]:
    size = min(max(CHUNK_ELEMENTS // max(width, 1) // 64 * 64, 256), 4096)
    return [(a, min(a + size, stop)) for a in range(first, stop, size)]
