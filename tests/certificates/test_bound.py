"""The branch and bound against enumeration, long searches, brute force and exact arithmetic."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.certificates import bound_price, certify_bounded, certify_enumerated
from ecgcvx.errors import InputError
from ecgcvx.interruption import keeping, note
from ecgcvx.models import ReluNetwork
from ecgcvx.search import search_price

DEGENERATE = {
    "general": lambda X: X,
    "a column of ones": lambda X: np.c_[X[:, :-1], np.ones(len(X))],
    "zero and equal rows": lambda X: X[[0, 1, 2, 2, 2, *range(5, len(X))]] * (np.arange(len(X)) != 1)[:, None],
    "rank 2": lambda X: np.c_[X[:, :2], 2 * X[:, 1]],
    "one column": lambda X: X[:, :1],
}


def enumerated_price(X, v):
    """max |v'(Xw)_+| / n over all patterns: vertices of cells between hyperplanes, and the gradients inside them."""
    network = ReluNetwork(np.zeros((X.shape[1], 0)), np.zeros(0))
    return certify_enumerated(network, X, v, 1.0).price


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("seed", range(16))
def test_it_proves_what_enumeration_finds_and_nothing_below(name, seed):
    rng = np.random.default_rng(seed)
    X, v = DEGENERATE[name](rng.standard_normal((12, 3))), rng.standard_normal(12)
    price = enumerated_price(X, v)
    proved = bound_price(X, v, price, factor=1.001, time_limit=20.0, threads=1)
    assert proved.status == "reached"
    assert proved.seconds >= 0
    assert price * (1 - 1e-9) <= proved.price <= 1.001 * price * (1 + 1e-9)
    below = bound_price(X, v, price, factor=0.999, threads=1)
    assert below.status == "out of reach"
    assert price * (1 - 1e-9) <= below.price <= 1.0011 * price


@pytest.mark.parametrize(("d", "n", "factor"), [(6, 60, 1.05), (16, 40, 1.5)])
def test_it_stays_above_the_best_of_long_searches(d, n, factor):
    rng = np.random.default_rng(d)
    X = rng.standard_normal((n, d)) * 0.5 ** np.arange(d)
    v = rng.standard_normal(n)
    found = search_price(X, v, 1000, 0)[0] / n
    proved = bound_price(X, v, found, factor=factor, time_limit=20.0, threads=1)
    assert proved.status == "reached"
    assert found * (1 - 1e-9) <= proved.price <= factor * found * (1 + 1e-9)
    below = bound_price(X, v, found, factor=0.99, time_limit=0.3, threads=1)
    assert below.price >= found * (1 - 1e-9)


@pytest.mark.parametrize(("d", "n", "factor", "cells"), [(6, 300, 1.01, 27), (8, 300, 1.01, 52), (16, 500, 1.05, 137)])
def test_the_work_is_what_it_was(d, n, factor, cells):
    """Windows of a random walk. Bad choices of axes, cells and multipliers prove the same with more cells."""
    rng = np.random.default_rng(1)
    signal = rng.standard_normal(n + d - 1).cumsum()
    signal = (signal - signal.mean()) / signal.std()
    X = np.c_[np.lib.stride_tricks.sliding_window_view(signal, d - 1)[:n], np.ones(n)]
    v = rng.standard_normal(n)
    found = search_price(X, v, 300, 0)[0] / n
    proved = bound_price(X, v, found, factor=factor, time_limit=20.0, threads=1)
    assert proved.status == "reached"
    assert found * (1 - 1e-9) <= proved.price <= factor * found
    assert proved.cells <= 1.1 * cells + 2  # rounding differs from machine to machine


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_rows_axes_and_units_do_not_matter(seed, unit, level):
    """Where both prove the same factor, any order of rows, rotation and scaling gives the same price."""
    rng = np.random.default_rng(seed)
    X, v = rng.standard_normal((20, 3)), rng.standard_normal(20)
    price = enumerated_price(X, v)
    order, turn = rng.permutation(20), np.linalg.qr(rng.standard_normal((3, 3)))[0]
    Z, u = unit * X[order] @ turn, v[order] * (level / (unit * price))
    proved = bound_price(Z, u, level, factor=1.01, time_limit=10.0, threads=1)
    assert proved.status == "reached"
    assert (1 - 1e-9) <= proved.price / level <= 1.01 * (1 + 1e-9)


@pytest.mark.parametrize("left", [1e-1, 1e-2, 1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("factors", [(1.0, 1.0), (1.0, 1e3), (1.0, -2.0), (0.3, -1e-3)])
@pytest.mark.parametrize("seed", range(1))
def test_weights_that_cancel_on_a_line_leave_what_is_left_of_them(left, factors, seed):
    """Rows p a and q a of one line with weights b / p and -(1 - left) b / |q|; opposite rows leave a linear part."""
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((10, 3)), rng.standard_normal(10)
    p, q = factors
    X, v = np.r_[p * A, q * A], np.r_[b / p, -(1 - left) * b / abs(q)]
    kept = enumerated_price(A, left * b) / 2 if q > 0 else enumerated_price(np.r_[A, -A], np.r_[b, (left - 1) * b])
    proved = bound_price(X, v, kept, threads=1)
    assert proved.status == "reached"
    rounding = 1e-15 * np.abs(b).sum() / kept
    assert 1 - 1e-8 - rounding <= proved.factor <= 1.001


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1e-5), st.floats(-1.0, 1.0))
def test_lines_that_nearly_coincide_and_nearly_cancel_are_bounded_all_the_same(seed, apart, left):
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((6, 2)), rng.standard_normal(6)
    X, v = np.r_[A, A + apart * rng.standard_normal(A.shape)], np.r_[b, (left - 1) * b]
    w = rng.standard_normal((2, 2000))
    w /= np.linalg.norm(w, axis=0)
    proved = bound_price(X, v, enumerated_price(A, b) / 2, threads=1)  # a level anywhere
    assert proved.status in ("reached", "out of reach")
    assert proved.price >= np.abs(v @ np.maximum(X @ w, 0)).max() / 12 * (1 - 1e-12)


@pytest.mark.parametrize(("distance", "factor"), [
    (1 / 424, 1.001), (424, 1e-3), (1e9, 1e-12), (1e-9, 1.0), (1, 0.5), (1, 0.999), (1, 1 - 1e-7), (1, 1 + 1e-9),
    (424, 1.001 / 424), (1e9, 1.001e-9), (1e-6, 1.001e6), (2, 0.51), (1, 1 + 1e-5),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_a_level_far_from_the_price_and_a_factor_below_one_are_answered_without_a_time_limit(distance, factor, seed):
    rng = np.random.default_rng(seed)
    X, v = rng.standard_normal((12, 3)), rng.standard_normal(12)
    price = enumerated_price(X, v)
    proved = bound_price(X, v, distance * price, factor=factor, threads=1)
    assert proved.price >= price * (1 - 1e-9)
    if distance * factor > 1 + 1e-6:
        assert proved.status == "reached"
        assert proved.price <= factor * distance * price * (1 + 1e-9)
    else:
        assert proved.status == "out of reach"
        assert proved.price <= 1.0011 * price


def windows_like(n=3000, d=8):
    rng = np.random.default_rng(3)
    t = np.cumsum(rng.standard_normal(n + d)) * 0.1 + np.sin(np.arange(n + d) / 9)
    X = np.lib.stride_tricks.sliding_window_view(t, d)[:n].copy()
    X[:, -1] = 1.0
    return X, 0.1 * rng.standard_normal(n)


def test_threads_change_nothing_and_a_nearer_factor_takes_more_cells():
    X, v = windows_like()
    level = search_price(X, v, 50, 0)[0] / len(v)
    found = [bound_price(X, v, level, factor=f, threads=t) for f in (1.5, 1.02) for t in (1, 3)]
    assert {(b.price, b.cells) for b in found[:2]} == {(found[0].price, found[0].cells)}
    assert {(b.price, b.cells) for b in found[2:]} == {(found[2].price, found[2].cells)}
    assert found[2].price < found[0].price
    assert found[2].cells > found[0].cells


@pytest.mark.parametrize("d", [2, 9, 33])
def test_factors_are_met_in_any_dimension_each_with_no_fewer_cells_than_the_one_before(d):
    """Small rows in most columns: what is searched is near the truth, and what is proved never below it."""
    rng = np.random.default_rng(d)
    X, v = rng.standard_normal((200, d)) * 0.4 ** np.arange(d), rng.standard_normal(200)
    level = search_price(X, v, 500, 0)[0] / len(v)
    found = [bound_price(X, v, level, factor=f, time_limit=60.0) for f in (2.0, 1.3, 1.05)]
    assert [b.status for b in found] == ["reached"] * 3
    assert all(1 - 1e-9 <= b.factor <= f for b, f in zip(found, (2.0, 1.3, 1.05), strict=True))
    assert found[0].factor >= found[1].factor >= found[2].factor
    assert found[0].cells <= found[1].cells <= found[2].cells


def test_what_a_frontier_says_holds_in_the_middle_of_its_work():
    """Its cells cover the half ball, the value of each is above the price there, and the largest is its bound."""
    from ecgcvx.certificates.bound import _problem
    from ecgcvx.certificates.frontier import Frontier

    X, v = windows_like(400, 5)
    level = search_price(X, v, 50, 0)[0]
    problem, plain = _problem(X, v / level)
    rows, rho = problem.windows.X[:400].astype(float), problem.windows.rho[:400]
    w = np.random.default_rng(0).standard_normal((3000, 5))
    w *= np.random.default_rng(1).random((3000, 1)) ** 0.2 / np.linalg.norm(w, axis=1, keepdims=True)
    w[:, 0] = np.abs(w[:, 0])
    linear, even = w @ problem.g, np.abs(w @ rows.T) @ rho
    prices = 0.5 * np.stack([even - linear, even + linear, -even - linear, -even + linear], axis=1)
    with Frontier(problem, plain, 1.5, 2) as frontier:
        for target in (0.5 * plain, 1.5, 0.9):  # the price is 1
            frontier.lower(
                target, time.perf_counter() + (20.0 if target > 1 else 0.2), lambda target, done, tasks: target
            )
            c, h = frontier.leaves.place[:, 0], frontier.leaves.place[:, 1]
            within = (np.abs(w[:, None] - c) <= h) | ~frontier.leaves.cut
            covered = within.all(axis=2)
            assert covered.any(axis=1).all()
            values = np.where(covered[:, :, None], frontier.leaves.values, np.inf).min(axis=1)
            assert (values >= prices - 1e-12).all()
            assert frontier.value == frontier.leaves.values.max() >= prices.max()
            assert (frontier.value <= target) == (target > 1)


def test_a_target_that_takes_too_long_is_raised():
    from ecgcvx.certificates.bound import _Pace

    now = time.perf_counter()
    pace = _Pace(1.001, 1.5, now - 1.0, now + 10.0)
    assert pace.target == pytest.approx(1.1)
    pace.begun = now - 5.0  # a tenth in 5 s: ten times what is left
    raised = pace.adjust_target(pace.target, 10, 100)
    assert 1.1 < raised < 1.5
    assert pace.adjust_target(raised, 12, 100) == raised  # too few since then
    assert _Pace(1.3, 1.5, now, np.inf).target == 1.3


def test_a_time_limit_and_an_interrupt_return_what_was_proved():
    X, v = windows_like()
    level = search_price(X, v, 50, 0)[0] / len(v)
    late = bound_price(X, v, level, factor=1.00001, time_limit=0.2)
    assert late.status == "time limit"
    assert late.price >= level

    def stop(best, factor):
        if best.factor < 3:
            raise KeyboardInterrupt

    stopped = bound_price(X, v, level, factor=1.0, callback=stop)
    assert stopped.status == "interrupted"
    assert stopped.price >= level


def test_a_stop_reaches_the_cells_that_threads_are_at():
    from ecgcvx.certificates.bound import _problem
    from ecgcvx.certificates.frontier import Frontier, _goal

    X, v = windows_like()
    level = search_price(X, v, 50, 0)[0] / len(v)
    problem, plain = _problem(X, v / (len(v) * level))
    with Frontier(problem, plain, 1.0, 1) as frontier:
        frontier.stop[0] = 1
        found, cells = frontier._explore(_goal(1.01, frontier.reference), frontier.leaves)
        assert cells == 0
        np.testing.assert_array_equal(found.values, frontier.leaves.values)


def test_a_wish_to_stop_from_before_ends_the_bound_at_once():
    X, v = windows_like()
    level = search_price(X, v, 50, 0)[0] / len(v)
    with keeping():
        bound_price(X, v, level, factor=100.0)  # compiled
        note()
        stopped = bound_price(X, v, level, factor=1.0)
    assert stopped.status == "interrupted"
    assert stopped.cells == 0
    assert stopped.price >= level


def test_the_certificate_is_a_bound_on_the_primal_of_other_networks():
    rng = np.random.default_rng(0)
    X, y, beta = rng.standard_normal((12, 3)), rng.standard_normal(12), 0.05
    network = ReluNetwork(rng.standard_normal((3, 4)), rng.standard_normal(4))
    beta *= certify_enumerated(network, X, y, beta).price  # the smallest beta at which its residual is feasible
    exact, proved = certify_enumerated(network, X, y, beta), certify_bounded(network, X, y, beta, time_limit=10.0)
    assert proved.evidence == "proved by bound"
    assert proved.dual <= exact.dual
    assert proved.dual == pytest.approx(exact.dual, rel=5e-3)
    assert "proved by bound" in str(proved)


def quadratic(seed, d=4):
    """A concave-convex quadratic over a cell, and feasible multipliers found for it."""
    from ecgcvx.certificates.lagrange import minimise

    rng = np.random.default_rng(seed)
    c, h = rng.uniform(-0.4, 0.4, d), rng.uniform(0.05, 0.4, d)
    A = rng.standard_normal((2, d, d))
    H, b, C = A + A.transpose(0, 2, 1), rng.standard_normal((2, d)), rng.standard_normal(2)
    cut, theta, best, delta = np.arange(d), np.zeros(d + 3), np.zeros(d + 3), np.zeros(d)
    value = minimise(cut, d, 2, c, h, 0.0, C, b, H, 1e-9, 1e-6, False, theta, best, delta, np.zeros((d, d)))
    return cut, c, h, C, b, H, best, value


def safe(problem, theta=None, sizes=0.0, relative=0.0):
    from ecgcvx.certificates.rounding import safe_value

    cut, c, h, C, b, H, best, _ = problem
    theta = best if theta is None else theta
    return safe_value(theta, cut, len(c), 2, c, h, C, b, H, np.full(2, sizes), 0.0, relative)


@pytest.mark.parametrize("seed", range(20))
def test_the_value_believed_is_above_the_quadratic_and_above_exact_arithmetic(seed):
    problem = quadratic(seed)
    _, c, h, C, b, H, theta, value = problem
    believed = safe(problem)
    assert believed == pytest.approx(value, rel=1e-6)
    rng = np.random.default_rng(seed)
    inside = rng.uniform(-h, h, (20000, len(c)))
    inside = inside[np.linalg.norm(c + inside, axis=1) <= 1]
    models = C[:, None] + b @ inside.T + 0.5 * np.einsum("ki,tij,kj->tk", inside, H, inside)
    assert believed >= models.min(axis=0).max()
    assert Fraction(believed) >= exact_dual(theta, c, h, C, b, H)


def exact_dual(theta, c, h, C, b, H):
    """The dual value of the multipliers, their mixture normalised, in rational arithmetic."""
    d = len(c)
    F = np.vectorize(Fraction, otypes=[object])
    nu, mu, a = F(theta[:d]), Fraction(theta[d]), F(theta[d + 1 :])
    a = a / a.sum()
    c, h, C, b, H = (F(x) for x in (c, h, C, b, H))
    Q = np.diag(nu + 2 * mu) - np.tensordot(a, H, 1)
    g = a @ b - 2 * mu * c
    x, M = g.copy(), Q.copy()
    for i in range(d):  # elimination
        for j in range(i + 1, d):
            f = M[j, i] / M[i, i]
            M[j] -= f * M[i]
            x[j] -= f * x[i]
    for i in range(d - 1, -1, -1):
        x[i] = (x[i] - M[i, i + 1 :] @ x[i + 1 :]) / M[i, i]
    return a @ C + nu @ (h * h) / 2 + mu * (1 - c @ c) + g @ x / 2


def test_broken_multipliers_are_refused():
    """Negative multipliers, a matrix that is not positive and what is not a number give no bound at all."""
    problem = quadratic(1)
    theta = problem[6]
    for k in range(len(theta)):
        broken = theta.copy()
        broken[k] = -1e-12
        assert safe(problem, broken) == np.inf
        broken[k] = np.nan
        assert safe(problem, broken) == np.inf
    weak = theta.copy()
    weak[:5] *= 0.3
    assert safe(problem, weak) == np.inf


def test_rounding_is_added_outwards():
    problem = quadratic(2)
    assert safe(problem, sizes=10.0, relative=1e-3) >= safe(problem) + 1e-2


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"v": np.ones(3)}, "shape"),
        ({"v": np.full(4, np.nan)}, "finite"),
        ({"level": 0.0}, "level"),
        ({"factor": -1.0}, "factor"),
        ({"time_limit": 0.0}, "time_limit"),
        ({"threads": 0}, "threads"),
    ],
)
def test_it_refuses_what_it_cannot_use(changes, match):
    options = {"X": np.ones((4, 2)), "v": np.ones(4), "level": 1.0} | changes
    with pytest.raises(InputError, match=match):
        bound_price(**options)


def test_a_zero_residual_has_price_zero():
    assert bound_price(np.ones((4, 2)), np.zeros(4), 1.0).price == 0.0
