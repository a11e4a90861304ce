"""The game itself, played by gradients: what the closed form is compared with.

    min_W max_(alpha, V)  ||W||_F^2 + sum_j alpha_j v_j'(C - W'W) v_j - beta_d sum_j |alpha_j|,    ||v_j|| = 1

W (r, p) is a linear generator, C the second moment of the data, the discriminator sum_j alpha_j (x'v_j)^2. In
(W, V) the game is not convex. At its value sum (sigma^2 - beta_d)_+ the generator is that of `moment_target`.
"""

from dataclasses import dataclass

import numpy as np

from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class Play:
    """The generator W (r, p) arrived at, the value there, and ||C - W'W||_2 / ||C||_2 at 20 times on the way."""

    W: Array
    value: float
    errors: tuple[float, ...]


def extragradient(C: Array, beta_d: float, rank: int, neurons: int, steps: int, step: float, seed: int) -> Play:
    """Play from a random start by the extragradient method on the whole second moment C (p, p).

    Source: Korpelevich 1976.
    """
    random = np.random.default_rng(seed)
    W = 0.1 * random.standard_normal((rank, len(C)))
    V = random.standard_normal((neurons, len(C)))
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    alpha = np.zeros(neurons)
    errors = []
    for number in range(steps):
        ahead = _stepped(W, V, alpha, _slopes(C, W, V, alpha), step, beta_d)
        W, V, alpha = _stepped(W, V, alpha, _slopes(C, *ahead), step, beta_d)
        if number % max(steps // 20, 1) == 0:
            errors.append(float(np.linalg.norm(C - W.T @ W, 2) / np.linalg.norm(C, 2)))
    gains = np.einsum("ij,jk,ik->i", V, C - W.T @ W, V)
    value = float((W * W).sum() + alpha @ gains - beta_d * np.abs(alpha).sum())
    return Play(W, value, tuple(errors))


def _slopes(C: Array, W: Array, V: Array, alpha: Array) -> tuple[Array, Array, Array]:
    """Descent of W, and ascent of V, along the sphere, and of alpha."""
    E = C - W.T @ W
    EV = V @ E
    gains = np.einsum("ij,ij->i", V, EV)
    down = -2 * W + 2 * (W @ V.T * alpha) @ V
    turn = 2 * alpha[:, None] * (EV - gains[:, None] * V)
    return down, turn, gains


def _stepped(
    W: Array, V: Array, alpha: Array, slopes: tuple[Array, Array, Array], step: float, beta_d: float
) -> tuple[Array, Array, Array]:
    down, turn, gains = slopes
    V = V + step * turn
    moved = alpha + step * gains
    return (
        W + step * down,
        V / np.linalg.norm(V, axis=1, keepdims=True),
        np.sign(moved) * np.maximum(np.abs(moved) - step * beta_d, 0.0),
    )
