"""Branch and bound below one cell of directions: bound the four functions, cut the cell in two where that fails.

With rho the weights and g = sum rho_i x_i, sum rho_i (x_i'w)_+ = (g'w + psi(w))/2, psi(w) = sum rho_i |x_i'w|, so that
the price over ||w|| <= 1 is the largest of the functions (s1 g'w + s2 psi(w))/2 over half of the ball (psi is even).
Function number o has s2 = 1, 1, -1, -1 and s1 = -1, 1, -1, 1 for o = 0, 1, 2, 3.
"""

from typing import Any

import numpy as np

from ecgcvx.certificates.clusters import AGAIN, Region, far_side, reach_of, refine, too_coarse
from ecgcvx.certificates.kernels import OUTWARD, inlined, kernel
from ecgcvx.certificates.lagrange import minimise
from ecgcvx.certificates.majorant import fit_majorant
from ecgcvx.certificates.rounding import NEVER, safe_value
from ecgcvx.certificates.state import Leaves, Models

HOPELESS = 1.15  # a bound above that multiple of the target is not worked on: the cell is cut
LITTLE = 0.4  # of what is missing: a round that gains less was the last
THIN = 16.0  # ratio of the sides of a cell, in units of what they do, that is not exceeded for long
SHARPEN = 0.7  # of `light`, where a cell fails although its clusters were made for it
FLAT = 0.2  # of what a coordinate costs, counts even where nothing varies along it
TINY = 1e-6  # half-width of a cell that is not cut any more: its value is what rounding to float32 leaves
KEEP = 0.6  # of what was expected, when a model says where the maximum is


@kernel
def shrink(c: Any, h: Any, boxed: Any, half: Any, free: Any, cut: Any) -> tuple[float, int]:
    """Shrink the box to what meets the ball; fill half, free and the list of cut coordinates.

    Return the largest ||w_F|| and the number of cut coordinates; a negative length where nothing is left. All lengths
    are rounded outwards.
    """
    d, near = len(c), 0.0
    for j in range(d):
        if boxed[j]:
            near += max(abs(c[j]) - h[j], 0.0) ** 2
    if near > 1.0 + OUTWARD:
        return -1.0, 0
    m = 0
    for j in range(d):
        half[j], free[j] = 0.0, 1.0
        if not boxed[j]:
            continue
        own = max(abs(c[j]) - h[j], 0.0) ** 2
        r = np.sqrt(max(0.0, 1.0 - (near - own)) + OUTWARD)
        low, high = max(c[j] - h[j], -r), max(min(c[j] + h[j], r), -r)
        low = min(low, high)
        c[j] = 0.5 * (low + high)
        h[j] = 0.5 * (high - low) + OUTWARD * (1e-3 + 0.5 * (high - low))
        half[j], free[j] = h[j], 0.0
        cut[m] = j
        m += 1
    return np.sqrt(max(0.0, 1.0 - near) + OUTWARD), m


@kernel
def listing(
    problem: Any, goal: Any, work: Any, a: int, b: int, region: Any, fixed: Any, refined: float, tops: Any
) -> int:  # fmt: skip
    """List again, from b on, the clusters of listed[a:b] whose sign is open, with z and reach; add the others to fixed.

    refined: the share of the goal's `light` that is asked for where a cluster is too coarse; 0: nothing is refined.
    Return the end of the list, or -1 where there is no room for it.
    """
    clusters, listed, z, reach, end = work.clusters, work.listed, work.z, work.reach, b
    coarse, light = AGAIN * goal.coarse, AGAIN * goal.light * refined
    for at in range(a, b):
        k = listed[at]
        zk, far = _height(clusters, k, region)
        if far_side(clusters, k, zk, far) <= 0:
            _fix(clusters, k, zk, fixed)
            continue
        first, stop = k, k + 1
        if refined > 0 and too_coarse(
            clusters.mass[k], clusters.centroid[k], clusters.second[k], zk, coarse * far, light, region
        ):
            first, stop = refine(problem.windows, clusters, k, tops, goal.coarse, goal.light * refined, region, fixed)
        if end + stop - first > len(listed):
            return -1
        for new in range(first, stop):
            if new != k:
                zk, far = _height(clusters, new, region)
                if far_side(clusters, new, zk, far) <= 0:
                    _fix(clusters, new, zk, fixed)
                    continue
            listed[end], z[end], reach[end] = new, zk, far
            end += 1
    return end


@inlined
def _height(clusters: Any, k: int, region: Any) -> tuple[float, float]:
    x, z = clusters.centroid[k], 0.0
    for j in range(len(x)):
        z += x[j] * region.centre[j]
    return z, reach_of(x, region)


@inlined
def _fix(clusters: Any, k: int, z: float, fixed: Any) -> None:
    weight = clusters.sign[k] * clusters.mass[k] if z > 0 else -clusters.sign[k] * clusters.mass[k]
    for j in range(len(fixed)):
        fixed[j] += weight * clusters.centroid[k, j]


@kernel
def too_small(h: Any, boxed: Any, t: float) -> bool:
    """Whether a cell has no side that is worth a cut."""
    widest = 0.0
    for j in range(len(h)):
        widest = max(widest, h[j] if boxed[j] else t)
    return widest <= TINY


@kernel
def hull(given: Any, c: Any, h: Any, boxed: Any) -> None:
    """Fill the box round the given cells, rounded outwards; only what is cut in all of them is cut in it."""
    for j in range(len(c)):
        c[j], h[j], boxed[j] = 0.0, 1.0, True
        low, high = np.inf, -np.inf
        for k in range(len(given.place)):
            boxed[j] = boxed[j] and given.cut[k, j]
            low = min(low, given.place[k, 0, j] - given.place[k, 1, j])
            high = max(high, given.place[k, 0, j] + given.place[k, 1, j])
        if boxed[j]:
            c[j], h[j] = 0.5 * (low + high), 0.5 * (high - low) + OUTWARD


@kernel
def explore(problem: Any, goal: Any, given: Any, work: Any) -> int:
    """Prove that the price is at most the target in the given cells, cutting them; return how many cells there are now.

    They stand in work.out, in their order. When the budget is spent or the work is stopped, those with a value above
    the target are left open; those too small to be cut have light 0.
    """
    d, count, out = len(problem.g), len(given.place), work.out
    c, h, boxed, cut = np.zeros(d), np.zeros(d), np.zeros(d, np.bool_), np.zeros(d, np.int64)
    half, free, fixed, tops = np.zeros(d), np.zeros(d), np.zeros(d), np.array([2, 2])
    hull(given, c, h, boxed)
    t, m = shrink(c, h, boxed, half, free, cut)
    if t < 0:
        return 0
    work.listed[0], work.listed[1] = 0, 1  # all windows
    end = listing(problem, goal, work, 0, 2, Region(c, half, free, t), fixed, given.light.min(), tops)

    slots = count + goal.budget + 2
    stack = Leaves(np.zeros((slots, 4, d)), np.zeros((slots, d), np.bool_), np.zeros((slots, 4)), np.zeros(slots))
    sums, lists, used = np.zeros((slots, d)), np.zeros((slots, 2), np.int64), np.zeros((slots, 2), np.int64)
    since = np.zeros(slots, np.int64)  # cuts since clusters were looked at
    for k in range(count):
        q = count - 1 - k
        stack.place[q], stack.cut[q], stack.values[q] = given.place[k], given.cut[k], given.values[k]
        stack.light[q] = given.light[k]
        sums[q], lists[q, 0], lists[q, 1], used[q], since[q] = fixed, 2, end, tops, 0 if count == 1 else goal.every
    models, guess, values = _models(goal.rounds, d), np.zeros((2, d)), np.zeros(4)
    top, left = count, 0
    while top > 0:
        top -= 1
        c[:], h[:], guess[:] = stack.place[top, 0], stack.place[top, 1], stack.place[top, 2:]
        boxed[:], values[:], tops[:], age = stack.cut[top], stack.values[top], used[top], since[top]
        t, m = shrink(c, h, boxed, half, free, cut)
        if t < 0:
            continue
        light = stack.light[top]
        end, worst, age = work_on(
            problem, goal, work, lists[top], sums[top], tops, age, light, Region(c, half, free, t), h, boxed, cut, m,
            fixed, guess, models, values,
        )  # fmt: skip
        stuck = end >= 0 and values.max() > goal.target and too_small(h, boxed, t)
        if end < 0 or values.max() <= goal.target or stuck:
            out.place[left, 0], out.place[left, 1], out.place[left, 2:] = c, h, guess
            out.cut[left], out.values[left], out.light[left] = boxed, values, 0.0 if stuck else light
            left += 1
            continue
        begin = lists[top, 1]
        if age == 0 and values.max() <= HOPELESS * goal.target:
            light *= SHARPEN
        j = _coordinate(models, worst, guess[1], cut, m, h, boxed, t, work.listed, begin, end, work.clusters)
        boxed[j] = True
        h[j] *= 0.5
        for side in range(2):
            stack.place[top, 0], stack.place[top, 1], stack.place[top, 2:] = c, h, guess
            stack.place[top, 0, j] = c[j] + (h[j] if side == 0 else -h[j])
            stack.cut[top], stack.values[top], stack.light[top], sums[top] = boxed, values, light, fixed
            lists[top, 0], lists[top, 1], used[top], since[top] = begin, end, tops, age + 1
            top += 1
    return left


@kernel
def work_on(
    problem: Any, goal: Any, work: Any, known: Any, sums: Any, tops: Any, age: int, light: float, region: Any, h: Any,
    boxed: Any, cut: Any, m: int, fixed: Any, guess: Any, models: Any, values: Any,
) -> tuple[int, int, int]:  # fmt: skip
    """Bound a cell with the clusters listed[known], and where that fails with clusters refined for it.

    Return the end of its list, the function with the largest bound, and how old its clusters are. The end is -1 where
    the budget is spent, the work is stopped, or there is no room: then nothing was done. guess, as in `place`, becomes
    that function's.
    """
    worst = 0
    if work.counts[0] >= goal.budget or work.stop[0] != 0:
        return -1, worst, age
    fixed[:] = sums
    end = listing(problem, goal, work, known[0], known[1], region, fixed, 0.0, tops)
    while end >= 0:
        work.counts[0] += 1
        worst = bound_cell(problem, goal, work, known[1], end, region, h, boxed, cut, m, fixed, guess, models, values)
        for i in range(len(h)):
            guess[0, i] = models.w[worst, i]
            guess[1, i] = max(models.W[worst, i, i] - models.w[worst, i] ** 2, 0.0)
        hopeless = values.max() > HOPELESS * goal.target and age < 2 * goal.every
        if values.max() <= goal.target or age < goal.every or hopeless:
            break
        fixed[:], age = sums, 0
        end = listing(problem, goal, work, known[0], known[1], region, fixed, light, tops)
    return end, worst, age


@kernel
def _models(rounds: int, d: int) -> Any:
    return Models(
        np.zeros((4, rounds)), np.zeros((4, rounds, d)), np.zeros((4, rounds, d, d)), np.zeros((4, rounds)),
        np.zeros((4, d + 1 + rounds)), np.zeros(4, np.int64), np.zeros((4, d)), np.zeros((4, d, d)),
        np.zeros((4, d)), np.zeros((4, d, d)),
    )  # fmt: skip


@kernel
def bound_cell(
    problem: Any, goal: Any, work: Any, a: int, b: int, region: Any, h: Any, boxed: Any, cut: Any, m: int, fixed: Any,
    guess: Any, models: Any, values: Any,
) -> int:  # fmt: skip
    """Lower the values of the functions that are above the target; return the one with the largest bound.

    A function gets models, while that brings it nearer, each fitted to an average of what is expected and of where the
    last ones have their maximum; without averaging they would swing between its ends, and twice as many do less. The
    others are left alone once one of them is hopeless: the cell will be cut.
    """
    target, c, t, worst, seen, most = goal.target, region.centre, region.t, 0, 0, -np.inf
    d = len(c)
    theta, linear, curved = np.zeros(d + 1 + goal.rounds), np.zeros(d), np.zeros(d * (d + 1) // 2)
    C, B, H, sizes, best, mean = models.C, models.b, models.H, models.sizes, models.best, models.mean
    for o in range(4):
        if values[o] <= target or most > HOPELESS * target:
            continue
        s1, s2, bound = (1.0 if o % 2 == 1 else -1.0), (1.0 if o < 2 else -1.0), np.inf
        _expect(c, h, boxed, t, guess, models.w[o], models.W[o])
        for r in range(goal.rounds):
            if r == 0 and o % 2 == 1 and (seen >> (o - 1)) & 1:  # only the sign of g differs
                C[o, 0], sizes[o, 0] = C[o - 1, 0], sizes[o - 1, 0]
                H[o, 0] = H[o - 1, 0]
                for i in range(d):
                    B[o, 0, i] = B[o - 1, 0, i] + problem.g[i]
                    C[o, 0] += c[i] * problem.g[i]
            else:
                C0, sizes[o, r] = fit_majorant(
                    1 if s2 > 0 else -1, work.listed, a, b, work.z, work.reach, work.clusters, models.w[o], models.W[o],
                    linear, curved,
                )  # fmt: skip
                C[o, r] = _around(c, s1, s2, problem.g, fixed, C0, linear, curved, B[o, r], H[o, r])
            if r > 0:
                for q in range(m + 1):
                    theta[q] = 1.02 * best[o, q]
                for q in range(r):
                    theta[m + 1 + q] = 0.9 * best[o, m + 1 + q]
                theta[m + 1 + r] = 0.1
            models.used[o] = r + 1
            slack = 2.5 * (problem.base + problem.relative * sizes[o, : r + 1].max())
            minimise(
                cut, m, r + 1, c, h, t, C[o], B[o], H[o], goal.aim * (1.0 - 1e-9) - slack, goal.precision, r > 0, theta,
                best[o], mean[o], models.moment[o],
            )  # fmt: skip
            value = safe_value(best[o], cut, m, r + 1, c, h, C[o], B[o], H[o], sizes[o], problem.base, problem.relative)
            if value < NEVER:
                for i in range(d):
                    models.w[o, i] += (1.0 - KEEP) * (c[i] + mean[o, i] - models.w[o, i])
                    for j in range(d):
                        models.W[o, i, j] += (1.0 - KEEP) * (models.moment[o, i, j] - models.W[o, i, j])
            gain, bound = bound - value, min(bound, value)
            if value <= target or value > HOPELESS * target or gain < LITTLE * (value - target):
                break
        seen |= 1 << o
        values[o] = min(values[o], bound)
        if bound > most:
            worst, most = o, bound
    return worst


@kernel
def _expect(c: Any, h: Any, boxed: Any, t: float, guess: Any, w: Any, W: Any) -> None:
    """Fill mean and second moment of where the maximum is expected: the parent's, as far as they fit into the cell."""
    for j in range(len(c)):
        w[j] = min(max(guess[0, j], c[j] - h[j]), c[j] + h[j]) if boxed[j] else guess[0, j]
    for i in range(len(c)):
        for j in range(len(c)):
            W[i, j] = w[i] * w[j]
        W[i, i] += min(guess[1, i], h[i] * h[i] if boxed[i] else t * t)


@kernel
def _around(
    c: Any, s1: float, s2: float, g: Any, fixed: Any, C0: float, linear: Any, curved: Any, b: Any, H: Any
) -> float:
    """Turn (s1 g'w + s2 fixed'w + C0 + linear'w + w'Hw/2)/2 into constant (returned), b and H in w - c."""
    q = 0
    for i in range(len(c)):
        for j in range(i + 1):
            H[i, j] = 0.5 * curved[q]
            H[j, i] = H[i, j]
            q += 1
    constant = 0.5 * C0
    for i in range(len(c)):
        t = 0.0
        for j in range(len(c)):
            t += H[i, j] * c[j]
        e = 0.5 * (s1 * g[i] + s2 * fixed[i] + linear[i])
        b[i] = e + t
        constant += c[i] * (e + 0.5 * t)
    return constant


@kernel
def _coordinate(
    models: Any, o: int, variance: Any, cut: Any, m: int, h: Any, boxed: Any, t: float, listed: Any, a: int, b: int,
    clusters: Any,
) -> int:  # fmt: skip
    """The coordinate to cut: where the box costs most, nu_j h_j^2, together with the curvature H_jj h_j^2.

    Both count by how much of the box the `variance` of the expected maximiser fills: a cut takes that variance away.
    These are blind to a coordinate whose curvatures cancel; so none is cut that moves the open clusters THIN times less
    than another one does, and that one is cut instead.
    """
    theta, H, delta = models.best[o], models.H[o], models.mean[o]
    chosen, most, widest, broadest = 0, -np.inf, 0, -1.0
    moves = np.zeros(len(h))
    for at in range(a, b):
        k = listed[at]
        for j in range(len(h)):
            moves[j] += clusters.mass[k] * abs(clusters.centroid[k, j])
    for j in range(len(h)):
        moves[j] *= h[j] if boxed[j] else t
        if moves[j] > broadest:
            widest, broadest = j, moves[j]
        own, pull = 0.0, 0.0
        for k in range(models.used[o]):
            share = theta[m + 1 + k]
            own += share * H[k, j, j]
            for i in range(len(h)):
                pull += share * H[k, j, i] * delta[i]
        side = h[j] if boxed[j] else min(h[j], max(abs(delta[j]), 0.3 * t))
        cost = abs(delta[j] * pull)
        for q in range(m):
            if cut[q] == j:
                cost = theta[q] * h[j] * h[j]
        cost = (cost + own * side * side) * (FLAT + min(variance[j] / (side * side), 1.0))
        if cost > most:
            chosen, most = j, cost
    return chosen if THIN * moves[chosen] >= broadest else widest
