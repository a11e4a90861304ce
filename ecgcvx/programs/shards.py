"""Programs whose rows lie in several places: cut, checked for belonging together, and seen as one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.errors import InputError
from ecgcvx.programs.features import (
    Features,
    Gram,
    Index,
    PatternFeatures,
    gram_of_rows,
    products_of_rows,
    two_layer_features,
)
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.types import Array

FLOAT = 8  # bytes


def split_program(program: ConvexProgram, shards: int) -> tuple[ConvexProgram, ...]:
    """Cut the rows of a program over patterns into so many shards of about equal size, each a program of its own.

    Raises InputError for fewer than one shard or fewer than eight rows a shard, or for features that are no patterns.
    """
    features = two_layer_features(program.features, "shards")
    n = features.n
    if not 1 <= shards <= n // 8:
        raise InputError(f"shards = {shards}: {n} rows make 1 to {n // 8} shards of at least 8 rows")
    edges = [*(8 * (n // 8 * np.arange(shards) // shards)), n]  # a byte of a pattern holds eight rows
    parts = []
    for a, b in pairwise(edges):
        packed = features.patterns.packed[:, a // 8 : -(-b // 8)]
        patterns = Patterns(np.ascontiguousarray(packed), int(b - a), features.patterns.gates)
        rows = np.asarray(features.X[int(a) : int(b)], dtype=np.float64)
        parts.append(replace(program, features=PatternFeatures(rows, patterns), y=program.y[a:b]))
    return tuple(parts)


@dataclass(eq=False)
class JoinedFeatures:
    """The features of several shards as one, row after row, and the bytes that they would send for it.

    exchanged : coefficients to every shard and sums over shards come and go; of cones, the rows that hold a point.
    """

    parts: tuple[Features, ...]
    exchanged: int = 0

    @property
    def n(self) -> int:
        """Rows of all shards."""
        return sum(part.n for part in self.parts)

    @property
    def count(self) -> int:
        """Number of blocks p."""
        return self.parts[0].count

    @property
    def width(self) -> int:
        """Columns d of each block."""
        return self.parts[0].width

    @property
    def curvature(self) -> float:
        """The mean of the shards' curvatures, weighted by their rows: the norms of sums are at most sums of norms."""
        return sum(part.n * part.curvature for part in self.parts) / self.n

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, F[rows]) of one shard after the other."""
        start = 0
        for part in self.parts:
            for rows, F in part.rows():
                yield slice(start + rows.start, start + rows.stop), F
            start += part.n

    def gram(self, y: Array, weights: Array | None = None) -> Gram:
        """Return H, c and y'y/n."""
        self._count(self.count * self.width * (self.count * self.width + 1))
        return gram_of_rows(self, y, weights)

    def products(self, first: Index, second: Index, weights: Array | None = None) -> Array:
        """Return F_i'F_j / n for blocks i in `first` and j in `second`."""
        self._count(len(first) * len(second) * self.width**2)
        return products_of_rows(self, first, second, weights)

    def apply(self, coefficients: Array) -> Array:
        """Return sum_i F_i z_i (n,), which stays where the rows are."""
        self._count(coefficients.size)
        return np.concatenate([part.apply(coefficients) for part in self.parts])

    def correlate(self, r: Array) -> Array:
        """Return F_i'r for every block, (p, d); r: (n,)."""
        self._count(self.count * self.width)
        return np.sum([part.correlate(piece) for part, piece in zip(self.parts, self._cut(r), strict=True)], axis=0)

    def cone_values(self, blocks: Index, u: Array) -> Array:
        """Return C_{blocks[j]} u_j for every j, (g, n)."""
        self._count(u.size)
        return np.concatenate([part.cone_values(blocks, u) for part in self.parts], axis=1)

    def cone_rows(self, block: int, indices: Index) -> Array:
        """Return the given rows of C_block, (k, d), in the order of their indices."""
        self.exchanged += FLOAT * len(indices) * self.width
        out, start = np.empty((len(indices), self.width)), 0
        for part in self.parts:
            own = (indices >= start) & (indices < start + part.n)
            out[own] = part.cone_rows(block, indices[own] - start)
            start += part.n
        return out

    def interior(self, blocks: Index) -> Array:
        """The gates, which all shards have."""
        return self.parts[0].interior(blocks)

    def _cut(self, values: Array) -> list[Array]:
        return np.split(values, np.cumsum([part.n for part in self.parts])[:-1])

    def _count(self, floats: int) -> None:
        self.exchanged += FLOAT * len(self.parts) * floats


def check_shards(shards: Sequence[ConvexProgram]) -> None:
    """Raise InputError unless the shards are parts of one program."""
    if not shards:
        raise InputError("shards: there are none; give at least one program")
    first = shards[0]
    gates = first.features.interior(first.blocks)
    for number, shard in enumerate(shards[1:], 1):
        same = shard.shape == first.shape and shard.cones == first.cones and shard.beta == first.beta
        if not (same and np.array_equal(shard.signs, first.signs)):
            raise InputError(f"shard {number}: its variables, signs, cones or beta are not those of shard 0")
        if not np.array_equal(shard.features.interior(shard.blocks), gates):
            raise InputError(f"shard {number}: its gates are not those of shard 0; make all patterns of the same ones")
