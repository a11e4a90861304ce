"""Linear predictors x'w: least squares (AR on windows) and persistence, plus the row access that baselines share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.baselines.rows import Rows, checked_chunks
from ecgcvx.errors import InputError


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
