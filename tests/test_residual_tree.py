"""The tree of the residuals: its splits are the best, its leaves those of the definition, bad ones are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx import residual_tree
from ecgcvx.errors import InputError
from ecgcvx.residual_tree import (
    FEATURE,
    LEAF_ROWS,
    LEFT,
    MIDDLE,
    SPREAD,
    THRESHOLD,
    check_tree,
    contrasts,
    grow,
    leaves,
    values,
)


def rows(n, window=5, seed=0):
    rng = np.random.default_rng(seed)
    return np.c_[np.round(rng.standard_normal((n, window)).cumsum(axis=1), 1), np.ones(n)]


def residuals(X, seed=1):
    rng = np.random.default_rng(seed)
    return 0.01 * (1 + (X[:, -2] > 0.5)) * rng.standard_normal(len(X)) + 0.03 * (X[:, -2] - X[:, -3] > 0.8)


def place(tree, value):
    """The leaf of one window by the definition."""
    at = 0
    while tree[at, FEATURE] >= 0:
        at = int(tree[at, LEFT]) + int(value[int(tree[at, FEATURE])] > tree[at, THRESHOLD])
    return at


def test_contrasts_are_samples_and_differences():
    X = rows(20)
    x = X[:, :-1]
    expected = np.c_[x, x[:, :-2] - x[:, -1:], np.diff(x), np.diff(x, 2)]
    np.testing.assert_allclose(values(X), expected, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([1, 2, 3, 5, 20]), st.integers(0, 99))
def test_leaves_are_those_of_the_definition(window, seed):
    X = rows(1500, window, seed)
    r = np.random.default_rng(seed).standard_normal(len(X)) * np.exp(X[:, -2])
    tree = grow(X, r)
    check_tree(tree, min(window, 15))
    found = leaves(X, tree)
    assert len(np.unique(found)) > 1
    np.testing.assert_array_equal(found, [place(tree, one) for one in values(X)])
    for leaf in np.unique(found):
        own = r[found == leaf]
        assert len(own) >= LEAF_ROWS
        low, high = np.quantile(own, [0.05, 0.95])
        assert tree[leaf, MIDDLE] == pytest.approx((low + high) / 2)
        assert tree[leaf, SPREAD] == pytest.approx(max((high - low) / 2, 0.1 * np.median(np.abs(r))))


def test_the_first_split_is_the_best_of_all(monkeypatch):
    monkeypatch.setattr(residual_tree, "CLIPPED", 1.0)
    X = rows(600)
    r = residuals(X)
    e = 0.1 * np.median(np.abs(r))

    def cost(part):
        return len(part) * np.log(part.var() + e**2)

    gains = {}
    for j, value in enumerate(values(X).T):
        for threshold in np.unique(np.quantile(value, np.arange(1, 64) / 64, method="lower")):
            left = value <= threshold
            if min(left.sum(), (~left).sum()) >= LEAF_ROWS:
                gains[j, threshold] = cost(r) - cost(r[left]) - cost(r[~left])
    tree = grow(X, r)
    assert gains[int(tree[0, FEATURE]), tree[0, THRESHOLD]] == pytest.approx(max(gains.values()), rel=1e-9)


def test_it_grows_on_evenly_thinned_windows(monkeypatch):
    X = rows(3000)
    r = residuals(X)
    monkeypatch.setattr(residual_tree, "ROWS", 1000)
    np.testing.assert_array_equal(grow(X, r), grow(X[::3], r[::3]))


def test_residuals_that_are_all_the_same_are_one_leaf():
    X = rows(300)
    tree = grow(X, np.full(300, 0.25))
    assert tree.tolist() == [[-1, 0, 0, 0.25, 0.025]]
    assert grow(X, np.zeros(300))[0, SPREAD] > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree[:, :4],
        lambda tree: tree[:0],
        lambda tree: np.where(tree == tree[0, THRESHOLD], np.nan, tree),
        lambda tree: tree[:-1],  # a child that is not there
        lambda tree: np.r_[tree, tree[-1:]],  # a node that is no child
        lambda tree: np.r_[[[0, 0, 0, 0, 0]], tree[1:]],  # its own child
        lambda tree: tree + np.eye(len(tree), 5) * len(contrasts(5)),  # a contrast of more samples
        lambda tree: tree + np.eye(len(tree), 5) / 2,  # no whole number
        lambda tree: tree * [1, 1, 1, 1, -1],
    ],
)
def test_an_array_that_is_no_tree_is_refused(change):
    X = rows(1500)
    tree = grow(X, residuals(X))
    assert len(tree) > 3
    check_tree(tree, 5)
    with pytest.raises(InputError, match="tree"):
        check_tree(change(tree), 5)
