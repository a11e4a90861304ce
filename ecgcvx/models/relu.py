"""The two-layer ReLU network f(x) = sum_j W2_j (x'W1_j)_+, a linear part beside it or none."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ecgcvx.models.two_layer import TwoLayerNetwork
from ecgcvx.models.units import Units, switched
from ecgcvx.rowwise import Layers, layers, product
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class ReluNetwork(TwoLayerNetwork):
    """f(x) = sum_j W2_j (x'W1_j)_+ with W1 (d, m), W2 (m,). Source: Pilanci & Ergen 2020."""

    activation: ClassVar[str] = "relu"

    @cached_property
    def compiled(self) -> Layers:
        return layers(self.W1, self.W2, linear=self.linear)

    def activations(self, X: Array) -> Array:
        return np.maximum(product(X, self.W1), 0.0)

    def active(self, rows: Array) -> NDArray[np.bool_]:
        return product(rows, self.W1) > 0

    def units(self) -> Units:
        return switched(self.W1.T, (self.W1 * self.W2).T, self.linear)
