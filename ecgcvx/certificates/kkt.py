"""KKT residuals of a network, recomputed from weights and data.

With w = W1_j / ||W1_j|| the optimality conditions are beta w = s sum_i z_i v_i x_i / n with z_i = 1 where x_i'w > 0,
0 where x_i'w < 0, and any share in between on the hyperplane itself. A network that a solver found is on a hyperplane
up to its accuracy only, so that a threshold on x_i'w would make the residual jump. Here a share that differs from what
the sign says costs |cos(x_i, w)| / NEAR of the gradient that it moves,

    min over z in [0, 1]^n of  || beta w - s sum z_i v_i x_i / n || + sum c_i |z_i - 1[x_i'w > 0]| |v_i| ||x_i|| / n,

c_i = |cos(x_i, w)| / NEAR: continuous in the weights, zero at the optimum only, and where no row is near the
hyperplane the norm of the gradient, since c_i >= 1 moves nothing.
"""

from dataclasses import dataclass

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.certificates.certify import CHUNK, LossName, refuse_polynomial, residual_of, row_lengths
from ecgcvx.errors import InputError
from ecgcvx.models import GatedNetwork, TwoLayerNetwork
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

NEAR = 1e-4  # |x'w| / (||x|| ||w||) from which on a row has one sign only: far above what solvers leave, some 1e-9


@dataclass(frozen=True, eq=False)
class Residuals:
    """KKT residuals of a network.

    stationarity (m,): distance from zero of the gradient of P in each neuron's W1_j, relative to beta max_k ||W1_k||,
    with the best multipliers on the rows near its hyperplane (see the module). faces (m,): the number of those rows.
    balance: max_j | ||W1_j|| - |W2_j| | relative to the larger of the two.
    """

    stationarity: Array
    faces: NDArray[np.intp]
    balance: float


def kkt_residuals(
    network: TwoLayerNetwork,
    X: Matrix,
    y: Array,
    beta: float,
    loss: LossName = "squared",
    patterns: Patterns | None = None,
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
        gate = network.gates[:, j] if isinstance(network, GatedNetwork) else w
        cosines = np.concatenate([rows @ gate / row_lengths(rows) for _, rows in row_chunks(X, CHUNK)])
        s = float(np.sign(network.W2[j]))
        active = cosines >= 0 if isinstance(network, GatedNetwork) else cosines > 0
        gradient = w - s * _masked(X, v, active) / (len(y) * beta)
        if isinstance(network, GatedNetwork):
            residuals[j] = np.linalg.norm(gradient)
            continue
        near = np.flatnonzero(np.abs(cosines) < NEAR)
        faces[j] = len(near)
        rows = np.concatenate([np.empty((0, len(w))), *(X[k : k + 1] for k in near)])
        moved, cost, on = v[near, None] * rows / (len(y) * beta), np.abs(cosines[near]) / NEAR, cosines[near] > 0
        if patterns is None:
            residuals[j] = _distance(gradient, np.where(on, -s, s)[:, None] * moved, cost, 1.0)
            continue
        residuals[j] = np.inf
        for mask in _patterns_around(patterns, cosines, near):
            other = mask != on
            target = gradient - s * np.where(other, np.where(mask, 1.0, -1.0), 0.0) @ moved
            switched = float(cost[other] @ np.linalg.norm(moved[other], axis=1))
            cone = np.where(mask, 1.0, -1.0)[:, None] * rows
            residuals[j] = min(residuals[j], switched + _distance(target, cone, cost, np.inf))
        if np.isinf(residuals[j]):
            raise InputError(
                f"patterns: neuron {j} lies in none of the {len(patterns)} cones; give the patterns it has"
            )
    return Residuals(residuals * lengths / np.max(lengths, initial=1e-300), faces, balance)


def _masked(X: Matrix, v: Array, mask: NDArray[np.bool_]) -> Array:
    """Return X'D v for one pattern."""
    return sum(
        (mask[a : a + len(rows)] * v[a : a + len(rows)] @ rows for a, rows in row_chunks(X, CHUNK)),
        np.zeros(X.shape[1]),
    )


def _distance(target: Array, rows: Array, cost: Array, most: float) -> float:
    """Return min ||target - rows'z|| + sum cost_i ||row_i|| z_i over 0 <= z_i <= most: a second-order cone program."""
    sizes = np.linalg.norm(rows, axis=1)
    kept = sizes > 0
    k, d, length = int(kept.sum()), len(target), float(np.linalg.norm(target))
    if k == 0 or length == 0:
        return length
    # In units of the target, multipliers in units of their row: t + cost'z, (t, target - unit rows'z) in the cone.
    unit, upper = rows[kept] / sizes[kept, None], most * sizes[kept] / length
    bounded = np.isfinite(upper)
    A = sp.vstack(
        [
            sp.hstack([sp.csc_matrix((k, 1)), -sp.eye(k)]),
            sp.hstack([sp.csc_matrix((int(bounded.sum()), 1)), sp.eye(k, format="csr")[bounded]]),
            sp.hstack([-sp.eye(1), sp.csc_matrix((1, k))]),
            sp.hstack([sp.csc_matrix((d, 1)), sp.csc_matrix(unit.T)]),
        ],
        format="csc",
    )
    b = np.concatenate([np.zeros(k), upper[bounded], [0.0], target / length])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    cones = [clarabel.NonnegativeConeT(k + int(bounded.sum())), clarabel.SecondOrderConeT(d + 1)]
    q = np.concatenate([[1.0], cost[kept]])
    found = clarabel.DefaultSolver(sp.csc_matrix((k + 1, k + 1)), q, A, b, cones, settings).solve()
    z = np.clip(np.array(found.x[1:]), 0.0, upper)
    if not np.isfinite(z).all():
        return length
    return min(length, length * float(np.linalg.norm(target / length - unit.T @ z) + cost[kept] @ z))


def _patterns_around(patterns: Patterns, cosines: Array, near: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Values on the near rows (k, faces) of the patterns that agree with the neuron on all other rows."""
    off = np.ones(patterns.n, dtype=bool)
    off[near] = False
    differs = (patterns.packed ^ np.packbits(cosines > 0)) & np.packbits(off)
    return np.array([patterns.mask(int(i))[near] for i in np.flatnonzero(~differs.any(axis=1))], dtype=bool)
