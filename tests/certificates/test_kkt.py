"""KKT residuals against their own definition in CVXPY; they are continuous, and small where the gap is small."""

from functools import cache

import cvxpy as cp
import numpy as np
import pytest

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.certificates import kkt_residuals
from ecgcvx.certificates.kkt import NEAR
from ecgcvx.models import ReluNetwork
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver

BETA = 0.05


@cache
def trained(seed, solver=None):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal(12)
    program = relu_program(PatternFeatures(X, enumerate_patterns(X)), y, BETA)
    found = (solver or CvxpySolver(gap=1e-10)).solve(program)
    active = np.linalg.norm(found.u, axis=1) > 0
    roots = np.sqrt(np.linalg.norm(found.u[active], axis=1))
    return ReluNetwork(found.u[active].T / roots, program.signs[active] * roots), X, y, found.gap


def by_definition(network, X, y):
    """min over shares z of the gradient's length plus what the shares cost, one neuron at a time, on all rows.

    Costs of more than 10 are 10: from 1 on nothing is moved."""
    v, n = y - network.predict(X), len(y)
    found = []
    for w, a in zip(network.W1.T, network.W2, strict=True):
        length = np.linalg.norm(w)
        w = w / length
        cosines = X @ w / np.linalg.norm(X, axis=1)
        z = cp.Variable(n)
        gradient = BETA * w - np.sign(a) * (X * v[:, None]).T @ z / n
        cost = np.minimum(np.abs(cosines) / NEAR, 10) * np.abs(v) * np.linalg.norm(X, axis=1) / n
        problem = cp.Problem(cp.Minimize(cp.norm(gradient) + cost @ cp.abs(z - (cosines > 0))), [z >= 0, z <= 1])
        problem.solve(solver="CLARABEL")
        found.append(problem.value / BETA * length)
    return np.array(found) / np.linalg.norm(network.W1, axis=0).max()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("off", [0.0, 1e-7, 1e-5, 1e-4, 1e-2])
def test_they_are_what_their_definition_says(seed, off):
    network, X, y, _ = trained(seed)
    rng = np.random.default_rng(seed)
    moved = ReluNetwork(network.W1 + off * rng.standard_normal(network.W1.shape), network.W2)
    assert kkt_residuals(moved, X, y, BETA).stationarity == pytest.approx(by_definition(moved, X, y), abs=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [AdmmSolver, OsqpSolver, FistaSolver, CvxpySolver])
@pytest.mark.parametrize("seed", [2, 4])  # each has a neuron of almost no weight, whose own gradient is far from zero
def test_they_are_small_where_the_gap_is(seed, kind):
    network, X, y, gap = trained(seed, kind(gap=1e-10))
    assert gap <= 1e-10
    for patterns in (None, enumerate_patterns(X)):
        assert kkt_residuals(network, X, y, BETA, patterns=patterns).stationarity.max() < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_they_are_continuous_in_the_weights(seed):
    """From the optimum outwards no step, however short, changes them by more than what its length allows."""
    network, X, y, _ = trained(seed)
    direction = np.random.default_rng(seed).standard_normal(network.W1.shape)
    for patterns in (None, enumerate_patterns(X)):
        before, last = 0.0, 0.0
        for size in (1e-12, 3e-10, 9e-10, 1.1e-9, 3e-9, 1e-7, 1e-6, 1e-5):
            moved = ReluNetwork(network.W1 + size * direction, network.W2)
            now = kkt_residuals(moved, X, y, BETA, patterns=patterns).stationarity.max()
            assert abs(now - before) <= 1e-6 + 30.0 * (size - last) / NEAR
            before, last = now, size
        assert before > 1e-3
