"""Pieces of rows, and what is reduced over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

BLOCK = 1 << 16  # rows that are looked at together
PIECE = 1 << 20  # rows of a piece at most: what one task reads and reduces

Result = TypeVar("Result")
Sums = TypeVar("Sums", bound=tuple[Any, ...])


class Rows(Protocol):
    """A piece of the data; it may be sent to another process."""

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """Yield X (rows, d) and y (rows,) in order, finite, the same ones every time."""
        ...


class Reduction(Protocol[Result]):
    """What is asked of the data: frozen, so that it may be sent to another process."""

    def of(self, X: Array, y: Array, /) -> Result:
        """Return the result of one block of rows X (rows, d), y (rows,)."""
        ...

    def join(self, first: Result, second: Result, /) -> Result:
        """Return the result of the rows of both, `first` standing before `second`."""
        ...


def added(first: Sums, second: Sums) -> Sums:
    """Return the sum of two named tuples of numbers and arrays, entry by entry: a `join` of sums."""
    return type(first)(*(a + b for a, b in zip(first, second, strict=True)))


def reduced(reduction: Reduction[Result], rows: Rows) -> Result:
    """Return the result of one piece: its blocks joined in order."""
    blocks = rows.blocks()
    total = reduction.of(*next(blocks))
    for X, y in blocks:
        total = reduction.join(total, reduction.of(X, y))
    return total


@dataclass(frozen=True, eq=False)
class HeldRows:
    """Rows start:stop of a matrix X (n, d), or of a lazy one, and of y (n,), in memory."""

    X: Matrix
    y: Array
    start: int
    stop: int

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """Yield the rows; InputError for a number that is not finite."""
        for first in range(self.start, self.stop, BLOCK):
            last = min(first + BLOCK, self.stop)
            rows = self.X[first:last]
            for _, checked in row_chunks(rows, BLOCK):
                yield checked, self.y[first:last]

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets these rows alone."""
        part = slice(self.start, self.stop)
        return HeldRows, (self.X[part], self.y[part], 0, self.stop - self.start)


def held(X: Matrix, y: Array) -> list[HeldRows]:
    """Return the pieces of rows X (n, d) and y (n,) that are in memory."""
    n = len(y)
    return [HeldRows(X, y, first, min(first + PIECE, n)) for first in range(0, n, PIECE)]


class Tree(Generic[Result]):
    """A binary tree over results 0 to count - 1, which come in any order; neighbours are joined once both are there.

    Of results that come in order log2(count) are held at most.
    """

    def __init__(self, reduction: Reduction[Result], count: int) -> None:
        self.reduction, self.count = reduction, count
        self.waiting: dict[tuple[int, int], Result] = {}

    def add(self, index: int, result: Result) -> None:
        """Add the result of a piece."""
        level, size = 0, self.count
        while size > 1:
            other = index ^ 1
            if other < size:  # the last one of an odd row has no neighbour, and moves up alone
                if (level, other) not in self.waiting:
                    break
                neighbour = self.waiting.pop((level, other))
                pair = (neighbour, result) if other < index else (result, neighbour)
                result = self.reduction.join(*pair)
            level, index, size = level + 1, index // 2, (size + 1) // 2
        self.waiting[level, index] = result

    def root(self) -> Result:
        """Return the result of all pieces, which must have come."""
        (total,) = self.waiting.values()
        return total
