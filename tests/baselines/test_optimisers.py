"""First-order optimisers against torch.optim: its trajectories, recorded for machines without it, and run afresh."""

import math

import numpy as np
import pytest

from ecgcvx.baselines.optimisers import ADAGRAD, ADAM, MOMENTUM, RMSPROP, SGD, constant, cosine

OPTIMISERS = [SGD, MOMENTUM, ADAGRAD, RMSPROP, ADAM]
START, STEP, STEPS = np.array([0.5, -1.0, 2.0]), 0.05, 30

# Parameters after the first and the last step of torch.optim 2.13.0 (float64, CPU, default options but lr = STEP, and
# momentum = 0.9 for "momentum") along gradients(): the loop of test_follows_torch prints them.
RECORDED = {
    "SGD": (
        [0.46175789063577555, -0.9355777528522377, 2.0004520360710085],
        [0.4813925241372184, -0.03256715097872786, 2.0012314871568244],
    ),
    "momentum": (
        [0.46175789063577555, -0.9355777528522377, 2.0004520360710085],
        [0.6267279749411431, 5.0955752622855535, 2.0053196269902],
    ),
    "AdaGrad": (
        [0.4500000000065373, -0.9500000000038806, 2.0499999994469467],
        [0.49421535848221304, -0.8644962930329549, 2.080433197989184],
    ),
    "RMSProp": (
        [6.537295466069182e-08, -0.5000000388064672, 2.4999944695290752],
        [0.4363007942607431, 0.3587688907028621, 2.816143318070839],
    ),
    "Adam": (
        [0.45000000065372964, -0.9500000003880648, 2.0499999446947403],
        [0.4828381523059619, -0.7166222817478768, 2.2213795352352723],
    ),
}


def gradients():
    t = np.arange(1, STEPS + 1)[:, None]
    return np.cos(0.7 * t + np.arange(3)) * np.array([1.0, 10.0, 0.01])


def trajectory(optimiser):
    states = [optimiser.start(START)]
    for gradient in gradients():
        states.append(optimiser.step(states[-1], gradient, STEP))
    assert [state.steps for state in states] == list(range(STEPS + 1))
    return np.array([state.parameters for state in states[1:]])


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
def test_follows_the_recorded_trajectory_of_torch(optimiser):
    first, last = RECORDED[optimiser.name]
    found = trajectory(optimiser)
    np.testing.assert_allclose(found[[0, -1]], [first, last], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
def test_follows_torch(optimiser):
    torch = pytest.importorskip("torch")
    make = {
        "SGD": torch.optim.SGD,
        "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr, momentum=0.9),
        "AdaGrad": torch.optim.Adagrad,
        "RMSProp": torch.optim.RMSprop,
        "Adam": torch.optim.Adam,
    }[optimiser.name]
    x = torch.tensor(START, requires_grad=True)
    peer, expected = make([x], lr=STEP), []
    for gradient in gradients():
        x.grad = torch.tensor(gradient)
        peer.step()
        expected.append(x.detach().numpy().copy())
    np.testing.assert_allclose(trajectory(optimiser), expected, rtol=1e-12, atol=1e-15)


def test_adam_follows_the_published_recursion():
    """Algorithm 1 of Kingma & Ba, one scalar at a time, on f(x) = a/2 (x - 1)^2."""
    curvature = np.array([1.0, 50.0, 1e-4])
    start = np.array([3.0, -2.0, 0.5])
    alpha, beta1, beta2, epsilon = 0.05, 0.9, 0.999, 1e-8
    state = ADAM.start(start)
    for _ in range(200):
        state = ADAM.step(state, curvature * (state.parameters - 1), alpha)
    for k in range(3):
        x, mean, square = float(start[k]), 0.0, 0.0
        for t in range(1, 201):
            gradient = float(curvature[k]) * (x - 1)
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient**2
            x -= alpha * (mean / (1 - beta1**t)) / (math.sqrt(square / (1 - beta2**t)) + epsilon)
        assert state.parameters[k] == pytest.approx(x, rel=1e-10)


def test_closed_forms_of_a_constant_gradient():
    """v_t = g (1 - .9^t) / .1; AdaGrad moves by step / sqrt t; RMSProp by step / sqrt(1 - .99^t); Adam by step."""
    g, steps = -4.0, 12
    t = np.arange(1, steps + 1)
    moves = {
        SGD: STEP * g * steps,
        MOMENTUM: STEP * g * np.sum((1 - 0.9**t) / 0.1),
        ADAGRAD: STEP * np.sign(g) * np.sum(1 / np.sqrt(t)),
        RMSPROP: STEP * np.sign(g) * np.sum(1 / np.sqrt(1 - 0.99**t)),
        ADAM: STEP * np.sign(g) * steps,
    }
    for optimiser, move in moves.items():
        state = optimiser.start(np.array([2.0]))
        for _ in range(steps):
            state = optimiser.step(state, np.array([g]), STEP)
        assert state.parameters[0] == pytest.approx(2 - move, rel=1e-7), optimiser.name


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
def test_is_pure_and_stays_in_float32(optimiser):
    start, gradient = np.ones(3, np.float32), np.full(3, 0.5, np.float32)
    first = optimiser.start(start)
    second = optimiser.step(first, gradient, 0.1)
    third = optimiser.step(second, gradient, 0.1)
    assert start.tolist() == [1, 1, 1]
    assert gradient.tolist() == [0.5, 0.5, 0.5]
    assert not any(vector.any() for vector in first.memory)
    again = optimiser.step(second, gradient, 0.1)
    assert again.parameters.tobytes() == third.parameters.tobytes()
    assert {vector.dtype for vector in (third.parameters, *third.memory)} == {np.dtype(np.float32)}


def test_schedules():
    factors = [cosine(step / 100) for step in range(101)]
    assert factors[0] == 1
    assert factors[50] == pytest.approx(0.5)
    assert factors[25] == pytest.approx(0.5 * (1 + math.sqrt(0.5)))
    assert np.all(np.diff(factors) < 0)
    assert factors[100] == 0
    assert {constant(share) for share in (0.0, 0.3, 1.0)} == {1.0}
