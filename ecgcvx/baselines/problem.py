"""The objective that backprop minimises, in the project's convention at any depth.

    P(W_1, ..., W_L) = 1/n sum_i loss(f(x_i), y_i) + beta/2 sum_l ||W_l||_F^2

With L = 2, ReLU and the squared loss 1/2 (f - y)^2 this is the convex program's objective. With more layers the weight
decay keeps its factor, but no convex program has the same value: at the best scaling a product of L factors is
penalised by its size to the power 2/L.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.baselines.backprop import Layers, Workspace, backward, forward
from ecgcvx.baselines.rows import checked_chunks
from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix

Array = NDArray[Any]
PIECE = 512  # rows of a pass at once: a layer of 64 neurons stays in the second-level cache


@dataclass(frozen=True, eq=False)
class Problem:
    """Layers, data X (n, d) with a last column of ones and targets y, both standardised, and weight decay beta.

    Passes are made in the precision of y.

    Raises InputError when shapes disagree, beta < 0, a value is not finite, or a target is not what the loss takes.
    """

    layers: Layers
    X: Matrix
    y: Array
    beta: float

    def __post_init__(self) -> None:
        if not (isfinite(self.beta) and self.beta >= 0):
            raise InputError(f"beta is {self.beta}; pass a finite weight decay of at least 0")
        for _, targets in checked_chunks(self.X, self.y):
            self.layers.check_targets(targets)
        if self.X.shape[1] != self.layers.sizes[0]:
            raise InputError(f"X has {self.X.shape[1]} columns, but the layers take {self.layers.sizes[0]} inputs")

    def __len__(self) -> int:
        return int(self.X.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the passes."""
        return np.result_type(self.y.dtype, np.float32)

    def single(self) -> "Problem":
        """The problem with its rows copied to float32 and contiguous.

        Raises InputError when a value is beyond float32.
        """
        X, y = np.empty(self.X.shape, np.float32), np.empty(self.y.shape, np.float32)
        start = 0
        for rows, targets in checked_chunks(self.X, self.y):
            largest = max(np.abs(rows).max(), np.abs(targets).max())
            if largest > np.finfo(np.float32).max:
                raise InputError(f"X or y has a value of magnitude {largest:g}, beyond float32; standardise both first")
            X[start : start + len(rows)] = rows
            y[start : start + len(rows)] = targets
            start += len(rows)
        return Problem(self.layers, X, y, float(self.beta))

    def pieces(self) -> Iterator[tuple[Array, Array]]:
        """Yield (X[a:b], y[a:b]) in order, PIECE rows at a time."""
        for start in range(0, len(self), PIECE):
            yield self.X[start : start + PIECE], self.y[start : start + PIECE]

    def pick(self, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return those rows of X and y.

        Raises InputError when X is no array, as a view of windows: `single` makes one.
        """
        if not isinstance(self.X, np.ndarray):
            raise InputError(f"X is {type(self.X).__name__}, of which rows cannot be picked; pass problem.single()")
        return self.X[rows], self.y[rows]

    def objective(self, parameters: Array) -> float:
        """Return P at the parameters (k,)."""
        weights = self.weights(parameters)
        workspace = Workspace(self.layers, min(len(self), PIECE), self.dtype)
        loss = 0.0
        for X, y in self.pieces():
            loss += self.layers.loss(forward(self.layers, weights, X, workspace), y)[0]
        return loss / len(self) + self.penalty(parameters)

    def objective_and_gradient(self, parameters: Array) -> tuple[float, NDArray[np.float64]]:
        """Return P and its gradient (k,) at the parameters (k,), sums over the pieces in float64."""
        weights = self.weights(parameters)
        workspace = Workspace(self.layers, min(len(self), PIECE), self.dtype)
        loss, gradient = 0.0, np.zeros(self.layers.size)
        sums = self.layers.split(gradient)
        for X, y in self.pieces():
            part, delta = self.layers.loss(forward(self.layers, weights, X, workspace), y)
            loss += part
            for total, term in zip(sums, backward(weights, X, delta, workspace), strict=True):
                total += term
        gradient /= len(self)
        gradient += self.beta * parameters
        return loss / len(self) + self.penalty(parameters), gradient

    def penalty(self, parameters: Array) -> float:
        """beta/2 sum_l ||W_l||_F^2 in float64."""
        wide = np.asarray(parameters, np.float64)
        return self.beta / 2 * float(wide @ wide)

    def weights(self, parameters: Array) -> tuple[Array, ...]:
        """Return W_1, ..., W_L in the precision of the passes.

        Raises InputError when there are not k parameters, or one is not finite.
        """
        if np.shape(parameters) != (self.layers.size,):
            raise InputError(f"parameters have shape {np.shape(parameters)}; pass ({self.layers.size},)")
        if not np.isfinite(parameters).all():
            raise InputError("parameters hold a value that is not finite; pass those of a run that converged")
        return self.layers.split(np.asarray(parameters, self.dtype))
