"""Groups of windows against their rows, one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.certificates.lines import merge_lines
from ecgcvx.certificates.tree import LEAF, grow


@pytest.mark.parametrize("seed", range(5))
def test_what_is_known_of_a_group_is_what_its_rows_say(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((300, 4)).astype(np.float32)
    X[::7] = X[0]
    rho = rng.standard_normal(300) * (rng.random(300) < 0.9)
    tree, order = grow(X, rho)
    assert sorted(order) == list(np.flatnonzero(rho))
    for k in range(len(tree.mass)):
        rows = order[tree.first[k] : tree.stop[k]]
        weights, members = np.abs(rho[rows]), X[rows].astype(float)
        assert len(set(np.sign(rho[rows]))) == 1
        mean = weights @ members / weights.sum()
        assert tree.mass[k] == pytest.approx(weights.sum())
        assert tree.centroid[k] == pytest.approx(mean, abs=1e-12)
        second = (members.T * weights) @ members
        assert tree.second[k] == pytest.approx(second[np.tril_indices(4)], rel=1e-6, abs=1e-6)
        off = members - tree.centroid[k].astype(np.float32).astype(float)
        assert (np.abs(off) <= tree.extent[k].astype(float)).all()
        assert (np.linalg.norm(off, axis=1) <= tree.radius[k]).all()
        if tree.child[k] >= 0:
            a, b = tree.child[k], tree.child[k] + 1
            assert (tree.first[a], tree.stop[a], tree.stop[b]) == (tree.first[k], tree.first[b], tree.stop[k])
        else:
            assert len(rows) <= LEAF or np.ptp(members, axis=0).max() == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([4, 1000]))
def test_merged_lines_have_the_same_even_part(seed, d, chunk):
    rng = np.random.default_rng(seed)
    lines = rng.standard_normal((12, d))
    scales = rng.choice([0.0, 1.0, -1.0, 3.0, -1e-3, 1e6], size=80)
    X, rho = scales[:, None] * lines[rng.integers(0, 12, 80)], rng.standard_normal(80)
    merged = merge_lines(X, rho, chunk)
    assert np.count_nonzero(merged.rho) == len({tuple(np.round(x / x[np.argmax(np.abs(x))], 9)) for x in X if x.any()})
    W = rng.standard_normal((d, 50))
    even, total = rho @ np.abs(X @ W), np.abs(rho) @ np.abs(X @ W)
    assert np.abs(merged.rho @ np.abs(X @ W) - even) == pytest.approx(np.zeros(50), abs=1e-13 * total.max())
    assert merged.off <= 1e-12 * np.abs(rho) @ np.linalg.norm(X, axis=1)


def test_different_lines_are_not_merged():
    X, rho = np.random.default_rng(0).standard_normal((500, 3)), np.ones(500)
    assert (merge_lines(X, rho, 64).rho == rho).all()
    nearly = merge_lines(np.r_[X, X + 1e-9], np.ones(1000), 64)
    assert np.count_nonzero(nearly.rho) == 1000


def test_residuals_of_one_sign_leave_the_other_group_empty():
    tree, order = grow(np.eye(3, dtype=np.float32), np.ones(3))
    assert (tree.first[1], tree.stop[1]) == (3, 3)
    assert list(order) == [0, 1, 2]
