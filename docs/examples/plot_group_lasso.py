"""
Which groups of columns does a group lasso keep?
================================================

The group lasso of the lecture is a public solver for any matrix. Along beta, whole blocks become exactly zero.
"""

import matplotlib.pyplot as plt
import numpy as np

from ecgcvx.programs.dense import DenseFeatures
from ecgcvx.programs.program import group_lasso_program
from ecgcvx.solvers.group_lasso import GroupLassoSolver

random = np.random.default_rng(0)
A = random.standard_normal((200, 40))
true = np.zeros(40)
true[:5], true[20:25] = 1.0, -0.5
y = A @ true + 0.5 * random.standard_normal(200)

program = group_lasso_program(DenseFeatures(A, 5), y, 1.0)
betas = program.largest_beta() * np.geomspace(1, 0.01, 25)
solver = GroupLassoSolver(gap=1e-8)
norms = np.array([np.linalg.norm(solver.solve(program.at(beta)).u, axis=1) for beta in betas])

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for group in range(8):
    axes.semilogx(betas, norms[:, group], color={0: "C0", 4: "C1"}.get(group, "0.7"))
axes.set(xlabel="beta", ylabel="norm of each group of 5 columns", title="coloured: the two true groups")
plt.show()

middle = norms[len(betas) // 2]
assert set(np.flatnonzero(middle)) == {0, 4}
assert (norms[0] < 1e-6).all()
