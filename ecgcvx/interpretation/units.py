"""The neurons of a forecaster with the same pattern on given windows as one unit, in mV."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.filters import LinearFilter, QuadraticForm
from ecgcvx.models import PolynomialNetwork
from ecgcvx.models.units import Units
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 18  # rows x units of one product: 2 MB


def on_window(forecaster: Forecaster) -> Forecaster:
    """The forecaster with the two-layer network whose neurons act on the window: of a stack, its lowest stage."""
    return replace(forecaster, network=forecaster.network.on_window())


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
        np.array([units.linear[m].any() for m in members], dtype=np.bool_),
    )
    silent = tuple(k for j in sorted(set(range(len(units))) - set(alive)) for k in units.neurons[j])
    return grouped, silent, opposite


def scaling(forecaster: Forecaster, samples: int) -> tuple[Array, Array]:
    """Return mean and scale (samples,) in mV of the samples in a row; of joined leads that of as many of each."""
    every = forecaster.scaler.columns(samples // len(forecaster.leads))
    mean, scale = (np.broadcast_to(one, samples) for one in every)
    return mean, scale


def filter_of(forecaster: Forecaster, taps: Array, bias: float) -> LinearFilter:
    """Return the filter of the taps (d - 1,) of a row in mV."""
    return LinearFilter.of_row(taps, bias, forecaster.sampling_frequency, len(forecaster.leads))


def in_mv(forecaster: Forecaster, weights: Array) -> LinearFilter:
    """Return the filter in mV of weights (d,) on standardised rows whose output times the scale is in mV."""
    (mean, scale), own = scaling(forecaster, len(weights) - 1), forecaster.scaler.scale
    taps = weights[:-1] * (own / scale)
    return filter_of(forecaster, taps, float(own * weights[-1] - mean @ taps))


def gate_in_mv(forecaster: Forecaster, gate: Array) -> LinearFilter:
    """Return the gate (d,) with taps of norm 1, of all leads together; a gate of the bias alone keeps its sign."""
    size = float(np.linalg.norm(in_mv(forecaster, gate).row)) or abs(float(gate[-1])) or 1.0
    return in_mv(forecaster, gate / size)


def quadratic_form(network: PolynomialNetwork, forecaster: Forecaster) -> QuadraticForm:
    """Return the forecast in mV of a polynomial network as one quadratic form of the window in mV."""
    scaler, (mean, scale) = forecaster.scaler, scaling(forecaster, len(network.W1) - 1)
    a, b, c = network.polynomial
    T = network.W1[:-1] / scale[:, None]  # z = T's + shift
    shift = network.W1[-1] - mean @ T
    W2 = scaler.scale * network.W2
    constant = scaler.mean + float(W2 @ ((a * shift + b) * shift + c))
    taps = T @ (W2 * (2 * a * shift + b))
    if network.linear is not None:
        beside = in_mv(forecaster, network.linear)
        taps, constant = taps + beside.row, constant + beside.bias
    return QuadraticForm((T * (a * W2)) @ T.T, filter_of(forecaster, taps, constant))
