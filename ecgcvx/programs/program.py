"""One description of the convex programs of two-layer networks: data of the problem, no algorithm.

    minimise  1/(2n) || sum_j s_j F_{b_j} u_j - y ||^2 + beta sum_j ||u_j||_2
    subject to  C_{b_j} u_j >= 0  for every j, when the program has cones

over u (g, d): g variables, the j-th multiplying feature block b_j with sign s_j.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.programs.cone import project
from ecgcvx.programs.features import Gram, PatternFeatures

Array = NDArray[np.float64]


class Quadratic(NamedTuple):
    """The squared loss as u'Hu/2 - c'u + constant over all variables; H (g d, g d), c (g d,)."""

    H: Array
    c: Array
    constant: float


class DualBound(NamedTuple):
    """A lower bound on the optimum, and the prices (g,) that prove it feasible."""

    value: float
    prices: Array


@dataclass(frozen=True, eq=False)
class ConvexProgram:
    """A group-lasso program over given patterns, with or without cones.

    Parameters
    ----------
    features : PatternFeatures
        Blocks F_i (n, d) and cones.
    y : (n,) array
        Targets.
    beta : float
        Weight of the group penalty, in our convention (1/(2n) before the squared loss).
    blocks : (g,) int array
        Feature block of each variable.
    signs : (g,) array of +1 and -1
    cones : bool
        Whether u_j must lie in the cone of its block.

    Raises
    ------
    InputError
        If y does not fit X or holds a number that is not finite, or beta is not positive.

    Source: Pilanci & Ergen 2020, eq. (8) (ReLU); Mishkin, Sahiner & Pilanci 2022, eq. (5) (gated).
    """

    features: PatternFeatures
    y: Array
    beta: float
    blocks: NDArray[np.intp]
    signs: Array
    cones: bool

    def __post_init__(self) -> None:
        if self.y.shape != (self.features.n,):
            raise InputError(f"y has shape {self.y.shape}; X has {self.features.n} rows, so give ({self.features.n},)")
        if not np.isfinite(self.y).all():
            raise InputError(f"y holds a number that is not finite in row {np.flatnonzero(~np.isfinite(self.y))[0]}")
        if not (np.isfinite(self.beta) and self.beta > 0):
            raise InputError(f"beta = {self.beta}: it must be a positive number, as 1e-4")

    @property
    def shape(self) -> tuple[int, int]:
        """(g, d) of the variables u."""
        return len(self.blocks), self.features.width

    def coefficients(self, u: Array) -> Array:
        """Return sum of s_j u_j over the variables of each feature block, (p, d)."""
        z = np.zeros((self.features.count, self.features.width))
        np.add.at(z, self.blocks, self.signs[:, None] * u)
        return z

    def predict(self, u: Array) -> Array:
        """Return sum_j s_j F_{b_j} u_j, (n,)."""
        return self.features.apply(self.coefficients(u))

    def residual(self, u: Array) -> Array:
        """Return r = y - prediction, (n,)."""
        return self.y - self.predict(u)

    def penalty(self, u: Array) -> float:
        """Return beta sum_j ||u_j||."""
        return self.beta * float(np.linalg.norm(u, axis=1).sum())

    def objective(self, u: Array) -> float:
        """Return the primal objective P(u), from the data and not from the Gram matrix."""
        r = self.residual(u)
        return float(r @ r) / (2 * self.features.n) + self.penalty(u)

    @cached_property
    def gram(self) -> Gram:
        """Gram matrix of the feature blocks: one pass over the data, kept."""
        return self.features.gram(self.y)

    @cached_property
    def quadratic(self) -> Quadratic:
        """The squared loss over all g d variables."""
        _, d = self.shape
        index = (self.blocks[:, None] * d + np.arange(d)).ravel()
        sign = np.repeat(self.signs, d)
        H = self.gram.H[np.ix_(index, index)] * sign[:, None] * sign
        return Quadratic(H, sign * self.gram.c[index], self.gram.yy / 2)

    def violation(self, u: Array) -> float:
        """Return the largest violation of a cone, max_jk -(C_j u_j)_k / ||u_j||, 0 without cones: a sine."""
        norms = np.linalg.norm(u, axis=1)
        active = np.flatnonzero(norms > 0)
        if not self.cones or not len(active):
            return 0.0
        values = self.features.cone_values(self.blocks[active], u[active] / norms[active, None])
        return max(0.0, -float(values.min()))

    def prices(self, r: Array) -> Array:
        """Return max_{||w|| <= 1, w in K_j} s_j r'F_j w / n for each variable, (g,); at the optimum all are <= beta.

        With cones the maximum is the norm of the projection of s_j F_j'r on the cone (theory: the dual over patterns).
        """
        gradients = self.signs[:, None] * self.features.correlate(r)[self.blocks] / self.features.n
        if self.cones:
            gradients = project(self.features, self.blocks, gradients)
        return np.linalg.norm(gradients, axis=1)

    def dual_bound(self, r: Array) -> DualBound:
        """Return the best lower bound c r'y/n - c^2 ||r||^2/(2n) over scalings c with c max_j price_j <= beta."""
        prices = self.prices(r)
        n, worst = self.features.n, float(prices.max(initial=0.0))
        ry, rr = float(r @ self.y) / n, float(r @ r) / n
        best = ry / rr if rr > 0 else 0.0
        c = float(np.clip(best, 0.0, self.beta / worst if worst > 0 else np.inf))
        return DualBound(c * ry - c * c * rr / 2, prices)


def relu_program(features: PatternFeatures, y: Array, beta: float) -> ConvexProgram:
    """The convex form of the two-layer ReLU network over given patterns: u_i, v_i in K_i with signs +1 and -1."""
    p = features.count
    return ConvexProgram(features, y, beta, np.tile(np.arange(p), 2), np.repeat([1.0, -1.0], p), cones=True)


def gated_relu_program(features: PatternFeatures, y: Array, beta: float) -> ConvexProgram:
    """The gated ReLU network: one free u_i a pattern; a group lasso, no cones."""
    p = features.count
    return ConvexProgram(features, y, beta, np.arange(p), np.ones(p), cones=False)
