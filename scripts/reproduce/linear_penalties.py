"""Least squares, ridge, lasso and group lasso as mechanical models.

Slides: least squares and its penalties; the mechanical model of 1/2 (x - y)^2 + lambda |x|; the group norm.
Claims: a second spring (ridge) pulls x towards zero and never to it; a weight (lasso) moves x by lambda and holds it at
exactly zero once lambda >= |y|; the group norm does so with whole blocks. Minimisers are closed-form proximal maps.
Found: all hold; the maps agree with CVXPY.
The slides have 1/2 before the sum of squares, the package 1/(2n).
"""

import warnings

import cvxpy as cp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from _page import BLUE, GREEN, GREY, INK, ORANGE, RED, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.baselines.linear import least_squares, ridge_path, triangle
from ecgcvx.types import Array

ACCURACY = 1e-5  # of a minimiser that CVXPY finds, also at a kink
SAMPLES, INPUTS = 200, 32
WIDTH = 4  # of a block


def ridge_map(y: Array, weight: float) -> Array:
    """The minimiser of 1/2 (x - y)^2 + weight/2 x^2."""
    return y / (1 + weight)


def lasso_map(y: Array, weight: float) -> Array:
    """The minimiser of 1/2 (x - y)^2 + weight |x|."""
    return np.sign(y) * np.maximum(np.abs(y) - weight, 0.0)


def group_map(y: Array, weight: float) -> Array:
    """The minimiser of 1/2 ||x - y||^2 + weight ||x|| for a block y (d,)."""
    norm = float(np.linalg.norm(y))
    return y * max(1 - weight / norm, 0.0) if norm > 0 else y


def reproduce(reduced: bool) -> Entry:
    """Compare the maps with CVXPY."""
    y = np.linspace(-2.5, 2.5, 11 if reduced else 21)
    found = {"ridge": _solved(y, "ridge"), "lasso": _solved(y, "lasso")}
    errors = {
        "ridge": float(np.abs(found["ridge"] - ridge_map(y, 1.0)).max()),
        "lasso": float(np.abs(found["lasso"] - lasso_map(y, 1.0)).max()),
    }
    zeros = lasso_map(y, 1.0) == 0
    group_errors, whole = _groups(5 if reduced else 40)
    squares, ridge = _squares_and_ridge()
    claims = (
        Claim(
            "Least squares: the normal equations. Ridge: lambda added to their diagonal, x never exactly zero.",
            f"largest difference from the normal equations {squares:.0e} and {ridge:.0e}; second spring: x = y / (1 + "
            f"lambda), CVXPY differs by {errors['ridge']:.0e}",
            max(squares, ridge, errors["ridge"]) < ACCURACY and bool((ridge_map(y[y != 0], 100.0) != 0).all()),
        ),
        Claim(
            "Lasso: a weight of force lambda moves x by lambda towards zero, and holds it there when lambda >= |y|.",
            f"x = sign(y) (|y| - lambda)_+, CVXPY differs by {errors['lasso']:.0e}; zero for {int(zeros.sum())} of "
            f"{len(y)} values of y, those with |y| <= lambda",
            errors["lasso"] < ACCURACY and bool((zeros == (np.abs(y) <= 1)).all()),
        ),
        Claim(
            "Group l1: a block shrinks as a whole, and is exactly zero when its norm is at most lambda.",
            f"x = (1 - lambda / ||y||)_+ y, CVXPY differs by {group_errors:.0e} on random blocks",
            group_errors < 1e-5 and whole,
        ),
    )
    return Entry(
        "Least squares, ridge, lasso, group norm",
        "least squares and its penalties; the spring and the weight",
        claims,
        (
            Picture(
                "linear_penalties",
                "Above: energies for y = 1.5 with their minimum, a spring against a second spring and against a "
                "weight, lambda = 0.5, 1, 2. Below: proximal maps, lambda = 1, closed form (lines) and CVXPY (points).",
                _energy_figure(y, found),
            ),
        ),
    )


def _solved(y: Array, kind: str) -> Array:
    """Minimisers for every y with lambda = 1, by CVXPY."""
    x = cp.Variable(len(y))
    penalty = cp.sum_squares(x) / 2 if kind == "ridge" else cp.norm1(x)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - y) / 2 + penalty))
    _minimise(problem)
    return np.asarray(x.value)


def _minimise(problem: cp.Problem) -> None:
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # 'inaccurate' means above 1e-12 here
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-10)


def _groups(count: int) -> tuple[float, bool]:
    """Largest difference of the block map from CVXPY on random blocks, and whether blocks vanish exactly as a whole."""
    random = np.random.default_rng(1)
    worst, whole = 0.0, True
    for _ in range(count):
        y = random.standard_normal(WIDTH)
        weight = float(random.uniform(0.2, 3.0))
        x = cp.Variable(WIDTH)
        problem = cp.Problem(cp.Minimize(cp.sum_squares(x - y) / 2 + weight * cp.norm(x, 2)))
        _minimise(problem)
        assert x.value is not None
        mapped = group_map(y, weight)
        worst = max(worst, float(np.abs(x.value - mapped).max()))
        whole &= (not mapped.any()) == (np.linalg.norm(y) <= weight)
    return worst, whole


def _squares_and_ridge() -> tuple[float, float]:
    """Differences from the normal equations on normal data."""
    n, d = SAMPLES, INPUTS
    random = np.random.default_rng(2)
    X, y = random.standard_normal((n, d)), random.standard_normal(n)
    squares = np.abs(least_squares(X, y) - np.linalg.solve(X.T @ X, X.T @ y)).max()
    ridge = np.abs(ridge_path(triangle(X, y), [0.1])[0] - np.linalg.solve(X.T @ X / n + 0.1 * np.eye(d), X.T @ y / n))
    return float(squares), float(ridge.max())


def _energy_figure(y: Array, found: dict[str, Array]) -> Figure:
    figure = new_figure("A spring against a second spring, and against a weight", 5.4)
    grid = figure.subplots(2, 2)
    x = np.linspace(-1, 2.5, 400)
    target = np.array(1.5)
    for axes, name, penalty, mapped in (
        (grid[0, 0], "½ (x − y)² + λ/2 x²: two springs", lambda t: t**2 / 2, ridge_map),
        (grid[0, 1], "½ (x − y)² + λ |x|: spring and weight", np.abs, lasso_map),
    ):
        for weight, color in ((0.5, BLUE), (1.0, ORANGE), (2.0, RED)):
            best = float(mapped(target, weight))
            axes.plot(
                x, (x - target) ** 2 / 2 + weight * penalty(x), color=color, label=f"λ = {weight:g}, x = {best:.3g}"
            )
            axes.plot(best, (best - target) ** 2 / 2 + weight * penalty(best), "o", color=color, markersize=6)
        axes.plot(x, (x - target) ** 2 / 2, ":", color=GREY, label="λ = 0, x = 1.5")
        style(axes, xlabel="x", ylabel="energy", title=name, ylim=(-0.15, 5.6))
        axes.legend(frameon=False, fontsize=7.5, loc="upper center")
    axes = grid[1, 0]
    t = np.linspace(-2.5, 2.5, 400)
    for kind, mapped, color in (("ridge", ridge_map, BLUE), ("lasso", lasso_map, ORANGE)):
        axes.plot(t, mapped(t, 1.0), color=color, label=kind)
        axes.plot(y, found[kind], "o", color=color, markersize=3.5)
    axes.plot([], [], "o", color=GREY, markersize=3.5, label="CVXPY")
    style(axes, xlabel="y", ylabel="minimiser x", title="proximal maps, λ = 1")
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    axes = grid[1, 1]
    axes.add_artist(Circle((0, 0), 1.0, facecolor="#f2f2f2", edgecolor=GREY, linewidth=0.8))
    random = np.random.default_rng(3)
    for block in np.concatenate([random.uniform(-2.3, 2.3, (22, 2)), random.uniform(-0.7, 0.7, (6, 2))]):
        end = group_map(block, 1.0)
        color = GREY if not end.any() else GREEN
        axes.annotate("", end, block, arrowprops={"arrowstyle": "->", "color": color, "linewidth": 0.9})
    style(axes, aspect="equal", xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xlabel="y₁", ylabel="y₂",
          title="group: from y to x, λ = 1")  # fmt: skip
    axes.plot(0, 0, "o", color=INK, markersize=4)
    return figure


if __name__ == "__main__":
    main(reproduce)
