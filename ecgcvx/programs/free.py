"""The unpenalised part U a of a program over all patterns: nothing, a constant, or a linear function of the rows.

    f(X) = U a + sum_j f(X; p_j)

P is minimised over a exactly wherever it is evaluated, so that it is a function of the atoms alone (variable
projection), its residual has U'v = 0, which is what a free part adds to the dual's constraints, and no solver has to
know of a. Source: Golub & Pereyra 1973.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.programs.linear_part import Basis, LinearPart
from ecgcvx.programs.losses import Loss, SquaredLoss
from ecgcvx.rows import Matrix
from ecgcvx.types import Array

Free = Literal["none", "offset", "linear"]
SINGULAR = 1e-12  # of the largest eigenvalue of U'U: directions below it are left alone
NEWTON_STEPS = 60
SUFFICIENT = 1e-4
ORTHOGONAL = 1e-9  # of v, in units of its length times that of a column: what counts as U'v = 0


class Fitted(NamedTuple):
    """A program at the outputs f (n,) of its atoms: the loss, the residual v (n,), a (q,) of U, and U a + f (n,).

    The last is None where it was not kept, as only the curvature of other losses than the squared one asks for it.
    """

    loss: float
    v: Array
    free: Array
    outputs: Array | None


@dataclass(frozen=True, eq=False)
class FreePart:
    """The columns U of a free part on rows X (n, d), and the loss, targets and weights that its weights are fitted to.

    Raises InputError for another kind than 'none', 'offset' or 'linear'.
    """

    kind: Free
    X: Matrix
    loss: Loss
    y: Array
    weights: Array | None

    def __post_init__(self) -> None:
        if self.kind not in ("none", "offset", "linear"):
            raise InputError(f"free = {self.kind!r}: choose one of none, offset, linear")

    @property
    def width(self) -> int:
        """Number of columns q."""
        return 0 if self.kind == "none" else int(self.columns.shape[1])

    @cached_property
    def columns(self) -> Array:
        """U (n, q): of a linear part an orthonormal basis of X's columns, U'U = n I."""
        return self.basis.E

    @cached_property
    def basis(self) -> Basis:
        """The columns, and what makes them of those of X."""
        if self.kind == "linear":
            return self.linear.basis
        return Basis(np.ones((len(self.y), int(self.kind == "offset"))), np.eye(int(self.kind == "offset")))

    @cached_property
    def linear(self) -> LinearPart:
        """X as a linear part, for programs over given patterns that have one beside their blocks."""
        return LinearPart(self.X)

    def weights_of(self, a: Array) -> Array:
        """Return the weights of X's columns (d,), or of the constant (1,), of the weights a (q,) of U."""
        return self.basis.T @ a

    @cached_property
    def inverse(self) -> Array:
        """(U'WU)^+ (q, q) of the squared loss."""
        return self.inverse_gram(self.weights)

    def inverse_gram(self, h: Array | None) -> Array:
        """(U'HU)^+ (q, q) for the diagonal h (n,) of H, ones if None."""
        U = self.columns
        values, Q = np.linalg.eigh(U.T @ (U if h is None else U * h[:, None]))
        used = values > SINGULAR * max(float(values.max(initial=0.0)), 1e-300)
        return (Q[:, used] / values[used]) @ Q[:, used].T

    def fitted(self, f: Array, start: Array | None = None) -> Fitted:
        """The loss at f (n,), minimised over the free weights; start (q,): where to look from."""
        if not self.width:
            return Fitted(self.loss.value(f, self.y, self.weights), self._residual(f), np.zeros(0), f)
        if isinstance(self.loss, SquaredLoss):
            return self._least_squares(f)
        return self._newton(f, np.zeros(self.width) if start is None else start)

    def feasible(self, v: Array) -> bool:
        """Whether U'v = 0 to rounding."""
        U = self.columns
        return bool((np.abs(U.T @ v) <= ORTHOGONAL * np.linalg.norm(v) * np.linalg.norm(U, axis=0)).all())

    def _residual(self, f: Array) -> Array:
        v = self.loss.residual(f, self.y)
        return v if self.weights is None else self.weights * v

    def _least_squares(self, f: Array) -> Fitted:
        U, a, g = self.columns, np.zeros(self.width), f
        for _ in range(2):  # the second time refines the first
            a = a + self.inverse @ (U.T @ self._residual(g))
            g = f + U @ a
        return Fitted(self.loss.value(g, self.y, self.weights), self._residual(g), a, g)

    def _newton(self, f: Array, a: Array) -> Fitted:
        """Newton's method; where labels can be separated there is no minimum, and it ends far out."""
        U, n = self.columns, len(f)
        g = f + U @ a
        value, v = self.loss.value(g, self.y, self.weights), self._residual(g)
        for _ in range(NEWTON_STEPS):
            h = self.loss.second_derivative(g, self.y)
            slope = U.T @ v
            step = self.inverse_gram(h if self.weights is None else self.weights * h) @ slope
            promise, share = float(slope @ step) / n, 1.0
            if promise <= 1e-28 * max(value, 1e-300):
                break
            while share > 1e-10:
                trial = f + U @ (a + share * step)
                lower = self.loss.value(trial, self.y, self.weights)
                if lower <= value - SUFFICIENT * share * promise or (share == 1.0 and promise < 1e-13 * value):
                    break
                share /= 2
            else:
                break
            a, g, value = a + share * step, trial, lower
            v = self._residual(g)
        return Fitted(value, v, a, g)
