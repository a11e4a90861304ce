"""Measures of error."""

import numpy as np

from ecgcvx.types import Array


def root_mean_square(r: Array) -> float:
    """Return sqrt(mean(r^2))."""
    return float(np.sqrt(np.mean(r * r)))
