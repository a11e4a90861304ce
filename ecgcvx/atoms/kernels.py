"""Compiled passes over all rows, most in float32: chunks of rows that stay in the first cache, one copy of the data.

The rows lie transposed in chunks of CHUNK, columns padded by zeros to a multiple of TILE, so that a vector register
holds one column of 16 rows. `heights` is Z = P X' of a chunk and `correlate` adds M X: eight columns at a time for a
block of neurons, whose chunk of Z waits in the second cache. A whole pass runs at 130 to 165 GFlop/s on a core that
multiplies large matrices at 225 (AMD EPYC, Zen 5), from 16 columns to 136. NumPy reached 45 to 75: a BLAS is made for
long inner products, not for 16, and each element-wise step between two products is a pass of its own.

The kernels release Python's lock, and write one sum for each group of chunks, so that the number of threads changes no
result.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.compilation import cached_njit

Single = NDArray[np.float32]
CHUNK = 512  # rows
TILE = 8  # columns that a product takes at a time
BLOCK = 32  # neurons that share a tile
LINE = 64  # bytes of a cache line: registers that straddle two of them load at half the speed
compiled: Any = cached_njit(nogil=True, fastmath=True, boundscheck=False)


def aligned(shape: tuple[int, ...]) -> Single:
    """An empty float32 array that begins at a cache line."""
    size = 4 * int(np.prod(shape))
    raw = np.empty(size + LINE, dtype=np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(np.float32).reshape(shape)


@compiled
def slide(signal: NDArray[np.float64], starts: NDArray[np.int64], taps: int, X: Single) -> None:
    """Fill chunks X with the rows (signal[s], ..., signal[s + taps - 1], 1) at starts s, zeros after the last of them.

    Starts rise; where a chunk's are consecutive its columns are stretches of the signal.
    """
    for b in range(X.shape[0]):
        chunk, own = X[b], starts[b * CHUNK : (b + 1) * CHUNK]
        count = own.shape[0]
        for k in range(taps + 1, chunk.shape[0]):
            for row in range(CHUNK):
                chunk[k, row] = 0
        if count == CHUNK and own[CHUNK - 1] - own[0] == CHUNK - 1:
            for k in range(taps):
                column = signal[own[0] + k : own[0] + k + CHUNK]
                for row in range(CHUNK):
                    chunk[k, row] = column[row]
        else:
            for row in range(count):
                for k in range(taps):
                    chunk[k, row] = signal[own[row] + k]
            for k in range(taps):
                for row in range(count, CHUNK):
                    chunk[k, row] = 0
        for row in range(CHUNK):
            chunk[taps, row] = 1 if row < count else 0


@compiled
def scratch(k: int, c: int) -> Single:
    """As `aligned`, inside a kernel."""
    raw = np.empty(k * c + LINE // 4, dtype=np.float32)
    start = (-raw.ctypes.data % LINE) // 4
    return raw[start : start + k * c].reshape((k, c))


@compiled
def heights(P: Single, X: Single, Z: Single) -> None:
    """Z = P X for P (k, d) and a chunk X (d, c)."""
    k, (d, c) = P.shape[0], X.shape
    for q in range(0, d, TILE):
        x0, x1, x2, x3, x4, x5, x6, x7 = X[q], X[q + 1], X[q + 2], X[q + 3], X[q + 4], X[q + 5], X[q + 6], X[q + 7]
        for j in range(k):
            z, p = Z[j], P[j, q : q + TILE]
            p0, p1, p2, p3, p4, p5, p6, p7 = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
            if q == 0:
                for i in range(c):
                    z[i] = (
                        p0 * x0[i] + p1 * x1[i] + p2 * x2[i] + p3 * x3[i]
                        + p4 * x4[i] + p5 * x5[i] + p6 * x6[i] + p7 * x7[i]
                    )  # fmt: skip
            else:
                for i in range(c):
                    z[i] += (
                        p0 * x0[i] + p1 * x1[i] + p2 * x2[i] + p3 * x3[i]
                        + p4 * x4[i] + p5 * x5[i] + p6 * x6[i] + p7 * x7[i]
                    )  # fmt: skip


@compiled
def correlate(M: Single, X: Single, G: NDArray[np.float64]) -> None:
    """G += M X' for M (k, c) and a chunk X (d, c)."""
    k, (d, c) = M.shape[0], X.shape
    for q in range(0, d, TILE):
        x0, x1, x2, x3, x4, x5, x6, x7 = X[q], X[q + 1], X[q + 2], X[q + 3], X[q + 4], X[q + 5], X[q + 6], X[q + 7]
        for j in range(k):
            w, g = M[j], G[j, q : q + TILE]
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
            for i in range(c):
                s0 += w[i] * x0[i]
                s1 += w[i] * x1[i]
                s2 += w[i] * x2[i]
                s3 += w[i] * x3[i]
                s4 += w[i] * x4[i]
                s5 += w[i] * x5[i]
                s6 += w[i] * x6[i]
                s7 += w[i] * x7[i]
            g[0] += s0
            g[1] += s1
            g[2] += s2
            g[3] += s3
            g[4] += s4
            g[5] += s5
            g[6] += s6
            g[7] += s7


@compiled
def add_prices(
    X: Single, v: Single, P: Single, bounds: NDArray[np.intp], first: int, stop: int, G: NDArray[np.float64]
) -> None:
    """G[g] += sum over the rows of group g of v_i 1[P x_i > 0] x_i', (k, d), for groups first <= g < stop."""
    zero = np.float32(0)
    Z = scratch(BLOCK, CHUNK)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            weights = v[b]
            for j in range(0, P.shape[0], BLOCK):
                p = P[j : j + BLOCK]
                heights(p, X[b], Z)
                for i in range(p.shape[0]):
                    z = Z[i]
                    for row in range(CHUNK):
                        z[row] = weights[row] if z[row] > zero else zero
                correlate(Z[: p.shape[0]], X[b], G[g, j : j + BLOCK])


@compiled
def add_loss_and_gradient(
    X: Single,
    y: Single,
    n: int,
    P: Single,
    signs: Single,
    widths: Single,
    bounds: NDArray[np.intp],
    first: int,
    stop: int,
    losses: NDArray[np.float64],
    G: NDArray[np.float64],
) -> None:
    """losses[g] += ||r||^2 and G[g] += the gradient of it over 2 without signs, r = sum_j s_j rounded(P_j x) - y.

    rounded(z) = e q^2 + max(z - e, 0), q = clip(z/(2e) + 1/2, 0, 1), with derivative q, for half-widths e > 0.
    """
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    k = P.shape[0]
    Z, r = scratch(k, CHUNK), scratch(1, CHUNK)[0]
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            for row in range(CHUNK):
                r[row] = -y[b, row]
            for j in range(0, k, BLOCK):
                heights(P[j : j + BLOCK], X[b], Z[j : j + BLOCK])
                for i in range(j, min(k, j + BLOCK)):
                    z, s, e = Z[i], signs[i], widths[i]
                    inverse = half / e
                    for row in range(CHUNK):
                        q = min(max(z[row] * inverse + half, zero), one)
                        r[row] += s * (e * q * q + max(z[row] - e, zero))
                        z[row] = q
            for row in range(n - b * CHUNK, CHUNK):
                r[row] = zero
            loss = zero
            for row in range(CHUNK):
                loss += r[row] * r[row]
            losses[g] += loss
            for j in range(0, k, BLOCK):
                for i in range(j, min(k, j + BLOCK)):
                    z = Z[i]
                    for row in range(CHUNK):
                        z[row] *= r[row]
                correlate(Z[j : j + BLOCK], X[b], G[g, j : j + BLOCK])


@compiled
def add_moments(
    X: Single, h: Single, P: Single, left: NDArray[np.intp], right: NDArray[np.intp], bounds: NDArray[np.intp],
    first: int, stop: int, G: NDArray[np.float64],
) -> None:  # fmt: skip
    """G[g] += sum over the rows of h_i 1[P x > 0] x_left x_right, (k, pairs) with padded pairs."""
    zero = np.float32(0)
    pairs = left.shape[0]
    Z, products = scratch(BLOCK, CHUNK), scratch(pairs, CHUNK)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            chunk, weights = X[b], h[b]
            for pair in range(pairs):
                x, z, product = chunk[left[pair]], chunk[right[pair]], products[pair]
                for row in range(CHUNK):
                    product[row] = x[row] * z[row]
            for j in range(0, P.shape[0], BLOCK):
                p = P[j : j + BLOCK]
                heights(p, chunk, Z)
                for i in range(p.shape[0]):
                    z = Z[i]
                    for row in range(CHUNK):
                        z[row] = weights[row] if z[row] > zero else zero
                correlate(Z[: p.shape[0]], products, G[g, j : j + BLOCK])


@compiled
def add_gram(
    X: Single, P: Single, roots: Single, weighted: bool, bounds: NDArray[np.intp], first: int, stop: int,
    Q: NDArray[np.float64],
) -> None:  # fmt: skip
    """Q[g] += Z Z' in the blocks on and below the diagonal, Z = max(P x, 0) root; P has a multiple of TILE rows."""
    zero = np.float32(0)
    k = P.shape[0]
    Z = scratch(k, CHUNK)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            for j in range(0, k, BLOCK):
                heights(P[j : j + BLOCK], X[b], Z[j : j + BLOCK])
            for j in range(k):
                z = Z[j]
                for row in range(CHUNK):
                    z[row] = max(z[row], zero)
                if weighted:
                    root = roots[b]
                    for row in range(CHUNK):
                        z[row] *= root[row]
            for j in range(0, k, BLOCK):
                correlate(Z[j : j + BLOCK], Z[: j + BLOCK], Q[g, j : j + BLOCK])


@compiled
def rounded_outputs(
    X: Single, P: Single, signs: Single, widths: Single, bounds: NDArray[np.intp], first: int, stop: int,
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """out[b] = sum_j s_j rounded(P_j x) for the chunks of groups first <= g < stop; see `add_loss_and_gradient`."""
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    Z, f = scratch(BLOCK, CHUNK), scratch(1, CHUNK)[0]
    for b in range(bounds[first], bounds[stop]):
        for row in range(CHUNK):
            f[row] = zero
        for j in range(0, P.shape[0], BLOCK):
            p = P[j : j + BLOCK]
            heights(p, X[b], Z)
            for i in range(p.shape[0]):
                z, s, e = Z[i], signs[j + i], widths[j + i]
                inverse = half / e
                for row in range(CHUNK):
                    q = min(max(z[row] * inverse + half, zero), one)
                    f[row] += s * (e * q * q + max(z[row] - e, zero))
        for row in range(CHUNK):
            out[b, row] = f[row]


@compiled
def add_rounded_prices(
    X: Single, v: Single, P: Single, widths: Single, bounds: NDArray[np.intp], first: int, stop: int,
    G: NDArray[np.float64],
) -> None:  # fmt: skip
    """As `add_prices`, with the mask rounded over |z| < width."""
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    Z = scratch(BLOCK, CHUNK)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            weights = v[b]
            for j in range(0, P.shape[0], BLOCK):
                p = P[j : j + BLOCK]
                heights(p, X[b], Z)
                for i in range(p.shape[0]):
                    z = Z[i]
                    inverse = half / widths[j + i]
                    for row in range(CHUNK):
                        z[row] = weights[row] * min(max(z[row] * inverse + half, zero), one)
                correlate(Z[: p.shape[0]], X[b], G[g, j : j + BLOCK])


@compiled
def transposed(rows: NDArray[np.float64], first: int, out: NDArray[np.float64]) -> int:
    """Fill out (d, CHUNK) with the columns of up to CHUNK rows from `first`, zeros after them; return their number."""
    count = min(CHUNK, rows.shape[0] - first)
    for k in range(rows.shape[1]):
        for row in range(count):
            out[k, row] = rows[first + row, k]
        for row in range(count, CHUNK):
            out[k, row] = 0.0
    return count


@compiled
def outputs64(
    rows: NDArray[np.float64], P: NDArray[np.float64], signs: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    """out (r,) = sum_j s_j max(P_j x, 0) in float64 for rows (r, d)."""
    X, Z, f = np.zeros((P.shape[1], CHUNK)), np.empty((BLOCK, CHUNK)), np.empty(CHUNK)
    for first in range(0, rows.shape[0], CHUNK):
        count = transposed(rows, first, X)
        f[:] = 0.0
        for j in range(0, P.shape[0], BLOCK):
            p = P[j : j + BLOCK]
            heights(p, X, Z)
            for i in range(p.shape[0]):
                z, s = Z[i], signs[j + i]
                for row in range(CHUNK):
                    f[row] += s * max(z[row], 0.0)
        out[first : first + count] = f[:count]


@compiled
def prices64(rows: NDArray[np.float64], v: NDArray[np.float64], P: NDArray[np.float64], G: NDArray[np.float64]) -> None:
    """G += sum over rows (r, d) of v_i 1[P x_i > 0] x_i', in float64."""
    X, Z, weights = np.zeros((P.shape[1], CHUNK)), np.empty((BLOCK, CHUNK)), np.zeros(CHUNK)
    for first in range(0, rows.shape[0], CHUNK):
        count = transposed(rows, first, X)
        weights[:count] = v[first : first + count]
        for j in range(0, P.shape[0], BLOCK):
            p = P[j : j + BLOCK]
            heights(p, X, Z)
            for i in range(p.shape[0]):
                z = Z[i]
                for row in range(CHUNK):
                    z[row] = weights[row] if z[row] > 0.0 else 0.0
            correlate(Z[: p.shape[0]], X, G[j : j + BLOCK])


@compiled
def correlations64(
    rows: NDArray[np.float64], V: NDArray[np.float64], P: NDArray[np.float64], G: NDArray[np.float64]
) -> None:
    """G += sum over rows (r, d) of max(P x_i, 0) v_i', in float64; V (r, q) with q a multiple of TILE."""
    X, Z, columns = np.zeros((P.shape[1], CHUNK)), np.empty((BLOCK, CHUNK)), np.empty((V.shape[1], CHUNK))
    for first in range(0, rows.shape[0], CHUNK):
        transposed(rows, first, X)
        transposed(V, first, columns)
        for j in range(0, P.shape[0], BLOCK):
            p = P[j : j + BLOCK]
            heights(p, X, Z)
            for i in range(p.shape[0]):
                z = Z[i]
                for row in range(CHUNK):
                    z[row] = max(z[row], 0.0)
            correlate(Z[: p.shape[0]], columns, G[j : j + BLOCK])
