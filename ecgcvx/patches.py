"""The patches of windows that the filters of a convolutional network see, as a matrix of rows on demand."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.pooling import POOLING
from ecgcvx.rows import Matrix, check_matrix
from ecgcvx.types import Array
from ecgcvx.windows import WindowMatrix

Values: TypeAlias = NDArray[Any]  # of patches, in float32 or float64


@dataclass(frozen=True)
class Convolution:
    """How filters of `taps` samples move over the rows of X (n, d) and how their outputs are pooled.

    The last `context` columns of X, the bias and perhaps the RR intervals of a beat, are no samples of the window:
    every patch repeats them. Patch k of a row is (x[k s], ..., x[k s + taps - 1], context) with the stride s, (w,) with
    w = taps + context, and there are K = 1 + (d - context - taps) // s of them.

    taps : filter width h in samples. stride : samples from one patch to the next. pooling : 'average' or 'sum' over
    the K patches. segments : G stretches of about K/G successive patches, pooled each for itself and weighted by an
    output weight of its own; 1 pools over the whole window.

    Raises InputError for fewer than 1 tap, a stride or number of segments below 1, a context below 0 or another
    pooling.
    """

    taps: int
    stride: int = 1
    pooling: Literal["average", "sum"] = "average"
    context: int = 1
    segments: int = 1

    def __post_init__(self) -> None:
        for name, least in (("taps", 1), ("stride", 1), ("context", 0), ("segments", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise InputError(f"{name} = {value!r}: give a whole number")
            if value < least:
                raise InputError(f"{name} = {value}: give at least {least}")
        if self.pooling not in POOLING:
            raise InputError(f"pooling = {self.pooling!r}: choose one of {', '.join(POOLING)}")

    @property
    def width(self) -> int:
        """Length w of a patch with its context."""
        return self.taps + self.context

    def count(self, columns: int) -> int:
        """Patches K of a row of d columns; InputError where the filter is longer than the window."""
        length = columns - self.context
        if self.taps > length:
            raise InputError(f"taps = {self.taps}: longer than the window of {max(length, 0)} samples; give fewer taps")
        count = 1 + (length - self.taps) // self.stride
        if self.segments > count:
            raise InputError(f"segments = {self.segments}: the window has {count} patches; give at most as many")
        return count

    def parts(self, columns: int) -> "list[Part]":
        """The segments of a row of d columns as convolutions of their own, first patches first."""
        bounds = np.linspace(0, self.count(columns), self.segments + 1).round().astype(np.intp).tolist()
        whole = replace(self, segments=1)
        return [
            Part(first, stop, first * self.stride, (stop - 1) * self.stride + self.taps, whole)
            for first, stop in pairwise(bounds)
        ]

    def scale(self, columns: int) -> float:
        """Weight of a patch in the output pooled over the whole window."""
        return 1.0 / self.count(columns) if self.pooling == "average" else 1.0

    def rows(self, X: Array) -> Array:
        """Return the patches (n, K, w) of rows X (n, d)."""
        n, d = X.shape
        taps = np.lib.stride_tricks.sliding_window_view(X[:, : d - self.context], self.taps, axis=1)[:, :: self.stride]
        out = np.empty((n, self.count(d), self.width))
        out[:, :, : self.taps] = taps
        out[:, :, self.taps :] = X[:, None, d - self.context :]
        return out

    def pool(self, values: Array, columns: int) -> Array:
        """Pool values of all patches (n K, ...) over the patches of each row, (n, ...)."""
        K = self.count(columns)
        pooled: Array = values.reshape(len(values) // K, K, *values.shape[1:]).sum(axis=1)
        return pooled * self.scale(columns)

    def spread(self, r: Array, columns: int) -> Array:
        """The transpose of `pool`: r (n,) of each row repeated for its patches and weighted, (n K,)."""
        return np.repeat(r * self.scale(columns), self.count(columns))


@dataclass(frozen=True)
class Part:
    """A segment: its patches first:stop of a row, its samples begin:end, and the convolution of these samples."""

    first: int
    stop: int
    begin: int
    end: int
    convolution: Convolution

    def of(self, X: Matrix) -> Matrix:
        """The samples and the context of the rows X (n, d), (n, end - begin + context)."""
        context = self.convolution.context
        if isinstance(X, WindowMatrix) and context == 1:
            runs = tuple((first + self.begin, stop + self.begin) for first, stop in X.runs)
            return WindowMatrix(X.signal, runs, self.end - self.begin)
        n, d = check_matrix(X)
        rows = np.asarray(X[0:n], dtype=np.float64)
        return np.concatenate([rows[:, self.begin : self.end], rows[:, d - context :]], axis=1)


class PatchMatrix:
    """The (n K, w) matrix of all patches of X: row i K + k is patch k of row i; rows are made when they are asked for.

    A two-layer network on it that is pooled over the K patches of each row is the convolutional network on X, and its
    patterns are those of the convolutional layer: at most `pattern_bound(n K, w)` of them, polynomial in n for a fixed
    filter however long the windows are.

    Raises InputError where the filter is longer than the window.

    Source: Ergen & Pilanci 2021 (convolutional networks).
    """

    def __init__(self, X: Matrix, convolution: Convolution) -> None:
        n, d = check_matrix(X)
        self.X, self.convolution, self.count = X, convolution, convolution.count(d)
        self.shape = (n * self.count, convolution.width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Array:
        """Patches a:b as a new float64 array."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise InputError(f"rows {rows}: a patch matrix is sliced as P[a:b]")
        a, b, _ = rows.indices(self.shape[0])
        first, stop = a // self.count, -(-b // self.count)
        if first >= stop:
            return np.empty((0, self.shape[1]))
        patches = self.convolution.rows(np.asarray(self.X[first:stop], dtype=np.float64)).reshape(-1, self.shape[1])
        return patches[a - first * self.count : b - first * self.count]

    def __iter__(self) -> Iterator[Array]:
        return iter(self[:])


class Patches(Protocol):
    """The patches of all rows as a matrix, and the pooling of their values, f = B g with B (n, N)."""

    @property
    def matrix(self) -> Matrix:
        """(N, w) patches."""
        ...

    def pool(self, values: Values) -> Values:
        """Return B g (..., n) for g (..., N), in the type of g."""
        ...

    def spread(self, v: Array) -> Array:
        """Return B'v (N,) for v (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class PatchesOfRows:
    """Every row's own K patches, N = n K."""

    matrix: PatchMatrix

    def pool(self, values: Values) -> Values:
        """Sum over the patches of each row."""
        K = self.matrix.count
        scale = self.matrix.convolution.scale(self.matrix.X.shape[1])
        return values.reshape(*values.shape[:-1], values.shape[-1] // K, K).sum(axis=-1) * values.dtype.type(scale)

    def spread(self, v: Array) -> Array:
        """Repeat each row's value for its patches."""
        return self.matrix.convolution.spread(v, self.matrix.X.shape[1])


@dataclass(frozen=True, eq=False)
class PatchesOfSignal:
    """The patches of overlapping windows of a signal: short windows that the windows share, N = n + (K - 1) s a run.

    Window i of a run takes the short windows i, i + s, ..., i + (K - 1) s, so that pooling sums a box of them, and the
    residual of a short window is a box of residuals: a pass over the signal costs n rows in place of n K.

    runs : (windows, ...) of each stretch without a gap.
    """

    matrix: WindowMatrix
    runs: tuple[int, ...]
    count: int
    stride: int
    scale: float

    def pool(self, values: Values) -> Values:
        """Sums of K values that are a stride apart."""
        parts, at = [], 0
        for windows in self.runs:
            length = windows + (self.count - 1) * self.stride
            parts.append(strided_sums(values[..., at : at + length], self.count, self.stride))
            at += length
        return np.concatenate(parts, axis=-1) * values.dtype.type(self.scale)

    def spread(self, v: Array) -> Array:
        """Sums of the values of the up to K windows that take a short window."""
        parts, at = [], 0
        border = np.zeros((self.count - 1) * self.stride)
        for windows in self.runs:
            part = np.concatenate([border, v[at : at + windows], border])
            parts.append(strided_sums(part, self.count, self.stride))
            at += windows
        return np.concatenate(parts) * self.scale


def strided_sums(values: Values, count: int, stride: int) -> Values:
    """Return sum_{k < count} g[..., i + k stride] for every i where all of them exist, by sums of powers of two."""
    size = values.shape[-1] - (count - 1) * stride
    total = np.zeros((*values.shape[:-1], size), dtype=values.dtype)
    power, length, offset = values, 1, 0
    while count:
        if count & 1:
            total += power[..., offset : offset + size]
            offset += length * stride
        count >>= 1
        if count:
            power = power[..., : -length * stride] + power[..., length * stride :]
            length *= 2
    return total


def patches_of(X: Matrix, convolution: Convolution) -> Patches:
    """The patches of X (n, d): shared ones where X are windows of a signal, the rows' own otherwise.

    Raises InputError where the filter is longer than the window, and for more than one segment.
    """
    _, d = check_matrix(X)
    K = convolution.count(d)
    if convolution.segments > 1:
        raise InputError(f"segments = {convolution.segments}: take the patches of each of its parts")
    if not isinstance(X, WindowMatrix) or convolution.context != 1:
        return PatchesOfRows(PatchMatrix(X, convolution))
    reach = (K - 1) * convolution.stride
    runs = X.runs
    short = WindowMatrix(X.signal, tuple((a, b + reach) for a, b in runs), convolution.taps)
    return PatchesOfSignal(short, tuple(b - a for a, b in runs), K, convolution.stride, convolution.scale(d))
