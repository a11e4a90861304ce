"""A linear part X a beside the penalised blocks of a program, free or with a light ridge.

    minimise over a and u   1/(2n) ||X a + F u - y||^2 + ridge/2 ||a||^2 + penalty(u)

For given u the best a has a closed form, with S = X'X/n and t = y - F u:

    a = (S + ridge I)^-1 X't/n        (of least norm where S + ridge I is singular)

by an orthonormal basis E of X's columns, E'E = n I, and not by S, whose condition is that of X squared: the windows of
a smooth signal are nearly dependent. So a is eliminated: what remains is a program in u alone, with F, y and their
moments replaced by those of what X does not explain. The dual of the program has the constraint X'v = 0, or, with a
ridge, the further term -||X'v/n||^2 / (2 ridge).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.programs.losses import Loss, SquaredLoss, scaled_parabola
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

CHUNK_ROWS = 1 << 16
QR_ROWS = 1 << 13
RANK = 1e-12  # of the largest singular value of X: smaller ones are rounding


class Basis(NamedTuple):
    """E (n, r) and T (d, r), E'E = n I and X T = E; with a ridge E is the part of such a basis that belongs to X."""

    E: Array
    T: Array


def basis_of(X: Matrix, ridge: float = 0.0) -> Basis:
    """Return a basis of the columns of X (n, d), in whose span those are left out that are rounding.

    By QR of chunks that stay in cache, and of their triangles, five times as fast as that of X at once.

    Source: Demmel, Grigori, Hoemmen, Langou (2012), Communication-optimal QR.
    """
    n, d = X.shape
    parts = [np.linalg.qr(rows) for _, rows in row_chunks(X, QR_ROWS)]
    if ridge > 0:
        parts.append(np.linalg.qr(np.sqrt(n * ridge) * np.eye(d)))
    Q, R = np.linalg.qr(np.concatenate([part.R for part in parts]))
    U, values, Vt = np.linalg.svd(R)
    kept = values > RANK * values[0]
    root = np.sqrt(n)
    U = Q @ U[:, kept] * root
    E, start, at = np.empty((n, U.shape[1])), 0, 0
    for part in parts:
        stop = min(start + len(part.Q), n)
        E[start:stop] = part.Q[: stop - start] @ U[at : at + len(part.R)]
        start, at = stop, at + len(part.R)
    return Basis(E, Vt[kept].T / values[kept] * root)


@dataclass(frozen=True, eq=False)
class LinearPart:
    """The matrix X (n, d) of a linear part, and the ridge on its coefficients a (d,), 0 for a free one.

    Raises InputError if X is no matrix or the ridge is negative.
    """

    X: Matrix
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_matrix(self.X)
        if not (np.isfinite(self.ridge) and self.ridge >= 0):
            raise InputError(f"ridge = {self.ridge}: give 0 for a free linear part, or a positive number, e.g. 1e-6")

    @property
    def n(self) -> int:
        """Number of rows (samples)."""
        return int(self.X.shape[0])

    @property
    def width(self) -> int:
        """Columns d of X."""
        return int(self.X.shape[1])

    @cached_property
    def basis(self) -> "Basis":
        """An orthonormal basis of the columns of X, of those of (X; sqrt(n ridge) I) with a ridge."""
        return basis_of(self.X, self.ridge)

    def correlate(self, r: Array) -> Array:
        """Return X'r/n (d,)."""
        total = np.zeros(self.width)
        for start, rows in row_chunks(self.X, CHUNK_ROWS):
            total += r[start : start + len(rows)] @ rows
        return total / self.n

    def apply(self, a: Array) -> Array:
        """Return X a (n,)."""
        return np.concatenate([rows @ a for _, rows in row_chunks(self.X, CHUNK_ROWS)])

    def coefficients(self, t: Array) -> Array:
        """Return the best a (d,) for what the blocks leave, t = y - F u (n,)."""
        E, T = self.basis
        a: Array = T @ (E.T @ t / self.n)
        if self.ridge == 0 and len(T):  # the second time refines the first
            a = a + T @ (E.T @ (t - self.apply(a)) / self.n)
        return a

    def beside(self, f: Array, y: Array) -> tuple[Array, Array, float]:
        """Return f + X a for the best a beside a prediction f (n,), that a (d,), and loss and ridge there."""
        a = self.coefficients(y - f)
        whole = f + self.apply(a)
        r = y - whole
        return whole, a, float(r @ r) / (2 * self.n) + self.ridge / 2 * float(a @ a)

    def dual_feasible(self, v: Array) -> Array:
        """Return v (n,) without what X explains of it, so that X'v = 0 but for rounding; v itself with a ridge."""
        if self.ridge > 0:
            return v
        E = self.basis.E
        for _ in range(2):  # the second time takes away what rounding left
            v = v - E @ (E.T @ v / self.n)
        return v

    def dual_penalty(self, v: Array) -> float:
        """Return ||X'v/n||^2 / ridge, what the dual adds to ||v||^2/n; 0 without a ridge, where X'v = 0."""
        if self.ridge == 0:
            return 0.0
        correlation = self.correlate(v)
        return float(correlation @ correlation) / self.ridge


def check_linear(linear: LinearPart | None, n: int, loss: Loss) -> None:
    """Raise InputError where a linear part has not n rows, or where the loss is not squared: it has no closed form."""
    if linear is None:
        return
    if linear.n != n:
        raise InputError(f"linear: its X has {linear.n} rows, but the program {n}; give the same rows")
    if not isinstance(loss, SquaredLoss):
        raise InputError(f"linear: a free linear part takes the squared loss, not {type(loss).__name__}; leave it out")


def dual_value(linear: LinearPart | None, loss: Loss, v: Array, y: Array, limit: float) -> float:
    """Return the largest dual objective at c v over scales 0 <= c <= limit; v (n,) must be dual feasible."""
    if linear is None:
        return loss.dual_value(v, y, limit)
    n = len(v)
    return scaled_parabola(float(v @ y) / n, float(v @ v) / n + linear.dual_penalty(v), limit)
