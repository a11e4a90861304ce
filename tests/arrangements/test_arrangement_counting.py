"""Cover's count and the rank against closed forms and NumPy."""

import numpy as np
import pytest

from ecgcvx.arrangements import matrix_rank, pattern_bound, principal_axes
from ecgcvx.errors import InputError


@pytest.mark.parametrize(
    ("n", "rank", "expected"),
    [(8, 2, 16), (8, 3, 58), (15, 2, 30), (50, 4, 39_300), (200, 3, 39_802), (5, 9, 32), (0, 3, 1), (3, 0, 1)],
)
def test_known_counts(n, rank, expected):
    assert pattern_bound(n, rank) == expected


@pytest.mark.parametrize("n", range(2, 12))
@pytest.mark.parametrize("rank", range(2, 7))
def test_bound_obeys_deletion_and_restriction(n, rank):
    assert pattern_bound(n, rank) == pattern_bound(n - 1, rank) + pattern_bound(n - 1, rank - 1)


def test_bound_is_exact_beyond_floating_point():
    assert pattern_bound(100_000, 16) > 10**60
    assert isinstance(pattern_bound(100_000, 16), int)


@pytest.mark.parametrize(("n", "rank"), [(-1, 2), (3, -1)])
def test_negative_arguments_are_refused(n, rank):
    with pytest.raises(InputError, match="0 or more"):
        pattern_bound(n, rank)


@pytest.mark.parametrize(("n", "d", "rank"), [(50, 6, 6), (50, 6, 2), (3, 6, 3), (9000, 5, 4), (4, 3, 0)])
def test_rank_and_axes_are_those_of_the_singular_value_decomposition(n, d, rank):
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    singular, axes = principal_axes(X)
    assert matrix_rank(X) == len(singular) == rank
    np.testing.assert_allclose(singular, np.linalg.svd(X, compute_uv=False)[:rank], rtol=1e-10)
    np.testing.assert_allclose(X @ axes @ axes.T, X, atol=1e-10)


def test_rank_sees_directions_that_the_gram_matrix_loses():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 3)) * [1.0, 1.0, 1e-10]
    assert matrix_rank(X) == 3
