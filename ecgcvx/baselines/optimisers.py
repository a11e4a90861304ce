"""First-order optimisers as functions from a state and a gradient to the next state, and step-size schedules.

g is the gradient, x the parameters, all vectors (k,); operations are by entry. Where conventions differ (epsilon inside
or outside the root, the first velocity), they are those of torch.optim.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Schedule = Callable[[float], float]  # share of the training that is over, 0 to 1 -> factor of the step size


@dataclass(frozen=True, eq=False)
class State:
    """Parameters (k,), what the optimiser remembers besides, each (k,), and the number of steps taken."""

    parameters: Array
    memory: tuple[Array, ...] = ()
    steps: int = 0


Step = Callable[[State, Array, float], State]  # (state, gradient, step size) -> state


@dataclass(frozen=True)
class Optimiser:
    """A step, and how many vectors it remembers, all zero at first."""

    name: str
    step: Step
    memories: int

    def start(self, parameters: Array) -> State:
        """Return the state before the first step."""
        return State(parameters, tuple(np.zeros_like(parameters) for _ in range(self.memories)))


def sgd_step(state: State, gradient: Array, step_size: float) -> State:
    """x - step g. Source: Robbins & Monro (1951)."""
    return State(state.parameters - step_size * gradient, (), state.steps + 1)


def momentum_step(state: State, gradient: Array, step_size: float, decay: float = 0.9) -> State:
    """v = decay v + g, x - step v. Source: Polyak (1964)."""
    velocity = decay * state.memory[0] + gradient
    return State(state.parameters - step_size * velocity, (velocity,), state.steps + 1)


def adagrad_step(state: State, gradient: Array, step_size: float, epsilon: float = 1e-10) -> State:
    """s = s + g^2, x - step g / (sqrt s + epsilon). Source: Duchi, Hazan, Singer (2011)."""
    squares = state.memory[0] + gradient * gradient
    return State(state.parameters - step_size * gradient / (np.sqrt(squares) + epsilon), (squares,), state.steps + 1)


def rmsprop_step(state: State, gradient: Array, step_size: float, decay: float = 0.99, epsilon: float = 1e-8) -> State:
    """s = decay s + (1 - decay) g^2, x - step g / (sqrt s + epsilon). Source: Tieleman & Hinton (2012), lecture 6.5."""
    square = decay * state.memory[0] + (1 - decay) * gradient * gradient
    return State(state.parameters - step_size * gradient / (np.sqrt(square) + epsilon), (square,), state.steps + 1)


def adam_step(
    state: State,
    gradient: Array,
    step_size: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> State:
    """x - step m^ / (sqrt s^ + epsilon), running means m of g and s of g^2, corrected for their start at zero.

    Source: Kingma & Ba (2015), Adam, Algorithm 1.
    """
    steps = state.steps + 1
    mean = beta1 * state.memory[0] + (1 - beta1) * gradient
    square = beta2 * state.memory[1] + (1 - beta2) * gradient * gradient
    # The corrections are scalars: folding them into the step saves two passes over the parameters.
    corrected_step = step_size / (1 - beta1**steps)
    corrected_root = np.sqrt(square) * (1 / sqrt(1 - beta2**steps)) + epsilon
    return State(state.parameters - corrected_step * mean / corrected_root, (mean, square), steps)


SGD = Optimiser("SGD", sgd_step, 0)
MOMENTUM = Optimiser("momentum", momentum_step, 1)
ADAGRAD = Optimiser("AdaGrad", adagrad_step, 1)
RMSPROP = Optimiser("RMSProp", rmsprop_step, 1)
ADAM = Optimiser("Adam", adam_step, 2)


def constant(share: float) -> float:
    """The same step size throughout."""
    return 1.0


def cosine(share: float) -> float:
    """Half a cosine from 1 to 0. Source: Loshchilov & Hutter (2017), SGDR, one period."""
    return 0.5 * (1 + cos(pi * share))
