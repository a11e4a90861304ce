"""The search for the neuron with the largest price: batched quasi-Newton ascent on the sphere from many starts.

The price of a direction is a maximum over a non-convex problem: what is found is a lower bound of it, and a duality
gap that rests on it is a searched one.
"""

import numpy as np

from ecgcvx.gan.program import GeneratorProgram
from ecgcvx.types import Array

SUFFICIENT = 0.1  # share of the slope's promise that a step must keep
SHRINK = 0.4
FRESH_AFTER = 4  # failures in a row, after which the metric is forgotten
NEAR = (0.05, 0.15, 0.4, 1.0)  # lengths of the perturbations of active neurons


def starts(program: GeneratorProgram, count: int, active: Array, random: np.random.Generator) -> Array:
    """Return unit directions (count, d): isotropic, with a kink through a row of Z, and near those of active (m, d)."""
    Z = program.Z
    W = random.standard_normal((count, Z.shape[1]))
    half = count // 2
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    rows = Z[random.integers(0, len(Z), half)]
    shares = np.einsum("ij,ij->i", W[:half], rows) / np.maximum((rows * rows).sum(axis=1), 1e-300)
    through = W[:half] - shares[:, None] * rows
    sizes = np.linalg.norm(through, axis=1, keepdims=True)
    W[:half] = np.where(sizes > 1e-6, through / np.maximum(sizes, 1e-6), W[:half])  # a direction along its row stays
    if len(active):
        third = count // 3
        W[-third:] = active[random.integers(0, len(active), third)] + random.choice(NEAR, third)[:, None] * W[-third:]
        W /= np.linalg.norm(W, axis=1, keepdims=True)
    return W


def ascend(program: GeneratorProgram, V: Array, W: Array, steps: int) -> tuple[Array, Array]:
    """Return the directions (k, d) that BFGS on the sphere reaches from W (k, d), and their prices (k,)."""
    k, d = W.shape
    prices, slopes = _price_and_slope(program, V, W)
    identity = np.eye(d)
    inverse = identity / np.maximum(prices, 1e-300)[:, None, None]
    step, failures = np.ones(k), np.zeros(k, dtype=np.intp)
    for _ in range(steps):
        directions = np.einsum("ijk,ik->ij", inverse, slopes)
        promise = np.einsum("ij,ij->i", slopes, directions)
        lengths = step / np.maximum(np.linalg.norm(directions, axis=1), 1.0)
        moved = W + lengths[:, None] * directions
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        found, found_slopes = _price_and_slope(program, V, moved)
        better = found >= prices + SUFFICIENT * lengths * promise
        s, q = moved - W, slopes - found_slopes
        _update(inverse, np.flatnonzero(better), s, q)
        W, slopes = np.where(better[:, None], moved, W), np.where(better[:, None], found_slopes, slopes)
        prices = np.where(better, found, prices)
        step = np.where(better, 1.0, SHRINK * step)
        failures = np.where(better, 0, failures + 1)
        stuck = failures >= FRESH_AFTER
        inverse[stuck] = identity / np.maximum(prices[stuck], 1e-300)[:, None, None]
        step[stuck], failures[stuck] = 0.3, 0
    return W, prices


def distinct(W: Array, prices: Array, cosine: float) -> np.ndarray:
    """Return the indices of directions (k, d), highest price first, none closer than `cosine` to one before it."""
    chosen: list[int] = []
    for i in np.argsort(-prices, kind="stable"):
        if not chosen or (W[chosen] @ W[i]).max() <= cosine:
            chosen.append(int(i))
    return np.array(chosen, dtype=np.intp)


def _price_and_slope(program: GeneratorProgram, V: Array, W: Array) -> tuple[Array, Array]:
    """The prices (k,) of unit rows of W, and their gradients along the sphere (k, d)."""
    Z = program.fast.Z
    V = V.astype(Z.dtype)
    heights = Z @ W.T.astype(Z.dtype)
    active = heights > 0
    heights *= active
    C = heights.T @ V
    norms = np.linalg.norm(C, axis=1)
    weights = V @ (C / np.maximum(norms, 1e-30)[:, None]).T
    weights *= active
    G = (weights.T @ Z).astype(np.float64) / program.n
    prices = norms.astype(np.float64) / program.n
    return prices, G - prices[:, None] * W


def _update(inverse: Array, rows: np.ndarray, s: Array, q: Array) -> None:
    """The BFGS update of the chosen inverse Hessians (of minus the price), where its curvature is positive."""
    s, q = s[rows], q[rows]
    sq = np.einsum("ij,ij->i", s, q)
    good = sq > 1e-12 * np.einsum("ij,ij->i", s, s)
    rows, s, q, rho = rows[good], s[good], q[good], 1.0 / sq[good]
    H = inverse[rows]
    Hq = np.einsum("ijk,ik->ij", H, q)
    weight = (1.0 + rho * np.einsum("ij,ij->i", q, Hq)) * rho
    left = rho[:, None] * s
    H -= left[:, :, None] * Hq[:, None, :]
    H -= Hq[:, :, None] * left[:, None, :]
    H += (weight[:, None] * s)[:, :, None] * s[:, None, :]
    inverse[rows] = H
