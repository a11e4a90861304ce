"""What a network does to a window in mV: linear filters with their responses, or the quadratic form of a polynomial.

The window s[t - L + 1], ..., s[t] of L samples predicts sample t + horizon. Responses refer to its last sample t: a
perfect forecast has a group delay of -horizon samples.

Of joined leads a row holds the windows of all (`ecgcvx.windows`), and a filter has one more filter for each of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class LinearFilter:
    """bias + sum_k taps[k] s[t - L + 1 + k] of the window that ends at sample t.

    taps : (L,), oldest sample first, in mV per mV. bias : mV. sampling_frequency : Hz. joined : what is added of the
    windows of the leads that stand before this one in a row, without a bias.
    """

    taps: Array
    bias: float
    sampling_frequency: float
    joined: "tuple[LinearFilter, ...]" = ()

    @classmethod
    def of_row(cls, taps: Array, bias: float, sampling_frequency: float, leads: int) -> "LinearFilter":
        """Return the filter of the taps (leads * L,) of a row."""
        *others, own = np.split(np.ascontiguousarray(taps), leads)
        return cls(own, bias, sampling_frequency, tuple(cls(other, 0.0, sampling_frequency) for other in others))

    @property
    def leads(self) -> "tuple[LinearFilter, ...]":
        """The filter of every lead, in the order of their windows in a row."""
        return (*self.joined, self)

    @property
    def row(self) -> Array:
        """The taps of all leads (leads * L,)."""
        return np.concatenate([one.taps for one in self.leads])

    def __call__(self, windows: Array) -> Array:
        """Return the output (n,) in mV for windows (n, L) in mV, of joined leads rows (n, leads * L)."""
        return windows @ self.row + self.bias

    @property
    def lags_ms(self) -> Array:
        """Time (L,) in ms of every sample of the impulse response after the impulse."""
        return np.arange(len(self.taps), dtype=np.float64) * (1e3 / self.sampling_frequency)

    @property
    def impulse_response(self) -> Array:
        """h (L,), mV per mV: what a single sample of 1 mV adds to the output 0, 1, ..., L - 1 samples later."""
        return self.taps[::-1]

    @property
    def dc_gain(self) -> float:
        """Sum of the taps, mV per mV: the response to a constant."""
        return float(self.taps.sum())

    def frequency_response(self, frequencies: Array) -> NDArray[np.complex128]:
        """Return H(f) = sum_n h[n] exp(-2 pi i f n / fs) (k,), mV per mV, at frequencies (k,) in Hz."""
        return self._kernel(frequencies) @ self.impulse_response

    def group_delay_ms(self, frequencies: Array) -> Array:
        """Return -d(phase)/d(2 pi f) (k,) in ms at frequencies (k,) in Hz; NaN where |H| < 1e-9 sum |h|."""
        E, h = self._kernel(frequencies), self.impulse_response
        H = E @ h
        seen = np.abs(H) > 1e-9 * np.abs(h).sum()
        delay = np.full(len(H), np.nan)
        delay[seen] = np.real((E[seen] @ (self.lags_ms * h)) / H[seen])
        return delay

    def _kernel(self, frequencies: Array) -> NDArray[np.complex128]:
        return np.exp(-2e-3j * np.pi * np.outer(frequencies, self.lags_ms))


@dataclass(frozen=True, eq=False)
class QuadraticForm:
    """s'Qs + linear(s), in mV, of a window s (L,) in mV: a network with a polynomial activation, as one formula.

    Of joined leads s is a row, and L its length. Q : (L, L), symmetric, in 1/mV, oldest sample first. linear : the
    rest, whose bias holds the mean of the signal.
    """

    Q: Array
    linear: LinearFilter

    def __call__(self, windows: Array) -> Array:
        """Return the forecast (n,) in mV for windows (n, L) in mV."""
        return np.einsum("ni,ij,nj->n", windows, self.Q, windows) + self.linear(windows)
