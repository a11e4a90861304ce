"""The forward and the backward pass of a network of any depth.

    A_0 = X,   Z_l = A_{l-1} W_l,   A_l = s(Z_l) for l < L,   f = Z_L
    delta_L = dloss/df,   delta_{l-1} = (delta_l W_l') * s'(Z_{l-1}),   gradient in W_l: A_{l-1}' delta_l

The column of ones in X carries the bias of the first layer; later layers have none, as a neuron can hand the constant
on. All weights are one vector, so that an optimiser sees no layers.

Source: Rumelhart, Hinton, Williams (1986), Learning representations by back-propagating errors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError

Array = NDArray[Any]
Activation = Callable[[Array, Array], None]  # overwrites Z with s(Z), and the second array with s'(Z)
Loss = Callable[[Array, Array], tuple[float, Array]]  # (f, y) -> the sum of the rows' losses, and its gradient in f


def relu(Z: Array, slope: Array) -> None:
    """s(t) = (t)_+; at the kink the derivative is taken as 0."""
    np.greater(Z, 0, out=slope)
    np.maximum(Z, 0, out=Z)


def linear(Z: Array, slope: Array) -> None:
    """s(t) = t."""
    slope.fill(1)


@dataclass(frozen=True)
class Polynomial:
    """s(t) = a t^2 + b t + c; as given, it fits the ReLU on the unit interval (Bartan & Pilanci, 2021)."""

    a: float = 0.09
    b: float = 0.5
    c: float = 0.47

    def __call__(self, Z: Array, slope: Array) -> None:
        np.multiply(Z, 2 * self.a, out=slope)
        slope += self.b
        Z *= self.a * Z + self.b
        Z += self.c


def squared(f: Array, y: Array) -> tuple[float, Array]:
    """1/2 ||f_i - y_i||^2; f and y (n,) or (n, K)."""
    r = f - y
    return float(np.vdot(r, r)) / 2, r


def logistic(f: Array, y: Array) -> tuple[float, Array]:
    """log(1 + exp(-y_i f_i)); f (n,), y (n,) of -1 and 1."""
    margins = y * f
    # The slope -1/(1 + exp(m)) as a hyperbolic tangent: no overflow for any margin.
    return float(np.logaddexp(0, -margins).sum()), y * (0.5 * np.tanh(0.5 * margins) - 0.5)


def softmax(f: Array, y: Array) -> tuple[float, Array]:
    """log sum_k exp(f_ik) - f_iy; f (n, K), y (n,) of classes 0, ..., K - 1."""
    chosen = np.arange(len(f)), y.astype(np.intp)
    shifted = f - f.max(axis=1, keepdims=True)
    delta = np.exp(shifted)
    sums = delta.sum(axis=1)
    value = float((np.log(sums) - shifted[chosen]).sum())
    delta /= sums[:, None]
    delta[chosen] -= 1
    return value, delta


@dataclass(frozen=True)
class Layers:
    """A network's shape: sizes (d, m_1, ..., m_{L-1}, K), activation of the hidden layers, loss of the output.

    The weights are W_l (m_{l-1}, m_l), but W_L is a vector (m_{L-1},) and f is (n,) where K = 1.

    Raises InputError when a size is no positive integer, there is no layer, or the loss does not fit K.
    """

    sizes: tuple[int, ...]
    activation: Activation = relu
    loss: Loss = squared

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or any(not isinstance(size, Integral) or size < 1 for size in self.sizes):
            raise InputError(
                f"sizes is {self.sizes}; pass inputs, neurons of each hidden layer, outputs, as (16, 64, 1)"
            )
        outputs = self.sizes[-1]
        if (self.loss is softmax and outputs < 2) or (self.loss is logistic and outputs != 1):
            raise InputError(f"sizes is {self.sizes}; softmax takes at least 2 outputs, the logistic loss takes 1")

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each W_l."""
        full = tuple(pairwise(self.sizes))
        return full if self.sizes[-1] > 1 else (*full[:-1], full[-1][:1])

    @property
    def size(self) -> int:
        """Number of weights k."""
        return sum(prod(shape) for shape in self.shapes)

    def split(self, parameters: Array) -> tuple[Array, ...]:
        """Return W_1, ..., W_L as views of the parameters (k,)."""
        weights, start = [], 0
        for shape in self.shapes:
            stop = start + prod(shape)
            weights.append(parameters[start:stop].reshape(shape))
            start = stop
        return tuple(weights)

    def initial(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Return normal weights (k,) of variance 2 / (number of inputs) in every layer.

        Source: He et al. (2015), Delving Deep into Rectifiers.
        """
        variances = [2 / shape[0] for shape in self.shapes]
        scale = np.repeat(np.sqrt(variances), [prod(shape) for shape in self.shapes])
        return scale * random.standard_normal(self.size)

    def check_targets(self, y: Array) -> None:
        """Raise InputError when some targets are not what the loss takes."""
        outputs = self.sizes[-1]
        wanted = (len(y),) if outputs == 1 or self.loss is softmax else (len(y), outputs)
        if y.shape != wanted:
            raise InputError(f"y has shape {y.shape}; pass {wanted} for {outputs} output(s)")
        if self.loss is logistic or self.loss is softmax:
            known = [-1, 1] if self.loss is logistic else list(range(outputs))
            wrong = ~np.isin(y, known)
            if wrong.any():
                raise InputError(f"y has the value {y[wrong][0]}; this loss takes {known}")


class Workspace:
    """Memory of the passes over up to `rows` rows: A_l and s'(Z_l) of every hidden layer."""

    def __init__(self, layers: Layers, rows: int, dtype: np.dtype[Any]) -> None:
        self.hidden = [(np.empty((rows, m), dtype), np.empty((rows, m), dtype)) for m in layers.sizes[1:-1]]

    def of(self, rows: int) -> list[tuple[Array, Array]]:
        """The first rows of each (A_l, s'(Z_l))."""
        return [(A[:rows], slope[:rows]) for A, slope in self.hidden]


def forward(layers: Layers, weights: tuple[Array, ...], X: Array, workspace: Workspace) -> Array:
    """Return f of the rows X (rows, d), (rows,) or (rows, K), and leave the hidden layers in the workspace."""
    A = X
    for W, (Z, slope) in zip(weights, workspace.of(len(X)), strict=False):
        np.matmul(A, W, out=Z)
        layers.activation(Z, slope)
        A = Z
    return A @ weights[-1]


def backward(weights: tuple[Array, ...], X: Array, delta: Array, workspace: Workspace) -> list[Array]:
    """Return delta' df/dW_l for every l, after a forward pass over the rows X; delta as f."""
    hidden = workspace.of(len(X))
    gradients: list[Array] = [delta] * len(weights)
    for layer in range(len(weights) - 1, 0, -1):
        A, slope = hidden[layer - 1]
        gradients[layer] = A.T @ delta
        if layer == 1 and delta.ndim == 1:
            # X' diag(delta) D_j w2_j: scaling the narrow X instead of the wide slope saves two passes over (rows, m).
            gradients[0] = (X * delta[:, None]).T @ slope * weights[1]
            return gradients
        delta = delta_below(delta, weights[layer], slope)
    gradients[0] = X.T @ delta
    return gradients


def delta_below(delta: Array, W: Array, slope: Array) -> Array:
    """Return delta_{l-1} = (delta_l W_l') * s'(Z_{l-1}), (rows, m)."""
    below = delta[:, None] * W if delta.ndim == 1 else delta @ W.T
    below *= slope
    return below
