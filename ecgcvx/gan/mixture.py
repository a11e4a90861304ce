"""A mixture of Gaussians of the beats' scores, and the flow that carries normal latents to it.

The generator's latents must be paired with what it is to generate. The probability flow of the mixture pairs them: with
x_t = e^-t x + (1 - e^-2t)^(1/2) z the density p_t of x_t is a mixture in closed form, and

    dx/dt = -x - grad log p_t(x)

carries p_0, the mixture, to N(0, I). Followed backwards it gives each latent z its x, continuously and without
crossing. The flow is done for one block of the scores at a time, given those before, by conditional densities.

Source: Dempster, Laird & Rubin 1977 (EM); Song et al. 2021 (ICLR), "Score-based generative modeling through SDEs".
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.special import logsumexp

from ecgcvx.types import Array

ROUNDS = 60
GAIN = 1e-4  # of the mean log likelihood, in nats, below which EM stops
RIDGE = 1e-2  # added to the variances, of scores that have unit variance
SHRINK_COUNT = 0.5  # beats for each dimension that the shared covariance counts for in a component's
HORIZON = 4.0  # t at which x_t counts as normal
FLOW_STEPS = 24


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights (k,), means (k, h) and covariances (k, h, h) of Gaussians."""

    weights: Array
    means: Array
    covariances: Array

    def log_densities(self, X: Array) -> Array:
        """Return log weight + log density (k, n) of every component at X (n, h)."""
        return np.stack(
            [
                np.log(w) + _log_normal(X - m, *np.linalg.eigh(C))
                for w, m, C in zip(self.weights, self.means, self.covariances, strict=True)
            ]
        )

    def flow(self, Z: Array, given: Array) -> Array:
        """Return the scores (n, b) that belong to normal latents Z (n, b), given the g scores before them (n, g).

        The b scores are those numbered g to g + b; the later ones do not matter.
        """
        g, b = given.shape[1], Z.shape[1]
        weights, means, modes = [], [], []
        for w, m, C in zip(self.weights, self.means, self.covariances, strict=True):
            before = np.linalg.eigh(C[:g, :g]) if g else (np.zeros(0), np.zeros((0, 0)))
            B = C[g : g + b, :g] @ (before[1] / before[0]) @ before[1].T
            offset = given - m[:g]
            weights.append(np.log(w) + (_log_normal(offset, *before) if g else np.zeros(len(Z))))
            means.append(m[g : g + b] + offset @ B.T)
            modes.append(np.linalg.eigh(C[g : g + b, g : g + b] - B @ C[:g, g : g + b]))

        def velocity(x: Array, t: float) -> Array:
            a = np.exp(-t)
            logs, scores = np.empty((len(modes), len(x))), np.empty((len(modes), *x.shape))
            for k, (values, Q) in enumerate(modes):
                at_t = a * a * values + 1 - a * a
                y = (x - a * means[k]) @ Q
                logs[k] = weights[k] - ((y * y / at_t).sum(axis=1) + np.log(at_t).sum()) / 2
                scores[k] = -(y / at_t) @ Q.T
            shares = np.exp(logs - logsumexp(logs, axis=0))
            return np.asarray(-x - np.einsum("kn,knj->nj", shares, scores))

        x = Z.copy()
        times = HORIZON * np.linspace(1, 0, FLOW_STEPS + 1) ** 2
        for t, after in pairwise(times.tolist()):  # Heun's rule
            first = velocity(x, t)
            second = velocity(x + (after - t) * first, after)
            x = x + (after - t) * (first + second) / 2
        return x


def fit_mixture(X: Array, components: int, seed: int = 0) -> Mixture:
    """Return the mixture that EM finds on X (n, h) of columns with unit variance, from k-means.

    A component's covariance is drawn towards that of all, more so the fewer beats it has.
    """
    n, h = X.shape
    shared = np.cov(X.T, bias=True).reshape(h, h)
    prior = SHRINK_COUNT * h
    if components == 1:
        shares = np.ones((1, n))
    else:
        _, labels = kmeans2(X, components, minit="++", seed=np.random.default_rng(seed))
        shares = (labels == np.arange(components)[:, None]).astype(float)
    last = -np.inf
    mixture = _maximised(X, shares, shared, prior)
    for _ in range(ROUNDS if components > 1 else 0):
        logs = mixture.log_densities(X)
        total = logsumexp(logs, axis=0)
        mixture = _maximised(X, np.exp(logs - total), shared, prior)
        if total.mean() - last < GAIN:
            break
        last = total.mean()
    return mixture


def _maximised(X: Array, shares: Array, shared: Array, prior: float) -> Mixture:
    counts = shares.sum(axis=1)
    shares, counts = shares[counts > 1], counts[counts > 1]
    means = shares @ X / counts[:, None]
    covariances = []
    for share, count, mean in zip(shares, counts, means, strict=True):
        centred = X - mean
        C = (centred * share[:, None]).T @ centred
        covariances.append((C + prior * shared * 0.1) / (count + prior * 0.1) + RIDGE * np.eye(X.shape[1]))
    return Mixture(counts / counts.sum(), means, np.array(covariances))


def _log_normal(offset: Array, values: Array, Q: Array) -> Array:
    """Log density, without its constant, of offsets (n, h) from the mean of a covariance Q diag(values) Q'."""
    y = offset @ Q
    return np.asarray(-((y * y / values).sum(axis=1) + np.log(values).sum()) / 2)
