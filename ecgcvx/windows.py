"""Sliding windows of a recording: the design matrix as a view of the signal, the chronological split, the scaler.

A window is `length` consecutive samples; its target is the sample `horizon` steps after the last of them. With the
standardised signal z, row i of the design matrix is x_i = (z[s_i], ..., z[s_i + length - 1], 1) and
y_i = z[s_i + length - 1 + horizon], where s_i is the first sample of window i. The column of ones carries the bias.

Of joined leads the signal is (leads, samples), the lead that is forecast last, and a row holds the windows of all of
them at the same samples, one lead after another. A window is taken where all leads are valid; each lead is standardised
by itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from ecgcvx.errors import InputError
from ecgcvx.formats.amplitude import LARGEST
from ecgcvx.metrics import root_mean_square
from ecgcvx.types import Array


@dataclass(frozen=True)
class Scaler:
    """One mean and one standard deviation (mV) for all taps and the target alike, so that windows stay a view.

    joined : those of the leads whose windows stand before that of the lead that is forecast.
    """

    mean: float
    scale: float
    joined: tuple["Scaler", ...] = ()

    @classmethod
    def of(cls, signal: Array, part: str) -> "Scaler":
        """Return the scaler of valid samples (samples,) or (leads, samples) in mV. part : what they are, for the error.

        Raises InputError for no samples, and for a lead that is constant.
        """
        if not signal.shape[-1]:
            raise InputError(f"signal: {part} has no valid sample; give another lead, start or end")
        *joined, found = [cls(float(lead.mean()), float(lead.std())) for lead in np.atleast_2d(signal)]
        for one in (found, *joined):
            if one.scale <= 1e-12 * max(1.0, abs(one.mean)):
                why = "there is nothing to predict" if one is found else "it is of a lead that is joined; leave it out"
                raise InputError(f"signal: {part} is constant ({one.mean:g} mV); {why}")
        return cls(found.mean, found.scale, tuple(joined))

    @property
    def leads(self) -> "tuple[Scaler, ...]":
        """The scaler of every lead, in the order of their windows in a row."""
        return (*self.joined, self)

    def columns(self, length: int) -> tuple[Array, Array]:
        """Return the mean and the scale (mV) of the samples in a row of windows of `length`.

        Both are (leads * length,) of joined leads, the last one that of the lead that is forecast; of one lead ().
        """
        mean, scale = (np.array([getattr(one, name) for one in self.leads]) for name in ("mean", "scale"))
        return (np.repeat(mean, length), np.repeat(scale, length)) if self.joined else (mean[0, ...], scale[0, ...])

    def standardise(self, signal: Array) -> Array:
        """Return (signal - mean) / scale, dimensionless, same shape; joined leads (leads, samples) each by its own."""
        if not self.joined:
            return (signal - self.mean) / self.scale
        return np.stack([(lead - one.mean) / one.scale for lead, one in zip(signal, self.leads, strict=True)])

    def restore(self, z: Array) -> Array:
        """Return the values in mV of standardised values."""
        return z * self.scale + self.mean


class WindowMatrix:
    """The n x (leads * length + 1) design matrix [windows, 1] of a signal, of which only rows asked for are formed.

    It has `shape` and slicing `X[a:b]`, all that the programs ask of a design matrix, so a plain array serves as well;
    `np.asarray(X)` forms all rows. signal : (samples,) or (leads, samples). runs : (first, stop) ranges of window
    starts. views : of each lead all windows (samples - length + 1, length), as a view of its signal.
    """

    def __init__(self, signal: Array, runs: tuple[tuple[int, int], ...], length: int) -> None:
        self.signal, self.runs = signal, runs
        leads = np.atleast_2d(signal)
        short = leads.shape[1] < length
        self.views = [np.empty((0, length)) if short else sliding_window_view(lead, length) for lead in leads]
        self._ends = np.cumsum([stop - first for first, stop in runs])
        self.shape = (int(self._ends[-1]) if runs else 0, len(leads) * length + 1)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Array:
        """Rows a:b as a new C-ordered float64 array, at most one copy of that chunk."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise InputError(f"rows {rows}: a window matrix is sliced as X[a:b]; np.asarray(X) forms all rows")
        a, b, _ = rows.indices(self.shape[0])
        out = np.ones((max(b - a, 0), self.shape[1]))
        for number, view in enumerate(self.views):
            columns = slice(number * view.shape[1], (number + 1) * view.shape[1])
            for piece, at in self._pieces(a, b):
                out[at : at + piece.stop - piece.start, columns] = view[piece]
        return out

    def starts(self, first: int, stop: int) -> NDArray[np.int64]:
        """First samples of the windows first:stop, (stop - first,)."""
        out = np.empty(stop - first, np.int64)
        run, at = int(np.searchsorted(self._ends, first, side="right")), first
        while at < stop:
            begin, end = self.runs[run][1] - int(self._ends[run]), min(stop, int(self._ends[run]))
            out[at - first : end - first] = np.arange(at + begin, end + begin)
            run, at = run + 1, end
        return out

    def take(self, rows: NDArray[np.intp]) -> "WindowRows":
        """Some of the windows, by their numbers."""
        run = np.searchsorted(self._ends, rows, side="right")
        begins = np.array([stop for _, stop in self.runs], dtype=np.int64) - self._ends
        return WindowRows(self.signal, rows + begins[run], self.shape[1] - 1)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows, for NumPy; a ValueError where no copy is allowed, as its protocol asks."""
        if copy is False:
            raise ValueError("a window matrix is formed anew: copy=False is impossible")
        return self[:].astype(dtype or np.float64, copy=False)

    def _pieces(self, a: int, b: int) -> Iterator[tuple[slice, int]]:
        """Yield the window starts of rows a:b with their offset, cut where a gap parts two runs of windows."""
        begin = 0
        for (first, _), end in zip(self.runs, self._ends, strict=True):
            low, high = max(a, begin), min(b, int(end))
            if low < high:
                yield slice(first + low - begin, first + high - begin), low - a
            begin = int(end)


class WindowRows:
    """The n x (length + 1) matrix [windows, 1] of windows of a signal (samples,) that begin at any samples (n,)."""

    def __init__(self, signal: Array, begins: NDArray[np.int64], length: int) -> None:
        self.signal, self._begins = signal, begins
        self._view = sliding_window_view(signal, length)
        self.shape = (len(begins), length + 1)

    def __getitem__(self, rows: slice) -> Array:
        """Rows a:b as a new C-ordered float64 array."""
        begins = self._begins[rows]
        out = np.ones((len(begins), self.shape[1]))
        out[:, :-1] = self._view[begins]
        return out

    def starts(self, first: int, stop: int) -> NDArray[np.int64]:
        """First samples of the windows first:stop, (stop - first,)."""
        return self._begins[first:stop]

    def take(self, rows: NDArray[np.intp]) -> "WindowRows":
        """Some of the windows, by their numbers."""
        return WindowRows(self.signal, self._begins[rows], self.shape[1] - 1)


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one part (training or test) of a recording.

    signal: the whole standardised signal (samples,) or (leads, samples), NaN in gaps; runs: (first, stop) ranges of
    window starts, in samples of the recording; length and horizon in samples.
    """

    signal: Array
    runs: tuple[tuple[int, int], ...]
    length: int
    horizon: int

    def __len__(self) -> int:
        return sum(stop - first for first, stop in self.runs)

    @cached_property
    def X(self) -> WindowMatrix:
        """Design matrix (n, leads * length + 1), the last column ones."""
        return WindowMatrix(self.signal, self.runs, self.length)

    @property
    def forecast_lead(self) -> Array:
        """The standardised signal (samples,) of the lead that is forecast."""
        return self.signal if self.signal.ndim == 1 else self.signal[-1]

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
        ahead = self.length - 1 + self.horizon
        # By slices: over a day of signal the indices of `targets` alone would take 500 MB.
        parts = [self.forecast_lead[first + ahead : stop + ahead] for first, stop in self.runs]
        return np.concatenate(parts) if parts else np.empty(0)


@dataclass(frozen=True)
class WindowCounts:
    """Where every window that the recording could hold went: n_samples - length - horizon + 1 of them in all."""

    train: int
    test: int
    missing: int
    split: int

    @property
    def excluded(self) -> int:
        """Windows in neither part: over missing samples, or reaching from the training into the test part."""
        return self.missing + self.split


@dataclass(frozen=True, eq=False)
class Split:
    """A chronological split: the training part comes first, and no window reaches over the boundary (a sample)."""

    train: Windows
    test: Windows
    scaler: Scaler
    boundary: int
    counts: WindowCounts

    def rmse_mv(self, predict: Callable[[WindowMatrix], Array], part: Windows | None = None) -> float:
        """Root-mean-square error in mV of forecasts of a part, by default the test part.

        predict : from a design matrix (n, d) to standardised forecasts (n,).
        """
        held = self.test if part is None else part
        return self.scaler.scale * root_mean_square(held.y - predict(held.X))


def window_runs(valid: NDArray[np.bool_], length: int, horizon: int, first: int, stop: int) -> list[tuple[int, int]]:
    """Return the (first, stop) ranges of window starts such that window, target and all between are valid samples.

    valid: (samples,) mask; only samples first <= t < stop are used.
    """
    edges = np.flatnonzero(np.diff(np.r_[False, valid[first:stop], False].astype(np.int8)))
    span = length + horizon - 1  # samples after a window's first one that must exist too
    bounds = ((int(a) + first, int(b) + first - span) for a, b in edges.reshape(-1, 2))
    return [(a, b) for a, b in bounds if a < b]


def all_windows(signal: Array, scaler: Scaler, length: int, horizon: int) -> Windows:
    """Return every gap-free window of a signal (samples,) or (leads, samples) in mV, scaled as fitted elsewhere.

    Raises InputError when the signal holds none, or a sample beyond `LARGEST`.
    """
    _check_sizes(length, horizon)
    valid = _check_samples(signal)
    runs = window_runs(valid, length, horizon, 0, len(valid))
    if not runs:
        raise InputError(f"signal: {_too_few(valid, length + horizon)}")
    return Windows(scaler.standardise(signal), tuple(runs), length, horizon)


def split_windows(
    signal: Array, length: int = 15, horizon: int = 1, train_fraction: float = 0.8, *, longest: int = 0
) -> Split:
    """Cut a signal (samples,) or (leads, samples) in mV, NaN in gaps, into training and test windows.

    The training part ends after the share `train_fraction` of the samples that belong to a window, so that neither part
    is lost in gaps; without gaps these are the first floor(train_fraction * samples). The scaler is fitted on the
    training part alone. A window belongs to a part when it, its target and all between lie in it. longest : the longest
    of several horizons, which then have the same windows: those with a target at that one.

    Raises InputError for a length or horizon below 1, a fraction outside (0, 1), a sample beyond `LARGEST`, a part
    without any window, and a constant part.
    """
    _check_sizes(length, horizon)
    if not 0.0 < train_fraction < 1.0:
        raise InputError(f"train_fraction = {train_fraction}: it must lie between 0 and 1, e.g. 0.8")
    valid, reach = _check_samples(signal), max(horizon, longest)
    all_runs = window_runs(valid, length, reach, 0, len(valid))
    if not all_runs:
        raise InputError(f"signal: {_too_few(valid, length + reach)}")
    boundary = _boundary(all_runs, length + reach - 1, train_fraction)
    train = window_runs(valid, length, reach, 0, boundary)
    test = window_runs(valid, length, reach, boundary, len(valid))
    for name, runs in (("training", train), ("test", test)):
        if not runs:
            raise InputError(
                f"signal: the {name} part has no {length + reach} consecutive valid samples; "
                f"{_too_few(valid, length + reach, train_fraction)}"
            )
    scaler = Scaler.of(signal[..., :boundary][..., valid[:boundary]], "the training part")
    z = scaler.standardise(signal)
    parts = [Windows(z, tuple(runs), length, horizon) for runs in (train, test)]
    later = np.atleast_2d(signal)[-1, parts[1].targets]
    if len(later) > 1 and np.ptp(later) == 0:
        raise InputError(
            f"signal: the test part is constant ({later[0]:g} mV from sample {boundary} on), as when a lead is off: "
            "it tests nothing; end before it (end), or choose another train_fraction"
        )
    possible = max(len(valid) - length - reach + 1, 0)
    whole = sum(stop - first for first, stop in all_runs)
    kept = len(parts[0]) + len(parts[1])
    counts = WindowCounts(len(parts[0]), len(parts[1]), missing=possible - whole, split=whole - kept)
    return Split(parts[0], parts[1], scaler, boundary, counts)


def _boundary(runs: list[tuple[int, int]], span: int, fraction: float) -> int:
    """Sample after the first `fraction` of those that runs of windows, each over span + 1 samples, hold."""
    left = int(fraction * sum(stop - first + span for first, stop in runs))
    boundary = runs[0][0]
    for first, stop in runs:
        samples = stop - first + span
        boundary = first + min(left, samples)
        left -= samples
        if left <= 0:
            break
    return boundary


def _check_samples(signal: Array) -> NDArray[np.bool_]:
    """The mask (samples,) of those valid in all leads; InputError for a value that is no voltage in any unit."""
    if signal.ndim == 2:
        return np.logical_and.reduce([_check_samples(lead) for lead in signal])
    valid = np.isfinite(signal)
    if len(signal) and max(np.fmax.reduce(signal), -np.fmin.reduce(signal)) > LARGEST:
        beyond = valid & (np.abs(signal) > LARGEST)
        if not beyond.any():
            return valid  # infinite samples are gaps
        place = int(np.argmax(beyond))
        raise InputError(f"signal: sample {place} is {signal[place]:g} mV, which is no ECG; make it NaN, a gap")
    return valid


def _too_few(valid: NDArray[np.bool_], needed: int, fraction: float | None = None) -> str:
    """Why there are no windows, and what would help."""
    edges = np.flatnonzero(np.diff(np.r_[False, valid, False].astype(np.int8))).reshape(-1, 2)
    longest = int((edges[:, 1] - edges[:, 0]).max(initial=0))
    stands = f"the longest of its stretches without a gap has {longest} of {len(valid)} samples"
    if int(valid.sum()) > 10 * needed and len(edges) > 1:
        return f"{stands}, a window and its target need {needed}; choose another lead, or a smaller window or horizon"
    other = "" if fraction is None else ", another train_fraction"
    return f"{stands}, a window and its target need {needed}; give a longer recording{other} or a smaller window"


def _check_sizes(length: int, horizon: int) -> None:
    for name, value in (("window", length), ("horizon", horizon)):
        if value < 1:
            raise InputError(f"{name} = {value}: it must be at least 1 sample")
