"""
How many activation patterns are there?
=======================================

The hyperplanes of n samples of rank r cut the weight space into at most 2 sum of binomials (n - 1 over k), k < r,
cells. Each is a pattern D_i = diag(1[Xw >= 0]). Their number is polynomial in n for fixed r, and explodes with r.
"""

import matplotlib.pyplot as plt
import numpy as np

from ecgcvx.arrangements import enumerate_patterns, pattern_bound

random = np.random.default_rng(0)
counts = {}
for rank, sizes in {2: (4, 8, 16, 32, 64), 3: (4, 8, 16, 24), 4: (4, 8, 12)}.items():
    counts[rank] = [(n, len(enumerate_patterns(random.standard_normal((n, rank))))) for n in sizes]

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for rank, found in counts.items():
    n, count = np.array(found).T
    axes.loglog(n, count, "o", label=f"rank {rank}, counted")
    axes.loglog(n, [pattern_bound(int(k), rank) for k in n], color=axes.lines[-1].get_color(), linewidth=1)
axes.set(xlabel="samples n", ylabel="patterns")
axes.set_xticks([4, 8, 16, 32, 64], ["4", "8", "16", "32", "64"])
axes.minorticks_off()
axes.legend(title="lines: the bound (Cover 1965)")
plt.show()

# %%
# Points in general position reach the bound (without the pattern that is on nowhere).

for rank, found in counts.items():
    for n, count in found:
        assert pattern_bound(n, rank) - 1 <= count <= pattern_bound(n, rank)
