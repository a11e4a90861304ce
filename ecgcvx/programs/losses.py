"""The losses of the convex programs, L(f) = (1/n) sum_k w_k l(f_k, y_k), each with what its dual needs.

The weights w_k >= 0 of the samples are 1 unless given. With the residual v = -w l'(f, y) (n,), Fenchel duality gives
for every v whose prices are at most beta the lower bound

    D(v) = -(1/n) sum_k w_k l*(-v_k/w_k, y_k),      l* the conjugate of l in its first argument,

and with v any residual so does c v for every scale 0 <= c <= beta / max price.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, xlog1py, xlogy

from ecgcvx.errors import InputError
from ecgcvx.types import Array


def checked_targets(y: Array, n: int, beta: float) -> Array:
    """Return y in float64; InputError unless it holds n finite numbers and beta is positive."""
    y = np.asarray(y, dtype=np.float64)
    if y.shape != (n,):
        raise InputError(f"y has shape {y.shape}; X has {n} rows, so give ({n},)")
    if not np.isfinite(y).all():
        raise InputError(f"y holds a number that is not finite in row {np.flatnonzero(~np.isfinite(y))[0]}")
    check_beta(beta)
    return y


def check_beta(beta: float) -> None:
    """Raise InputError unless beta is positive."""
    if not (np.isfinite(beta) and beta > 0):
        raise InputError(f"beta = {beta}: it must be a positive number, e.g. 1e-4")


class Loss(Protocol):
    """A convex loss; curvature is the largest second derivative of l in f."""

    @property
    def curvature(self) -> float: ...

    def targets(self, y: Array) -> Array:
        """Return the targets (n,) as the formulas use them; InputError for those that the loss cannot take."""
        ...

    def value(self, f: Array, y: Array, weights: Array | None = None) -> float:
        """Return L(f) for predictions f (n,) and weights (n,) of the samples, None for ones."""
        ...

    def residual(self, f: Array, y: Array) -> Array:
        """Return -l'(f, y) (n,), which is v = -n dL/df for weights of one."""
        ...

    def second_derivative(self, f: Array, y: Array) -> Array:
        """Return l''(f, y) (n,)."""
        ...

    def dual_value(self, v: Array, y: Array, limit: float, weights: Array | None = None) -> float:
        """Return the largest D(c v) over scales 0 <= c <= limit; v includes the weights."""
        ...


@dataclass(frozen=True)
class SquaredLoss:
    """l(f, y) = (f - y)^2 / 2; v = y - f; D(v) = v'y/n - ||v||^2/(2n)."""

    curvature: float = 1.0

    def targets(self, y: Array) -> Array:
        """Any finite numbers."""
        return y

    def value(self, f: Array, y: Array, weights: Array | None = None) -> float:
        """Return sum of w (f - y)^2 / (2n)."""
        r = y - f
        return float(r @ r if weights is None else (weights * r) @ r) / (2 * len(y))

    def residual(self, f: Array, y: Array) -> Array:
        """Return y - f."""
        return y - f

    def second_derivative(self, f: Array, y: Array) -> Array:
        """Return ones."""
        return np.ones_like(f)

    def dual_value(self, v: Array, y: Array, limit: float, weights: Array | None = None) -> float:
        """The maximum of a parabola in c."""
        return scaled_parabola(float(v @ y) / len(y), float(v @ unweighted(v, weights)) / len(y), limit)


@dataclass(frozen=True)
class LogisticLoss:
    """l(f, y) = log(1 + exp(-y f)), y in {-1, 1}; v = y q, q = 1 / (1 + exp(y f)); D(v) = mean entropy of q.

    Labels in {0, 1} are taken as {-1, 1}.
    """

    curvature: float = 0.25

    def targets(self, y: Array) -> Array:
        """Labels as -1 and 1."""
        odd = y[(y != 1) & (y != 0) & (y != -1)]
        if len(odd) or ((y == 0).any() and (y == -1).any()):
            shown = f"the value {odd[0]:g}" if len(odd) else "both 0 and -1"
            raise InputError(f"y holds {shown}; the logistic loss takes labels in {{-1, 1}} or in {{0, 1}}")
        return np.where(y == 1, 1.0, -1.0)

    def value(self, f: Array, y: Array, weights: Array | None = None) -> float:
        """Return the mean of w log(1 + exp(-y f)), without overflow."""
        losses = np.logaddexp(0.0, -y * f)
        return float(np.mean(losses if weights is None else weights * losses))

    def residual(self, f: Array, y: Array) -> Array:
        """Return y / (1 + exp(y f))."""
        return y * expit(-y * f)

    def second_derivative(self, f: Array, y: Array) -> Array:
        """Return p (1 - p), p = 1 / (1 + exp(-f))."""
        return np.asarray(expit(f) * expit(-f))

    def dual_value(self, v: Array, y: Array, limit: float, weights: Array | None = None) -> float:
        """Bisect on the derivative of the mean entropy, which falls with c."""
        q = unweighted(v, weights) * y
        w = np.ones_like(q) if weights is None else weights
        if (q < 0).any() or not q.any():
            return 0.0
        low, high = 0.0, min(limit, 1.0 / float(q.max()))
        for _ in range(60):
            c = (low + high) / 2
            rising = float((w * q) @ (np.log1p(-c * q) - np.log(c) - np.log(np.where(q > 0, q, 1.0)))) > 0
            low, high = (c, high) if rising else (low, c)
        return -float(np.mean(w * (xlogy(low * q, low * q) + xlog1py(1 - low * q, -low * q))))


def unweighted(v: Array, weights: Array | None) -> Array:
    """Return v/w (n,), 0 where w is."""
    if weights is None:
        return v
    return np.divide(v, weights, out=np.zeros_like(v), where=weights > 0)


def scaled_parabola(ry: float, rr: float, limit: float) -> float:
    """Return the largest c ry - c^2 rr / 2 over 0 <= c <= limit."""
    c = float(np.clip(ry / rr if rr > 0 else 0.0, 0.0, limit))
    return c * ry - c * c * rr / 2
