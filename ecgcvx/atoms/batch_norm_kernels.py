"""Compiled passes of normalised neurons: sums over all rows first, then prices of the centred residuals."""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.kernels import BLOCK, CHUNK, Single, compiled, correlate, heights


@compiled
def add_sums(
    X: Single, v: Single, n: int, P: Single, widths: Single, shifts: Single, bounds: NDArray[np.intp], first: int,
    stop: int, S: NDArray[np.float64],
) -> None:  # fmt: skip
    """S[g] += (sum h, sum h^2, sum v h) over the rows of group g, (k, 3), with h = rounded(P x) - shift.

    rounded(z) = e q^2 + max(z - e, 0), q = clip(z/(2e) + 1/2, 0, 1), for half-widths e > 0.
    """
    zero, half, one = X.dtype.type(0), X.dtype.type(0.5), X.dtype.type(1)
    Z = np.empty((BLOCK, CHUNK), X.dtype)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            count, weights = min(CHUNK, n - b * CHUNK), v[b]
            for j in range(0, P.shape[0], BLOCK):
                p = P[j : j + BLOCK]
                heights(p, X[b], Z)
                for i in range(p.shape[0]):
                    z, e, shift = Z[i], widths[j + i], shifts[j + i]
                    inverse = half / e
                    total = square = product = zero
                    for row in range(count):
                        q = min(max(z[row] * inverse + half, zero), one)
                        h = e * q * q + max(z[row] - e, zero) - shift
                        total += h
                        square += h * h
                        product += weights[row] * h
                    S[g, j + i, 0] += total
                    S[g, j + i, 1] += square
                    S[g, j + i, 2] += product


@compiled
def add_centred_prices(
    X: Single, v: Single, P: Single, widths: Single, constants: Single, slopes: Single, bounds: NDArray[np.intp],
    first: int, stop: int, G: NDArray[np.float64],
) -> None:  # fmt: skip
    """G[g] += sum over the rows of group g of q (v_i + constant_j + slope_j h) x_i', h without a shift."""
    zero, half, one = X.dtype.type(0), X.dtype.type(0.5), X.dtype.type(1)
    Z = np.empty((BLOCK, CHUNK), X.dtype)
    for g in range(first, stop):
        for b in range(bounds[g], bounds[g + 1]):
            weights = v[b]
            for j in range(0, P.shape[0], BLOCK):
                p = P[j : j + BLOCK]
                heights(p, X[b], Z)
                for i in range(p.shape[0]):
                    z, e, constant, slope = Z[i], widths[j + i], constants[j + i], slopes[j + i]
                    inverse = half / e
                    for row in range(CHUNK):
                        q = min(max(z[row] * inverse + half, zero), one)
                        h = e * q * q + max(z[row] - e, zero)
                        z[row] = q * (weights[row] + constant + slope * h)
                correlate(Z[: p.shape[0]], X[b], G[g, j : j + BLOCK])
