"""Linear predictors x'w: persistence, and least squares with the penalties of the field.

    least_squares      1/(2n) ||Xw - y||^2
    ridge_path         ... + penalty/2 ||w||^2
    lasso_path         ... + penalty ||w||_1
    group_lasso_path   ... + penalty sum_g sqrt|g| ||w_g||

All depend on the data only through the triangle of a QR factorisation of [X y], one pass over the rows: what is left
for the penalties has d + 1 rows, so that CVXPY, which is there anyway, solves them in milliseconds.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.baselines.rows import checked_chunks
from ecgcvx.errors import InputError, SolverError
from ecgcvx.rows import Matrix
from ecgcvx.types import Array

ZERO = 1e-6  # of the largest group's norm: an interior-point method leaves dust where a coefficient is zero
NEWTON_STEPS = 10


@dataclass(frozen=True, eq=False)
class Triangle:
    """R of a QR factorisation of [X y], rows (.., d + 1), and the number n of rows: ||Xw - y|| = ||R [w; -1]||."""

    R: Array
    n: int

    @property
    def X(self) -> Array:
        """The columns that stand for X."""
        return self.R[:, :-1]

    @property
    def y(self) -> Array:
        """The column that stands for y."""
        return self.R[:, -1]


def triangle(X: Matrix, y: NDArray[np.float64]) -> Triangle:
    """Reduce X (n, d) and y (n,) to their triangle, reading X chunk by chunk.

    Unlike the normal equations it does not square the condition number, which for neighbouring samples of an ECG is
    large.

    Raises
    ------
    InputError
        See `checked_chunks`.

    Source: Demmel, Grigori, Hoemmen, Langou (2012), Communication-optimal QR (sequential TSQR).
    """
    chunks = checked_chunks(X, y)
    if np.ndim(y) != 1:
        raise InputError(f"y has shape {np.shape(y)}; pass one target for each row of X: ({X.shape[0]},)")
    R: NDArray[Any] = np.empty((0, X.shape[1] + 1))
    for rows, targets in chunks:
        # mode "r" saves forming Q; NumPy's stubs know only the pair, which the asarray is for.
        R = np.asarray(np.linalg.qr(np.vstack([R, np.column_stack([rows, targets])]), mode="r"))
    return Triangle(R, X.shape[0])


def least_squares(X: Matrix, y: NDArray[np.float64]) -> Array:
    """Return the w (d,) of least norm among the minimisers of ||Xw - y||_2, reading X (n, d) chunk by chunk.

    Raises
    ------
    InputError
        See `checked_chunks`.
    """
    return solved(triangle(X, y))


def solved(data: Triangle) -> Array:
    """Return the w (d,) of least norm among the minimisers of ||Xw - y||_2."""
    # The rank is decided as NumPy would for the whole matrix, whose singular values R has.
    tolerance = np.finfo(np.float64).eps * max(data.n, data.X.shape[1])
    return np.asarray(np.linalg.lstsq(data.X, data.y, rcond=tolerance)[0], dtype=np.float64)


def joined(first: Triangle, second: Triangle) -> Triangle:
    """Return the triangle of the rows of both."""
    return Triangle(np.asarray(np.linalg.qr(np.vstack([first.R, second.R]), mode="r")), first.n + second.n)


def ridge_path(data: Triangle, penalties: Sequence[float] | Array) -> Array:
    """Return the w (p, d) of every penalty, all from one singular value decomposition.

    Raises InputError for a penalty that is not positive.
    """
    chosen = _checked(penalties)
    U, s, Vt = np.linalg.svd(data.X, full_matrices=False)
    return (s / (s * s + data.n * chosen[:, None]) * (U.T @ data.y)) @ Vt


def lasso_path(data: Triangle, penalties: Sequence[float] | Array) -> Array:
    """Return the w (p, d) of every penalty; see `group_lasso_path` with groups of one. Source: Tibshirani (1996)."""
    return group_lasso_path(data, penalties, [[j] for j in range(data.X.shape[1])])


def group_lasso_path(data: Triangle, penalties: Sequence[float] | Array, groups: Sequence[Sequence[int]]) -> Array:
    """Return the w (p, d) of every penalty; groups: the columns of each group, every column in exactly one.

    Raises InputError for a penalty that is not positive or groups that are no partition, SolverError when Clarabel
    fails.

    Source: Yuan & Lin (2006), Model selection and estimation in regression with grouped variables.
    """
    import cvxpy as cp

    chosen = _checked(penalties)
    d = data.X.shape[1]
    if sorted(column for group in groups for column in group) != list(range(d)):
        raise InputError(f"groups = {list(groups)}: name each of the {d} columns exactly once")
    w, penalty = cp.Variable(d), cp.Parameter(nonneg=True)
    # In units of the root mean square of y, since Clarabel stops at absolute tolerances.
    unit = float(np.linalg.norm(data.y)) / np.sqrt(data.n) or 1.0
    loss = cp.sum_squares(data.X / np.sqrt(data.n) @ w - data.y / (unit * np.sqrt(data.n))) / 2
    norms = cp.sum(cp.hstack([np.sqrt(len(group)) * cp.norm(w[list(group)], 2) for group in groups]))
    problem = cp.Problem(cp.Minimize(loss + penalty * norms))
    c = data.X.T @ data.y / data.n
    largest = max(float(np.linalg.norm(c[list(group)])) / np.sqrt(len(group)) for group in groups)
    path = np.zeros((len(chosen), d))
    for row, value in zip(path, chosen, strict=True):
        if value >= largest:
            continue
        penalty.value = value / unit
        _solve(problem, value)
        interior = unit * np.asarray(w.value, dtype=np.float64)
        sizes = [float(np.linalg.norm(interior[list(group)])) for group in groups]
        for group, size in zip(groups, sizes, strict=True):
            row[list(group)] = interior[list(group)] if size > ZERO * max(sizes) else 0.0
        row[:] = _newton(data, row, value, [list(group) for group in groups if row[list(group)].any()])
    return path


def _newton(data: Triangle, w: Array, penalty: float, active: list[list[int]]) -> Array:
    """Newton's method for -X_g'(Xw - y)/n = penalty sqrt|g| w_g / ||w_g|| on the active groups, while it gains.

    An interior point is accurate in the objective, and so only to its square root in w.
    """
    columns = [column for group in active for column in group]
    X = data.X[:, columns]
    best, lowest = w, np.inf
    for _ in range(NEWTON_STEPS):
        bent = X.T @ X / data.n
        slope = X.T @ (data.X @ w - data.y) / data.n
        start = 0
        for group in active:
            own = slice(start, start := start + len(group))
            size, weight = float(np.linalg.norm(w[group])), penalty * np.sqrt(len(group))
            slope[own] += weight * w[group] / size
            bent[own, own] += weight / size * (np.eye(len(group)) - np.outer(w[group], w[group]) / size**2)
        left = float(np.linalg.norm(slope))
        if not left < lowest:
            break
        best, lowest = w, left
        w = w.copy()
        w[columns] -= np.linalg.lstsq(bent, slope)[0]
    return best


def _solve(problem: Any, penalty: float) -> None:
    """Solve as accurately as Clarabel can: where it cannot reach the first tolerance, the second."""
    import cvxpy as cp

    for tolerance in (1e-11, 1e-9):
        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # the status says it as well
                problem.solve(
                    solver=cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=10 * tolerance, tol_feas=10 * tolerance
                )
        except cp.SolverError:
            continue
        if problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            return
    raise SolverError(f"penalty = {penalty:g}: Clarabel failed; try a larger one")


def persistence_weights(d: int) -> Array:
    """Return the w (d,) with x'w = the newest sample of the window: column d-2, as column d-1 is the bias.

    Raises
    ------
    InputError
        When d < 2: a window needs one sample and the bias column.
    """
    if d < 2:
        raise InputError(f"d is {d}; persistence needs a sample and the bias column, so at least 2")
    weights = np.zeros(d)
    weights[d - 2] = 1.0
    return weights


def _checked(penalties: Sequence[float] | Array) -> Array:
    chosen = np.asarray(penalties, dtype=np.float64)
    if chosen.ndim != 1 or not (np.isfinite(chosen) & (chosen > 0)).all():
        raise InputError(f"penalties = {penalties}: pass finite numbers above 0")
    return chosen
