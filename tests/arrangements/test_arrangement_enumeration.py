"""Exact enumeration against linear programs over all sign vectors, exact integer counts and Cover's count."""

import itertools
from fractions import Fraction
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog

from ecgcvx.arrangements import enumerate_patterns, pattern_bound
from ecgcvx.errors import InputError


def bits(patterns):
    return {tuple(patterns.mask(i).astype(int)) for i in range(len(patterns))}


def feasible_patterns(X):
    """Brute force: a pattern exists if an LP finds w in a box with s_i x_i'w >= t ||x_i|| > 0 on the non-zero rows."""
    norms = np.linalg.norm(X, axis=1)
    live = np.flatnonzero(norms)
    found = set()
    for signs in itertools.product([1, -1], repeat=len(live)):
        rows = -np.array(signs)[:, None] * X[live] / norms[live, None]
        result = linprog(
            [0.0] * X.shape[1] + [-1.0],
            A_ub=np.column_stack([rows, np.ones(len(live))]) if len(live) else None,
            b_ub=np.zeros(len(live)) if len(live) else None,
            bounds=[(-1, 1)] * (X.shape[1] + 1),
        )
        if -result.fun > 1e-7:
            pattern = np.ones(len(X), dtype=int)
            pattern[live] = np.array(signs) > 0
            if pattern.any():
                found.add(tuple(pattern))
    return found


def exact_rank(rows):
    """Rank of integer rows by elimination in rational numbers."""
    matrix, rank = [[Fraction(int(v)) for v in row] for row in rows], 0
    for column in range(len(matrix[0]) if matrix else 0):
        pivot = next((i for i in range(rank, len(matrix)) if matrix[i][column]), None)
        if pivot is None:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        for i in range(rank + 1, len(matrix)):
            factor = matrix[i][column] / matrix[rank][column]
            matrix[i] = [a - factor * b for a, b in zip(matrix[i], matrix[rank], strict=True)]
        rank += 1
    return rank


def lines_of(X):
    """Distinct lines through integer rows, exactly."""

    def line(row):
        divided = [int(v) // gcd(*map(int, row)) for v in row]
        return tuple(divided) if next(v for v in divided if v) > 0 else tuple(-v for v in divided)

    return sorted({line(row) for row in X if any(row)})


def whitney_count(X):
    """Number of cells by Whitney's theorem: sum over subsets S of the hyperplanes of (-1)^(|S| - rank S)."""
    lines = lines_of(X)
    subsets = itertools.chain.from_iterable(itertools.combinations(lines, k) for k in range(len(lines) + 1))
    return sum((-1) ** (len(subset) - exact_rank(subset)) for subset in subsets)


def planar_count(X):
    """Number of cells in three dimensions by Euler's formula in the projective plane, with exact multiplicities."""
    vertices = {}
    for a, b in itertools.combinations(lines_of(X), 2):
        cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
        vertices.setdefault(lines_of([cross])[0], set()).update((a, b))
    return 2 * (1 + sum(len(lines) - 1 for lines in vertices.values()))


def cells(patterns):
    """Number of cells of X without zero rows: the zero pattern exists if its antipode does."""
    return len(patterns) + int(np.any(patterns.coverage == 1))


rng = np.random.default_rng(11)
SMALL = {
    "lecture": np.array([[2.0, 2.0], [3.0, 3.0], [1.0, 0.0]]),
    "random_d1": rng.standard_normal((4, 1)),
    "random_d2": rng.standard_normal((7, 2)),
    "random_d3": rng.standard_normal((7, 3)),
    "square_d3": rng.standard_normal((3, 3)),
    "wide": rng.standard_normal((2, 4)),
    "single": np.array([[0.0, 0.0, 2.0]]),
    "duplicates_and_multiples": np.array([[1, 2, 3], [1, 2, 3], [2, 4, 6], [0, 1, -1], [-3, 3, 0], [5, 0, 1.0]]),
    "antiparallel": np.array([[1, 0, 1], [-1, 0, -1], [0, 1, 1], [0, -2, -2], [1, 1, 0.0]]),
    "zero_rows": np.array([[0, 0], [1, 2], [0, 0], [-1, 1.0]]),
    "all_zero": np.zeros((3, 2)),
    "rank_two_of_three": rng.standard_normal((7, 2)) @ rng.standard_normal((2, 3)),
    "rank_one_of_three": np.outer([1, -2, 3, 0.5], [1.0, 2.0, -1.0]),
    "zero_column": np.column_stack([rng.standard_normal((6, 2)), np.zeros(6)]),
    "integer_grid_with_ones": np.array([[i, j, 1] for i in range(3) for j in range(2)], dtype=float),
    "cube_axes_and_diagonals": np.array([v for v in itertools.product([-1, 0, 1], repeat=3) if v > (0, 0, 0)][:8]),
    "integer_windows": np.lib.stride_tricks.sliding_window_view(np.array([0, 0, 1, 5, 1, 0, -2, 0, 0.0]), 3),
}


@pytest.mark.parametrize("name", SMALL)
def test_patterns_are_those_of_linear_programs_over_all_sign_vectors(name):
    X = SMALL[name]
    assert bits(enumerate_patterns(X)) == feasible_patterns(X)


@settings(max_examples=12, deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(1, 5), st.integers(1, 3)), elements=st.integers(-2, 2)))
def test_degenerate_integer_patterns_are_those_of_linear_programs(X):
    assert bits(enumerate_patterns(X)) == feasible_patterns(X.astype(float))


def test_the_lecture_example_has_its_four_patterns():
    assert bits(enumerate_patterns(SMALL["lecture"])) | {(0, 0, 0)} == {(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)}


RANDOM_D2 = [[0.35, 0.82], [0.33, -1.3], [0.91, 0.45], [-0.54, 0.58], [0.36, 0.29], [0.03, 0.55], [-0.74, -0.16]]
RANDOM_D3 = [[0.19, -0.52, -0.41], [-2.44, 1.8, 1.14], [-0.33, 0.77, 0.28], [-0.55, 0.98, -0.31], [-0.33, -0.79, 0.45]]


@pytest.mark.parametrize(
    ("X", "count"),
    [
        ([*RANDOM_D2, [-0.48, 0.6]], 16),
        ([*RANDOM_D3, [-0.1, 0.55, -0.61], [0.13, -0.89, 0.84], [0.19, 0.33, 0.41]], 58),
    ],
)
def test_random_problems_have_their_known_counts(X, count):
    assert cells(enumerate_patterns(np.array(X))) == count == pattern_bound(8, len(X[0]))


@pytest.mark.parametrize(
    ("n", "r"),
    [(200, 3), (50, 4), (1, 1), (5, 1), (1, 3), (3, 3), (30, 2), (20, 3), (10, 4), (9, 5), (8, 6), (7, 7), (6, 9)],
)
def test_general_position_attains_covers_count(n, r):
    data = np.random.default_rng(100 * n + r)
    X = np.column_stack([data.standard_normal((n, r - 1)), np.ones(n)])  # the bias makes the zero pattern a cell
    assert len(enumerate_patterns(X)) + 1 == pattern_bound(n if r > 1 else 1, r)


@pytest.mark.parametrize("shift", [0, 10, 1_000, 100_000])
def test_grid_points_with_a_bias_have_their_exact_count_whatever_the_offset(shift):
    X = np.array([(shift + i, shift + j, 1) for i in range(5) for j in range(5)])
    assert len(enumerate_patterns(X)) + 1 == planar_count(X)


@pytest.mark.parametrize("seed", range(4))
def test_large_degenerate_integer_data_have_their_exact_count(seed):
    X = np.random.default_rng(seed).integers(-3, 4, (40, 3))
    X = X[X.any(axis=1)]
    X[:, 2] = np.abs(X[:, 2]) + 1  # an offset that makes the zero pattern a cell
    assert len(enumerate_patterns(X)) + 1 == planar_count(X)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("r", [4, 5])
def test_degenerate_integer_data_in_more_dimensions_have_whitneys_count(seed, r):
    X = np.random.default_rng(seed).integers(-1, 2, (9, r))
    X[:, -1] = 1
    assert len(enumerate_patterns(X)) + 1 == whitney_count(X)


def test_quantised_windows_have_their_exact_count():
    time = np.arange(80)
    signal = np.round(200 * np.exp(-(((time % 40 - 20) / 3) ** 2)) + 5 * np.sin(time / 9)).astype(int) + 1024
    X = np.lib.stride_tricks.sliding_window_view(signal, 3)
    assert len(enumerate_patterns(X)) + 1 == planar_count(X)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "all_zero"])
def test_gates_lie_inside_their_cells(name):
    X = SMALL[name]
    patterns = enumerate_patterns(X)
    products = patterns.gates @ X.T
    np.testing.assert_array_equal(products >= 0, patterns.masks(0, len(X)))
    norms = np.linalg.norm(X, axis=1)
    assert (np.abs(products[:, norms > 0]) > 1e-6 * norms[norms > 0]).all()
    np.testing.assert_allclose(np.linalg.norm(patterns.gates, axis=1), 1, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 4))
def test_patterns_follow_permutations_scalings_negations_and_changes_of_basis(seed, n, d):
    data = np.random.default_rng(seed)
    X = data.integers(-3, 4, (n, d)).astype(float)
    patterns = bits(enumerate_patterns(X))
    scaled = X * 10.0 ** data.uniform(-6, 6, (n, 1))
    assert bits(enumerate_patterns(scaled)) == patterns
    order = data.permutation(n)
    assert bits(enumerate_patterns(X[order])) == {tuple(np.array(p)[order]) for p in patterns}
    units = 10.0 ** data.uniform(-4, 4, d)
    assert bits(enumerate_patterns(X * units)) == patterns
    rotation = np.linalg.qr(data.standard_normal((d, d)))[0]
    assert bits(enumerate_patterns(X @ rotation)) == patterns
    live = X.any(axis=1)
    antipodes = {tuple(np.where(live, 1 - np.array(p), 1)) for p in patterns}
    assert {p for p in antipodes if any(p)} <= patterns


def test_duplicated_rows_repeat_their_bits():
    X = np.random.default_rng(5).standard_normal((6, 3))
    repeated = np.concatenate([X, 3 * X, -X])
    expected = {(*p, *p, *(1 - v for v in p)) for p in bits(enumerate_patterns(X)) | {(0,) * 6}}
    found = bits(enumerate_patterns(repeated))
    assert found <= expected
    assert len(expected) - len(found) in (0, 1)  # the zero pattern of X need not be a cell


def test_same_matrix_same_bytes():
    X = np.random.default_rng(8).standard_normal((15, 4))
    first, second = enumerate_patterns(X), enumerate_patterns(X.copy())
    assert first.packed.tobytes() == second.packed.tobytes()
    assert first.gates.tobytes() == second.gates.tobytes()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_progress_ends_at_the_number_of_cells(d):
    X = np.column_stack([np.random.default_rng(1).standard_normal((9, d - 1)), np.ones(9)])
    calls = []
    patterns = enumerate_patterns(X, progress=lambda done, bound: calls.append((done, bound)))
    assert calls[-1][0] == len(patterns) + 1
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert {bound for _, bound in calls} == {pattern_bound(9 if d > 1 else 1, d)}


def test_more_patterns_than_the_limit_are_refused_before_starting():
    X = np.random.default_rng(1).standard_normal((500, 10))
    calls = []
    bound = f"{pattern_bound(500, 10):,}"
    with pytest.raises(InputError, match=f"500 distinct rows of rank 10 have up to {bound} patterns"):
        enumerate_patterns(X, progress=lambda *call: calls.append(call))
    assert not calls
    with pytest.raises(InputError, match="limit = 30"):
        enumerate_patterns(X[:8, :3], limit=30)


def test_more_patterns_than_memory_holds_are_refused():
    angles = np.linspace(0.1, 3.0, 300_000)
    with pytest.raises(InputError, match="4 GB"):
        enumerate_patterns(np.column_stack([np.cos(angles), np.sin(angles)]))


def test_a_matrix_at_the_edge_of_rank_deficiency_is_refused():
    data = np.random.default_rng(1)
    X = data.standard_normal((20, 2)) @ data.standard_normal((2, 3)) + 1e-9 * data.standard_normal((20, 3))
    with pytest.raises(InputError, match="nearly degenerate"):
        enumerate_patterns(X)


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="row 1"):
        enumerate_patterns(np.array([[1.0, 2.0], [np.nan, 1.0]]))
