"""
What does a second layer bring?
===============================

A stack puts a second convex network on the activations of the first. Each stage has a gap of its own; the stack as a
whole has none.
"""

import matplotlib.pyplot as plt

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=60)
two_layers = ecgcvx.fit(recording, "gated", patterns=40, beta=1e-5)
stack = ecgcvx.fit(recording, "stack", confirm_starts=20)
print(stack.trained.gap.words)
errors = {score.name: score.test_rmse_mv for score in stack.scores if score.name != "persistence"}
errors = {"linear": errors["linear_ar"], "gated, two layers": two_layers.scores[-1].test_rmse_mv,
          "backprop, two layers": errors["backprop_adam"], "stack": errors["convex"]}  # fmt: skip

figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
bars = axes.barh(list(errors), list(errors.values()), color=["0.7", "0.5", "0.5", "C0"])
axes.bar_label(bars, fmt="%.4f", padding=3)
axes.set(xlabel="test error (mV), one minute of record 208", xlim=(0, 1.15 * max(errors.values())))
axes.invert_yaxis()
plt.show()

assert errors["stack"] < errors["linear"]
