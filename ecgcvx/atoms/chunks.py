"""Rows for the compiled passes, in float32 and transposed: held in memory, or made of a signal where they are needed.

A pass goes over groups of chunks (`ecgcvx.atoms.workers`). It takes the groups that one thread sums as `Part`s: the
whole stretch where rows are held, `BATCH` chunks at a time where they are made. Sums go through the same chunks in the
same order, so that both give the same bits. Windows of d - 1 samples overlap: made, they take the 8 bytes of a sample
in place of 4 d.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.kernels import CHUNK, TILE, Single, aligned, slide
from ecgcvx.rows import SlidingMatrix
from ecgcvx.types import Array

BATCH = 32  # chunks that are made at once: 1 MB of 16 columns, which stays in the second cache
HELD_ROWS = 1 << 20  # windows that are held at most: 64 MB of 16 columns


class Part(NamedTuple):
    """Chunks X (chunks, padded d, CHUNK) of rows `rows`, and of the groups `groups` with their bounds in X."""

    X: Single
    rows: slice
    bounds: NDArray[np.intp]
    groups: slice

    def column(self, v: Array) -> Single:
        """The part's stretch of a vector (n,) as (chunks, CHUNK), zero after the last row."""
        return column(v[self.rows], len(self.X))

    @property
    def span(self) -> tuple[int, int]:
        """The first group and the one after the last, counted within the part."""
        return 0, len(self.bounds) - 1


class Chunks(Protocol):
    """n rows of d columns as `count` chunks."""

    @property
    def n(self) -> int: ...

    @property
    def d(self) -> int: ...

    @property
    def count(self) -> int: ...

    def parts(self, bounds: NDArray[np.intp], first: int, stop: int) -> Iterator[Part]:
        """Yield the chunks of groups first <= g < stop in order; bounds : of all groups, in chunks."""
        ...

    def some(self, chosen: NDArray[np.intp]) -> Single:
        """Chunks of ascending numbers."""
        ...

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        """Rows (k, d) of any numbers, rounded to float32."""
        ...


@dataclass(frozen=True, eq=False)
class HeldChunks:
    """Chunks X (chunks, padded d, CHUNK) in memory, the rows after the last one zero."""

    X: Single
    n: int
    d: int

    @classmethod
    def empty(cls, n: int, d: int) -> "HeldChunks":
        """Chunks of zeros."""
        X = aligned((-(-n // CHUNK), width(d), CHUNK))
        X[:] = 0
        return cls(X, n, d)

    @property
    def count(self) -> int:
        """Number of chunks."""
        return len(self.X)

    def parts(self, bounds: NDArray[np.intp], first: int, stop: int) -> Iterator[Part]:
        """Yield the one part of groups first <= g < stop."""
        a, b = int(bounds[first]), int(bounds[stop])
        yield Part(self.X[a:b], slice(a * CHUNK, b * CHUNK), bounds[first : stop + 1] - a, slice(first, stop))

    def some(self, chosen: NDArray[np.intp]) -> Single:
        """Chunks of ascending numbers, as a copy."""
        out = aligned((len(chosen), *self.X.shape[1:]))
        out[:] = self.X[chosen]
        return out

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        """Rows (k, d)."""
        return self.X[chosen // CHUNK, : self.d, chosen % CHUNK].astype(np.float64)

    def column(self, v: Array) -> Single:
        """A vector of at most n numbers as (chunks, CHUNK), zero after the last of them."""
        return column(v, len(self.X))


@dataclass(frozen=True, eq=False)
class SlidingChunks:
    """Chunks of windows that are made of their signal for each pass."""

    X: SlidingMatrix

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])

    @property
    def d(self) -> int:
        """Columns, with the one of ones."""
        return int(self.X.shape[1])

    @property
    def count(self) -> int:
        """Number of chunks."""
        return -(-self.n // CHUNK)

    def parts(self, bounds: NDArray[np.intp], first: int, stop: int) -> Iterator[Part]:
        """Yield the groups first <= g < stop, BATCH chunks at a time."""
        for g in range(first, stop):
            for a in range(bounds[g], bounds[g + 1], BATCH):
                X = self._made(a, min(a + BATCH, int(bounds[g + 1])))
                rows = slice(a * CHUNK, (a + len(X)) * CHUNK)
                yield Part(X, rows, np.array([0, len(X)]), slice(g, g + 1))

    def some(self, chosen: NDArray[np.intp]) -> Single:
        """Chunks of ascending numbers."""
        out = aligned((len(chosen), width(self.d), CHUNK))
        for place, b in enumerate(chosen):
            out[place] = self._made(int(b), int(b) + 1)[0]
        return out

    def rows(self, chosen: NDArray[np.intp]) -> Array:
        """Rows (k, d), rounded as the passes do."""
        return self.X.take(chosen)[:].astype(np.float32).astype(np.float64)

    def _made(self, first: int, stop: int) -> Single:
        out = aligned((stop - first, width(self.d), CHUNK))
        slide(self.X.signal, self.X.starts(first * CHUNK, min(stop * CHUNK, self.n)), self.d - 1, out)
        return out


def column(v: Array, chunks: int) -> Single:
    """A vector as (chunks, CHUNK), zero after the last of its numbers."""
    out = aligned((chunks, CHUNK))
    flat = out.reshape(-1)
    flat[: len(v)] = v
    flat[len(v) :] = 0
    return out


def width(d: int) -> int:
    """Columns of a chunk: d padded to a multiple of TILE."""
    return -(-d // TILE) * TILE


def padded(P: Array) -> Single:
    """Parameters (m, d) in float32 with zeros for the padded columns."""
    return padded64(P).astype(np.float32)


def padded64(P: Array) -> Array:
    """The same in float64."""
    out = np.zeros((len(P), width(P.shape[1])))
    out[:, : P.shape[1]] = P
    return out
