"""How many activation patterns a data matrix can have."""

from math import comb

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, check_matrix, row_chunks


def pattern_bound(n: int, rank: int) -> int:
    """Largest number of patterns of n samples of the given rank, 2 sum_{k<rank} C(n-1, k), the zero pattern included.

    It is attained for X in general position; duplicates, integer data and a column of ones can only lower it. The
    lecture slides print C(n, k), a looser bound. Without a sample or a dimension there is one (empty) pattern.

    Raises InputError for a negative argument. Source: Cover 1965, theorem 1.
    """
    if n < 0 or rank < 0:
        raise InputError(f"n = {n}, rank = {rank}: both must be 0 or more")
    if n == 0 or rank == 0:
        return 1
    return 2 * sum(comb(n - 1, k) for k in range(min(rank, n)))


def matrix_rank(X: Matrix) -> int:
    """Rank r of X (n, d), read in chunks of rows; raises InputError for a number that is not finite."""
    return len(principal_axes(X)[0])


def principal_axes(X: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """S (r,) and V (d, r) of X = U S V' in descending order, r the rank of X to working precision.

    A QR factor is updated chunk by chunk, so X is read once and, unlike with X'X, the condition number is not squared.
    """
    n, d = check_matrix(X)
    triangle: NDArray[np.float64] = np.zeros((0, d))
    for _, rows in row_chunks(X, max(4096, 4 * d)):
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))
    _, singular, transposed = np.linalg.svd(triangle, full_matrices=False)
    rank = int(np.count_nonzero(singular > singular[0] * max(n, d) * np.finfo(np.float64).eps))
    return singular[:rank], np.ascontiguousarray(transposed[:rank].T)
