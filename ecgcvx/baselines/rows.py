"""Rows of a data matrix that need not exist as a whole, checked when they are read."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError

CHUNK_ROWS = 8192


class Rows(Protocol):
    """A matrix of which rows can be sliced out: an ndarray, or windows that are materialised chunk by chunk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


def checked_chunks(X: Rows, y: NDArray[Any]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return an iterator of (X[a:b], y[a:b]) in order, as float64, each checked to be finite when it is reached.

    Raises
    ------
    InputError
        When X is not (n, d) with n, d >= 1, y does not have n entries, or either has a NaN or infinite entry.
    """
    if len(X.shape) != 2 or min(X.shape) < 1:
        raise InputError(f"X has shape {tuple(X.shape)}; pass (n, d) with at least one row and one column")
    n = X.shape[0]
    if np.shape(y)[:1] != (n,):
        raise InputError(f"y has shape {np.shape(y)}; pass one target for each of the {n} rows of X: ({n},)")
    return _finite_chunks(X, y)


def _finite_chunks(X: Rows, y: NDArray[Any]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    n = X.shape[0]
    for start in range(0, n, CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, n)
        rows = np.asarray(X[start:stop], dtype=np.float64)
        targets = np.asarray(y[start:stop], dtype=np.float64)
        for name, values in (("X", rows), ("y", targets)):
            finite = np.isfinite(values)
            if not finite.all():
                row = start + int(np.argwhere(~finite)[0, 0])
                raise InputError(f"{name} has the value {values[~finite][0]} in row {row}; drop rows with gaps first")
        yield rows, targets
