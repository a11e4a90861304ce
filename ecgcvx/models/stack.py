"""A stack of two-layer networks as plain weights: each stage corrects the forecast of those below from what they see.

With h_1 = x, the window and the constant 1, stage s has the features phi_s = M_s' h_s, and

    f_s(x) = f_{s-1}(x) + w_s' phi_s + N_s(phi_s),    h_{s+1} = (h_s, activations of N_s),    f_0 = 0

The forecast is f_S, or its mean over members that were trained from different seeds. As with a single network, a row
has the same output, bit for bit, in every batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.json_values import number
from ecgcvx.models.relu import ReluNetwork
from ecgcvx.models.units import Units
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import product
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 18  # rows x widest layer of one product: 2 MB


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage on c columns: the window with its constant 1, then the activations of the stages below.

    projection : M (c, q), standardisation and constant included. linear : w (q,). network : N on q features. beta : the
    weight of the penalty that the stage was trained with.

    Raises InputError when the shapes do not fit together or a weight is not finite.
    """

    projection: Array
    linear: Array
    network: ReluNetwork
    beta: float

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
        return product(features, self.linear[:, None])[:, 0] + self.network.predict(features)


@dataclass(frozen=True, eq=False)
class Stack:
    """A mean of stacks: each member is a tuple of stages, the lowest first, on the same d inputs.

    Raises InputError when a member has no stage, or the widths of the stages do not follow from each other.
    """

    members: tuple[tuple[Stage, ...], ...]

    activation: ClassVar[str] = "stack"
    compiled: ClassVar[None] = None

    def __post_init__(self) -> None:
        if not self.members or not all(self.members):
            raise InputError("members: a stack has at least one member, and each of them at least one stage")
        for member in self.members:
            width = self.inputs
            for place, stage in enumerate(member, 1):
                if stage.projection.shape[0] != width:
                    raise InputError(
                        f"stage {place}: its projection has {stage.projection.shape[0]} rows, but there are {width} "
                        "columns: the inputs and the neurons below"
                    )
                width += stage.network.neurons

    @property
    def depth(self) -> int:
        """Number of stages of the deepest member."""
        return max(map(len, self.members))

    @property
    def inputs(self) -> int:
        """Number of inputs d of the lowest stages, the constant 1 among them."""
        return self.members[0][0].projection.shape[0]

    @property
    def neurons(self) -> int:
        """Number of neurons of all stages and members."""
        return sum(stage.network.neurons for member in self.members for stage in member)

    @property
    def switches(self) -> int:
        """Number of neurons of the lowest stages, of all members."""
        return sum(stage.network.neurons for stage, *_ in self.members)

    @property
    def stage_neurons(self) -> tuple[int, ...]:
        """Number of neurons of each stage, over all members, the lowest first."""
        return tuple(
            sum(member[s].network.neurons for member in self.members if len(member) > s) for s in range(self.depth)
        )

    def on_window(self) -> ReluNetwork:
        """The lowest stage, mean over the members, as a two-layer network with a linear part on the inputs."""
        W1 = np.concatenate([stage.projection @ stage.network.W1 for stage, *_ in self.members], axis=1)
        W2 = np.concatenate([stage.network.W2 for stage, *_ in self.members])
        linear = np.sum([stage.projection @ stage.linear for stage, *_ in self.members], axis=0)
        return ReluNetwork(W1, W2 / len(self.members), linear=linear / len(self.members))

    def active(self, rows: Array) -> NDArray[np.bool_]:
        """Which neurons of the lowest stages are on (n, m) for rows (n, d), those of all members in turn."""
        return product(rows, self._gates) > 0

    @cached_property
    def _gates(self) -> Array:
        return np.concatenate([stage.projection @ stage.network.W1 for stage, *_ in self.members], axis=1)

    def units(self) -> Units:
        """One unit a neuron of `on_window`."""
        return self.on_window().units()

    def contributions(self, X: Matrix) -> Array:
        """What every stage adds to the forecast, (n, depth), mean over the members; the sum of a row is the forecast.

        Raises InputError when X has another number of columns.
        """
        outputs = self._outputs(X)
        total = outputs[0]
        for others in outputs[1:]:
            total = total + others
        return total / len(outputs)

    def predict(self, X: Matrix) -> Array:
        """Return f (n,) for a matrix or lazy matrix X (n, d).

        Raises InputError when X has another number of columns.
        """
        return _total(self.contributions(X))

    def spread(self, X: Matrix) -> Array:
        """Standard deviation of the members' forecasts (n,), zero for a single one: how much the seed decides."""
        forecasts = np.array([_total(outputs) for outputs in self._outputs(X)])
        return forecasts.std(axis=0, ddof=1) if len(forecasts) > 1 else np.zeros(X.shape[0])

    def tensors(self) -> dict[str, Array]:
        """Return the arrays of all stages, named MEMBER.STAGE.NAME."""
        return {
            f"{k}.{s}.{name}": tensor
            for k, member in enumerate(self.members)
            for s, stage in enumerate(member)
            for name, tensor in (
                ("projection", stage.projection), ("linear", stage.linear), ("W1", stage.network.W1),
                ("W2", stage.network.W2),
            )
        }  # fmt: skip

    def attributes(self) -> dict[str, Any]:
        """Return the beta of every stage, by member."""
        return {"betas": [[stage.beta for stage in member] for member in self.members]}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        """Return the stack of `tensors` and `attributes`.

        Raises KeyError, TypeError, ValueError or InputError when something is missing or does not fit.
        """

        def stage(k: int, s: int, beta: object) -> Stage:
            projection, linear, W1, W2 = (tensors[f"{k}.{s}.{name}"] for name in ("projection", "linear", "W1", "W2"))
            return Stage(projection, linear, ReluNetwork(W1, W2), number(beta, "betas"))

        betas = attributes["betas"]
        return cls(tuple(tuple(stage(k, s, beta) for s, beta in enumerate(member)) for k, member in enumerate(betas)))

    def _outputs(self, X: Matrix) -> Array:
        """What every stage of every member adds, (members, n, depth)."""
        if X.shape[1] != self.inputs:
            raise InputError(f"X has {X.shape[1]} columns, but the stack takes {self.inputs} inputs")
        out = np.zeros((len(self.members), X.shape[0], self.depth))
        for start, rows in row_chunks(X, CHUNK_ELEMENTS // max(self.inputs + self.neurons, 1)):
            for k, member in enumerate(self.members):
                for s, (stage, features) in enumerate(features_of(member, rows)):
                    out[k, start : start + len(rows), s] = stage.output(features)
        return out


def _total(outputs: Array) -> Array:
    """Sums of rows (n, depth) in one order, whatever their number."""
    total = outputs[:, 0].copy()
    for added in outputs.T[1:]:
        total += added
    return total


def features_of(member: tuple[Stage, ...], rows: Array) -> Iterator[tuple[Stage, Array]]:
    """Yield every stage of a member with its features (n, q) of rows (n, d)."""
    below = rows
    for stage in member:
        features = product(below, stage.projection)
        yield stage, features
        if stage is not member[-1]:
            below = np.concatenate([below, stage.network.activations(features)], axis=1)


def columns_above(member: tuple[Stage, ...], rows: Array) -> Array:
    """Rows (n, d) and the activations of all stages of a member, (n, c)."""
    below = rows
    for stage in member:
        below = np.concatenate([below, stage.network.activations(product(below, stage.projection))], axis=1)
    return below
