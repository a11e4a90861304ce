"""Training by minibatches: planted networks, closed forms, reproducibility, interruption."""

import math

import numpy as np
import pytest
from planted import LazyRows, planted

from ecgcvx.baselines.backprop import Layers, logistic, relu
from ecgcvx.baselines.clock import Clock
from ecgcvx.baselines.linear import least_squares
from ecgcvx.baselines.minibatch import minibatches, train_minibatch
from ecgcvx.baselines.optimisers import ADAGRAD, ADAM, MOMENTUM, RMSPROP, SGD, constant, cosine
from ecgcvx.baselines.problem import Problem
from ecgcvx.errors import InputError, SolverError


def train(X, y, hidden=(8,), beta=1e-5, seed=0, **options):
    problem = Problem(Layers((X.shape[1], *hidden, 1)), X, y, beta)
    random = np.random.default_rng(seed)
    return problem, train_minibatch(problem.single(), problem.layers.initial(random), random, **options)


def test_learns_a_planted_network():
    X, y = planted()
    linear = np.mean((X @ least_squares(X, y) - y) ** 2) / 2
    problem, result = train(X, y, (32,), 1e-6, batch=64)
    value = problem.objective(result.parameters)
    assert value < 1e-3 * linear
    assert result.history[-1] == pytest.approx(value, rel=0.1)
    assert result.status == "finished"


@pytest.mark.parametrize(
    ("optimiser", "step_size"), [(SGD, 0.1), (MOMENTUM, 0.02), (ADAGRAD, 0.1), (RMSPROP, 0.01), (ADAM, 0.02)]
)
def test_every_optimiser_learns_a_deeper_network(optimiser, step_size):
    X, y = planted(500)
    problem, result = train(X, y, (16, 8), 1e-6, batch=50, optimiser=optimiser, step_size=step_size)
    linear = np.mean((X @ least_squares(X, y) - y) ** 2) / 2
    assert problem.objective(result.parameters) < 0.3 * linear


def test_separates_classes():
    X, y = planted(400)
    signs = np.where(y > np.median(y), 1.0, -1.0)
    layers = Layers((5, 16, 1), relu, logistic)
    problem = Problem(layers, X, signs, 1e-6)
    random = np.random.default_rng(0)
    result = train_minibatch(problem.single(), layers.initial(random), random, batch=50)
    W1, W2 = layers.split(result.parameters)
    assert np.mean(np.sign(np.maximum(X @ W1, 0) @ W2) == signs) > 0.97


def test_reaches_the_convex_optimum_in_one_dimension():
    """Targets a (x)_+ on x = +-1: by the group lasso the one active filter has size (a - 2 beta)_+, as n = 2."""
    X, y, beta = np.array([[1.0], [-1.0]]), np.array([2.0, 0.0]), 0.1
    size = 2.0 - 2 * beta
    optimum = (2 * beta) ** 2 / 4 + beta * size
    problem, result = train(X, y, (8,), beta, epochs=3000, batch=2)
    assert problem.objective(result.parameters) == pytest.approx(optimum, rel=1e-4)


def test_first_steps_are_adam_on_the_whole_batch():
    """One batch an epoch: float64 gradients from the initialisation on give the same weights."""
    X, y = planted(n=50)
    epochs, step_size = 4, 1e-2
    problem, result = train(X, y, (6,), 1e-2, 5, epochs=epochs, batch=50, step_size=step_size)
    state = ADAM.start(problem.layers.initial(np.random.default_rng(5)))
    values = []
    for epoch in range(epochs):
        value, gradient = problem.objective_and_gradient(state.parameters)
        values.append(value)
        state = ADAM.step(state, gradient, step_size * cosine(epoch / epochs))
    np.testing.assert_allclose(result.parameters, state.parameters, atol=1e-5)
    np.testing.assert_allclose(result.history, values, rtol=0.05)  # the penalty is taken after the step


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (10, 10), (10, 64), (1, 1), (513, 512), (86385, 512)])
def test_minibatches_partition_the_rows(n, batch):
    batches = list(minibatches(n, batch, np.random.default_rng(0)))
    sizes = [len(chosen) for chosen in batches]
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert len(batches) == math.ceil(n / batch)
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_same_seed_same_bytes_and_lazy_rows_too():
    X, y = planted(n=300)
    first, second, lazy, other = (
        train(data, y, epochs=3, batch=64, seed=seed)[1] for data, seed in ((X, 7), (X, 7), (LazyRows(X), 7), (X, 8))
    )
    assert first.parameters.tobytes() == second.parameters.tobytes() == lazy.parameters.tobytes()
    assert first.history == second.history == lazy.history
    assert first.parameters.tobytes() != other.parameters.tobytes()


def test_leaves_data_untouched_and_returns_float64():
    X, y = planted(n=100)
    kept_X, kept_y = X.copy(), y.copy()
    result = train(X, y, (4,), epochs=2)[1]
    np.testing.assert_array_equal(X, kept_X)
    np.testing.assert_array_equal(y, kept_y)
    assert (result.parameters.shape, len(result.history), result.parameters.dtype) == ((24,), 2, np.float64)


def test_numpy_scalars_as_options():
    X, y = planted(n=100)
    plain = train(X, y, (4,), 1e-2, epochs=2, batch=30, step_size=1e-2)[1]
    scalar = train(X, y, (np.int64(4),), np.float64(1e-2), epochs=np.int64(2), batch=30, step_size=np.float64(1e-2))[1]
    np.testing.assert_array_equal(scalar.parameters, plain.parameters)


def test_huge_weight_decay_sends_the_weights_to_zero():
    X, y = planted(n=200)
    result = train(X, y, (8,), 1e3, epochs=200, batch=50)[1]
    assert np.abs(result.parameters).max() < 1e-3
    assert result.history[-1] == pytest.approx(np.mean(y**2) / 2, rel=1e-2)


def test_callback_sees_every_epoch():
    X, y = planted(n=100)
    seen = []
    result = train(X, y, (4,), epochs=3, callback=lambda *arguments: seen.append(arguments))[1]
    assert seen == [(k + 1, loss) for k, loss in enumerate(result.history)]


def test_interrupt_returns_the_weights_so_far():
    X, y = planted(n=100)
    seen = []

    def interrupt(epoch, loss):
        seen.append(loss)
        if epoch == 2:
            raise KeyboardInterrupt

    result = train(X, y, (4,), epochs=50, callback=interrupt)[1]
    assert list(result.history) == seen
    assert len(seen) == 2
    assert result.status == "interrupted"
    assert np.isfinite(result.parameters).all()


def test_the_clock_ends_the_training_and_stands_while_it_evaluates():
    X, y = planted(n=200)
    seen = []

    def evaluate(parameters):
        seen.append(parameters.copy())
        total = sum(k * k for k in range(200_000))  # processor time that is not the training's
        return float(total)

    clock = Clock(0.05, evaluate, np.linspace(0, 0.05, 4, endpoint=False))
    result = train(X, y, (4,), epochs=None, clock=clock)[1]
    assert result.status == "time limit"
    assert 1 <= len(clock.trace) == len(seen) <= 4
    moments = [moment for moment, _ in clock.trace]
    assert moments == sorted(moments)
    assert not np.array_equal(seen[0], result.parameters)


def test_divergence_is_an_error_that_names_the_step_size():
    X, y = planted(n=100)
    with pytest.raises(SolverError, match=r"Adam diverged with step_size 1e\+30"):
        train(X, y, (4,), epochs=3, step_size=1e30)
    with pytest.raises(SolverError, match=r"SGD diverged with step_size 100"):
        train(X, y, (4,), epochs=30, step_size=100.0, optimiser=SGD, schedule=constant)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("epochs", None), ("epochs", 2.5), ("batch", 0), ("step_size", 0.0), ("step_size", math.nan)],
)
def test_refuses_options(name, value):
    X, y = planted(n=10)
    with pytest.raises(InputError, match=f"{name} is {value}"):
        train(X, y, **{name: value})


def test_refuses_rows_that_cannot_be_picked():
    X, y = planted(n=10)
    problem = Problem(Layers((5, 2, 1)), LazyRows(X), y, 0.0)
    random = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"X is LazyRows.*problem\.single"):
        train_minibatch(problem, problem.layers.initial(random), random)
