"""Oracles of convolutional, batch-norm and three-layer networks that share no code with the package.

Convex: the programs of the theory written out in CVXPY, over patterns from one linear program for each sign vector.
Non-convex: the networks' own objectives with their gradients, minimised by L-BFGS from random starts.
"""

import warnings
from itertools import combinations_with_replacement, product

import cvxpy as cp
import numpy as np
from scipy.linalg import block_diag
from scipy.optimize import linprog

TIGHT = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-11)


def masks_of(X):
    """All patterns (p, n) with cells of full dimension, the zero pattern among them."""
    n, d = X.shape
    found = []
    for bits in product([False, True], repeat=n):
        signed = (2.0 * np.array(bits) - 1)[:, None] * X
        program = linprog([0] * d + [-1], np.c_[-signed, np.ones(n)], np.zeros(n), bounds=[(-1, 1)] * d + [(0, 1)])
        if -program.fun > 1e-9:
            found.append(bits)
    return np.array(found)


def patches_of(X, taps, stride, context):
    """(n, K, taps + context) by an explicit loop."""
    samples, repeated = X[:, : X.shape[1] - context], X[:, X.shape[1] - context :]
    starts = range(0, samples.shape[1] - taps + 1, stride)
    return np.stack([np.c_[samples[:, a : a + taps], repeated] for a in starts], axis=1)


def group_lasso(blocks, y, beta):
    """min 1/(2n) ||sum_j F_j u_j - y||^2 + beta sum_j ||G_j u_j||, C_j u_j >= 0; blocks: (F (n, d), C (c, d), G)."""
    d = blocks[0][0].shape[1]
    U = cp.Variable((len(blocks), d))
    u = cp.vec(U, order="C")
    f = np.concatenate([F for F, _, _ in blocks], axis=1) @ u
    stacked = block_diag(*[G for _, _, G in blocks]) @ u
    lengths = cp.norm(cp.reshape(stacked, (len(blocks), blocks[0][2].shape[0]), order="C"), 2, axis=1)
    rows = block_diag(*[C for _, C, _ in blocks])
    objective = cp.sum_squares(f - y) / (2 * len(y)) + beta * cp.sum(lengths)
    problem = cp.Problem(cp.Minimize(objective), [rows @ u >= 0] if len(rows) else [])
    with warnings.catch_warnings(action="ignore"):  # 1e-11 is more than it may reach; the values say how far it came
        problem.solve(solver="CLARABEL", **TIGHT)
    return float(problem.value)


def both_signs(blocks):
    return [(s * F, C, G) for F, C, G in blocks for s in (1, -1)]


def conv_optimum(X, y, beta, taps, stride, pooling, context, masks=None):
    patches = patches_of(X, taps, stride, context)
    n, K, w = patches.shape
    scale = 1 / K if pooling == "average" else 1.0
    flat = patches.reshape(n * K, w)
    blocks = []
    for mask in masks_of(flat) if masks is None else masks:
        F = scale * (mask[:, None] * flat).reshape(n, K, w).sum(axis=1)
        blocks.append((F, (2.0 * mask - 1)[:, None] * flat, np.eye(w)))
    return group_lasso(both_signs(blocks), y, beta)


def batch_norm_optimum(X, y, beta):
    n = len(X)
    C = np.eye(n) - 1 / n
    centred = [(C @ (m[:, None] * X), (2.0 * m - 1)[:, None] * X) for m in masks_of(X)]
    return group_lasso(both_signs([(F, rows, F / np.sqrt(n)) for F, rows in centred]), C @ y, beta)


def whitened(X):
    U = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[0]
    return np.c_[np.sqrt(len(X)) * U, np.ones(len(X))]


def relu_optimum(X, y, beta):
    blocks = [(m[:, None] * X, (2.0 * m - 1)[:, None] * X, np.eye(X.shape[1])) for m in masks_of(X)]
    return group_lasso(both_signs(blocks), y, beta)


def three_layer_optimum(X, y, beta, inner, linear):
    """Over all tuples, with every sign vector as outer pattern whether it has a cell or not."""
    n, d = X.shape
    signed = [(m, s) for m in masks_of(X) if m.any() for s in (1, -1)]
    blocks = []
    for chosen in combinations_with_replacement(signed, inner - linear):
        D = [np.ones(n, dtype=bool)] * linear + [m for m, _ in chosen]
        s = [1] * linear + [sign for _, sign in chosen]
        h = np.concatenate([sign * m[:, None] * X for m, sign in zip(D, s, strict=True)], axis=1)
        cones = [(2.0 * m - 1)[:, None] * X for m in D]
        if linear:
            cones[0] = np.zeros((0, d))
        for bits in product([False, True], repeat=n):
            outer = np.array(bits)
            if outer.any():
                rows = np.concatenate([block_diag(*cones), (2.0 * outer - 1)[:, None] * h])
                blocks.append((outer[:, None] * h, rows, np.eye(inner * d)))
    return group_lasso(both_signs(blocks), y, beta)


def relu_objective(program, atoms):
    """P of two-layer ReLU atoms, as in the paper."""
    f = np.maximum(program.X @ atoms.points.T, 0) @ atoms.tags[:, 0]
    return np.mean((f - program.y) ** 2) / 2 + program.beta * np.linalg.norm(atoms.points, axis=1).sum()


def conv_objective(x, patches, y, beta, neurons, scale):
    """Of networks x (R, N), one a row: values (R,) and gradients (R, N); so the other objectives."""
    n, K, w = patches.shape
    W, a = x[:, : w * neurons].reshape(-1, w, neurons), x[:, w * neurons :]
    flat = patches.reshape(n * K, w)
    Z = flat @ W
    H = scale * np.maximum(Z, 0).reshape(-1, n, K, neurons).sum(axis=2)
    r = (np.einsum("rnm,rm->rn", H, a) - y) / n
    back = scale * (Z > 0) * np.repeat(r, K, axis=1)[:, :, None] * a[:, None]
    G = flat.T @ back
    value = n * (r * r).sum(axis=1) / 2 + beta / 2 * (x * x).sum(axis=1)
    return value, np.c_[G.reshape(len(x), -1), np.einsum("rnm,rn->rm", H, r)] + beta * x


def batch_norm_objective(x, X, y, beta, neurons):
    """Penalty beta/2 (gamma^2 + a^2); the offset is at its best value."""
    n, d = X.shape
    W, g, a = x[:, : d * neurons].reshape(-1, d, neurons), x[:, d * neurons : -neurons], x[:, -neurons:]
    Z = X @ W
    H = np.maximum(Z, 0)
    centred = H - H.mean(axis=1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=1)) + 1e-12
    unit = centred / std[:, None]
    r = (np.einsum("rnm,rm->rn", unit, g * a) - (y - y.mean())) / n
    t = np.einsum("rnm,rn->rm", unit, r)
    back = (r - r.mean(axis=1, keepdims=True))[:, :, None] - unit * t[:, None] / n
    G = X.T @ ((Z > 0) * back * (g * a / std)[:, None])
    value = n * (r * r).sum(axis=1) / 2 + beta / 2 * (g * g + a * a).sum(axis=1)
    return value, np.c_[G.reshape(len(x), -1), t * a + beta * g, t * g + beta * a]


def three_layer_objective(x, signs, X, y, beta, inner, linear):
    """Atoms s (sum_l e_l (x'z_l)_+)_+ of free z with penalty beta ||z||_F; signs (R, neurons, 1 + inner): s, e."""
    n, d = X.shape
    s, e = signs[:, :, 0], signs[:, :, 1:, None]
    Z = x.reshape(*e.shape[:3], d)
    heights = Z @ X.T
    on = heights > 0
    if linear:
        on[:, :, 0] = True
    h = (np.where(on, heights, 0) * e).sum(axis=2)
    r = (np.einsum("rmn,rm->rn", np.maximum(h, 0), s) - y) / n
    G = (on * e * (r[:, None] * (h > 0) * s[:, :, None])[:, :, None]) @ X
    norms = np.sqrt(np.sum(Z**2, axis=(2, 3)) + 1e-24)
    value = n * (r * r).sum(axis=1) / 2 + beta * norms.sum(axis=1)
    return value, (G + beta * Z / norms[:, :, None, None]).reshape(len(x), -1)


MEMORY, STALLED = 10, 20
TRIALS, STEPS = 12, 3000  # trials of a step, each a quarter of the last, and steps
FINE, FINE_STEPS, POLISHED = 30, 300, 4  # of the lowest, to end on kinks


def restarts(objective, size, count, seed):
    """Final values (count,) of L-BFGS from random starts, all of them at once; objective(x (R, N), numbers (R,)).

    The lowest of them descend once more with finer steps, as kinks ask for.
    """
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, size)) * random.uniform(0.2, 1.5, (count, 1))
    x, values = descended(objective, x, np.arange(count), TRIALS, STEPS)
    lowest = np.argsort(values)[:POLISHED]
    values[lowest] = descended(objective, x[lowest], lowest, FINE, FINE_STEPS)[1]
    return values


def descended(objective, x, numbers, trials, steps):
    """The points (R, N) that L-BFGS ends with, and their values (R,).

    A row ends where its gradient is below 1e-10, no step along L-BFGS's direction nor the gradient's gets lower, or 20
    steps in a row gain less than 1e-10 of the value.
    """
    count, size = x.shape
    ends, final, own = x.copy(), np.zeros(count), np.arange(count)
    value, gradient = objective(x, numbers)
    S, Q, rho = (np.zeros(shape) for shape in ((MEMORY, count, size), (MEMORY, count, size), (MEMORY, count)))
    stalled, plain = np.zeros(count, dtype=int), np.zeros(count, dtype=bool)
    for k in range(steps):
        direction = -_two_loops(gradient, S, Q, rho, k)
        slope = (gradient * direction).sum(axis=1)
        plain |= slope >= 0
        direction[plain] = -gradient[plain]
        slope[plain] = -(gradient[plain] ** 2).sum(axis=1)
        step = np.where(plain | ~rho.any(axis=0), 1 / np.maximum(np.sqrt(-slope), 1e-300), 1.0)
        new_x, new_value, new_gradient = x.copy(), value.copy(), gradient.copy()
        moved, search = np.zeros(len(x), dtype=bool), np.arange(len(x))
        for _ in range(trials):
            tried = x[search] + step[search, None] * direction[search]
            found, slopes = objective(tried, numbers[own[search]])
            good = found <= value[search] + 1e-4 * step[search] * slope[search]
            taken = search[good]
            new_x[taken], new_value[taken], new_gradient[taken] = tried[good], found[good], slopes[good]
            moved[taken], search = True, search[~good]
            if not len(search):
                break
            step[search] *= 0.25
        s, q = new_x - x, new_gradient - gradient
        sq = (s * q).sum(axis=1)
        use = moved & (sq > 1e-12 * np.sqrt((s * s).sum(axis=1) * (q * q).sum(axis=1)))
        S[k % MEMORY], Q[k % MEMORY], rho[k % MEMORY] = s, q, use / np.where(use, sq, 1)
        fresh = ~moved & ~plain  # along the gradient next time, from an empty memory
        rho[:, fresh] = 0
        stalled = np.where(value - new_value < 1e-10 * value, stalled + 1, 0)
        ended = (~moved & plain) | (stalled >= STALLED) | (np.linalg.norm(new_gradient, axis=1) < 1e-10)
        plain = fresh
        final[own] = value = new_value
        ends[own] = new_x
        x, gradient = new_x, new_gradient
        if ended.any():
            kept = ~ended
            x, value, gradient, own, stalled, plain = (
                held[kept] for held in (x, value, gradient, own, stalled, plain)
            )  # fmt: skip
            S, Q, rho = S[:, kept], Q[:, kept], rho[:, kept]
        if not len(x):
            break
    return ends, final


def _two_loops(gradient, S, Q, rho, k):
    """The L-BFGS direction of every row before step k; pairs that are not used have rho = 0."""
    order = [i % MEMORY for i in range(max(k - MEMORY, 0), k)]
    q, shares, scale = gradient.copy(), {}, np.ones(len(gradient))
    for i in order:  # the last pair that is used sets the scale
        scale = np.where(rho[i] > 0, 1 / np.maximum(rho[i] * np.einsum("rn,rn->r", Q[i], Q[i]), 1e-300), scale)
    for i in reversed(order):
        shares[i] = rho[i] * np.einsum("rn,rn->r", S[i], q)
        q -= shares[i][:, None] * Q[i]
    q *= scale[:, None]
    for i in order:
        q += (shares[i] - rho[i] * np.einsum("rn,rn->r", Q[i], q))[:, None] * S[i]
    return q


def trained_conv(X, y, beta, taps, stride, pooling, context, neurons, count, seed=0):
    patches = patches_of(X, taps, stride, context)
    scale = 1 / patches.shape[1] if pooling == "average" else 1.0
    return restarts(
        lambda x, _: conv_objective(x, patches, y, beta, neurons, scale), neurons * (patches.shape[2] + 1), count, seed
    )


def trained_batch_norm(X, y, beta, neurons, count, seed=0):
    return restarts(lambda x, _: batch_norm_objective(x, X, y, beta, neurons), neurons * (X.shape[1] + 2), count, seed)


def trained_three_layer(X, y, beta, neurons, inner, linear, count, seed=0):
    """Each start draws its signs."""
    random = np.random.default_rng([seed, 1])
    signs = np.where(random.random((count, neurons, 1 + inner)) < 0.5, 1.0, -1.0)
    if linear:
        signs[:, :, 1] = 1.0
    return restarts(
        lambda x, own: three_layer_objective(x, signs[own], X, y, beta, inner, linear),
        neurons * inner * X.shape[1], count, seed,
    )  # fmt: skip


def random_problem(seed, n, d, bias=False):
    """X (n, d), y (n,), beta between 1 and 20 % of the targets' size."""
    random = np.random.default_rng([seed, n, d])
    X = random.standard_normal((n, d))
    if bias:
        X[:, -1] = 1.0
    y = random.standard_normal(n)
    return X, y, float(random.uniform(0.01, 0.08))
