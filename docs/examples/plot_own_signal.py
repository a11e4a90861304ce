"""
How do I use my own samples?
============================

Any array in mV with its sampling frequency will do, or a pandas Series with a time index. Missing samples are NaN: no
window reaches over them.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=60)
index = pd.to_timedelta(np.arange(len(recording.signal)) / recording.sampling_frequency, unit="s")
series = pd.Series(recording.signal, index=index, name="II")
series.iloc[5000:5040] = np.nan  # a loose electrode

fitted = ecgcvx.fit(series, "polynomial", beta=1e-4)
forecast = ecgcvx.predict(fitted.forecaster, series)

figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
shown = slice(4800, 5300)
axes.plot(index[shown].total_seconds(), series.iloc[shown], color="0.2", label="signal, with a gap")
axes.plot(index[shown].total_seconds(), forecast[shown], color="C0", linewidth=1, label="forecast")
axes.set(xlabel="time (s)", ylabel="mV")
axes.legend()
plt.show()

# %%
# The forecast begins again when a whole window of 15 samples is there.

assert np.isnan(forecast[5000 : 5040 + 15]).all()
assert np.isfinite(forecast[5040 + 15 :]).all()
