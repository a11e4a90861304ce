"""Small random problems of every kind and degeneracy, and their optima by CVXPY, written out from the formulas.

The optimum is that of a problem of moderate size; units are then put on by the exact rule of each network, so that an
oracle exists at any scale: with X = a X', y = b y' the squared loss gives P = b^2 P' at beta = a b beta', the logistic
one P = P' at beta = a beta', the polynomial network (a = 1) P = b^2 P' at beta = b beta'.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.types import Array

KINDS = ("relu", "gated", "logistic relu", "logistic gated", "vector", "polynomial", "quadratic")
SCALES = (1.0, 1.0, 1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9)
RELU_LIKE = (0.09, 0.5, 0.47)


@dataclass(frozen=True, eq=False)
class Case:
    """X (n, d), y (n,) or (n, K), beta, the optimum P, and the objective of the zero network."""

    name: str
    kind: str
    X: Array
    y: Array
    beta: float
    optimum: float
    zero: float


def rows(name: str, rng: np.random.Generator, n: int, d: int) -> Array:
    """Rows (n, d) of the degeneracy that the name says."""
    X = rng.standard_normal((n, d))
    if name == "column of ones":
        X[:, -1] = 1.0
    elif name == "duplicate rows":
        X = X[rng.integers(0, max(n // 2, 1), n)]
    elif name == "parallel rows":
        X = X[rng.integers(0, max(n // 2, 1), n)] * rng.choice([-2.0, -1.0, 1.0, 3.0], size=n)[:, None]
    elif name == "zero rows":
        X[rng.random(n) < 0.4] = 0.0
        X[0] = 1.0
    elif name == "rank 1":
        X = np.outer(X[:, 0], rng.standard_normal(d))
    elif name == "duplicate columns":
        X[:, -1] = X[:, 0]
    elif name == "integers":
        X = rng.integers(-2, 3, size=(n, d)).astype(float)
        X[0] = 1.0
    return X


DEGENERACIES = (
    "general", "column of ones", "duplicate rows", "parallel rows", "zero rows", "rank 1", "duplicate columns",
    "integers", "n < d",
)  # fmt: skip


def case(seed: int) -> Case:
    """The case of a seed: seeds run through all kinds, then through all degeneracies."""
    rng = np.random.default_rng(seed)
    kind, shape = KINDS[seed % len(KINDS)], DEGENERACIES[seed // len(KINDS) % len(DEGENERACIES)]
    n, d = (int(rng.integers(2, 5)), 5) if shape == "n < d" else (int(rng.integers(5, 11)), int(rng.integers(1, 4)))
    X = rows(shape, rng, n, d)
    y = rng.standard_normal((n, 2) if kind == "vector" else n)
    if kind.startswith("logistic"):
        y = np.where(y > 0, 1.0, -1.0)
        y[0] = -y[1]
    share = float(rng.choice([0.5, 0.1, 0.02]))
    a = 1.0 if kind in ("polynomial", "quadratic") else float(rng.choice(SCALES))
    b = 1.0 if kind.startswith("logistic") else float(rng.choice(SCALES))
    beta = share * (SIZES[kind](X, y) or 1.0)
    optimum = OPTIMA[kind](X, y, beta)
    units = 1.0 if kind.startswith("logistic") else b * b
    zero = np.log(2.0) if kind.startswith("logistic") else float(np.sum(y * y)) / (2 * n)
    name = f"seed {seed}: {kind}, {shape}, n = {n}, d = {d}, beta = {share:g} of its size, X by {a:g}, y by {b:g}"
    return Case(name, kind, a * X, b * y, a * b * beta, units * optimum, units * zero)


def masks_of(X: Array) -> list[Array]:
    """The patterns as 0/1 masks (n,)."""
    patterns = enumerate_patterns(X)
    return [patterns.mask(i).astype(float) for i in range(len(patterns))]


def _size(X: Array, y: Array) -> float:
    """Of the order of the largest beta: the largest ||X'D y|| / n over patterns."""
    return max(float(np.linalg.norm((X * mask[:, None]).T @ y)) for mask in masks_of(X)) / len(X)


def _lifted_size(activation: tuple[float, float, float]) -> Callable[[Array, Array], float]:
    def size(X: Array, y: Array) -> float:
        a, b, c = activation
        return float(np.abs(y) @ (a * np.sum(X * X, axis=1) + b * np.linalg.norm(X, axis=1) + c)) / (3 * len(X))

    return size


def _solved(objective: cp.Expression, constraints: list[cp.Constraint]) -> float:
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11, max_iter=500)
    return float(problem.value)


def _two_layers(cones: bool, logistic: bool) -> Callable[[Array, Array, float], float]:
    def optimum(X: Array, y: Array, beta: float) -> float:
        n, d = X.shape
        f, penalty, constraints = 0.0, 0.0, []
        for mask in masks_of(X):
            for sign in (1.0, -1.0) if cones else (1.0,):
                u = cp.Variable(d)
                f = f + sign * cp.multiply(mask, X @ u)
                penalty = penalty + cp.norm(u)
                if cones:
                    constraints.append(cp.multiply(2 * mask - 1, X @ u) >= 0)
        loss = cp.sum(cp.logistic(cp.multiply(-y, f))) if logistic else cp.sum_squares(f - y) / 2
        return _solved(loss / n + beta * penalty, constraints)

    return optimum


def _vector(X: Array, Y: Array, beta: float) -> float:
    f, penalty = 0.0, 0.0
    for mask in masks_of(X):
        U = cp.Variable((X.shape[1], Y.shape[1]))
        f = f + cp.multiply(mask[:, None] * np.ones_like(Y), X @ U)
        penalty = penalty + cp.normNuc(U)
    return _solved(cp.sum_squares(f - Y) / (2 * len(Y)) + beta * penalty, [])


def _polynomial(activation: tuple[float, float, float]) -> Callable[[Array, Array, float], float]:
    def optimum(X: Array, y: Array, beta: float) -> float:
        (n, d), (a, b, c) = X.shape, activation
        f, penalty, constraints = 0.0, 0.0, []
        for sign in (1.0, -1.0):
            Z = cp.Variable((d + 1, d + 1), PSD=True)
            f = f + sign * (a * cp.sum(cp.multiply(X @ Z[:d, :d], X), axis=1) + b * X @ Z[:d, d] + c * Z[d, d])
            penalty = penalty + Z[d, d]
            constraints.append(cp.trace(Z[:d, :d]) == Z[d, d])
        return _solved(cp.sum_squares(f - y) / (2 * n) + beta * penalty, constraints)

    return optimum


OPTIMA = {
    "relu": _two_layers(True, False),
    "gated": _two_layers(False, False),
    "logistic relu": _two_layers(True, True),
    "logistic gated": _two_layers(False, True),
    "vector": _vector,
    "polynomial": _polynomial(RELU_LIKE),
    "quadratic": _polynomial((1.0, 0.0, 0.0)),
}
SIZES = dict.fromkeys(KINDS, _size) | {
    "polynomial": _lifted_size(RELU_LIKE),
    "quadratic": _lifted_size((1.0, 0.0, 0.0)),
}
