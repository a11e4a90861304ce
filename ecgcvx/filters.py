"""Zero-phase filters of signals that have gaps."""

from typing import Any

import numpy as np
from scipy.signal import sosfiltfilt

from ecgcvx.types import Array


def between_gaps(signal: Array, sos: Any, shortest: float) -> Array:
    """Return signal (n,) filtered forwards and backwards by second-order sections, each stretch between gaps alone.

    A gap is a run of NaN. Stretches of fewer than `shortest` samples become NaN.
    """
    out = np.full(len(signal), np.nan)
    valid = np.concatenate([[False], np.isfinite(signal), [False]])
    for a, b in np.flatnonzero(valid[1:] != valid[:-1]).reshape(-1, 2):
        if b - a >= shortest:
            out[a:b] = sosfiltfilt(sos, signal[a:b])
    return out
