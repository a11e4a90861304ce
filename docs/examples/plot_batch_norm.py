"""
Does batch normalisation change the optimum?
============================================

Batch norm before the ReLU is the two-layer program on whitened windows; after training it folds into a plain network.
"""

import matplotlib.pyplot as plt
import numpy as np

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=60)
plain = ecgcvx.fit(recording, beta=1e-2, gap=1e-2, confirm_starts=100)
normalised = ecgcvx.fit(recording, "batchnorm", beta=1e-2, gap=5e-2, confirm_starts=50, rounds=4)
for name, fitted in (("plain", plain), ("batch norm", normalised)):
    print(f"{name}: {fitted.trained.network.neurons} neurons, test {fitted.scores[-1].test_rmse_mv:.4f} mV")

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, fitted in (("plain", plain), ("batch norm", normalised)):
    forecast = fitted.forecaster.predict(recording)
    error = np.sort(np.abs(recording.signal - forecast)[(48 * 360) :])
    axes.plot(error, np.linspace(0, 1, len(error)), label=name)
axes.set(xlabel="error (mV)", ylabel="share of test samples below", xscale="log", xlim=(1e-4, 0.3))
axes.legend()
plt.show()

assert np.isfinite(normalised.scores[-1].test_rmse_mv)
