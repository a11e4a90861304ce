"""Linear predictors x'w: least squares (AR on windows) and persistence, plus the row access that baselines share."""

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


def checked_chunks(X: Rows, y: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return an iterator of (X[a:b], y[a:b]) in order, as float64, each checked to be finite when it is reached.

    Raises
    ------
    InputError
        When X is not (n, d) with n, d >= 1, y is not (n,), or either has a NaN or infinite entry.
    """
    if len(X.shape) != 2 or min(X.shape) < 1:
        raise InputError(f"X has shape {tuple(X.shape)}; pass (n, d) with at least one row and one column")
    n = X.shape[0]
    if np.shape(y) != (n,):
        raise InputError(f"y has shape {np.shape(y)}; pass one target for each of the {n} rows of X: ({n},)")
    return _finite_chunks(X, y)


def _finite_chunks(X: Rows, y: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
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


def least_squares(X: Rows, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the w (d,) of least norm among the minimisers of ||Xw - y||_2, reading X (n, d) chunk by chunk.

    Keeps the R of a QR factorisation of [X y]: ||Xw - y|| = ||R[:, :d] w - R[:, d]|| for every w, and unlike the normal
    equations it does not square the condition number, which for neighbouring samples of an ECG is large.

    Raises
    ------
    InputError
        See `checked_chunks`.

    Source: Demmel, Grigori, Hoemmen, Langou (2012), Communication-optimal QR (sequential TSQR).
    """
    chunks = checked_chunks(X, y)
    n, d = X.shape
    R: NDArray[Any] = np.empty((0, d + 1))
    for rows, targets in chunks:
        # mode "r" saves forming Q; NumPy's stubs know only the pair, hence the asarray.
        R = np.asarray(np.linalg.qr(np.vstack([R, np.column_stack([rows, targets])]), mode="r"))
    # The rank is decided as NumPy would for the whole matrix, whose singular values R has.
    tolerance = np.finfo(np.float64).eps * max(n, d)
    return np.asarray(np.linalg.lstsq(R[:, :d], R[:, d], rcond=tolerance)[0], dtype=np.float64)


def persistence_weights(d: int) -> NDArray[np.float64]:
    """Return the w (d,) with x'w = the newest sample of the window: column d-2, as column d-1 is the bias.

    Raises
    ------
    InputError
        When d < 2: a window needs one sample and the bias column.
    """
    if d < 2:
        raise InputError(f"d is {d}; persistence needs a sample and the bias column, so at least 2")
    weights = np.zeros(d)
    weights[d - 2] = 1.0
    return weights
