"""Backprop against finite differences, Adam's published recursion, and planted networks."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecgcvx.baselines import backprop, least_squares, objective_and_gradient, train_adam
from ecgcvx.baselines import linear as linear_module
from ecgcvx.baselines.backprop import adam_start, adam_step, cosine_step
from ecgcvx.errors import InputError, SolverError


class LazyRows:
    """Rows that are only handed out slice by slice; anything else about an ndarray is missing."""

    def __init__(self, array):
        self._array = array
        self.shape = array.shape

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return self._array[rows].copy()


def objective(W1, W2, X, y, beta):
    """P row by row in plain Python, as the paper has it."""
    loss = 0.0
    for x, target in zip(X, y, strict=True):
        output = sum(W2[j] * max(0.0, float(x @ W1[:, j])) for j in range(len(W2)))
        loss += (output - target) ** 2
    return loss / (2 * len(y)) + beta / 2 * (np.linalg.norm(W1) ** 2 + np.linalg.norm(W2) ** 2)


def planted(n=2000, d=5, neurons=3, seed=0):
    random = np.random.default_rng(seed)
    X = np.column_stack([random.standard_normal((n, d - 1)), np.ones(n)])
    W1, W2 = random.standard_normal((d, neurons)), np.array([1.0, -1.5, 2.0])[:neurons]
    return X, np.maximum(X @ W1, 0) @ W2


# --- objective and gradient ---


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 12),
    d=st.integers(1, 5),
    m=st.integers(1, 5),
    beta=st.sampled_from([0.0, 1e-3, 0.7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradient_equals_central_differences(n, d, m, beta, seed):
    random = np.random.default_rng(seed)
    X, y = random.standard_normal((n, d)), random.standard_normal(n)
    W1, W2 = random.standard_normal((d, m)), random.standard_normal(m)
    step = 1e-6
    assume(np.abs(X @ W1).min() > 2 * step * np.abs(X).max())  # away from the kinks
    value, *gradients = objective_and_gradient(W1, W2, X, y, beta)
    assert value == pytest.approx(objective(W1, W2, X, y, beta), rel=1e-12)
    for weights, gradient in zip((W1, W2), gradients, strict=True):
        for index in np.ndindex(weights.shape):
            kept = weights[index]
            weights[index] = kept + step
            above = objective(W1, W2, X, y, beta)
            weights[index] = kept - step
            below = objective(W1, W2, X, y, beta)
            weights[index] = kept
            assert gradient[index] == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-6 * (1 + value))


def test_zero_weights_give_half_mean_square():
    X, y = planted()
    value, gradient_W1, gradient_W2 = objective_and_gradient(np.zeros((5, 2)), np.zeros(2), X, y, 0.1)
    assert value == pytest.approx(np.mean(y**2) / 2)
    assert not gradient_W1.any()
    assert not gradient_W2.any()


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_balanced_scaling_is_optimal(scale):
    """(x'w)_+ W2 is unchanged by w c, W2 / c, and the penalty is least, ||w|| |W2| beta, where the norms agree."""
    X, y = planted()
    W1, W2 = np.array([[0.6], [0.0], [0.8], [0.0], [0.0]]), np.array([1.0])
    balanced = objective_and_gradient(W1, W2, X, y, 0.5)[0]
    scaled = objective_and_gradient(W1 * scale, W2 / scale, X, y, 0.5)[0]
    assert scaled - balanced == pytest.approx(0.25 * (scale**2 + scale**-2 - 2))


def test_chunks_and_lazy_rows_give_the_same_gradient(monkeypatch):
    X, y = planted(n=1000)
    random = np.random.default_rng(3)
    W1, W2 = random.standard_normal((5, 7)), random.standard_normal(7)
    whole = objective_and_gradient(W1, W2, X, y, 1e-2)
    for module in (linear_module, backprop):
        monkeypatch.setattr(module, "CHUNK_ROWS", 37)
    for part, expected in zip(objective_and_gradient(W1, W2, LazyRows(X), y, 1e-2), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-12, atol=1e-14)


# --- Adam and its schedule ---


def test_adam_follows_the_published_recursion():
    """Algorithm 1 of Kingma & Ba, one scalar at a time, on f(x) = a/2 (x - 1)^2."""
    curvature = np.array([1.0, 50.0, 1e-4])
    start = np.array([3.0, -2.0, 0.5])
    alpha, beta1, beta2, epsilon = 0.05, 0.9, 0.999, 1e-8
    state = adam_start(start)
    for step in range(200):
        state = adam_step(state, curvature * (state.parameters - 1), alpha)
        assert state.steps == step + 1
    for k in range(3):
        x, mean, square = float(start[k]), 0.0, 0.0
        for t in range(1, 201):
            gradient = float(curvature[k]) * (x - 1)
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            x -= alpha * (mean / (1 - beta1**t)) / (math.sqrt(square / (1 - beta2**t)) + epsilon)
        assert state.parameters[k] == pytest.approx(x, rel=1e-10)


@pytest.mark.parametrize("gradient", [1e-3, -4.0, 1e5])
def test_constant_gradient_moves_by_the_step_size(gradient):
    """With bias correction both means equal the gradient, so each step is alpha sign(g) up to epsilon."""
    state = adam_start(np.array([2.0]))
    for step in range(1, 6):
        state = adam_step(state, np.array([gradient]), 0.1)
        assert state.parameters[0] == pytest.approx(2 - step * 0.1 * np.sign(gradient), rel=1e-5)


def test_adam_does_not_write_to_its_arguments():
    start, gradient = np.ones(3), np.ones(3)
    first = adam_start(start)
    adam_step(adam_step(first, gradient, 0.1), gradient, 0.1)
    assert start.tolist() == gradient.tolist() == [1, 1, 1]
    assert not first.mean.any()
    assert not first.square.any()


def test_adam_stays_in_float32():
    state = adam_step(adam_start(np.ones(3, np.float32)), np.ones(3, np.float32), 0.1)
    assert {state.parameters.dtype, state.mean.dtype, state.square.dtype} == {np.dtype(np.float32)}


def test_cosine_schedule():
    sizes = [cosine_step(step, 100, 0.3) for step in range(100)]
    assert sizes[0] == 0.3
    assert sizes[50] == pytest.approx(0.15)
    assert sizes[25] == pytest.approx(0.15 * (1 + math.sqrt(0.5)))
    assert np.all(np.diff(sizes) < 0)
    assert sizes[-1] > 0
    assert cosine_step(100, 100, 0.3) == 0


# --- training ---


def test_learns_a_planted_network():
    X, y = planted()
    linear = np.mean((X @ least_squares(X, y) - y) ** 2) / 2
    result = train_adam(X, y, neurons=32, beta=1e-6, batch=64)
    value = objective_and_gradient(result.W1, result.W2, X, y, 1e-6)[0]
    assert value < 1e-3 * linear
    assert result.history[-1] == pytest.approx(value, rel=0.1)


def test_reaches_the_convex_optimum_in_one_dimension():
    """Targets a (x)_+ on x = +-1: by the group lasso the one active filter has size (a - 2 beta)_+, as n = 2."""
    X, y, beta = np.array([[1.0], [-1.0]]), np.array([2.0, 0.0]), 0.1
    size = 2.0 - 2 * beta
    optimum = (2 * beta) ** 2 / 4 + beta * size
    result = train_adam(X, y, neurons=8, beta=beta, epochs=3000, batch=2)
    assert objective_and_gradient(result.W1, result.W2, X, y, beta)[0] == pytest.approx(optimum, rel=1e-4)


def test_first_steps_are_adam_on_the_whole_batch():
    """One batch an epoch: float64 gradients from the initialisation on give the same weights."""
    X, y = planted(n=50)
    beta, epochs, step_size = 1e-2, 4, 1e-2
    result = train_adam(X, y, neurons=6, beta=beta, epochs=epochs, batch=50, step_size=step_size, seed=5)
    start = backprop._he_initialisation(5, 6, np.random.default_rng(5)).astype(np.float64)
    state, values = adam_start(start), []
    for epoch in range(epochs):
        value, *gradients = objective_and_gradient(*backprop._layers(state.parameters, 5), X, y, beta)
        values.append(value)
        state = adam_step(state, np.concatenate([g.ravel() for g in gradients]), cosine_step(epoch, epochs, step_size))
    W1, W2 = backprop._layers(state.parameters, 5)
    np.testing.assert_allclose(result.W1, W1, atol=1e-5)
    np.testing.assert_allclose(result.W2, W2, atol=1e-5)
    np.testing.assert_allclose(result.history, values, rtol=0.05)  # the penalty is taken after the step


def test_he_initialisation_has_its_variances():
    W1, W2 = backprop._layers(backprop._he_initialisation(40, 5000, np.random.default_rng(0)), 40)
    assert W1.shape == (40, 5000)
    assert np.var(W1) == pytest.approx(2 / 40, rel=0.02)
    assert np.var(W2) == pytest.approx(2 / 5000, rel=0.1)


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (10, 10), (10, 64), (1, 1), (513, 512), (86385, 512)])
def test_minibatches_partition_the_rows(n, batch):
    batches = list(backprop._minibatches(n, batch, np.random.default_rng(0)))
    sizes = [len(chosen) for chosen in batches]
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert len(batches) == math.ceil(n / batch)
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_same_seed_same_bytes():
    X, y = planted(n=300)
    first, second, other = (train_adam(X, y, neurons=8, epochs=3, batch=64, seed=seed) for seed in (7, 7, 8))
    assert first.W1.tobytes() == second.W1.tobytes()
    assert first.W2.tobytes() == second.W2.tobytes()
    assert first.history == second.history
    assert first.W1.tobytes() != other.W1.tobytes()


def test_lazy_rows_equal_array(monkeypatch):
    X, y = planted(n=300)
    expected = train_adam(X, y, neurons=8, epochs=3, batch=64)
    monkeypatch.setattr(linear_module, "CHUNK_ROWS", 41)
    result = train_adam(LazyRows(X), y, neurons=8, epochs=3, batch=64)
    assert result.W1.tobytes() == expected.W1.tobytes()
    assert result.history == expected.history


def test_leaves_data_untouched_and_returns_float64():
    X, y = planted(n=100)
    kept_X, kept_y = X.copy(), y.copy()
    result = train_adam(X, y, neurons=4, epochs=2)
    np.testing.assert_array_equal(X, kept_X)
    np.testing.assert_array_equal(y, kept_y)
    assert (result.W1.shape, result.W2.shape, len(result.history)) == ((5, 4), (4,), 2)
    assert (result.W1.dtype, result.W2.dtype) == (np.float64, np.float64)


def test_numpy_scalars_as_options():
    X, y = planted(n=100)
    options = {"neurons": 4, "beta": 1e-2, "epochs": 2, "batch": 30, "step_size": 1e-2}
    scalars = {k: (np.int64(v) if isinstance(v, int) else np.float64(v)) for k, v in options.items()}
    np.testing.assert_array_equal(train_adam(X, y, **scalars).W1, train_adam(X, y, **options).W1)


def test_huge_weight_decay_sends_the_weights_to_zero():
    X, y = planted(n=200)
    result = train_adam(X, y, neurons=8, beta=1e3, epochs=200, batch=50)
    assert max(np.abs(result.W1).max(), np.abs(result.W2).max()) < 1e-3
    assert result.history[-1] == pytest.approx(np.mean(y**2) / 2, rel=1e-2)


def test_weight_decay_shrinks_and_zero_fits_best():
    X, y = planted(n=500)
    results = [train_adam(X, y, neurons=16, beta=beta, epochs=100, batch=50) for beta in (0.0, 1e-2, 1.0)]
    norms = [np.linalg.norm(r.W1) ** 2 + np.linalg.norm(r.W2) ** 2 for r in results]
    losses = [objective_and_gradient(r.W1, r.W2, X, y, 0.0)[0] for r in results]
    assert norms[0] > norms[1] > norms[2]
    assert losses[0] < losses[1] < losses[2]
    assert results[0].history[-1] < 1e-3 * np.mean(y**2)


def test_callback_sees_every_epoch():
    X, y = planted(n=100)
    seen = []
    result = train_adam(X, y, neurons=4, epochs=3, callback=lambda *arguments: seen.append(arguments))
    assert seen == [(k + 1, 3, loss) for k, loss in enumerate(result.history)]


def test_interrupt_returns_the_weights_so_far():
    X, y = planted(n=100)
    seen = []

    def interrupt(epoch, epochs, loss):
        seen.append(loss)
        if epoch == 2:
            raise KeyboardInterrupt

    result = train_adam(X, y, neurons=4, epochs=50, callback=interrupt)
    assert list(result.history) == seen
    assert len(seen) == 2
    assert np.isfinite(result.W1).all()


def test_divergence_is_an_error_that_names_the_step_size():
    X, y = planted(n=100)
    with pytest.raises(SolverError, match=r"step_size 1e\+30"):
        train_adam(X, y, neurons=4, epochs=3, step_size=1e30)


# --- bad input ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("neurons", 0),
        ("neurons", 2.5),
        ("beta", -1e-9),
        ("beta", math.nan),
        ("beta", math.inf),
        ("epochs", 0),
        ("batch", 0),
        ("batch", -4),
        ("step_size", 0.0),
        ("step_size", math.nan),
        ("seed", -1),
    ],
)
def test_refuses_options(name, value):
    X, y = planted(n=10)
    with pytest.raises(InputError, match=f"{name} is {value}"):
        train_adam(X, y, **{name: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["X", "y"])
def test_refuses_values_that_are_not_finite(where, value):
    X, y = planted(n=10)
    (X if where == "X" else y)[3] = value
    with pytest.raises(InputError, match=f"{where} has the value {value} in row 3"):
        train_adam(X, y)
    with pytest.raises(InputError, match=f"{where} has the value {value} in row 3"):
        objective_and_gradient(np.ones((5, 2)), np.ones(2), X, y, 0.0)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((0, 5)), np.ones(0), "X has shape"),
        (np.ones(5), np.ones(5), "X has shape"),
        (np.ones((4, 5)), np.ones(3), "y has shape"),
        (np.ones((4, 5)), 1.0, "y has shape"),
        (np.full((4, 5), 1e39), np.ones(4), "beyond float32"),
    ],
)
def test_refuses_data(X, y, message):
    with pytest.raises(InputError, match=message):
        train_adam(X, y)


@pytest.mark.parametrize(
    ("W1", "W2", "message"),
    [
        (np.ones((4, 2)), np.ones(2), "do not fit X"),
        (np.ones((5, 2)), np.ones(3), "do not fit X"),
        (np.ones((5, 2)), np.ones((2, 1)), "do not fit X"),
        (np.ones(5), np.ones(1), "do not fit X"),
        (np.full((5, 2), np.nan), np.ones(2), "not finite"),
    ],
)
def test_objective_refuses_weights(W1, W2, message):
    X, y = planted(n=10)
    with pytest.raises(InputError, match=message):
        objective_and_gradient(W1, W2, X, y, 0.0)


def test_objective_refuses_negative_beta():
    X, y = planted(n=10)
    with pytest.raises(InputError, match=r"beta is -0\.1"):
        objective_and_gradient(np.ones((5, 2)), np.ones(2), X, y, -0.1)
