"""
Are planted neurons found?
==========================

Targets of a network of two ReLU neurons: the active set over all patterns returns these two.
"""

import matplotlib.pyplot as plt
import numpy as np

import ecgcvx
from ecgcvx.programs.all_patterns import AllPatterns

random = np.random.default_rng(3)
X = np.column_stack([random.standard_normal((400, 2)), np.ones(400)])
planted = np.array([[1.0, 0.5, -0.2], [-0.6, 1.0, 0.3]]).T
y = np.maximum(X @ planted, 0).sum(axis=1)

solution = ecgcvx.solve(AllPatterns(X, y, 1e-5), gap=1e-6)
found = solution.atoms.points.T
cosines = np.abs((planted / np.linalg.norm(planted, axis=0)).T @ (found / np.linalg.norm(found, axis=0)))
print(f"{found.shape[1]} neurons; cosines with the planted ones {cosines.max(axis=1).round(6)}")

figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axes.scatter(X[:, 0], X[:, 1], c=y, s=12, cmap="Blues")
line = np.linspace(-3.5, 3.5, 2)
for w, colour, width, label in ((planted, "#f2b880", 5, "planted"), (found, "C0", 1.2, "found")):
    for k in range(w.shape[1]):
        at = -(w[0, k] * line + w[2, k]) / w[1, k]
        axes.plot(line, at, color=colour, linewidth=width, label=label if k == 0 else None)
axes.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), title="where each neuron switches", xlabel="$x_1$", ylabel="$x_2$")
axes.legend()
plt.show()

assert cosines.max(axis=1).min() > 0.999
