"""
How do I forecast an ECG, and how good is it?
=============================================

A network with a polynomial activation is trained in a fraction of a second, and its optimum is proved.
"""

import matplotlib.pyplot as plt
import numpy as np

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208")
fitted = ecgcvx.fit(recording, "polynomial")
print(fitted.trained.gap.words)
errors = {score.name: score.test_rmse_mv for score in fitted.scores}
for name, error in errors.items():
    print(f"{name:14} {error:.4f} mV")

# %%
# The last fifth of the record was not trained on. Forecast and signal, and their difference.

rate = recording.sampling_frequency
forecast = fitted.forecaster.predict(recording)
shown = slice(round(270 * rate), round(273 * rate))
seconds = np.arange(len(forecast))[shown] / rate
figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(8, 4.5), height_ratios=(2, 1), layout="constrained")
upper.plot(seconds, recording.signal[shown], color="0.2", label="signal")
upper.plot(seconds, forecast[shown], color="C0", linewidth=1, label="forecast")
upper.set_ylabel("mV")
upper.legend(ncols=2, loc="lower right")
lower.plot(seconds, recording.signal[shown] - forecast[shown], color="C1", linewidth=1)
lower.set(xlabel="time (s)", ylabel="error (mV)")
plt.show()

# %%
# The gap is proved, and the network is ahead of the linear predictor.

assert fitted.trained.gap.evidence.proved
assert fitted.trained.gap.relative < 1e-8
assert errors["convex"] < errors["linear_ar"]
