"""Cone rows on demand: of the n rows of each cone only those are handed to a solver that a point has violated."""

import numpy as np
from numpy.typing import NDArray

from ecgcvx.programs.program import ConvexProgram
from ecgcvx.types import Array

ROWS_A_ROUND = 30
TOLERANCE = 1e-9  # violation (a sine) at which a row is added; what is left is removed by the final projection


class ConeRows:
    """The rows of each variable's cone that are in force, starting with those nearest to the cone's own gate.

    Cells of a long record are thin: the rows next to the gate are mostly its facets, which saves rounds (on record
    208 with 10 patterns 4 rounds instead of 12).
    """

    def __init__(self, program: ConvexProgram) -> None:
        self.program = program
        g, d = program.shape
        self.indices = [np.empty(0, dtype=np.intp) for _ in range(g)]
        self.matrices = [np.empty((0, d)) for _ in range(g)]
        if program.cones:
            gates = program.features.interior(program.blocks)
            slack = program.features.cone_values(program.blocks, gates)
            for j, nearest in enumerate(_smallest(slack, ROWS_A_ROUND)):
                self._set(j, nearest)

    def __len__(self) -> int:
        return sum(map(len, self.indices))

    def matrix(self, j: int | np.intp) -> Array:
        """Rows in force of variable j's cone, (k, d)."""
        return self.matrices[j]

    def grow(self, u: Array, negligible: float = 1e-6) -> int:
        """Add the rows that u (g, d) violates most, at most 30 a cone; return how many were added.

        Groups below `negligible` times the largest are left out: at an interior point's end they are noise.
        """
        norms = np.linalg.norm(u, axis=1)
        active = np.flatnonzero(norms > negligible * norms.max(initial=0.0))
        if not self.program.cones or not len(active):
            return 0
        values = self.program.features.cone_values(self.program.blocks[active], u[active] / norms[active, None])
        before = len(self)
        for j, slack, worst in zip(active, values, _smallest(values, ROWS_A_ROUND), strict=True):
            violated = worst[slack[worst] < -TOLERANCE]
            if len(violated):
                self._set(j, np.union1d(self.indices[j], violated))
        return len(self) - before

    def _set(self, j: int | np.intp, indices: NDArray[np.intp]) -> None:
        """Equal windows give equal rows, which would make a solver's linear system singular: keep one of each."""
        rows = self.program.features.cone_rows(int(self.program.blocks[j]), indices)
        _, first = np.unique(rows.round(14), axis=0, return_index=True)
        first.sort()
        self.indices[j], self.matrices[j] = indices[first], rows[first]


class StackedRows:
    """The rows in force of all cones as one array C (g, k, d), padded by zero rows, with a multiplier (g, k) each."""

    def __init__(self, program: ConvexProgram) -> None:
        self.rows = ConeRows(program)
        g, d = program.shape
        self._indices = [np.empty(0, dtype=np.intp)] * g
        self.C, self.multipliers = np.zeros((g, 0, d)), np.zeros((g, 0))
        self._stack()

    def values(self, u: Array) -> Array:
        """Return C_j u_j, (g, k)."""
        return np.einsum("jkd,jd->jk", self.C, u)

    def transposed(self, m: Array) -> Array:
        """Return C_j'm_j, (g, d)."""
        return np.einsum("jkd,jk->jd", self.C, m)

    def squares(self) -> Array:
        """Return C_j'C_j, (g, d, d)."""
        return np.einsum("jkd,jke->jde", self.C, self.C)

    def grow(self, u: Array) -> bool:
        """Add rows that u violates, keeping the multipliers of the others; return whether there were any."""
        added = self.rows.grow(u) > 0
        if added:
            self._stack()
        return added

    def _stack(self) -> None:
        g, _, d = self.C.shape
        length = max(map(len, self.rows.indices))
        C, multipliers = np.zeros((g, length, d)), np.zeros((g, length))
        for j, indices in enumerate(self.rows.indices):
            C[j, : len(indices)] = self.rows.matrix(j)
            _, new, old = np.intersect1d(indices, self._indices[j], return_indices=True)
            multipliers[j, new] = self.multipliers[j, old]
        self.C, self.multipliers, self._indices = C, multipliers, list(self.rows.indices)


def _smallest(values: Array, count: int) -> NDArray[np.intp]:
    """Indices of the `count` smallest entries of each row."""
    count = min(count, values.shape[1])
    return np.argpartition(values, count - 1, axis=1)[:, :count]
