"""Any network as what every target can write: a mean of members, each a sum of stages on what is below them.

    h = (x, 1),   phi = M'h,   f = f + w'phi + sum_j W2_j a_j(phi),   h = (h, a)     for each stage in turn

A two-layer network is one member of one stage without M, and without w unless it has a linear part.
"""

from dataclasses import dataclass

from ecgcvx.activations import Polynomial
from ecgcvx.errors import ModelError
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork, Stack
from ecgcvx.models.model import Model
from ecgcvx.types import Array


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
    if type(network) is ReluNetwork:
        return ((Part(network.W1, network.W2, linear=network.linear),),)
    raise ModelError(f"network = {network.activation!r}: it cannot be exported to this target; export it to numpy")
