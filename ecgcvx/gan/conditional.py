"""What the beats' mean and covariance are good for: noise taken off, and what is missing filled in.

The linear generator x = mean + W'z is a density of beats. Under it the expectation of a beat, given a noisy or partial
one, is linear: the Wiener filter of the beats' covariance C = W'W,

    E[x | x + noise] = mean + C (C + s^2 I)^-1 (x + noise - mean)
    E[x_b | x_a]     = mean_b + C_ba C_aa^-1 (x_a - mean_a)
"""

from dataclasses import dataclass

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.gan.target import MomentTarget, data_matrix, moment_target
from ecgcvx.types import Array

RIDGE = 0.1  # of the summed moments over the number of beats, added to C_aa: with few beats C fits their noise


@dataclass(frozen=True, eq=False)
class BeatFilter:
    """The conditional mean of beats (p,), from the moments of `count` training beats."""

    target: MomentTarget
    count: int

    @classmethod
    def fit(cls, X: Array, noise: float = 0.0) -> "BeatFilter":
        """Return the filter of beats X (n, p); their moments are freed of the white noise, `noise` mV rms, in them.

        Raises InputError as `moment_target` does.
        """
        if not (np.isfinite(noise) and noise >= 0):
            raise InputError(f"noise = {noise} mV: give zero or a positive number")
        return cls(moment_target(X, noise**2), len(X))

    def denoise(self, X: Array, noise: float) -> Array:
        """Return the expectations (n, p) of the beats behind X (n, p), which has white noise of `noise` mV rms."""
        if not (np.isfinite(noise) and noise > 0):
            raise InputError(f"noise = {noise} mV: give a positive number")
        power = self.target.scales**2
        scores = (X - self.target.mean) @ self.target.V.T
        return self.target.mean + scores * (power / (power + noise**2)) @ self.target.V

    def impute(self, X: Array) -> Array:
        """Return X (n, p) with its NaN replaced by their expectation given the rest of the row.

        Raises InputError for a row without any number, or of another length than the training beats.
        """
        X = np.array(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.target.mean):
            raise InputError(f"X has shape {X.shape}; give rows of {len(self.target.mean)} numbers")
        missing = np.isnan(X)
        if missing.all(axis=1).any():
            raise InputError(f"X: row {np.flatnonzero(missing.all(axis=1))[0]} holds no number; leave it out")
        C, mean = self.target.covariance(), self.target.mean
        ridge = RIDGE * self.target.game_value / self.count
        patterns, which = np.unique(missing, axis=0, return_inverse=True)
        for number, b in enumerate(patterns):
            rows = np.flatnonzero(which == number)
            if b.any():
                a = ~b
                weights = np.linalg.solve(C[np.ix_(a, a)] + ridge * np.eye(a.sum()), C[np.ix_(a, b)])
                X[np.ix_(rows, b)] = mean[b] + (X[np.ix_(rows, a)] - mean[a]) @ weights
        return X


def noise_level(X: Array) -> float:
    """Return the rms, in mV, of white noise in beats X (n, p): from the median of the moments.

    The moments of noise alone have the Marchenko-Pastur distribution, and most moments of beats are those of noise.
    Source: Gavish & Donoho 2014 (IEEE Transactions on Information Theory 60), section III.E.
    """
    X = data_matrix(X)
    n, p = len(X) - 1, X.shape[1]  # a degree of freedom goes to the mean
    s = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[: min(n, p)]
    return float(np.median(s) / np.sqrt(max(n, p) * _median_of_noise(min(n, p) / max(n, p))))


def _median_of_noise(ratio: float) -> float:
    """Median of the Marchenko-Pastur distribution of unit variance, 0 < ratio <= 1, on its cosine t."""
    angle = (np.arange(20_000) + 0.5) * np.pi / 20_000
    t = 1 + ratio - 2 * np.sqrt(ratio) * np.cos(angle)
    share = np.cumsum(np.sin(angle) ** 2 / t)
    return float(t[np.searchsorted(share, share[-1] / 2)])
