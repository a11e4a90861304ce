"""One forecast as the exact sum of what its active patterns add, each a linear term, and how far every gate is.

A network of ReLUs is linear where no gate changes: with the row x (d,), the last entry of which is 1,

    f(x) = sum_j v_j,    v_j = 1[pattern j is on] u_j'x

Gates of the first layer are linear in x, g_j'x. Those of deeper layers are linear as long as the gates below stay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class Terms:
    """p patterns of a network at a row x (d,): names, and what each adds.

    values (p,) : v_j, which add up to f(x). filters (p, d) : u_j; of a polynomial neuron the gradient of v_j. on (p,).
    gates (p, d) and heights (p,) : the gate that is nearest to a change and its value g_j'x; zero and infinite where
    there is none. deep (p,) : whether the gate lies above others, so that it is linear only while these stay.
    """

    names: tuple[str, ...]
    values: Array
    filters: Array
    on: NDArray[np.bool_]
    gates: Array
    heights: Array
    deep: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)


def terms_of(network: Any, x: Array) -> Terms:
    """Return the terms of any network at a row x (d,)."""
    for name, taken in TAKEN_APART.items():
        if hasattr(network, name):
            return taken(network, x)
    return _two_layer(network, x)


def _two_layer(network: Any, x: Array) -> Terms:
    """A pattern is a neuron; the linear part, where there is one, is always on."""
    units = network.units()
    row = x[None]
    on = units.on(row)[0]
    values = units.outputs(row, on[None])[0]
    smooth = units.activation is not None
    word = "neuron" if smooth else "pattern"
    names = tuple("linear part" if units.linear[j] else f"{word} {j + 1}" for j in range(len(units)))
    none = np.zeros(len(units), dtype=bool)
    if not smooth:
        return Terms(names, values, units.filters, on, units.gates, units.gates @ x, none)
    a, b, _ = units.activation
    slopes = np.where(units.linear, 1.0, units.amplitudes * (2 * a * (units.filters @ x) + b))
    return Terms(
        names, values, slopes[:, None] * units.filters, ~none, np.zeros_like(units.filters),
        np.full(len(units), np.inf), none,
    )  # fmt: skip


def _convolutional(network: Any, x: Array) -> Terms:
    """A pattern is a filter, on in some of its patches; its gate is that of the patch nearest to a change."""
    W1, W2 = network.unrolled(network.W1), network.unrolled_weights
    gates = W1 if network.gates is None else network.unrolled(network.gates)
    heights = np.einsum("dkm,d->km", gates, x)
    on = heights > 0 if network.gates is None else heights >= 0
    filters = np.einsum("dkm,km->md", W1, np.where(on, W2, 0.0))
    nearest = np.argmin(np.abs(heights) / np.maximum(np.linalg.norm(gates[:-1], axis=0), 1e-300), axis=0)
    places = np.arange(network.neurons)
    names = tuple(f"filter {j + 1}, on in {count} of {len(on)} patches" for j, count in enumerate(on.sum(axis=0)))
    none = np.zeros(len(places), dtype=bool)
    own = np.ascontiguousarray(gates[:, nearest, places].T)
    return Terms(names, filters @ x, filters, on.any(axis=0), own, heights[nearest, places], none)


def _three_layer(network: Any, x: Array) -> Terms:
    """A pattern is an outer neuron; its gate is the nearest one of its own and those of its inner neurons."""
    inner = network.Z @ x  # (m, k)
    on = inner > 0
    if network.linear:
        on[:, 0] = True
    outer = np.einsum("mk,mkd->md", np.where(on, network.signs, 0.0), network.Z)
    heights = outer @ x
    active = heights > 0
    every = np.concatenate([outer[:, None], network.Z[:, int(network.linear) :]], axis=1)
    sizes = np.concatenate([heights[:, None], inner[:, int(network.linear) :]], axis=1)
    steep = np.linalg.norm(every[:, :, :-1], axis=2)
    nearest = np.argmin(np.abs(sizes) / np.maximum(steep, 1e-300), axis=1)
    rows = np.arange(network.neurons)
    filters = (network.W2 * active)[:, None] * outer
    names = tuple(f"outer neuron {j + 1}" for j in rows)
    return Terms(names, filters @ x, filters, active, every[rows, nearest], sizes[rows, nearest], nearest == 0)


def _stack(network: Any, x: Array) -> Terms:
    """The linear term and the patterns of every stage of every member, all as functions of the row."""
    share = 1 / len(network.members)
    names: list[str] = []
    filters, gates, deep, gated = [], [], [], []
    for k, member in enumerate(network.members):
        below = np.eye(len(x))  # gradients of the columns that the next stage sees
        for s, stage in enumerate(member):
            where = f"stage {s + 1}" + (f" of member {k + 1}" if len(network.members) > 1 else "")
            features = stage.projection.T @ below
            names.append(f"{where}, linear")
            filters.append(share * (stage.linear @ features)[None])
            gates.append(np.zeros((1, len(x))))
            gated.append(np.zeros(1, dtype=bool))
            own = stage.network.W1.T @ features
            on = own @ x > 0
            names += [f"{where}, pattern {j + 1}" for j in range(len(on))]
            filters.append(share * stage.network.W2[:, None] * own)
            gates.append(own)
            gated.append(np.ones(len(on), dtype=bool))
            deep.append(np.full(len(on) + 1, s > 0))
            below = np.concatenate([below, on[:, None] * own])
    u, g, known = np.concatenate(filters), np.concatenate(gates), np.concatenate(gated)
    on = ~known | (g @ x > 0)
    heights = np.where(known, g @ x, np.inf)
    return Terms(tuple(names), np.where(on, u @ x, 0.0), u, on, g, heights, np.concatenate(deep))


TAKEN_APART: dict[str, Callable[[Any, Array], Terms]] = {
    "members": _stack, "Z": _three_layer, "convolution": _convolutional
}  # fmt: skip
"""By what a network has: a stack its members, three layers their tensor of neurons, a convolution its filters."""
