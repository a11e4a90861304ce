"""
Does the result depend on the initialisation?
=============================================

Backprop ends where its initialisation leads it. The convex program has one optimal value, and no run is below it.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.lbfgs import train_lbfgs
from ecgcvx.baselines.problem import Problem
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import relu_program
from ecgcvx.solvers.cvxpy_solver import CvxpySolver

random = np.random.default_rng(0)
X = np.column_stack([random.standard_normal((12, 2)), np.ones(12)])
y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2
beta = 1e-3

# %%
# All activation patterns of 12 points in the plane can be listed, so that the convex program is exact.

patterns = enumerate_patterns(X)
solution = CvxpySolver().solve(relu_program(PatternFeatures(X, patterns), y, beta))
print(f"{len(patterns)} patterns, P = {solution.primal:.6f}, relative gap {solution.gap:.0e}")

# %%
# The same objective by L-BFGS from 20 initialisations, with 4 and with 64 neurons.

ends = {}
for neurons in (4, 64):
    problem = Problem(Layers((3, neurons, 1)), X, y, beta)
    starts = [problem.layers.initial(np.random.default_rng(seed)) for seed in range(20)]
    ends[neurons] = np.sort([problem.objective(train_lbfgs(problem, start).parameters) for start in starts])

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for neurons, values in ends.items():
    axes.semilogy(np.arange(1, 21), values, "o", markersize=4, label=f"L-BFGS, {neurons} neurons")
axes.axhline(solution.primal, color="C3", label="convex program")
axes.set(xlabel="run, best first", ylabel="objective P")
axes.xaxis.set_major_locator(MaxNLocator(integer=True))
axes.legend()
plt.show()

reached = {neurons: int((values < 1.01 * solution.primal).sum()) for neurons, values in ends.items()}
print("runs within 1 % of the optimum:", reached)
assert all(values.min() >= solution.primal * (1 - 1e-6) for values in ends.values())
assert reached[4] < reached[64]
