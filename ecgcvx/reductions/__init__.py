"""What solvers ask of the data, as sums over pieces of the rows: one interface, and who carries it out.

A `Reduction` says what one block of rows gives and how two results are joined. `Rows` are a piece of the data wherever
it lies: arrays (`held`), or a stretch of a record that is read when it is needed (`ecgcvx.dataset.rows`). An `Engine`
carries a reduction out over all pieces: in threads of this process (`LocalEngine`), or on a Dask cluster
(`DaskEngine`). Within a piece blocks are joined in order, and pieces along a fixed binary tree, so that neither the
number of workers nor the order in which they end changes a bit.

Source: Demmel & Nguyen (2013), Fast reproducible floating-point summation (a fixed tree is the simplest of its kinds).
"""

from typing import TYPE_CHECKING

from ecgcvx._lazy import lazy

if TYPE_CHECKING:
    from ecgcvx.reductions.cluster import DaskEngine
    from ecgcvx.reductions.engine import Engine, LocalEngine
    from ecgcvx.reductions.interface import HeldRows, Reduction, Rows, held

__all__ = ["DaskEngine", "Engine", "HeldRows", "LocalEngine", "Reduction", "Rows", "held"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "DaskEngine": "cluster", "Engine": "engine", "HeldRows": "interface", "LocalEngine": "engine",
        "Reduction": "interface", "Rows": "interface", "held": "interface",
    },
    globals(),
)  # fmt: skip
