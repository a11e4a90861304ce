"""Patch matrices against explicit loops, and the patterns of convolutional layers."""

import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns, patch_masks, patch_matrix, pattern_bound, patterns_of_gates
from ecgcvx.errors import InputError


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize(("d", "width", "stride"), [(7, 3, 1), (7, 3, 2), (6, 6, 1), (5, 1, 3), (4, 2, 5)])
def test_patches_are_those_of_an_explicit_loop(d, width, stride, circular):
    X = np.random.default_rng(d).standard_normal((4, d))
    starts = range(0, d if circular else d - width + 1, stride)
    expected = [[x[(k + j) % d] for j in range(width)] for x in X for k in starts]
    np.testing.assert_array_equal(patch_matrix(X, width, stride, circular), expected)


def test_small_convolutional_problem_has_thirty_patterns():
    X = np.array(
        [
            [-0.65, -0.17, 1.66, 0.66],
            [-1.64, -0.01, -0.62, 0.15],
            [-1.61, 0.24, 0.24, 1.58],
            [0.32, 0.51, -1.49, 2.25],
            [-1.92, 1.1, -0.33, -0.88],
        ]
    )
    patterns = enumerate_patterns(patch_matrix(X, 2))
    assert pattern_bound(15, 2) == 30
    assert len(patterns) + int(np.any(patterns.coverage == 1)) == 30


def test_masks_of_patches_are_the_gates_evaluated_on_each_patch():
    data = np.random.default_rng(0)
    X, gates = data.standard_normal((21, 6)), data.standard_normal((5, 3))
    patterns = patterns_of_gates(patch_matrix(X, 3), gates)
    expected = np.stack([[X[:, k : k + 3] @ g >= 0 for k in range(4)] for g in gates]).transpose(0, 2, 1)
    np.testing.assert_array_equal(patch_masks(patterns, 4), expected)
    np.testing.assert_array_equal(patch_masks(patterns, 4, 8, 19), expected[:, 8:19])


@pytest.mark.parametrize(
    ("width", "stride", "message"), [(0, 1, "width = 0"), (5, 1, "width = 5"), (2, 0, "stride = 0")]
)
def test_unusable_filters_are_refused(width, stride, message):
    with pytest.raises(InputError, match=message):
        patch_matrix(np.ones((3, 4)), width, stride)


def test_a_number_of_patches_that_does_not_fit_is_refused():
    patterns = patterns_of_gates(np.ones((10, 2)), np.ones((1, 2)))
    with pytest.raises(InputError, match="patches = 3"):
        patch_masks(patterns, 3)
