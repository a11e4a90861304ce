"""The two-layer network with batch norm after the ReLU, and the plain ReLU network that it is on given rows."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.models.relu import ReluNetwork
from ecgcvx.programs.batch_norm import BatchNormFeatures, Whitening
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

CHUNK_ROWS = 1 << 13


@dataclass(frozen=True, eq=False)
class BatchNormNetwork:
    """f(x) = sum_j W2_j gamma_j ((x'W1_j)_+ - mean_j)/std_j + offset; mean and std are those of the training rows.

    W1 : (d, m), of any size. gamma, W2 : (m,). The offset, the optimal one for the squared loss, is the mean of the
    targets.
    """

    W1: Array
    gamma: Array
    W2: Array

    @classmethod
    def of_neurons(cls, u: Array, signs: Array) -> Self:
        """The balanced network of neurons whose outputs have the standard deviations ||u_j|| (m, d) and the signs s."""
        roots = np.sqrt(np.linalg.norm(u, axis=1))
        return cls(np.ascontiguousarray((u / roots[:, None] ** 2).T), roots, signs * roots)

    @classmethod
    def of_variables(cls, program: ConvexProgram, t: Array) -> Self:
        """The network of a batch-norm program's variables t (g, d), zeros left out; gamma = |W2| = sqrt||t||."""
        features = program.features
        if not isinstance(features, BatchNormFeatures):
            raise InputError(f"program: its features are {type(features).__name__}, not those of batch norm")
        active = np.flatnonzero(np.linalg.norm(t, axis=1))
        u, roots = features.weights(program.blocks[active], t[active]), np.sqrt(np.linalg.norm(t[active], axis=1))
        return cls(np.ascontiguousarray(u.T), roots, program.signs[active] * roots)

    @property
    def neurons(self) -> int:
        """Number of neurons m."""
        return len(self.W2)

    def folded(self, X: Matrix, offset: float) -> ReluNetwork:
        """Return the plain network with the statistics of X (n, d), whose last column is ones, and the offset.

        What the means and the offset add up to is a neuron of its own, which is on everywhere.

        Raises InputError when a neuron is constant on X or the last column is not ones.
        """
        if any((rows[:, -1] != 1).any() for _, rows in row_chunks(X, CHUNK_ROWS)):
            raise InputError("X: its last column must be ones, which carry the mean of the normalised neurons")
        mean, variance = _moments(X, self.W1)
        std = np.sqrt(variance)
        if (std == 0).any():
            raise InputError(f"network: neuron {int(np.argmin(std))} is constant on X, so batch norm would divide by 0")
        weights = self.W2 * self.gamma / std
        return with_offset(balanced(self.W1, weights), offset - float(weights @ mean))


@dataclass(frozen=True, eq=False)
class FoldedNetwork(ReluNetwork):
    """The plain ReLU network of batch normalisation `order` ('after' or 'before') the ReLU.

    Of a network with the normalisation after the ReLU, neurons that are on the column of ones alone are its offset.

    Raises InputError for another order, and as a ReluNetwork does.
    """

    order: str = "after"

    activation: ClassVar[str] = "batchnorm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ("after", "before"):
            raise InputError(f"order = {self.order!r}: give 'after' or 'before'")

    @classmethod
    def of(cls, network: ReluNetwork, order: str) -> Self:
        """The same weights."""
        return cls(network.W1, network.W2, order)

    def normalised(self, X: Matrix) -> BatchNormNetwork:
        """The network before it was folded on the rows X (n, d), its offset left out."""
        own = self.W1[:-1].any(axis=0)
        W1, W2 = self.W1[:, own], self.W2[own]
        std = np.sqrt(_moments(X, W1)[1])
        roots = np.sqrt(np.abs(W2) * std)
        return BatchNormNetwork(W1, roots, np.sign(W2) * roots)

    def whitened(self, whitening: Whitening) -> ReluNetwork:
        """The balanced network on whitened rows: of the normalisation before the ReLU."""
        return balanced(whitening.whiten(self.W1), self.W2)

    def attributes(self) -> dict[str, Any]:
        return {"order": self.order}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        return cls(tensors["W1"], tensors["W2"], attributes["order"])


def _moments(X: Matrix, W1: Array) -> tuple[Array, Array]:
    """Mean and variance (m,) of (XW1)_+ over the rows."""
    n = X.shape[0]
    mean, variance = np.zeros(W1.shape[1]), np.zeros(W1.shape[1])
    for _, rows in row_chunks(X, CHUNK_ROWS):
        mean += np.maximum(rows @ W1, 0.0).sum(axis=0) / n
    for _, rows in row_chunks(X, CHUNK_ROWS):
        variance += ((np.maximum(rows @ W1, 0.0) - mean) ** 2).sum(axis=0) / n
    return mean, variance


def balanced(W1: Array, W2: Array) -> ReluNetwork:
    """The ReLU network with every neuron rescaled to ||W1_j|| = |W2_j|."""
    norms = np.linalg.norm(W1, axis=0)
    roots = np.sqrt(np.abs(W2) * norms)
    return ReluNetwork(W1 / norms * roots, np.sign(W2) * roots)


def with_offset(network: ReluNetwork, offset: float) -> ReluNetwork:
    """The network plus a constant: one more neuron, on the last column, the ones, alone."""
    if offset == 0:
        return network
    root = np.sqrt(abs(offset))
    constant = np.zeros((network.inputs, 1))
    constant[-1] = root
    return ReluNetwork(np.c_[network.W1, constant], np.append(network.W2, np.sign(offset) * root))


def unwhitened(network: ReluNetwork, whitening: Whitening) -> ReluNetwork:
    """The network on rows (x, 1) whose outputs are those of a network on the whitened rows: batch norm before the ReLU.

    whitening : of rows whose last column is ones; its weight there carries the shift.
    """
    weights, biases = whitening.unwhiten(network.W1)
    W1 = weights.copy()
    W1[-1] += biases
    return balanced(W1, network.W2)
