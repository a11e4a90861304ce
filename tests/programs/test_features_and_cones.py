"""Products with feature blocks against explicit matrices; cone projections against a QP solver."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.arrangements import patterns_of_gates, sample_patterns
from ecgcvx.errors import InputError
from ecgcvx.programs import features as features_module
from ecgcvx.programs.cone import project
from ecgcvx.programs.features import PatternFeatures


def make(n=37, d=4, p=6, seed=0):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)]
    return PatternFeatures(X, sample_patterns(X, p, seed)), rng


def dense(features):
    return [features.patterns.mask(i)[:, None] * features.X for i in range(features.count)]


@pytest.mark.parametrize("n", [1, 8, 37, 200])
def test_products_and_gram_are_those_of_the_explicit_blocks(n):
    features, rng = make(n, p=2 if n == 1 else 6) if n > 1 else make(1, p=1)
    F, y = np.concatenate(dense(features), axis=1), rng.standard_normal(n)
    z = rng.standard_normal((features.count, features.width))
    gram = features.gram(y)
    np.testing.assert_allclose(features.apply(z), F @ z.ravel(), atol=1e-12)
    np.testing.assert_allclose(features.correlate(y).ravel(), F.T @ y, atol=1e-12)
    np.testing.assert_allclose(gram.H, F.T @ F / n, atol=1e-12)
    np.testing.assert_allclose(gram.c, F.T @ y / n, atol=1e-12)
    assert gram.yy == pytest.approx(y @ y / n)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 700), d=st.integers(1, 9), p=st.integers(1, 20), seed=st.integers(0, 99))
def test_products_of_any_blocks_are_those_of_the_explicit_ones(n, d, p, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    features = PatternFeatures(X, patterns_of_gates(X, rng.standard_normal((p, d))))
    F, p = dense(features), features.count
    first, second = (rng.permutation(p)[: rng.integers(1, p + 1)] for _ in range(2)) if p else (np.arange(0),) * 2
    A, B = (np.concatenate([F[i] for i in some] or [np.empty((n, 0))], axis=1) for some in (first, second))
    np.testing.assert_allclose(features.products(first, second), A.T @ B / n, atol=1e-12)
    np.testing.assert_allclose(features.products(first, first), A.T @ A / n, atol=1e-12)
    z, r = rng.standard_normal((p, d)), rng.standard_normal(n)
    np.testing.assert_allclose(features.correlate(r), [block.T @ r for block in F] if p else z, atol=1e-10)
    z[rng.random(p) < 0.6] = 0.0
    np.testing.assert_allclose(
        features.apply(z), sum((f @ w for f, w in zip(F, z, strict=True)), np.zeros(n)), atol=1e-10
    )


def test_products_do_not_depend_on_chunks_or_threads(monkeypatch):
    features, rng = make(3000, 5, 40)
    y = rng.standard_normal(3000)
    H, c = features.gram(y).H, features.correlate(y)
    monkeypatch.setattr(features_module, "SHARED", 0)  # threads even for so few rows
    monkeypatch.setattr(features_module, "blas_threads", lambda: 4)
    assert features.gram(y).H.tobytes() == H.tobytes()
    monkeypatch.setattr(features_module, "CHUNK_ROWS", 1000)
    monkeypatch.setattr(features_module, "CHUNK_ELEMENTS", 500)
    np.testing.assert_allclose(features.gram(y).H, H, atol=1e-13)
    np.testing.assert_allclose(features.correlate(y), c, atol=1e-10)


def test_few_sums_are_held_at_once_whatever_the_number_of_codes(monkeypatch):
    features, rng = make(500, 6, 30)
    y = rng.standard_normal(500)
    H = features.gram(y).H
    monkeypatch.setattr("ecgcvx.programs.pattern_sums.BUCKET_ELEMENTS", 100)
    np.testing.assert_allclose(features.gram(y).H, H, atol=1e-13)


def test_cone_rows_have_unit_norm_and_the_sign_of_the_pattern():
    features, rng = make()
    u = rng.standard_normal((2, features.width))
    values = features.cone_values(np.array([1, 3]), u)
    for k, block in enumerate([1, 3]):
        C = np.where(features.patterns.mask(block), 1, -1)[:, None] * features.X
        C /= np.linalg.norm(C, axis=1)[:, None]
        np.testing.assert_allclose(values[k], C @ u[k], atol=1e-13)
        np.testing.assert_allclose(features.cone_rows(block, np.arange(features.n)), C, atol=1e-15)


def test_rows_of_zeros_bind_nothing():
    X = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    features = PatternFeatures(X, patterns_of_gates(X, [[1.0, 2.0]]))
    assert features.cone_values(np.array([0]), np.array([[-1.0, -1.0]]))[0, 1] == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_projection_is_the_nearest_point_of_the_cone(seed):
    features, rng = make(30, 4, 8, seed)
    blocks = np.arange(features.count)
    v = rng.standard_normal((features.count, features.width))
    w = project(features, blocks, v)
    for j in blocks:
        C = features.cone_rows(int(j), np.arange(features.n))
        u = cp.Variable(features.width)
        problem = cp.Problem(cp.Minimize(cp.sum_squares(u - v[j])), [C @ u >= 0])
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        np.testing.assert_allclose(w[j], u.value, atol=2e-5)
        assert np.sum((w[j] - v[j]) ** 2) <= problem.value + 1e-9
        assert (C @ w[j]).min() >= -1e-12
        # Moreau: the remainder lies in the polar cone and is orthogonal.
        assert abs(w[j] @ (v[j] - w[j])) <= 1e-10 * max(1.0, v[j] @ v[j])


def test_projection_keeps_points_of_the_cone_and_sends_the_polar_cone_to_zero():
    features, _ = make()
    blocks = np.arange(features.count)
    gates = features.interior(blocks)
    np.testing.assert_allclose(project(features, blocks, gates), gates, atol=1e-13)
    polar = np.stack([-features.cone_rows(int(j), np.arange(features.n)).sum(axis=0) for j in blocks])
    np.testing.assert_allclose(project(features, blocks, polar), 0.0, atol=1e-9)


def test_patterns_of_another_matrix_are_refused():
    features, _ = make()
    with pytest.raises(InputError, match="made for 37 rows"):
        PatternFeatures(np.asarray(features.X)[:20], features.patterns)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_empty_matrices_are_refused(shape):
    features, _ = make()
    with pytest.raises(InputError, match="at least one row and one column"):
        PatternFeatures(np.zeros(shape), features.patterns)


def test_a_nan_that_enters_x_later_is_an_error_and_not_a_nan():
    features, _ = make()
    features.X[5, 1] = np.nan
    with pytest.raises(InputError, match="row 5"):
        features.apply(np.ones((features.count, features.width)))
