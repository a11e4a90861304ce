"""Filters of a convolutional network as templates: the shape each sees, its frequencies, where in the beat it fires."""

from dataclasses import dataclass

import numpy as np

from ecgcvx.beats import BIN_MS, SEGMENTS, BeatLabels, Beats, label_windows
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.filters import LinearFilter
from ecgcvx.interpretation.units import gate_in_mv
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.types import Array
from ecgcvx.windows import Windows

BLOCK = 16  # filters at a time
FREQUENCIES = 241  # from 0 Hz to half the sampling frequency, among which the peak is sought


@dataclass(frozen=True, eq=False)
class Template:
    """A filter of a convolutional network on the patches of some windows.

    number : of the filter in the network. share : of the penalty. filter : the taps (h,) of norm 1 that it is switched
    on by, mV per mV. shape_mv : (h,) mean of the patches that switch it on, weighted by its output, NaN where none
    does. weights : (G,) mV that the forecast gains in each segment for every mV of its output there. peak_hz : where
    its frequency response is largest. on : share of the patches that switch it on, by the place of their last sample:
    on_parts (4,) in the parts of the beat P, QRS, T and the rest, fires_mv (B,) its mean output in mV in bins of 10 ms
    from bins_ms (B,), their middles, from the R peak; None without beats.
    """

    number: int
    share: float
    filter: LinearFilter
    shape_mv: Array
    weights: Array
    peak_hz: float
    on: float
    on_parts: Array | None
    bins_ms: Array | None
    fires_mv: Array | None

    @property
    def fires_at_ms(self) -> float | None:
        """Where it puts out most, ms from the R peak; None without beats."""
        if self.fires_mv is None or self.bins_ms is None:
            return None
        return float(self.bins_ms[np.argmax(self.fires_mv)])


def filter_templates(forecaster: Forecaster, windows: Windows, beats: Beats | None) -> tuple[Template, ...]:
    """Return the filters of a forecaster's convolutional network, largest share of the penalty first.

    windows : of which the patches are taken. Nothing for another network, and for a gated one.
    """
    network = forecaster.network
    if not isinstance(network, ConvolutionalNetwork) or network.gates is not None or not network.neurons:
        return ()
    taps, stride = network.convolution.taps, network.convolution.stride
    reach = (network.convolution.count(network.columns) - 1) * stride
    patches = Windows(windows.signal, tuple((a, b + reach) for a, b in windows.runs), taps, 0)
    labels = None if beats is None else label_windows(beats, patches, forecaster.sampling_frequency)
    X = np.asarray(patches.X)
    lengths = np.linalg.norm(network.W1[:taps], axis=0)
    W2 = network.W2.reshape(-1, network.neurons)
    sizes = np.linalg.norm(network.W1, axis=0) * np.linalg.norm(W2, axis=0)
    order = np.argsort(-sizes, kind="stable")
    out = []
    for first in range(0, len(order), BLOCK):
        chosen = order[first : first + BLOCK]
        fired = np.maximum(X @ network.W1[:, chosen], 0.0)
        for j, z in zip(chosen, fired.T, strict=True):
            length = max(float(lengths[j]), 1e-300)
            found = gate_in_mv(forecaster, network.W1[:, j])
            weights = W2[:, j] * length * network.scales
            total = float(z.sum())
            shape = forecaster.scaler.restore(z @ X[:, :taps] / total) if total > 0 else np.full(taps, np.nan)
            out.append(
                Template(
                    int(j), float(sizes[j] / sizes.sum()), found, shape, weights, _peak(found), float((z > 0).mean()),
                    *_in_the_beat(z * (forecaster.scaler.scale / length), labels),
                )
            )  # fmt: skip
    return tuple(out)


def _peak(found: LinearFilter) -> float:
    frequencies = np.linspace(0, found.sampling_frequency / 2, FREQUENCIES)
    return float(frequencies[np.argmax(np.abs(found.frequency_response(frequencies)))])


def _in_the_beat(z: Array, labels: BeatLabels | None) -> tuple[Array | None, Array | None, Array | None]:
    """Shares of the parts of the beat in which it is on, the middles of the bins, and its mean output there."""
    if labels is None or not (labels.beat >= 0).any():
        return None, None, None
    known = labels.beat >= 0
    parts, bins, z = labels.segment[known], labels.bin[known], z[known]
    count = np.maximum(np.bincount(parts, minlength=len(SEGMENTS)), 1)
    on = np.bincount(parts, weights=z > 0, minlength=len(SEGMENTS)) / count
    size = np.bincount(bins)
    fires = np.bincount(bins, weights=z) / np.maximum(size, 1)
    middles = labels.bin_start + BIN_MS * (np.arange(len(size)) + 0.5)
    common = size >= size.max() / 2  # places that only long beats reach are not shown
    return on, middles[common], fires[common]
