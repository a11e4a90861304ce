"""
What is a network with a quadratic activation?
==============================================

With s(t) = t^2 the whole network is one quadratic form of the window. The convex program finds it, and the gap is
proved by an eigenvalue.
"""

import matplotlib.pyplot as plt
import numpy as np

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208")
fitted = ecgcvx.fit(recording, "quadratic", beta=1e-4)
network = fitted.forecaster.network
form = (network.W1 * network.W2) @ network.W1.T
print(f"{network.neurons} neurons, {fitted.trained.gap.words}")

figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
size = np.abs(form).max()
image = axes.imshow(form, cmap="RdBu", vmin=-size, vmax=size)
axes.set(xlabel="sample of the window (last: the constant)", ylabel="sample of the window", title="x' Q x")
figure.colorbar(image, ax=axes)
plt.show()

train = ecgcvx.split_windows(recording.signal).train
X = np.asarray(train.X[0:1000])
assert np.allclose(np.einsum("ni,ij,nj->n", X, form, X), network.predict(X), atol=1e-10)
assert fitted.trained.gap.evidence.proved
