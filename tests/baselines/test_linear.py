"""Linear baselines against numpy.linalg.lstsq on the whole matrix, scikit-learn, and optimality conditions."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from ecgcvx.baselines import rows as rows_module
from ecgcvx.baselines.linear import (
    group_lasso_path,
    lasso_path,
    least_squares,
    persistence_weights,
    ridge_path,
    triangle,
)
from ecgcvx.errors import InputError


class LazyWindows:
    """Windows and a bias column that exist only as the rows asked for."""

    def __init__(self, signal, length):
        self.windows = sliding_window_view(signal, length)[:-1]
        self.shape = (len(self.windows), length + 1)

    def __getitem__(self, rows):
        chunk = self.windows[rows]
        return np.column_stack([chunk, np.ones(len(chunk))])


@pytest.fixture
def random():
    return np.random.default_rng(1)


@pytest.fixture(params=[1, 7, 100, 8192])
def _chunk_rows(request, monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_ROWS", request.param)


@pytest.mark.usefixtures("_chunk_rows")
@pytest.mark.parametrize("shape", [(200, 5), (5, 5), (3, 8), (1, 1), (1, 4)])
def test_equals_lstsq(shape, random):
    X, y = random.standard_normal(shape), random.standard_normal(shape[0])
    np.testing.assert_allclose(least_squares(X, y), np.linalg.lstsq(X, y)[0], rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("_chunk_rows")
def test_rank_deficient_gives_least_norm(random):
    X = random.standard_normal((150, 3)) @ random.standard_normal((3, 6))
    X[:, 5] = 0
    y = random.standard_normal(150)
    np.testing.assert_allclose(least_squares(X, y), np.linalg.pinv(X) @ y, rtol=1e-8, atol=1e-10)


def test_does_not_square_the_condition_number(random):
    basis = np.linalg.qr(random.standard_normal((500, 4)))[0]
    X = basis * np.array([1, 1e-3, 1e-6, 1e-9])  # condition 1e9: the normal equations would see 1e18
    planted = np.array([1.0, -2.0, 3.0, -4.0])
    np.testing.assert_allclose(least_squares(X, X @ planted), planted, rtol=1e-5)


def test_lazy_windows_equal_array(random, monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_ROWS", 64)
    signal = np.cumsum(random.standard_normal(400))
    X, y = LazyWindows(signal, 6), signal[6:]
    np.testing.assert_array_equal(least_squares(X, y), least_squares(X[:], y))


def test_recovers_planted_autoregression(random):
    taps = np.array([0.2, -0.5, 0.9])
    signal = list(random.standard_normal(3))
    for _ in range(300):
        signal.append(float(taps @ signal[-3:]) + 0.1)
    X = LazyWindows(np.array(signal), 3)
    np.testing.assert_allclose(least_squares(X, np.array(signal[3:])), [*taps, 0.1], atol=1e-8)


def test_persistence_repeats_newest_sample():
    signal = np.arange(20.0) ** 2
    X = LazyWindows(signal, 5)
    np.testing.assert_array_equal(X[:] @ persistence_weights(6), signal[4:-1])


@pytest.mark.parametrize("d", [-1, 0, 1])
def test_persistence_needs_a_sample(d):
    with pytest.raises(InputError, match=f"d is {d}"):
        persistence_weights(d)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["X", "y"])
def test_refuses_values_that_are_not_finite(where, value, monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_ROWS", 4)
    X, y = np.ones((10, 2)), np.ones(10)
    (X if where == "X" else y)[7] = value
    with pytest.raises(InputError, match=f"{where} has the value {value} in row 7"):
        least_squares(X, y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((0, 2)), np.ones(0), "X has shape"),
        (np.ones((2, 0)), np.ones(2), "X has shape"),
        (np.ones(3), np.ones(3), "X has shape"),
        (np.ones((3, 2)), np.ones(2), "y has shape"),
        (np.ones((3, 2)), np.ones((3, 1)), "y has shape"),
        (np.ones((3, 2)), 1.0, "y has shape"),
    ],
)
def test_refuses_shapes(X, y, message):
    with pytest.raises(InputError, match=message):
        least_squares(X, y)


# --- penalties ---

PENALTIES = [1e-3, 3e-2, 0.4]
GROUPS = [[0, 1, 2], [3], [4, 5]]


@pytest.fixture
def regression(random):
    X = random.standard_normal((150, 6)) @ (np.eye(6) + 0.5 * random.standard_normal((6, 6)))
    return X, X @ np.array([1.0, -2.0, 0.5, 0.0, 0.05, 0.0]) + 0.3 * random.standard_normal(150)


def test_triangle_stands_for_the_data(regression, random):
    X, y = regression
    data = triangle(X, y)
    for w in random.standard_normal((5, 6)):
        assert np.linalg.norm(data.X @ w - data.y) == pytest.approx(np.linalg.norm(X @ w - y), rel=1e-12)


def test_ridge_path_equals_scikit_learn(regression):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = regression
    for w, penalty in zip(ridge_path(triangle(X, y), PENALTIES), PENALTIES, strict=True):
        peer = linear_model.Ridge(alpha=150 * penalty, fit_intercept=False, solver="cholesky").fit(X, y)
        np.testing.assert_allclose(w, peer.coef_, rtol=1e-9)


def test_ridge_path_ends_at_least_squares(regression):
    X, y = regression
    np.testing.assert_allclose(ridge_path(triangle(X, y), [1e-12])[0], least_squares(X, y), rtol=1e-8)


def test_lasso_path_equals_scikit_learn(regression):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = regression
    for w, penalty in zip(lasso_path(triangle(X, y), PENALTIES), PENALTIES, strict=True):
        peer = linear_model.Lasso(alpha=penalty, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y)
        np.testing.assert_allclose(w, peer.coef_, atol=1e-9)
        np.testing.assert_array_equal(w == 0, peer.coef_ == 0)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_group_lasso_is_optimal(regression, penalty):
    """-X_g'(Xw - y)/n = penalty sqrt|g| w_g / ||w_g|| on the support, and no longer than that off it."""
    X, y = regression
    w = group_lasso_path(triangle(X, y), [penalty], GROUPS)[0]
    slope = X.T @ (y - X @ w) / 150
    for group in GROUPS:
        bound = penalty * np.sqrt(len(group))
        if w[group].any():
            np.testing.assert_allclose(slope[group], bound * w[group] / np.linalg.norm(w[group]), atol=1e-9)
        else:
            assert np.linalg.norm(slope[group]) <= bound * (1 + 1e-5)


def test_the_solution_is_zero_from_the_largest_penalty_up_and_only_there(regression):
    X, y = regression
    largest = max(np.linalg.norm(X[:, group].T @ y) / (150 * np.sqrt(len(group))) for group in GROUPS)
    above, below = group_lasso_path(triangle(X, y), [1.001 * largest, 0.99 * largest], GROUPS)
    assert not above.any()
    assert np.abs(below).max() > 1e-4


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_the_path_follows_the_unit_of_the_targets(unit, random):
    """Blocks of 4, half of them without signal; with y in units of 1/1000 or 1000 the weights are, too."""
    X = random.standard_normal((200, 32))
    y = X[:, :16] @ random.standard_normal(16) + random.standard_normal(200)
    groups, penalties = np.arange(32).reshape(8, 4).tolist(), np.geomspace(1e-3, 1.0, 12)
    expected = group_lasso_path(triangle(X, y), penalties, groups)
    path = group_lasso_path(triangle(X, unit * y), unit * penalties, groups)
    np.testing.assert_allclose(path / unit, expected, atol=1e-8)


@pytest.mark.parametrize("path", [ridge_path, lasso_path])
@pytest.mark.parametrize("penalty", [0.0, -1.0, np.nan])
def test_refuses_penalties(path, penalty, regression):
    with pytest.raises(InputError, match="penalties"):
        path(triangle(*regression), [penalty])


@pytest.mark.parametrize("groups", [[[0, 1]], [[0, 1, 2], [2, 3, 4, 5]]])
def test_refuses_groups_that_are_no_partition(groups, regression):
    with pytest.raises(InputError, match="exactly once"):
        group_lasso_path(triangle(*regression), [0.1], groups)
