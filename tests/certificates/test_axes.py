"""The axes: orthogonal, and each takes the most of what the ones before it have left."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecgcvx.certificates.axes import SAMPLE, weighted_axes

ROWS = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.floats(-8, 8, width=16))


@given(ROWS, st.integers(0, 2**16))
def test_each_axis_takes_the_most_of_what_is_left(X: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rho, d = rng.normal(size=len(X)), X.shape[1]
    rounding = 1e-12 * np.abs(rho) @ np.linalg.norm(X, axis=1)
    axes = weighted_axes(X, rho, 64)
    assert axes.T @ axes == pytest.approx(np.eye(d), abs=1e-12)
    for j in range(d):
        left = X @ axes[:, j:]
        others = np.column_stack([np.eye(d - j), rng.normal(size=(d - j, 50))])
        taken = _taken(left, rho, others / np.linalg.norm(others, axis=0))
        assert taken[0] >= taken.max() - rounding


def _taken(left: np.ndarray, rho: np.ndarray, directions: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(left, axis=1)
    share = np.divide(np.abs(rho), length, out=np.zeros(len(left)), where=length > 0)
    return share @ (left @ directions) ** 2


def test_planted_axes_come_by_weight_times_length_and_not_by_square() -> None:
    # One direction with many short rows, one with a single long row: 10 x 1 against 1 x 9, squares 10 against 81.
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    X = np.concatenate([np.tile(Q[:, 0], (10, 1)), 9.0 * Q[None, :, 1], 0.5 * Q[None, :, 2]])
    axes = weighted_axes(X, np.ones(len(X)), 64)
    assert np.abs(axes.T @ Q) == pytest.approx(np.eye(4), abs=1e-12)


def test_rows_are_sampled_evenly_whatever_the_chunks() -> None:
    rng = np.random.default_rng(1)
    X, rho = rng.normal(size=(3 * SAMPLE + 5, 3)), rng.normal(size=3 * SAMPLE + 5)
    expected = weighted_axes(np.ascontiguousarray(X[::4]), rho[::4], 1 << 16)
    assert weighted_axes(X, rho, 1 << 16) == pytest.approx(expected)
    assert weighted_axes(X, rho, 1000) == pytest.approx(expected)
