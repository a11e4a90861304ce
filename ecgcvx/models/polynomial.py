"""The network with a polynomial activation, f(x) = sum_j W2_j s(x'W1_j), s(t) = a t^2 + b t + c."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.activations import Polynomial
from ecgcvx.json_values import number
from ecgcvx.models.two_layer import TwoLayerNetwork
from ecgcvx.models.units import Units, switched
from ecgcvx.rowwise import Layers, layers, product
from ecgcvx.types import Array


@dataclass(frozen=True, eq=False)
class PolynomialNetwork(TwoLayerNetwork):
    """f(x) = sum_j W2_j s(x'W1_j), s(t) = a t^2 + b t + c. Source: Bartan & Pilanci 2021."""

    polynomial: Polynomial

    activation: ClassVar[str] = "polynomial"

    @cached_property
    def compiled(self) -> Layers:
        return layers(self.W1, self.W2, polynomial=self.polynomial, linear=self.linear)

    def activations(self, X: Array) -> Array:
        return self.polynomial(product(X, self.W1))

    def active(self, rows: Array) -> NDArray[np.bool_]:
        return np.ones((len(rows), self.neurons), dtype=np.bool_)

    @property
    def directions(self) -> Array:
        """Ones (m,): the activation is not homogeneous, so that the amplitude of a neuron is |W2_j|."""
        return np.ones(self.neurons)

    def units(self) -> Units:
        always = np.zeros_like(self.W1.T)
        always[:, -1] = 1.0  # the gate of the bias
        found = switched(always, self.W1.T, self.linear)
        amplitudes = np.append(self.W2, np.zeros(len(found) - self.neurons))
        return replace(found, activation=self.polynomial, amplitudes=amplitudes)

    def attributes(self) -> dict[str, Any]:
        return {"polynomial": list(self.polynomial)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        a, b, c = (number(one, "polynomial") for one in attributes["polynomial"])
        return cls(tensors["W1"], tensors["W2"], Polynomial(a, b, c), linear=tensors.get("linear"))
