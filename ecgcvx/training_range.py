"""Which windows lie outside what a model was trained on, and what may stand in for its forecast there.

A standardised window x (d,), the 1 of the bias included, is outside when one of its samples is below the smallest or
above the largest sample of the training windows, or when its leverage

    h(x) = x' (X'X / n)^-1 x,    on average d over the n training windows X,

is larger than that of every training window: outside of the box, or of the ellipsoid, that hold all of them. No
training window is outside. Both say how far a forecast is an extrapolation; neither says that it is wrong.

Source: Cook (1979), Influential observations in linear regression (the largest leverage as the border of what a fit
interpolates); Montgomery, Peck & Vining, Introduction to Linear Regression Analysis (hidden extrapolation).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.baselines.linear import Triangle, joined, solved, triangle
from ecgcvx.errors import InputError
from ecgcvx.reductions import Engine, LocalEngine, Rows, held
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import layers, predict_rows, product
from ecgcvx.types import Array, Progress, silent

Bools = NDArray[np.bool_]
Outside = Literal["flag", "linear", "nan"]
OUTSIDE: tuple[Outside, ...] = ("flag", "linear", "nan")
"""What becomes of a forecast from a window outside: it is only marked, replaced by the linear one, or by NaN."""
DIRECTIONS = 256  # principal directions of a leverage at most, those of the largest variance
FLOOR = 1e-12  # of the largest variance: what the training windows do not span is outside, and not a division by zero
CHUNK = 1 << 16  # rows


@dataclass(frozen=True, eq=False)
class TrainingRange:
    """The box and the ellipsoid of the training windows, in standardised units.

    low, high : smallest and largest sample. whitening : (d, k), h(x) = ||whitening' x||^2; k = d, at most `DIRECTIONS`.
    limit : largest leverage of a training window. linear : (d,) weights of the linear forecast, by least squares.
    """

    low: float
    high: float
    whitening: Array
    limit: float
    linear: Array

    @property
    def inputs(self) -> int:
        """Samples of a window and the bias, d."""
        return len(self.linear)

    def leverage(self, X: Matrix) -> Array:
        """Return h (n,) of rows X (n, d); the same bits for a row alone or in any batch."""
        out = np.empty(X.shape[0])
        quadratic = self.compiled
        for start, rows in row_chunks(X, CHUNK):
            predict_rows(rows, quadratic, out[start : start + len(rows)])
        return out

    def outside(self, X: Matrix, leverage: Array | None = None) -> Bools:
        """Return which rows (n,) of X (n, d) lie outside. leverage : (n,) of the rows, where it is known."""
        out = ~((self.leverage(X) if leverage is None else leverage) <= self.limit)
        for start, rows in row_chunks(X, CHUNK):
            samples = rows[:, :-1]
            out[start : start + len(rows)] |= (samples < self.low).any(axis=1) | (samples > self.high).any(axis=1)
        return out

    def forecasts(self, X: Matrix) -> Array:
        """Return the linear forecasts (n,) of all rows X (n, d), standardised, chunk by chunk."""
        return np.concatenate([self.forecast(rows) for _, rows in row_chunks(X, CHUNK)])

    def forecast(self, X: Array) -> Array:
        """Return the linear forecast (n,) of rows X (n, d), standardised."""
        return product(X, self.linear[:, None])[:, 0]

    def replaced(self, f: Array, X: Matrix, outside: Bools, policy: Outside) -> Array:
        """Return forecasts f (n,) of rows X (n, d) with those of the rows outside replaced as the policy says."""
        if policy == "flag" or not outside.any():
            return f
        out = f.copy()
        out[outside] = np.nan
        if policy == "linear":
            for start, rows in row_chunks(X, CHUNK):
                chosen = np.flatnonzero(outside[start : start + len(rows)])
                out[start + chosen] = self.forecast(rows[chosen])
        return out

    @property
    def compiled(self) -> Any:
        """The leverage as a network with the activation t^2, for the compiled passes."""
        return layers(self.whitening, np.ones(self.whitening.shape[1]), polynomial=(1.0, 0.0, 0.0))


class Border(NamedTuple):
    """A training range for the passes of a stream: leverage as a network, rows of `linear` for the linear forecast.

    W1 (k, padded d), gates, W2 (k,), polynomial : see `rowwise.Layers`; k = 0 for a model without a range. linear :
    (1, padded d). columns, linear_columns : the same transposed, as one row takes them. policy : place in `OUTSIDE`.
    """

    W1: Array
    gates: Array
    W2: Array
    polynomial: Array
    linear: Array
    columns: Array
    linear_columns: Array
    low: float
    high: float
    limit: float
    policy: int


def border(found: TrainingRange | None, inputs: int, policy: Outside) -> Border:
    """Return a range, or none, as the passes of a stream take it."""
    if found is None:
        found = TrainingRange(-np.inf, np.inf, np.empty((inputs, 0)), np.inf, np.zeros(inputs))
    quadratic, linear = found.compiled, layers(found.linear[:, None], np.ones(1)).W1
    return Border(
        quadratic.W1, quadratic.gates, quadratic.W2, quadratic.polynomial, linear,
        np.ascontiguousarray(quadratic.W1.T), np.ascontiguousarray(linear.T), found.low, found.high, found.limit,
        OUTSIDE.index(policy),
    )  # fmt: skip


def training_range(X: Matrix, y: Array) -> TrainingRange:
    """Return the range of training windows X (n, d), the last column ones, with targets y (n,)."""
    return range_of(held(X, y), LocalEngine())


def range_of(pieces: Sequence[Rows], engine: Engine, progress: Progress = silent) -> TrainingRange:
    """Return the range of the training windows in some pieces of rows, in two passes over them."""
    low, high, gram, triangle = engine.total(_Extent(), pieces, progress)
    variances, directions = np.linalg.eigh(gram / triangle.n)
    variances, directions = variances[-DIRECTIONS:], directions[:, -DIRECTIONS:]
    whitening = directions / np.sqrt(np.maximum(variances, FLOOR * variances[-1]))
    found = TrainingRange(low, high, np.ascontiguousarray(whitening), np.inf, solved(triangle))
    return replace(found, limit=engine.total(_LargestLeverage(found), pieces, progress))


class _Spread(NamedTuple):
    """Smallest and largest sample, X'X, and the triangle of the linear forecast."""

    low: float
    high: float
    gram: Array
    triangle: Triangle


@dataclass(frozen=True)
class _Extent:
    """The reduction to a `_Spread`."""

    def of(self, X: Array, y: Array) -> _Spread:
        samples = X[:, :-1]
        return _Spread(float(samples.min()), float(samples.max()), X.T @ X, triangle(X, y))

    def join(self, first: _Spread, second: _Spread) -> _Spread:
        return _Spread(
            min(first.low, second.low), max(first.high, second.high), first.gram + second.gram,
            joined(first.triangle, second.triangle),
        )  # fmt: skip


@dataclass(frozen=True)
class _LargestLeverage:
    """The reduction to the largest leverage of a window."""

    known: TrainingRange

    def of(self, X: Array, y: Array) -> float:
        return float(self.known.leverage(X).max())

    def join(self, first: float, second: float) -> float:
        return max(first, second)


def check_policy(policy: str) -> Outside:
    """Return the policy; InputError for another word."""
    for known in OUTSIDE:
        if policy == known:
            return known
    raise InputError(f"outside = {policy!r}: choose one of {', '.join(OUTSIDE)}")
