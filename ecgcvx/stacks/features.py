"""The features of a stage: principal components of the window and the standardised activations below it.

With the columns h = (x, activations below) and their correlations C = Q L Q', the features are the first q columns of
h_standardised Q L^-power, then the forecast of the stages below and the constant 1, all of them linear in h. Without
the components of small variance a stage is two to four times quicker and forecasts no worse.
"""

import numpy as np

from ecgcvx.models.stack import Stage, columns_above
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import product
from ecgcvx.types import Array

CHUNK = 4096  # rows
SMALLEST = 1e-8  # variance of a component, relative to the largest, that is not scaled up further


def first_projection(X: Matrix, features: int, power: float) -> Array:
    """M (d, q + 1) of the lowest stage: the first components of the windows scaled by variance^-power, and the 1.

    q is at most `features`: of windows longer than that, the components of least variance are left out.
    Power 0 leaves the windows as they are, up to a rotation, which the penalty ||u|| does not feel; 1/2 whitens them.
    """
    mean, gram = _moments(X, ())
    d = len(mean)
    values, Q = _components(gram[:-1, :-1])
    scaled = (Q * (values / values[0]) ** -power)[:, :features]
    M = np.zeros((d, scaled.shape[1] + 1))
    M[:-1, :-1] = scaled
    M[-1, -1] = 1.0
    return M


def next_projection(X: Matrix, member: tuple[Stage, ...], features: int, power: float) -> Array:
    """M (c, q + 2) of the stage above those of a member, q at most `features`."""
    mean, gram = _moments(X, member)
    d = X.shape[1]
    deviation = np.sqrt(np.maximum(np.diag(gram) - mean**2, 0.0))
    deviation[: d - 1] = 1.0  # the samples have one unit
    used = np.flatnonzero(deviation > 0)
    used = used[used != d - 1]
    covariance = (gram - np.outer(mean, mean))[np.ix_(used, used)] / np.outer(deviation[used], deviation[used])
    values, Q = _components(covariance)
    scaled = (Q * values**-power)[:, :features] / deviation[used, None]
    M = np.zeros((len(mean), scaled.shape[1] + 2))
    M[used, :-2] = scaled
    M[d - 1, :-2] = -mean[used] @ scaled
    M[:, -2] = forecast_weights(member)
    M[d - 1, -1] = 1.0
    return M


def forecast_weights(member: tuple[Stage, ...]) -> Array:
    """The forecast of a member as weights (c,) of the columns above it."""
    weights = np.zeros(member[0].projection.shape[0])
    for stage in member:
        weights = np.concatenate([weights + stage.projection @ stage.linear, stage.network.W2])
    return weights


def features(X: Matrix, member: tuple[Stage, ...], projection: Array) -> Array:
    """Features (n, q) of the stage with this projection above a member."""
    out = np.empty((X.shape[0], projection.shape[1]))
    for start, rows in row_chunks(X, CHUNK):
        out[start : start + len(rows)] = product(columns_above(member, rows), projection)
    return out


def _moments(X: Matrix, member: tuple[Stage, ...]) -> tuple[Array, Array]:
    """Mean (c,) and second moments (c, c) of the columns above a member."""
    columns = X.shape[1] + sum(stage.network.neurons for stage in member)
    total, gram = np.zeros(columns), np.zeros((columns, columns))
    for _, rows in row_chunks(X, CHUNK):
        h = columns_above(member, rows)
        total += h.sum(axis=0)
        gram += h.T @ h
    return total / X.shape[0], gram / X.shape[0]


def _components(covariance: Array) -> tuple[Array, Array]:
    """Variances, largest first and none below SMALLEST of it, and the directions as columns."""
    values, Q = np.linalg.eigh(covariance)
    values = np.maximum(values[::-1], SMALLEST * max(float(values[-1]), 1e-300))
    return values, Q[:, ::-1]
