"""Cone rows on demand: of the n rows of each cone only those are handed to a solver that a point has violated."""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.programs.program import ConvexProgram

Array = NDArray[np.float64]
ROWS_A_ROUND = 30
TOLERANCE = 1e-9  # violation (a sine) at which a row is added; what is left is removed by the final projection


class ConeRows:
    """The rows of each variable's cone that are in force, starting with those nearest to the cone's own gate.

    Cells of a long record are thin: the rows next to the gate are mostly its facets, which saves rounds (on record
    208 with 10 patterns 4 rounds instead of 12).
    """

    def __init__(self, program: ConvexProgram) -> None:
        self.program = program
        g, _ = program.shape
        self.indices = [np.empty(0, dtype=np.intp) for _ in range(g)]
        if program.cones:
            gates = program.features.interior(program.blocks)
            slack = program.features.cone_values(program.blocks, gates)
            self.indices = [self._distinct(j, nearest) for j, nearest in enumerate(_smallest(slack, ROWS_A_ROUND))]

    def __len__(self) -> int:
        return sum(map(len, self.indices))

    def matrix(self, j: int | np.intp) -> Array:
        """Rows in force of variable j's cone, (k, d)."""
        return self.program.features.cone_rows(int(self.program.blocks[j]), self.indices[j])

    def grow(self, u: Array) -> int:
        """Add the rows that u (g, d) violates most, at most 30 a cone; return how many were added."""
        norms = np.linalg.norm(u, axis=1)
        active = np.flatnonzero(norms > 1e-6 * norms.max(initial=0.0))
        if not self.program.cones or not len(active):
            return 0
        values = self.program.features.cone_values(self.program.blocks[active], u[active] / norms[active, None])
        before = len(self)
        for j, slack, worst in zip(active, values, _smallest(values, ROWS_A_ROUND), strict=True):
            violated = worst[slack[worst] < -TOLERANCE]
            self.indices[j] = self._distinct(j, np.union1d(self.indices[j], violated))
        return len(self) - before

    def _distinct(self, j: int | np.intp, indices: NDArray[np.intp]) -> NDArray[np.intp]:
        """Equal windows give equal rows, which would make a solver's linear system singular."""
        rows = self.program.features.cone_rows(int(self.program.blocks[j]), indices)
        _, first = np.unique(rows.round(14), axis=0, return_index=True)
        return np.sort(indices[first])


def _smallest(values: Array, count: int) -> NDArray[np.intp]:
    """Indices of the `count` smallest entries of each row."""
    count = min(count, values.shape[1])
    return np.argpartition(values, count - 1, axis=1)[:, :count]
