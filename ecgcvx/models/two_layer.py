"""What two-layer networks have in common: f(x) = sum_j W2_j a_j(x) + x'linear, with one direction W1_j a neuron."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.models.units import Units
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import Layers, predict_rows
from ecgcvx.types import Array

CHUNK_ROWS = 1 << 13


@dataclass(frozen=True, eq=False)
class TwoLayerNetwork:
    """Weights of a two-layer network with m neurons on d inputs, the last of which is the constant 1.

    W1 : (d, m). W2 : (m,). linear : (d,) of a linear part, which no penalty shrinks; None without one. A row has the
    same output, bit for bit, in every batch (`rowwise`): a stream forecasts what a whole recording does.

    Raises InputError when the shapes do not fit together or a weight is not finite.
    """

    W1: Array
    W2: Array
    linear: Array | None = field(default=None, kw_only=True)

    activation: ClassVar[str] = ""
    stage_neurons: ClassVar[tuple[int, ...]] = ()

    def __post_init__(self) -> None:
        if self.W1.ndim != 2 or self.W2.shape != self.W1.shape[1:]:
            raise InputError(f"W1 {self.W1.shape} and W2 {self.W2.shape} do not fit; give (d, m) and (m,)")
        if self.linear is not None and self.linear.shape != self.W1.shape[:1]:
            raise InputError(f"linear {self.linear.shape} does not fit W1 {self.W1.shape}; give (d,)")
        for name, weights in self.tensors().items():
            if not np.isfinite(weights).all():
                raise InputError(f"{name} holds a number that is not finite; the training has failed")

    @property
    def neurons(self) -> int:
        """Number of neurons m."""
        return len(self.W2)

    @property
    def inputs(self) -> int:
        """Number of inputs d, the constant 1 among them."""
        return self.W1.shape[0]

    @property
    def switches(self) -> int:
        """Number of neurons that `active` tells of: m."""
        return self.neurons

    @cached_property
    def compiled(self) -> Layers:
        """The weights as the compiled passes over rows take them."""
        raise NotImplementedError

    def activations(self, X: Array) -> Array:
        """Return the output of the first layer (n, m) for rows X (n, d)."""
        raise NotImplementedError

    def active(self, rows: Array) -> NDArray[np.bool_]:
        """Return which neurons are on (n, m) for rows (n, d)."""
        raise NotImplementedError

    def units(self) -> Units:
        """Return one unit a neuron, with its gate and filter, and one for the linear part where there is one."""
        raise NotImplementedError

    def predict(self, X: Matrix) -> Array:
        """Return f (n,) for a matrix or lazy matrix X (n, d).

        Raises InputError when X has another number of columns.
        """
        if X.shape[1] != self.W1.shape[0]:
            raise InputError(f"X has {X.shape[1]} columns, but the network takes {self.W1.shape[0]} inputs")
        out = np.empty(X.shape[0])
        for start, rows in row_chunks(X, CHUNK_ROWS):
            predict_rows(rows, self.compiled, out[start : start + len(rows)])
        return out

    def price_rows(self, X: Matrix, v: Array) -> tuple[Matrix, Array]:
        """Return rows and weights (k,) whose two-layer price max |v'(Xw)_+|/k is that of this network's neurons."""
        return X, v

    def contributions(self, X: Matrix) -> Array:
        """Return what every stage adds to the forecast, (n, 1): the network is its only stage."""
        return self.predict(X)[:, None]

    def on_window(self) -> Self:
        """Return the two-layer network whose neurons act on the window: this one."""
        return self

    @property
    def directions(self) -> Array:
        """||W1_j|| (m,), by which the amplitude of a neuron is |W2_j| ||W1_j||."""
        return np.linalg.norm(self.W1, axis=0)

    def with_output_weights(self, W2: Array) -> Self:
        """Return the network with other output weights W2 (m,)."""
        return replace(self, W2=W2)

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that make the network, by name."""
        return {"W1": self.W1, "W2": self.W2} | ({} if self.linear is None else {"linear": self.linear})

    def attributes(self) -> dict[str, Any]:
        """Return what makes the network besides its arrays, as JSON has it."""
        return {}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        """Return the network of `tensors` and `attributes`.

        Raises KeyError, TypeError, ValueError or InputError when something is missing or does not fit.
        """
        return cls(tensors["W1"], tensors["W2"], linear=tensors.get("linear"))


def linear_of(network: Any) -> Array | None:
    """Return the weights (d,) of the free linear part of any network, None where there is none."""
    return network.linear if isinstance(network, TwoLayerNetwork) else None
