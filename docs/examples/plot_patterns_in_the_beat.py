"""
What does a neuron do, and where in the beat?
=============================================

Each active pattern is a switch with a linear filter. The interpretation says when it is on, and what it then adds.
"""

import matplotlib.pyplot as plt

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=120)
fitted = ecgcvx.fit(recording, beta=3e-3, gap=1e-2, confirm_starts=300)
reading = ecgcvx.interpret(fitted.forecaster, recording, top=6, refitting=None)
print(reading.table[["explained_variance_drop", "coverage", "on_qrs", "on_t"]].head(6).round(3))

beat = reading.beat_averages[0]
figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(7, 4.5), layout="constrained")
upper.plot(beat.offsets_ms, beat.mean_mv, color="0.2")
upper.fill_between(beat.offsets_ms, beat.mean_mv - beat.sd_mv, beat.mean_mv + beat.sd_mv, color="0.85")
upper.set_ylabel(f"mean of {beat.count} beats (mV)")
image = lower.pcolormesh(beat.offsets_ms, range(1, len(beat.on) + 1), beat.on, cmap="Blues", vmin=0, vmax=1)
lower.set(xlabel="time from the R peak (ms)", ylabel="pattern")
lower.invert_yaxis()
figure.colorbar(image, ax=lower, label="share of beats with it on")
plt.show()

# %%
# The filters of the patterns and the mean add up to the forecast.

shares = reading.table["variance_share"].sum()
print(f"the variance shares add up to {shares:.6f}")
assert abs(shares - 1) < 1e-6
