"""Projections of polyhedral cones by Fourier-Motzkin elimination, for few variables."""

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.types import Array

ZERO = 1e-12  # of a row's largest entry
DIGITS = 12  # to which rows are equal


def eliminate(A: Array, B: Array, limit: int) -> Array:
    """Return rows C (c, d) of unit norm with {t : A t + B z >= 0 for some z} = {t : C t >= 0}; A (n, d), B (n, q).

    Each variable z leaves through pairs of rows: those that bound it from below with those that bound it from above.
    Some rows of the result may be redundant.

    Raises InputError where more than `limit` rows come up on the way.
    """
    rows = _distinct(np.c_[A, B])
    for _ in range(B.shape[1]):
        z = rows[:, -1]
        below, above, free = rows[z > 0], rows[z < 0], rows[z == 0, :-1]
        if len(below) * len(above) + len(free) > limit:
            raise InputError(f"elimination: {len(below)} x {len(above)} pairs of rows, more than {limit:,}")
        lower, upper = below[:, :-1] / below[:, -1:], above[:, :-1] / -above[:, -1:]
        pairs = (lower[:, None] + upper[None]).reshape(-1, rows.shape[1] - 1)
        rows = _distinct(np.concatenate([free, pairs]))
    return rows


def _distinct(rows: Array) -> Array:
    """The rows with unit norm, without zeros and repetitions; entries that are rounding are set to 0."""
    rows = np.where(np.abs(rows) > ZERO * np.abs(rows).max(axis=1, keepdims=True, initial=0.0), rows, 0.0)
    norms = np.linalg.norm(rows, axis=1)
    unit = rows[norms > 0] / norms[norms > 0, None]
    _, first = np.unique(unit.round(DIGITS), axis=0, return_index=True)
    return unit[np.sort(first)]
