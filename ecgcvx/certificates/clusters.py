"""Windows that a cell of directions cannot tell apart are summed: clusters, in the metric of the cell.

A cell is the set of w with |w_j - c_j| <= h_j for the coordinates cut so far (box), ||w|| <= 1 and so ||w_F|| <= t for
the coordinates F that are not. Over it x'w moves by at most

    reach(x) = sum_{cut} |x_j| h_j + t ||x_F||

about z = x'c. Where |z| >= reach the sign of x'w is fixed. Two windows x, x' differ there by at most
|(x - x')'c| + reach(x - x'): thin along c, generous across it, so that few clusters do for many windows.

What is sorted here are items: a window, i < n, or a group of the tree, n + k, where that is fine enough by itself.
"""

from typing import Any

import numpy as np

from ecgcvx.certificates.kernels import OUTWARD, kernel

TOP = 256  # of the stacks of groups and of splits
SAMPLE = 64  # items, of many, that say where a cluster is cut


@kernel
def reach_of(x: Any, half: Any, free: Any, t: float) -> float:
    """Return sum_{cut} |x_j| h_j + t ||x_F||; half is 0 on F, free is 1 there and 0 elsewhere."""
    a, s = 0.0, 0.0
    for j in range(len(x)):
        a += abs(x[j]) * half[j]
        s += x[j] * x[j] * free[j]
    return a + t * np.sqrt(s)


@kernel
def _width(extent: Any, radius: float, centre: Any, half: Any, free: Any, t: float) -> float:
    """Return the most that x'w may differ from that of its group's centroid, for w in the cell."""
    own = 0.0
    for j in range(len(extent)):
        own += extent[j] * abs(centre[j])
    return min(own + reach_of(extent, half, free, t), radius)


@kernel
def screen(
    X: Any, rho: Any, n: int, centre: Any, half: Any, free: Any, t: float, coarse: float, light: float, begin: Any,
    end: Any, child: Any, group_mass: Any, group_centroid: Any, group_second: Any, variance: Any, extent: Any,
    radius: Any, items: Any, heights: Any, fixed: Any,
) -> tuple[int, int]:  # fmt: skip
    """Sum rho_i sgn(x_i'w) x_i over what is of fixed sign into `fixed`; list the other items, those with rho > 0 first.

    X, rho: n windows, then the centroids and signed masses of the groups. A group is an item where it is as fine as a
    cluster, see `split`. heights: x'c of each item. Return the numbers of items with rho > 0 and with rho < 0; the
    latter stand at the end of `items`.
    """
    d, up, down = X.shape[1], 0, len(items)
    stack = np.zeros(TOP, np.int64)
    stack[0], stack[1], top = 0, 1, 2
    for j in range(d):
        fixed[j] = 0.0
    while top > 0:
        top -= 1
        k = stack[top]
        if begin[k] == end[k]:
            continue
        m, z, size = group_centroid[k], 0.0, 0.0
        for j in range(d):
            z += m[j] * centre[j]
            size += m[j] * m[j]
        far, wide = reach_of(m, half, free, t), _width(extent[k], radius[k], centre, half, free, t)
        if abs(z) >= far + wide * (1.0 + OUTWARD) + OUTWARD * np.sqrt(size):
            weight = group_mass[k] if (z > 0) == (rho[n + k] > 0) else -group_mass[k]
            for j in range(d):
                fixed[j] += weight * m[j]
            continue
        if _fine(k, z, coarse * far, light, centre, half, free, t, group_mass, variance, group_second):
            heights[n + k] = z
            if rho[n + k] > 0:
                items[up] = n + k
                up += 1
            else:
                down -= 1
                items[down] = n + k
            continue
        if child[k] >= 0 and top + 2 <= TOP:
            stack[top], stack[top + 1] = child[k], child[k] + 1
            top += 2
            continue
        for i in range(begin[k], end[k]):
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
                items[up] = i
                up += 1
            else:
                down -= 1
                items[down] = i
    return up, len(items) - down


@kernel
def _fine(
    k: int, z: float, near: float, light: float, centre: Any, half: Any, free: Any, t: float, mass: Any, variance: Any,
    second: Any,
) -> bool:  # fmt: skip
    """Whether a group deviates from its centroid, of height z, by at most `near`, or by `light` with all its mass."""
    most, total = max(near, light / mass[k]) ** 2, 0.0
    for j in range(len(half)):
        total += variance[k, j] * (half[j] + free[j] * t) ** 2
    if total > most:  # which spares most groups the rest
        return False
    along, q = 0.0, 0
    for i in range(len(half)):
        part = 0.0
        for j in range(i):
            part += second[k, q + j] * centre[j]
        along += centre[i] * (2.0 * part + second[k, q + i] * centre[i])
        q += i + 1
    return total + max(along / mass[k] - z * z, 0.0) <= most


@kernel
def split(
    X: Any, rho: Any, heights: Any, items: Any, up: int, down: int, half: Any, free: Any, t: float, coarse: float,
    light: float, first: Any, stop: Any,
) -> int:  # fmt: skip
    """Cut the listed items into clusters of one sign of rho, contiguous in `items`; return their number.

    A cluster is cut at its mean along the feature of largest variance, x'c or one x_j h_j, while the root of the sum of
    these variances is above `coarse` times the reach of its mean, and times its mass above `light`. Of many items an
    even sample is looked at. When the tables are full, larger clusters are kept.
    """
    n, d = len(items), X.shape[1]
    stack = np.empty((TOP, 2), np.int64)
    stack[0, 0], stack[0, 1] = 0, up
    stack[1, 0], stack[1, 1] = n - down, n
    top, count = 2, 0
    scale, mean, square = np.empty(d), np.empty(d), np.empty(d)
    for j in range(d):
        scale[j] = (half[j] + free[j] * t) ** 2
    while top > 0:
        top -= 1
        a, b = stack[top, 0], stack[top, 1]
        if a == b:
            continue
        mass, height, tall, seen, stride = 0.0, 0.0, 0.0, 0, 1 + (b - a - 1) // SAMPLE
        mean[:] = 0.0
        square[:] = 0.0
        for at in range(a, b, stride):
            i = items[at]
            r, z = abs(rho[i]), heights[i]
            mass += r
            height += r * z
            tall += r * z * z
            seen += 1
            for j in range(d):
                x = np.float64(X[i, j])
                mean[j] += r * x
                square[j] += r * x * x
        cut = height / mass
        best, axis = max(tall / mass - cut * cut, 0.0), d
        total = best
        for j in range(d):
            mean[j] /= mass
            variance = max(square[j] / mass - mean[j] * mean[j], 0.0) * scale[j]
            total += variance
            if variance > best:
                best, axis, cut = variance, j, mean[j]
        mass *= (b - a) / seen
        wide, full = np.sqrt(total), count + top + 2 > len(first) or top + 2 > TOP
        if b - a > 1 and wide > coarse * reach_of(mean, half, free, t) and mass * wide > light and not full:
            m, k = a, b - 1
            while m <= k:
                i = items[m]
                if (heights[i] if axis == d else np.float64(X[i, axis])) < cut:
                    m += 1
                else:
                    items[m] = items[k]
                    items[k] = i
                    k -= 1
            if a < m < b:
                stack[top, 0], stack[top, 1] = a, m
                stack[top + 1, 0], stack[top + 1, 1] = m, b
                top += 2
                continue
        first[count], stop[count] = a, b
        count += 1
    return count


@kernel
def summarise(
    X: Any, rho: Any, n: int, heights: Any, begin: Any, end: Any, group_mass: Any, group_centroid: Any,
    group_second: Any, extent: Any, radius: Any, items: Any, first: Any, stop: Any, count: int, centre: Any, half: Any,
    free: Any, t: float, sign: Any, mass: Any, centroid: Any, second: Any, trace: Any, spread: Any,
) -> None:  # fmt: skip
    """Fill what is known of each cluster: sign of rho, mass R = sum |rho_i|, centroid sum |rho_i| x_i / R,

    M = sum |rho_i| x_i x_i' (its lower triangle), tr M, and the spread: the most that x_i'w may differ from that of
    the centroid for w in the cell, rounded outwards.
    """
    d = X.shape[1]
    moment, e = np.empty(d * (d + 1) // 2), np.empty(d)
    for k in range(count):
        total, height = 0.0, 0.0
        moment[:] = 0.0
        e[:] = 0.0
        for at in range(first[k], stop[k]):
            i, q = items[at], 0
            if i >= n:
                group = i - n
                total += group_mass[group]
                height += group_mass[group] * heights[i]
                for j in range(d):
                    e[j] += group_mass[group] * group_centroid[group, j]
                for p in range(len(moment)):
                    moment[p] += group_second[group, p]
                continue
            r = abs(rho[i])
            total += r
            height += r * heights[i]
            for a in range(d):
                weighted = r * X[i, a]
                e[a] += weighted
                for b in range(a + 1):
                    moment[q + b] += weighted * X[i, b]
                q += a + 1
        sign[k] = 1 if rho[items[first[k]]] > 0 else -1
        mass[k], height, trace[k] = total, height / total, 0.0
        q = 0
        for a in range(d):
            centroid[k, a] = e[a] / total
            q += a + 1
            trace[k] += moment[q - 1]
        for p in range(len(moment)):
            second[k, p] = moment[p]
        wide, longest = 0.0, 0.0
        for at in range(first[k], stop[k]):
            i = items[at]
            c, s, size = abs(heights[i] - height), 0.0, 0.0
            if i >= n:
                group = i - n
                for j in range(d):
                    y = group_centroid[group, j]
                    x = y - centroid[k, j]
                    size += y * y
                    c += abs(x) * half[j]
                    s += x * x * free[j]
                far = _width(extent[group], radius[group], centre, half, free, t)
                wide = max(wide, c + t * np.sqrt(s) + far)
                longest = max(longest, np.sqrt(size) + far)
                continue
            for j in range(d):
                y = np.float64(X[i, j])
                x = y - centroid[k, j]
                size += y * y
                c += abs(x) * half[j]
                s += x * x * free[j]
            wide = max(wide, c + t * np.sqrt(s))
            longest = max(longest, np.sqrt(size))
        longest = max(longest, np.sqrt(trace[k] / total) + wide)
        spread[k] = wide * (1.0 + OUTWARD) + OUTWARD * longest
