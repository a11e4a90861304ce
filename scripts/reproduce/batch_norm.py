"""Batch normalisation: the convex program of the network that normalises, and the plain network that it folds into.

Slides: batch normalisation as a convex program (Ergen, Sahiner, Ozturkler, Pauly, Mardani & Pilanci 2022).
Claims: the network with batch norm after the ReLU is the convex program over sqrt(n) U_i t_i with C D_i X = U_i S V',
whose blocks are orthonormal; normalisation is no obstacle to the global optimum.
Found: holds. On a small problem no trained network is below the optimum of the program; a network trained on record 208
folds into a plain one, and needs fewer neurons than the plain network for the same error.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from _ecg import RECORD, Training, first_windows
from _page import BLUE, GREEN, ORANGE, Claim, Entry, Picture, main, new_figure, plain_log, style
from _small import is_optimum, reached, starts_panel, trained
from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.models.batch_norm import BatchNormNetwork, FoldedNetwork
from ecgcvx.programs.batch_norm import BatchNormFeatures, batch_norm_program
from ecgcvx.programs.features import matrix_of
from ecgcvx.records import read_recording
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import Array
from ecgcvx.windows import split_windows

N, NEURONS, STARTS, BETA = 9, 8, 40, 0.03  # of the small problem
WINDOWS = 5_000
BETAS = {"relu": (3e-3, 1e-3, 3e-4), "after": (1e-2, 5e-3, 2e-3), "before": (1e-2, 3e-3, 1e-3)}
LABELS = {"relu": "plain", "after": "batch norm after the ReLU", "before": "batch norm before the ReLU"}
COLORS = {"relu": BLUE, "after": ORANGE, "before": GREEN}


def reproduce(reduced: bool) -> Entry:
    """Solve a small problem both ways, then follow beta on record 208."""
    X, y = _problem()
    program = batch_norm_program(BatchNormFeatures(X, enumerate_patterns(X)), y, BETA)
    found = CvxpySolver(gap=1e-9).solve(program)
    values = trained(_objective(X, y), NEURONS * (X.shape[1] + 2), 30 if reduced else STARTS)
    blocks = matrix_of(program.features).reshape(N, program.features.count, -1)
    turned = max(_from_orthonormal(blocks[:, i]) for i in range(program.features.count))
    ones = np.c_[X, np.ones(N)]
    small = BatchNormNetwork.of_variables(program, found.u)
    widened = BatchNormNetwork(np.r_[small.W1, np.zeros((1, small.neurons))], small.gamma, small.W2)
    output = program.predict(found.u) + y.mean()
    weights = float(np.abs(widened.folded(ones, float(y.mean())).predict(ones) - output).max())
    path, folds = _paths(3000 if reduced else WINDOWS, 2 if reduced else None)
    best = {kind: min(rows, key=lambda row: row[1]) for kind, rows in path.items()}
    said = "; ".join(
        f"{LABELS[kind]}: " + ", ".join(f"{m} neurons {rmse:.4f} mV (beta {beta:g})" for m, rmse, beta in sorted(rows))
        for kind, rows in path.items()
    )
    claims = (
        Claim(
            "Batch norm after the ReLU is a convex program: it has the optimum of the network that normalises.",
            f"n = {N}: convex {found.primal:.7f}; {reached(values, found.primal)}",
            is_optimum(values, found.primal),
        ),
        Claim(
            "The blocks of the program are sqrt(n) U_i, orthonormal: batch norm whitens every pattern.",
            f"{program.features.count} patterns, largest deviation of U_i'U_i from a projection {turned:.0e}",
            turned < 1e-9,
        ),
        Claim(
            "The weights of the network follow from the variables, and it folds into a plain ReLU network.",
            f"small problem: folded network and convex output differ by {weights:.0e}; record 208: the folded network "
            f"and the formula with means and deviations of the training part by {folds:.0e} (standardised)",
            weights < 1e-9 and folds < 1e-9,
        ),
        Claim(
            "On an ECG batch norm after the ReLU needs fewer neurons for the same error.",
            f"{said}. Most accurate: {LABELS[min(best, key=lambda kind: best[kind][1])]}",
            all(any(few <= m and low <= rmse for few, low, _ in path["after"]) for m, rmse, _ in path["relu"]),
            "Of few windows and at these betas. The penalty is another one, so that equal betas are not comparable.",
        ),
    )
    return Entry(
        "Batch normalisation",
        "batch normalisation as a convex program",
        claims,
        (
            Picture(
                "batch_norm",
                f"Left: {len(values)} trained networks above the convex optimum, n = {N}. Right: test error one step "
                f"ahead on record 208 against neurons, along beta, {WINDOWS:,} training windows.",
                _figure(values, found.primal, path),
            ),
        ),
    )


def _problem() -> tuple[Array, Array]:
    random = np.random.default_rng(2)
    return random.standard_normal((N, 2)), random.standard_normal(N)


def _from_orthonormal(block: Array) -> float:
    """How far F'F/n is from a projection: its eigenvalues are 0 or 1 when the columns span what U_i does."""
    values = np.linalg.eigvalsh(block.T @ block / len(block))
    return float(np.minimum(np.abs(values), np.abs(values - 1)).max())


def _objective(X: Array, y: Array) -> Callable[[Array], tuple[float, Array]]:
    """1/(2n) ||sum_j a_j gamma_j (h_j - mean)/std - (y - mean y)||^2 + beta/2 (||gamma||^2 + ||a||^2)."""
    n, d = X.shape

    def objective(x: Array) -> tuple[float, Array]:
        W, gamma, a = x[: d * NEURONS].reshape(d, NEURONS), x[d * NEURONS : -NEURONS], x[-NEURONS:]
        Z = X @ W
        h = np.maximum(Z, 0)
        h = h - h.mean(axis=0)
        std = np.sqrt((h**2).mean(axis=0)) + 1e-12
        c = h / std
        r = (c @ (gamma * a) - y + y.mean()) / n
        t = c.T @ r
        back = (r[:, None] - r.mean() - c * t / n) * (gamma * a / std)
        value = n * r @ r / 2 + BETA / 2 * (gamma @ gamma + a @ a)
        return value, np.concatenate([(X.T @ ((Z > 0) * back)).ravel(), t * a + BETA * gamma, t * gamma + BETA * a])

    return objective


Path = dict[str, list[tuple[int, float, float]]]  # of every network: neurons, test RMSE in mV, beta


def _paths(count: int, most: int | None) -> tuple[Path, float]:
    """Networks along beta, and the largest difference that folding made."""
    split = split_windows(read_recording(RECORD).signal)
    windows = first_windows(split.train, count)
    path: Path = {}
    folds = 0.0
    for name, betas in BETAS.items():
        options = {"rounds": 8, "confirm_starts": 0} | ({} if name == "relu" else {"order": name})
        training = Training("relu" if name == "relu" else "batchnorm", windows, **options)
        path[name] = []
        for beta in betas[:most]:
            network = training.at(beta).network
            path[name].append((network.neurons, split.rmse_mv(network.predict), beta))
            if isinstance(network, FoldedNetwork) and name == "after":
                folds = max(folds, _folding(network, np.asarray(windows.X), float(windows.y.mean())))
    return path, folds


def _folding(network: FoldedNetwork, X: Array, offset: float) -> float:
    """Largest difference of the folded network from sum_j a_j gamma_j (h_j - mean)/std + offset on the rows X."""
    own = network.normalised(X)
    h = np.maximum(X @ own.W1, 0.0)
    f = ((h - h.mean(axis=0)) / h.std(axis=0)) @ (own.gamma * own.W2) + offset
    return float(np.abs(f - network.predict(X)).max())


def _figure(values: Array, optimum: float, path: Path) -> Figure:
    figure = new_figure("Batch normalisation", 3.8)
    left, right = figure.subplots(1, 2)
    starts_panel(left, values, optimum)
    for name, rows in path.items():
        neurons, rmse, _ = np.array(sorted(rows)).T
        right.plot(neurons, rmse, "o-", color=COLORS[name], markersize=5, linewidth=1.2, label=LABELS[name])
    style(right, xscale="log", yscale="log", xlabel="neurons", ylabel="test RMSE (mV)")
    plain_log(right.xaxis)
    plain_log(right.yaxis)
    right.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return figure


if __name__ == "__main__":
    main(reproduce)
