"""What a beat is against the others of its recording: intervals, shape and size, without a label of any of them."""

import numpy as np

from ecgcvx.types import Array

NAMES = (
    "RR before", "RR after", "RR before, overall", "RR before, previous", "RR irregularity",
    "shape", "QRS shape", "QRS size", "difference",
)  # fmt: skip
"""The columns, in order: see `rhythm` for the first five and `likeness` for the others."""
LONGEST_RR = 3.0  # s: more is no interval between two beats
LOCAL = 10  # intervals to each side that the usual one is the median of
LONG = 32  # intervals to each side that the irregularity is of
LARGEST_RATIO = 2.0
QRS = (11, 15)  # samples at 180 Hz before and after the R peak: 60 and 80 ms
SMALLEST = 1e-12  # of a norm that something is divided by


def rhythm(times: Array) -> Array:
    """Return the RR intervals of beats at times (b,) in s as ratios (b, 5), the first four less one.

    The interval before and the one after over the usual one around it, the median of the interval and the ten on each
    side of it; the interval before over the median of the recording, and over the interval before that. The fifth is
    the irregularity: the change from one interval to the next over the usual one, the median of the changes up to the
    interval before and the 32 on each side of it; atrial fibrillation has a large one. Where there is no interval, or
    one of more than 3 s, the ratio is 0; it ends at 2.

    Source: de Chazal, O'Dwyer & Reilly 2004 (intervals against local and overall means).
    """
    intervals = np.diff(times)
    valid = (intervals > 0) & (intervals <= LONGEST_RR)
    known = np.where(valid, intervals, np.nan)
    out = np.full((len(times), 5), np.nan)
    if valid.any():
        usual = np.where(valid, _medians(known, LOCAL), np.nan)
        out[1:, 0] = out[:-1, 1] = known / usual - 1.0
        out[1:, 2] = known / np.nanmedian(known) - 1.0
        out[2:, 3] = known[1:] / known[:-1] - 1.0
        out[1:, 4] = _medians(np.abs(np.diff(known, prepend=np.nan)) / usual, LONG)
    return np.nan_to_num(np.minimum(out, LARGEST_RATIO))


def _medians(values: Array, reach: int) -> Array:
    """Return the median (k,) of each value (k,) and so many on each side, NaN left out; NaN where there is none."""
    out = np.full(len(values), np.nan)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(values, reach, constant_values=np.nan), 2 * reach + 1
    )  # fmt: skip
    some = np.isfinite(around).any(axis=1)
    out[some] = np.nanmedian(around[some], axis=1)
    return out


def likeness(windows: Array, at: int) -> Array:
    """Return how windows (b, d) at 180 Hz, R peak at sample `at`, compare with their median, the usual beat (d,).

    (b, 4): correlation with it less one, of the whole window and of the QRS (60 ms before to 80 ms after the R peak);
    logarithm of the size of the QRS over that of the usual one; size of the difference over that of the usual beat,
    each at most 2 in size.
    """
    usual = np.median(windows, axis=0)
    qrs = slice(at - QRS[0], at + QRS[1])
    size = np.log((_norms(windows[:, qrs]) + SMALLEST) / (_norms(usual[qrs]) + SMALLEST))
    difference = _norms(windows - usual) / (_norms(usual) + SMALLEST)
    columns = (_correlation(windows, usual), _correlation(windows[:, qrs], usual[qrs]), size, difference)
    return np.clip(np.stack(columns, axis=1), -LARGEST_RATIO, LARGEST_RATIO)


def _norms(rows: Array) -> Array:
    return np.asarray(np.linalg.norm(rows, axis=-1))


def _correlation(rows: Array, one: Array) -> Array:
    """Pearson's correlation of each row (b, k) with one (k,), less one."""
    rows, one = rows - rows.mean(axis=1, keepdims=True), one - one.mean()
    return np.asarray(rows @ one / (_norms(rows) * _norms(one) + SMALLEST) - 1.0)
