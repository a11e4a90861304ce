"""Three layers: a convex program whose networks contain those of two layers.

Slides: three-layer networks as convex programs (Ergen & Pilanci 2021, global optimality beyond two layers).
Claims: the network with a further layer is a convex program over tuples of patterns; its optimum is never above that of
two layers at the same weight of the penalty.
Found: holds. On a small problem no trained network is below the optimum; on record 208 the three-layer objective is
below the two-layer one at every beta, and at small beta below the lower bound of every two-layer network.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize

from _ecg import RECORD, Training, first_windows
from _page import BLUE, ORANGE, Claim, Entry, Picture, main, new_figure, style
from _small import is_optimum, reached, starts_panel
from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.kinds.kind import Trained
from ecgcvx.models.three_layer import ThreeLayerNetwork
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.programs.three_layer import TupleFeatures, enumerate_tuples
from ecgcvx.records import read_recording
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import Array
from ecgcvx.windows import split_windows

N, INNER, NEURONS, STARTS, BETA = 4, 2, 6, 40, 0.03  # of the small problem
WINDOWS, HORIZON, ECG_INNER = 4_000, 5, 4
BETAS = (3e-3, 1e-3, 3e-4)
"""Of record 208."""


def reproduce(reduced: bool) -> Entry:
    """Solve a small problem both ways, then compare two and three layers on record 208."""
    random = np.random.default_rng(1)
    X, y = random.standard_normal((N, 2)), random.standard_normal(N)
    program = relu_program(TupleFeatures(X, enumerate_tuples(X, INNER, linear=True)), y, BETA)
    found = CvxpySolver(gap=1e-9).solve(program)
    two = CvxpySolver(gap=1e-9).solve(relu_program(PatternFeatures(X, enumerate_patterns(X)), y, BETA)).primal
    values = _trained(X, y, 20 if reduced else STARTS)
    network = ThreeLayerNetwork.of_variables(program, found.u)
    weights = float(np.abs(network.predict(X) - program.predict(found.u)).max())
    rows, own = _along_beta(3000 if reduced else WINDOWS, BETAS[:1] if reduced else BETAS)
    objectives = "; ".join(
        f"beta = {beta:g}: {deep.gap.primal:.4e} against {flat.gap.primal:.4e} (lower bound {flat.gap.dual:.4e}, "
        f"{flat.gap.evidence})"
        for beta, flat, deep, *_ in rows
    )
    beyond = sum(deep.gap.primal < flat.gap.dual for _, flat, deep, *_ in rows)
    errors = "; ".join(
        f"beta = {beta:g}: two layers {flat_rmse:.4f} mV with {flat.network.neurons} neurons, three {deep_rmse:.4f} mV "
        f"with {deep.network.neurons} of {ECG_INNER}"
        for beta, flat, deep, flat_rmse, deep_rmse in rows
    )
    claims = (
        Claim(
            "A three-layer network is a convex program over tuples of patterns, with the same optimum.",
            f"n = {N}, {program.features.count} tuples: convex {found.primal:.7f}; {reached(values, found.primal)}",
            is_optimum(values, found.primal),
        ),
        Claim(
            "The weights of the network follow from the variables.",
            f"{network.neurons} outer neurons of {INNER}; network and convex output differ by {weights:.0e}",
            weights < 1e-9,
        ),
        Claim(
            "A further layer does not raise the optimum: the three-layer network contains the two-layer one.",
            f"small problem: {found.primal:.7f} against {two:.7f}; record 208, {HORIZON} steps ahead, three layers "
            f"against two: {objectives}; below the bound of two layers at {beyond} of {len(rows)} betas",
            found.primal <= two * (1 + 1e-7) and all(deep.gap.primal <= flat.gap.primal for _, flat, deep, *_ in rows),
            "It takes a linear inner neuron in every outer one; with ReLU inner neurons alone it need not hold.",
        ),
        Claim(
            "What is minimised is the network's own objective, loss and weight decay.",
            f"record 208: computed from the weights it differs from the program's by {own:.0e}, relative; test errors: "
            + errors,
            own < 1e-6,
        ),
    )
    return Entry(
        "Three layers",
        "three-layer networks as convex programs",
        claims,
        (
            Picture(
                "three_layer",
                f"Left: {len(values)} trained networks above the convex optimum, n = {N}. Right: objective of two and "
                f"three layers on record 208, {HORIZON} steps ahead, {WINDOWS:,} training windows, with the lower "
                "bound of two layers.",
                _figure(values, found.primal, rows),
            ),
        ),
        "The penalty of an outer neuron is the length of all its inner weights. Gaps on record 208 are searched.",
    )


def _trained(X: Array, y: Array, starts: int) -> Array:
    """Objectives, rising, from random starts with random signs."""
    random = np.random.default_rng(0)
    values = []
    for _ in range(starts):
        signs = random.choice((-1.0, 1.0), (NEURONS, 1 + INNER))
        signs[:, 1] = 1.0
        start = random.standard_normal(NEURONS * INNER * X.shape[1]) * random.uniform(0.2, 1.5)
        options = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-14, "gtol": 1e-9}
        found = minimize(_objective(X, y, signs), start, method="L-BFGS-B", jac=True, options=options)
        values.append(float(found.fun))
    return np.sort(values)


def _objective(X: Array, y: Array, signs: Array) -> Callable[[Array], tuple[float, Array]]:
    """1/(2n) ||sum_j s_j (x'z_j1 + e_j2 (x'z_j2)_+)_+ - y||^2 + beta sum_j ||z_j||."""
    (n, d), s, e = X.shape, signs[:, 0], signs[:, 1:]

    def objective(x: Array) -> tuple[float, Array]:
        Z = x.reshape(NEURONS, INNER, d)
        heights = np.einsum("mkd,nd->nmk", Z, X)
        on = heights > 0
        on[:, :, 0] = True
        h = np.einsum("nmk,mk->nm", np.where(on, heights, 0), e)
        r = (np.maximum(h, 0) @ s - y) / n
        G = np.einsum("nm,nmk,nd->mkd", r[:, None] * (h > 0) * s, on * e, X)
        norms = np.sqrt(np.sum(Z**2, axis=(1, 2)) + 1e-24)
        return n * r @ r / 2 + BETA * norms.sum(), (G + BETA * Z / norms[:, None, None]).ravel()

    return objective


Row = tuple[float, Trained, Trained, float, float]  # beta, two layers, three layers, their test RMSE in mV


def _along_beta(count: int, betas: tuple[float, ...]) -> tuple[list[Row], float]:
    """Both networks along beta, and the largest relative difference of a three-layer objective from its weights'."""
    split = split_windows(read_recording(RECORD).signal, 15, HORIZON)
    windows = first_windows(split.train, count)
    flat = Training("relu", windows, gap=1e-2, confirm_starts=300)
    deep = Training("three-layer", windows, inner=ECG_INNER, rounds=8, confirm_starts=0)
    rows, own = [], 0.0
    for beta in betas:
        two, three = flat.at(beta), deep.at(beta)
        assert isinstance(three.network, ThreeLayerNetwork)
        r = three.network.predict(windows.X) - windows.y
        decay = np.linalg.norm(three.network.Z, axis=(1, 2)) @ np.abs(three.network.W2)
        own = max(own, abs((float(r @ r) / (2 * len(r)) + beta * float(decay)) / three.gap.primal - 1))
        rows.append((beta, two, three, split.rmse_mv(two.network.predict), split.rmse_mv(three.network.predict)))
    return rows, own


def _figure(values: Array, optimum: float, rows: list[Row]) -> Figure:
    figure = new_figure("Three layers", 3.4)
    left, right = figure.subplots(1, 2)
    starts_panel(left, values, optimum)
    betas = [row[0] for row in rows]
    flat, bound = [row[1].gap.primal for row in rows], [row[1].gap.dual for row in rows]
    right.plot(betas, np.divide([row[2].gap.primal for row in rows], flat), "o-", color=ORANGE, markersize=5,
               label="three layers")  # fmt: skip
    right.plot(betas, np.ones(len(rows)), "o-", color=BLUE, markersize=5, label="two layers")
    right.plot(betas, np.divide(bound, flat), "--", color=BLUE, linewidth=1.2, label="bound of two layers")
    style(right, xscale="log", xlabel="β", ylabel="objective, in units of two layers")
    right.invert_xaxis()
    right.set_xticks(betas, [f"{beta:g}" for beta in betas])
    right.minorticks_off()
    right.margins(y=0.25)
    right.legend(frameon=False, fontsize=8, loc="best")
    return figure


if __name__ == "__main__":
    main(reproduce)
