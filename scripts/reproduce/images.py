"""Convex SGD against SGD and Adam on images, one network against all for every class.

Slides: CIFAR-10 and CIFAR-100, n = 50,000, d = 3,072 (training objective and test accuracy against time).
Claims: stochastic gradients on the convex form, its cones as a hinge penalty, train to a lower objective than SGD and
Adam on the network, and to a higher test accuracy.
Found: the optimum is below all runs. The theory gives the optimum of a network with one output, so that there is one
for each class: targets +-1, squared loss; the objective is the sum over the classes. What convex SGD arrives at is
rounded to a network and scored by the objective of that network, like the others. By default the images are
scikit-learn's digits; one epoch at CIFAR's size is run on data of the same shape, or on CIFAR's own binary files with
`--cifar FOLDER`.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from _page import BLUE, GREEN, GREY, INK, ORANGE, Claim, Entry, Picture, main, new_figure, plain_log, style
from _race import in_stretches
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.optimisers import ADAM, SGD, Optimiser
from ecgcvx.baselines.problem import Problem
from ecgcvx.models.recovery import network_of_neurons
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array

BETA = 1e-2
TRAIN = 1440  # digits
GATES, NEURONS = 64, 32  # of convex SGD, and of backprop, for each class
EPOCHS, BATCH, RUNS = 40, 64, 3
NOISE = 0.01  # of an accuracy on 357 test images
HINGE = 1.0  # weight of the cones beside the loss
MOMENTUM = 0.9
STEPS = {"SGD": (SGD, 0.02), "Adam": (ADAM, 3e-3)}
SIZE, PIXELS, CLASSES = 50_000, 3072, 10
LARGE_GATES, LARGE_BATCH = 16, 250


@dataclass(frozen=True)
class Images:
    """Rows with a last column of ones, and classes, of both parts."""

    X: NDArray[np.float32]
    labels: NDArray[np.int64]
    test_X: NDArray[np.float32]
    test_labels: NDArray[np.int64]

    @property
    def targets(self) -> NDArray[np.float32]:
        """+1 for a row's own class, -1 for the others, (n, K)."""
        return np.where(self.labels[:, None] == np.arange(self.labels.max() + 1), 1, -1).astype(np.float32)


@dataclass(frozen=True)
class Curve:
    """Seconds and objectives of a run, and the test accuracy at its end."""

    seconds: Array
    objectives: Array
    accuracy: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The folder of CIFAR."""
    parser.add_argument("--cifar", type=Path, help="folder with CIFAR's binary files (data_batch_1.bin, ...)")


def reproduce(reduced: bool, cifar: Path | None = None) -> Entry:
    """Race on the digits, then run an epoch at CIFAR's size."""
    images = digits()
    epochs, runs = (6, 1) if reduced else (EPOCHS, RUNS)
    optimum, bound, best = _optimum(images)
    curves = {
        name: [_backprop(images, optimiser, step, seed, epochs) for seed in range(runs)]
        for name, (optimiser, step) in STEPS.items()
    }
    curves["convex SGD"] = [_convex(images, seed, epochs) for seed in range(runs)]
    ends = {name: np.array([curve.objectives[-1] for curve in several]) for name, several in curves.items()}
    accuracy = {name: float(np.mean([curve.accuracy for curve in several])) for name, several in curves.items()}
    data = read_cifar(cifar) if cifar else made_up(2000 if reduced else SIZE)
    seconds, first, last, hits = _epoch(data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    kind = f"CIFAR, {len(data.X):,} images" if cifar else f"made-up data, {len(data.X):,} x {data.X.shape[1]:,}"
    lowest = min(float(values.min()) for values in ends.values())
    backprop = min(float(ends[name].min()) for name in STEPS)
    convex_wins = bool(ends["convex SGD"].max() < backprop)
    said = ", ".join(f"{name} {values.min():.4f} to {values.max():.4f}" for name, values in ends.items())
    shares = ", ".join(f"{name} {100 * value:.1f} %" for name, value in accuracy.items())
    claims = (
        Claim(
            "The convex program has the optimum of the networks; no run is below it.",
            f"sum over ten classes {optimum:.4f}, lower bound {bound:.4f} (searched); lowest of all runs {lowest:.4f}",
            lowest >= bound,
        ),
        Claim(
            "The convex form ends with a lower objective than SGD and Adam on the network.",
            f"all patterns by the active set {optimum:.4f}; {said}",
            convex_wins or optimum < backprop,
            ""
            if convex_wins
            else f"By the active set over all patterns. Convex SGD over {GATES} sampled patterns, with a hinge for the "
            "cones, ends above backprop.",
        ),
        Claim(
            "It has the higher test accuracy.",
            f"all patterns by the active set {100 * best:.1f} %; {shares}",
            best >= max(accuracy[name] for name in STEPS) - NOISE,
        ),
        Claim(
            "The convex form trains at CIFAR's size with stochastic gradients.",
            f"{kind}, {LARGE_GATES} gates, {CLASSES} classes: one epoch in {seconds:.0f} s of one thread, peak memory "
            f"{peak:.1f} GB; objective {first:.3f} to {last:.3f}, test accuracy {100 * hits:.0f} %",
            last < first,
        ),
    )
    return Entry(
        "Convex SGD, SGD and Adam on images",
        "training on CIFAR-10 and CIFAR-100",
        claims,
        (
            Picture(
                "images",
                "Scikit-learn's digits: objective of the ten networks against processor time; test accuracy.",
                _figure(curves, optimum, best),
            ),
        ),
        f"{TRAIN:,} digits of 64 pixels, beta = {BETA:g}, {epochs} epochs of batches of {BATCH}; backprop: {NEURONS} "
        f"neurons for each class.",
    )


def digits() -> Images:
    """Scikit-learn's digits in a fixed order."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    X = np.c_[pixels / 16, np.ones(len(pixels))].astype(np.float32)
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[:TRAIN], order[TRAIN:]
    return Images(X[train], labels[train], X[test], labels[test])


def read_cifar(folder: Path) -> Images:
    """Read CIFAR-10's (data_batch_*.bin, test_batch.bin) or CIFAR-100's (train.bin, test.bin) binary files."""
    train = sorted(folder.glob("data_batch_*.bin")) or [folder / "train.bin"]
    test = folder / ("test_batch.bin" if train[0].name.startswith("data") else "test.bin")
    before = 1 if train[0].name.startswith("data") else 2  # bytes of labels; the last one is the class
    parts: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
    for paths in (train, [test]):
        raw = np.concatenate([np.fromfile(path, dtype=np.uint8) for path in paths]).reshape(-1, before + PIXELS)
        X = np.ones((len(raw), PIXELS + 1), dtype=np.float32)
        X[:, :-1] = raw[:, before:] / np.float32(255) - np.float32(0.5)
        parts.append((X, raw[:, before - 1].astype(np.int64)))
    return Images(*parts[0], *parts[1])


def made_up(size: int) -> Images:
    """Noise about a mean image for each class, of CIFAR's shape."""
    random = np.random.default_rng(0)
    means = 0.1 * random.standard_normal((CLASSES, PIXELS), dtype=np.float32)
    parts: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
    for n in (size, size // 10):
        labels = random.integers(0, CLASSES, n)
        X = np.ones((n, PIXELS + 1), dtype=np.float32)
        X[:, :-1] = 0.5 * random.standard_normal((n, PIXELS), dtype=np.float32) + means[labels]
        parts.append((X, labels))
    return Images(*parts[0], *parts[1])


def _optimum(images: Images) -> tuple[float, float, float]:
    """Sum of the classes' objectives and lower bounds over all patterns, and the test accuracy."""
    X = images.X.astype(np.float64)
    primal, dual, scores = 0.0, 0.0, []
    for target in images.targets.T:
        found = ActiveSetSolver(gap=1e-2, confirm_starts=300, threads=1).solve(
            AllPatterns(X, target.astype(np.float64), BETA)
        )
        primal, dual = primal + found.primal, dual + found.dual
        network = network_of_neurons(found.atoms.points, found.atoms.tags[:, 0])
        scores.append(network.predict(images.test_X.astype(np.float64)))
    return primal, dual, _accuracy(np.stack(scores, axis=1), images)


def _accuracy(scores: NDArray[np.floating], images: Images) -> float:
    return float(np.mean(scores.argmax(axis=1) == images.test_labels))


def _backprop(images: Images, optimiser: Optimiser, step: float, seed: int, epochs: int) -> Curve:
    """A network for each class; their seconds and objectives are summed."""
    several, scores = [], []
    for k, target in enumerate(images.targets.T):
        problem = Problem(Layers((images.X.shape[1], NEURONS, 1)), images.X, np.ascontiguousarray(target), BETA)
        points = list(in_stretches(problem, 100 * seed + k, optimiser, step, BATCH, epochs, 12))
        several.append([(point.seconds, point.objective) for point in points])
        W1, W2 = problem.weights(points[-1].parameters)
        scores.append(np.maximum(images.test_X @ W1, 0) @ W2)
    seconds, objectives = np.sum(several, axis=0).T
    return Curve(seconds, objectives, _accuracy(np.stack(scores, axis=1), images))


def convex_sgd(
    images: Images, gates: NDArray[np.float32], beta: float, batch: int, epochs: int, seed: int
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield (seconds, U) after every epoch of proximal SGD with momentum on the hinge form.

    min 1/(2n) sum_k ||sum_i D_i X (U_ik - U'_ik) - y_k||^2 + beta sum ||.|| + rho sum mean (-(2 D_i - I) X U_ik)_+

    over U (2, p, d, K), all classes at once. gates: (d, p), one for each pattern.
    """
    X, Y = images.X, images.targets
    random = np.random.default_rng(seed)
    n, d = X.shape
    p, K = gates.shape[1], Y.shape[1]
    U = np.zeros((d, 2 * p * K), dtype=np.float32)
    V = np.zeros_like(U)
    sign = np.repeat(np.array([1, -1], dtype=np.float32), p * K).reshape(2, 1, p, K)
    rate = np.float32(1 / _curvature(X[:512], gates))
    steps, done, seconds = epochs * -(-n // batch), 0, 0.0
    for _ in range(epochs):
        started = time.thread_time()
        for rows in np.array_split(random.permutation(n), -(-n // batch)):
            A = X[rows]
            masks = (A @ gates >= 0)[None, :, :, None]
            Z = (A @ U).reshape(len(rows), 2, p, K).swapaxes(0, 1)
            r = np.einsum("srpk,srpk->rk", np.where(masks, Z, 0), np.broadcast_to(sign, Z.shape)) - Y[rows]
            slope = np.where(masks, sign * r[None, :, None, :], 0)
            slope += np.float32(HINGE) * ((~masks & (Z > 0)).astype(np.float32) - (masks & (Z < 0)))
            gradient = A.T @ slope.swapaxes(0, 1).reshape(len(rows), -1) / np.float32(len(rows))
            eta = rate * np.float32(0.5 * (1 + np.cos(np.pi * done / steps)))
            V = MOMENTUM * V + (1 - MOMENTUM) * gradient
            U = _shrink(U - eta * V, eta * np.float32(beta))
            done += 1
        seconds += time.thread_time() - started
        yield seconds, U


def _shrink(U: NDArray[np.float32], limit: np.float32) -> NDArray[np.float32]:
    """The proximal map of the norms of the columns of U (d, 2 p K)."""
    norms = np.sqrt(np.einsum("dj,dj->j", U, U))
    return U * np.maximum(1 - limit / np.maximum(norms, np.float32(1e-30)), 0)


def _curvature(X: NDArray[np.float32], gates: NDArray[np.float32]) -> float:
    """Largest eigenvalue of the loss over both signs, from some rows: of the kernel 2 (X X') * (M M') / n."""
    masks = (X @ gates >= 0).astype(np.float64)
    wide = X.astype(np.float64)
    return 2 * float(np.linalg.eigvalsh((wide @ wide.T) * (masks @ masks.T))[-1]) / len(X)


def _objective(images: Images, U: NDArray[np.float32], beta: float) -> tuple[float, float]:
    """Objective of the ReLU networks that the columns of U are the neurons of, and their test accuracy."""
    K = images.targets.shape[1]
    sign = np.repeat(np.array([1, -1], dtype=np.float32), U.shape[1] // 2 // K)

    def scores(X: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = (np.maximum(rows @ U, 0).reshape(len(rows), -1, K) for rows in np.array_split(X, -(-len(X) // 1000)))
        return np.concatenate([np.einsum("rjk,j->rk", part, sign) for part in parts])

    r = scores(images.X) - images.targets
    penalty = beta * float(np.linalg.norm(U.astype(np.float64), axis=0).sum())
    return float(np.sum(r.astype(np.float64) ** 2)) / (2 * len(r)) + penalty, _accuracy(scores(images.test_X), images)


def _convex(images: Images, seed: int, epochs: int) -> Curve:
    """A run of convex SGD, scored by the objective of its rounded network."""
    gates = np.random.default_rng(seed).standard_normal((images.X.shape[1], GATES)).astype(np.float32)
    wanted = set(np.unique(np.geomspace(1, epochs, 12).astype(int)).tolist())
    start = _objective(images, np.zeros((images.X.shape[1], 2 * GATES * CLASSES), dtype=np.float32), BETA)[0]
    trace, accuracy = [(0.0, start)], 0.0
    for epoch, (seconds, U) in enumerate(convex_sgd(images, gates, BETA, BATCH, epochs, seed), 1):
        if epoch in wanted:
            value, accuracy = _objective(images, U, BETA)
            trace.append((seconds, value))
    seconds_of, objectives = np.array(trace).T
    return Curve(seconds_of, objectives, accuracy)


def _epoch(images: Images) -> tuple[float, float, float, float]:
    """Seconds of one epoch of convex SGD, objective before and after it, and test accuracy."""
    gates = np.random.default_rng(0).standard_normal((images.X.shape[1], LARGE_GATES)).astype(np.float32)
    zero = np.zeros((images.X.shape[1], 2 * LARGE_GATES * images.targets.shape[1]), dtype=np.float32)
    first, _ = _objective(images, zero, BETA)
    ((seconds, U),) = convex_sgd(images, gates, BETA, LARGE_BATCH, 1, 0)
    last, accuracy = _objective(images, U, BETA)
    return seconds, first, last, accuracy


def _figure(curves: dict[str, list[Curve]], optimum: float, best: float) -> Figure:
    figure = new_figure("Digits: ten networks, one against all", 3.8)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    colors = dict(zip(curves, (GREY, ORANGE, BLUE), strict=True))
    for name, several in curves.items():
        for i, curve in enumerate(several):
            left.plot(curve.seconds[1:], curve.objectives[1:], color=colors[name], linewidth=1.1,
                      label=name if i == 0 else None)  # fmt: skip
    left.axhline(optimum, color=INK, linestyle="--", linewidth=1.1, label="convex optimum")
    style(left, xscale="log", yscale="log", xlabel="processor time (s)", ylabel="objective, sum over the classes")
    plain_log(left.xaxis)
    plain_log(left.yaxis)
    left.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=2)
    for x, (name, several) in enumerate(curves.items()):
        right.plot(np.full(len(several), x), [100 * c.accuracy for c in several], "o", color=colors[name], markersize=6)
    right.plot(len(curves), 100 * best, "D", color=GREEN, markersize=6)
    style(right, ylabel="test accuracy (%)", xlim=(-0.6, len(curves) + 0.6))
    right.set_xticks(range(len(curves) + 1), [*curves, "optimum"], rotation=30, ha="right")
    right.margins(y=0.2)
    return figure


if __name__ == "__main__":
    main(reproduce, add_options)
