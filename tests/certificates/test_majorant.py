"""The quadratic above one cluster, term by term; the dual value over scalings; the bound at no cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.certificates.bound import _problem
from ecgcvx.certificates.certify import _best_dual, certify_enumerated
from ecgcvx.certificates.clusters import Clusters
from ecgcvx.certificates.majorant import fit_majorant
from ecgcvx.models import ReluNetwork


def one_row_clusters(X, rho, h):
    """Each row a cluster of its own in the box of half-widths h about c, whose sides are all cut."""
    n, d = X.shape
    mass, lower = np.abs(rho), np.tril_indices(d)
    second = np.stack([m * np.outer(x, x)[lower] for m, x in zip(mass, X, strict=True)]).astype(np.float32)
    index = np.arange(n)
    trace, none = mass * np.sum(X * X, axis=1), np.zeros(n)
    return Clusters(
        index, none, index, index + 1, np.sign(rho).astype(np.int8), mass, X, second, trace, none,
        np.full(n, np.inf), np.full(n, np.inf),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, -1]))
def test_it_lies_above_the_sum_in_the_box_and_its_size_counts_every_term(seed, up):
    rng = np.random.default_rng(seed)
    d, n = 3, 6
    X, rho = rng.standard_normal((n, d)), rng.standard_normal(n)
    c, h = rng.uniform(-0.3, 0.3, d), rng.uniform(0.05, 0.3, d)
    z, reach = X @ c, np.abs(X) @ h
    straddling = np.flatnonzero(np.abs(z) < reach).astype(np.int32)
    if not len(straddling):
        return
    clusters = one_row_clusters(X, rho, h)
    w = c + rng.uniform(-h, h)
    W = np.outer(w, w) + np.diag(rng.uniform(0, h**2 / 3))

    def fit(rows):
        linear, curved = np.zeros(d), np.zeros(d * (d + 1) // 2)
        C, size = fit_majorant(up, rows, 0, len(rows), z[rows], reach[rows], clusters, w, W, linear, curved)
        H = np.zeros((d, d))
        H[np.tril_indices(d)] = curved
        return C, linear, H + np.tril(H, -1).T, size

    C, linear, H, size = fit(straddling)
    points = c + rng.uniform(-h, h, (4000, d))
    quadratic = C + points @ linear + 0.5 * np.einsum("ki,ij,kj->k", points, H, points)
    truth = up * np.abs(points @ X[straddling].T) @ rho[straddling]
    assert (quadratic >= truth - 1e-5 * np.abs(rho).sum()).all()
    singles = [fit(straddling[k : k + 1]) for k in range(len(straddling))]
    for one in singles:
        assert one[3] >= (abs(one[0]) + np.linalg.norm(one[1]) + 0.5 * np.linalg.norm(one[2], 2)) * (1 - 1e-6)
    assert size == pytest.approx(sum(one[3] for one in singles))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("level", [1e-3, 1.0, 1e3])
def test_the_bound_at_no_cost_is_one_at_any_level(seed, level):
    rng = np.random.default_rng(seed)
    X, v = rng.standard_normal((12, 3)) * 10.0 ** rng.integers(-3, 4), rng.standard_normal(12)
    price = certify_enumerated(ReluNetwork(np.zeros((3, 0)), np.zeros(0)), X, v, 1.0).price
    plain = _problem(X, v / (12 * level))[1]
    lengths = np.abs(v) @ np.linalg.norm(X, axis=1) / 12
    assert price / level * (1 - 1e-12) <= plain <= lengths / level * (1 + 1e-6)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-3, 0.5, 1.0, 1.5, 30.0, np.inf]), st.sampled_from([0.05, 0.5, 0.99]))
def test_the_dual_value_is_the_largest_over_scalings(seed, limit, largest):
    rng = np.random.default_rng(seed)
    y = rng.choice([-1.0, 1.0], 9)
    v = y * rng.uniform(1e-3, largest, 9)
    q = v * y
    c = np.linspace(0, min(limit, 1 / q.max()), 4001)[1:-1, None]
    values = -(c * q * np.log(c * q) + (1 - c * q) * np.log(1 - c * q)).mean(axis=1)
    assert _best_dual(v, y, limit, "logistic") == pytest.approx(max(values.max(), 0), abs=2e-4)
    assert _best_dual(v, y, limit, "logistic") >= values.max() - 1e-12
    c = np.linspace(0, min(limit, 100.0), 100_001)
    v = y + 0.3 * rng.standard_normal(9)
    squared = c * (v @ y) / 9 - c**2 * (v @ v) / 18
    assert _best_dual(v, y, limit, "squared") == pytest.approx(squared.max(), abs=1e-6)


def test_labels_that_nothing_prices_have_the_dual_of_the_zero_network():
    """Beyond the largest beta the zero network is optimal: the multipliers scale up to 1, not further."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((8, 2)), np.repeat([-1.0, 1.0], 4)
    network = ReluNetwork(np.zeros((2, 0)), np.zeros(0))
    found = certify_enumerated(network, X, y, 10.0, "logistic")
    assert found.primal == pytest.approx(np.log(2))
    assert found.gap < 1e-9
    assert len(enumerate_patterns(X))
