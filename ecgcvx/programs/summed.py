"""Programs of which sums over the rows are all that is known (`ecgcvx.programs.moments`): no row is looked at again.

Objective, prices and gap come from the sums too. They are those of the data but for rounding, which is of the size of
1e-16 times the mean of y^2.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ecgcvx.activations import RELU_LIKE, Polynomial
from ecgcvx.errors import InputError
from ecgcvx.programs.features import Index
from ecgcvx.programs.linear_part import LinearPart
from ecgcvx.programs.losses import Loss, SquaredLoss, check_beta, scaled_parabola
from ecgcvx.programs.moments import MonomialSums, SecondMoments, with_ones
from ecgcvx.programs.polynomial_form import PolynomialForm
from ecgcvx.programs.program import DualBound, Quadratic, columns_of
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class SummedPolynomial(PolynomialForm):
    """The program with the squared loss, of which the moments are all that is known: objective, prices and gap too.

    Parameters
    ----------
    columns : d of X, of which the last is ones.
    sums : second moments of the products of two columns (`ecgcvx.programs.moments.MonomialSums` of order d).
    beta, activation : as in `PolynomialProgram`.

    Raises InputError if beta is not positive or the sums have another size.
    """

    columns: int
    sums: SecondMoments
    beta: float
    activation: Polynomial = RELU_LIKE
    loss: Loss = field(default_factory=SquaredLoss, init=False)
    linear: LinearPart | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        check_beta(self.beta)
        q = MonomialSums(self.width).size
        if self.sums.c.shape != (q,) or self.sums.H.shape != (q, q):
            raise InputError(f"sums: of {len(self.sums.c)} monomials, {self.width} columns have {q}; give those of X")

    @property
    def width(self) -> int:
        """Columns d of X."""
        return self.columns

    def at(self, beta: float) -> "SummedPolynomial":
        """The same program with another beta."""
        other = replace(self, beta=beta)
        other.__dict__["quadratic"] = self.quadratic
        return other

    @cached_property
    def quadratic(self) -> Quadratic:
        """The squared loss as m'Hm/2 - c'm + constant in the coordinates m (q,) of Z - Z'."""
        n, G, c, yy = self.sums
        if not self.activation.homogeneous:
            index = with_ones(self.width)
            G, c = G[np.ix_(index, index)], c[index]
        return Quadratic(self.scales[:, None] * G * self.scales / n, self.scales * c / n, yy / (2 * n))

    def mean_loss(self, Z: Array) -> float:
        """Return the squared loss at Z (2, k, k)."""
        return max(self.quadratic.value(self.upper.vector(Z[0] - Z[1])), 0.0)

    def evaluated(self, Z: Array) -> tuple[float, float]:
        """Return the objective at Z (2, k, k) and the lower bound that its residual proves, both from the moments."""
        H, c, constant = self.quadratic
        m = self.upper.vector(Z[0] - Z[1])
        loss = self.mean_loss(Z)
        worst = float(self.prices_of(self.upper.dual(c - H @ m)).max())
        limit = self.beta / worst if worst > 0 else np.inf
        return loss + self.penalty(Z), scaled_parabola(2 * constant - float(c @ m), 2 * loss, limit)

    def largest_beta(self) -> float:
        """The smallest beta whose solution is zero: the largest price at Z = Z' = 0."""
        return float(self.prices_of(self.upper.dual(self.quadratic.c)).max())


@dataclass(frozen=True, eq=False)
class SummedGated:
    """The program of a gated network: a group lasso with a block a gate.

    gates : (p, d). sums : second moments of the features of the gates (`ecgcvx.programs.moments.GatedSums`). beta : as
    in `ConvexProgram`.

    Raises InputError if beta is not positive or the sums have another size.
    """

    gates: Array
    sums: SecondMoments
    beta: float
    loss: Loss = field(default_factory=SquaredLoss, init=False)
    cones: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_beta(self.beta)
        size = self.gates.size
        if self.sums.c.shape != (size,) or self.sums.H.shape != (size, size):
            raise InputError(f"sums: of {len(self.sums.c)} features, the gates have {size}; give those of these gates")

    @property
    def shape(self) -> tuple[int, int]:
        """(p, d) of the variables u."""
        return len(self.gates), self.gates.shape[1]

    @property
    def n(self) -> int:
        """Number of rows (samples)."""
        return int(self.sums.n)

    @property
    def squares(self) -> float:
        """y'y/n."""
        return float(self.sums.yy / self.sums.n)

    @cached_property
    def correlation(self) -> Array:
        """F_i'y/n (p, d) of every block."""
        return (self.sums.c / self.sums.n).reshape(self.shape)

    @cached_property
    def quadratic(self) -> Quadratic:
        """The squared loss over all variables."""
        return Quadratic(self.sums.H / self.sums.n, self.correlation.ravel(), self.squares / 2)

    def at(self, beta: float) -> "SummedGated":
        """The same program with another beta."""
        other = replace(self, beta=beta)
        other.__dict__["quadratic"] = self.quadratic
        return other

    def hessian(self, first: Index, second: Index) -> Array:
        """Return the rows of variables `first` (a,) and columns of `second` (b,) of H, (a d, b d)."""
        d = self.shape[1]
        return self.quadratic.H[np.ix_(columns_of(first, d), columns_of(second, d))]

    def penalty(self, u: Array) -> float:
        """Return beta sum_j ||u_j||."""
        return self.beta * float(np.linalg.norm(u, axis=1).sum())

    def mean_loss(self, u: Array) -> float:
        """Return the squared loss at u (p, d)."""
        return max(self.quadratic.value(u), 0.0)

    def evaluated(self, u: Array) -> tuple[float, DualBound]:
        """Return the objective at u (p, d), and the lower bound and prices of its residual, from the sums."""
        loss = self.mean_loss(u)
        prices = np.linalg.norm(self.quadratic.gradient(u), axis=1)
        worst = float(prices.max(initial=0.0))
        limit = self.beta / worst if worst > 0 else np.inf
        dual = scaled_parabola(self.squares - float(np.vdot(self.correlation, u)), 2 * loss, limit)
        return loss + self.penalty(u), DualBound(dual, prices)

    def largest_beta(self) -> float:
        """The smallest beta whose solution is zero."""
        return float(np.linalg.norm(self.correlation, axis=1).max())
