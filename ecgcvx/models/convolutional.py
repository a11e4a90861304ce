"""The convolutional network f(x) = c sum_k sum_j W2_j (x_k'W1_j)_+ of shared filters over patches x_k of a window.

With segments g, f(x) = sum_g c_g sum_{k in g} sum_j W2_gj (x_k'W1_j)_+: a filter has an output weight for each of them.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.json_values import whole
from ecgcvx.models.relu import ReluNetwork
from ecgcvx.models.units import Units
from ecgcvx.patches import Convolution, Part, patches_of
from ecgcvx.programs.convolutional import ConvolutionalFeatures
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import product
from ecgcvx.types import Array

MOST_COLUMNS = 1 << 25  # in a file

CHUNK_ELEMENTS = 1 << 18  # of the outputs of all patches of a chunk of rows: 2 MB


@dataclass(frozen=True, eq=False)
class ConvolutionalNetwork:
    """m filters W1 (w, m) of `convolution` on windows of `columns` columns.

    W2 : output weights (m,), or (G, m) of a convolution of G segments. gates : (w, m) of the gated form,
    f(x) = c sum_k sum_j W2_j 1[x_k'g_j >= 0] x_k'W1_j.

    Raises InputError when the shapes do not fit together or a weight is not finite.

    Source: Ergen & Pilanci 2021.
    """

    W1: Array
    W2: Array
    convolution: Convolution
    columns: int
    gates: Array | None = None

    activation: ClassVar[str] = "conv"
    compiled: ClassVar[None] = None
    stage_neurons: ClassVar[tuple[int, ...]] = ()

    def __post_init__(self) -> None:
        self.convolution.count(self.columns)
        G = self.convolution.segments
        if self.W2.shape[:-1] != (() if G == 1 else (G,)) or self.W1.shape != (self.convolution.width, self.neurons):
            raise InputError(
                f"W1 {self.W1.shape} and W2 {self.W2.shape} do not fit; give ({self.convolution.width}, m) and "
                + ("(m,)" if G == 1 else f"({G}, m)")
            )
        if self.gates is not None and self.gates.shape != self.W1.shape:
            raise InputError(f"gates {self.gates.shape} do not fit W1 {self.W1.shape}; give one gate a filter")
        for name, weights in self.tensors().items():
            if not np.isfinite(weights).all():
                raise InputError(f"{name} holds a number that is not finite; the training has failed")

    @classmethod
    def of_filters(cls, convolution: Convolution, columns: int, u: Array, signs: Array) -> Self:
        """The balanced network of filters u (m, w), none zero, and signs: W1 = u/sqrt||u||, W2 = s sqrt||u||.

        Its convolution has one segment.
        """
        roots = np.sqrt(np.linalg.norm(u, axis=1))
        return cls(np.ascontiguousarray((u / roots[:, None]).T), signs * roots, convolution, columns)

    @classmethod
    def of_variables(cls, program: ConvexProgram, u: Array) -> Self:
        """The network of a convolutional program's variables u (g, w), zeros left out."""
        features = program.features
        if not isinstance(features, ConvolutionalFeatures):
            raise InputError(f"program: its features are {type(features).__name__}, not those of a convolution")
        active = np.flatnonzero(np.linalg.norm(u, axis=1))
        found = cls.of_filters(features.convolution, features.X.shape[1], u[active], program.signs[active])
        if program.cones:
            return found
        return replace(found, gates=np.ascontiguousarray(features.interior(program.blocks[active]).T))

    @property
    def neurons(self) -> int:
        """Number of filters m."""
        return self.W2.shape[-1]

    @property
    def inputs(self) -> int:
        """Number of columns d of a row, the context among them."""
        return self.columns

    @property
    def switches(self) -> int:
        """Number of filters: one is on where it is on in any patch."""
        return self.neurons

    def maps(self, rows: Array) -> Array:
        """Return the output of every filter on every patch, (n, K, m), before the pooling, for rows (n, d)."""
        patches = self.convolution.rows(np.asarray(rows, dtype=np.float64))
        n, K, w = patches.shape
        Z = product(patches.reshape(-1, w), self.W1)
        if self.gates is None:
            Z = np.maximum(Z, 0.0)
        else:
            Z = np.where(product(patches.reshape(-1, w), self.gates) >= 0, Z, 0.0)
        return Z.reshape(n, K, self.neurons)

    def activations(self, rows: Array) -> Array:
        """Return the pooled output of every filter in every segment (n, G m) for rows (n, d), segment by segment."""
        maps = self.maps(rows)
        own = zip(self._parts, self.scales, strict=True)
        return np.concatenate([maps[:, part.first : part.stop].sum(axis=1) * scale for part, scale in own], axis=1)

    @cached_property
    def _parts(self) -> list[Part]:
        return self.convolution.parts(self.columns)

    @cached_property
    def scales(self) -> Array:
        """Weight c_g (G,) of a patch in the pooled output of its segment."""
        context = self.convolution.context
        return np.array([part.convolution.scale(part.end - part.begin + context) for part in self._parts])

    def active(self, rows: Array) -> NDArray[np.bool_]:
        """Return which filters are on in any patch (n, m) for rows (n, d)."""
        return (self.maps(rows) != 0).any(axis=1)

    def predict(self, X: Matrix) -> Array:
        """Return f (n,) for rows X (n, d), each row with the same bits in every batch.

        Raises InputError when X has another number of columns.
        """
        if X.shape[1] != self.columns:
            raise InputError(f"X has {X.shape[1]} columns, but the network takes {self.columns} inputs")
        out = np.empty(X.shape[0])
        size = CHUNK_ELEMENTS // (self.convolution.count(self.columns) * max(self.neurons, 1))
        for start, rows in row_chunks(X, size):
            out[start : start + len(rows)] = product(self.activations(rows), self.W2.reshape(-1, 1))[:, 0]
        return out

    def price_rows(self, X: Matrix, v: Array) -> tuple[Matrix, Array]:
        """Return patches and weights (N,) whose two-layer price max |v'(Xw)_+|/N is that of the filters on X (n, d).

        Raises InputError for more than one segment, whose price is another.
        """
        patches = patches_of(X, self.convolution)
        N = int(patches.matrix.shape[0])
        return patches.matrix, patches.spread(v) * (N / X.shape[0])

    def contributions(self, X: Matrix) -> Array:
        """Return what every stage adds to the forecast, (n, 1): the network is its only stage."""
        return self.predict(X)[:, None]

    def on_window(self) -> ReluNetwork:
        """Return the two-layer network of m K neurons on the window that is equal to it.

        Raises InputError for a gated network.
        """
        if self.gates is not None:
            raise InputError("network: it is gated; only one with ReLU filters has a ReLU network on the window")
        return self._unrolled

    @cached_property
    def _unrolled(self) -> ReluNetwork:
        W1 = self.unrolled(self.W1)
        return ReluNetwork(W1.reshape(self.columns, -1), self.unrolled_weights.ravel())

    def unrolled(self, filters: Array) -> Array:
        """Return filters (w, m) at each of the K patches, as weights of the whole row (d, K, m)."""
        c = self.convolution
        K = c.count(self.columns)
        found = np.zeros((self.columns, K, filters.shape[1]))
        for k in range(K):
            found[k * c.stride : k * c.stride + c.taps, k] = filters[: c.taps]
            found[self.columns - c.context :, k] = filters[c.taps :]
        return found

    @property
    def unrolled_weights(self) -> Array:
        """Output weight (K, m) of every filter at every patch, pooling included."""
        c = self.convolution
        segments = np.repeat(np.arange(c.segments), [part.stop - part.first for part in self._parts])
        weights: Array = (self.scales[:, None] * self.W2.reshape(c.segments, self.neurons))[segments]
        return weights

    def units(self) -> Units:
        """One unit a neuron of `on_window`."""
        return self.on_window().units()

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that make the network, by name."""
        return {"W1": self.W1, "W2": self.W2} | ({} if self.gates is None else {"gates": self.gates})

    def attributes(self) -> dict[str, Any]:
        """Return what makes the network besides its arrays, as JSON has it."""
        return {"columns": self.columns, **asdict(self.convolution)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        """Return the network of `tensors` and `attributes`.

        Raises KeyError, TypeError, ValueError or InputError when something is missing or does not fit.
        """
        names = ("taps", "stride", "pooling", "context", "segments")
        convolution = Convolution(**{name: attributes[name] for name in names})
        columns = whole(attributes["columns"], "columns", least=1, most=MOST_COLUMNS)
        return cls(tensors["W1"], tensors["W2"], convolution, columns, tensors.get("gates"))
