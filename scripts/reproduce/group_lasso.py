"""The group lasso: blocks that go to zero one after another along lambda.

Slides: group l1.
Claims: along lambda the blocks of the group lasso vanish as a whole, those without signal first.
Found: holds; the last block vanishes at the lambda of its closed form.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from _page import BLUE, GREEN, GREY, INK, ORANGE, RED, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.baselines.linear import group_lasso_path, triangle
from ecgcvx.types import Array

SAMPLES, BLOCKS, WIDTH = 200, 8, 4
PLANTED = (3.0, 2.0, 1.0, 0.5)  # norms of the blocks that are not zero
NOISE = 0.5


def reproduce(reduced: bool) -> Entry:
    """Follow the blocks along lambda."""
    data = _planted()
    lambdas = np.geomspace(1e-3, 3.0, 16 if reduced else 150)
    norms, largest = _path(*data, lambdas)
    active = norms > 0
    gone = np.array([lambdas[block].max() if block.any() else 0.0 for block in active.T])
    planted = gone[: len(PLANTED)]
    before, after = (_path(*data, np.array([factor * largest]))[0][0] for factor in (0.999, 1.001))
    claims = (
        Claim(
            "Along lambda blocks go to zero one after another, and those without signal go first.",
            f"{BLOCKS - len(PLANTED)} blocks without signal are gone at lambda = {gone[len(PLANTED) :].max():.3f}, "
            f"the planted ones at {', '.join(f'{v:.2f}' for v in planted[::-1])}; the last one vanishes at "
            f"max ||X_g'y|| / (n sqrt|g|) = {largest:.4f}, as the closed form says",
            bool(planted.min() > gone[len(PLANTED) :].max() and (np.diff(planted) <= 0).all())
            and int((before > 0).sum()) == 1
            and not after.any(),
        ),
    )
    return Entry(
        "Group lasso",
        "group l1",
        claims,
        (
            Picture(
                "group_lasso",
                "Norms of the blocks of a group lasso against lambda: 4 planted blocks and 4 without signal.",
                _block_figure(lambdas, norms, largest),
            ),
        ),
    )


def _planted() -> tuple[Array, Array]:
    random = np.random.default_rng(2)
    X = random.standard_normal((SAMPLES, BLOCKS * WIDTH))
    w = np.zeros((BLOCKS, WIDTH))
    for block, norm in zip(w, PLANTED, strict=False):
        block[:] = random.standard_normal(WIDTH)
        block *= norm / np.linalg.norm(block)
    return X, X @ w.ravel() + NOISE * random.standard_normal(SAMPLES)


def _path(X: Array, y: Array, lambdas: Array) -> tuple[Array, float]:
    """Norms (lambdas, blocks) of the group lasso's blocks, and the smallest lambda with a zero solution."""
    groups = np.arange(BLOCKS * WIDTH).reshape(BLOCKS, WIDTH)
    path = group_lasso_path(triangle(X, y), lambdas, groups.tolist())
    prices = np.linalg.norm((X.T @ y / len(y)).reshape(BLOCKS, WIDTH), axis=1) / np.sqrt(WIDTH)
    return np.linalg.norm(path.reshape(-1, BLOCKS, WIDTH), axis=2), float(prices.max())


def _block_figure(lambdas: Array, norms: Array, largest: float) -> Figure:
    figure = new_figure("Blocks that vanish along lambda", 3.4)
    axes: Axes = figure.subplots()
    for g, path in enumerate(norms.T):
        planted = g < len(PLANTED)
        color = (BLUE, ORANGE, GREEN, RED)[g] if planted else GREY
        shown = np.where(path > 0, path, np.nan)
        last = int(np.flatnonzero(path > 0)[-1])
        axes.plot(lambdas, shown, color=color, linewidth=1.5 if planted else 0.9)
        axes.plot(lambdas[last], path[last], "o", color=color, markersize=4)
        if g <= len(PLANTED):
            text = f"planted with norm {PLANTED[g]:g}" if planted else "blocks without signal"
            above = path[0] if planted else norms[0, len(PLANTED) :].max()
            axes.annotate(text, (lambdas[0], above), (2, 4), textcoords="offset points", fontsize=8, color=color)
    axes.axvline(largest, color=INK, linewidth=0.8, linestyle=":")
    axes.annotate("closed form of\nthe last λ", (largest, 2.6), (4, 0), textcoords="offset points", fontsize=8)
    style(axes, xscale="log", xlabel="λ", ylabel="norm of the block", ylim=(0, 3.5), xlim=(9e-4, 6))
    return figure


if __name__ == "__main__":
    main(reproduce)
