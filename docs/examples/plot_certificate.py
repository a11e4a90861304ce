"""
How do I know that it is the global optimum?
============================================

Branch and bound over the directions of a neuron proves a lower bound on the objective of every two-layer ReLU network,
of any width. It believes nothing of the training.
"""

import matplotlib.pyplot as plt

import ecgcvx
from ecgcvx.certificates import certify_bounded

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=60)
train = ecgcvx.split_windows(recording.signal).train
fitted = ecgcvx.fit(recording, beta=3e-2, gap=1e-4)
print(fitted.trained.gap.words)

bounds = []
proof = certify_bounded(
    fitted.forecaster.network, train.X, train.y, 3e-2, time_limit=6.0,
    callback=lambda best, target: bounds.append(best.gap),
)  # fmt: skip
print(f"proved: P <= {1 + proof.gap / (1 - proof.gap):.5f} times the optimum, {proof.detail}")

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.semilogy([100 * gap for gap in bounds], color="C0")
axes.axhline(100 * fitted.trained.gap.relative, color="C1", linestyle="--", label="searched, not proved")
axes.set(xlabel="steps of the proof", ylabel="proved gap (%)")
axes.legend()
plt.show()

assert fitted.trained.gap.relative <= proof.gap < 0.01
