"""
What do the cone constraints cost?
==================================

Over given patterns the ReLU network needs (2D - I) X u >= 0, so that each neuron is on where its pattern says. Without
the cones it is a gated network, whose optimum is a lower bound.
"""

import matplotlib.pyplot as plt

import ecgcvx
from ecgcvx.arrangements import sample_patterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import gated_relu_program, relu_program
from ecgcvx.solvers.fista import FistaSolver

windows = ecgcvx.split_windows(ecgcvx.read_recording("../../data/mitdb208/208", end=30).signal).train
X, y = windows.X[:1000], windows.y[:1000]
objectives = {"gated": [], "ReLU": []}
counts = (2, 4, 6, 8, 10)
for count in counts:
    features = PatternFeatures(X, sample_patterns(X, count, seed=0))
    for name, program in (("gated", gated_relu_program), ("ReLU", relu_program)):
        solution = FistaSolver(gap=1e-4).solve(program(features, y, 1e-3))
        objectives[name].append(solution.primal)

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, values in objectives.items():
    axes.plot(counts, values, "o-", label=name)
axes.set(xlabel="sampled patterns", ylabel="optimal P")
axes.set_xticks(counts)
axes.legend()
plt.show()

for gated, relu in zip(objectives["gated"], objectives["ReLU"], strict=True):
    assert gated <= relu * (1 + 1e-3)
