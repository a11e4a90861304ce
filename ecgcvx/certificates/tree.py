"""Windows in a tree of groups that lie close together, with what is needed of each group in place of its rows.

A group holds rows of one sign of rho, which stand next to each other. A cell of directions takes the largest groups
that it cannot tell apart from one point, and looks at rows only where it must.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.certificates.kernels import OUTWARD, kernel
from ecgcvx.types import Array

NODES = 1 << 16  # at most, of a tree
LEAF = 16  # rows that are not divided further
FLOAT32_UP = 1.0 + 2.0**-22  # what is multiplied by it is not below itself when rounded to float32


class Tree(NamedTuple):
    """Groups k = 0, 1, ... of rows first[k]:stop[k], largest first; those of rho > 0 descend from 0, the others from 1.

    child : the first of two that it is divided into, else -1. mass R = sum |rho_i|, centroid sum |rho_i| x_i / R,
    second: M = sum |rho_i| x_i x_i', its lower triangle. variance : of each coordinate. extent : the most that
    |x_ij - m_j| may be, m the centroid in float32; radius : the most of ||x_i - m||; both rounded outwards.
    """

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    child: NDArray[np.int64]
    mass: Array
    centroid: Array
    second: NDArray[np.float32]
    variance: NDArray[np.float32]
    extent: NDArray[np.float32]
    radius: Array


class RowTree(NamedTuple):
    """Rows in the order of a tree, followed by the centroids of its groups; rho: their weights, and signed masses."""

    X: NDArray[np.float32]
    rho: Array
    tree: Tree


def grow(X: NDArray[np.float32], rho: Array) -> tuple[Tree, NDArray[np.int64]]:
    """Return the tree of the rows X (n, d) with rho != 0, and their order in it."""
    order = np.concatenate([np.flatnonzero(rho > 0), np.flatnonzero(rho < 0)])
    n, d = len(order), X.shape[1]
    size = min(NODES, 2 * n) + 2
    first, stop, child = np.zeros(size, np.int64), np.zeros(size, np.int64), np.full(size, -1)
    stop[0] = first[1] = np.count_nonzero(rho > 0)
    stop[1] = n
    count = _divide(X, rho, order, first, stop, child)
    tree = Tree(
        first[:count], stop[:count], child[:count], np.zeros(count), np.zeros((count, d)),
        np.zeros((count, d * (d + 1) // 2), np.float32), np.zeros((count, d), np.float32),
        np.zeros((count, d), np.float32), np.zeros(count),
    )  # fmt: skip
    _gather(X, rho, order, *tree)
    return tree, order


@kernel
def _divide(X: Any, rho: Any, order: Any, first: Any, stop: Any, child: Any) -> int:
    """Divide groups at their mean along the axis of largest variance, from 0 and 1 on; return how many there are."""
    d, count, k = X.shape[1], 2, 0
    sums, squares = np.zeros(d), np.zeros(d)
    while k < count:
        a, b = first[k], stop[k]
        k += 1
        if b - a <= LEAF or count + 2 > len(first):
            continue
        mass = 0.0
        sums[:] = 0.0
        squares[:] = 0.0
        for at in range(a, b):
            i = order[at]
            r = abs(rho[i])
            mass += r
            for j in range(d):
                x = np.float64(X[i, j])
                sums[j] += r * x
                squares[j] += r * x * x
        axis, most = 0, -1.0
        for j in range(d):
            variance = squares[j] / mass - (sums[j] / mass) ** 2
            if variance > most:
                axis, most = j, variance
        cut, m, e = sums[axis] / mass, a, b - 1
        while m <= e:
            i = order[m]
            if np.float64(X[i, axis]) < cut:
                m += 1
            else:
                order[m] = order[e]
                order[e] = i
                e -= 1
        if a < m < b:
            child[k - 1] = count
            first[count], stop[count], first[count + 1], stop[count + 1] = a, m, m, b
            count += 2
    return count


@kernel
def _gather(
    X: Any, rho: Any, order: Any, first: Any, stop: Any, child: Any, mass: Any, centroid: Any, second: Any,
    variance: Any, extent: Any, radius: Any,
) -> None:  # fmt: skip
    """Fill what is known of each group, from its rows or from its two children."""
    count, d = centroid.shape
    moment, low, high = np.zeros((count, second.shape[1])), np.zeros((count, d)), np.zeros((count, d))
    middle = np.zeros(d)
    for k in range(count - 1, -1, -1):
        if first[k] == stop[k]:
            continue
        if child[k] >= 0:
            a, b = child[k], child[k] + 1
            mass[k] = mass[a] + mass[b]
            for j in range(d):
                centroid[k, j] = (mass[a] * centroid[a, j] + mass[b] * centroid[b, j]) / mass[k]
                low[k, j], high[k, j] = min(low[a, j], low[b, j]), max(high[a, j], high[b, j])
            for q in range(second.shape[1]):
                moment[k, q] = moment[a, q] + moment[b, q]
        else:
            low[k, :] = np.inf
            high[k, :] = -np.inf
            for at in range(first[k], stop[k]):
                i, q = order[at], 0
                r = abs(rho[i])
                mass[k] += r
                for j in range(d):
                    x = np.float64(X[i, j])
                    centroid[k, j] += r * x
                    low[k, j], high[k, j] = min(low[k, j], x), max(high[k, j], x)
                    for p in range(j + 1):
                        moment[k, q] += r * x * X[i, p]
                        q += 1
            for j in range(d):
                centroid[k, j] /= mass[k]
        longest, far, q = 0.0, 0.0, 0
        for j in range(d):
            variance[k, j] = max(moment[k, q + j] / mass[k] - centroid[k, j] ** 2, 0.0)
            q += j + 1
            middle[j] = np.float32(centroid[k, j])
            wide = max(high[k, j] - middle[j], middle[j] - low[k, j])
            wide += OUTWARD * (abs(low[k, j]) + abs(high[k, j]))
            extent[k, j] = wide * FLOAT32_UP
            longest += np.float64(extent[k, j]) ** 2
        for at in range(first[k], stop[k]):
            s = 0.0
            for j in range(d):
                s += (X[order[at], j] - middle[j]) ** 2
            far = max(far, s)
        radius[k] = np.sqrt(min(far, longest)) + OUTWARD * np.sqrt(longest)
        for q in range(second.shape[1]):
            second[k, q] = moment[k, q]
