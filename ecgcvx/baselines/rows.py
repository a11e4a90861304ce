"""Rows with their targets, in chunks, checked when they are read."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, check_matrix

CHUNK_ROWS = 8192


def checked_chunks(X: Matrix, y: NDArray[Any]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return an iterator of (X[a:b], y[a:b]) in order, as float64, each checked to be finite when it is reached.

    Raises
    ------
    InputError
        When X is not (n, d) with n, d >= 1, y does not have n entries, or either has a NaN or infinite entry.
    """
    n, _ = check_matrix(X)
    if np.shape(y)[:1] != (n,):
        raise InputError(f"y has shape {np.shape(y)}; pass one target for each of the {n} rows of X: ({n},)")
    return _finite_chunks(X, y)


def _finite_chunks(X: Matrix, y: NDArray[Any]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
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
