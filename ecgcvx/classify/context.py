"""What a beat is against the others of its recording: intervals, shape and size, without a label of any of them."""

import numpy as np

from ecgcvx.types import Array

NAMES = (
    "RR before", "RR after", "RR before, overall", "RR before, previous", "RR irregularity", "RR irregularity by kind",
    "shape", "QRS shape", "QRS size", "difference",
)  # fmt: skip
"""The columns, in order: see `rhythm` for the first six and `likeness` for the others."""
SCALE = np.array([6.0, 6.0, 6.0, 3.0, 8.0, 25.0, 4.0, 3.0, 4.0, 2.0])
"""What each is multiplied by in a row, so that a filter's penalty weighs them alike: about one over their standard
deviations in the patients of DS1."""
LONGEST_RR = 3.0  # s: more is no interval between two beats
LOCAL = 10  # intervals to each side that the usual one is the median of
LONG = 32  # intervals to each side that the irregularity is of, and the kinds of intervals
SHORT_SHARE, LONG_SHARE = 0.3, 0.08  # of the intervals around that are of a kind, at least
APART, LONGER = 4.0, 1.15  # two kinds: Ashman's D of their logarithms and the ratio of their means are above
SPREAD = 0.02  # of the logarithms of a kind, at least
BACK = 20  # intervals back that the last one of the same kind is looked for
LARGEST_RATIO = 2.0
QRS = (11, 15)  # samples at 180 Hz before and after the R peak: 60 and 80 ms
SMALLEST = 1e-12  # of a norm that something is divided by


def rhythm(times: Array) -> Array:
    """Return the RR intervals of beats at times (b,) in s as ratios (b, 6), the first four less one.

    The interval before and the one after over the usual one around it; the interval before over the median of the usual
    ones of the recording, and over the interval before that. The usual one is the median of an interval and the ten on
    each side of it. Where the 65 around it are of two kinds that are well apart, and 30 % or more are short ones, as
    where early beats are as many as others, it is the mean of the long ones.

    The fifth is the irregularity: the change from one interval to the next over the usual one, the median of the
    changes up to the interval before and the 32 on each side of it. The sixth is the same of changes from the last
    interval of the same kind. Atrial fibrillation has both large, regular early beats the fifth only. Where there is no
    interval, or one of more than 3 s, the ratio is 0; it ends at 2.

    Source: de Chazal, O'Dwyer & Reilly 2004 (intervals against local and overall means); Ashman, Bird & Zepf 1994 (how
    far two kinds are apart).
    """
    known = _intervals(times)
    out = np.full((len(times), 6), np.nan)
    if np.isfinite(known).any():
        usual, cut = _usual(known)
        out[1:, 0] = out[:-1, 1] = known / usual - 1.0
        out[1:, 2] = known / np.nanmedian(usual) - 1.0
        out[2:, 3] = known[1:] / known[:-1] - 1.0
        out[1:, 4] = _medians(np.abs(np.diff(known, prepend=np.nan)) / usual, LONG)
        out[1:, 5] = _medians(np.abs(known - _last_of_kind(known, cut)) / usual, LONG)
    return np.nan_to_num(np.minimum(out, LARGEST_RATIO))


def local_intervals(times: Array) -> Array:
    """Return the RR intervals before and after beats at times (b,) in s over the median of 21 around, less one, (b, 2).

    Where there is no interval, or one of more than 3 s, the ratio is 0; it ends at 2.
    """
    known = _intervals(times)
    out = np.full((len(times), 2), np.nan)
    out[1:, 0] = out[:-1, 1] = known / _medians(known, LOCAL) - 1.0
    return np.nan_to_num(np.minimum(out, LARGEST_RATIO))


def _intervals(times: Array) -> Array:
    """The intervals (b - 1,) between beats, NaN where that is none."""
    intervals = np.diff(times)
    return np.where((intervals > 0) & (intervals <= LONGEST_RR), intervals, np.nan)


def _usual(known: Array) -> tuple[Array, Array]:
    """Return the usual interval (k,) around each of known (k,), NaN where that is, and where short ones end (k,).

    Of all divisions of the sorted intervals around into short and long ones, that with the largest Ashman's D of the
    logarithms: the difference of the means over the root mean square of the standard deviations.
    """
    around = np.sort(_around(known, LONG), axis=1)  # NaN last
    logs = np.log(around)
    count = np.isfinite(logs).sum(axis=1)[:, None]
    sums, squares = (np.cumsum(np.nan_to_num(logs) ** power, axis=1) for power in (1, 2))
    short = np.arange(1, logs.shape[1] + 1)[None]
    long = np.maximum(count - short, 1)
    below, above = sums / short, (sums[:, -1:] - sums) / long
    variances = squares / short - below**2, (squares[:, -1:] - squares) / long - above**2
    spread = np.sqrt(sum(np.maximum(one, 0.0) for one in variances) / 2 + SPREAD**2)
    allowed = (short >= SHORT_SHARE * count) & (count - short >= np.maximum(LONG_SHARE * count, 2))
    apart = np.where(allowed, (above - below) / spread, -1.0)
    best = np.argmax(apart, axis=1)
    i = np.arange(len(known))
    cut = (around[i, best] + around[i, np.minimum(best + 1, around.shape[1] - 1)]) / 2
    two = (apart[i, best] > APART) & (above[i, best] - below[i, best] > np.log(LONGER))
    median = _medians(known, LOCAL)
    usual = np.where(two, np.fmax(np.exp(above[i, best]), median), median)
    return np.where(np.isfinite(known), usual, np.nan), cut


def _last_of_kind(known: Array, cut: Array) -> Array:
    """Return for each interval (k,) the last one before it on the same side of its cut (k,), NaN where none is."""
    out = np.full(len(known), np.nan)
    for back in range(1, min(BACK, len(known) - 1) + 1):
        before, here = known[:-back], known[back:]
        same = ((before <= cut[back:]) == (here <= cut[back:])) & np.isfinite(before)
        out[back:] = np.where(np.isnan(out[back:]) & same, before, out[back:])
    return out


def _around(values: Array, reach: int) -> Array:
    """The values (k, 2 reach + 1) around each, NaN beyond the ends."""
    padded = np.pad(values, reach, constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)


def _medians(values: Array, reach: int) -> Array:
    """Return the median (k,) of each value (k,) and so many on each side, NaN left out; NaN where there is none."""
    out = np.full(len(values), np.nan)
    around = _around(values, reach)
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
