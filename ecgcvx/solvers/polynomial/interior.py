"""Primal-dual interior point for a pair of positive semidefinite matrices and a quadratic loss.

With H/beta = F'F, c/beta = F't and all in units of beta,

    min  ||r||^2/2 + t tr(Z + Z')   s.t.  r + F vector(Z - Z') = t,   tr J Z = tr J Z' = 0,

    slacks  S = t I - B(F'r) - nu J >= 0,   S' = t I + B(F'r) - nu' J >= 0.

r = 0, nu = 0 is strictly dual feasible, and so is every later point: its dual value is a bound at each iteration. A
diagonal Z with tr J Z = 0 is the primal start, so that its objective is a bound from above. Newton's direction in the
scaling of Nesterov and Todd (W S W = Z) takes one symmetric positive definite system of rank H + 2 unknowns,

    F (W o W + W' o W') F' + I,   bordered by the two tr J Z = 0,

some q^3 operations, less than the q^2 n of the Gram matrix. That is why the method is of second order: 10 to 13
iterations on record 208 for beta from 1e-2 to 1e-6, where Newton's method on the low-rank factors, with Frank-Wolfe
steps that raise the rank, took 22 to 756, the more the smaller beta.

Source: Nesterov & Todd 1997; Mehrotra 1992 (predictor and corrector); Toh, Todd & Tutuncu 1999.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ecgcvx.programs.polynomial_form import Upper
from ecgcvx.solvers.polynomial.lift import SIGNS, LiftedProgram
from ecgcvx.types import Array

ITERATIONS = 60
TO_BOUNDARY = 0.98
STALLED = 3  # iterations without a smaller gap: rounding has the last word


@dataclass(frozen=True, eq=False)
class Scaling:
    """G (2, k, k) with G'SG = G^-1 Z G^-T = diag(lengths), so W = GG'."""

    G: Array
    lengths: Array

    @classmethod
    def of(cls, Z: Array, S: Array) -> "Scaling":
        """The scaling of a pair of positive definite matrices; LinAlgError if rounding has made one indefinite."""
        L, K = np.linalg.cholesky(Z), np.linalg.cholesky(S)
        _, lengths, Vt = np.linalg.svd(_t(K) @ L)
        return cls(L @ _t(Vt) / np.sqrt(lengths)[:, None, :], lengths)

    @property
    def W(self) -> Array:
        """The scaling matrices (2, k, k)."""
        return self.G @ _t(self.G)

    def step(self, scaled: Array) -> float:
        """Return the largest step along a scaled direction (2, k, k) that stays in the cone."""
        roots = np.sqrt(self.lengths)
        lowest = float(np.linalg.eigvalsh(scaled / (roots[:, :, None] * roots[:, None, :])).min())
        return np.inf if lowest >= 0 else -1.0 / lowest


@dataclass(frozen=True, eq=False)
class Direction:
    """A step in r, nu and Z, with the scaled steps of Z and S."""

    r: Array
    nu: Array
    Z: Array
    scaled_Z: Array
    scaled_S: Array


class _Method:
    """The data of the program in units of beta, and its current point Z, r, nu."""

    def __init__(self, lifted: LiftedProgram) -> None:
        program = lifted.program
        self.upper: Upper = program.upper
        self.J = program.balance
        k, beta = program.order, program.beta
        self.weight = lifted.trace_weight
        self.F, self.t = (part / np.sqrt(beta) for part in lifted.factor)
        start = np.ones(k) if self.J is None else np.r_[np.full(k - 1, 1 / (k - 1)), 1.0]
        self.Z, self.r, self.nu = np.stack([np.diag(start)] * 2), np.zeros(len(self.t)), np.zeros(2)

    def slacks(self) -> Array:
        """S and S' (2, k, k) of r and nu."""
        S = self.weight * np.eye(len(self.Z[0])) - SIGNS[:, None, None] * self.upper.dual(self.F.T @ self.r)
        return S if self.J is None else S - self.nu[:, None, None] * np.diag(self.J)

    def gap(self) -> float:
        """Objective of Z less dual value of r, relative to the penalty."""
        left = self.t - self.F @ self.upper.vector(self.Z[0] - self.Z[1])
        penalty = self.weight * float(np.trace(self.Z, axis1=1, axis2=2).sum())
        # |left|^2/2 + |r|^2/2 - t'r, without the cancellation of large terms
        difference = float((left - self.r) @ (left - self.r)) / 2
        return (difference + penalty - float((self.t - left) @ self.r)) / penalty

    def advance(self) -> None:
        """One predictor-corrector step; LinAlgError when rounding allows none."""
        S = self.slacks()
        scaling = Scaling.of(self.Z, S)
        k = S.shape[1]
        mu = float(np.sum(scaling.lengths**2)) / (2 * k)
        solve = self._system(scaling.W)
        aim = np.einsum("sk,kl->skl", -scaling.lengths, np.eye(k))
        predictor = self._direction(scaling, solve, aim)
        step = min(1.0, scaling.step(predictor.scaled_Z), scaling.step(predictor.scaled_S))
        D = -aim
        reached = float(np.sum((D + step * predictor.scaled_Z) * (D + step * predictor.scaled_S))) / (2 * k)
        sigma = min(1.0, max(0.0, reached / mu)) ** 3
        product = predictor.scaled_Z @ predictor.scaled_S
        aim = sigma * mu * np.eye(k) - D**2 - (product + _t(product)) / 2
        aim = 2 * aim / (scaling.lengths[:, :, None] + scaling.lengths[:, None, :])
        corrector = self._direction(scaling, solve, aim)
        # One step length for all: r belongs to the primal and to the dual side of a quadratic loss.
        step = min(1.0, TO_BOUNDARY * min(scaling.step(corrector.scaled_Z), scaling.step(corrector.scaled_S)))
        self.Z = self.Z + step * (corrector.Z + _t(corrector.Z)) / 2
        self.r, self.nu = self.r + step * corrector.r, self.nu + step * corrector.nu

    def _system(self, W: Array) -> tuple[Array, bool]:
        """Factor the system in (dr, dnu)."""
        rows, columns, p = *self.upper, len(self.t)
        # vector(W B(g) W) = K g with K_(ij)(kl) = (W_ik W_jl + W_il W_jk)/2
        K = sum(
            (V[np.ix_(rows, rows)] * V[np.ix_(columns, columns)] + V[np.ix_(rows, columns)] * V[np.ix_(columns, rows)])
            for V in W
        )
        size = p if self.J is None else p + 2
        system = np.zeros((size, size))
        system[:p, :p] = self.F @ (K / 2) @ self.F.T + np.eye(p)
        if self.J is not None:
            WJW = (W * self.J) @ W
            system[:p, p:] = (SIGNS[:, None] * (self.upper.vector(WJW) @ self.F.T)).T
            system[p:, :p] = system[:p, p:].T
            system[p:, p:] = np.diag(np.einsum("skk,k->s", WJW, self.J))
        return cho_factor(system)

    def _direction(self, scaling: Scaling, factor: tuple[Array, bool], aim: Array) -> Direction:
        """The step whose scaled parts of Z and S add up to `aim` (2, k, k)."""
        p, G = len(self.t), scaling.G
        change = G @ aim @ _t(G)
        right = self.t - self.r - self.F @ self.upper.vector(self.Z[0] - self.Z[1] + change[0] - change[1])
        if self.J is not None:
            right = np.r_[right, -np.einsum("skk,k->s", self.Z + change, self.J)]
        x = cho_solve(factor, right)
        dr, dnu = x[:p], x[p:] if self.J is not None else np.zeros(2)
        dS = -SIGNS[:, None, None] * self.upper.dual(self.F.T @ dr)
        if self.J is not None:
            dS = dS - dnu[:, None, None] * np.diag(self.J)
        scaled_S = _t(G) @ dS @ G
        scaled_Z = aim - scaled_S
        return Direction(dr, dnu, G @ scaled_Z @ _t(G), scaled_Z, scaled_S)


def interior_point(lifted: LiftedProgram, tolerance: float) -> tuple[Array, int]:
    """Return the pair Z (2, k, k) of smallest gap, and the iterations; the gap, relative to the penalty, is at most the
    tolerance if possible.

    Rounding stops the method near 1e-9; `refine` goes on from there.
    """
    nothing = np.zeros(lifted.program.shape)
    if lifted.gap(nothing) <= 0:
        return nothing, 0
    method = _Method(lifted)
    best, smallest, since = method.Z, np.inf, 0
    for iteration in range(ITERATIONS):
        gap = method.gap()
        if gap < smallest:
            best, smallest, since = method.Z, gap, 0
        else:
            since += 1
        if gap <= tolerance or since >= STALLED:
            return best, iteration
        try:
            method.advance()
        except np.linalg.LinAlgError:
            return best, iteration
    return best, ITERATIONS


def _t(M: NDArray[Any]) -> Array:
    return M.transpose(0, 2, 1)
