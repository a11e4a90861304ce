"""The optimisers of the comparison, by name, and the grid of step sizes that each may try."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.random import Generator
from numpy.typing import NDArray

from ecgcvx.baselines import curvature
from ecgcvx.baselines.clock import Clock
from ecgcvx.baselines.curvature import Curvature
from ecgcvx.baselines.gauss_newton import train_gauss_newton
from ecgcvx.baselines.lbfgs import train_lbfgs
from ecgcvx.baselines.minibatch import BackpropResult, train_minibatch
from ecgcvx.baselines.optimisers import (
    ADAGRAD,
    ADAM,
    MOMENTUM,
    RMSPROP,
    SGD,
    Optimiser,
    Schedule,
    constant,
    cosine,
)
from ecgcvx.baselines.problem import Problem

Array = NDArray[Any]
BATCH = 512
UNLIMITED = 10**9  # iterations: the clock ends a run
SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine}
Train = Callable[[Problem, Array, Generator, Clock, Schedule, float], BackpropResult]


@dataclass(frozen=True)
class Contender:
    """An optimiser: how it is called in a table, how it trains, and its step sizes (none where it finds its own)."""

    label: str
    train: Train
    grid: tuple[float, ...] = ()


def _first_order(optimiser: Optimiser) -> Train:
    def train(
        problem: Problem, start: Array, random: Generator, clock: Clock, schedule: Schedule, step: float
    ) -> BackpropResult:
        return train_minibatch(problem, start, random, optimiser, schedule, step, BATCH, None, clock=clock)

    return train


def _gauss_newton(approximation: Curvature) -> Train:
    def train(
        problem: Problem, start: Array, random: Generator, clock: Clock, schedule: Schedule, step: float
    ) -> BackpropResult:
        return train_gauss_newton(problem, start, random, approximation, UNLIMITED, clock=clock)

    return train


def _lbfgs(
    problem: Problem, start: Array, random: Generator, clock: Clock, schedule: Schedule, step: float
) -> BackpropResult:
    return train_lbfgs(problem, start, UNLIMITED, clock=clock)


CONTENDERS = {
    "sgd": Contender("SGD", _first_order(SGD), (0.003, 0.01, 0.03, 0.1, 0.3)),
    "momentum": Contender("SGD with momentum", _first_order(MOMENTUM), (0.001, 0.003, 0.01, 0.03, 0.1)),
    "adagrad": Contender("AdaGrad", _first_order(ADAGRAD), (0.003, 0.01, 0.03, 0.1, 0.3)),
    "rmsprop": Contender("RMSProp", _first_order(RMSPROP), (0.001, 0.003, 0.01, 0.03, 0.1)),
    "adam": Contender("Adam", _first_order(ADAM), (0.001, 0.003, 0.01, 0.03, 0.1)),
    "lbfgs": Contender("L-BFGS", _lbfgs),
    "gn": Contender("Gauss-Newton (LM)", _gauss_newton(curvature.full)),
    "gn-layer": Contender("GN, blocks of layers", _gauss_newton(curvature.by_layer)),
    "gn-neuron": Contender("GN, blocks of neurons", _gauss_newton(curvature.by_neuron)),
    "gn-kfac": Contender("GN, Kronecker (KFAC)", _gauss_newton(curvature.kronecker)),
    "gn-uniform": Contender("GN, uniform rows", _gauss_newton(curvature.uniform_rows)),
    "gn-leverage": Contender("GN, leverage rows", _gauss_newton(curvature.leverage_rows)),
    "gn-cg": Contender("GN, conjugate gradients", _gauss_newton(curvature.conjugate)),
}
