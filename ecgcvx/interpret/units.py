"""The neurons of a forecaster as gates and linear filters, those with the same pattern on given windows as one unit.

On standardised rows x = ((s - mean)/scale, 1) a ReLU neuron is s_j |W2_j| 1[x'W1_j >= 0] x'W1_j: gate g_j = W1_j,
filter u_j = W2_j W1_j. A gated neuron has its own gate. In mV, times the scale, filters add up to the forecast
minus the mean of the signal.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.activations import Polynomial
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpret.filters import LinearFilter, QuadraticForm
from ecgcvx.networks import Network
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.stacks.network import Stack
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 18  # rows x units of one product: 2 MB


@dataclass(frozen=True, eq=False)
class Units:
    """p patterns: gates (p, d) and filters (p, d) on standardised rows, and the neurons of each, heaviest first.

    A unit of a polynomial network is on everywhere and puts out amplitude * activation(filter): amplitudes (p,).
    """

    gates: Array
    filters: Array
    neurons: tuple[tuple[int, ...], ...]
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
            return self.activation(rows @ self.filters.T) * self.amplitudes
        return (rows @ self.filters.T) * on

    def subset(self, chosen: NDArray[np.intp]) -> "Units":
        """The units of an index array, in that order."""
        return Units(
            self.gates[chosen], self.filters[chosen], tuple(self.neurons[i] for i in chosen), self.activation,
            None if self.amplitudes is None else self.amplitudes[chosen],
        )  # fmt: skip


def on_window(forecaster: Forecaster) -> Forecaster:
    """The forecaster with the two-layer network whose neurons act on the window: of a stack, its lowest stage."""
    network = forecaster.network
    return replace(forecaster, network=network.lowest()) if isinstance(network, Stack) else forecaster


def units_of(network: Network) -> Units:
    """Return one unit a neuron, with its gate and filter."""
    neurons = tuple((j,) for j in range(network.neurons))
    if network.polynomial is not None:
        always = np.zeros_like(network.W1.T)
        always[:, -1] = 1.0  # the gate of the bias
        return Units(always, np.ascontiguousarray(network.W1.T), neurons, network.polynomial, network.W2)
    gates = (network.W1 if network.gates is None else network.gates).T
    return Units(np.ascontiguousarray(gates), np.ascontiguousarray((network.W1 * network.W2).T), neurons)


def group(units: Units, X: Matrix, seed: int = 0) -> tuple[Units, tuple[int, ...], NDArray[np.intp]]:
    """Add up the neurons that have the same pattern on X (n, d), in one pass; those of a polynomial network stay apart.

    Returns the units, the neurons that are on nowhere, and for every unit the index of the unit that is on exactly when
    it is off, -1 where there is none. Patterns are compared by three sums of random integers over the rows where they
    are on: equal patterns have equal sums, others with probability below 1e-17 a pair.
    """
    if units.activation is not None:
        return units, (), np.full(len(units), -1, dtype=np.intp)
    random = np.random.default_rng(seed)
    sums, whole = np.zeros((3, len(units))), np.zeros(3)
    count = np.zeros(len(units))
    for _, rows in row_chunks(X, CHUNK_ELEMENTS // max(len(units), 1)):
        # Below 2^20 each, so that up to 2^33 of them add up without rounding.
        marks = random.integers(1, 1 << 20, (3, len(rows))).astype(np.float64)
        on = units.on(rows).astype(np.float64)
        sums += marks @ on
        whole += marks.sum(axis=1)
        count += on.sum(axis=0)
    weights = units.norms
    alive = [int(j) for j in np.argsort(-weights, kind="stable") if count[j] and weights[j]]
    found: dict[tuple[float, ...], list[int]] = {}
    for j in alive:
        found.setdefault(tuple(sums[:, j]), []).append(j)
    place = {key: i for i, key in enumerate(found)}
    opposite = np.array([place.get(tuple(whole - np.array(key)), -1) for key in found], dtype=np.intp)
    members = list(found.values())
    heaviest = np.array([m[0] for m in members], dtype=np.intp)
    grouped = Units(
        units.gates[heaviest],
        np.array([units.filters[m].sum(axis=0) for m in members]).reshape(-1, units.filters.shape[1]),
        tuple(tuple(k for j in m for k in units.neurons[j]) for m in members),
    )
    silent = tuple(k for j in sorted(set(range(len(units))) - set(alive)) for k in units.neurons[j])
    return grouped, silent, opposite


def in_mv(forecaster: Forecaster, weights: Array) -> LinearFilter:
    """Return the filter in mV of weights (d,) on standardised rows whose output times the scale is in mV."""
    scaler = forecaster.scaler
    taps = np.ascontiguousarray(weights[:-1])
    return LinearFilter(
        taps, float(scaler.scale * weights[-1] - scaler.mean * taps.sum()), forecaster.sampling_frequency
    )


def gate_in_mv(forecaster: Forecaster, gate: Array) -> LinearFilter:
    """Return the gate (d,) with taps of norm 1; a gate of the bias alone keeps its sign."""
    size = float(np.linalg.norm(gate[:-1])) or abs(float(gate[-1])) or 1.0
    return in_mv(forecaster, gate / size)


def quadratic_form(forecaster: Forecaster) -> QuadraticForm:
    """Return the forecast in mV of a polynomial network as one quadratic form of the window in mV."""
    network, scaler = forecaster.two_layers, forecaster.scaler
    assert network.polynomial is not None
    a, b, c = network.polynomial
    T = network.W1[:-1] / scaler.scale  # z = T's + shift
    shift = network.W1[-1] - scaler.mean * T.sum(axis=0)
    W2 = scaler.scale * network.W2
    constant = scaler.mean + float(W2 @ ((a * shift + b) * shift + c))
    linear = LinearFilter(T @ (W2 * (2 * a * shift + b)), constant, forecaster.sampling_frequency)
    return QuadraticForm((T * (a * W2)) @ T.T, linear)
