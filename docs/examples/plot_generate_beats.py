"""
Can a convex program generate heartbeats?
=========================================

A Wasserstein GAN with a quadratic discriminator has a closed form: the singular values of the centred beats are soft
thresholded.
"""

import matplotlib.pyplot as plt
import numpy as np

import ecgcvx
from ecgcvx.gan import BeatGenerator, aligned_beats

beats = aligned_beats([ecgcvx.read_recording("../../data/mitdb208/208")]).matrix
generator = BeatGenerator.fit(beats, "linear")
drawn = generator.sample(5000, seed=0)

figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(8, 3.2), layout="constrained")
for axes, X, name in ((left, beats, "detected beats of record 208"), (right, drawn, "generated")):
    axes.plot(X[:40].T, color="0.75", linewidth=0.6)
    axes.plot(X.mean(axis=0), color="C0")
    axes.set(title=name, xlabel="sample")
left.set_ylabel("mV")
plt.show()

error = np.abs(np.cov(drawn.T) - np.cov(beats.T)).max() / np.abs(np.cov(beats.T)).max()
print(f"covariance of 5,000 drawn beats: largest error {100 * error:.1f} % of the largest entry")
assert np.abs(drawn.mean(axis=0) - beats.mean(axis=0)).max() < 0.2
assert error < 0.1
