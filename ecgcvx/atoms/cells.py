"""Exact prices on few rows: the largest price in every cell of the arrangement, by projection on the cell's cone.

Within a cell an atom is linear in the coordinates u of its block, f(X; u) = s F_i u with the penalty ||u||, so that its
largest price is ||P(s F_i'v)||/n with the projection P on the cone, reached along P(s F_i'v) (`programs.cone`). On few
rows the largest price lies at a kink, on the boundary of cells, where an ascent ends early; over all cells it is exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.counting import matrix_rank, pattern_bound
from ecgcvx.arrangements.enumeration import enumerate_patterns
from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.atoms.family import Atoms
from ecgcvx.errors import InputError
from ecgcvx.programs.cone import project
from ecgcvx.programs.features import Features
from ecgcvx.rows import Matrix
from ecgcvx.types import Array

MOST_CELLS = 500  # two projections each a round: some .05 s
SMALLEST = 1e-12  # of the largest price: a maximiser that is of any use


@dataclass(frozen=True, eq=False)
class Cells:
    """All cells of a family's arrangement on its rows.

    features : blocks and cones. directions : makes the unit points (g, p) of variables u (g, width) of blocks (g,).
    tags : what of an atom is discrete beside its output sign, (count, t).
    """

    features: Features
    directions: Callable[[NDArray[np.intp], Array], Array]
    tags: Array

    def __len__(self) -> int:
        return self.features.count

    def maximisers(self, v: Array) -> tuple[Atoms, Array]:
        """A unit atom of largest price v'f/n of every cell and output sign where that is positive, highest first.

        v : (n,). Returns the atoms (g) and their prices (g,).
        """
        gradients = self.features.correlate(v)
        blocks = np.tile(np.arange(len(self)), 2)
        signs = np.repeat([1.0, -1.0], len(self))
        u = project(self.features, blocks, signs[:, None] * gradients[blocks])
        prices = np.linalg.norm(u, axis=1)
        order = np.argsort(-prices, kind="stable")
        kept = order[prices[order] > SMALLEST * prices.max(initial=0.0)]
        points = self.directions(blocks[kept], u[kept] / prices[kept, None])
        return Atoms(points, np.c_[signs[kept], self.tags[blocks[kept]]]), prices[kept] / self.features.n


def few_patterns(X: Matrix) -> Patterns | None:
    """All patterns of the rows X where they are few, else None."""
    try:
        if X.shape[0] > MOST_CELLS or pattern_bound(X.shape[0], matrix_rank(X)) > MOST_CELLS:
            return None
        return enumerate_patterns(X, MOST_CELLS)
    except InputError:  # too nearly degenerate to tell its patterns apart
        return None


def cells_of(features: Features) -> Cells:
    """The cells of blocks whose variables are an atom's own parameters."""
    return Cells(features, lambda blocks, u: u, np.zeros((features.count, 0)))
