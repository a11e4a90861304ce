"""Prediction intervals: split conformal, by the place and spread of the errors to be expected, adaptive along a signal.

Where an error will lie, and how far, is visible in the window. A regression tree of the training residuals
(`ecgcvx.residual_tree`) says what their middle m(x) and spread s(x) are among windows like x. With f the network, the
residuals of the validation part, which trained neither network nor tree, are

    e_i = (y_i - f(x_i) - m(x_i)) / s(x_i),

in groups of about as many windows each by their spread. Within a group g with n of them the interval of coverage c
reaches from f(x) + m(x) + s(x) e_(l) to f(x) + m(x) + s(x) e_(u) with l = floor((n + 1)(1 - c)/2), u = n + 1 - l.

If errors to come were exchangeable with those of the validation part, the share c of the intervals of every group, on
average, would hold what comes. Those of a signal that changes are not: the intervals can follow it. With centre c_g and
width w_g of a group in units of s, started from the e_i, every forecast that falls due makes

    w_g <- w_g exp(gamma (miss - (1 - c))),    c_g <- c_g +- gamma w_g / 2 at a miss above or below,

so that after T forecasts of a group the share of misses differs from 1 - c by |log(w_T / w_0)| / (gamma T), whatever
the signal: a statement on the long run, none on a single sample.

Sources: Papadopoulos et al. 2002 (split conformal, scaled errors); Vovk 2012 (Mondrian groups); Johansson et al. 2018
(trees); Gibbs & Candes 2021 (adaptive conformal inference); Angelopoulos, Candes & Tibshirani 2023 (quantile tracking).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.residual_tree import MIDDLE, SPREAD, check_tree, grow, leaves
from ecgcvx.rows import Matrix
from ecgcvx.rowwise import compiled
from ecgcvx.types import Array

COVERAGES = (0.5, 0.9)
GAMMA = 0.02  # step of the adaptation: of log width at a forecast
GROUPS, GROUP_SIZE = 20, 200  # at most, and residuals in each at least
KEPT = 1001  # order statistics of a group in the model file: a quantile is off by at most a thousandth, outwards
NARROWEST = 1e-9  # width of an interval, in spreads

Counts = NDArray[np.int64]


class Interval(NamedTuple):
    """Ends of intervals in mV, NaN where there is no forecast."""

    lower: Array
    upper: Array


class Local(NamedTuple):
    """What the tree says of windows: their group, and the middle and spread in mV of residuals there, (n,) each."""

    groups: Counts
    middles: Array
    spreads: Array

    def interval(self, forecasts: Array, ends: Array) -> Interval:
        """Return the intervals round forecasts (n,) in mV, of the ends (G, 2) of each group; see `Calibration.ends`."""
        middles, own = forecasts + self.middles, ends[self.groups]
        return Interval(middles + self.spreads * own[:, 0], middles + self.spreads * own[:, 1])


@dataclass(frozen=True, eq=False)
class Calibration:
    """What intervals need: the tree of the errors, the groups of its spreads, and residuals of the validation part.

    tree : (nodes, 5), see `residual_tree`. edges : (G - 1,) in mV, between the spreads of the G groups. residuals :
    (G, KEPT) order statistics less the middle, in spreads, evenly spaced in rank from the first to the last. counts :
    (G,) residuals of each group. coverages : those that figures and streams show unless they are given.

    Raises InputError when shapes do not fit together, values are not finite or not in order.
    """

    tree: Array
    edges: Array
    residuals: Array
    counts: Array
    coverages: tuple[float, ...] = COVERAGES

    def __post_init__(self) -> None:
        groups = len(self.counts)
        fits = self.edges.shape == (groups - 1,) and self.residuals.shape[:1] == (groups,)
        if self.residuals.ndim != 2 or not groups or not fits:
            raise InputError(
                f"calibration: edges {self.edges.shape}, residuals {self.residuals.shape}, counts {self.counts.shape} "
                "do not fit"
            )
        check_tree(self.tree)
        parts = (self.edges, self.residuals, self.counts)
        rising = (np.diff(self.edges) > 0).all() and (np.diff(self.residuals) >= 0).all() and (self.counts >= 1).all()
        if not all(np.isfinite(part).all() for part in parts) or not rising:
            raise InputError("calibration: not finite or not in order")
        check_coverages(self.coverages)

    @property
    def node_groups(self) -> Counts:
        """The group (nodes,) of every leaf of the tree; of no meaning elsewhere."""
        return np.searchsorted(self.edges, self.tree[:, SPREAD], side="right")

    def local(self, X: Matrix) -> Local:
        """Return what the tree says of standardised windows X (n, d), the last column ones."""
        places = leaves(X, self.tree)
        return Local(self.node_groups[places], self.tree[places, MIDDLE], self.tree[places, SPREAD])

    def ends(self, coverage: float) -> Array:
        """Return the ends (G, 2) of the residuals of each group, less their middle, in spreads.

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

    train, validation : standardised windows X (n, d) and residuals r (n,), those of the training for the tree alone.

    Raises InputError when the validation part is too short for a coverage.
    """
    (X, r), (Z, residuals) = train, validation
    tree = grow(X, r)
    places = leaves(Z, tree)
    spreads = tree[places, SPREAD]
    edges = _group_edges(spreads)
    scaled, group = (residuals - tree[places, MIDDLE]) / spreads, np.searchsorted(edges, spreads, side="right")
    counts = np.bincount(group, minlength=len(edges) + 1)
    kept = np.stack([_order_statistics(scaled[group == g]) for g in range(len(counts))])
    found = Calibration(tree, edges, kept, counts.astype(np.float64), check_coverages(coverages))
    for coverage in found.coverages:
        found.ends(coverage)
    return found


def _group_edges(spreads: Array) -> Array:
    """Edges (G - 1,) that part the values of spreads (n,) into groups of n / GROUPS at least, and GROUP_SIZE."""
    least = max(len(spreads) / GROUPS, GROUP_SIZE)
    found, held, left = [], 0, len(spreads)
    for value, count in zip(*np.unique(spreads, return_counts=True), strict=True):
        if held >= least and left >= least:
            found.append(float(value))
            held = 0
        held += int(count)
        left -= int(count)
    return np.array(found)


def _order_statistics(values: Array) -> Array:
    """KEPT order statistics, the lower half rounded down in rank and the upper half up."""
    ordered, n = np.sort(values), len(values)
    ranks = np.arange(KEPT) * ((n - 1) / (KEPT - 1))
    low = np.arange(KEPT) < KEPT // 2
    places = np.where(low, np.floor(np.round(ranks, 9)), np.ceil(np.round(ranks, 9))).astype(np.int64)
    found: Array = ordered[places]
    return found


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
    """Return centres and widths (G, C) in spreads as the validation part has them."""
    ends = np.stack([calibration.ends(coverage) for coverage in coverages], axis=1)
    return ends.mean(axis=2), np.maximum(ends[:, :, 1] - ends[:, :, 0], NARROWEST)


@compiled
def learned(
    sample: float, lower: float, upper: float, centre: float, width: float, miss: float, hit: float, gamma: float
) -> tuple[float, float]:
    """Centre and width after a sample whose interval, lower to upper, fell due; miss, hit, gamma : see `Steps`."""
    if sample > upper:
        return centre + gamma * width / 2.0, width * miss
    if sample < lower:
        return centre - gamma * width / 2.0, width * miss
    return centre, max(width * hit, 1e-9)


@compiled
def end_points(middle: float, spread: float, centre: float, width: float) -> tuple[float, float]:
    """The ends in mV of an interval round a middle in mV, of a centre and a width in spreads."""
    return middle + spread * (centre - width / 2.0), middle + spread * (centre + width / 2.0)


@compiled
def follow(
    targets: Counts, samples: Array, forecasts: Array, local: Any, horizon: int, centres: Array, widths: Array,
    steps: Any, lower: Array, upper: Array,
) -> None:  # fmt: skip
    """Intervals lower, upper (n, C) of n windows in the order of time, as a stream would have made them.

    targets (n,) rise; samples (n,) are those forecast, forecasts (n,) and local, a `Local`, of the windows.
    """
    due = 0
    for i in range(len(targets)):
        while due < i and targets[due] <= targets[i] - horizon:
            g = local.groups[due]
            for c in range(lower.shape[1]):
                centres[g, c], widths[g, c] = learned(
                    samples[due], lower[due, c], upper[due, c], centres[g, c], widths[g, c], steps.miss[c],
                    steps.hit[c], steps.gamma,
                )  # fmt: skip
            due += 1
        g, middle = local.groups[i], forecasts[i] + local.middles[i]
        for c in range(lower.shape[1]):
            lower[i, c], upper[i, c] = end_points(middle, local.spreads[i], centres[g, c], widths[g, c])
