"""A row has the same bits alone and in any batch, for every kind of network and for a plain product."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_layers import two_layers

from ecgcvx.activations import Polynomial
from ecgcvx.rowwise import product, row_output


def network(kind, d, m, seed):
    rng = np.random.default_rng(seed)
    W1, gates = rng.standard_normal((2, d, m))
    extra = {"relu": {}, "gated": {"gates": gates}, "polynomial": {"polynomial": Polynomial(0.09, 0.5, 0.47)}}[kind]
    return two_layers(W1, rng.standard_normal(m), **extra)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["relu", "gated", "polynomial"]), st.integers(1, 20), st.integers(0, 21), st.integers(1, 300),
    st.integers(0, 300), st.integers(0, 999),
)  # fmt: skip
def test_a_row_has_the_same_bits_alone_and_in_every_batch(kind, d, m, n, cut, seed):
    model = network(kind, d, m, seed)
    X = np.random.default_rng(seed + 1).standard_normal((n, d))
    whole = model.predict(X)
    parts = [model.predict(part) for part in (X[: min(cut, n)], X[min(cut, n) :]) if len(part)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    columns, on = model.compiled.columns(), np.empty(m, dtype=np.bool_)
    padded = np.zeros(columns.W1.shape[0])
    for row in (0, n // 2, n - 1):
        padded[:d] = X[row]
        assert row_output(padded, *columns, np.empty((2, m)), on) == whole[row]


@pytest.mark.parametrize("kind", ["relu", "gated", "polynomial"])
@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, 1), (130, 16, 61), (1000, 33, 7)])
def test_it_is_the_formula(kind, n, d, m):
    model = network(kind, d, m, 0)
    X = np.random.default_rng(1).standard_normal((n, d))
    Z = X @ model.W1
    A = {
        "relu": lambda: np.maximum(Z, 0),
        "gated": lambda: Z * (X @ model.gates >= 0),
        "polynomial": lambda: 0.09 * Z**2 + 0.5 * Z + 0.47,
    }[kind]()
    np.testing.assert_allclose(model.activations(X), A, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), A @ model.W2, atol=1e-11)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 300), st.integers(0, 999))
def test_a_product_has_the_same_bits_row_by_row(d, m, n, seed):
    rng = np.random.default_rng(seed)
    X, W = rng.standard_normal((n, d)), rng.standard_normal((d, m))
    whole = product(X, W)
    np.testing.assert_allclose(whole, X @ W, atol=1e-12)
    for row in (0, n // 2, n - 1):
        np.testing.assert_array_equal(product(X[row : row + 1], W)[0], whole[row])


def test_rows_of_any_layout_are_taken():
    X = np.asfortranarray(np.random.default_rng(0).standard_normal((200, 16)))
    W = np.random.default_rng(1).standard_normal((16, 3))
    np.testing.assert_array_equal(product(X, W), product(np.ascontiguousarray(X), W))
