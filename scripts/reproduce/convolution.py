"""Convolution: the convex program of shared filters, how many patterns it has, and the filters of an ECG.

Slides: convolutional networks as convex programs (Ergen & Pilanci 2021, implicit convex regularisers of CNNs).
Claims: a two-layer network of shared filters is a convex program over the patterns of all patches; their number is a
power of n whose exponent is the length of a filter and not that of the window; a linear circular network is an l1
penalty on Fourier coefficients.
Found: holds. The price of a filter is the two-layer price on the patches with the residual repeated, so that the same
certificates serve. On record 208 a pooled network forecasts much worse than the two-layer network: where a shape stands
in the window matters to a forecast, and pooling forgets it.
"""

import math
from collections.abc import Callable
from math import comb
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from _ecg import RECORD, Training, first_windows
from _page import BLUE, GREEN, GREY, INK, ORANGE, RED, Claim, Entry, Picture, main, new_figure, style
from _small import is_optimum, reached, starts_panel, trained
from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.patches import Convolution, PatchMatrix
from ecgcvx.programs.circular import circular_layers, circular_program
from ecgcvx.programs.convolutional import ConvolutionalFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import Array
from ecgcvx.windows import Windows, split_windows

N, D, NEURONS, STARTS, BETA = 6, 5, 8, 60, 0.05  # of the small problem
SMALL = Convolution(2, 1, "average", 0)
COUNTED = (2, 4, 6, 8, 12, 16)  # rows, of windows of WIDE samples
WIDE, LENGTHS = 6, (2, 3)
WINDOWS, HORIZON, TAPS, ECG_BETA = 5_000, 5, 7, 3e-4
SHOWN = 5


def reproduce(reduced: bool) -> Entry:
    """Solve a small problem both ways, count patterns, then train on record 208."""
    random = np.random.default_rng(4)
    X, y = random.standard_normal((N, D)), random.standard_normal(N)
    patterns = enumerate_patterns(PatchMatrix(X, SMALL)[:])
    program = relu_program(ConvolutionalFeatures(X, SMALL, patterns), y, BETA)
    found = CvxpySolver(gap=1e-9).solve(program)
    values = trained(_objective(X, y), NEURONS * (SMALL.width + 1), 20 if reduced else STARTS)
    network = ConvolutionalNetwork.of_variables(program, found.u)
    weights = float(np.abs(network.predict(X) - program.predict(found.u)).max())
    counts = _counts(COUNTED[:3] if reduced else COUNTED)
    circular = _circular(X, y, 20 if reduced else 50)
    split = split_windows(read_recording(RECORD).signal, 15, HORIZON)
    windows = first_windows(split.train, 3000 if reduced else WINDOWS)
    price = _price(windows)
    ecg = Training("conv", windows, taps=TAPS, rounds=8, confirm_starts=300).at(ECG_BETA)
    assert isinstance(ecg.network, ConvolutionalNetwork)
    flat = Training("relu", windows, rounds=8, confirm_starts=300).at(ECG_BETA)
    unrolled = float(np.abs(ecg.network.on_window().predict(windows.X) - ecg.network.predict(windows.X)).max())
    last = {h: counts[h][-1] for h in LENGTHS}
    errors = [split.rmse_mv(model.network.predict) for model in (ecg, flat)]
    claims = (
        Claim(
            "A network of shared filters is a convex program over the patterns of all patches.",
            f"n = {N}, windows of {D}, filters of {SMALL.taps}: {len(patterns)} patterns, convex {found.primal:.7f}; "
            f"{reached(values, found.primal)}; network and convex output differ by {weights:.0e}",
            is_optimum(values, found.primal) and weights < 1e-9,
        ),
        Claim(
            "The number of patterns is a power of n with the filter's length as exponent, not the window's.",
            f"n = {COUNTED[len(counts[LENGTHS[0]]) - 1]}, windows of {WIDE}: "
            + ", ".join(f"filters of {h}: {last[h]:,}" for h in LENGTHS)
            + f", no convolution: {_cover(COUNTED[len(counts[LENGTHS[0]]) - 1], WIDE):,}; all counts are "
            "2 sum of C(nK - 1, k) over k < h, K patches a window",
            all(
                count == _cover(n * (WIDE - h + 1), h) <= 2 * (math.e * n * (WIDE - h + 1) / h) ** h
                for h in LENGTHS
                for n, count in zip(COUNTED, counts[h], strict=False)
            ),
        ),
        Claim(
            "A filter's price is that of a two-layer neuron on the patches with the residual repeated.",
            f"{len(windows):,} windows of record 208, random filters and residuals: relative difference {price:.0e}",
            price < 1e-12,
        ),
        Claim(
            "A linear circular network is least squares with an l1 penalty on the Fourier coefficients.",
            f"convex {circular.optimum:.7f}; {reached(circular.values, circular.optimum)}; the layers of the solution "
            f"give its output to {circular.output:.0e}, and their weight decay is the penalty to {circular.decay:.0e}",
            is_optimum(circular.values, circular.optimum) and circular.output < 1e-9 and circular.decay < 1e-8,
        ),
        Claim(
            "It trains on an ECG.",
            f"record 208, {HORIZON} steps ahead, {TAPS} taps, beta = {ECG_BETA:g}: {ecg.network.neurons} filters, "
            f"test {errors[0]:.4f} mV, {ecg.gap.words}; the two-layer network: {flat.network.neurons} neurons, "
            f"{errors[1]:.4f} mV; the filters as one network on the whole window differ by {unrolled:.0e}",
            unrolled < 1e-9 and ecg.gap.relative < 0.1 and errors[1] < errors[0],
            "Pooling forgets where in the window a shape stands: for forecasts the two-layer network is better.",
        ),
    )
    return Entry(
        "Convolution",
        "convolutional networks as convex programs; linear circular networks",
        claims,
        (
            Picture(
                "convolution",
                f"Left: {len(values)} trained networks above the convex optimum, n = {N}. Middle: patterns of windows "
                f"of {WIDE} samples, enumerated (points) and by the formula (lines). Right: the {SHOWN} largest "
                f"filters on record 208, {HORIZON} steps ahead, scaled to length 1.",
                _figure(values, found.primal, counts, ecg.network),
            ),
        ),
    )


def _objective(X: Array, y: Array) -> Callable[[Array], tuple[float, Array]]:
    """1/(2n) ||mean_k sum_j (x_k'w_j)_+ a_j - y||^2 + beta/2 (||W||^2 + ||a||^2)."""
    patches = np.stack([X[:, k : k + SMALL.taps] for k in range(D - SMALL.taps + 1)], axis=1)
    n, K, w = patches.shape

    def objective(x: Array) -> tuple[float, Array]:
        W, a = x[: w * NEURONS].reshape(w, NEURONS), x[w * NEURONS :]
        Z = patches @ W
        h = np.maximum(Z, 0).mean(axis=1)
        r = (h @ a - y) / n
        G = np.einsum("nkw,nkm->wm", patches, (Z > 0) * (r[:, None] * a)[:, None, :]) / K
        value = n * r @ r / 2 + BETA / 2 * (np.sum(W**2) + a @ a)
        return value, np.concatenate([(G + BETA * W).ravel(), h.T @ r + BETA * a])

    return objective


def _cover(rows: int, rank: int) -> int:
    """Patterns of so many rows in general position, the zero pattern included (Cover 1965)."""
    return 2 * sum(comb(rows - 1, k) for k in range(rank))


def _counts(sizes: tuple[int, ...]) -> dict[int, list[int]]:
    """Enumerated patterns, the zero pattern included, by the length of the filter."""
    counts: dict[int, list[int]] = {}
    for h in LENGTHS:
        counts[h] = []
        for n in sizes:
            X = np.random.default_rng(n).standard_normal((n, WIDE))
            found = enumerate_patterns(PatchMatrix(X, Convolution(h, context=0))[:])
            counts[h].append(len(found) + int(np.count_nonzero(found.coverage == 1)))
    return counts


class Circular(NamedTuple):
    """Optimum of the linear circular program, differences of its layers from its variables, and trained networks."""

    optimum: float
    output: float
    decay: float
    values: Array


def _circular(X: Array, y: Array, starts: int) -> Circular:
    """Solve it, and train networks sum_j u_j * v_j of circular filters from random starts."""
    program = circular_program(X, y, BETA)
    found = CvxpySolver(gap=1e-9).solve(program)
    layers = circular_layers(program, found.u)
    w = _filter(*layers)
    penalty = float(np.abs(np.fft.fft(w, norm="ortho")).sum()) / np.sqrt(D)
    decay = sum(float(np.sum(layer**2)) for layer in layers) / 2

    def objective(x: Array) -> tuple[float, Array]:
        u, v = x.reshape(2, -1, D)
        r = (X @ _filter(u, v) - y) / len(y)
        g = np.fft.fft(X.T @ r)
        du, dv = (np.fft.ifft(np.fft.fft(other, axis=1).conj() * g, axis=1).real for other in (v, u))
        value = len(y) * float(r @ r) / 2 + BETA / 2 * float(x @ x)
        return value, np.concatenate([(du + BETA * u).ravel(), (dv + BETA * v).ravel()])

    values = trained(objective, 2 * D * D, starts)
    return Circular(
        found.primal, float(np.abs(X @ w - program.predict(found.u)).max()), abs(decay / penalty - 1), values
    )


def _filter(u: Array, v: Array) -> Array:
    """The sum of the circular convolutions of the rows of u and v (m, d)."""
    return np.fft.ifft((np.fft.fft(u, axis=1) * np.fft.fft(v, axis=1)).sum(axis=0)).real


def _price(windows: Windows) -> float:
    """Largest relative difference of v'f(X; w)/n, pooled, from the price on the patches with v repeated."""
    random = np.random.default_rng(0)
    convolution = Convolution(TAPS)
    X, v = np.asarray(windows.X), random.standard_normal(len(windows))
    W = random.standard_normal((convolution.width, 8))
    patches = PatchMatrix(X, convolution)[:]
    K = len(patches) // len(X)
    h = np.maximum(patches @ W, 0)
    pooled = v @ h.reshape(len(X), K, -1).mean(axis=1) / len(X)
    two_layer = np.repeat(v, K) @ h / len(patches)
    size = np.abs(np.repeat(v, K)) @ h / len(patches)
    return float((np.abs(pooled - two_layer) / size).max())


def _figure(values: Array, optimum: float, counts: dict[int, list[int]], network: ConvolutionalNetwork) -> Figure:
    figure = new_figure("Convolution", 3.2)
    left, middle, right = figure.subplots(1, 3)
    starts_panel(left, values, optimum)
    sizes = range(COUNTED[0], COUNTED[-1] + 1)
    for h, color in zip(LENGTHS, (BLUE, GREEN), strict=True):
        middle.plot(sizes, [_cover(n * (WIDE - h + 1), h) for n in sizes], color=color, label=f"filters of {h}")
        middle.plot(COUNTED[: len(counts[h])], counts[h], "o", color=color, markersize=4)
    middle.plot(sizes, [_cover(n, WIDE) for n in sizes], color=ORANGE, label="no convolution")
    style(middle, xscale="log", yscale="log", xlabel="windows n", ylabel="patterns")
    middle.set_xticks([2, 4, 8, 16], ["2", "4", "8", "16"])
    middle.minorticks_off()
    middle.legend(frameon=False, fontsize=8, loc="upper left")
    sizes_of = np.linalg.norm(network.W1, axis=0) * np.abs(network.W2)
    taps = network.convolution.taps
    time = 1000 / 360 * np.arange(taps)
    for j, color in zip(np.argsort(-sizes_of)[:SHOWN], (INK, BLUE, ORANGE, GREEN, RED), strict=False):
        w = network.W1[:taps, j]
        right.plot(time, w / np.linalg.norm(w), "o-", color=color, markersize=3, linewidth=1.2)
    right.axhline(0, color=GREY, linewidth=0.6)
    style(right, xlabel="time in the patch (ms)", ylabel="weight")
    return figure


if __name__ == "__main__":
    main(reproduce)
