"""Descent on all stages of a stack at once: Adam on minibatches, which no convex program does for us.

With the projections fixed it lowers

    1/(2n) ||f(X) - y||^2 + sum_s beta_s/2 (||W1_s||_F^2 + ||W2_s||^2)

over the weights of all stages; the penalty is the one of the stages' own programs at the balanced scaling. It is not
convex and has no gap: the last stage is solved again afterwards, given the features that come out of it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.models import ReluNetwork
from ecgcvx.models.stack import Stage
from ecgcvx.rows import Matrix
from ecgcvx.types import Array

Floats = NDArray[np.floating[Any]]
BATCH = 512
MOMENTS = (0.9, 0.999)
STEP = 1.3e-3  # at first, of a cosine schedule, relative to the root-mean-square residual; 3e-4 five steps ahead on 208


def joint_descent(
    member: tuple[Stage, ...],
    X: Matrix,
    y: Array,
    epochs: int,
    seed: int,
    callback: Callable[[int], None] = lambda epoch: None,
) -> tuple[Stage, ...]:
    """Return the stages of a member after some epochs over X (n, d), y (n,), in float32; callback gets the epoch."""
    rows = np.asarray(X[:], dtype=np.float32)
    target = y.astype(np.float32)
    projections = [stage.projection.astype(np.float32) for stage in member]
    parameters = [w.astype(np.float32) for stage in member for w in (stage.network.W1, stage.network.W2, stage.linear)]
    betas = [stage.beta for stage in member]
    first = [np.zeros_like(w) for w in parameters]
    second = [np.zeros_like(w) for w in parameters]
    random = np.random.default_rng([seed, len(member)])
    r, _ = _gradients(projections, parameters, betas, rows[: 1 << 14], target[: 1 << 14])
    largest = STEP * float(np.sqrt(np.mean(r * r)))
    batches = len(rows) // min(BATCH, len(rows))
    t = 0
    for epoch in range(epochs):
        order = random.permutation(len(rows))
        for batch in np.array_split(order, batches):
            t += 1
            step = 0.5 * largest * (1 + np.cos(np.pi * t / (epochs * batches)))
            scale = step * np.sqrt(1 - MOMENTS[1] ** t) / (1 - MOMENTS[0] ** t)
            _, gradients = _gradients(projections, parameters, betas, rows[batch], target[batch])
            for w, g, m, v in zip(parameters, gradients, first, second, strict=True):
                m += (1 - MOMENTS[0]) * (g - m)
                v += (1 - MOMENTS[1]) * (g * g - v)
                w -= scale * m / (np.sqrt(v) + 1e-8)
        callback(epoch + 1)
    weights = [w.astype(np.float64) for w in parameters]
    return tuple(
        Stage(stage.projection, weights[3 * s + 2], ReluNetwork(weights[3 * s], weights[3 * s + 1]), stage.beta)
        for s, stage in enumerate(member)
    )


def _gradients(
    projections: list[Floats], parameters: list[Floats], betas: list[float], x: Floats, y: Floats
) -> tuple[Floats, list[Floats]]:
    """Residual f - y (n,) and the gradient in W1, W2, w of every stage in turn."""
    below, seen = x, []
    r = -y
    for s, M in enumerate(projections):
        W1, W2, w = parameters[3 * s : 3 * s + 3]
        phi = below @ M
        a = np.maximum(phi @ W1, 0)
        seen.append((phi, a, below.shape[1]))
        r = r + phi @ w + a @ W2
        below = np.concatenate([below, a], axis=1)
    g = r / len(y)
    out: list[Floats] = []
    back = np.zeros_like(below)
    for s in range(len(projections) - 1, -1, -1):
        W1, W2, w = parameters[3 * s : 3 * s + 3]
        phi, a, columns = seen[s]
        dz = (np.outer(g, W2) + back[:, columns:]) * (a > 0)
        dphi = dz @ W1.T + np.outer(g, w)
        out = [phi.T @ dz + betas[s] * W1, a.T @ g + betas[s] * W2, phi.T @ g, *out]
        back = back[:, :columns] + dphi @ projections[s].T
    return r, out
