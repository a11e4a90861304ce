"""Backpropagation on the two-layer ReLU network: minibatch Adam with a cosine schedule.

Objective, as everywhere (W1 (d, m), W2 (m,), the hidden bias is the column of ones in X):

    P(W1, W2) = 1/(2n) ||(X W1)_+ W2 - y||^2 + beta/2 (||W1||_F^2 + ||W2||^2)
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import cos, isfinite, pi, sqrt
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ecgcvx.baselines.linear import CHUNK_ROWS, Rows, checked_chunks
from ecgcvx.errors import InputError, SolverError

Array = NDArray[Any]


@dataclass(frozen=True)
class BackpropResult:
    """A trained network, W1 (d, m) and W2 (m,) float64, and its ledger.

    `history` has for each finished epoch the mean minibatch loss, seen while the weights moved, plus the penalty at the
    epoch's end: an estimate of P. It is shorter than `epochs` when the run was interrupted.
    """

    W1: NDArray[np.float64]
    W2: NDArray[np.float64]
    history: tuple[float, ...]


@dataclass(frozen=True)
class AdamState:
    """Parameters (k,), the running means of gradient and squared gradient (k,), and the number of steps taken."""

    parameters: Array
    mean: Array
    square: Array
    steps: int = 0


def adam_start(parameters: Array) -> AdamState:
    """Return Adam's state before the first step."""
    return AdamState(parameters, np.zeros_like(parameters), np.zeros_like(parameters))


def adam_step(
    state: AdamState,
    gradient: Array,
    step_size: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> AdamState:
    """Return the state after one step along `gradient` (k,).

    Source: Kingma & Ba (2015), Adam, Algorithm 1.
    """
    steps = state.steps + 1
    mean = beta1 * state.mean + (1 - beta1) * gradient
    square = beta2 * state.square + (1 - beta2) * gradient * gradient
    # The corrections are scalars: folding them into the step saves two passes over the parameters.
    corrected_step = step_size / (1 - beta1**steps)
    corrected_root = np.sqrt(square) * (1 / sqrt(1 - beta2**steps)) + epsilon
    return AdamState(state.parameters - corrected_step * mean / corrected_root, mean, square, steps)


def cosine_step(step: int, steps: int, initial: float) -> float:
    """Return the step size of step 0, ..., steps - 1: `initial` at first, falling to 0 along half a cosine.

    Source: Loshchilov & Hutter (2017), SGDR, one period.
    """
    return 0.5 * initial * (1 + cos(pi * step / steps))


@dataclass(frozen=True)
class _Buffers:
    """Working memory for the hidden layer of one batch: (XW)_+ and the pattern 1[XW > 0], both (rows, m)."""

    hidden: Array
    active: Array

    @classmethod
    def of(cls, rows: int, neurons: int, dtype: type[np.floating[Any]]) -> "_Buffers":
        return cls(np.empty((rows, neurons), dtype), np.empty((rows, neurons), dtype))


def _squares_and_gradient(W1: Array, W2: Array, X: Array, y: Array, buffers: _Buffers) -> tuple[float, Array, Array]:
    """Return ||r||^2 and the gradient of ||r||^2 / 2 in W1 and W2, r = (X W1)_+ W2 - y, in the precision of X."""
    hidden, active = buffers.hidden[: len(X)], buffers.active[: len(X)]
    np.matmul(X, W1, out=hidden)
    np.greater(hidden, 0, out=active)
    np.maximum(hidden, 0, out=hidden)
    residual = hidden @ W2 - y
    # X' diag(r) D_j w2_j: scaling the narrow X instead of the wide pattern saves a pass over (rows, m).
    gradient_W1 = (X * residual[:, None]).T @ active * W2
    return float(residual @ residual), gradient_W1, residual @ hidden


def objective_and_gradient(
    W1: NDArray[np.float64], W2: NDArray[np.float64], X: Rows, y: NDArray[np.float64], beta: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return P and its gradient in W1 (d, m) and W2 (m,) over all rows of X (n, d), in float64, chunk by chunk.

    At a kink the derivative of the ReLU is taken as 0.

    Raises
    ------
    InputError
        When shapes disagree, beta < 0, or a value is not finite.
    """
    _check_beta(beta)
    chunks = checked_chunks(X, y)
    if np.ndim(W1) != 2 or np.shape(W1)[:1] != tuple(X.shape[1:]) or np.shape(W2) != np.shape(W1)[1:]:
        raise InputError(f"W1 {np.shape(W1)} and W2 {np.shape(W2)} do not fit X {tuple(X.shape)}; pass (d, m) and (m,)")
    if not (np.isfinite(W1).all() and np.isfinite(W2).all()):
        raise InputError("W1 or W2 has a value that is not finite; pass the weights of a run that converged")
    n = X.shape[0]
    buffers = _Buffers.of(min(n, CHUNK_ROWS), len(W2), np.float64)
    squares, gradient_W1, gradient_W2 = 0.0, np.zeros(W1.shape), np.zeros(W2.shape)
    for rows, targets in chunks:
        chunk_squares, chunk_W1, chunk_w2 = _squares_and_gradient(W1, W2, rows, targets, buffers)
        squares += chunk_squares
        gradient_W1 += chunk_W1
        gradient_W2 += chunk_w2
    value = squares / (2 * n) + beta / 2 * float(np.vdot(W1, W1) + W2 @ W2)
    return value, gradient_W1 / n + beta * W1, gradient_W2 / n + beta * W2


def train_adam(
    X: Rows,
    y: NDArray[np.float64],
    neurons: int = 64,
    beta: float = 1e-5,
    epochs: int = 60,
    batch: int = 512,
    step_size: float = 2e-2,
    seed: int = 0,
    callback: Callable[[int, int, float], None] | None = None,
) -> BackpropResult:
    """Train on X (n, d) and y (n,), both standardised, by minibatch Adam from He's initialisation, in float32.

    Minibatches partition the rows in a new order each epoch; the step size falls along a cosine. KeyboardInterrupt ends
    the training early and returns the weights so far.

    Parameters
    ----------
    X, y
        Windows with a last column of ones, and targets, dimensionless.
    neurons, beta
        Hidden neurons m and weight decay beta of P.
    epochs, batch, step_size
        Passes over the rows, rows a step at most, and first step size. On the first 64 % of record 208, beta 1e-5 and
        1e-4, the default step ends with a lower P than 3e-3 and 1e-2 for 16, 64 and 256 neurons; 400 epochs with 512
        neurons end lower with 3e-3 than with 1e-2.
    seed
        Fixes initialisation and shuffling: the same seed gives the same bytes.
    callback
        Called as callback(epoch, epochs, loss) after each epoch, counted from 1.

    Raises
    ------
    InputError
        When a shape, an option or a value is out of range, or not finite.
    SolverError
        When the training diverged.

    Source: He et al. (2015), Delving Deep into Rectifiers, for the initialisation.
    """
    _check_options(neurons, beta, epochs, batch, step_size, seed)
    beta, step_size = float(beta), float(step_size)  # a NumPy scalar would promote the float32 arrays
    rows, targets = _float32_copy(X, y)
    n, d = rows.shape
    random = np.random.default_rng(seed)
    state = adam_start(_he_initialisation(d, neurons, random))
    total_steps = epochs * -(-n // batch)
    buffers = _Buffers.of(min(n, batch), neurons, np.float32)
    history: list[float] = []
    # A minibatch is too small to share between threads; one keeps the bits independent of the machine's cores.
    with contextlib.suppress(KeyboardInterrupt), threadpool_limits(1, "blas"):
        for epoch in range(1, epochs + 1):
            squares = 0.0
            for chosen in _minibatches(n, batch, random):
                rate = cosine_step(state.steps, total_steps, step_size)
                batch_squares, state = _train_step(state, rows[chosen], targets[chosen], beta, rate, buffers)
                squares += batch_squares
            history.append(squares / (2 * n) + _penalty(state.parameters, beta))
            if not isfinite(history[-1]):
                raise SolverError(f"Adam diverged in epoch {epoch} with step_size {step_size}; pass a smaller one")
            if callback is not None:
                callback(epoch, epochs, history[-1])
    return BackpropResult(*_layers(state.parameters.astype(np.float64), d), tuple(history))


def _train_step(
    state: AdamState, X: Array, y: Array, beta: float, step_size: float, buffers: _Buffers
) -> tuple[float, AdamState]:
    """Return the batch's sum of squared residuals before the step, and Adam's state after it."""
    W1, W2 = _layers(state.parameters, X.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported once an epoch, by name
        squares, gradient_W1, gradient_W2 = _squares_and_gradient(W1, W2, X, y, buffers)
        gradient = np.concatenate([gradient_W1.ravel(), gradient_W2]) / len(y) + beta * state.parameters
        return squares, adam_step(state, gradient, step_size)


def _penalty(parameters: Array, beta: float) -> float:
    wide = parameters.astype(np.float64)
    return beta / 2 * float(wide @ wide)


def _layers(parameters: Array, d: int) -> tuple[Array, Array]:
    """Return W1 (d, m) and W2 (m,) as views of `parameters` (d m + m,)."""
    neurons = len(parameters) // (d + 1)
    return parameters[: d * neurons].reshape(d, neurons), parameters[d * neurons :]


def _he_initialisation(d: int, neurons: int, random: np.random.Generator) -> Array:
    """Return normal weights of variance 2 / (number of inputs) for both layers, as one float32 vector."""
    scale = np.repeat(np.sqrt([2 / d, 2 / neurons]), [d * neurons, neurons])
    return (scale * random.standard_normal(len(scale))).astype(np.float32)


def _minibatches(n: int, batch: int, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each minibatch of one epoch: near-equal sizes, so that no small last one makes a noisy step."""
    edges = np.linspace(0, n, -(-n // batch) + 1).astype(int)
    order = random.permutation(n)
    for start, stop in pairwise(edges):
        yield order[start:stop]


def _float32_copy(X: Rows, y: NDArray[np.float64]) -> tuple[Array, Array]:
    """Return X (n, d) and y (n,) as contiguous float32, having read X once."""
    chunks = checked_chunks(X, y)
    n, d = X.shape
    rows, targets = np.empty((n, d), np.float32), np.empty(n, np.float32)
    start = 0
    for chunk, chunk_targets in chunks:
        largest = max(np.abs(chunk).max(), np.abs(chunk_targets).max())
        if largest > np.finfo(np.float32).max:
            raise InputError(f"X or y has a value of magnitude {largest:g}, beyond float32; standardise both first")
        rows[start : start + len(chunk)] = chunk
        targets[start : start + len(chunk)] = chunk_targets
        start += len(chunk)
    return rows, targets


def _check_beta(beta: float) -> None:
    if not (isfinite(beta) and beta >= 0):
        raise InputError(f"beta is {beta}; pass a finite weight decay of at least 0")


def _check_options(neurons: int, beta: float, epochs: int, batch: int, step_size: float, seed: int) -> None:
    for name, value, least in (("neurons", neurons, 1), ("epochs", epochs, 1), ("batch", batch, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or value < least:
            raise InputError(f"{name} is {value}; pass an integer of at least {least}")
    _check_beta(beta)
    if not (isfinite(step_size) and step_size > 0):
        raise InputError(f"step_size is {step_size}; pass a finite number above 0")
