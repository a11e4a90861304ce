"""Any network as what every target can write: a mean of members, each a sum of stages on what is below them.

    h = (x, 1),   phi = M'h,   f = f + w'phi + sum_j W2_j a_j(phi),   h = (h, a)     for each stage in turn

A two-layer network is one member of one stage without M, and without w unless it has a linear part. So is a
convolutional one, its filters written out at every patch. Of a three-layer network the inner neurons are a stage that
adds nothing to f, the outer ones the next.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ecgcvx.activations import Polynomial
from ecgcvx.errors import ModelError
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork, Stack
from ecgcvx.models.batch_norm import FoldedNetwork
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.models.model import Model
from ecgcvx.models.three_layer import ThreeLayerNetwork
from ecgcvx.text import clean
from ecgcvx.types import Array

if TYPE_CHECKING:
    from ecgcvx.forecaster import Forecaster


@dataclass(frozen=True, eq=False)
class Part:
    """One stage.

    W1 : (q, m). W2 : (m,). gates : (q, m) of gated neurons a = 1[phi'g >= 0] phi'W1. polynomial : (a, b, c) of neurons
    a = s(phi'W1); ReLU neurons have neither. projection : M (c, q), None for phi = h. linear : w (q,), None for 0.
    """

    W1: Array
    W2: Array
    gates: Array | None = None
    polynomial: Polynomial | None = None
    projection: Array | None = None
    linear: Array | None = None

    @property
    def features(self) -> int:
        """Number of features q."""
        return int(self.W1.shape[0])

    @property
    def neurons(self) -> int:
        """Number of neurons m."""
        return len(self.W2)


def parts_of(network: Model) -> tuple[tuple[Part, ...], ...]:
    """Return the stages of every member; ModelError for a network that is made of something else."""
    if isinstance(network, Stack):
        return tuple(
            tuple(
                Part(stage.network.W1, stage.network.W2, projection=stage.projection, linear=stage.linear)
                for stage in member
            )
            for member in network.members
        )
    if isinstance(network, GatedNetwork):
        return ((Part(network.W1, network.W2, gates=network.gates, linear=network.linear),),)
    if isinstance(network, PolynomialNetwork):
        return ((Part(network.W1, network.W2, polynomial=network.polynomial, linear=network.linear),),)
    if isinstance(network, ConvolutionalNetwork):
        return ((_unrolled(network),),)
    if isinstance(network, ThreeLayerNetwork):
        return (_layers(network),)
    if type(network) is ReluNetwork or isinstance(network, FoldedNetwork):
        return ((Part(network.W1, network.W2, linear=network.linear),),)
    raise ModelError(f"network = {network.activation!r}: it cannot be exported to this target; export it to numpy")


def asked(forecaster: "Forecaster") -> str:
    """Return what a forecast is made from, in words."""
    if not forecaster.joined:
        return "The forecast in mV of a window in mV, oldest sample first."
    leads = ", ".join(clean(name) for name in forecaster.leads)
    return (
        f"The forecast of {clean(forecaster.lead)} in mV of the windows in mV of the leads {leads} at the same "
        "samples, one lead after another in this order, each oldest sample first."
    )


def _unrolled(network: ConvolutionalNetwork) -> Part:
    """The neurons of every filter at every patch."""

    def columns(filters: Array) -> Array:
        return network.unrolled(filters).reshape(network.columns, -1)

    gates = None if network.gates is None else columns(network.gates)
    return Part(columns(network.W1), network.unrolled_weights.ravel(), gates=gates)


def _layers(network: ThreeLayerNetwork) -> tuple[Part, Part]:
    """The inner neurons, and on (x, 1) and their outputs the outer ones; a linear inner neuron is in the latter."""
    m, k, d = network.Z.shape
    first = 1 if network.linear else 0
    inner = network.Z[:, first:].reshape(-1, d).T
    outer = np.zeros((d + inner.shape[1], m))
    if network.linear:
        outer[:d] = network.signs[:, 0] * network.Z[:, 0].T
    rows = d + np.arange(m)[:, None] * (k - first) + np.arange(k - first)
    outer[rows, np.arange(m)[:, None]] = network.signs[:, first:]
    return Part(np.ascontiguousarray(inner), np.zeros(inner.shape[1])), Part(outer, network.W2)
