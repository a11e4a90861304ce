"""Prediction intervals: split conformal, in groups of the error that is to be expected, and adaptive along a signal.

How large an error will be is visible in the window: it is larger where the signal bends. A linear model of quadratic
features phi of the newest samples, and of the sizes of their first and second differences, predicts its logarithm,
log(|r| + e) ~ phi(x)'b, by least squares on the training windows. Its quantiles on the validation part cut the windows
into groups. Within a group g with n residuals r of the validation part, which trained neither network nor level, the
interval of coverage c reaches from f(x) + r_(l) to f(x) + r_(u) with l = floor((n + 1)(1 - c)/2), u = n + 1 - l.

If residuals to come were exchangeable with those of the validation part, the share c of the intervals of every group,
on average, would hold what comes. Those of a signal that changes are not: `Tracker` lets the intervals follow it. With
centre m_g and width w_g of a group, started from the residuals, every forecast that falls due makes

    w_g <- w_g exp(gamma (miss - (1 - c))),    m_g <- m_g +- gamma w_g / 2 at a miss above or below,

so that after T forecasts of a group the share of misses differs from 1 - c by |log(w_T / w_0)| / (gamma T), whatever
the signal: a statement on the long run, none on a single sample.

Sources: Papadopoulos et al. 2002 (split conformal); Vovk 2012 (Mondrian groups); Gibbs & Candes 2021 (adaptive
conformal inference); Angelopoulos, Candes & Tibshirani 2023 (quantile tracking).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import compiled
from ecgcvx.types import Array

COVERAGES = (0.5, 0.9)
GAMMA = 0.02  # step of the adaptation: of log width at a forecast
NEWEST = 15  # samples of the window that the level looks at
GROUPS, GROUP_SIZE = 20, 200  # at most, and residuals in each at least
KEPT = 1001  # order statistics of a group in the model file: a quantile is off by at most a thousandth, outwards
LEVEL_ROWS = 60_000  # windows that the level is fitted on at most
RIDGE, FLOOR = 1e-4, 0.1  # of standardised features; e as a share of the median |r|
NARROWEST = 1e-9  # mV

Counts = NDArray[np.int64]


class Interval(NamedTuple):
    """Ends of intervals in mV, NaN where there is no forecast."""

    lower: Array
    upper: Array


@dataclass(frozen=True, eq=False)
class Calibration:
    """What intervals need: the predicted level of the error, its groups, and the residuals of the validation part.

    level : (k,) weights of `level_features`. edges : (G - 1,) of log level between the G groups. residuals : (G, KEPT)
    order statistics in mV, evenly spaced in rank from the first to the last. counts : (G,) residuals of each group.
    coverages : those that figures and streams show unless they are given.

    Raises InputError when shapes do not fit together, values are not finite or not in order.
    """

    level: Array
    edges: Array
    residuals: Array
    counts: Array
    coverages: tuple[float, ...] = COVERAGES

    def __post_init__(self) -> None:
        groups = len(self.counts)
        fits = self.edges.shape == (groups - 1,) and self.residuals.shape[:1] == (groups,)
        if self.level.ndim != 1 or self.residuals.ndim != 2 or not groups or not fits:
            raise InputError(
                f"calibration: level {self.level.shape}, edges {self.edges.shape}, residuals {self.residuals.shape}, "
                f"counts {self.counts.shape} do not fit"
            )
        parts = (self.level, self.edges, self.residuals, self.counts)
        rising = (np.diff(self.edges) > 0).all() and (np.diff(self.residuals) >= 0).all() and (self.counts >= 1).all()
        if not all(np.isfinite(part).all() for part in parts) or not rising:
            raise InputError("calibration: not finite or not in order")
        check_coverages(self.coverages)

    def groups(self, X: Matrix) -> Counts:
        """Return the group (n,) of standardised windows X (n, d)."""
        return np.searchsorted(self.edges, log_levels(X, self.level), side="right")

    def ends(self, coverage: float) -> Array:
        """Return the ends (G, 2) of the residuals of each group in mV.

        Raises InputError for a coverage outside (0, 1), and for one that takes more residuals than there are.
        """
        (coverage,) = check_coverages((coverage,))
        n = self.counts
        below = np.floor(np.round((n + 1) * (1 - coverage) / 2, 9))
        if (below < 1).any():
            least = int(n.min())
            raise InputError(
                f"coverage = {coverage:g}: the model keeps {least} residuals of a group, enough for a coverage of "
                f"{1 - 2 / (least + 1):.4g}; take that or less, or fit on a longer record"
            )
        # The kept order statistic of that rank, or the next one outwards.
        half = self.residuals.shape[1] // 2 - 1
        step = np.maximum((n - 1) / (self.residuals.shape[1] - 1), 1e-12)
        place = np.minimum(np.ceil(np.round(below / step, 6)) - 1, half).astype(np.int64)
        rows = np.arange(len(n))
        return np.stack([self.residuals[rows, place], self.residuals[rows, -1 - place]], axis=1)


def check_coverages(coverages: Sequence[float]) -> tuple[float, ...]:
    """Return coverages as a tuple; InputError for none, and for one outside (0, 1)."""
    found = tuple(float(one) for one in coverages)
    for one in found:
        if not 0.0 < one < 1.0:
            raise InputError(f"coverage = {one:g}: give a share between 0 and 1, e.g. 0.9")
    if not found:
        raise InputError("coverage: give at least one, e.g. 0.9")
    return found


def calibrate(
    train: tuple[Matrix, Array], validation: tuple[Matrix, Array], coverages: Sequence[float] = COVERAGES
) -> Calibration:
    """Return the calibration by a network's residuals in mV.

    train, validation : standardised windows X (n, d) and residuals r (n,), those of the training for the level alone.

    Raises InputError when the validation part is too short for a coverage.
    """
    (X, r), (Z, residuals) = train, validation
    level = _fit_level(X, r, min(X.shape[1] - 1, NEWEST))
    heights = log_levels(Z, level)
    groups = int(np.clip(len(residuals) // GROUP_SIZE, 1, GROUPS))
    edges = np.unique(np.quantile(heights, np.arange(1, groups) / groups))
    place = np.searchsorted(edges, heights, side="right")
    counts = np.bincount(place, minlength=len(edges) + 1)
    if (counts < GROUP_SIZE // 2).any():  # levels that tie: a single group
        edges, place, counts = np.empty(0), np.zeros(len(residuals), dtype=np.int64), np.array([len(residuals)])
    kept = np.stack([_order_statistics(residuals[place == g]) for g in range(len(counts))])
    found = Calibration(level, edges, kept, counts.astype(np.float64), check_coverages(coverages))
    for coverage in found.coverages:
        found.ends(coverage)
    return found


def _order_statistics(values: Array) -> Array:
    """KEPT order statistics, the lower half rounded down in rank and the upper half up."""
    ordered, n = np.sort(values), len(values)
    ranks = np.arange(KEPT) * ((n - 1) / (KEPT - 1))
    low = np.arange(KEPT) < KEPT // 2
    places = np.where(low, np.floor(np.round(ranks, 9)), np.ceil(np.round(ranks, 9))).astype(np.int64)
    found: Array = ordered[places]
    return found


def feature_count(newest: int) -> int:
    """Number of features of `level_features`."""
    return (newest + 1) * (newest + 2) // 2 + max(newest - 1, 0) + max(newest - 2, 0)


def constant_feature(newest: int) -> int:
    """Place of the feature 1 * 1."""
    return (newest + 1) * (newest + 2) // 2 - 1


def level_features(rows: Array, newest: int) -> Array:
    """Return phi (n, k) of rows (n, d): products of the newest samples and 1, sizes of first and second differences.

    d includes the 1 of the bias, the last column.
    """
    x = rows[:, -1 - newest :]
    i, j = np.triu_indices(newest + 1)
    samples = x[:, :-1]
    return np.concatenate(
        [x[:, i] * x[:, j], np.abs(np.diff(samples, axis=1)), np.abs(np.diff(samples, 2, axis=1))], axis=1
    )


def _fit_level(X: Matrix, r: Array, newest: int) -> Array:
    """Ridge regression of log(|r| + e) on standardised features, on evenly thinned windows."""
    step = max(-(-X.shape[0] // LEVEL_ROWS), 1)
    k = feature_count(newest)
    gram, products, sums = np.zeros((k, k)), np.zeros(k), np.zeros(k)
    size = np.abs(r[::step])
    target = np.log(size + max(FLOOR * float(np.median(size)), NARROWEST))
    middle, n, at = float(target.mean()), len(target), 0
    for begin, rows in row_chunks(X, 1 << 14):
        features = level_features(rows[-begin % step :: step], newest)
        gram += features.T @ features
        sums += features.sum(axis=0)
        products += features.T @ (target[at : at + len(features)] - middle)
        at += len(features)
    means = sums / n
    spread = np.sqrt(np.maximum(np.diag(gram) / n - means**2, 0.0))
    spread[spread <= 1e-9 * np.maximum(np.abs(means), 1.0)] = np.inf  # the constant, and what never changes
    scaled = (gram / n - np.outer(means, means)) / np.outer(spread, spread)
    weights: Array = np.linalg.solve(scaled + RIDGE * np.eye(k), products / n / spread) / spread
    weights[constant_feature(newest)] = middle - float(means @ weights)
    return weights


@compiled
def log_level(x: Array, window: int, newest: int, weights: Array) -> float:
    """phi(x)'b of one standardised window x (at least window,)."""
    total, k, first = 0.0, 0, window - newest
    for i in range(first, window):
        for j in range(i, window):
            total += weights[k] * x[i] * x[j]
            k += 1
        total += weights[k] * x[i]
        k += 1
    total += weights[k]
    k += 1
    for i in range(first + 1, window):
        total += weights[k] * abs(x[i] - x[i - 1])
        k += 1
    for i in range(first + 2, window):
        total += weights[k] * abs(x[i] - 2.0 * x[i - 1] + x[i - 2])
        k += 1
    return total


@compiled
def group_of(height: float, edges: Array) -> int:
    """Number of edges that are not above a log level."""
    low, high = 0, len(edges)
    while low < high:
        middle = (low + high) // 2
        if edges[middle] <= height:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _log_levels(rows: Array, window: int, newest: int, weights: Array, out: Array) -> None:
    for i in range(rows.shape[0]):
        out[i] = log_level(rows[i], window, newest, weights)


def log_levels(X: Matrix, weights: Array) -> Array:
    """Return phi(x)'b (n,) of standardised windows X (n, d), the last column ones.

    Raises InputError where the weights do not fit the windows.
    """
    window = X.shape[1] - 1
    newest = min(window, NEWEST)
    if feature_count(newest) != len(weights):
        raise InputError(f"calibration: {len(weights)} weights of the level do not fit windows of {window} samples")
    out = np.empty(X.shape[0])
    for begin, rows in row_chunks(X, 1 << 14):
        _log_levels(rows, window, newest, weights, out[begin : begin + len(rows)])
    return out


class Steps(NamedTuple):
    """What a miss and a hit do to a width, and a miss to the centre in half widths; one a coverage, (C,)."""

    miss: Array
    hit: Array
    gamma: float


def steps(coverages: Sequence[float], gamma: float) -> Steps:
    """Return the steps of coverages; InputError for a gamma that is negative or above 1."""
    if not 0.0 <= gamma <= 1.0:
        raise InputError(f"gamma = {gamma:g}: give a step from 0, no adaptation, to 1, e.g. {GAMMA:g}")
    chosen = np.array(check_coverages(coverages))
    return Steps(np.exp(gamma * chosen), np.exp(-gamma * (1 - chosen)), gamma)


def start(calibration: Calibration, coverages: Sequence[float]) -> tuple[Array, Array]:
    """Return centres and widths (G, C) in mV as the validation part has them."""
    ends = np.stack([calibration.ends(coverage) for coverage in coverages], axis=1)
    return ends.mean(axis=2), np.maximum(ends[:, :, 1] - ends[:, :, 0], NARROWEST)


@compiled
def learn(sample: float, lower: Array, upper: Array, centres: Array, widths: Array, steps: Any) -> None:
    """Let centres and widths (C,) of a group learn from a sample whose intervals, lower and upper (C,), fell due."""
    for c in range(len(lower)):
        if sample > upper[c]:
            centres[c] += steps.gamma * widths[c] / 2.0
            widths[c] *= steps.miss[c]
        elif sample < lower[c]:
            centres[c] -= steps.gamma * widths[c] / 2.0
            widths[c] *= steps.miss[c]
        else:
            widths[c] = max(widths[c] * steps.hit[c], 1e-9)


@compiled
def follow(
    targets: Counts, samples: Array, forecasts: Array, groups: Counts, horizon: int, centres: Array, widths: Array,
    steps: Any, lower: Array, upper: Array,
) -> None:  # fmt: skip
    """Intervals lower, upper (n, C) of n windows in the order of time, as a stream would have made them.

    targets (n,) rise; samples (n,) are those forecast, forecasts (n,) and groups (n,) of the windows.
    """
    due = 0
    for i in range(len(targets)):
        while due < i and targets[due] <= targets[i] - horizon:
            g = groups[due]
            learn(samples[due], lower[due], upper[due], centres[g], widths[g], steps)
            due += 1
        g = groups[i]
        for c in range(lower.shape[1]):
            lower[i, c] = forecasts[i] + centres[g, c] - widths[g, c] / 2.0
            upper[i, c] = forecasts[i] + centres[g, c] + widths[g, c] / 2.0
