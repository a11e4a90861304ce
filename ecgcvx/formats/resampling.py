"""Another sampling frequency, by polyphase filtering; what a gap touches becomes gap."""

from fractions import Fraction

import numpy as np

from ecgcvx.errors import RecordError
from ecgcvx.formats.shared import check_frequency
from ecgcvx.types import Array

LARGEST_FACTOR = 20_000
HALF_LENGTH = 10  # of the filter, in samples of the slower of the two frequencies


def ratio(frequency: float, target: float, source: str) -> Fraction:
    """Return target / frequency as a fraction of small numbers; RecordError when there is none."""
    check_frequency(target, source, "give resample in Hz")
    found = Fraction(target / frequency).limit_denominator(LARGEST_FACTOR)
    if found.numerator > LARGEST_FACTOR or found == 0 or abs(float(found) * frequency / target - 1) > 1e-9:
        raise RecordError(
            f"{source}: {frequency:.10g} Hz cannot be resampled to {target:.10g} Hz, their ratio is no fraction of "
            f"numbers up to {LARGEST_FACTOR:,}; choose another resample"
        )
    return found


def resample(signal: Array, share: Fraction) -> Array:
    """Return a signal (n,) at `share` times its sampling frequency, its first sample where it was.

    Linear-phase low-pass at the lower of the two Nyquist frequencies (Kaiser window, beta 5), as
    `scipy.signal.resample_poly`. A new sample whose filter reaches a missing one is missing.
    """
    from scipy.signal import resample_poly

    valid = np.isfinite(signal)
    filled = signal if valid.all() else np.interp(np.arange(len(signal)), np.flatnonzero(valid), signal[valid])
    up, down = share.numerator, share.denominator
    out: Array = resample_poly(filled, up, down, padtype="line")
    if valid.all():
        return out
    reach = HALF_LENGTH * max(1.0, down / up)  # in samples of the signal
    edges = np.flatnonzero(np.diff(np.r_[False, ~valid, False].astype(np.int8))).reshape(-1, 2)
    for first, stop in edges:
        low = int(np.ceil((first - reach) * up / down))
        high = int(np.floor((stop - 1 + reach) * up / down)) + 1
        out[max(low, 0) : max(high, 0)] = np.nan
    return out
