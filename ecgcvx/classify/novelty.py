"""Whether a beat is like anything in training: its distance in a Gaussian model of low rank."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.types import Array

RANK = 12
SMALLEST = 1e-12  # of the total variance


@dataclass(frozen=True, eq=False)
class Novelty:
    """Windows about `mean` (d,) with variances (r,) along the orthonormal rows of `axes` (r, d), `rest` along others.

    limit : distances above it are unlike the training. Source of the model: Tipping & Bishop 1999 (probabilistic
    principal components).
    """

    mean: Array
    axes: Array
    variances: Array
    rest: float
    limit: float = float("inf")

    @classmethod
    def fit(cls, windows: Array) -> "Novelty":
        """Fit the model to windows (n, d) by maximum likelihood."""
        n, d = windows.shape
        mean = windows.mean(axis=0)
        values, Q = np.linalg.eigh((windows - mean).T @ (windows - mean) / n)
        r = min(RANK, d - 1, n - 1)
        floor = max(SMALLEST * float(values.sum()), 1e-300)
        rest = max(float(values[: d - r].mean()), floor)
        return cls(mean, np.ascontiguousarray(Q[:, d - r :].T), np.maximum(values[d - r :], rest), rest)

    def distances(self, windows: Array) -> Array:
        """Return the distances (n,) of windows (n, d): root mean squares in standard deviations of the model."""
        centred = windows - self.mean
        scores = centred @ self.axes.T
        rest = np.maximum((centred**2).sum(axis=1) - (scores**2).sum(axis=1), 0.0) / self.rest
        return np.sqrt(((scores**2 / self.variances).sum(axis=1) + rest) / len(self.mean))

    def unlike(self, windows: Array) -> NDArray[np.bool_]:
        """Which windows (n, d) are unlike the training."""
        return np.asarray(self.distances(windows) > self.limit)
