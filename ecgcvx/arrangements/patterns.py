"""Activation patterns D_i = diag(1[X g_i >= 0]), stored as one bit a sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, check_matrix, row_chunks

GATE_BLOCK = 1 << 14
CHUNK_ELEMENTS = 1 << 20  # gates x rows of one product X g: 8 MB; threaded BLAS on a busy machine crawls below 2 MB


@dataclass(frozen=True, eq=False)
class Patterns:
    """Distinct non-zero activation patterns of a data matrix X (n, d), in the order of their first appearance.

    Pattern i is the set of samples with x'g_i >= 0. The zero pattern is never kept, because D = 0 contributes nothing
    to a network; counts in papers include it.

    Parameters
    ----------
    packed : (p, ceil(n / 8)) uint8
        Pattern i in the bits of row i, most significant bit first as in `np.packbits`, padded by zeros.
    n : int
        Number of samples.
    gates : (p, d) float64
        One generating direction g_i a pattern; from `enumerate_patterns` an interior point of its cell.

    Raises
    ------
    InputError
        If the shapes do not fit together.
    """

    packed: NDArray[np.uint8]
    n: int
    gates: NDArray[np.float64]

    def __post_init__(self) -> None:
        width = -(-self.n // 8)
        if self.packed.ndim != 2 or self.packed.shape[1] != width:
            raise InputError(f"packed has shape {self.packed.shape}; {self.n} samples need (p, {width}) bytes")
        if self.gates.ndim != 2 or len(self.gates) != len(self.packed):
            raise InputError(f"gates has shape {self.gates.shape}; give one row for each of {len(self)} patterns")

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def count(self) -> int:
        """Number of patterns p."""
        return len(self)

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Share of active samples of every pattern, (p,)."""
        return np.bitwise_count(self.packed).sum(axis=1, dtype=np.int64) / self.n

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Diagonal of D_index, (n,)."""
        return np.unpackbits(self.packed[index], count=self.n).view(np.bool_)

    def masks(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Samples start:stop of all patterns, (p, stop - start), for passes over X in chunks of rows.

        Raises InputError unless 0 <= start <= stop <= n and start is a multiple of 8 (a byte holds eight samples).
        """
        if start % 8 or not 0 <= start <= stop <= self.n:
            raise InputError(
                f"samples {start}:{stop} of {self.n}: start at a multiple of 8 and stop at or before the last sample"
            )
        columns = self.packed[:, start // 8 : -(-stop // 8)]
        return np.unpackbits(columns, axis=1, count=stop - start).view(np.bool_)

    def subset(self, indices: ArrayLike) -> "Patterns":
        """The patterns of an index array, a Boolean array or a list, in that order."""
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.intp)
        return Patterns(self.packed[chosen], self.n, self.gates[chosen])


def patterns_of_gates(X: Matrix, gates: ArrayLike) -> Patterns:
    """Distinct non-zero patterns 1[X g >= 0] of given directions g; of equal patterns the first gate stays.

    Parameters
    ----------
    X : (n, d) matrix
        Read once, in chunks of rows.
    gates : (p, d) array
        One direction a row.

    Raises
    ------
    InputError
        If shapes do not fit or a number is not finite.
    """
    n, d = check_matrix(X)
    directions = np.ascontiguousarray(gates, dtype=np.float64)
    if directions.ndim != 2 or directions.shape[1] != d:
        raise InputError(f"gates has shape {directions.shape}; X has {d} columns, so give (p, {d})")
    if not np.isfinite(directions).all():
        raise InputError("gates holds a number that is not finite; drop that gate")
    return distinct_patterns(pack_signs(X, directions), n, directions)


def pack_signs(X: Matrix, gates: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Bits of 1[X g >= 0] for every gate, (p, ceil(n / 8)), reading X in chunks of rows, once for 16,384 gates."""
    packed = np.empty((len(gates), -(-X.shape[0] // 8)), dtype=np.uint8)
    for first in range(0, len(gates), GATE_BLOCK):
        block = gates[first : first + GATE_BLOCK]
        for start, rows in row_chunks(X, CHUNK_ELEMENTS // len(block)):
            bits = np.packbits(block @ rows.T >= 0, axis=1)
            packed[first : first + len(block), start // 8 : start // 8 + bits.shape[1]] = bits
    return packed


def distinct_patterns(packed: NDArray[np.uint8], n: int, gates: NDArray[np.float64]) -> Patterns:
    """Drop zero patterns and repetitions, keeping the order of first appearance."""
    first: dict[bytes, int] = {}
    for index in np.flatnonzero(packed.any(axis=1)):
        first.setdefault(packed[index].tobytes(), int(index))
    kept = np.fromiter(first.values(), dtype=np.intp, count=len(first))
    return Patterns(packed[kept], n, gates[kept])
