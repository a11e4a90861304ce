"""Small problems with a polynomial activation, and oracles for them that share no code with the package."""

import json
from functools import cache
from pathlib import Path

import cvxpy as cp
import numpy as np
from scipy.optimize import minimize

from ecgcvx.activations import QUADRATIC, RELU_LIKE

CASES = json.loads((Path(__file__).parent / "theory_cases.json").read_text())
TIGHT = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
ACTIVATIONS = {"polynomial": RELU_LIKE, "quadratic": QUADRATIC}


def random_data(seed, n=30, d=3, ones=True, logistic=False):
    """X (n, d), its last column ones if asked for, and targets of a planted network with noise, or labels."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    if ones:
        X[:, -1] = 1.0
    y = (X @ rng.standard_normal(d)) ** 2 / d - np.abs(X @ rng.standard_normal(d)) + 0.3 * rng.standard_normal(n)
    return X, np.where(y > np.median(y), 1.0, -1.0) if logistic else y


def semidefinite_optimum(X, y, beta, abc, loss="squared", pair=True):
    """The program of theory, written out on the data in CVXPY; pair=False: the single Z as sometimes printed."""
    (n, d), (a, b, c) = X.shape, abc
    f, penalty, constraints = 0.0, 0.0, []
    for sign in (1, -1) if pair else (1,):
        Z = cp.Variable((d + 1, d + 1), PSD=True)
        squares = cp.sum(cp.multiply(X @ Z[:d, :d], X), axis=1)
        f = f + sign * (a * squares + b * X @ Z[:d, d] + c * Z[d, d])
        penalty = penalty + Z[d, d]
        constraints.append(cp.trace(Z[:d, :d]) == Z[d, d])
    value = cp.sum_squares(f - y) / 2 if loss == "squared" else cp.sum(cp.logistic(cp.multiply(-y, f)))
    problem = cp.Problem(cp.Minimize(value / n + beta * penalty), constraints)
    problem.solve(solver="CLARABEL", **TIGHT)
    return float(problem.value)


def nuclear_optimum(X, y, beta):
    """The quadratic network as a nuclear norm, written out."""
    M = cp.Variable((X.shape[1],) * 2, symmetric=True)
    f = cp.sum(cp.multiply(X @ M, X), axis=1)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(f - y) / (2 * len(y)) + beta * cp.normNuc(M)))
    problem.solve(solver="CLARABEL", **TIGHT)
    return float(problem.value)


def backprop_objective(weights, X, y, beta, abc, signs, loss="squared"):
    """The network's own objective and gradient in w_j = sqrt|alpha_j| u_j, alpha_j of the given signs.

    alpha s(x'u) = sign (a (x'w)^2 + b ||w|| x'w + c ||w||^2), so that beta ||alpha||_1 is plain weight decay on w.
    """
    (n, d), (a, b, c) = X.shape, abc
    W = weights.reshape(len(signs), d)
    lengths = np.linalg.norm(W, axis=1)
    Z = X @ W.T
    f = (a * Z**2 + b * Z * lengths + c * lengths**2) @ signs
    if loss == "squared":
        value, slope = np.sum((f - y) ** 2) / (2 * n), (f - y) / n
    else:
        value, slope = np.mean(np.logaddexp(0, -y * f)), -y / (1 + np.exp(y * f)) / n
    along = 2 * a * Z + b * lengths
    radial = b * (slope @ Z) / np.maximum(lengths, 1e-300) + 2 * c * slope.sum()
    gradient = ((slope[:, None] * along).T @ X + radial[:, None] * W) * signs[:, None] + 2 * beta * W
    return value + beta * np.sum(W**2), gradient.ravel()


@cache
def best_of_backprop(seed, name, beta, neurons, runs=50, loss="squared"):
    """The lowest objective of `runs` converged L-BFGS runs with `neurons` neurons of each sign."""
    X, y = random_data(seed, logistic=loss == "logistic")
    rng = np.random.default_rng(seed + 1)
    signs = np.repeat([1.0, -1.0], neurons)
    best = np.inf
    for _ in range(runs):
        start = rng.standard_normal(len(signs) * X.shape[1])
        found = minimize(
            backprop_objective, start, (X, y, beta, ACTIVATIONS[name], signs, loss), jac=True, method="L-BFGS-B",
            options={"maxiter": 2000, "maxfun": 3000, "ftol": 1e-15, "gtol": 1e-10},
        )  # fmt: skip
        best = min(best, float(found.fun))
    return best
