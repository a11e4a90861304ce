"""Polynomial activations s(t) = a t^2 + b t + c, and the one nearest to a ReLU."""

from typing import NamedTuple

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.types import Array


class Polynomial(NamedTuple):
    """s(t) = a t^2 + b t + c."""

    a: float
    b: float
    c: float

    def __call__(self, t: Array) -> Array:
        """Return s(t), entry by entry."""
        return (self.a * t + self.b) * t + self.c

    @property
    def homogeneous(self) -> bool:
        """Whether s(t) = a t^2, the pure quadratic activation."""
        return self.b == 0 and self.c == 0


QUADRATIC = Polynomial(1.0, 0.0, 0.0)
RELU_LIKE = Polynomial(0.09, 0.5, 0.47)
"""relu_polynomial(-5, 5) to two digits, the numbers that the literature uses (Bartan & Pilanci 2021)."""


def relu_polynomial(low: float, high: float) -> Polynomial:
    """Return the polynomial nearest to (t)_+ in the mean square over low <= t <= high, all t weighted alike.

    On [-L, L] it is 15/(32 L) t^2 + t/2 + 3 L/32.

    Raises InputError unless low < 0 < high: elsewhere the ReLU is linear, and no approximation is needed.
    """
    if not (np.isfinite([low, high]).all() and low < 0 < high):
        raise InputError(f"interval [{low:g}, {high:g}]: it must hold 0 in its inside, e.g. [-5, 5]")
    # Moments of t^k over the interval, and of t^k (t)_+, in the unit t / (high - low) for the condition of the system.
    scale = high - low
    ends = np.array([low, high]) / scale
    k = np.arange(1, 6)
    moments = (ends[1] ** k - ends[0] ** k) / k
    right = ends[1] ** np.arange(2, 5) / np.arange(2, 5)
    c, b, a = np.linalg.solve(moments[np.add.outer(range(3), range(3))], right)
    return Polynomial(float(a / scale), float(b), float(c * scale))
