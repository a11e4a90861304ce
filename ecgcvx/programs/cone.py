"""Exact projections on the cones of patterns, K_i = {u : C_i u >= 0}, from few of their n rows each.

    P(v) = v + C_S' z,   z >= 0 minimising ||v + C_S' z||      (Moreau; S the rows that are needed)

S grows by the rows that the projection so far violates most, until it satisfies all n of them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ecgcvx.errors import SolverError
from ecgcvx.programs.features import Features
from ecgcvx.types import Array

ROWS_A_ROUND = 32
ROUNDS = 200
TOLERANCE = 1e-13  # relative to ||P(v)||: the rounding of x'u for standardised windows
APEX = 1e-12  # a projection this small beside v is the apex up to rounding: v lies in the polar cone


def project(features: Features, blocks: NDArray[np.intp], v: Array) -> Array:
    """Return the projection (g, d) of each v_j on the cone of blocks[j], exact to rounding; v: (g, d).

    Every round's point is the projection on a cone that contains K, so its norm is an upper bound of ||P(v)||.

    Raises SolverError if 200 rounds of rows do not reach a feasible point.
    """
    scale = np.linalg.norm(v, axis=1)
    target = v / np.where(scale > 0, scale, 1.0)[:, None]
    w = target.copy()
    needed = [np.empty(0, dtype=np.intp) for _ in blocks]
    open_cones = np.flatnonzero(scale > 0)
    for _ in range(ROUNDS):
        values = features.cone_values(blocks[open_cones], w[open_cones])
        still = []
        for j, slack in zip(open_cones, values, strict=True):
            size = float(np.linalg.norm(w[j]))
            if size <= APEX:
                w[j] = 0.0
                continue
            new = np.setdiff1d(np.flatnonzero(slack < -TOLERANCE * size), needed[j])
            if len(new):
                worst = new[np.argsort(slack[new])[:ROWS_A_ROUND]]
                needed[j] = np.union1d(needed[j], worst)
                w[j] = _project_on_rows(features.cone_rows(int(blocks[j]), needed[j]), target[j])
                still.append(j)
        open_cones = np.array(still, dtype=np.intp)
        if not still:
            return w * scale[:, None]
    raise SolverError(f"cones of patterns {blocks[open_cones]}: no feasible projection after {ROUNDS} rounds of rows")


def _project_on_rows(C: Array, v: Array) -> Array:
    """Projection of v on {u : C u >= 0}, its active rows met to rounding."""
    multipliers, _ = nnls(C.T, -v)
    active = C[multipliers > 0]
    if not len(active):
        return v
    # The multipliers carry the error of the normal equations; the orthogonal complement of the active rows does not.
    U, s, _ = np.linalg.svd(active.T, full_matrices=False)
    basis = U[:, s > 1e-12 * s[0]]
    w = v - basis @ (basis.T @ v)
    return w - basis @ (basis.T @ w)
