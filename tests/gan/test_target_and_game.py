"""The moments that the game asks for: against a semidefinite program, the theory's identities, and the game played."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.errors import InputError
from ecgcvx.gan.game import extragradient
from ecgcvx.gan.target import moment_error, moment_target


def data(seed, n=40, p=5):
    random = np.random.default_rng(seed)
    return (
        random.standard_normal((n, p)) * np.geomspace(2, 0.3, p) @ np.linalg.qr(random.standard_normal((p, p)))[0] + 3
    )


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_the_target_solves_the_game_of_second_moments(share):
    X = data(0)
    C = np.cov(X.T, bias=True)
    beta_d = share * np.linalg.norm(C, 2)
    Q = cp.Variable(C.shape, PSD=True)
    value = cp.Problem(cp.Minimize(cp.trace(Q)), [cp.sigma_max(C - Q) <= beta_d]).solve(
        solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10
    )
    target = moment_target(X, beta_d)
    assert target.game_value == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(target.covariance(), Q.value, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 12), p=st.integers(2, 8), share=st.floats(0.01, 0.95))
def test_the_error_of_the_covariance_is_beta_d(seed, n, p, share):
    X = data(seed, n, p)
    C = np.cov(X.T, bias=True)
    beta_d = share * np.linalg.norm(C, 2)
    target = moment_target(X, beta_d)
    error = np.linalg.norm(C - target.covariance(), 2)
    assert error == pytest.approx(beta_d, rel=1e-9) or target.rank == min(n - 1, p)
    assert error <= beta_d * (1 + 1e-9)


def test_uncentred_data_would_be_another_target():
    X = data(1)
    np.testing.assert_allclose(moment_target(X + 100).covariance(), moment_target(X).covariance(), atol=1e-9)
    np.testing.assert_allclose(
        moment_target(X).sample(200_000, np.random.default_rng(0)).mean(axis=0), X.mean(axis=0), atol=0.02
    )


def test_a_rank_sets_beta_d():
    X = data(2)
    target = moment_target(X, rank=3)
    assert target.rank == 3
    assert target.beta_d == pytest.approx(np.linalg.eigvalsh(np.cov(X.T, bias=True))[1], rel=1e-12)
    assert moment_target(X, rank=5).beta_d == 0


def test_the_value_is_that_of_the_game_played_by_gradients():
    X = np.random.default_rng(3).standard_normal((50, 3)) * [2, 1, 0.5]
    target = moment_target(X, 0.6)
    C = np.cov(X.T, bias=True)
    play = extragradient(C, 0.6, rank=3, neurons=6, steps=12_000, step=0.02, seed=0)
    assert play.value == pytest.approx(target.game_value, rel=5e-3)
    assert np.linalg.norm(play.W.T @ play.W - target.covariance(), 2) < 0.02 * np.linalg.norm(C, 2)
    assert play.errors[0] > 0.9  # it did not begin there


def test_moment_error():
    X = data(4)
    assert moment_error(X, X) == 0
    assert moment_error(X, 2 * X) == pytest.approx(3)


@pytest.mark.parametrize(
    ("X", "options", "words"),
    [
        (np.ones((1, 4)), {}, "shape"),
        (np.array([[1.0, np.nan], [0, 0], [1, 1]]), {}, "row 0"),
        (data(0), {"rank": 6}, "rank of 1 to 5"),
        (data(0, n=3), {"rank": 3}, "3 beats of 5 numbers have rank 2"),
        (data(0), {"rank": 0}, "rank = 0"),
        (data(0), {"rank": 2, "beta_d": 1.0}, "give one"),
        (data(0), {"beta_d": -1.0}, "beta_d"),
        (data(0), {"beta_d": np.nan}, "beta_d"),
        (data(0), {"beta_d": 1e9}, "nothing is left"),
        (np.ones((5, 3)), {}, "nothing is left"),
    ],
)
def test_what_is_refused(X, options, words):
    with pytest.raises(InputError, match=words):
        moment_target(X, **options)
