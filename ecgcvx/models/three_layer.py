"""The three-layer network f(x) = sum_j W2_j (sum_l e_jl (x'Z_jl)_+)_+ of outer neurons with k inner neurons each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.json_values import truth
from ecgcvx.models.relu import ReluNetwork
from ecgcvx.models.units import Units
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.programs.three_layer import TupleFeatures
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import product
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 18  # of the outputs of all inner neurons for a chunk of rows: 2 MB


@dataclass(frozen=True, eq=False)
class ThreeLayerNetwork:
    """m outer neurons of k inner ones: Z (m, k, d), inner signs e (m, k) of +1 and -1, output weights W2 (m,).

    With linear, the first inner neuron of each is x'Z_j1 without a ReLU.

    Raises InputError when the shapes do not fit together or a weight is not finite.

    Source: Ergen & Pilanci 2021 (beyond two layers).
    """

    Z: Array
    signs: Array
    W2: Array
    linear: bool

    activation: ClassVar[str] = "three-layer"
    compiled: ClassVar[None] = None
    stage_neurons: ClassVar[tuple[int, ...]] = ()

    def __post_init__(self) -> None:
        if self.Z.ndim != 3 or self.signs.shape != self.Z.shape[:2] or self.W2.shape != self.Z.shape[:1]:
            raise InputError(
                f"Z {self.Z.shape}, signs {self.signs.shape} and W2 {self.W2.shape} do not fit; give (m, k, d), (m, k) "
                "and (m,)"
            )
        for name, weights in self.tensors().items():
            if not np.isfinite(weights).all():
                raise InputError(f"{name} holds a number that is not finite; the training has failed")

    @classmethod
    def of_neurons(cls, z: Array, inner: Array, signs: Array, linear: bool) -> Self:
        """The balanced network of z (m, k, d), none zero, inner signs (m, k) and output signs (m,)."""
        roots = np.sqrt(np.linalg.norm(z, axis=(1, 2)))
        return cls(z / roots[:, None, None], inner, signs * roots, linear)

    @classmethod
    def of_variables(cls, program: ConvexProgram, u: Array) -> Self:
        """The network of a three-layer program's variables u (g, k d), zeros left out.

        Raises InputError for a program of another network, and for a gated one.
        """
        features = program.features
        if not isinstance(features, TupleFeatures) or not program.cones:
            raise InputError(f"program: give one with cones over tuples, not with {type(features).__name__}")
        active = np.flatnonzero(np.linalg.norm(u, axis=1))
        blocks, tuples = program.blocks[active], features.tuples
        z = u[active].reshape(len(active), *tuples.points.shape[1:])
        return cls.of_neurons(z, tuples.signs[blocks], program.signs[active], tuples.linear)

    @property
    def neurons(self) -> int:
        """Number of outer neurons m."""
        return len(self.W2)

    @property
    def inner(self) -> int:
        """Inner neurons k of each."""
        return self.Z.shape[1]

    @property
    def inputs(self) -> int:
        """Number of inputs d, the constant 1 among them."""
        return self.Z.shape[2]

    @property
    def switches(self) -> int:
        """Number of outer neurons."""
        return self.neurons

    def hidden(self, rows: Array) -> Array:
        """Return sum_l e_jl (x'Z_jl)_+ (n, m), what the outer ReLU sees, for rows (n, d)."""
        heights = product(rows, self._columns).reshape(len(rows), self.neurons, self.inner)
        active = np.maximum(heights, 0.0)
        if self.linear:
            active[:, :, 0] = heights[:, :, 0]
        h = np.zeros((len(rows), self.neurons))
        for l in range(self.inner):  # noqa: E741
            h += self.signs[:, l] * active[:, :, l]
        return h

    @cached_property
    def _columns(self) -> Array:
        return np.ascontiguousarray(self.Z.reshape(-1, self.inputs).T)

    def active(self, rows: Array) -> NDArray[np.bool_]:
        """Return which outer neurons are on (n, m) for rows (n, d)."""
        return self.hidden(rows) > 0

    def predict(self, X: Matrix) -> Array:
        """Return f (n,) for rows X (n, d), each row with the same bits in every batch.

        Raises InputError when X has another number of columns.
        """
        if X.shape[1] != self.inputs:
            raise InputError(f"X has {X.shape[1]} columns, but the network takes {self.inputs} inputs")
        out = np.empty(X.shape[0])
        for start, rows in row_chunks(X, CHUNK_ELEMENTS // max(self.neurons * self.inner, 1)):
            out[start : start + len(rows)] = product(np.maximum(self.hidden(rows), 0.0), self.W2[:, None])[:, 0]
        return out

    def contributions(self, X: Matrix) -> Array:
        """Return what every stage adds to the forecast, (n, 1): the network is its only stage."""
        return self.predict(X)[:, None]

    def on_window(self) -> ReluNetwork:
        """Return the inner neurons as a two-layer network: their weights where their outer neuron is on.

        Its output is not the network's, which an outer ReLU cuts off. A linear inner neuron is a pair, w'x =
        (w'x)_+ - (-w'x)_+.
        """
        Z, weights = self.Z.reshape(-1, self.inputs).T, (self.signs * self.W2[:, None]).ravel()
        if not self.linear:
            return ReluNetwork(np.ascontiguousarray(Z), weights)
        first = self.Z[:, 0].T
        return ReluNetwork(np.c_[Z, -first], np.r_[weights, -self.W2])

    def units(self) -> Units:
        """One unit a neuron of `on_window`."""
        return self.on_window().units()

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that make the network, by name."""
        return {"Z": self.Z, "signs": self.signs, "W2": self.W2}

    def attributes(self) -> dict[str, Any]:
        """Return what makes the network besides its arrays, as JSON has it."""
        return {"linear": self.linear}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        """Return the network of `tensors` and `attributes`.

        Raises KeyError, TypeError, ValueError or InputError when something is missing or does not fit.
        """
        return cls(tensors["Z"], tensors["signs"], tensors["W2"], truth(attributes["linear"], "linear"))
