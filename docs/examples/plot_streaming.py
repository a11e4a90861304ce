"""
Is the stream the same as the batch?
====================================

`StreamPredictor` takes one sample after the other. Its forecasts are the same bits as those of the whole record.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=20)
model = ecgcvx.fit(recording, "gated", patterns=20, beta=1e-4).forecaster
batch = model.predict(recording)

stream = ecgcvx.StreamPredictor(model)
one_by_one, microseconds = [], []
for sample in recording.signal.tolist():
    started = time.perf_counter_ns()
    one_by_one.append(stream.push(sample).prediction)
    microseconds.append((time.perf_counter_ns() - started) / 1e3)

# %%
# A push returns the forecast of the sample that comes `horizon` later.

ahead = np.array(one_by_one)[: -model.horizon]
known = np.isfinite(ahead)
assert (ahead[known] == batch[model.horizon :][known]).all()

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.hist(np.clip(microseconds, 0, np.percentile(microseconds, 99.5)), bins=60, color="C0")
axes.set(xlabel="microseconds a sample", ylabel="samples")
plt.show()
print(f"median {np.median(microseconds):.1f} us; a sample comes every {1e6 / recording.sampling_frequency:.0f} us")
