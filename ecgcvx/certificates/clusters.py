"""Windows that a cell of directions cannot tell apart are summed: clusters, in the metric of the cell.

A cell is the set of w with |w_j - c_j| <= h_j for the coordinates cut so far (box), ||w|| <= 1 and so ||w_F|| <= t for
the coordinates F that are not. Over it x'w moves by at most

    reach(x) = sum_{cut} |x_j| h_j + t ||x_F||

about z = x'c. Where |z| >= reach the sign of x'w is fixed. Two windows x, x' differ there by at most
|(x - x')'c| + reach(x - x'): thin along c, generous across it, so that few clusters do for many windows.

A cluster is made of items: a window, i < n, or a group of the tree, n + k, where that is fine enough by itself. What is
known of a cluster holds in every cell within the one that it was made for; where it is too coarse, it is made anew of
its own items: `refine`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.certificates.kernels import OUTWARD, inlined, kernel
from ecgcvx.certificates.tree import RowTree
from ecgcvx.types import Array

TOP = 256  # of the stacks of groups and of splits
SAMPLE = 64  # items, of many, that say where a cluster is cut
CAPACITY = 32768  # clusters, at most, of a cell and of all that it descends from
COARSE, LIGHT = 0.14, 1e-2  # when a cluster is fine enough, see `too_coarse`; LIGHT relative to the excess over 1
FINE = 0.4  # of these for a group of the tree
AGAIN = 1.15  # of these for a cluster that was made for a larger cell


class Region(NamedTuple):
    """A cell: centre c; half (h_j, and 0 on F) and free (1 on F, else 0), each (d,); t."""

    centre: Array
    half: Array
    free: Array
    t: float


class Clusters(NamedTuple):
    """Clusters of items[first:stop], of one sign of rho, with mass R = sum |rho_i|, centroid sum |rho_i| x_i / R,

    second: M = sum |rho_i| x_i x_i', its lower triangle, trace: tr M, and spread: the most that x_i'w may differ from
    that of the centroid for w in the cell; highest, lowest: the most of x_i'w and of -x_i'w there. All three are
    rounded outwards. heights: x'c of items, where they are looked at.
    """

    items: NDArray[np.int64]
    heights: Array
    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    sign: NDArray[np.int8]
    mass: Array
    centroid: Array
    second: NDArray[np.float32]
    trace: Array
    spread: Array
    highest: Array
    lowest: Array


def empty_clusters(windows: RowTree) -> Clusters:
    """Clusters to be filled, of which the first two are all windows of rho > 0 and all others."""
    tree, d = windows.tree, windows.X.shape[1]
    n, K = len(windows.rho) - len(tree.mass), min(CAPACITY, 4 * len(windows.rho))
    clusters = Clusters(
        np.zeros(2 * n + 2, np.int64), np.zeros(2 * n + 2), np.arange(K), np.arange(1, K + 1),
        np.zeros(K, np.int8), np.zeros(K), np.zeros((K, d)), np.zeros((K, d * (d + 1) // 2), np.float32), np.zeros(K),
        np.zeros(K), np.full(K, np.inf), np.full(K, np.inf),
    )  # fmt: skip
    clusters.items[:2], clusters.sign[:2] = (n, n + 1), (1, -1)
    clusters.mass[:2], clusters.centroid[:2], clusters.second[:2] = tree.mass[:2], tree.centroid[:2], tree.second[:2]
    diagonal = np.arange(1, d + 1).cumsum() - 1
    clusters.trace[:2] = tree.second[:2, diagonal].sum(axis=1)
    off = np.linalg.norm(tree.centroid[:2] - windows.X[n : n + 2], axis=1)  # radii are round the float32 centroid
    clusters.spread[:2] = (tree.radius[:2] + off) * (1.0 + OUTWARD)
    return clusters


@inlined
def reach_of(x: Any, region: Any) -> float:
    """Return sum_{cut} |x_j| h_j + t ||x_F||."""
    a, s = 0.0, 0.0
    for j in range(len(x)):
        y = np.float64(x[j])
        a += abs(y) * region.half[j]
        s += y * y * region.free[j]
    return a + region.t * np.sqrt(s)


@inlined
def far_side(clusters: Any, k: int, z: float, reach: float) -> float:
    """Return how far x_i'w may be on the side of 0 where z is not, for rows of cluster k: sign fixed if not above 0.

    z, reach: of the centroid in the cell.
    """
    return min(reach + clusters.spread[k] - abs(z), clusters.lowest[k] if z >= 0 else clusters.highest[k])


@inlined
def _width(extent: Any, radius: float, region: Any) -> float:
    """Return the most that x'w may differ from that of its group's centroid, for w in the cell."""
    own = 0.0
    for j in range(len(extent)):
        own += extent[j] * abs(region.centre[j])
    return min(own + reach_of(extent, region), radius)


@inlined
def too_coarse(mass: float, mean: Any, second: Any, z: float, near: float, light: float, region: Any) -> bool:
    """Whether rows with this centroid and second moments deviate by more than `near`, and times their mass `light`.

    Deviation: the root of the summed variances of x'c, z at the centroid, and of each x_j h_j.
    """
    most, total, q = max(near, light / mass) ** 2, 0.0, -1
    for j in range(len(mean)):
        q += j + 1
        variance = max(second[q] / mass - mean[j] * mean[j], 0.0)
        total += variance * (region.half[j] + region.free[j] * region.t) ** 2
    if total > most:  # which spares many the rest
        return True
    along, q = 0.0, 0
    for i in range(len(mean)):
        part = 0.0
        for j in range(i):
            part += second[q + j] * region.centre[j]
        along += region.centre[i] * (2.0 * part + second[q + i] * region.centre[i])
        q += i + 1
    return total + max(along / mass - z * z, 0.0) > most


@inlined
def _deviation(variance: Any, region: Any) -> float:
    """Return the variance of x'c and all x_j h_j, were the coordinates not correlated."""
    total = 0.0
    for j in range(len(variance)):
        total += variance[j] * ((region.half[j] + region.free[j] * region.t) ** 2 + region.centre[j] ** 2)
    return total


@kernel
def refine(
    windows: Any, clusters: Any, k: int, tops: Any, coarse: float, light: float, region: Any, fixed: Any
) -> tuple[int, int]:
    """Make cluster k anew for a cell; return the range of the clusters that it becomes, (k, k + 1) if there is no room.

    Its rows whose sign is fixed in the cell are added to `fixed`. tops: the numbers of clusters and of items that are
    in use, raised by what is made.
    """
    if tops[1] + _rows(windows, clusters, k) > len(clusters.items) or tops[0] + 2 > len(clusters.first):
        return k, k + 1
    begin, count = tops[1], tops[0]
    tops[1] = screen(windows, clusters, k, begin, FINE * coarse, FINE * light, region, fixed)
    tops[0] = split(windows, clusters, begin, tops[1], count, coarse, light, region)
    for new in range(count, tops[0]):
        clusters.sign[new] = clusters.sign[k]
        summarise(windows, clusters, new, region)
    return count, tops[0]


@inlined
def _rows(windows: Any, clusters: Any, k: int) -> int:
    n, rows = len(windows.X) - len(windows.tree.mass), 0
    for at in range(clusters.first[k], clusters.stop[k]):
        group = clusters.items[at] - n
        rows += 1 if group < 0 else windows.tree.stop[group] - windows.tree.first[group]
    return rows


@kernel
def screen(
    windows: Any, clusters: Any, k: int, end: int, coarse: float, light: float, region: Any, fixed: Any
) -> int:  # fmt: skip
    """Sum rho_i sgn(x_i'w) x_i over rows of cluster k that are of fixed sign into `fixed`; list the others.

    They stand in items, from `end` on; return the new end. A group is an item where it is fine enough.
    """
    rho, tree, items, heights = windows.rho, windows.tree, clusters.items, clusters.heights
    d, n = tree.centroid.shape[1], len(rho) - len(tree.mass)
    stack = np.empty(TOP, np.int64)
    for at in range(clusters.first[k], clusters.stop[k]):
        top, stack[0] = 1, items[at] - n
        if stack[0] < 0:
            end = _screen_rows(windows, items[at], items[at] + 1, items, end, heights, region, fixed)
            continue
        while top > 0:
            top -= 1
            group = stack[top]
            mass, m, z, size = tree.mass[group], windows.X[n + group], 0.0, 0.0
            for j in range(d):
                x = np.float64(m[j])
                z += x * region.centre[j]
                size += x * x
            far, wide = reach_of(m, region), _width(tree.extent[group], tree.radius[group], region)
            if abs(z) >= far + wide * (1.0 + OUTWARD) + OUTWARD * np.sqrt(size):
                weight = mass if (z > 0) == (rho[n + group] > 0) else -mass
                for j in range(d):
                    fixed[j] += weight * tree.centroid[group, j]
            elif _deviation(tree.variance[group], region) <= max(coarse * far, light / mass) ** 2:
                heights[end], items[end] = z, n + group
                end += 1
            elif tree.child[group] >= 0 and top + 2 <= TOP:
                stack[top], stack[top + 1] = tree.child[group], tree.child[group] + 1
                top += 2
            else:
                end = _screen_rows(windows, tree.first[group], tree.stop[group], items, end, heights, region, fixed)
    return end


@inlined
def _screen_rows(
    windows: Any, a: int, b: int, items: Any, end: int, heights: Any, region: Any, fixed: Any
) -> int:  # fmt: skip
    """Do the same with the rows a:b, one by one."""
    X, rho = windows.X, windows.rho
    for i in range(a, b):
        z, far, s, size = 0.0, 0.0, 0.0, 0.0
        for j in range(X.shape[1]):
            x = np.float64(X[i, j])
            z += x * region.centre[j]
            far += abs(x) * region.half[j]
            s += x * x * region.free[j]
            size += x * x
        far += region.t * np.sqrt(s)
        if abs(z) >= far + OUTWARD * np.sqrt(size):
            weight = rho[i] if z > 0 else -rho[i]
            for j in range(X.shape[1]):
                fixed[j] += weight * X[i, j]
        else:
            heights[end], items[end] = z, i
            end += 1
    return end


@kernel
def split(
    windows: Any, clusters: Any, begin: int, end: int, count: int, coarse: float, light: float, region: Any
) -> int:
    """Cut items[begin:end], of one sign of rho, into clusters from number `count` on; return how many there are then.

    A cluster is cut at its mean along the feature of largest variance, x'c or one x_j h_j, while the root of the sum of
    these variances is above `coarse` times the reach of its mean, and times its mass above `light`. Of many items an
    even sample is looked at. When the tables are full, larger clusters are kept.
    """
    X, rho, items, heights, first, stop = (
        windows.X, windows.rho, clusters.items, clusters.heights, clusters.first, clusters.stop,
    )  # fmt: skip
    d = X.shape[1]
    stack = np.empty((TOP, 2), np.int64)
    stack[0, 0], stack[0, 1], top = begin, end, 1
    scale, mean, square = np.empty(d), np.empty(d), np.empty(d)
    for j in range(d):
        scale[j] = (region.half[j] + region.free[j] * region.t) ** 2
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
            r, z = abs(rho[i]), heights[at]
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
        if b - a > 1 and wide > coarse * reach_of(mean, region) and mass * wide > light and not full:
            m, k = a, b - 1
            while m <= k:
                i = items[m]
                if (heights[m] if axis == d else np.float64(X[i, axis])) < cut:
                    m += 1
                else:
                    items[m], items[k] = items[k], i
                    heights[m], heights[k] = heights[k], heights[m]
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
def summarise(windows: Any, clusters: Any, k: int, region: Any) -> None:
    """Fill what is known of cluster k in the cell, from its items, whose heights are known."""
    X, rho, tree, items, heights = windows.X, windows.rho, windows.tree, clusters.items, clusters.heights
    centroid, half, free, t = clusters.centroid, region.half, region.free, region.t
    d, n = X.shape[1], len(X) - len(tree.mass)
    moment, e = np.zeros(d * (d + 1) // 2), np.zeros(d)
    total, height = 0.0, 0.0  # of the centroid itself: groups have theirs in float32
    for at in range(clusters.first[k], clusters.stop[k]):
        i, q = items[at], 0
        if i >= n:
            group = i - n
            total += tree.mass[group]
            for j in range(d):
                e[j] += tree.mass[group] * tree.centroid[group, j]
            for p in range(len(moment)):
                moment[p] += tree.second[group, p]
            continue
        r = abs(rho[i])
        total += r
        for a in range(d):
            weighted = r * X[i, a]
            e[a] += weighted
            for b in range(a + 1):
                moment[q + b] += weighted * X[i, b]
            q += a + 1
    clusters.mass[k], clusters.trace[k] = total, 0.0
    q = 0
    for a in range(d):
        centroid[k, a] = e[a] / total
        height += centroid[k, a] * region.centre[a]
        q += a + 1
        clusters.trace[k] += moment[q - 1]
    for p in range(len(moment)):
        clusters.second[k, p] = moment[p]
    wide, longest, highest, lowest = 0.0, 0.0, -np.inf, -np.inf
    for at in range(clusters.first[k], clusters.stop[k]):
        i = items[at]
        c, s, size, far = abs(heights[at] - height), 0.0, 0.0, 0.0
        own, own_free = 0.0, 0.0
        for j in range(d):
            y = np.float64(X[i, j])
            x = y - centroid[k, j]
            size += y * y
            c += abs(x) * half[j]
            s += x * x * free[j]
            own += abs(y) * half[j]
            own_free += y * y * free[j]
        if i >= n:
            far = _width(tree.extent[i - n], tree.radius[i - n], region)
        wide = max(wide, c + t * np.sqrt(s) + far)
        own += t * np.sqrt(own_free) + far
        highest, lowest = max(highest, own + heights[at]), max(lowest, own - heights[at])
        longest = max(longest, np.sqrt(size) + far)
    longest = max(longest, np.sqrt(clusters.trace[k] / total) + wide)
    slack = OUTWARD * (wide + longest)
    clusters.spread[k], clusters.highest[k], clusters.lowest[k] = wide + slack, highest + slack, lowest + slack
