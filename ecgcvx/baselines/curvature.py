"""Approximations of the Gauss-Newton matrix H = J'J / n, each as what solves (H + shift I) p = -g.

    full            J'J / n
    by_layer        its diagonal blocks of the layers
    by_neuron       its diagonal blocks of the neurons: of w the incoming weights of one
    kronecker       by layer, and there E[a a' (x) delta delta'] ~ E[a a'] (x) E[delta delta']      (KFAC)
    uniform_rows    rows of J drawn alike
    leverage_rows   rows of J drawn by their leverage J_i (J'J + n shift I)^-1 J_i'
    conjugate       full, by conjugate gradients on v -> J'(J v), J never formed

The gradient g is always that of all rows: a sample of rows makes a step worse, but moves no stationary point.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse.linalg import LinearOperator, cg

from ecgcvx.baselines.linearisation import JACOBIAN_ROWS, Linearisation

Array = NDArray[Any]
Solve = Callable[[Array, float], Array]  # (g, shift) -> p; LinAlgError when H + shift I is not positive definite
Curvature = Callable[[Linearisation, float, np.random.Generator], Solve]  # (J, shift of the first solve, random)

ROWS_A_PARAMETER = 2  # that a sample of rows has
SKETCHES = 4  # Gaussian vectors that the leverages are estimated with
CG_TOLERANCE, CG_STEPS = 0.1, 100


def full(J: Linearisation, shift: float, random: np.random.Generator) -> Solve:
    """The Gauss-Newton matrix itself; with a shift the step of Levenberg (1944) and Marquardt (1963)."""
    total = np.zeros((J.layers.size, J.layers.size))
    for X in J.pieces(JACOBIAN_ROWS):
        total += _gram(J.rows(X))
    return _dense(total / len(J))


def by_layer(J: Linearisation, shift: float, random: np.random.Generator) -> Solve:
    """One block a layer."""
    blocks = [np.zeros((size, size)) for size in (W.size for W in J.weights)]
    for X in J.pieces(JACOBIAN_ROWS):
        for block, (A, delta) in zip(blocks, J.factors(X), strict=True):
            block += _gram((A[:, :, None] * delta[:, None, :]).reshape(len(X), -1))
    solves = [_dense(block / len(J)) for block in blocks]

    def solve(g: Array, shift: float) -> Array:
        parts = zip(solves, J.layers.split(g), strict=True)
        return np.concatenate([part(gradient.ravel(), shift) for part, gradient in parts])

    return solve


def by_neuron(J: Linearisation, shift: float, random: np.random.Generator) -> Solve:
    """One block a neuron j of each layer: A' diag(delta_j^2) A / n."""
    blocks = [np.zeros((W.reshape(len(W), -1).shape[1], len(W), len(W))) for W in J.weights]
    for X in J.pieces():
        for block, (A, delta) in zip(blocks, J.factors(X), strict=True):
            if len(block) == 1:
                block[0] += (A * (delta * delta)).T @ A
            else:
                pairs = (A[:, :, None] * A[:, None, :]).reshape(len(X), -1)
                block += ((delta * delta).T @ pairs).reshape(block.shape)

    def solve(g: Array, shift: float) -> Array:
        parts = []
        for block, gradient in zip(blocks, J.layers.split(g), strict=True):
            columns = gradient.reshape(len(gradient), -1).T[:, :, None]
            steps = np.linalg.solve(block / len(J) + shift * np.eye(block.shape[1]), -columns)
            parts.append(steps[:, :, 0].T.ravel())
        return np.concatenate(parts)

    return solve


def kronecker(J: Linearisation, shift: float, random: np.random.Generator) -> Solve:
    """KFAC with the factored damping of its authors. Source: Martens & Grosse (2015), sections 3 and 6.3."""
    inputs = [np.zeros((len(W), len(W))) for W in J.weights]
    outputs = [np.zeros((m, m)) for m in (W.reshape(len(W), -1).shape[1] for W in J.weights)]
    for X in J.pieces():
        for left, right, (A, delta) in zip(inputs, outputs, J.factors(X), strict=True):
            left += A.T @ A
            right += delta.T @ delta

    def solve(g: Array, shift: float) -> Array:
        parts = []
        for left, right, gradient in zip(inputs, outputs, J.layers.split(g), strict=True):
            a, b = left / len(J), right / len(J)
            scale_a, scale_b = np.trace(a) / len(a), np.trace(b) / len(b)
            balance = sqrt(scale_a / scale_b) if scale_a > 0 and scale_b > 0 else 1.0
            a = a + sqrt(shift) * balance * np.eye(len(a))
            b = b + sqrt(shift) / balance * np.eye(len(b))
            half = np.linalg.solve(a, -gradient.reshape(len(a), -1))
            parts.append(np.linalg.solve(b, half.T).T.ravel())
        return np.concatenate(parts)

    return solve


def uniform_rows(J: Linearisation, shift: float, random: np.random.Generator) -> Solve:
    """A sample of the rows of J without replacement, each with the same chance."""
    return _dense(_uniform_gram(J, random))


def leverage_rows(J: Linearisation, shift: float, random: np.random.Generator) -> Solve:
    """A sample of the rows of J with replacement by their estimated leverages, each divided by its chance.

    Source: Drineas, Magdon-Ismail, Mahoney, Woodruff (2012), Fast approximation of matrix coherence.
    """
    chance = leverages(J, shift, random)
    # Some weight on every row bounds the variance where a leverage was underestimated.
    chance = 0.9 * chance / chance.sum() + 0.1 / len(J)
    count = min(len(J), ROWS_A_PARAMETER * J.layers.size)
    chosen = random.choice(len(J), count, p=chance)
    scale = 1 / np.sqrt(count * len(J) * chance[chosen])
    return _dense(_gram_of(J, chosen, scale))


def leverages(J: Linearisation, shift: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Estimate J_i (J'J + n shift I)^-1 J_i' (n,) without forming J, from a uniform sample and Gaussian sketches.

    With R'R the matrix of a uniform sample, ||J_i R^-1||^2 is the mean of (J_i R^-1 z)^2 over standard normal z.
    """
    H = _uniform_gram(J, random)
    # Rounding of the products may leave H as far below zero.
    floor = float(np.finfo(J.problem.dtype).eps * np.trace(H))
    R, _ = cho_factor(H + max(shift, floor) * np.eye(J.layers.size))
    squares = np.zeros(len(J))
    for z in random.standard_normal((SKETCHES, J.layers.size)):
        squares += J.product(solve_triangular(R, z)).astype(np.float64) ** 2
    return squares / (SKETCHES * len(J))


def conjugate(J: Linearisation, shift: float, random: np.random.Generator) -> Solve:
    """Conjugate gradients to a relative residual of CG_TOLERANCE. Source: Hestenes & Stiefel (1952)."""

    def solve(g: Array, shift: float) -> Array:
        def product(v: Array) -> Array:
            return J.transposed_product(J.product(v)) / len(J) + shift * v

        operator = LinearOperator((len(g), len(g)), matvec=product, dtype=np.float64)
        return cg(operator, -g, rtol=CG_TOLERANCE, maxiter=CG_STEPS)[0]

    return solve


def _dense(H: Array) -> Solve:
    def solve(g: Array, shift: float) -> Array:
        return cho_solve(cho_factor(H + shift * np.eye(len(H))), -g)

    return solve


def _gram(rows: Array) -> Array:
    return rows.T @ rows


def _uniform_gram(J: Linearisation, random: np.random.Generator) -> NDArray[np.float64]:
    """J'J / n from a uniform sample of rows."""
    count = min(len(J), ROWS_A_PARAMETER * J.layers.size)
    return _gram_of(J, random.choice(len(J), count, replace=False), np.full(count, 1 / sqrt(count)))


def _gram_of(J: Linearisation, chosen: NDArray[np.intp], scale: Array) -> NDArray[np.float64]:
    """Sum of the chosen rows' scale_i^2 J_i' J_i."""
    k = J.layers.size
    total = np.zeros((k, k))
    for start in range(0, len(chosen), JACOBIAN_ROWS):
        part = slice(start, start + JACOBIAN_ROWS)
        rows = J.rows(J.problem.pick(chosen[part])[0])
        rows *= scale[part, None].astype(rows.dtype)
        total += _gram(rows)
    return total
