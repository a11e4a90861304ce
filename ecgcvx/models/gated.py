"""The gated ReLU network f(x) = sum_j W2_j 1[x'g_j >= 0] x'W1_j."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.models.two_layer import TwoLayerNetwork
from ecgcvx.models.units import Units, switched
from ecgcvx.rowwise import Layers, layers, product
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class GatedNetwork(TwoLayerNetwork):
    """f(x) = sum_j W2_j 1[x'g_j >= 0] x'W1_j with gates (d, m), one a neuron. Source: Mishkin et al. 2022."""

    gates: Array

    activation: ClassVar[str] = "gated"

    def __post_init__(self) -> None:
        if self.gates.shape != self.W1.shape:
            raise InputError(f"gates {self.gates.shape} do not fit W1 {self.W1.shape}; give one gate a neuron")
        super().__post_init__()

    @cached_property
    def compiled(self) -> Layers:
        return layers(self.W1, self.W2, self.gates, linear=self.linear)

    def activations(self, X: Array) -> Array:
        return np.where(self.active(X), product(X, self.W1), 0.0)

    def active(self, rows: Array) -> NDArray[np.bool_]:
        return product(rows, self.gates) >= 0

    def units(self) -> Units:
        return switched(self.gates.T, (self.W1 * self.W2).T, self.linear)

    def tensors(self) -> dict[str, Array]:
        return {**super().tensors(), "gates": self.gates}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        return cls(tensors["W1"], tensors["W2"], tensors["gates"], linear=tensors.get("linear"))
