"""Windows that a cell of directions cannot tell apart are summed: clusters, in the metric of the cell.

A cell is the set of w with |w_j - c_j| <= h_j for the coordinates cut so far (box), ||w|| <= 1 and so ||w_F|| <= t for
the coordinates F that are not. Over it x'w moves by at most

    reach(x) = sum_{cut} |x_j| h_j + t ||x_F||

about z = x'c. Where |z| >= reach the sign of x'w is fixed. Two windows x, x' differ there by at most
|(x - x')'c| + reach(x - x'): thin along c, generous across it, so that few clusters do for many windows.
"""

from typing import Any

import numba
import numpy as np

FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; infinities and NaN keep their meaning
kernel = numba.njit(fastmath=FAST, cache=True, nogil=True, error_model="numpy")
OUTWARD = 1e-12  # relative widening of every length that decides a sign; rounding in d terms is far below it
TOP = 256  # of the stack of splits


@kernel
def reach_of(x: Any, half: Any, free: Any, t: float) -> float:
    """Return sum_{cut} |x_j| h_j + t ||x_F||; half is 0 on F, free is 1 there and 0 elsewhere."""
    a, s = 0.0, 0.0
    for j in range(len(x)):
        a += abs(x[j]) * half[j]
        s += x[j] * x[j] * free[j]
    return a + t * np.sqrt(s)


@kernel
def screen(
    X: Any, rho: Any, centre: Any, half: Any, free: Any, t: float, rows: Any, heights: Any, fixed: Any
) -> tuple[int, int]:
    """Sum rho_i sgn(x_i'w) x_i over rows of fixed sign into `fixed`; list the others, those with rho > 0 first.

    heights: x_i'c of every row. Return the numbers of listed rows with rho > 0 and with rho < 0; the latter stand at
    the end of `rows`.
    """
    n, d = X.shape
    up, down = 0, n
    for j in range(d):
        fixed[j] = 0.0
    for i in range(n):
        if rho[i] == 0.0:
            continue
        z, a, s, size = 0.0, 0.0, 0.0, 0.0
        for j in range(d):
            x = np.float64(X[i, j])
            z += x * centre[j]
            a += abs(x) * half[j]
            s += x * x * free[j]
            size += x * x
        heights[i] = z
        a += t * np.sqrt(s)
        if abs(z) >= a + OUTWARD * np.sqrt(size):
            weight = rho[i] if z > 0 else -rho[i]
            for j in range(d):
                fixed[j] += weight * X[i, j]
        elif rho[i] > 0:
            rows[up] = i
            up += 1
        else:
            down -= 1
            rows[down] = i
    return up, n - down


@kernel
def _add(X: Any, rho: Any, heights: Any, i: int, sums: Any) -> None:
    """Add a row to (mass, sum |rho| x'c, sum |rho| (x'c)^2, sum |rho| x_j, sum |rho| x_j^2)."""
    d = X.shape[1]
    r, z = abs(rho[i]), heights[i]
    sums[0] += r
    sums[1] += r * z
    sums[2] += r * z * z
    for j in range(d):
        x = np.float64(X[i, j])
        sums[3 + j] += r * x
        sums[3 + d + j] += r * x * x


@kernel
def split(
    X: Any, rho: Any, heights: Any, rows: Any, up: int, down: int, half: Any, free: Any, t: float, coarse: float,
    light: float, first: Any, stop: Any,
) -> int:  # fmt: skip
    """Cut the listed rows into clusters of one sign of rho, contiguous in `rows`; return their number.

    A cluster is cut at its mean along the feature of largest variance, x'c or one x_j h_j, while the root of the sum of
    these variances is above `coarse` times the reach of its mean, and times its mass above `light`. When the tables are
    full, larger clusters are kept.
    """
    n, d = X.shape
    stack, sums = np.empty((TOP, 2), np.int64), np.zeros((TOP, 3 + 2 * d))
    for k in range(up):
        _add(X, rho, heights, rows[k], sums[0])
    for k in range(n - down, n):
        _add(X, rho, heights, rows[k], sums[1])
    stack[0, 0], stack[0, 1] = 0, up
    stack[1, 0], stack[1, 1] = n - down, n
    top, count = 2, 0
    scale, mean, own = np.empty(d), np.empty(d), np.empty(3 + 2 * d)
    for j in range(d):
        scale[j] = (half[j] + free[j] * t) ** 2
    while top > 0:
        top -= 1
        a, b = stack[top, 0], stack[top, 1]
        if a == b:
            continue
        own[:] = sums[top]
        mass = own[0]
        cut = own[1] / mass
        best, axis = max(own[2] / mass - cut * cut, 0.0), d
        total = best
        for j in range(d):
            mean[j] = own[3 + j] / mass
            variance = max(own[3 + d + j] / mass - mean[j] * mean[j], 0.0) * scale[j]
            total += variance
            if variance > best:
                best, axis, cut = variance, j, mean[j]
        wide, full = np.sqrt(total), count + top + 2 > len(first) or top + 2 > TOP
        if b - a > 1 and wide > coarse * reach_of(mean, half, free, t) and mass * wide > light and not full:
            sums[top, :] = 0.0
            m, k = a, b - 1
            while m <= k:
                i = rows[m]
                if (heights[i] if axis == d else np.float64(X[i, axis])) < cut:
                    _add(X, rho, heights, i, sums[top])
                    m += 1
                else:
                    rows[m] = rows[k]
                    rows[k] = i
                    k -= 1
            if a < m < b:
                stack[top, 0], stack[top, 1] = a, m
                stack[top + 1, 0], stack[top + 1, 1] = m, b
                sums[top + 1] = own - sums[top]
                if not sums[top + 1, 0] > 0:  # a cluster whose mass is lost in rounding
                    sums[top + 1, 0] = mass * 1e-16
                top += 2
                continue
        first[count], stop[count] = a, b
        count += 1
    return count


@kernel
def summarise(
    X: Any, rho: Any, heights: Any, rows: Any, first: Any, stop: Any, count: int, half: Any, free: Any, t: float,
    sign: Any, mass: Any, centroid: Any, second: Any, trace: Any, spread: Any,
) -> None:  # fmt: skip
    """Fill what is known of each cluster: sign of rho, mass R = sum |rho_i|, centroid sum |rho_i| x_i / R,

    M = sum |rho_i| x_i x_i' (its lower triangle), tr M, and the spread: the most that x_i'w may differ from that of
    the centroid for w in the cell, rounded outwards.
    """
    d = X.shape[1]
    moment, e = np.empty((d, d)), np.empty(d)
    for k in range(count):
        total, height = 0.0, 0.0
        moment[:] = 0.0
        for j in range(d):
            e[j] = 0.0
        for at in range(first[k], stop[k]):
            i = rows[at]
            r = abs(rho[i])
            total += r
            height += r * heights[i]
            for a in range(d):
                weighted = r * X[i, a]
                e[a] += weighted
                for b in range(d):
                    moment[a, b] += weighted * X[i, b]
        sign[k] = 1 if rho[rows[first[k]]] > 0 else -1
        mass[k], height, trace[k] = total, height / total, 0.0
        q = 0
        for a in range(d):
            centroid[k, a] = e[a] / total
            trace[k] += moment[a, a]
            for b in range(a + 1):
                second[k, q] = moment[a, b]
                q += 1
        wide = 0.0
        for at in range(first[k], stop[k]):
            i, c, s = rows[at], 0.0, 0.0
            for j in range(d):
                x = X[i, j] - centroid[k, j]
                c += abs(x) * half[j]
                s += x * x * free[j]
            wide = max(wide, abs(heights[i] - height) + c + t * np.sqrt(s))
        longest = np.sqrt(trace[k] / total) + wide
        for at in range(first[k], stop[k]):
            s = 0.0
            for j in range(d):
                s += np.float64(X[rows[at], j]) ** 2
            longest = max(longest, np.sqrt(s))
        spread[k] = wide * (1.0 + OUTWARD) + OUTWARD * longest
