"""Compiled block coordinate descent on a Gram matrix whose diagonal blocks are diagonal.

With H_jj = diag(e_j) and q = e_j u_j - g_j, g the gradient, the best u_j with the others as they are is

    u_j = s q / (s e_j + beta),   s = ||u_j||:   ||q / (s e_j + beta)|| = 1     if ||q|| > beta, and 0 otherwise.

Source: Qin, Scheinberg & Goldfarb 2013.
"""

from typing import Any

import numpy as np

from ecgcvx.compilation import cached_njit
from ecgcvx.types import Array

SECULAR_ITERATIONS = 50
compiled: Any = cached_njit(nogil=True, boundscheck=False, error_model="numpy", fastmath={"contract"})


@compiled
def sweep(H: Array, e: Array, beta: float, u: Array, g: Array, sweeps: int) -> None:
    """Visit all groups in turn, `sweeps` times; changes u (w, d) and the gradient g (w, d) = H u - c.

    H : (w d, w d), symmetric, its diagonal blocks diag(e_j); e : (w, d).
    """
    groups, d = u.shape
    flat = g.ravel()
    q = np.empty(d)
    for _ in range(sweeps):
        for j in range(groups):
            squares, old = 0.0, 0.0
            for i in range(d):
                q[i] = e[j, i] * u[j, i] - g[j, i]
                squares += q[i] * q[i]
                old += u[j, i] * u[j, i]
            inside = squares <= beta * beta
            if inside and old == 0.0:
                continue
            s = 0.0 if inside else _root(e[j], q, beta, np.sqrt(old))
            for i in range(d):
                new = s * q[i] / (s * e[j, i] + beta)
                step = new - u[j, i]
                if step != 0.0:
                    u[j, i] = new
                    row = H[j * d + i]
                    for k in range(len(flat)):
                        flat[k] += step * row[k]


@compiled
def _root(e: Array, q: Array, beta: float, start: float) -> float:
    """The s > 0 with ||q / (s e + beta)|| = 1, ||q|| > beta, by Newton's method on 1/||q / (s e + beta)||.

    That is concave and rising: a step from above the root ends below it, and steps from below never overshoot.
    """
    s = start
    for _ in range(SECULAR_ITERATIONS):
        total, slope = 0.0, 0.0
        for i in range(len(q)):
            below = s * e[i] + beta
            square = (q[i] / below) ** 2
            total += square
            slope += square * e[i] / below
        if slope == 0.0:
            break
        step = total * (np.sqrt(total) - 1.0) / slope
        s = max(s + step, 0.0)
        if abs(step) <= 1e-15 * s:
            break
    return s
