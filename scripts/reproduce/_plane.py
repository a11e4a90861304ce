"""The small problem of the duality slides: 8 samples in the plane, whose dual constraint can be drawn."""

import numpy as np

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.lbfgs import train_lbfgs
from ecgcvx.baselines.problem import Problem
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram, relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.solution import Solution
from ecgcvx.types import Array

X = np.array(
    [[0.35, 0.82], [0.33, -1.3], [0.91, 0.45], [-0.54, 0.58], [0.36, 0.29], [0.03, 0.55], [-0.74, -0.16], [-0.48, 0.6]]
)
Y = np.array([0.04, -0.29, -0.78, -0.26, 0.01, -0.28, 1.29, 1.01])
BETA = 0.05
AGREE = 1e-6


def solve() -> tuple[ConvexProgram, Solution]:
    """Return the convex program over all patterns and its solution."""
    program = relu_program(PatternFeatures(X, enumerate_patterns(X)), Y, BETA)
    return program, CvxpySolver(gap=1e-9).solve(program)


def best_network(neurons: int, starts: int) -> float:
    """Return the lowest objective of a network over so many starts."""
    problem = Problem(Layers((X.shape[1], neurons, 1)), X, Y, BETA)
    runs = (train_lbfgs(problem, problem.layers.initial(np.random.default_rng(seed))) for seed in range(starts))
    return min(problem.objective(run.parameters) for run in runs)


def circle(count: int) -> tuple[Array, Array]:
    """Return angles round the circle, the kinks among them, and their directions."""
    kinks = np.arctan2(X[:, 1], X[:, 0])[:, None] + np.array([0.5, 1.5]) * np.pi
    angles = np.unique(np.r_[np.linspace(0, 2 * np.pi, count, endpoint=False), kinks.ravel() % (2 * np.pi)])
    return angles, np.column_stack([np.cos(angles), np.sin(angles)])
