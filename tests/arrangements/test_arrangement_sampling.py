"""Sampled patterns: exact number, reproducible, genuine, well spread, refusals that help."""

import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns, sample_patterns
from ecgcvx.errors import InputError

KINDS = ["gaussian", "whitened", "data"]


def smooth_windows(n=4000, d=15):
    """Windows of a smooth signal with a column of ones: ill-conditioned, as an ECG at 360 Hz is."""
    steps = np.random.default_rng(0).standard_normal(n + d + 200)
    signal = np.convolve(np.cumsum(steps), np.hanning(30), mode="valid")[: n + d - 1]
    signal = (signal - signal.mean()) / signal.std()
    return np.column_stack([np.lib.stride_tricks.sliding_window_view(signal, d)[:n], np.ones(n)])


def bits(patterns):
    return {patterns.mask(i).tobytes() for i in range(len(patterns))}


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_count_distinct_patterns_that_their_unit_gates_reproduce(kind):
    X = smooth_windows()
    patterns = sample_patterns(X, 120, 7, kind)
    assert len(bits(patterns)) == len(patterns) == 120
    assert patterns.coverage.min() > 0
    np.testing.assert_allclose(np.linalg.norm(patterns.gates, axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(patterns.masks(0, len(X)), patterns.gates @ X.T >= 0)


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes_and_fewer_are_a_prefix_of_more(kind):
    X = smooth_windows(500)
    first = sample_patterns(X, 40, 5, kind)
    again = sample_patterns(X, 40, np.random.default_rng(5), kind)
    assert first.packed.tobytes() == again.packed.tobytes()
    assert first.gates.tobytes() == again.gates.tobytes()
    fewer = sample_patterns(X, 15, 5, kind)
    np.testing.assert_array_equal(fewer.packed, first.packed[:15])
    assert sample_patterns(X, 40, 6, kind).packed.tobytes() != first.packed.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 3])
def test_samples_are_patterns_of_the_enumeration(kind, d):
    X = np.random.default_rng(d).standard_normal((12, d))
    everything = enumerate_patterns(X)
    assert bits(sample_patterns(X, 8, 0, kind)) <= bits(everything)


@pytest.mark.parametrize("kind", ["gaussian", "whitened"])
def test_every_pattern_of_a_small_arrangement_can_be_had(kind):
    X = np.random.default_rng(4).standard_normal((6, 2))
    everything = enumerate_patterns(X)
    assert bits(sample_patterns(X, len(everything), 0, kind)) == bits(everything)


def test_whitened_gates_ignore_how_the_columns_are_mixed():
    """X A has the patterns of X at gates A^-1 g, and whitening draws its directions uniformly in both."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((3000, 4))
    mixed = X @ (rng.standard_normal((4, 4)) * [1.0, 1e-2, 1e-4, 1e-6])
    spread = [sample_patterns(Z, 400, 1, "whitened").coverage.std() for Z in (X, mixed)]
    assert spread[0] == pytest.approx(spread[1], rel=0.25)


def test_whitened_gates_stay_in_the_row_space():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 5))
    gates = sample_patterns(X, 10, 0, "whitened").gates
    np.testing.assert_allclose(gates @ np.linalg.pinv(X) @ X, gates, atol=1e-10)


def test_data_gates_separate_samples():
    coverage = sample_patterns(smooth_windows(), 200, 0, "data").coverage
    assert coverage.max() < 1
    assert coverage.min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_more_patterns_than_exist_is_said_with_the_bound(kind):
    X = np.array([[2.0, 2.0], [3.0, 3.0], [1.0, 0.0]])
    with pytest.raises(InputError, match=r"count = 9, but \d+ random gates gave [0-3] .* \(at most 6"):
        sample_patterns(X, 9, 0, kind)


def test_shortage_below_the_bound_names_the_remedy():
    X = np.repeat(np.eye(2), 10, axis=0)
    with pytest.raises(InputError, match=r"gave 3 distinct patterns of 20 samples; .*enumerate_patterns"):
        sample_patterns(X, 5, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_matrix_is_refused_without_warnings(kind):
    with pytest.raises(InputError, match="more patterns asked than exist"):
        sample_patterns(np.ones((30, 4)), 5, 0, kind)


@pytest.mark.parametrize(
    ("X", "count", "kind", "message"),
    [
        (np.eye(3), 0, "gaussian", "count = 0"),
        (np.eye(3), 2, "uniform", "kind = 'uniform'"),
        (np.zeros((4, 2)), 1, "whitened", "X is zero"),
        (np.zeros(4), 1, "gaussian", "X has shape"),
        (np.array([[np.nan, 1.0]]), 1, "gaussian", "not finite in row 0"),
    ],
)
def test_unusable_arguments_are_refused(X, count, kind, message):
    with pytest.raises(InputError, match=message):
        sample_patterns(X, count, 0, kind)


def test_thresholds_of_data_gates_follow_an_offset_of_the_signal():
    X = smooth_windows()
    X[:, :-1] += 50.0
    with pytest.raises(InputError, match="try another kind"):
        sample_patterns(X, 100, 0, "gaussian")
    coverage = sample_patterns(X, 100, 0, "data").coverage
    assert np.mean((coverage > 0.02) & (coverage < 0.98)) > 0.8
