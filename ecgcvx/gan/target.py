"""What the quadratic discriminator asks of a generator, and the linear generator that gives it.

A discriminator sum_j alpha_j (x'v_j)^2 of price beta_d sum_j |alpha_j| ||v_j||^2 sees second moments only, so
the game is

    min ||G||_F^2 / n   s.t.   ||X'X/n - G'G/n||_2 <= beta_d          X (n, p) centred beats, G (n, p) generated ones

solved by G* = U (Sigma^2 - beta_d)_+^(1/2) V' of the singular values Sigma and right singular vectors V of X/sqrt(n),
for any U (n, r) with U'U = n I: latents. The value of the game is sum (sigma^2 - beta_d)_+. A linear generator z'W with
z ~ N(0, I) is W = (Sigma^2 - beta_d)_+^(1/2) V'.

Source: Sahiner et al. 2022 (ICLR), "Hidden convexity of Wasserstein GANs: interpretable generative models with
closed-form solutions", section 3. Moments are divided by their sample counts, so that the counts may differ.
"""

from dataclasses import dataclass

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.types import Array

RANK = 1e-12  # of the largest second moment: smaller ones are rounding


@dataclass(frozen=True, eq=False)
class MomentTarget:
    """G* without its free factor U.

    mean (p,). beta_d in mV^2. moments (k,) : sigma^2 of the centred data, all that are not rounding, falling.
    scales (r,) : (sigma^2 - beta_d)^(1/2) of those above beta_d. V (r, p) : their directions, orthonormal rows.
    """

    mean: Array
    beta_d: float
    moments: Array
    scales: Array
    V: Array

    @property
    def rank(self) -> int:
        """Number of directions that the generator needs."""
        return len(self.scales)

    @property
    def game_value(self) -> float:
        """sum (sigma^2 - beta_d)_+."""
        return float((self.scales**2).sum())

    @property
    def W(self) -> Array:
        """Weights (r, p) of the linear generator."""
        return self.scales[:, None] * self.V

    def covariance(self) -> Array:
        """The second moment (p, p) of the generated, centred data."""
        return self.W.T @ self.W

    def sample(self, count: int, random: np.random.Generator) -> Array:
        """Return `count` draws (count, p) of the linear generator."""
        return self.mean + random.standard_normal((count, self.rank)) @ self.W


def moment_target(X: Array, beta_d: float = 0.0, rank: int | None = None) -> MomentTarget:
    """Return the target of data X (n, p), centred here.

    rank : in place of beta_d, which is then sigma^2 of the first direction left out.

    Raises InputError for a rank that n beats of p numbers do not have, for a beta_d that leaves nothing, or for both.
    """
    X = data_matrix(X)
    n, p = X.shape
    if rank is not None and beta_d:
        raise InputError(f"rank = {rank} and beta_d = {beta_d}: the rank sets beta_d; give one of them")
    if not (np.isfinite(beta_d) and beta_d >= 0):
        raise InputError(f"beta_d = {beta_d}: it must be zero or a positive number of mV^2")
    mean = X.mean(axis=0)
    _, s, V = np.linalg.svd((X - mean) / np.sqrt(n), full_matrices=False)
    moments = s * s
    known = int((moments > RANK * moments[0]).sum()) if moments[0] > 0 else 0
    if rank is not None:
        if not 1 <= rank <= known:
            raise InputError(
                f"rank = {rank}: {n} beats of {p} numbers have rank {known}; give a rank of 1 to {known}, or more beats"
            )
        beta_d = float(moments[rank]) if rank < known else 0.0
    moments, V = moments[:known], V[:known]
    kept = moments > beta_d
    if not kept.any():
        largest = float(moments[0]) if known else 0.0
        raise InputError(
            f"beta_d = {beta_d:.3g}: the largest moment is {largest:.3g} mV^2, so nothing is left; lower it"
        )
    return MomentTarget(mean, beta_d, moments, np.sqrt(moments[kept] - beta_d), V[kept])


def data_matrix(X: Array) -> Array:
    """X as float64 (n, p); InputError unless it is finite with at least two rows and one column."""
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or X.shape[0] < 2 or X.shape[1] < 1:
        raise InputError(f"beats: an array of shape {X.shape}; give at least two beats as the rows of a matrix")
    if not np.isfinite(X).all():
        bad = np.flatnonzero(~np.isfinite(X).all(axis=1))[0]
        raise InputError(f"beats: row {bad} holds a number that is not finite; leave out beats over a gap")
    return X


def moment_error(X: Array, Y: Array) -> float:
    """Return ||Cov X - Cov Y||_2, relative to ||Cov X||_2."""
    first, second = (np.cov(A.T, bias=True).reshape(A.shape[1], -1) for A in (X, Y))
    return float(np.linalg.norm(first - second, 2) / np.linalg.norm(first, 2))
