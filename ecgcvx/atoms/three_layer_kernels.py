"""Compiled passes of three-layer neurons: k inner rows of P an atom, in the type of the chunks (float32 or float64).

With rounded(z) = e q^2 + max(z - e, 0), q(z) = clip(z/(2e) + 1/2, 0, 1) its derivative, for a half-width e > 0,

    h = sum_l e_l rounded(z_l)  (z_1 itself where the first inner neuron is linear),   f = s rounded(h)

The work of an atom waits in the second cache: Z (k m, CHUNK) of a chunk of rows.
"""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.kernels import CHUNK, Single, compiled, correlate, heights


@compiled
def _hidden(Z: Single, inner: Single, linear: bool, e: np.float32, h: Single) -> None:
    """h (CHUNK,) of an atom's heights Z (k, CHUNK)."""
    zero, half, one = Z.dtype.type(0), Z.dtype.type(0.5), Z.dtype.type(1)
    inverse = half / e
    for row in range(CHUNK):
        h[row] = zero
    for i in range(Z.shape[0]):
        z, sign = Z[i], inner[i]
        if i == 0 and linear:
            for row in range(CHUNK):
                h[row] += z[row]
        else:
            for row in range(CHUNK):
                q = min(max(z[row] * inverse + half, zero), one)
                h[row] += sign * (e * q * q + max(z[row] - e, zero))


@compiled
def _slopes(Z: Single, inner: Single, linear: bool, e: np.float32, back: Single) -> None:
    """Z_l <- back e_l q(z_l), with back (CHUNK,) for the linear one."""
    zero, half, one = Z.dtype.type(0), Z.dtype.type(0.5), Z.dtype.type(1)
    inverse = half / e
    for i in range(Z.shape[0]):
        z, sign = Z[i], inner[i]
        if i == 0 and linear:
            for row in range(CHUNK):
                z[row] = back[row]
        else:
            for row in range(CHUNK):
                z[row] = back[row] * sign * min(max(z[row] * inverse + half, zero), one)


@compiled
def add_outputs(
    X: Single, P: Single, signs: Single, inner: Single, linear: bool, widths: Single, bounds: NDArray[np.intp],
    first: int, stop: int, out: NDArray[np.float64],
) -> None:  # fmt: skip
    """out[b] += sum_j s_j rounded(h_j) for the chunks of groups first <= g < stop; P (k m, d), inner (m, k)."""
    zero, half, one = X.dtype.type(0), X.dtype.type(0.5), X.dtype.type(1)
    m, k = inner.shape
    Z, h = np.empty((k, CHUNK), X.dtype), np.empty(CHUNK, X.dtype)
    for b in range(bounds[first], bounds[stop]):
        for j in range(m):
            heights(P[j * k : (j + 1) * k], X[b], Z)
            s, e = signs[j], widths[j]
            inverse = half / e
            _hidden(Z, inner[j], linear, e, h)
            for row in range(CHUNK):
                q = min(max(h[row] * inverse + half, zero), one)
                out[b, row] += s * (e * q * q + max(h[row] - e, zero))


@compiled
def activations(
    X: Single, P: Single, inner: Single, linear: bool, bounds: NDArray[np.intp], first: int, stop: int, out: Single
) -> None:
    """out[b, j] = max(h_j, 0) without rounding, (chunks, m, CHUNK)."""
    zero, sharp = X.dtype.type(0), X.dtype.type(1e-30)
    m, k = inner.shape
    Z, h = np.empty((k, CHUNK), X.dtype), np.empty(CHUNK, X.dtype)
    for b in range(bounds[first], bounds[stop]):
        for j in range(m):
            heights(P[j * k : (j + 1) * k], X[b], Z)
            _hidden(Z, inner[j], linear, sharp, h)
            for row in range(CHUNK):
                out[b, j, row] = max(h[row], zero)


@compiled
def add_prices(
    X: Single, v: Single, P: Single, inner: Single, linear: bool, widths: Single, bounds: NDArray[np.intp], first: int,
    stop: int, G: NDArray[np.float64],
) -> None:  # fmt: skip
    """G[g] += the gradients (k m, d) of sum_i v_i rounded(h_j) over the rows of group g."""
    zero, half, one = X.dtype.type(0), X.dtype.type(0.5), X.dtype.type(1)
    m, k = inner.shape
    Z, h = np.empty((k, CHUNK), X.dtype), np.empty(CHUNK, X.dtype)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            weights = v[b]
            for j in range(m):
                rows = slice(j * k, (j + 1) * k)
                heights(P[rows], X[b], Z)
                e = widths[j]
                inverse = half / e
                _hidden(Z, inner[j], linear, e, h)
                for row in range(CHUNK):
                    h[row] = weights[row] * min(max(h[row] * inverse + half, zero), one)
                _slopes(Z, inner[j], linear, e, h)
                correlate(Z, X[b], G[g, rows])


@compiled
def add_loss_and_gradient(
    X: Single, y: Single, n: int, P: Single, signs: Single, inner: Single, linear: bool, widths: Single,
    bounds: NDArray[np.intp], first: int, stop: int, losses: NDArray[np.float64], G: NDArray[np.float64],
) -> None:  # fmt: skip
    """losses[g] += ||r||^2 and G[g] += half its gradient without output signs, r = sum_j s_j rounded(h_j) - y."""
    zero, half, one = X.dtype.type(0), X.dtype.type(0.5), X.dtype.type(1)
    m, k = inner.shape
    Z, h, r = np.empty((k * m, CHUNK), X.dtype), np.empty(CHUNK, X.dtype), np.empty(CHUNK, X.dtype)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            for row in range(CHUNK):
                r[row] = -y[b, row]
            for j in range(m):
                own = Z[j * k : (j + 1) * k]
                heights(P[j * k : (j + 1) * k], X[b], own)
                s, e = signs[j], widths[j]
                inverse = half / e
                _hidden(own, inner[j], linear, e, h)
                for row in range(CHUNK):
                    q = min(max(h[row] * inverse + half, zero), one)
                    r[row] += s * (e * q * q + max(h[row] - e, zero))
                    h[row] = q
                _slopes(own, inner[j], linear, e, h)
            for row in range(n - b * CHUNK, CHUNK):
                r[row] = zero
            loss = zero
            for row in range(CHUNK):
                loss += r[row] * r[row]
            losses[g] += loss
            for i in range(k * m):
                z = Z[i]
                for row in range(CHUNK):
                    z[row] *= r[row]
            for j in range(0, k * m, 32):
                correlate(Z[j : j + 32], X[b], G[g, j : j + 32])
