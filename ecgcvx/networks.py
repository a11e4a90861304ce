"""Two-layer networks as plain weights: predict, and recover from the variables of a convex program.

ReLU    f(x) = sum_j W2_j (x'W1_j)_+
gated   f(x) = sum_j W2_j 1[x'g_j >= 0] x'W1_j
polynomial  f(x) = sum_j W2_j s(x'W1_j),  s(t) = a t^2 + b t + c

A row has the same output, bit for bit, in every batch (`rowwise`): a stream forecasts what a whole recording does.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecgcvx.activations import Polynomial
from ecgcvx.errors import InputError
from ecgcvx.programs.features import two_layer_features
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import Layers, layers, predict_rows, product
from ecgcvx.types import Array

CHUNK_ROWS = 1 << 13


@dataclass(frozen=True, eq=False)
class Network:
    """Weights of a two-layer network with m neurons on d inputs, the last of which is the constant 1.

    W1 : (d, m). W2 : (m,). gates : (d, m) for a gated network. polynomial : the activation of a polynomial network.
    A network with neither is a ReLU network.

    Raises InputError when the shapes do not fit together, a weight is not finite, or there are gates and a polynomial.
    """

    W1: Array
    W2: Array
    gates: Array | None = None
    polynomial: Polynomial | None = None

    def __post_init__(self) -> None:
        if self.W1.ndim != 2 or self.W2.shape != self.W1.shape[1:]:
            raise InputError(f"W1 {self.W1.shape} and W2 {self.W2.shape} do not fit; give (d, m) and (m,)")
        if self.gates is not None and self.gates.shape != self.W1.shape:
            raise InputError(f"gates {self.gates.shape} do not fit W1 {self.W1.shape}; give one gate a neuron")
        if self.gates is not None and self.polynomial is not None:
            raise InputError("gates and a polynomial activation exclude each other; give one of them")
        for name, weights in (("W1", self.W1), ("W2", self.W2), ("gates", self.gates)):
            if weights is not None and not np.isfinite(weights).all():
                raise InputError(f"{name} holds a number that is not finite; the training has failed")

    @property
    def neurons(self) -> int:
        """Number of neurons m."""
        return len(self.W2)

    @property
    def inputs(self) -> int:
        """Number of inputs d, the constant 1 among them."""
        return self.W1.shape[0]

    @cached_property
    def layers(self) -> Layers:
        """The weights as the compiled passes over rows take them."""
        return layers(self.W1, self.W2, self.gates, self.polynomial)

    def activations(self, X: Array) -> Array:
        """Return the output of the first layer (n, m) for rows X (n, d)."""
        Z = product(X, self.W1)
        if self.polynomial is not None:
            return self.polynomial(Z)
        return np.maximum(Z, 0.0) if self.gates is None else np.where(product(X, self.gates) >= 0, Z, 0.0)

    def predict(self, X: Matrix) -> Array:
        """Return f (n,) for a matrix or lazy matrix X (n, d).

        Raises InputError when X has another number of columns.
        """
        if X.shape[1] != self.W1.shape[0]:
            raise InputError(f"X has {X.shape[1]} columns, but the network takes {self.W1.shape[0]} inputs")
        out = np.empty(X.shape[0])
        for start, rows in row_chunks(X, CHUNK_ROWS):
            predict_rows(rows, self.layers, out[start : start + len(rows)])
        return out


def network_of(program: ConvexProgram, u: Array) -> Network:
    """Return the network of a convex program's variables u (g, d), zeros left out.

    Its output is the program's prediction (for a ReLU program: where u lies in its cones), and its weight decay
    1/2 (||W1||^2 + ||W2||^2) is the program's penalty sum ||u||. Raises InputError for a program of another network.

    Source: Pilanci & Ergen 2020, theorem 1.
    """
    features = two_layer_features(program.features, "network_of")
    active = np.flatnonzero(np.linalg.norm(u, axis=1))
    gates = None if program.cones else np.ascontiguousarray(features.interior(program.blocks[active]).T)
    return network_of_neurons(u[active], program.signs[active], gates)


def network_of_neurons(u: Array, signs: Array, gates: Array | None = None) -> Network:
    """Return the balanced network of neurons u (m, d), none zero, and signs s: W1 = u/sqrt||u||, W2 = s sqrt||u||."""
    roots = np.sqrt(np.linalg.norm(u, axis=1))
    return Network(np.ascontiguousarray((u / roots[:, None]).T), signs * roots, gates)
