"""Data that several tests of the baselines share."""

import numpy as np


class LazyRows:
    """Rows that are only handed out slice by slice; anything else about an ndarray is missing."""

    def __init__(self, array):
        self._array = array
        self.shape = array.shape

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self._array[rows].copy()


def planted(n=2000, d=5, neurons=3, seed=0):
    """Targets of a two-layer ReLU network."""
    random = np.random.default_rng(seed)
    X = np.column_stack([random.standard_normal((n, d - 1)), np.ones(n)])
    W1, W2 = random.standard_normal((d, neurons)), np.array([1.0, -1.5, 2.0])[:neurons]
    return X, np.maximum(X @ W1, 0) @ W2
