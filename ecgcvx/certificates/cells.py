"""Branch and bound below one cell of directions: bound the four functions, cut the cell in two where that fails.

With rho the weights and g = sum rho_i x_i, sum rho_i (x_i'w)_+ = (g'w + psi(w))/2, psi(w) = sum rho_i |x_i'w|, so that
the price over ||w|| <= 1 is the largest of the functions (s1 g'w + s2 psi(w))/2 over half of the ball (psi is even).
Function number o has s2 = 1, 1, -1, -1 and s1 = -1, 1, -1, 1 for o = 0, 1, 2, 3.
"""

from typing import Any

import numpy as np

from ecgcvx.certificates.clusters import reach_of, screen, split, summarise
from ecgcvx.certificates.kernels import OUTWARD, kernel
from ecgcvx.certificates.lagrange import minimise, safe_value
from ecgcvx.certificates.majorant import fit_majorant

OPEN = 512  # cells that a call may leave open
HOPELESS = 1.25  # a bound above that multiple of the target is not worked on: the cell is cut
LITTLE = 0.15  # of what is missing: a round that gains less was the last
BOX, BALL = 0.6, 0.15  # expected second moment in a cell, relative to h_j^2 and to t^2, before anything is known
THIN = 16.0  # ratio of the sides of a cell, in units of what they do, that is not exceeded for long
SOFT = 1.0  # of every other model: theta in proportion to the expected y, not its sign
FULL_TABLE = -1


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
    listed: Any, a: int, b: int, c: Any, half: Any, free: Any, t: float, sign: Any, mass: Any, centroid: Any,
    spread: Any, fixed: Any, z: Any, reach: Any,
) -> int:  # fmt: skip
    """List again, from b on, the clusters of listed[a:b] whose sign is open, with z and reach; add the others to fixed.

    Return the end of the list.
    """
    end = b
    for at in range(a, b):
        k = listed[at]
        x, zk = centroid[k], 0.0
        for j in range(len(c)):
            zk += x[j] * c[j]
        far = reach_of(x, half, free, t)
        if abs(zk) >= far + spread[k]:
            weight = sign[k] * mass[k] if zk > 0 else -sign[k] * mass[k]
            for j in range(len(c)):
                fixed[j] += weight * x[j]
        else:
            listed[end], z[end], reach[end] = k, zk, far
            end += 1
    return end


@kernel
def explore(
    X: Any, rho: Any, n: int, begin: Any, group_end: Any, child: Any, group_mass: Any, group_centroid: Any,
    group_second: Any, variance: Any, extent: Any, radius: Any, fine: float, g: Any, base: float,
    relative: float, target: float, precision: float, cell: Any, cell_boxed: Any, cell_functions: int, coarse: float,
    light: float, rounds: int, depth: int, rows: Any, heights: Any, first: Any, stop: Any, sign: Any, mass: Any,
    centroid: Any, second: Any, trace: Any, spread: Any, out: Any, out_boxed: Any, out_functions: Any, counts: Any,
) -> int:  # fmt: skip
    """Prove that the price is at most `target` in a cell, cutting it up to `depth` times; return how many are left.

    cell (3, d): centre, half width, where the maximum is expected; cell_functions: bit o for each function o that is
    still to be proved there. X, rho, n and the groups: see `screen`; fine: their COARSE and LIGHT, relative to those of
    clusters. out (OPEN, 3, d) and what follows it: the cells that are left. counts: cells bounded,
    clusters made, rows listed. base, relative: of rounding, see `safe_value`.
    Returns FULL_TABLE when more than OPEN cells would be left.
    """
    d, models = X.shape[1], rounds
    c, h, boxed = cell[0].copy(), cell[1].copy(), cell_boxed.copy()
    half, free, cut, fixed = np.zeros(d), np.zeros(d), np.zeros(d, np.int64), np.zeros(d)
    t, m = shrink(c, h, boxed, half, free, cut)
    if t < 0:
        return 0
    up, down = screen(
        X, rho, n, c, half, free, t, fine * coarse, fine * light, begin, group_end, child, group_mass, group_centroid,
        group_second, variance, extent, radius, rows, heights, fixed,
    )  # fmt: skip
    K = split(X, rho, heights, rows, up, down, half, free, t, coarse, light, first, stop)
    summarise(
        X, rho, n, heights, begin, group_end, group_mass, group_centroid, group_second, extent, radius, rows, first,
        stop, K, c, half, free, t, sign, mass, centroid, second, trace, spread,
    )  # fmt: skip
    counts[1] += K
    counts[2] += up + down

    cells, cells_boxed = np.zeros((depth + 3, 3, d)), np.zeros((depth + 3, d), np.bool_)
    sums, spans = np.zeros((depth + 3, d)), np.zeros((depth + 3, 4), np.int64)  # of the list, depth, functions
    listed = np.zeros(K * (depth + 3) + 1, np.int32)
    z, reach = np.zeros(len(listed)), np.zeros(len(listed))
    for k in range(K):
        listed[k] = k
    cells[0, 0], cells[0, 1], cells[0, 2], cells_boxed[0], sums[0] = c, h, cell[2], boxed, fixed
    spans[0, 1], spans[0, 3] = K, cell_functions
    C, b, H, sizes = np.zeros((4, models)), np.zeros((4, models, d)), np.zeros((4, models, d, d)), np.zeros((4, models))
    theta, best, used = np.zeros(d + 1 + models), np.zeros((4, d + 1 + models)), np.zeros(4, np.int64)
    W, w, delta, bounds = np.zeros((4, d, d)), np.zeros(d), np.zeros((4, d)), np.zeros(4)
    linear, curved = np.zeros(d), np.zeros(d * (d + 1) // 2)
    top, left = 1, 0
    while top > 0:
        top -= 1
        c[:], h[:], boxed[:], fixed[:] = cells[top, 0], cells[top, 1], cells_boxed[top], sums[top]
        a, end, level, functions = spans[top, 0], spans[top, 1], spans[top, 2], spans[top, 3]
        t, m = shrink(c, h, boxed, half, free, cut)
        if t < 0:
            continue
        if level == depth:
            if left == len(out):
                return FULL_TABLE
            out[left, 0], out[left, 1], out[left, 2], out_boxed[left] = c, h, cells[top, 2], boxed
            out_functions[left] = functions
            left += 1
            continue
        counts[0] += 1
        last = listing(listed, a, end, c, half, free, t, sign, mass, centroid, spread, fixed, z, reach)
        worst = -1
        for o in range(4):
            bounds[o] = -np.inf
            if (functions >> o) & 1 == 0:
                continue
            s1, s2 = (1.0 if o % 2 == 1 else -1.0), (1.0 if o < 2 else -1.0)
            for r in range(models):
                if r == 0 and o % 2 == 1 and (functions >> (o - 1)) & 1:  # only the sign of g differs
                    C[o, 0], sizes[o, 0] = C[o - 1, 0], sizes[o - 1, 0]
                    for i in range(d):
                        b[o, 0, i] = b[o - 1, 0, i] + g[i]
                        C[o, 0] += c[i] * g[i]
                    H[o, 0] = H[o - 1, 0]
                else:
                    if r == 0:
                        _expect(c, h, boxed, t, cells[top, 2], w, W[o])
                    else:
                        for j in range(d):
                            w[j] = c[j] + delta[o, j]
                    C0, sizes[o, r] = fit_majorant(
                        1 if s2 > 0 else -1, listed, end, last, z, reach, sign, mass, centroid, second, trace, spread,
                        w, W[o], SOFT if r % 2 == 1 else 0.0, linear, curved,
                    )  # fmt: skip
                    C[o, r] = _around(c, s1, s2, g, fixed, C0, linear, curved, b[o, r], H[o, r])
                warm = r > 0
                if warm:
                    for q in range(m + 1):
                        theta[q] = 1.02 * best[o, q]
                    for q in range(r):
                        theta[m + 1 + q] = 0.9 * best[o, m + 1 + q]
                    theta[m + 1 + r] = 0.1
                used[o] = r + 1
                goal = target * (1.0 - 1e-9) - 2.5 * (base + relative * sizes[o, : r + 1].max())
                value = minimise(
                    cut, m, r + 1, c, h, t, C[o], b[o], H[o], goal, precision,
                    warm, theta, best[o], delta[o], W[o],
                )  # fmt: skip
                value = safe_value(best[o], cut, m, r + 1, c, h, C[o], b[o], H[o], sizes[o], base, relative)
                gain = bounds[o] - value if r > 0 else np.inf
                bounds[o] = value
                if value <= target or value > HOPELESS * target or gain < LITTLE * (value - target):
                    break
            if bounds[o] > target and (worst < 0 or bounds[o] > bounds[worst]):
                worst = o
            if bounds[o] > HOPELESS * target:
                for later in range(o + 1, 4):
                    if (functions >> later) & 1:
                        bounds[later] = np.inf
                break
        if worst < 0:
            continue
        functions = 0
        for o in range(4):
            if bounds[o] > target:
                functions |= 1 << o
        j = _coordinate(
            best[worst], m, used[worst], cut, h, boxed, t, H[worst], delta[worst], listed, end, last, mass, centroid
        )
        boxed[j] = True
        h[j] *= 0.5
        for side in range(2):
            cells[top, 0], cells[top, 1], cells_boxed[top], sums[top] = c, h, boxed, fixed
            cells[top, 0, j] = c[j] + (h[j] if side == 0 else -h[j])
            for i in range(d):
                cells[top, 2, i] = c[i] + delta[worst, i]
            spans[top, 0], spans[top, 1], spans[top, 2], spans[top, 3] = end, last, level + 1, functions
            top += 1
    return left


@kernel
def _expect(c: Any, h: Any, boxed: Any, t: float, guess: Any, w: Any, W: Any) -> None:
    """Fill mean and second moment of where the maximum is expected: around c, wider towards the parent's maximiser."""
    for i in range(len(c)):
        w[i] = c[i]
        for j in range(len(c)):
            W[i, j] = c[i] * c[j]
    for j in range(len(c)):
        side = h[j] if boxed[j] else t
        off = min(abs(guess[j] - c[j]), side)
        W[j, j] += 0.5 * (BOX if boxed[j] else BALL) * side * side + 0.5 * off * off


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
    theta: Any, m: int, models: int, cut: Any, h: Any, boxed: Any, t: float, H: Any, delta: Any, listed: Any, a: int,
    b: int, mass: Any, centroid: Any,
) -> int:  # fmt: skip
    """The coordinate to cut: where the box costs most, nu_j h_j^2, together with the curvature H_jj h_j^2.

    These are blind to a coordinate whose curvatures cancel; so none is cut that moves the open clusters THIN times less
    than another one does, and that one is cut instead.
    """
    chosen, most, widest, broadest = 0, -np.inf, 0, -1.0
    moves = np.zeros(len(h))
    for at in range(a, b):
        k = listed[at]
        for j in range(len(h)):
            moves[j] += mass[k] * abs(centroid[k, j])
    for j in range(len(h)):
        moves[j] *= h[j] if boxed[j] else t
        if moves[j] > broadest:
            widest, broadest = j, moves[j]
        own, pull = 0.0, 0.0
        for k in range(models):
            share = theta[m + 1 + k]
            own += share * H[k, j, j]
            for i in range(len(h)):
                pull += share * H[k, j, i] * delta[i]
        side = h[j] if boxed[j] else min(h[j], max(abs(delta[j]), 0.3 * t))
        cost = abs(delta[j] * pull)
        for q in range(m):
            if cut[q] == j:
                cost = theta[q] * h[j] * h[j]
        cost += own * side * side
        if cost > most:
            chosen, most = j, cost
    return chosen if THIN * moves[chosen] >= broadest else widest
