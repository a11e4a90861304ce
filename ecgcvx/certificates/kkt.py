"""KKT residuals of a network, recomputed from weights and data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.certificates.certify import CHUNK, LossName, refuse_polynomial, residual_of, row_lengths
from ecgcvx.errors import InputError
from ecgcvx.networks import Network
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

ON_FACE = 1e-9  # |x'w| / (||x|| ||w||) below which a neuron lies on the hyperplane of x


@dataclass(frozen=True, eq=False)
class Residuals:
    """KKT residuals of a network.

    stationarity (m,): distance of each neuron's gradient from zero, relative to beta, with the best multipliers on the
    rows where the neuron lies on their hyperplane (other rows get none, so complementarity holds by construction).
    faces (m,): the number of those rows. balance: max_j | ||W1_j|| - |W2_j| | relative to the larger of the two.
    """

    stationarity: Array
    faces: NDArray[np.intp]
    balance: float


def kkt_residuals(
    network: Network, X: Matrix, y: Array, beta: float, loss: LossName = "squared", patterns: Patterns | None = None
) -> Residuals:
    """Return the KKT residuals of a network.

    Without patterns, of the ReLU network itself: on a hyperplane the derivative of (x'w)_+ is any share in [0, 1] of x.
    With patterns, of the convex program over them: neuron j stays in the cone of a pattern that it lies in, with
    multipliers z >= 0 on the rows (2 D - I) X that it meets with equality. A gated network has neither.

    Raises InputError when a neuron lies in no cone of the given patterns, and for a polynomial network.
    """
    refuse_polynomial(network)
    v = residual_of(network, X, y, beta, loss)
    lengths, weights = np.linalg.norm(network.W1, axis=0), np.abs(network.W2)
    larger = np.maximum(np.maximum(lengths, weights), 1e-300)
    balance = float(np.max(np.abs(lengths - weights) / larger, initial=0.0))
    residuals, faces = np.zeros(network.neurons), np.zeros(network.neurons, dtype=np.intp)
    for j in range(network.neurons):
        w = network.W1[:, j] / max(float(lengths[j]), 1e-300)
        gate = w if network.gates is None else network.gates[:, j]
        cosines = np.concatenate([rows @ gate / row_lengths(rows) for _, rows in row_chunks(X, CHUNK)])
        s = float(np.sign(network.W2[j]))
        if network.gates is not None:
            residuals[j] = np.linalg.norm(beta * w - s * _masked(X, v, cosines >= 0) / len(y))
            continue
        on_face = np.flatnonzero(np.abs(cosines) <= ON_FACE)
        rows_on = np.array([X[k : k + 1][0] for k in on_face]).reshape(len(on_face), len(w))
        faces[j] = len(on_face)
        free = beta * w - s * _masked(X, v, cosines > ON_FACE) / len(y)
        if patterns is None:
            residuals[j] = _distance(s * v[on_face, None] * rows_on / len(y), free, (0.0, 1.0))
            continue
        residuals[j] = np.inf
        for mask in _patterns_around(patterns, cosines, on_face):
            signs = np.where(mask, 1.0, -1.0)[:, None]
            target = free - s * (v[on_face] * mask) @ rows_on / len(y)
            residuals[j] = min(residuals[j], _distance(signs * rows_on, target, (0.0, np.inf)))
        if np.isinf(residuals[j]):
            raise InputError(
                f"patterns: neuron {j} lies in none of the {len(patterns)} cones; give the patterns it has"
            )
    return Residuals(residuals / beta, faces, balance)


def _masked(X: Matrix, v: Array, mask: NDArray[np.bool_]) -> Array:
    """Return X'D v for one pattern."""
    return sum(
        (mask[a : a + len(rows)] * v[a : a + len(rows)] @ rows for a, rows in row_chunks(X, CHUNK)),
        np.zeros(X.shape[1]),
    )


def _distance(rows: Array, target: Array, bounds: tuple[float, float]) -> float:
    """Return min ||target - rows'z|| over z within the bounds."""
    if not len(rows):
        return float(np.linalg.norm(target))
    scale = float(np.abs(rows).max()) or 1.0
    upper = bounds[1] * scale
    fit = lsq_linear(rows.T / scale, target, (bounds[0], upper), method="bvls", tol=1e-14)
    return float(np.linalg.norm(fit.fun))


def _patterns_around(patterns: Patterns, cosines: Array, on_face: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Values on the face rows (k, faces) of the patterns that agree with the neuron on all other rows."""
    off = np.ones(patterns.n, dtype=bool)
    off[on_face] = False
    differs = (patterns.packed ^ np.packbits(cosines > 0)) & np.packbits(off)
    return np.array([patterns.mask(int(i))[on_face] for i in np.flatnonzero(~differs.any(axis=1))], dtype=bool)
