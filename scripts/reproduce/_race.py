"""Runs of backprop whose objective on all rows is evaluated on the way, off the clock."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ecgcvx.baselines.minibatch import train_minibatch
from ecgcvx.baselines.optimisers import Optimiser, Schedule, cosine
from ecgcvx.baselines.problem import Problem
from ecgcvx.types import Array


@dataclass(frozen=True)
class Point:
    """Parameters after so many seconds of processor time, and the objective on all rows."""

    seconds: float
    objective: float
    parameters: Array


def in_stretches(
    problem: Problem, seed: int, optimiser: Optimiser, step: float, batch: int, epochs: int, stretches: int
) -> Iterator[Point]:
    """Train with a cosine schedule, and yield a point at the start and after each stretch of epochs.

    The optimiser's memory starts anew with each stretch.
    """
    random = np.random.default_rng(seed)
    parameters = problem.layers.initial(random)
    seconds = 0.0
    yield Point(seconds, problem.objective(parameters), parameters)
    edges = np.unique(np.geomspace(1, epochs, stretches).astype(int))
    for done, stop in pairwise([0, *edges.tolist()]):
        started = time.thread_time()
        part = _part(done / epochs, stop / epochs)
        found = train_minibatch(problem, parameters, random, optimiser, part, step, batch, stop - done)
        seconds += time.thread_time() - started
        parameters = found.parameters
        yield Point(seconds, problem.objective(parameters), parameters)


def _part(first: float, last: float) -> Schedule:
    """The stretch of the cosine schedule between two shares of the training."""
    return lambda share: cosine(first + share * (last - first))
