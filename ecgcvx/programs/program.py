"""One description of the convex programs of two-layer networks: data of the problem, no algorithm.

    minimise  L(sum_j s_j F_{b_j} u_j) + beta sum_j ||u_j||_2
    subject to  C_{b_j} u_j >= 0  for every j, when the program has cones

over u (g, d): g variables, the j-th multiplying feature block b_j with sign s_j. L is the squared loss
1/(2n) ||f - y||^2 or the logistic one (`ecgcvx.programs.losses`). Beside the blocks there may be a free linear part
(`ecgcvx.programs.linear_part`), which is eliminated: programs and solvers know u alone.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.programs.cone import project
from ecgcvx.programs.dense import DenseFeatures
from ecgcvx.programs.features import Features, Gram, Index
from ecgcvx.programs.linear_part import LinearPart, check_linear, dual_value
from ecgcvx.programs.losses import Loss, SquaredLoss, checked_targets
from ecgcvx.types import Array

KEPT = ("gram", "quadratic", "unexplained", "cross")  # of a program's passes over the data, for other beta


class Quadratic(NamedTuple):
    """The squared loss as u'Hu/2 - c'u + constant over all variables; H (g d, g d), c (g d,)."""

    H: Array
    c: Array
    constant: float

    def value(self, u: Array) -> float:
        """Return the loss at u (g, d)."""
        flat = u.ravel()
        return float(flat @ (self.H @ flat) / 2 - self.c @ flat) + self.constant

    def gradient(self, u: Array) -> Array:
        """Return the gradient of the loss at u, (g, d)."""
        return (self.H @ u.ravel() - self.c).reshape(u.shape)


class Fit(NamedTuple):
    """The prediction f (n,) at some u, the coefficients of the linear part there, and the objective's smooth part."""

    f: Array
    a: Array
    value: float


class DualBound(NamedTuple):
    """A lower bound on the optimum, and the prices (g,) that prove it feasible."""

    value: float
    prices: Array


@dataclass(frozen=True, eq=False)
class ConvexProgram:
    """A group-lasso program over given patterns, with or without cones.

    Parameters
    ----------
    features : Features
        Blocks F_i (n, d) and cones: `PatternFeatures` of a network, `DenseFeatures` of any group lasso, or others.
    y : (n,) array
        Targets, or labels for the logistic loss.
    beta : float
        Weight of the group penalty, in our convention (1/(2n) before the squared loss).
    blocks : (g,) int array
        Feature block of each variable.
    signs : (g,) array
        +1 or -1, by which the output of each variable counts.
    cones : bool
        Whether u_j must lie in the cone of its block.
    loss : Loss
        Squared unless said otherwise.
    linear : LinearPart, optional
        A part X a of the prediction that the group penalty leaves alone.

    Raises
    ------
    InputError
        If y does not fit X or holds a number that is not finite or a label that the loss cannot take, if beta is not
        positive, if there are no patterns, if there are to be cones and the features have none, or if the linear part
        has other rows or meets a loss that is not squared.

    Source: Pilanci & Ergen 2020, theorem 1 (ReLU); Mishkin, Sahiner & Pilanci 2022 (gated).
    """

    features: Features
    y: Array
    beta: float
    blocks: NDArray[np.intp]
    signs: Array
    cones: bool
    loss: Loss = field(default_factory=SquaredLoss)
    linear: LinearPart | None = None

    def __post_init__(self) -> None:
        y = checked_targets(self.y, self.features.n, self.beta)
        if not len(self.blocks):
            raise InputError("patterns: there are none, so there is nothing to optimise; sample at least one")
        if self.cones and isinstance(self.features, DenseFeatures):
            raise InputError("features: DenseFeatures have no cones; use group_lasso_program, or PatternFeatures")
        object.__setattr__(self, "y", self.loss.targets(y))
        check_linear(self.linear, self.features.n, self.loss)

    @property
    def shape(self) -> tuple[int, int]:
        """(g, d) of the variables u."""
        return len(self.blocks), self.features.width

    def at(self, beta: float) -> "ConvexProgram":
        """The same program with another beta; the Gram matrix, the only pass over the data, is kept."""
        other = replace(self, beta=beta)
        other.__dict__.update({name: self.__dict__[name] for name in KEPT if name in self.__dict__})
        return other

    def with_targets(self, y: Array) -> "ConvexProgram":
        """The same program with other targets (n,) of its rows; of the Gram matrix F'F/n, formed here, all is kept."""
        other = replace(self, y=y)
        H, _, _ = self.gram
        if self.linear is not None:
            other.__dict__["cross"] = self.cross
        c = self.features.correlate(other.y).ravel() / self.n
        return other.with_gram(Gram(H, c, float(other.y @ other.y) / self.n))

    def with_gram(self, gram: Gram) -> "ConvexProgram":
        """The same program with a Gram matrix that was computed elsewhere, in place of a pass over the data."""
        other = replace(self)
        other.__dict__["gram"] = gram  # where the cached property keeps it
        return other

    def largest_beta(self) -> float:
        """The smallest beta whose solution is zero: the largest price at u = 0, with the cones in force."""
        return float(self.prices(self.residual(np.zeros(self.shape))).max())

    def coefficients(self, u: Array) -> Array:
        """Return sum of s_j u_j over the variables of each feature block, (p, d)."""
        z = np.zeros((self.features.count, self.features.width))
        np.add.at(z, self.blocks, self.signs[:, None] * u)
        return z

    def predict(self, u: Array) -> Array:
        """Return f (n,): sum_j s_j F_{b_j} u_j, and the best linear part beside it where there is one."""
        return self.fit(u).f

    def fit(self, u: Array) -> Fit:
        """Return the prediction at u, the best linear coefficients beside it (none without a linear part), and L."""
        f = self.features.apply(self.coefficients(u))
        if self.linear is None:
            return Fit(f, np.empty(0), self.loss.value(f, self.y))
        return Fit(*self.linear.beside(f, self.y))

    def residual(self, u: Array) -> Array:
        """Return v = -n dL/df at the prediction, (n,); y - prediction for the squared loss."""
        return self.loss.residual(self.predict(u), self.y)

    def penalty(self, u: Array) -> float:
        """Return beta sum_j ||u_j||."""
        return self.beta * float(np.linalg.norm(u, axis=1).sum())

    def objective(self, u: Array) -> float:
        """Return the primal objective P(u), from the data and not from the Gram matrix."""
        return self.fit(u).value + self.penalty(u)

    @cached_property
    def unexplained(self) -> Array:
        """The residual (n,) at u = 0: y, or what the linear part leaves of it."""
        if self.linear is None:
            return self.y
        return self.y - self.linear.apply(self.linear.coefficients(self.y))

    @cached_property
    def cross(self) -> Array:
        """C = E'F/n (r, g d) of the linear part's basis and the signed blocks of all variables."""
        assert self.linear is not None
        return np.stack([self.descents(np.ascontiguousarray(e)).ravel() for e in self.linear.basis.E.T])

    @cached_property
    def gram(self) -> Gram:
        """Gram matrix of the feature blocks: one pass over the data, kept."""
        return self.features.gram(self.y)

    @cached_property
    def quadratic(self) -> Quadratic:
        """The squared loss over all g d variables, at the best linear part; it bounds the curvature of other losses."""
        _, d = self.shape
        H, c, yy = self.gram
        if not np.array_equal(self.blocks, np.arange(self.features.count)) or (self.signs != 1).any():
            index = columns_of(self.blocks, d)
            sign = np.repeat(self.signs, d)
            H, c = H[np.ix_(index, index)] * sign[:, None] * sign, sign * c[index]
        if self.linear is not None:
            H = H - self.cross.T @ self.cross
            c, yy = self.correlation.ravel(), self.squares
        return Quadratic(H, c, yy / 2)

    def hessian(self, first: Index, second: Index) -> Array:
        """Return the rows of variables `first` (a,) and columns of `second` (b,) of H, (a d, b d).

        From the Gram matrix where it is there, otherwise by a pass over the data for these blocks alone.
        """
        d = self.features.width
        rows, columns = columns_of(first, d), columns_of(second, d)
        if "quadratic" in self.__dict__ or "gram" in self.__dict__:
            return self.quadratic.H[np.ix_(rows, columns)]
        H = self.features.products(self.blocks[first], self.blocks[second])
        H = np.repeat(self.signs[first], d)[:, None] * H * np.repeat(self.signs[second], d)
        return H if self.linear is None else H - self.cross[:, rows].T @ self.cross[:, columns]

    def violation(self, u: Array) -> float:
        """Return the largest violation of a cone, max_jk -(C_j u_j)_k / ||u_j||, 0 without cones: a sine."""
        norms = np.linalg.norm(u, axis=1)
        active = np.flatnonzero(norms > 0)
        if not self.cones or not len(active):
            return 0.0
        values = self.features.cone_values(self.blocks[active], u[active] / norms[active, None])
        return max(0.0, -float(values.min()))

    def evaluated(self, u: Array) -> tuple[float, DualBound]:
        """Return the objective at u (g, d), and the lower bound and prices of its residual, from the data."""
        f, _, value = self.fit(u)
        return value + self.penalty(u), self.dual_bound(self.loss.residual(f, self.y))

    @property
    def n(self) -> int:
        """Number of rows (samples)."""
        return self.features.n

    @property
    def squares(self) -> float:
        """y'y/n, or what a linear part leaves of it."""
        return float(self.y @ self.unexplained) / len(self.y)

    @property
    def correlation(self) -> Array:
        """s_j F_j'y/n (g, d) of every variable, or of what a linear part leaves of y."""
        return self.descents(self.unexplained)

    def prices(self, r: Array) -> Array:
        """Return max_{||w|| <= 1, w in K_j} s_j r'F_j w / n for each variable, (g,); at the optimum all are <= beta.

        With cones the maximum is the norm of the projection of s_j F_j'r on the cone (theory: the dual over patterns).
        """
        gradients = self.descents(r)
        if self.cones:
            gradients = project(self.features, self.blocks, gradients)
        return np.linalg.norm(gradients, axis=1)

    def descents(self, r: Array) -> Array:
        """Return s_j F_j'r / n for each variable, (g, d): minus the gradient of the loss at a residual r (n,)."""
        return self.signs[:, None] * self.features.correlate(r)[self.blocks] / self.features.n

    def dual_bound(self, r: Array) -> DualBound:
        """Return the best lower bound D(c v) over scalings c with c max_j price_j <= beta; r: a residual (n,).

        v is r, or what a free linear part does not explain of r: then X'v = 0, as the dual demands.
        """
        v = r if self.linear is None else self.linear.dual_feasible(r)
        prices = self.prices(v)
        worst = float(prices.max(initial=0.0))
        limit = self.beta / worst if worst > 0 else np.inf
        return DualBound(dual_value(self.linear, self.loss, v, self.y, limit), prices)


def columns_of(blocks: Index, d: int) -> Index:
    """The columns (b d,) of blocks of d columns."""
    return (blocks[:, None] * d + np.arange(d)).ravel()


def relu_program(
    features: Features, y: Array, beta: float, loss: Loss | None = None, linear: LinearPart | None = None
) -> ConvexProgram:
    """The convex form of the two-layer ReLU network over given patterns: u_i, v_i in K_i with signs +1 and -1."""
    p = features.count
    blocks, signs = np.tile(np.arange(p), 2), np.repeat([1.0, -1.0], p)
    return ConvexProgram(features, y, beta, blocks, signs, True, loss or SquaredLoss(), linear)


def gated_relu_program(
    features: Features, y: Array, beta: float, loss: Loss | None = None, linear: LinearPart | None = None
) -> ConvexProgram:
    """The gated ReLU network: one free u_i a pattern; a group lasso, no cones."""
    return group_lasso_program(features, y, beta, loss, linear)


def group_lasso_program(
    features: Features, y: Array, beta: float, loss: Loss | None = None, linear: LinearPart | None = None
) -> ConvexProgram:
    """The group lasso: one free variable u_i a block of the features. `Groups` makes those of any groups."""
    p = features.count
    return ConvexProgram(features, y, beta, np.arange(p), np.ones(p), False, loss or SquaredLoss(), linear)
