"""Rows of a design matrix that need not exist as a whole: read in chunks, checked when they are read."""

from collections.abc import Iterator
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.types import Array


class Matrix(Protocol):
    """Rows on demand: an (n, d) array, or a lazy window matrix whose slices `X[a:b]` are (b - a, d) float64 arrays."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


@runtime_checkable
class SlidingMatrix(Matrix, Protocol):
    """A matrix of rows (signal[s], ..., signal[s + d - 2], 1) at rising starts s, of which only the signal is held."""

    signal: Array

    def starts(self, first: int, stop: int, /) -> NDArray[np.int64]:
        """The starts (stop - first,) of a stretch of rows."""
        ...

    def take(self, rows: NDArray[np.intp], /) -> "SlidingMatrix":
        """The matrix of some rows alone."""
        ...


def slides(X: Matrix) -> TypeGuard[SlidingMatrix]:
    """Whether the rows of a matrix are windows of one signal; those of joined leads are of several."""
    return isinstance(X, SlidingMatrix) and X.signal.ndim == 1


def row_chunks(X: Matrix, size: int) -> Iterator[tuple[int, Array]]:
    """Yield (start, rows) over X in chunks of about `size` rows that start at multiples of 8.

    Raises InputError for a number that is not finite.
    """
    n = X.shape[0]
    step = min(max(size // 8 * 8, 64), 1 << 16)
    for start in range(0, n, step):
        rows = np.asarray(X[start : min(start + step, n)], dtype=np.float64)
        if not np.isfinite(rows).all():
            bad = start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise InputError(f"X holds a number that is not finite in row {bad}; drop windows that touch a gap")
        yield start, rows


def check_matrix(X: Matrix) -> tuple[int, int]:
    """The shape (n, d) of X; InputError if X is not a matrix with at least one row and one column."""
    shape = tuple(X.shape)
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"X has shape {shape}; give a matrix with at least one row and one column")
    n, d = shape
    return n, d


def take_rows(X: Matrix, rows: NDArray[np.intp]) -> Array:
    """Return rows (k, d) of X, of ascending indices."""
    parts = [part[rows[(rows >= a) & (rows < a + len(part))] - a] for a, part in row_chunks(X, 1 << 14)]
    return np.concatenate(parts)
