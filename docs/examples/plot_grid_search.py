"""
Does it work in a grid search?
==============================

The estimators take their place in scikit-learn: a pipeline from signal to windows to network, searched with splits that
never train on the future.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ecgcvx
from ecgcvx.estimators import GatedReLURegressor

signal = ecgcvx.read_recording("../../data/mitdb208/208", end=60).signal
X = np.lib.stride_tricks.sliding_window_view(signal[:-1], 15)
y = signal[15:]

search = GridSearchCV(
    make_pipeline(StandardScaler(), GatedReLURegressor(n_patterns=20)),
    {"gatedreluregressor__beta": np.geomspace(1e-1, 1e-6, 6)},
    cv=TimeSeriesSplit(4),
    scoring="neg_root_mean_squared_error",
).fit(X, y)
best = search.best_estimator_[-1]
print(f"beta {best.beta:.0e}, {best.gap_.words}")

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
betas = np.array(search.cv_results_["param_gatedreluregressor__beta"], dtype=float)
axes.errorbar(betas, -search.cv_results_["mean_test_score"], search.cv_results_["std_test_score"], marker="o")
axes.set(xscale="log", xlabel="beta", ylabel="error in cross-validation (mV)")
plt.show()

assert best.gap_.relative < 1e-5
assert search.best_score_ >= search.cv_results_["mean_test_score"][0]
