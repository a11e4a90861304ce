"""Sliding windows of a recording: the design matrix as a view of the signal, the chronological split, the scaler.

A window is `length` consecutive samples; its target is the sample `horizon` steps after the last of them. With the
standardised signal z, row i of the design matrix is x_i = (z[s_i], ..., z[s_i + length - 1], 1) and
y_i = z[s_i + length - 1 + horizon], where s_i is the first sample of window i. The column of ones carries the bias.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from ecgcvx.errors import InputError
from ecgcvx.types import Array


@dataclass(frozen=True)
class Scaler:
    """One mean and one standard deviation (mV) for all taps and the target alike, so that windows stay a view."""

    mean: float
    scale: float

    def standardise(self, signal: Array) -> Array:
        """Return (signal - mean) / scale, dimensionless."""
        return (signal - self.mean) / self.scale

    def restore(self, z: Array) -> Array:
        """Return the values in mV of standardised values."""
        return z * self.scale + self.mean


class WindowMatrix:
    """The n x (length + 1) design matrix [windows, 1] of a signal, of which only the rows asked for are ever formed.

    It has `shape` and slicing `X[a:b]`, all that the programs ask of a design matrix, so a plain array serves as well;
    `np.asarray(X)` forms all rows.
    """

    def __init__(self, signal: Array, runs: tuple[tuple[int, int], ...], length: int) -> None:
        self._view = sliding_window_view(signal, length) if len(signal) >= length else np.empty((0, length))
        self._runs = runs
        self._ends = np.cumsum([stop - first for first, stop in runs])
        self.shape = (int(self._ends[-1]) if runs else 0, length + 1)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Array:
        """Rows a:b as a new C-ordered float64 array, at most one copy of that chunk."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise InputError(f"rows {rows}: a window matrix is sliced as X[a:b]; np.asarray(X) forms all rows")
        a, b, _ = rows.indices(self.shape[0])
        out = np.ones((max(b - a, 0), self.shape[1]))
        for piece, at in self.pieces(a, b):
            out[at : at + len(piece), :-1] = piece
        return out

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows, for NumPy; a ValueError where no copy is allowed, as its protocol asks."""
        if copy is False:
            raise ValueError("a window matrix is formed anew: copy=False is impossible")
        return self[:].astype(dtype or np.float64, copy=False)

    def pieces(self, a: int, b: int) -> Iterator[tuple[Array, int]]:
        """Yield (view, offset) pairs: rows a:b as views of the signal, cut where a gap parts two runs of windows."""
        begin = 0
        for (first, _), end in zip(self._runs, self._ends, strict=True):
            low, high = max(a, begin), min(b, int(end))
            if low < high:
                yield self._view[first + low - begin : first + high - begin], low - a
            begin = int(end)


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one part (training or test) of a recording.

    signal: the whole standardised signal (samples,), NaN in gaps; runs: (first, stop) ranges of window starts, in
    samples of the recording; length and horizon in samples.
    """

    signal: Array
    runs: tuple[tuple[int, int], ...]
    length: int
    horizon: int

    def __len__(self) -> int:
        return sum(stop - first for first, stop in self.runs)

    @cached_property
    def X(self) -> WindowMatrix:
        """Design matrix (n, length + 1), the last column ones."""
        return WindowMatrix(self.signal, self.runs, self.length)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First sample of each window (n,), in samples of the recording."""
        return np.concatenate([np.arange(first, stop) for first, stop in self.runs] or [np.empty(0, np.int64)])

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """Sample that each window predicts (n,), in samples of the recording."""
        return self.starts + (self.length - 1 + self.horizon)

    @cached_property
    def y(self) -> Array:
        """Standardised targets (n,)."""
        return self.signal[self.targets]


@dataclass(frozen=True)
class Ledger:
    """Where every window that the recording could hold went: n_samples - length - horizon + 1 of them in all."""

    train: int
    test: int
    gap: int
    split: int

    @property
    def excluded(self) -> int:
        """Windows in neither part: those over a gap and those that reach from the training into the test part."""
        return self.gap + self.split


@dataclass(frozen=True, eq=False)
class Split:
    """A chronological split: the training part comes first, and no window reaches over the boundary."""

    train: Windows
    test: Windows
    scaler: Scaler
    boundary: int
    ledger: Ledger


def window_runs(valid: NDArray[np.bool_], length: int, horizon: int, first: int, stop: int) -> list[tuple[int, int]]:
    """Return the (first, stop) ranges of window starts such that window, target and all between are valid samples.

    valid: (samples,) mask; only samples first <= t < stop are used.
    """
    edges = np.flatnonzero(np.diff(np.r_[False, valid[first:stop], False].astype(np.int8)))
    span = length + horizon - 1  # samples after a window's first one that must exist too
    bounds = ((int(a) + first, int(b) + first - span) for a, b in edges.reshape(-1, 2))
    return [(a, b) for a, b in bounds if a < b]


def all_windows(signal: Array, scaler: Scaler, length: int, horizon: int) -> Windows:
    """Return every gap-free window of a signal (samples,) in mV, standardised by a scaler fitted elsewhere.

    Raises InputError when the signal holds none.
    """
    _check_sizes(length, horizon)
    runs = window_runs(np.isfinite(signal), length, horizon, 0, len(signal))
    if not runs:
        raise InputError(
            f"signal: no {length + horizon} consecutive valid samples in {len(signal)}; give a longer recording"
        )
    return Windows(scaler.standardise(signal), tuple(runs), length, horizon)


def split_windows(signal: Array, length: int = 15, horizon: int = 1, train_fraction: float = 0.8) -> Split:
    """Cut a signal (samples,) in mV, NaN in gaps, into training and test windows.

    The first floor(train_fraction * samples) samples are the training part; the scaler is fitted on them alone. A
    window belongs to a part when it, its target and all between lie in it.

    Raises InputError for a length or horizon below 1, a fraction outside (0, 1), a part without any window, and a
    constant training part.
    """
    _check_sizes(length, horizon)
    if not 0.0 < train_fraction < 1.0:
        raise InputError(f"train_fraction = {train_fraction}: it must lie between 0 and 1, as 0.8")
    valid = np.isfinite(signal)
    boundary = int(train_fraction * len(signal))
    train = window_runs(valid, length, horizon, 0, boundary)
    test = window_runs(valid, length, horizon, boundary, len(signal))
    for name, runs in (("training", train), ("test", test)):
        if not runs:
            raise InputError(
                f"signal: the {name} part has no {length + horizon} consecutive valid samples (of {len(signal)} in "
                "all); give a longer recording or another train_fraction"
            )
    part = signal[:boundary][valid[:boundary]]
    scaler = Scaler(float(part.mean()), float(part.std()))
    if scaler.scale <= 1e-12 * max(1.0, abs(scaler.mean)):
        raise InputError(f"signal: the training part is constant ({scaler.mean:g} mV); there is nothing to predict")
    z = scaler.standardise(signal)
    parts = [Windows(z, tuple(runs), length, horizon) for runs in (train, test)]
    possible = max(len(signal) - length - horizon + 1, 0)
    whole = sum(stop - first for first, stop in window_runs(valid, length, horizon, 0, len(signal)))
    kept = len(parts[0]) + len(parts[1])
    ledger = Ledger(len(parts[0]), len(parts[1]), gap=possible - whole, split=whole - kept)
    return Split(parts[0], parts[1], scaler, boundary, ledger)


def _check_sizes(length: int, horizon: int) -> None:
    for name, value in (("window", length), ("horizon", horizon)):
        if value < 1:
            raise InputError(f"{name} = {value}: it must be at least 1 sample")
