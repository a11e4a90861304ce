"""What the filters of a machine do, beat by beat: where they fire, what they add, and a beat that each decides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.classify.machine import STRIDE, Machine
from ecgcvx.classify.windows import BEFORE, RATE, BeatWindows, evenly
from ecgcvx.types import Array

MOST = 1500  # beats of a class that means are over


@dataclass(frozen=True, eq=False)
class FilterReading:
    """One filter of a machine; log-odds are the calibrated ones.

    template : (taps,) of norm 1. context : (11,) weights of the measures of `context.NAMES` and of the constant, on the
    same scale. sign : +1 where it speaks for the class. times : (K,) s from the R peak of the middle of each patch.
    fires : (2, K) what it adds to the log-odds there, mean over the others and over the class. adds : (2,) sums of
    these. example : a beat, rightly called, that it decides more than other filters do; peak : the patch where it fires
    most there. example_adds : to its log-odds.
    """

    template: Array
    context: Array
    sign: float
    times: Array
    fires: Array
    adds: Array
    example: int
    peak: int
    example_adds: float

    @property
    def tells(self) -> float:
        """By how much more it adds to the log-odds of the class than to those of the others."""
        return float(self.adds[1] - self.adds[0])


def read_filters(machine: Machine, windows: BeatWindows, positive: NDArray[np.bool_], right: NDArray[np.bool_]) -> list[
    FilterReading
]:  # fmt: skip
    """Return the filters of a machine, those first that tell the class from the others most.

    positive, right : (n,) which beats are of the class, and which were called rightly while their patient was left out.
    """
    network, taps = machine.network, machine.network.convolution.taps
    groups = [evenly(np.flatnonzero(of), MOST) for of in (~positive, positive)]
    scale = machine.slope * network.convolution.scale(network.columns) * network.W2
    maps = [network.maps(windows.subset(group).X) * scale for group in groups]
    means = np.stack([part.mean(axis=0) for part in maps])  # (2, K, m)
    sums = [part.sum(axis=1) for part in maps]
    K = means.shape[1]
    times: Array = (np.arange(K, dtype=np.float64) * STRIDE + (taps - 1) / 2 - BEFORE) / RATE
    out = []
    for j in range(network.neurons):
        weights = network.W1[:, j]
        norm = max(float(np.linalg.norm(weights[:taps])), 1e-300)
        side = 1 if network.W2[j] > 0 else 0
        candidates = np.flatnonzero(right[groups[side]])
        if not len(candidates):
            candidates = np.arange(len(groups[side]))
        others = np.abs(sums[side][candidates]).sum(axis=1)
        share = np.abs(sums[side][candidates, j]) ** 2 / np.maximum(others, 1e-300)
        best = int(candidates[np.argmax(share)])
        out.append(
            FilterReading(
                weights[:taps] / norm, weights[taps:] / norm, float(np.sign(network.W2[j])), times,
                means[:, :, j],
                means[:, :, j].sum(axis=1), int(groups[side][best]), int(np.argmax(np.abs(maps[side][best, :, j]))),
                float(sums[side][best, j]),
            )
        )  # fmt: skip
    return sorted(out, key=lambda one: -abs(one.tells))
