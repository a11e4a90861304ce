"""What every network can be asked for."""

from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ecgcvx.models.two_layer import TwoLayerNetwork
from ecgcvx.models.units import Units
from ecgcvx.rows import Matrix
from ecgcvx.rowwise import Layers
from ecgcvx.types import Array


class Model(Protocol):
    """A network of d inputs, the last of which is the constant 1; all it holds are weights.

    activation : its name in reports: 'relu', 'gated', 'polynomial', 'stack', ... stage_neurons : neurons of each of
    its stages, () for a network that is not made of stages.
    """

    activation: ClassVar[str]

    @property
    def stage_neurons(self) -> tuple[int, ...]: ...

    @property
    def inputs(self) -> int:
        """Number of inputs d."""
        ...

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        ...

    @property
    def switches(self) -> int:
        """Number of neurons that `active` tells of."""
        ...

    @property
    def compiled(self) -> Layers | None:
        """The weights for the compiled passes of streams, None for a network that is evaluated in batches."""
        ...

    def predict(self, X: Matrix) -> Array:
        """Return f (n,) for rows X (n, d), each row with the same bits in every batch."""
        ...

    def active(self, rows: Array) -> NDArray[np.bool_]:
        """Return which neurons are on (n, switches) for rows (n, d)."""
        ...

    def contributions(self, X: Matrix) -> Array:
        """Return what every stage adds to the forecast, (n, stages); the sum of a row is the forecast."""
        ...

    def on_window(self) -> TwoLayerNetwork:
        """Return the two-layer network whose neurons act on the window itself."""
        ...

    def units(self) -> Units:
        """Return the neurons of `on_window` as gates and filters."""
        ...

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that make the network, by name."""
        ...

    def attributes(self) -> dict[str, Any]:
        """Return what makes the network besides its arrays, as JSON has it."""
        ...

    @classmethod
    def from_tensors(cls, tensors: dict[str, Array], attributes: dict[str, Any]) -> Self:
        """Return the network of `tensors` and `attributes`."""
        ...
