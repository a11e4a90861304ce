"""Search for the direction of largest price: ascent of |v'(Xw)_+| over the unit sphere from many starts at once.

The function is piecewise linear in w, with as many pieces as X has patterns, and neither convex nor concave; on many
samples it is smooth to the eye. Each start runs a BFGS method of its own on the sphere, all of them share each pass
over the rows. First-order ascent finds far fewer maxima for the same passes.
"""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

CHUNK = 1 << 18
BATCH = 256  # starts that share a pass
PASSES = 60
SUFFICIENT = 1e-4  # share of the slope's promise that a step must keep
SHRINK = 0.25


def search_price(X: Matrix, v: Array, starts: int, seed: int, own: Array | None = None) -> tuple[float, Array]:
    """Return the largest |v'(Xw)_+| found over ||w|| = 1, and its w (d,).

    v: (n,); own: directions (m, d) to start from besides the `starts` random ones, as the neurons of a network. Half of
    the random starts are isotropic, half lie in the metric (X'X)^(-1/4), since windows of a signal are ill-conditioned.

    Raises InputError for starts < 1.
    """
    if starts < 1:
        raise InputError(f"starts = {starts}: give at least one")
    random = np.random.default_rng(seed)
    W = random.standard_normal((starts, X.shape[1]))
    W[1::2] @= _half_whitening(X)
    if own is not None and len(own):
        W = np.concatenate([own, W])
    lengths = np.linalg.norm(W, axis=1)
    W = W[lengths > 0] / lengths[lengths > 0, None]
    best, where = 0.0, np.zeros(X.shape[1])
    for start in range(0, len(W), BATCH):
        batch = W[start : start + BATCH]
        for sign in (1.0, -1.0):
            found, values = _ascend(X, sign * v, batch)
            top = int(np.argmax(values))
            if values[top] > best:
                best, where = float(values[top]), found[top]
    return best, where


def _ascend(X: Matrix, v: Array, W: Array) -> tuple[Array, Array]:
    """Maximise v'(Xw)_+ from every row of W (b, d); return the points and their values."""
    b, d = W.shape
    values, gradients = _value_and_gradient(X, v, W)
    slopes = _tangent(W, gradients)
    inverse = np.tile(np.eye(d), (b, 1, 1)) / np.maximum(np.linalg.norm(gradients, axis=1), 1e-300)[:, None, None]
    step = np.ones(b)
    for _ in range(PASSES):
        directions = _tangent(W, np.einsum("bij,bj->bi", inverse, slopes))
        lengths = np.linalg.norm(directions, axis=1)
        directions *= np.minimum(1.0, 1.0 / np.maximum(lengths, 1e-300))[:, None]
        promise = np.einsum("bi,bi->b", directions, slopes)
        if (step * promise <= 1e-12 * np.maximum(np.abs(values), 1e-300)).all():
            break
        moved = W + step[:, None] * directions
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        new_values, new_gradients = _value_and_gradient(X, v, moved)
        better = new_values >= values + SUFFICIENT * step * promise
        new_slopes = _tangent(moved, new_gradients)
        _update(inverse, better, _tangent(moved, moved - W), _tangent(moved, slopes) - new_slopes)
        stuck = ~better & (step <= SHRINK**4)
        inverse[stuck] = np.eye(d) / np.maximum(np.linalg.norm(gradients[stuck], axis=1), 1e-300)[:, None, None]
        step = np.where(better | stuck, 1.0, SHRINK * step)
        W = np.where(better[:, None], moved, W)
        values = np.where(better, new_values, values)
        gradients = np.where(better[:, None], new_gradients, gradients)
        slopes = np.where(better[:, None], new_slopes, slopes)
    return W, values


def _update(inverse: Array, chosen: NDArray[np.bool_], s: Array, q: Array) -> None:
    """BFGS update of the inverse Hessians (of -value) with steps s and gradient changes q, where s'q > 0."""
    sq = np.einsum("bi,bi->b", s, q)
    use = chosen & (sq > 1e-10 * np.linalg.norm(s, axis=1) * np.linalg.norm(q, axis=1))
    s, q, rho = s[use], q[use], 1.0 / sq[use]
    left = np.eye(s.shape[1]) - rho[:, None, None] * s[:, :, None] * q[:, None, :]
    inverse[use] = left @ inverse[use] @ left.transpose(0, 2, 1) + rho[:, None, None] * s[:, :, None] * s[:, None, :]


def _value_and_gradient(X: Matrix, v: Array, W: Array) -> tuple[Array, Array]:
    values, gradients = np.zeros(len(W)), np.zeros_like(W)
    for start, rows in row_chunks(X, CHUNK // len(W)):
        Z = rows @ W.T
        weights = (Z > 0) * v[start : start + len(rows), None]
        values += np.einsum("rb,rb->b", weights, Z)
        gradients += weights.T @ rows
    return values, gradients


def _tangent(W: Array, G: Array) -> Array:
    return G - np.einsum("bi,bi->b", G, W)[:, None] * W


def _half_whitening(X: Matrix) -> Array:
    """(X'X/n)^(-1/4), singular directions left at the size of the smallest regular one."""
    gram = np.zeros((X.shape[1], X.shape[1]))
    for _, rows in row_chunks(X, CHUNK):
        gram += rows.T @ rows
    values, Q = np.linalg.eigh(gram / X.shape[0])
    return (Q * np.maximum(values, 1e-10 * values[-1] + 1e-300) ** -0.25) @ Q.T
