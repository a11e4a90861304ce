"""Objective and gradient at any depth against plain Python, finite differences and torch's autograd."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planted import LazyRows, planted

from ecgcvx.baselines import problem as problem_module
from ecgcvx.baselines import rows as rows_module
from ecgcvx.baselines.backprop import Layers, Polynomial, linear, logistic, relu, softmax, squared
from ecgcvx.baselines.problem import Problem
from ecgcvx.errors import InputError

ACTIVATIONS = {
    relu: lambda t: max(0.0, t),
    linear: lambda t: t,
    Polynomial(): lambda t: 0.09 * t * t + 0.5 * t + 0.47,
}
SIZES = [(4, 1), (4, 3, 1), (4, 5, 3, 1), (4, 3, 2, 3, 1), (4, 3, 2), (4, 5, 3, 2)]


def targets(layers, n, random):
    if layers.loss is softmax:
        return random.integers(layers.sizes[-1], size=n).astype(float)
    if layers.loss is logistic:
        return random.choice([-1.0, 1.0], n)
    return random.standard_normal(n if layers.sizes[-1] == 1 else (n, layers.sizes[-1]))


def losses_of(sizes):
    return [squared, logistic] if sizes[-1] == 1 else [squared, softmax]


CASES = [(sizes, activation, loss) for sizes in SIZES for activation in ACTIVATIONS for loss in losses_of(sizes)]


def objective(problem, parameters):
    """P row by row in plain Python, as the paper has it."""
    layers, loss = problem.layers, 0.0
    weights = layers.split(parameters)
    s = ACTIVATIONS[layers.activation]
    for x, y in zip(problem.X, problem.y, strict=True):
        a = [float(value) for value in x]
        for depth, W in enumerate(weights):
            columns = W.reshape(len(W), -1).T
            a = [sum(p * q for p, q in zip(a, column, strict=True)) for column in columns]
            if depth < len(weights) - 1:
                a = [s(t) for t in a]
        if layers.loss is squared:
            loss += sum((p - q) ** 2 for p, q in zip(a, np.atleast_1d(y), strict=True)) / 2
        elif layers.loss is logistic:
            loss += math.log(1 + math.exp(-y * a[0]))
        else:
            loss += math.log(sum(math.exp(p) for p in a)) - a[int(y)]
    return loss / len(problem.y) + problem.beta / 2 * sum(float(p) ** 2 for p in parameters)


@pytest.mark.parametrize(("sizes", "activation", "loss"), CASES)
def test_gradient_equals_central_differences_of_plain_python(sizes, activation, loss):
    random = np.random.default_rng(len(sizes))
    layers = Layers(sizes, activation, loss)
    problem = Problem(layers, random.standard_normal((7, 4)), targets(layers, 7, random), 0.3)
    x = 0.7 * random.standard_normal(layers.size)
    value, gradient = problem.objective_and_gradient(x)
    assert value == pytest.approx(objective(problem, x), rel=1e-12)
    assert problem.objective(x) == pytest.approx(value, rel=1e-14)
    for j, step in enumerate(1e-6 * np.eye(layers.size)):
        slope = (objective(problem, x + step) - objective(problem, x - step)) / 2e-6
        assert gradient[j] == pytest.approx(slope, rel=1e-5, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 12),
    d=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    beta=st.sampled_from([0.0, 1e-3, 0.7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_relu_gradient_is_right_away_from_kinks(n, d, hidden, beta, seed):
    random = np.random.default_rng(seed)
    layers = Layers((d, *hidden, 1))
    problem = Problem(layers, random.standard_normal((n, d)), random.standard_normal(n), beta)
    x, direction = random.standard_normal((2, layers.size))
    value, gradient = problem.objective_and_gradient(x)
    step = 1e-6 * direction
    above, below = (problem.objective(x + sign * step) for sign in (1, -1))
    assume(abs(above + below - 2 * value) < 1e-9 * (1 + value))  # no kink in between
    assert gradient @ direction == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-5 * (1 + value))


@pytest.mark.parametrize(("sizes", "activation", "loss"), CASES)
def test_equals_autograd(sizes, activation, loss):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    layers = Layers(sizes, activation, loss)
    X, beta = random.standard_normal((40, 4)), 0.05
    y = targets(layers, 40, random)
    x = random.standard_normal(layers.size)
    weights = [torch.tensor(W.copy(), requires_grad=True) for W in layers.split(x)]
    a = torch.tensor(X)
    for W in weights[:-1]:
        z = a @ W
        a = {relu: torch.relu, linear: lambda t: t}.get(activation, lambda t: 0.09 * t**2 + 0.5 * t + 0.47)(z)
    f, target = a @ weights[-1], torch.tensor(y)
    if loss is squared:
        value = 0.5 * ((f - target) ** 2).sum() / 40
    elif loss is logistic:
        value = torch.nn.functional.softplus(-target * f).mean()
    else:
        value = torch.nn.functional.cross_entropy(f, target.long())
    value = value + beta / 2 * sum((W**2).sum() for W in weights)
    value.backward()
    found, gradient = Problem(layers, X, y, beta).objective_and_gradient(x)
    assert found == pytest.approx(value.item(), rel=1e-12)
    expected = np.concatenate([W.grad.numpy().ravel() for W in weights])
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("loss", "sizes"), [(logistic, (1, 1)), (softmax, (1, 2))])
def test_large_margins_neither_overflow_nor_vanish(loss, sizes):
    layers = Layers(sizes, linear, loss)
    y = np.array([-1.0, 1.0] if loss is logistic else [0.0, 1.0])
    x = np.array([1.0] if loss is logistic else [0.0, 1.0])
    with np.errstate(all="raise", under="ignore"):
        value, gradient = Problem(layers, np.array([[1e4], [1e4]]), y, 0.0).objective_and_gradient(x)
    assert value == pytest.approx(5e3)  # one of two rows is wrong by 1e4
    assert np.abs(gradient) == pytest.approx(5e3)


def test_zero_weights_give_half_mean_square():
    X, y = planted()
    value, gradient = Problem(Layers((5, 2, 1)), X, y, 0.1).objective_and_gradient(np.zeros(12))
    assert value == pytest.approx(np.mean(y**2) / 2)
    assert not gradient.any()


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_balanced_scaling_is_optimal(scale):
    """(x'w)_+ W2 is unchanged by w c, W2 / c, and the penalty is least, ||w|| |W2| beta, where the norms agree."""
    X, y = planted()
    problem = Problem(Layers((5, 1, 1)), X, y, 0.5)
    w = np.array([0.6, 0.0, 0.8, 0.0, 0.0])
    balanced, scaled = (problem.objective(np.append(w * c, 1 / c)) for c in (1.0, scale))
    assert scaled - balanced == pytest.approx(0.25 * (scale**2 + scale**-2 - 2))


def test_pieces_and_lazy_rows_give_the_same_gradient(monkeypatch):
    X, y = planted(n=1000)
    layers = Layers((5, 7, 3, 1))
    x = layers.initial(np.random.default_rng(3))
    value, gradient = Problem(layers, X, y, 1e-2).objective_and_gradient(x)
    monkeypatch.setattr(rows_module, "CHUNK_ROWS", 41)
    monkeypatch.setattr(problem_module, "PIECE", 37)
    other, pieces = Problem(layers, LazyRows(X), y, 1e-2).objective_and_gradient(x)
    assert other == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(pieces, gradient, rtol=1e-12, atol=1e-14)
    single = Problem(layers, LazyRows(X), y, 1e-2).single()
    assert (single.X.dtype, single.y.dtype, single.dtype) == (np.float32, np.float32, np.float32)
    np.testing.assert_allclose(single.objective_and_gradient(x)[1], gradient, rtol=1e-4, atol=1e-5)


def test_he_initialisation_has_its_variances():
    layers = Layers((40, 5000, 1))
    W1, W2 = layers.split(layers.initial(np.random.default_rng(0)))
    assert W1.shape == (40, 5000)
    assert np.var(W1) == pytest.approx(2 / 40, rel=0.02)
    assert np.var(W2) == pytest.approx(2 / 5000, rel=0.1)


# --- bad input ---


@pytest.mark.parametrize(
    ("sizes", "loss", "message"),
    [
        ((5,), squared, "sizes is"),
        ((5, 0, 1), squared, "sizes is"),
        ((5, 2.5, 1), squared, "sizes is"),
        ((5, 2, 1), softmax, "at least 2 outputs"),
        ((5, 2, 2), logistic, "takes 1"),
    ],
)
def test_refuses_layers(sizes, loss, message):
    with pytest.raises(InputError, match=message):
        Layers(sizes, relu, loss)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((0, 5)), np.ones(0), "X has shape"),
        (np.ones(5), np.ones(5), "X has shape"),
        (np.ones((4, 5)), np.ones(3), "y has shape"),
        (np.ones((4, 5)), np.array(1.0), "y has shape"),
        (np.ones((4, 5)), np.ones((4, 2)), "y has shape"),
        (np.ones((4, 3)), np.ones(4), "3 columns, but the layers take 5"),
        (np.full((4, 5), np.nan), np.ones(4), "X has the value nan in row 0"),
        (np.ones((4, 5)), np.array([0, np.inf, 0, 0]), "y has the value inf in row 1"),
    ],
)
def test_refuses_data(X, y, message):
    with pytest.raises(InputError, match=message):
        Problem(Layers((5, 2, 1)), X, y, 0.0)


@pytest.mark.parametrize(("loss", "sizes", "wrong"), [(logistic, (5, 1), 0.0), (softmax, (5, 3), 3.0)])
def test_refuses_targets_that_are_no_class(loss, sizes, wrong):
    with pytest.raises(InputError, match=f"y has the value {wrong}"):
        Problem(Layers(sizes, relu, loss), np.ones((2, 5)), np.array([1.0, wrong]), 0.0)


@pytest.mark.parametrize("beta", [-0.1, np.nan, np.inf])
def test_refuses_beta(beta):
    with pytest.raises(InputError, match=f"beta is {beta}"):
        Problem(Layers((5, 1)), np.ones((2, 5)), np.ones(2), beta)


def test_refuses_parameters_and_values_beyond_float32():
    problem = Problem(Layers((5, 1)), np.full((2, 5), 1e39), np.ones(2), 0.0)
    with pytest.raises(InputError, match="parameters have shape"):
        problem.objective(np.ones(4))
    with pytest.raises(InputError, match="not finite"):
        problem.objective(np.full(5, np.nan))
    with pytest.raises(InputError, match="beyond float32"):
        problem.single()
