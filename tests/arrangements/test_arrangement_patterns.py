"""Packed patterns: bits against direct evaluation, order, deduplication, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecgcvx.arrangements import Patterns, patterns_of_gates
from ecgcvx.arrangements import patterns as patterns_module
from ecgcvx.errors import InputError


class LazyOnes:
    """A row-sliceable matrix with a last column of ones that refuses anything but contiguous slices."""

    def __init__(self, taps):
        self.taps = taps
        self.shape = (len(taps), taps.shape[1] + 1)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        assert rows.step is None
        chunk = self.taps[rows]
        return np.concatenate([chunk, np.ones((len(chunk), 1))], axis=1)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 40).flatmap(lambda n: arrays(np.int8, (n, 3), elements=st.integers(-3, 3))),
    arrays(np.int8, (6, 3), elements=st.integers(-3, 3)),
)
def test_integer_patterns_are_those_of_direct_evaluation_in_order_of_first_appearance(X, gates):
    expected = {}
    for gate in gates.astype(int):
        bits = X.astype(int) @ gate >= 0
        if bits.any():
            expected.setdefault(tuple(bits), gate)
    patterns = patterns_of_gates(X, gates)
    assert patterns.count == len(patterns) == len(expected)
    assert [tuple(patterns.mask(i)) for i in range(len(patterns))] == list(expected)
    np.testing.assert_array_equal(patterns.gates, np.array(list(expected.values())).reshape(-1, 3))
    if len(patterns):
        np.testing.assert_allclose(patterns.coverage, np.array(list(expected)).mean(axis=1), rtol=1e-15)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 1000])
def test_row_chunks_of_masks_join_to_the_full_masks(n):
    rng = np.random.default_rng(n)
    X, gates = rng.standard_normal((n, 4)), np.concatenate([-np.eye(4), np.eye(4)])
    patterns = patterns_of_gates(X, gates)
    full = np.array([patterns.mask(i) for i in range(len(patterns))])
    assert patterns.masks(0, n).dtype == np.bool_
    joined = np.concatenate([patterns.masks(a, min(a + 16, n)) for a in range(0, n, 16)], axis=1)
    np.testing.assert_array_equal(joined, full)
    np.testing.assert_array_equal(np.packbits(full, axis=1), patterns.packed)


def test_lazy_matrix_and_small_chunks_give_the_same_bits(monkeypatch):
    rng = np.random.default_rng(3)
    lazy = LazyOnes(rng.standard_normal((1003, 4)))
    gates = rng.standard_normal((9, 5))
    whole = patterns_of_gates(lazy[0:1003], gates)
    monkeypatch.setattr(patterns_module, "CHUNK_ELEMENTS", 9 * 64)
    chunked = patterns_of_gates(lazy, gates)
    np.testing.assert_array_equal(chunked.packed, whole.packed)


def test_zero_rows_have_bit_one_and_zero_patterns_are_dropped():
    X = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert patterns_of_gates(X, [[1.0, 0.0], [2.0, 0.0]]).mask(0).tolist() == [True, True, False]
    assert len(patterns_of_gates(X[1:2], [[-1.0, 0.0]])) == 0


def test_subset_takes_indices_and_masks():
    rng = np.random.default_rng(0)
    patterns = patterns_of_gates(rng.standard_normal((30, 3)), rng.standard_normal((6, 3)))
    chosen = patterns.subset([4, 1])
    np.testing.assert_array_equal(chosen.mask(0), patterns.mask(4))
    np.testing.assert_array_equal(chosen.gates, patterns.gates[[4, 1]])
    np.testing.assert_array_equal(patterns.subset(patterns.coverage > 0.5).coverage > 0.5, True)
    assert len(patterns.subset([])) == 0


@pytest.mark.parametrize(
    ("X", "gates", "message"),
    [
        (np.ones(3), np.ones((1, 3)), "X has shape"),
        (np.ones((0, 3)), np.ones((1, 3)), "X has shape"),
        (np.ones((3, 2)), np.ones((1, 3)), "gates has shape"),
        (np.ones((3, 2)), np.ones(2), "gates has shape"),
        (np.ones((3, 2)), np.array([[1.0, np.nan]]), "gates holds"),
        (np.array([[1.0, 2.0], [np.inf, 0.0]]), np.ones((1, 2)), "row 1"),
    ],
)
def test_unusable_matrices_and_gates_are_refused(X, gates, message):
    with pytest.raises(InputError, match=message):
        patterns_of_gates(X, gates)


@pytest.mark.parametrize(("start", "stop"), [(4, 8), (-8, 8), (0, 21), (16, 8)])
def test_masks_refuse_samples_out_of_range_or_between_bytes(start, stop):
    patterns = patterns_of_gates(np.ones((20, 2)), np.ones((1, 2)))
    with pytest.raises(InputError, match="samples"):
        patterns.masks(start, stop)


def test_inconsistent_shapes_are_refused():
    with pytest.raises(InputError, match="packed"):
        Patterns(np.zeros((2, 2), dtype=np.uint8), 8, np.zeros((2, 3)))
    with pytest.raises(InputError, match="gates"):
        Patterns(np.zeros((2, 1), dtype=np.uint8), 8, np.zeros((3, 3)))
