"""Neurons as gates and linear filters: what an interpretation reads of a network.

On standardised rows x = ((s - mean)/scale, 1) a ReLU neuron is s_j |W2_j| 1[x'W1_j >= 0] x'W1_j: gate g_j = W1_j,
filter u_j = W2_j W1_j. A gated neuron has its own gate. A linear part x'a is one more unit behind the neurons: its gate
is that of the bias, which is on everywhere, its filter a. In mV, times the scale, filters add up to the forecast minus
the mean of the signal.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.activations import Polynomial
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class Units:
    """p patterns: gates (p, d) and filters (p, d) on standardised rows, and the neurons of each, heaviest first.

    linear : (p,) which is the linear part; its neuron is numbered behind those of the network. A unit of a polynomial
    network is on everywhere and puts out amplitude * activation(filter): amplitudes (p,), 0 for the linear part.
    """

    gates: Array
    filters: Array
    neurons: tuple[tuple[int, ...], ...]
    linear: NDArray[np.bool_]
    activation: Polynomial | None = None
    amplitudes: Array | None = None

    def __len__(self) -> int:
        return len(self.gates)

    @property
    def norms(self) -> Array:
        """Size (p,) of each in the penalty, of several neurons the size of their sum."""
        return np.linalg.norm(self.filters, axis=1) if self.amplitudes is None else np.abs(self.amplitudes)

    def on(self, rows: Array) -> NDArray[np.bool_]:
        """Which are on (n, p) in standardised rows (n, d)."""
        return rows @ self.gates.T >= 0

    def outputs(self, rows: Array, on: NDArray[Any]) -> Array:
        """What they add to the output of the network (n, p), given where they are on."""
        if self.activation is not None:
            assert self.amplitudes is not None
            heights = rows @ self.filters.T
            return np.where(self.linear, heights, self.activation(heights) * self.amplitudes)
        return (rows @ self.filters.T) * on

    def part(self, rows: Array, on: NDArray[Any], columns: slice) -> Array:
        """What of that comes of some columns of a row, not the last one, (n, p).

        A product of two columns counts half for each, one with the last one, the 1 of the bias, whole.
        """
        heights = rows[:, columns] @ self.filters[:, columns].T
        if self.activation is not None:
            assert self.amplitudes is not None
            slopes = self.activation.a * (rows @ self.filters.T + self.filters[:, -1]) + self.activation.b
            return np.where(self.linear, heights, heights * slopes * self.amplitudes)
        return heights * on

    def subset(self, chosen: NDArray[np.intp]) -> "Units":
        """The units of an index array, in that order."""
        return Units(
            self.gates[chosen], self.filters[chosen], tuple(self.neurons[i] for i in chosen), self.linear[chosen],
            self.activation, None if self.amplitudes is None else self.amplitudes[chosen],
        )  # fmt: skip


def switched(gates: Array, filters: Array, linear: Array | None) -> Units:
    """Return the units of neurons with gates and filters (m, d), and of a linear part (d,) behind them."""
    m, d = gates.shape
    if linear is not None:
        gates, filters = np.concatenate([gates, np.eye(d)[-1:]]), np.concatenate([filters, linear[None]])
    p = len(gates)
    gates, filters = np.ascontiguousarray(gates), np.ascontiguousarray(filters)
    return Units(gates, filters, tuple((j,) for j in range(p)), np.arange(p) >= m)
