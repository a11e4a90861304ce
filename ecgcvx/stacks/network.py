"""A stack of two-layer networks as plain weights: each stage corrects the forecast of those below from what they see.

With h_1 = x, the window and the constant 1, stage s has the features phi_s = M_s' h_s, and

    f_s(x) = f_{s-1}(x) + w_s' phi_s + N_s(phi_s),    h_{s+1} = (h_s, activations of N_s),    f_0 = 0

The forecast is f_S, or its mean over members that were trained from different seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Matrix, row_chunks
from ecgcvx.errors import InputError
from ecgcvx.networks import Network

Array = NDArray[np.float64]
CHUNK_ELEMENTS = 1 << 18  # rows x widest layer of one product: 2 MB


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage on c columns: the window with its constant 1, then the activations of the stages below.

    projection : M (c, q), standardisation and constant included. linear : w (q,). network : N on q features.

    Raises InputError when the shapes do not fit together or a weight is not finite.
    """

    projection: Array
    linear: Array
    network: Network

    def __post_init__(self) -> None:
        q = self.network.W1.shape[0]
        if self.projection.ndim != 2 or self.projection.shape[1] != q or self.linear.shape != (q,):
            raise InputError(
                f"projection {self.projection.shape} and linear {self.linear.shape} do not fit a network of {q} "
                f"inputs; give (c, {q}) and ({q},)"
            )
        for name, weights in (("projection", self.projection), ("linear", self.linear)):
            if not np.isfinite(weights).all():
                raise InputError(f"{name} holds a number that is not finite; the training has failed")

    def output(self, features: Array) -> Array:
        """What the stage adds to the forecast (n,), of its features (n, q)."""
        return features @ self.linear + self.network.predict(features)


@dataclass(frozen=True, eq=False)
class Stack:
    """A mean of stacks: each member is a tuple of as many stages, the lowest first, on the same d inputs.

    Raises InputError when there is no stage or the widths of the stages do not follow from each other.
    """

    members: tuple[tuple[Stage, ...], ...]

    def __post_init__(self) -> None:
        if not self.members or not self.members[0]:
            raise InputError("members: a stack has at least one member of at least one stage")
        for member in self.members:
            if len(member) != self.depth:
                raise InputError(f"members: one has {len(member)} stages, the first {self.depth}; give as many")
            width = self.inputs
            for number, stage in enumerate(member, 1):
                if stage.projection.shape[0] != width:
                    raise InputError(
                        f"stage {number}: its projection has {stage.projection.shape[0]} rows, but there are {width} "
                        "columns: the inputs and the neurons below"
                    )
                width += stage.network.neurons

    @property
    def depth(self) -> int:
        """Number of stages."""
        return len(self.members[0])

    @property
    def inputs(self) -> int:
        """Number of inputs d of the lowest stage, the constant 1 among them."""
        return self.members[0][0].projection.shape[0]

    @property
    def neurons(self) -> int:
        """Number of neurons of all stages and members."""
        return sum(stage.network.neurons for member in self.members for stage in member)

    def first(self, member: int = 0) -> Network:
        """The network of the lowest stage on the inputs themselves: N_1(M_1' x) without the linear part."""
        stage = self.members[member][0]
        network = stage.network
        gates = None if network.gates is None else stage.projection @ network.gates
        return Network(stage.projection @ network.W1, network.W2, gates, network.polynomial)

    def contributions(self, X: Matrix) -> Array:
        """What every stage adds to the forecast, (n, stages), mean over the members; the sum of a row is the forecast.

        Raises InputError when X has another number of columns.
        """
        return self._outputs(X).mean(axis=0)

    def predict(self, X: Matrix) -> Array:
        """Return f (n,) for a matrix or lazy matrix X (n, d).

        Raises InputError when X has another number of columns.
        """
        return self.contributions(X).sum(axis=1)

    def spread(self, X: Matrix) -> Array:
        """Standard deviation of the members' forecasts (n,), zero for a single one: how much the seed decides."""
        forecasts = self._outputs(X).sum(axis=2)
        return forecasts.std(axis=0, ddof=1) if len(forecasts) > 1 else np.zeros(X.shape[0])

    def _outputs(self, X: Matrix) -> Array:
        """What every stage of every member adds, (members, n, stages)."""
        if X.shape[1] != self.inputs:
            raise InputError(f"X has {X.shape[1]} columns, but the stack takes {self.inputs} inputs")
        out = np.empty((len(self.members), X.shape[0], self.depth))
        for start, rows in row_chunks(X, CHUNK_ELEMENTS // max(self.inputs + self.neurons, 1)):
            for k, member in enumerate(self.members):
                for s, (stage, features) in enumerate(features_of(member, rows)):
                    out[k, start : start + len(rows), s] = stage.output(features)
        return out


def features_of(member: tuple[Stage, ...], rows: Array) -> Iterator[tuple[Stage, Array]]:
    """Yield every stage of a member with its features (n, q) of rows (n, d)."""
    below = rows
    for stage in member:
        features = below @ stage.projection
        yield stage, features
        if stage is not member[-1]:
            below = np.concatenate([below, stage.network.activations(features)], axis=1)


def columns_above(member: tuple[Stage, ...], rows: Array) -> Array:
    """Rows (n, d) and the activations of all stages of a member, (n, c)."""
    below = rows
    for stage in member:
        below = np.concatenate([below, stage.network.activations(below @ stage.projection)], axis=1)
    return below
