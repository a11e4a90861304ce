"""Networks row by row in one order of summation: a row has the same bits alone, in any batch and in a stream.

    z_j = (..((x_0 w_0j) + x_1 w_1j) + ..) + x_{d-1} w_{d-1,j},     f = sum of 8 partial sums over j mod 8, pairwise

A BLAS chooses its kernel, and with it the rounding, by the shape of the product: x @ W is not a row of X @ W. Here the
registers hold 8 rows (batch) or 8 neurons (single row), every entry sees the same operations, and the compiler may
neither reorder nor fuse them (no fastmath), so that the bits depend on no width of the machine either.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.compilation import cached_njit
from ecgcvx.types import Array

Bools = NDArray[np.bool_]
TILE = 8  # columns that a product takes at a time
ROWS = 128  # of a tile: with 16 columns 16 kB, in the first cache
SUMS = 8
RELU, GATED, POLYNOMIAL = 0, 1, 2
compiled: Any = cached_njit(nogil=True, boundscheck=False, error_model="numpy")
NONE: Bools = np.empty((0, 0), dtype=np.bool_)


class Layers(NamedTuple):
    """A two-layer network for the kernels.

    W1, gates : (m, padded d), a neuron a row; gates (0, 0) without gates. W2 : (m,). polynomial : (3,). kind : RELU,
    GATED or POLYNOMIAL. linear : (padded d,) of a linear part, (0,) without one.
    """

    W1: Array
    gates: Array
    W2: Array
    polynomial: Array
    kind: int
    linear: Array

    def columns(self) -> "Layers":
        """The same with W1 and gates (padded d, m), as `row_output` takes them."""
        return self._replace(W1=np.ascontiguousarray(self.W1.T), gates=np.ascontiguousarray(self.gates.T))


def layers(
    W1: Array,
    W2: Array,
    gates: Array | None = None,
    polynomial: tuple[float, float, float] | None = None,
    linear: Array | None = None,
) -> Layers:
    """Return W1 (d, m), W2 (m,), gates (d, m) or (a, b, c), and linear (d,) as the kernels take them: d padded."""
    kind = GATED if gates is not None else RELU if polynomial is None else POLYNOMIAL
    return Layers(
        _neurons(W1),
        np.empty((0, 0)) if gates is None else _neurons(gates),
        np.array(W2, dtype=np.float64),
        np.array(polynomial or (0.0, 0.0, 0.0)),
        kind,
        np.empty(0) if linear is None else _neurons(linear[:, None])[0],
    )


def product(X: Array, W: Array) -> Array:
    """Return X W (n, m) for X (n, d) and W (d, m), each row summed in the one order of this module."""
    out = np.empty((X.shape[0], W.shape[1]))
    _product(np.ascontiguousarray(X, dtype=np.float64), _neurons(W), out)
    return out


def predict_rows(X: Array, network: Layers, out: Array) -> None:
    """Write f (n,) of the rows X (n, d) into `out`."""
    _predict_rows(np.ascontiguousarray(X, dtype=np.float64), *network, out)


def padded(d: int) -> int:
    """The least multiple of TILE that is not below d."""
    return -(-d // TILE) * TILE


def _neurons(W: Array) -> Array:
    """W' (m, d), padded by columns of zeros."""
    out = np.zeros((W.shape[1], padded(W.shape[0])))
    out[:, : len(W)] = W.T
    return out


@compiled
def tile_heights(X: Array, w: Array, z: Array) -> None:
    """z = w'X for a tile X (padded d, ROWS) and a neuron w (padded d,)."""
    for i in range(ROWS):
        z[i] = 0.0
    for q in range(0, X.shape[0], TILE):
        x0, x1, x2, x3, x4, x5, x6, x7 = X[q], X[q + 1], X[q + 2], X[q + 3], X[q + 4], X[q + 5], X[q + 6], X[q + 7]
        w0, w1, w2, w3, w4, w5, w6, w7 = w[q], w[q + 1], w[q + 2], w[q + 3], w[q + 4], w[q + 5], w[q + 6], w[q + 7]
        for i in range(ROWS):
            z[i] = (
                z[i] + x0[i] * w0 + x1[i] * w1 + x2[i] * w2 + x3[i] * w3
                + x4[i] * w4 + x5[i] * w5 + x6[i] * w6 + x7[i] * w7
            )  # fmt: skip


@compiled
def row_heights(x: Array, W: Array, z: Array) -> None:
    """z = W'x for one row x (padded d,) and W (padded d, m)."""
    m = W.shape[1]
    for j in range(m):
        z[j] = 0.0
    for q in range(0, W.shape[0], TILE):
        x0, x1, x2, x3, x4, x5, x6, x7 = x[q], x[q + 1], x[q + 2], x[q + 3], x[q + 4], x[q + 5], x[q + 6], x[q + 7]
        w0, w1, w2, w3, w4, w5, w6, w7 = W[q], W[q + 1], W[q + 2], W[q + 3], W[q + 4], W[q + 5], W[q + 6], W[q + 7]
        for j in range(m):
            z[j] = (
                z[j] + x0 * w0[j] + x1 * w1[j] + x2 * w2[j] + x3 * w3[j]
                + x4 * w4[j] + x5 * w5[j] + x6 * w6[j] + x7 * w7[j]
            )  # fmt: skip


@compiled
def row_height(x: Array, w: Array) -> float:
    """w'x for one row x (padded d,) and one w (padded d,), summed as in `row_heights`."""
    z = 0.0
    for q in range(0, len(w), TILE):
        z = (
            z + x[q] * w[q] + x[q + 1] * w[q + 1] + x[q + 2] * w[q + 2] + x[q + 3] * w[q + 3]
            + x[q + 4] * w[q + 4] + x[q + 5] * w[q + 5] + x[q + 6] * w[q + 6] + x[q + 7] * w[q + 7]
        )  # fmt: skip
    return z


@compiled
def tile_output(
    X: Array,
    W1: Array,
    gates: Array,
    W2: Array,
    polynomial: Array,
    kind: int,
    linear: Array,
    work: Array,
    on: Bools,
    f: Array,
) -> None:
    """f (ROWS,) of a tile X (padded d, ROWS), W1 and gates (m, padded d), linear (padded d,) or empty.

    on : (m, ROWS) or empty, the active patterns. work : (SUMS + 2, ROWS).
    """
    sums, z, g = work[:SUMS], work[SUMS], work[SUMS + 1]
    sums[:] = 0.0
    for j in range(len(W2)):
        tile_heights(X, W1[j], z)
        total, a2 = sums[j % SUMS], W2[j]
        if kind == 0:
            for i in range(ROWS):
                total[i] += a2 * (z[i] if z[i] > 0.0 else 0.0)
        elif kind == 1:
            tile_heights(X, gates[j], g)
            for i in range(ROWS):
                total[i] += a2 * (z[i] if g[i] >= 0.0 else 0.0)
        else:
            a, b, c = polynomial[0], polynomial[1], polynomial[2]
            for i in range(ROWS):
                total[i] += a2 * ((a * z[i] + b) * z[i] + c)
        if on.shape[0]:
            row = on[j]
            for i in range(ROWS):
                row[i] = kind == 2 or (z[i] > 0.0 if kind == 0 else g[i] >= 0.0)
    for i in range(ROWS):
        f[i] = ((sums[0, i] + sums[1, i]) + (sums[2, i] + sums[3, i])) + (
            (sums[4, i] + sums[5, i]) + (sums[6, i] + sums[7, i])
        )
    if linear.shape[0]:
        tile_heights(X, linear, z)
        for i in range(ROWS):
            f[i] += z[i]


@compiled
def row_output(
    x: Array, W1: Array, gates: Array, W2: Array, polynomial: Array, kind: int, linear: Array, work: Array, on: Bools
) -> float:
    """f of one row x (padded d,), W1 and gates (padded d, m), and its active patterns in on (m,). work : (2, m)."""
    z, g = work[0], work[1]
    m = len(W2)
    row_heights(x, W1, z)
    if kind == 0:
        for j in range(m):
            on[j] = z[j] > 0.0
            z[j] = W2[j] * (z[j] if z[j] > 0.0 else 0.0)
    elif kind == 1:
        row_heights(x, gates, g)
        for j in range(m):
            on[j] = g[j] >= 0.0
            z[j] = W2[j] * (z[j] if g[j] >= 0.0 else 0.0)
    else:
        a, b, c = polynomial[0], polynomial[1], polynomial[2]
        for j in range(m):
            on[j] = True
            z[j] = W2[j] * ((a * z[j] + b) * z[j] + c)
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = m // SUMS * SUMS
    for j in range(0, whole, SUMS):
        s0 += z[j]
        s1 += z[j + 1]
        s2 += z[j + 2]
        s3 += z[j + 3]
        s4 += z[j + 4]
        s5 += z[j + 5]
        s6 += z[j + 6]
        s7 += z[j + 7]
    s0 += z[whole] if m > whole else 0.0
    s1 += z[whole + 1] if m > whole + 1 else 0.0
    s2 += z[whole + 2] if m > whole + 2 else 0.0
    s3 += z[whole + 3] if m > whole + 3 else 0.0
    s4 += z[whole + 4] if m > whole + 4 else 0.0
    s5 += z[whole + 5] if m > whole + 5 else 0.0
    s6 += z[whole + 6] if m > whole + 6 else 0.0
    f = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    return f + row_height(x, linear) if linear.shape[0] else f


@compiled
def _transpose(X: Array, first: int, tile: Array) -> int:
    """Rows of X from `first` as columns of the tile, zeros after the last one; returns how many."""
    rows = min(ROWS, X.shape[0] - first)
    for i in range(rows):
        for k in range(X.shape[1]):
            tile[k, i] = X[first + i, k]
    for k in range(X.shape[1]):
        for i in range(rows, ROWS):
            tile[k, i] = 0.0
    return rows


@compiled
def _predict_rows(
    X: Array, W1: Array, gates: Array, W2: Array, polynomial: Array, kind: int, linear: Array, out: Array
) -> None:
    tile, f = np.zeros((W1.shape[1], ROWS)), np.empty(ROWS)
    work, on = np.empty((SUMS + 2, ROWS)), np.empty((0, 0), dtype=np.bool_)
    for first in range(0, X.shape[0], ROWS):
        rows = _transpose(X, first, tile)
        tile_output(tile, W1, gates, W2, polynomial, kind, linear, work, on, f)
        out[first : first + rows] = f[:rows]


@compiled
def _product(X: Array, W: Array, out: Array) -> None:
    tile, z = np.zeros((W.shape[1], ROWS)), np.empty(ROWS)
    for first in range(0, X.shape[0], ROWS):
        rows = _transpose(X, first, tile)
        for j in range(len(W)):
            tile_heights(tile, W[j], z)
            for i in range(rows):
                out[first + i, j] = z[i]
