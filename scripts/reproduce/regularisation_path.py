"""The regularisation path on an ECG: neurons and errors against beta, and networks of m = 1, 2, ... neurons.

Slides: regularisation path; the set of architectures.
Claims: beta chooses the number of neurons: none from the largest beta on, more as beta falls. For every m at least the
number of neurons of a convex optimum the best network of m neurons has the convex value, for smaller m it is worse.
Found: both hold, but the number of neurons is not monotone in beta.
"""

import numpy as np
from matplotlib.figure import Figure

from _page import BLUE, GREY, INK, ORANGE, Claim, Entry, Picture, main, new_figure, plain_log, style
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.lbfgs import train_lbfgs
from ecgcvx.baselines.problem import Problem
from ecgcvx.metrics import root_mean_square
from ecgcvx.models.recovery import network_of_neurons
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import read_recording
from ecgcvx.search import search_price
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array
from ecgcvx.windows import split_windows

RECORD = "data/mitdb208/208"
WINDOWS, SMALL = 4_000, 2_000  # of the path, and of the networks of m neurons
COUNT, RATIO = 20, 1e-3  # betas from the largest to RATIO times it
GAP = 1e-3
BETA = 3e-2  # of the networks of m neurons
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 12)
STARTS = 10


def reproduce(reduced: bool) -> Entry:
    """Follow the path, then train networks of every width."""
    split = split_windows(read_recording(RECORD).signal)
    X, y = split.train.X[0 : 3000 if reduced else WINDOWS], split.train.y[: 3000 if reduced else WINDOWS]
    test_X, test_y = np.asarray(split.test.X), split.test.y
    largest = search_price(X, y, 200, 0)[0] / len(y)
    solver = ActiveSetSolver(gap=GAP, confirm_starts=300, rounds=60, threads=1)
    betas = np.geomspace(largest, RATIO * largest, COUNT)[: 12 if reduced else None]
    rows, warm = [], None
    for beta in (1.01 * largest, *betas[1:]):
        solution = solver.solve(AllPatterns(X, y, float(beta)), warm_start=warm)
        warm = solution.atoms if len(solution.atoms) else None
        network = network_of_neurons(solution.atoms.points, solution.atoms.tags[:, 0])
        train, test = (
            split.scaler.scale * root_mean_square(t - (network.predict(A) if network.neurons else 0.0))
            for A, t in ((X, y), (test_X, test_y))
        )
        rows.append((beta, len(solution.atoms), train, test, solution.gap))
    path = np.array(rows)
    neurons = path[:, 1].astype(int)
    falls = int((np.diff(neurons) < 0).sum())
    starts = 4 if reduced else STARTS
    optimum, few, best = _widths(split.train.X[0:SMALL], split.train.y[:SMALL], starts)
    claims = (
        Claim(
            "From the largest beta on the network is zero; below it neurons come in.",
            f"largest beta {largest:.4f}: {neurons[0]} neurons at 1.01 of it, {neurons[1]} at {betas[1] / largest:.2f}",
            neurons[0] == 0 and neurons[1] >= 1,
        ),
        Claim(
            "The number of neurons grows as beta falls.",
            f"{neurons[1]} to {neurons[-1]} neurons over {len(path)} betas, {falls} of {len(path) - 1} steps go down",
            neurons[-1] > 3 * max(neurons[1], 1) or reduced,
            "Not monotone: along the path neurons also merge and leave." if falls else "",
        ),
        Claim(
            "The training error falls along the path.",
            f"{path[0, 2]:.4f} to {path[-1, 2]:.4f} mV; on the test part {path[0, 3]:.4f} to {path[-1, 3]:.4f} mV, "
            f"lowest at beta = {path[np.argmin(path[:, 3]), 0]:.1e}",
            bool((np.diff(path[:, 2]) < 1e-3 * path[:-1, 2]).all()),
        ),
        Claim(
            "Networks with fewer neurons than the convex optimum are worse; from its number on they are as good.",
            f"beta = {BETA:g}, {SMALL:,} windows: convex {optimum:.6e} with {few} neurons; best of {starts} starts: "
            + ", ".join(f"m = {m}: {value / optimum - 1:+.1e}" for m, value in best.items()),
            all(value >= optimum * (1 - 1e-4) for value in best.values())
            and best[1] > optimum * 1.01
            and min(value for m, value in best.items() if m >= few) < optimum * (1 + 1e-3),
        ),
    )
    return Entry(
        "Regularisation path",
        "regularisation path; the set of architectures",
        claims,
        (
            Picture(
                "regularisation_path",
                f"Left: neurons and errors along beta, {len(y):,} windows of record 208. Right: best networks of m "
                "neurons above the convex optimum.",
                _figure(path, largest, best, optimum, few),
            ),
        ),
        f"Every point of the path is solved over all patterns to a searched gap of {GAP:g}.",
    )


def _widths(X: Array, y: Array, starts: int) -> tuple[float, int, dict[int, float]]:
    """The convex optimum, its neurons, and the lowest objective of networks of m neurons over so many starts."""
    solution = ActiveSetSolver(gap=1e-5, threads=1).solve(AllPatterns(X, y, BETA))
    best = {}
    for m in WIDTHS:
        problem = Problem(Layers((X.shape[1], m, 1)), X, y, BETA)
        runs = (train_lbfgs(problem, problem.layers.initial(np.random.default_rng(s)), 300) for s in range(starts))
        best[m] = min(problem.objective(run.parameters) for run in runs)
    return solution.primal, len(solution.atoms), best


def _figure(path: Array, largest: float, best: dict[int, float], optimum: float, few: int) -> Figure:
    figure = new_figure("Along beta, and networks of m neurons", 4.8)
    grid = figure.subplot_mosaic([["n", "w"], ["e", "w"]], width_ratios=(1.4, 1))
    beta = path[:, 0]
    grid["n"].step(beta, path[:, 1], where="mid", color=INK, linewidth=1.2)
    grid["n"].axvline(largest, color=GREY, linestyle=":", linewidth=0.9)
    style(grid["n"], xscale="log", ylabel="neurons")
    grid["n"].annotate("largest β", (largest, path[:, 1].max()), (4, -4), textcoords="offset points", fontsize=8,
                       ha="left", va="top", color=GREY)  # fmt: skip
    for column, color, label in ((2, GREY, "training"), (3, BLUE, "test")):
        grid["e"].plot(beta, path[:, column], color=color, marker="o", markersize=3, label=label)
    style(grid["e"], xscale="log", yscale="log", xlabel="β", ylabel="RMSE (mV)")
    grid["e"].legend(frameon=False, fontsize=8, loc="upper right")
    plain_log(grid["e"].yaxis)
    for name in ("n", "e"):
        grid[name].set_xlim(1.6 * largest, beta.min() / 1.3)
    above = [max(value / optimum - 1, 1e-7) for value in best.values()]
    grid["w"].plot(list(best), above, "o-", color=ORANGE, markersize=6, linewidth=0.8)
    grid["w"].axvline(few, color=BLUE, linestyle=":", linewidth=1.2)
    grid["w"].annotate(f"convex optimum:\n{few} neurons", (few, max(above)), (-5, 0), textcoords="offset points",
                       fontsize=8, va="top", ha="right", color=BLUE)  # fmt: skip
    grid["w"].set_xticks(list(best))
    style(grid["w"], yscale="log", xlabel="neurons m", ylabel="best network above the convex optimum, relative")
    return figure


if __name__ == "__main__":
    main(reproduce)
