"""Compiled sums over rows that share an activation pattern: 8 patterns at a time, each row is added once.

A row lies in some of 8 patterns; one byte says in which, the row's code. With S_ab the sum of x x' over the rows whose
codes for two groups of 8 patterns are a and b, all 64 blocks between the groups come from few sums:

    X'D_i D_j X = sum over pairs (a, b) with bit i in a and bit j in b of S_ab

A row costs d^2 / 2 operations for 64 blocks in place of 64 d^2. On record 208 (86,385 windows) two groups of Gaussian
gates have some 900 pairs of codes, and the sums over them cost a tenth of the passes over the rows. Products with a
vector work in the same way on single codes. The order of all sums is fixed by the rows alone.

Source: the idea is the method of the four Russians (Arlazarov et al. 1970), which tabulates products of bit matrices.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.compilation import cached_njit
from ecgcvx.types import Array

Codes = NDArray[np.uint8]
PATTERNS_A_CODE = 8
KEYS = 1 << 16  # pairs of codes
TILE = 4  # columns of x x' that a loop over rows sums at once
ROWS = 128  # of a tile: with 16 columns 16 kB, in the first cache
BLOCK = 256  # rows whose products with vectors are formed together
BUCKET_ELEMENTS = 1 << 20  # of the sums S_ab held at once: 8 MB
# Sums of products may be fused and regrouped: the order is the compiler's, but the same in every run and thread.
compiled: Any = cached_njit(nogil=True, boundscheck=False, error_model="numpy",
                     fastmath={"contract", "reassoc", "nsz"})  # fmt: skip


def codes_of(masks: NDArray[np.bool_]) -> Codes:
    """Return the codes (ceil(p / 8), rows) of masks (p, rows), the first pattern in the highest bit."""
    return np.packbits(masks, axis=0)


def bits_of(codes: NDArray[Any]) -> Array:
    """Return the 8 bits of each code as 0 and 1, (k, 8)."""
    return np.unpackbits(codes.astype(np.uint8)[:, None], axis=1).astype(np.float64)


ALL_BITS = bits_of(np.arange(256))


def pair_products(X: Array, first: Codes, second: Codes) -> Array:
    """Return X'D_i D_j X for 8 patterns i and 8 patterns j, (8, 8, d, d).

    X : (rows, d). first, second : codes (rows,) of the two groups of patterns.
    """
    n, d = X.shape
    most = min(n, KEYS)
    order, starts, keys = np.empty(n, np.int32), np.empty(most + 1, np.int64), np.empty(most, np.int64)
    count = _sort_by_codes(first, second, np.zeros(KEYS, np.int64), order, starts, keys)
    width = -(-d // TILE) * TILE
    tile = np.zeros((width, ROWS))
    total = np.zeros((PATTERNS_A_CODE**2, width * width))
    step = max(BUCKET_ELEMENTS // width**2, 1)
    for begin in range(0, count, step):
        end = min(begin + step, count)
        sums = np.zeros((end - begin, width * width))
        _bucket_moments(X, order, starts[begin : end + 1], tile, sums)
        both = bits_of(keys[begin:end] >> 8)[:, :, None] * bits_of(keys[begin:end] & 255)[:, None, :]
        total += both.reshape(end - begin, -1).T @ sums
    upper = np.triu(total.reshape(-1, width, width)[:, :d, :d])
    return (upper + np.triu(upper, 1).transpose(0, 2, 1)).reshape(PATTERNS_A_CODE, PATTERNS_A_CODE, d, d)


def apply_rows(X: Array, codes: Codes, coefficients: Array) -> Array:
    """Return sum_i D_i X z_i (rows,) of z (p, d); codes : (ceil(p / 8), rows)."""
    groups, d = len(codes), X.shape[1]
    padded = np.zeros((groups * PATTERNS_A_CODE, d))
    padded[: len(coefficients)] = coefficients
    table = np.matmul(ALL_BITS, padded.reshape(groups, PATTERNS_A_CODE, d))
    out = np.empty(len(X))
    _apply(X, np.ascontiguousarray(codes), table, out)
    return out


def add_code_sums(X: Array, codes: Codes, r: Array, sums: Array) -> None:
    """Add r_k x_k to the sum of each row's code in every group; sums : (groups, 256, d)."""
    _code_sums(X, np.ascontiguousarray(codes), r, sums)


def correlations(sums: Array, p: int) -> Array:
    """Return sum_k (D_i)_kk r_k x_k of the p patterns (p, d) from the sums of `add_code_sums`."""
    return np.matmul(ALL_BITS.T, sums).reshape(-1, sums.shape[2])[:p]


@compiled
def _sort_by_codes(
    first: Codes, second: Codes, counts: NDArray[np.int64], order: NDArray[np.int32], starts: NDArray[np.int64],
    keys: NDArray[np.int64],
) -> int:  # fmt: skip
    """Rows in the order of their pairs of codes; starts and keys of the pairs that occur; returns their number."""
    for k in range(len(first)):
        counts[first[k] * 256 + second[k]] += 1
    found, at = 0, 0
    for key in range(KEYS):
        count = counts[key]
        if count:
            keys[found], starts[found], counts[key] = key, at, at
            found += 1
            at += count
    starts[found] = at
    for k in range(len(first)):
        key = first[k] * 256 + second[k]
        order[counts[key]] = k
        counts[key] += 1
    return found


@compiled
def _bucket_moments(X: Array, order: NDArray[np.int32], starts: NDArray[np.int64], tile: Array, sums: Array) -> None:
    """sums[q] = upper triangle (and some more) of the sum of x x' over the rows order[starts[q] : starts[q + 1]]."""
    width, d = tile.shape[0], X.shape[1]
    for q in range(len(sums)):
        out = sums[q]
        begin = starts[q]
        while begin < starts[q + 1]:
            rows = min(ROWS, starts[q + 1] - begin)
            for r in range(rows):
                x = X[order[begin + r]]
                for i in range(d):
                    tile[i, r] = x[i]
            begin += rows
            end = (rows + 7) // 8 * 8
            for i in range(d):
                for r in range(rows, end):
                    tile[i, r] = 0.0
            for j in range(0, width, TILE):
                t0, t1, t2, t3 = tile[j], tile[j + 1], tile[j + 2], tile[j + 3]
                for i in range(0, j + TILE, 2):
                    a, b = tile[i], tile[i + 1]
                    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
                    for r in range(end):
                        a0 += a[r] * t0[r]
                        a1 += a[r] * t1[r]
                        a2 += a[r] * t2[r]
                        a3 += a[r] * t3[r]
                        b0 += b[r] * t0[r]
                        b1 += b[r] * t1[r]
                        b2 += b[r] * t2[r]
                        b3 += b[r] * t3[r]
                    at = i * width + j
                    out[at] += a0
                    out[at + 1] += a1
                    out[at + 2] += a2
                    out[at + 3] += a3
                    at += width
                    out[at] += b0
                    out[at + 1] += b1
                    out[at + 2] += b2
                    out[at + 3] += b3


@compiled
def _apply(X: Array, codes: Codes, table: Array, out: Array) -> None:
    n, d = X.shape
    filters = np.empty((BLOCK, d))
    for begin in range(0, n, BLOCK):
        rows = min(BLOCK, n - begin)
        filters[:rows] = 0.0
        for g in range(len(codes)):
            for r in range(rows):
                entry, total = table[g, codes[g, begin + r]], filters[r]
                for i in range(d):
                    total[i] += entry[i]
        for r in range(rows):
            x, total, f = X[begin + r], filters[r], 0.0
            for i in range(d):
                f += x[i] * total[i]
            out[begin + r] = f


@compiled
def _code_sums(X: Array, codes: Codes, r: Array, sums: Array) -> None:
    n, d = X.shape
    for begin in range(0, n, BLOCK):
        stop = min(begin + BLOCK, n)
        for g in range(len(codes)):
            for k in range(begin, stop):
                total, x, weight = sums[g, codes[g, k]], X[k], r[k]
                for i in range(d):
                    total[i] += weight * x[i]
