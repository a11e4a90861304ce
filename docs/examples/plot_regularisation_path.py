"""
Which penalty should I take?
============================

Along falling beta the network gains neurons and loses error. The validation part chooses.
"""

import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

import ecgcvx

recording = ecgcvx.read_recording("../../data/mitdb208/208", end=120)
path = ecgcvx.regularisation_path(recording, "gated", patterns=50, betas=9, ratio=1e-4)
for point in path.points:
    print(f"beta {point.beta:.1e}: {point.neurons:3} neurons, validation {point.validation_rmse_mv:.4f} mV")

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
betas = [point.beta for point in path.points]
left.semilogx(betas, [point.validation_rmse_mv for point in path.points], "o-", label="validation")
left.semilogx(betas, [point.train_rmse_mv for point in path.points], "o-", label="training")
left.axvline(path.chosen.beta, color="0.6", linestyle=":")
left.set(xlabel="beta", ylabel="error (mV)")
left.legend()
right.semilogx(betas, [point.neurons for point in path.points], "o-", color="C2")
right.set(xlabel="beta", ylabel="active neurons")
right.yaxis.set_major_locator(MaxNLocator(integer=True))
plt.show()

assert path.chosen.validation_rmse_mv == min(point.validation_rmse_mv for point in path.points)
