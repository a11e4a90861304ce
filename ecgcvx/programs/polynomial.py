"""Two-layer networks with a polynomial activation s(t) = a t^2 + b t + c, as semidefinite programs.

    network   min  L(f) + beta ||alpha||_1,   f(x) = sum_j alpha_j s(x'u_j),   ||u_j|| = 1
    convex    min  L(f) + beta (z4 + z4'),    f(x) = a x'(Z1 - Z1')x + b x'(z2 - z2') + c (z4 - z4')

over a pair of matrices Z = [[Z1, z2], [z2', z4]] and Z' >= 0 of order d + 1 with tr Z1 = z4 and tr Z1' = z4'. Neurons
with a positive weight make up Z = sum_j alpha_j (u_j, 1)(u_j, 1)', those with a negative one Z'. For the pure quadratic
activation (b = c = 0) the blocks Z1 are all there is: a pair of order d whose traces are penalised, that is the nuclear
norm of Z1 - Z1'. The dual is an eigenvalue problem,

    D(v) as in `ecgcvx.programs.losses`,   max over ||u|| = 1 of |sum_i v_i s(x_i'u)| / n <= beta,

exact for all networks of any width: no pattern is sampled and none is left out; beside a free linear part v also has
X'v = 0. The size of the program depends neither on n nor on the number of neurons, and the squared loss sees the data
through the Gram matrix of the monomials (x x', x, 1) alone, (d + 1)(d + 2)/2 columns, of which one pass
over the data is enough.

Source: Bartan & Pilanci 2021, "Neural spectrahedra and semidefinite lifts". A single Z, as sometimes printed, would
allow positive weights alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dsyrk

from ecgcvx.activations import RELU_LIKE, Polynomial
from ecgcvx.errors import InputError
from ecgcvx.programs.linear_part import LinearPart, check_linear, dual_value
from ecgcvx.programs.losses import Loss, SquaredLoss, checked_targets
from ecgcvx.programs.moments import MonomialSums, monomials_of
from ecgcvx.programs.polynomial_form import PolynomialForm
from ecgcvx.programs.program import DualBound, Fit, Quadratic
from ecgcvx.reductions.engine import LocalEngine
from ecgcvx.reductions.interface import held
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 17  # of a chunk of rows: 1 MB, so that it stays in cache


class Moments(NamedTuple):
    """G (q, q), the means of products of two monomials of (x, 1) up to degree 2, and c (q,), of those with y."""

    G: Array
    c: Array


@dataclass(frozen=True, eq=False)
class PolynomialProgram(PolynomialForm):
    """The convex form of a two-layer network with a polynomial activation.

    Parameters
    ----------
    X : (n, d) matrix or lazy matrix
        Rows that the network sees.
    y : (n,) array
        Targets, or labels for the logistic loss.
    beta : float
        Weight of ||alpha||_1, in our convention (1/(2n) before the squared loss).
    activation : Polynomial
        RELU_LIKE unless said otherwise.
    loss : Loss
        Squared unless said otherwise.
    linear : LinearPart, optional
        A part X a of the prediction beside the network, which the penalty leaves alone.

    Raises
    ------
    InputError
        If y does not fit X or holds a number that is not finite or a label that the loss cannot take, if beta is not
        positive, if the activation is constantly zero or not finite, or if the linear part has other rows or meets a
        loss that is not squared.
    """

    X: Matrix
    y: Array
    beta: float
    activation: Polynomial = RELU_LIKE
    loss: Loss = field(default_factory=SquaredLoss)
    linear: LinearPart | None = None

    def __post_init__(self) -> None:
        n, _ = check_matrix(self.X)
        y = checked_targets(self.y, n, self.beta)
        if not (np.isfinite(self.activation).all() and any(self.activation)):
            raise InputError(f"activation {tuple(self.activation)}: give finite a, b, c that are not all zero")
        object.__setattr__(self, "y", self.loss.targets(y))
        check_linear(self.linear, n, self.loss)

    @property
    def width(self) -> int:
        """Columns d of X."""
        return int(self.X.shape[1])

    def at(self, beta: float) -> "PolynomialProgram":
        """The same program with another beta; the moments, the only pass over the data, are kept."""
        other = replace(self, beta=beta)
        other.__dict__.update(
            {name: self.__dict__[name] for name in ("moments", "quadratic", "unexplained") if name in self.__dict__}
        )
        return other

    @cached_property
    def moments(self) -> Moments:
        """Moments of the monomials, or of what a linear part does not explain of them: passes over the data, kept."""
        if self.linear is None:
            found = LocalEngine().total(MonomialSums(self.order), held(self.X, self.y))
            return Moments(found.H / found.n, found.c / found.n)
        return self._moments(None)

    def with_targets(self, y: Array) -> "PolynomialProgram":
        """The same program with other targets (n,) of its rows; the moments of two monomials are kept."""
        other = replace(self, y=y)
        other.__dict__["moments"] = Moments(self.moments.G, other._correlations())
        return other

    def curvature(self, weights: Array) -> Array:
        """Return the Hessian (q, q) of 1/(2n) sum_i weights_i f_i^2 in the coordinates of Z - Z'; weights: (n,)."""
        return self.scales[:, None] * self._moments(weights).G * self.scales

    @cached_property
    def quadratic(self) -> Quadratic:
        """The squared loss as m'Hm/2 - c'm + constant in the coordinates m (q,) of Z - Z'."""
        G, c = self.moments
        H = self.scales[:, None] * G * self.scales
        return Quadratic(H, self.scales * c, float(self.y @ self.unexplained) / (2 * len(self.y)))

    @cached_property
    def unexplained(self) -> Array:
        """The residual (n,) at Z = Z' = 0: y, or what the linear part leaves of it."""
        return self.y if self.linear is None else self.y - self.linear.apply(self.linear.coefficients(self.y))

    def fit(self, Z: Array) -> Fit:
        """Return the prediction at Z, the best linear coefficients beside it (none without a linear part), and L."""
        f = self._network(Z)
        if self.linear is None:
            return Fit(f, np.empty(0), self.loss.value(f, self.y))
        return Fit(*self.linear.beside(f, self.y))

    def predict(self, Z: Array) -> Array:
        """Return f (n,) of the pair Z (2, k, k), the best linear part beside it included."""
        return self.fit(Z).f

    def _network(self, Z: Array) -> Array:
        a, b, c = self.activation
        d, M = self.width, Z[0] - Z[1]
        out = np.empty(self.X.shape[0])
        for start, rows in row_chunks(self.X, CHUNK_ELEMENTS // d):
            f = a * np.einsum("rd,rd->r", rows @ M[:d, :d], rows)
            if not self.activation.homogeneous:
                f += rows @ (b * M[:d, d]) + c * M[d, d]
            out[start : start + len(rows)] = f
        return out

    def residual(self, Z: Array) -> Array:
        """Return v = -n dL/df at the prediction, (n,); y - prediction for the squared loss."""
        return self.loss.residual(self.predict(Z), self.y)

    def objective(self, Z: Array) -> float:
        """Return the primal objective P(Z), from the data and not from the moments."""
        return self.fit(Z).value + self.penalty(Z)

    def ascent(self, v: Array) -> Array:
        """Return B (k, k) with sum_i v_i s(x_i'u) / n = (u, 1)'B(u, 1), or u'Bu; v: (n,)."""
        a, b, c = self.activation
        d, n = self.width, len(v)
        B = np.zeros((self.order, self.order))
        for start, rows in row_chunks(self.X, CHUNK_ELEMENTS // d):
            part = v[start : start + len(rows)]
            B[:d, :d] += a * ((rows.T * part) @ rows)
            if not self.activation.homogeneous:
                B[:d, d] += b / 2 * (part @ rows)
                B[d, d] += c * part.sum()
        B[d:, :d] = B[:d, d:].T
        return (B + B.T) / (2 * n)

    def prices(self, v: Array) -> Array:
        """Return max over ||u|| = 1 of +-sum_i v_i s(x_i'u) / n, (2,); at the optimum both are at most beta."""
        return self.prices_of(self.ascent(v))

    def dual_bound(self, v: Array) -> DualBound:
        """Return the best lower bound D(c v) over scalings with c max price <= beta; v: a residual (n,).

        Of v what a free linear part explains is taken away, so that X'v = 0.
        """
        v = v if self.linear is None else self.linear.dual_feasible(v)
        prices = self.prices(v)
        worst = float(prices.max())
        return DualBound(
            dual_value(self.linear, self.loss, v, self.y, self.beta / worst if worst > 0 else np.inf), prices
        )

    def evaluated(self, Z: Array) -> tuple[float, float]:
        """Return the objective at Z (2, k, k) and the lower bound that its residual proves, both from the data."""
        f, _, loss = self.fit(Z)
        return loss + self.penalty(Z), self.dual_bound(self.loss.residual(f, self.y)).value

    def largest_beta(self) -> float:
        """The smallest beta whose solution is zero: the largest price at Z = Z' = 0."""
        return float(self.prices(self.residual(np.zeros(self.shape))).max())

    def lifted(self) -> Array:
        """Return the matrix (n, q) with f = lifted @ vector(Z - Z'), whole in memory: small n only."""
        return np.concatenate([monomials.T * self.scales for _, monomials in self._monomials()])

    def _moments(self, weights: Array | None) -> Moments:
        q, n = len(self.upper.rows), len(self.y)
        G, c = np.zeros((q, q), order="F"), np.zeros(q)
        with self.threads():
            C = None if self.linear is None else self._cross(self.linear)
            for rows, monomials in self._unexplained_monomials(C):
                c += monomials @ self.unexplained[rows]
                factor = monomials if weights is None else monomials * np.sqrt(weights[rows])
                G = dsyrk(1 / n, factor.T, beta=1.0, c=G, trans=1, overwrite_c=1)  # half the work of a product
        G = np.triu(G) + np.triu(G, 1).T
        if self.linear is not None and C is not None and self.linear.ridge > 0:
            explained = self.linear.basis.T @ C
            G += self.linear.ridge * (explained.T @ explained)
        return Moments(G, self._with_ridge(c, C) / n)

    def _correlations(self) -> Array:
        """The c (q,) of the moments alone."""
        C = None if self.linear is None else self._cross(self.linear)
        c = np.zeros(len(self.upper.rows))
        for rows, monomials in self._unexplained_monomials(C):
            c += monomials @ self.unexplained[rows]
        return self._with_ridge(c, C) / len(self.y)

    def _with_ridge(self, c: Array, C: Array | None) -> Array:
        """n times c, with what the ridge of the linear part adds."""
        if self.linear is None or C is None or self.linear.ridge <= 0:
            return c
        explained = self.linear.basis.T @ C
        return c + self.linear.ridge * len(self.y) * (explained.T @ self.linear.coefficients(self.y))

    def _unexplained_monomials(self, C: Array | None) -> Iterator[tuple[slice, Array]]:
        """Rows start:stop and what the linear part leaves of their monomials (q, rows); C : see `_cross`."""
        for rows, monomials in self._monomials():
            if self.linear is not None and C is not None:
                # Of the monomials themselves, not of their moments: what X explains leaves no rounding behind.
                monomials -= C.T @ self.linear.basis.E[rows].T
            yield rows, monomials

    def _cross(self, linear: LinearPart) -> Array:
        """E'Phi/n (r, q) of the linear part's basis and the monomials Phi."""
        E = linear.basis.E
        total = np.zeros((E.shape[1], len(self.upper.rows)))
        for rows, monomials in self._monomials():
            total += E[rows].T @ monomials.T
        return total / len(self.y)

    def _monomials(self) -> Iterator[tuple[slice, Array]]:
        """Rows start:stop and their monomials (q, rows)."""
        for start, rows in row_chunks(self.X, 1 << 16):
            for monomials in monomials_of(rows, self.order):
                stop = start + monomials.shape[1]
                yield slice(start, stop), monomials
                start = stop
