"""A network linearised at its parameters: f(x + p) ~ f(x) + J p, J (n, k) formed by pieces of rows, or never.

A row of J is the gradient of one output: for W_l it is a_{l-1} delta_l', with delta the recursion of the backward pass
begun at 1. One output, any depth.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.baselines.backprop import Layers, Workspace, backward, delta_below, forward
from ecgcvx.baselines.clock import Clock
from ecgcvx.baselines.problem import PIECE, Problem
from ecgcvx.errors import InputError

Array = NDArray[Any]
JACOBIAN_ROWS = 4096  # rows of J at once: enough that a product of two of its columns is worth a call


class Linearisation:
    """J of a problem's network at the parameters (k,), in the problem's precision; the clock is checked on the way.

    Raises InputError when the network has more than one output.
    """

    def __init__(self, problem: Problem, parameters: Array, clock: Clock | None = None) -> None:
        if problem.layers.sizes[-1] != 1:
            raise InputError(f"sizes is {problem.layers.sizes}; Gauss-Newton steps are for one output")
        self.problem = problem
        self.layers: Layers = problem.layers
        self.weights = problem.weights(parameters)
        self._clock = Clock() if clock is None else clock
        self._workspace = Workspace(problem.layers, min(len(problem), JACOBIAN_ROWS), problem.dtype)

    def __len__(self) -> int:
        return len(self.problem)

    def factors(self, X: Array) -> list[tuple[Array, Array]]:
        """Return (A_{l-1}, delta_l) of the rows X, of every l: row i of J has a_{l-1} delta_l' for W_l.

        delta is (rows, m_l), and (rows, 1) at the top. The arrays are valid until the next call.
        """
        forward(self.layers, self.weights, X, self._workspace)
        hidden = self._workspace.of(len(X))
        inputs = [X, *(A for A, _ in hidden)]
        delta = np.ones(len(X), X.dtype)
        deltas = [delta[:, None]]
        for W, (_, slope) in zip(self.weights[:0:-1], reversed(hidden), strict=True):
            delta = delta_below(delta, W, slope)
            deltas.insert(0, delta)
        return list(zip(inputs, deltas, strict=True))

    def rows(self, X: Array) -> Array:
        """Return the rows of J (rows, k) that belong to rows of X."""
        return np.hstack([(A[:, :, None] * delta[:, None, :]).reshape(len(X), -1) for A, delta in self.factors(X)])

    def pieces(self, rows: int = PIECE) -> Iterator[Array]:
        """Yield X[a:b] in order, up to JACOBIAN_ROWS at a time, checking the clock."""
        for start in range(0, len(self), rows):
            self._clock.check()
            yield self.problem.X[start : start + rows]

    def product(self, direction: Array) -> Array:
        """Return J p (n,) by one pass forward: dZ_l = dA_{l-1} W_l + A_{l-1} dW_l, dA_l = s'(Z_l) * dZ_l."""
        changes = self.layers.split(np.asarray(direction, self.problem.dtype))
        out = np.empty(len(self), self.problem.dtype)
        start = 0
        for X in self.pieces():
            forward(self.layers, self.weights, X, self._workspace)
            change = X @ changes[0]
            for W, dW, (A, slope) in zip(self.weights[1:], changes[1:], self._workspace.of(len(X)), strict=True):
                change *= slope
                change = change @ W + A @ dW
            out[start : start + len(X)] = change
            start += len(X)
        return out

    def transposed_product(self, v: Array) -> NDArray[np.float64]:
        """Return J'v (k,) by one backward pass, summed over the pieces in float64."""
        out = np.zeros(self.layers.size)
        sums = self.layers.split(out)
        start = 0
        for X in self.pieces():
            forward(self.layers, self.weights, X, self._workspace)
            delta = np.asarray(v[start : start + len(X)], self.problem.dtype)
            for total, term in zip(sums, backward(self.weights, X, delta, self._workspace), strict=True):
                total += term
            start += len(X)
        return out
