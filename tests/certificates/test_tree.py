"""Groups of windows against their rows, one by one."""

import numpy as np
import pytest

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


def test_residuals_of_one_sign_leave_the_other_group_empty():
    tree, order = grow(np.eye(3, dtype=np.float32), np.ones(3))
    assert (tree.first[1], tree.stop[1]) == (3, 3)
    assert list(order) == [0, 1, 2]
