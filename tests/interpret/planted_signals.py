"""Signals of a known piecewise-linear autoregression, and forecasters made by hand."""

import numpy as np
from two_layers import two_layers

from ecgcvx.forecaster import Forecaster
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import Recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.windows import Scaler, split_windows

RATE = 250.0
SCALER = Scaler(-0.2, 0.6)
# s[t + 1] = sum_j a_j (g_j's + c_j)_+ + innovation, on the last four samples s in mV, oldest first.
GATES = np.array([[0.6, 0.0, 0.0, 0.8], [0.0, 0.8, -0.6, 0.0]])
THRESHOLDS = np.array([-0.1, 0.1])
AMPLITUDES = np.array([0.8, -0.7])


def autoregression(n=24_000, seed=0, innovation=0.3):
    """A signal (n,) in mV."""
    noise = innovation * np.random.default_rng(seed).standard_normal(n)
    signal = np.zeros(n)
    for t in range(4, n):
        heights = GATES @ signal[t - 4 : t] + THRESHOLDS
        signal[t] = AMPLITUDES @ np.maximum(heights, 0.0) + noise[t]
    return signal


def recording_of(signal, name="planted", annotation=None):
    return Recording(np.asarray(signal, dtype=np.float64), RATE, "II", name, annotation)


def fitted(recording, beta, length=4):
    """The forecaster of the convex program over all patterns on the training part."""
    split = split_windows(recording.signal, length, 1)
    program = AllPatterns(split.train.X[:], split.train.y, beta)
    solution = ActiveSetSolver(gap=1e-3, rounds=30, confirm_starts=0).solve(program)
    network = program.family.network(solution.atoms)
    return Forecaster(network, split.scaler, "II", RATE, length, 1, beta)


def by_hand(network, length=4, horizon=2):
    return Forecaster(network, SCALER, "II", RATE, length, horizon, 1e-3)


def random_network(seed, neurons=6, length=4, gated=False):
    random = np.random.default_rng(seed)
    W1 = random.standard_normal((length + 1, neurons))
    gates = random.standard_normal(W1.shape) if gated else None
    return two_layers(W1, random.standard_normal(neurons), gates)


def noisy_signal(n=600, seed=0):
    random = np.random.default_rng(seed)
    return SCALER.restore(np.convolve(random.standard_normal(n + 8), np.ones(5) / np.sqrt(5), "same")[:n])
