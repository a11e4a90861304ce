"""Oracles of convolutional, batch-norm and three-layer networks that share no code with the package.

Convex: the programs of the theory written out in CVXPY, over patterns from one linear program for each sign vector.
Non-convex: the networks' own objectives with their gradients, minimised by L-BFGS from random starts.
"""

import warnings
from itertools import combinations_with_replacement, product

import cvxpy as cp
import numpy as np
from scipy.linalg import block_diag
from scipy.optimize import linprog, minimize

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


def conv_objective(x, patches, y, beta, neurons, scale):
    n, _, w = patches.shape
    W, a = x[: w * neurons].reshape(w, neurons), x[w * neurons :]
    Z = patches @ W
    H = scale * np.maximum(Z, 0).sum(axis=1)
    r = (H @ a - y) / n
    G = scale * np.einsum("nkw,nkm->wm", patches, (Z > 0) * (r[:, None] * a)[:, None, :])
    value = n * r @ r / 2 + beta / 2 * (np.sum(W**2) + a @ a)
    return value, np.concatenate([(G + beta * W).ravel(), H.T @ r + beta * a])


def batch_norm_objective(x, X, y, beta, neurons):
    """Penalty beta/2 (gamma^2 + a^2); the offset is at its best value."""
    n, d = X.shape
    W, g, a = x[: d * neurons].reshape(d, neurons), x[d * neurons : -neurons], x[-neurons:]
    Z = X @ W
    H = np.maximum(Z, 0)
    centred = H - H.mean(axis=0)
    std = np.sqrt((centred**2).mean(axis=0)) + 1e-12
    unit = centred / std
    f = unit @ (g * a)
    r = (f - (y - y.mean())) / n
    t = unit.T @ r
    back = (r[:, None] - r.mean() - unit * t / n) * (g * a / std)
    value = n * r @ r / 2 + beta / 2 * (g @ g + a @ a)
    return value, np.concatenate([(X.T @ ((Z > 0) * back)).ravel(), t * a + beta * g, t * g + beta * a])


def three_layer_objective(x, X, y, beta, neurons, inner, linear):
    """Atoms s (sum_l e_l (x'z_l)_+)_+ of free z with penalty beta ||z||_F, signs as in x[:neurons (1 + inner)]."""
    n, d = X.shape
    signs, Z = x
    s, e = signs[:, 0], signs[:, 1:]
    Z = Z.reshape(neurons, inner, d)
    heights = np.einsum("mkd,nd->nmk", Z, X)
    on = heights > 0
    if linear:
        on[:, :, 0] = True
    h = np.einsum("nmk,mk->nm", np.where(on, heights, 0), e)
    r = (np.maximum(h, 0) @ s - y) / n
    G = np.einsum("nm,nmk,nd->mkd", r[:, None] * (h > 0) * s, on * e, X)
    norms = np.sqrt(np.sum(Z**2, axis=(1, 2)) + 1e-24)
    value = n * r @ r / 2 + beta * norms.sum()
    return value, (G + beta * Z / norms[:, None, None]).ravel()


def restarts(objective, size, count, seed):
    """Final values of L-BFGS from random starts."""
    random = np.random.default_rng(seed)
    options = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-15, "gtol": 1e-10}
    starts = (random.standard_normal(size) * random.uniform(0.2, 1.5) for _ in range(count))
    return np.array([float(minimize(objective, x, method="L-BFGS-B", jac=True, options=options).fun) for x in starts])


def trained_conv(X, y, beta, taps, stride, pooling, context, neurons, count, seed=0):
    patches = patches_of(X, taps, stride, context)
    scale = 1 / patches.shape[1] if pooling == "average" else 1.0
    return restarts(
        lambda x: conv_objective(x, patches, y, beta, neurons, scale), neurons * (patches.shape[2] + 1), count, seed
    )


def trained_batch_norm(X, y, beta, neurons, count, seed=0):
    return restarts(lambda x: batch_norm_objective(x, X, y, beta, neurons), neurons * (X.shape[1] + 2), count, seed)


def trained_three_layer(X, y, beta, neurons, inner, linear, count, seed=0):
    """Each start draws its signs."""
    random = np.random.default_rng([seed, 1])
    values = []
    for start in range(count):
        signs = np.where(random.random((neurons, 1 + inner)) < 0.5, 1.0, -1.0)
        if linear:
            signs[:, 1] = 1.0
        values.append(
            restarts(
                lambda z, signs=signs: three_layer_objective((signs, z), X, y, beta, neurons, inner, linear),
                neurons * inner * X.shape[1], 1, [seed, start],
            )[0]
        )  # fmt: skip
    return np.array(values)


def random_problem(seed, n, d, bias=False):
    """X (n, d), y (n,), beta between 1 and 20 % of the targets' size."""
    random = np.random.default_rng([seed, n, d])
    X = random.standard_normal((n, d))
    if bias:
        X[:, -1] = 1.0
    y = random.standard_normal(n)
    return X, y, float(random.uniform(0.01, 0.08))
