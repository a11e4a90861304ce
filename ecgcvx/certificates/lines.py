"""Rows that lie on one line through the origin, taken together.

With x_i = a_i x the sum of rho_i |x_i'w| over them is (sum rho_i |a_i|) |x'w|: weights of both signs cancel once and
for all, where a bound row by row would have to find out in every cell.
"""

from typing import NamedTuple

import numpy as np

from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

NEAR = 1e-12  # distance of two unit vectors that count as one line
SEED = 20


class Merged(NamedTuple):
    """Weights (n,) that have the same sum of rho_i |x_i'w| for every w, but for `off` ||w||, 0 for rows not needed."""

    rho: Array
    off: float


def merge_lines(X: Matrix, rho: Array, chunk: int) -> Merged:
    """Return the weights rho (n,) of rows of X (n, d) with those of one line added up at its first row.

    A row joins a line when their directions differ by at most NEAR; what that changes is counted in `off`, together
    with the rounding of the sums. Lines are found by the cosine with one random direction.
    """
    n, d = X.shape
    q = np.random.default_rng(SEED).standard_normal(d)
    q /= np.linalg.norm(q)
    lengths, cosines = np.empty(n), np.empty(n)
    for a, rows in row_chunks(X, chunk):
        part = slice(a, a + len(rows))
        lengths[part] = np.linalg.norm(rows, axis=1)
        cosines[part] = np.abs(rows @ q) / np.where(lengths[part] > 0, lengths[part], 1.0)
    merged = np.where(lengths > 0, rho, 0.0)
    weighed = np.flatnonzero(merged)
    order = weighed[np.argsort(cosines[weighed], kind="stable")]
    joins = np.diff(cosines[order]) <= NEAR
    if not joins.any():
        return Merged(merged, 0.0)
    # Runs of rows with about the same cosine; in each the first one leads, and those on its line join it.
    run = np.r_[0, np.cumsum(~joins)]
    many = np.bincount(run)[run] > 1
    members, run = order[many], np.unique(run[many], return_inverse=True)[1]
    directions = _rows_of(X, np.sort(members), chunk)[np.argsort(np.argsort(members))] / lengths[members, None]
    first = np.flatnonzero(np.r_[True, np.diff(run) > 0])
    lead = directions[first[run]]
    away = np.minimum(np.linalg.norm(directions - lead, axis=1), np.linalg.norm(directions + lead, axis=1))
    on = away <= NEAR
    leaders, weights = members[first], rho[members] * lengths[members]
    sums = np.bincount(run[on], weights[on], minlength=len(first))
    sizes = np.bincount(run[on], np.abs(weights[on]), minlength=len(first))
    merged[members[on]] = 0.0
    merged[leaders] = sums / lengths[leaders]
    counts = np.bincount(run[on], minlength=len(first)) + d + 4.0  # of the sum, and of lengths and directions
    return Merged(merged, float(np.abs(weights[on]) @ away[on] + counts @ sizes * 2.0**-53))


def _rows_of(X: Matrix, index: np.ndarray, chunk: int) -> Array:
    """Rows of X by rising index, one pass."""
    found = np.empty((len(index), X.shape[1]))
    for a, rows in row_chunks(X, chunk):
        low, high = np.searchsorted(index, [a, a + len(rows)])
        found[low:high] = rows[index[low:high] - a]
    return found
