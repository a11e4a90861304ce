"""Where residuals lie and how wide they spread, by the window: a regression tree.

A node sends a window x left when a contrast of its newest samples is at most a threshold: a sample, its distance to the
newest one, a first or a second difference. Splits are those that most raise the likelihood of residuals that are normal
in each part, with a mean and a variance of its own,

    n log v - n_l log v_l - n_r log v_r,    v = variance of the residuals + e^2,

the best of all leaves first, as long as that is more than 3 log n (the information criterion of Schwarz, for a mean, a
variance and a threshold more). So one tree finds both: where the network errs in a known direction, and where its
errors are large. A leaf keeps the middle of the central 90 % of its residuals, and half their width.

Sources: Breiman et al. 1984 (regression trees); Schlosser et al. 2019 (trees of distributions); Johansson et al. 2018
and Cabezas et al. 2024 (leaves as the groups of conformal prediction).
"""

import heapq
import math

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.rowwise import compiled
from ecgcvx.types import Array

NEWEST = 15  # samples of the window that contrasts are of
LEAVES, LEAF_ROWS = 200, 100  # at most, and windows in each at least
ROWS, EDGE_ROWS = 100_000, 20_000  # windows that a tree grows on, and that its thresholds are taken from, at most
BINS = 64  # thresholds of a contrast are its quantiles
FLOOR = 0.1  # e, and the least spread, as a share of the median |r|
NARROWEST = 1e-9  # mV
CLIPPED = 0.999  # share of the |r| that splits see as they are; those beyond count as the largest of these
CENTRAL = 0.9  # share of the residuals of a leaf whose middle and half width it keeps
FEATURE, THRESHOLD, LEFT, MIDDLE, SPREAD = range(5)  # columns of a tree

Counts = NDArray[np.int64]


def contrasts(newest: int) -> Array:
    """Return places and weights (F, 5) of the contrasts x[a] + v x[b] + w x[c] of `newest` samples: a, b, c, v, w."""
    last = newest - 1
    found = [(i, i, i, 0, 0) for i in range(newest)]
    found += [(i, last, i, -1, 0) for i in range(newest - 2)]
    found += [(i + 1, i, i, -1, 0) for i in range(newest - 1)]
    found += [(i + 2, i + 1, i, -2, 1) for i in range(newest - 2)]
    return np.array(found, dtype=np.float64)


def values(rows: Array) -> Array:
    """Return the contrasts (n, F) of rows (n, d), whose last column is the 1 of the bias."""
    x = _newest(rows)
    of = contrasts(x.shape[1])
    a, b, c = of[:, :3].astype(np.int64).T
    found: Array = x[:, a] + of[:, 3] * x[:, b] + of[:, 4] * x[:, c]
    return found


def grow(X: Matrix, r: Array) -> Array:
    """Return the tree (nodes, 5) of residuals r (n,) in mV of standardised windows X (n, d), the last column ones.

    Rows: feature (-1 in a leaf), threshold, left child (the right one follows it), middle and spread in mV of a leaf.
    """
    step = max(-(-X.shape[0] // ROWS), 1)
    r = r[::step]
    typical = float(np.median(np.abs(r)))
    floor = max(FLOOR * typical, NARROWEST)
    limit = float(np.quantile(np.abs(r), CLIPPED))
    bins, edges = _binned(X, step, len(r))
    nodes, members = [[-1.0, 0.0, 0.0, 0.0, 0.0]], {0: np.arange(len(r))}
    clipped = np.clip(r, -limit, limit) / floor
    waiting: list[tuple[float, int, int, int]] = []
    least = 3 * math.log(len(r))

    def offer(node: int) -> None:
        gain, feature, place = _best_split(bins, clipped, members[node], len(edges[0]))
        if gain > least:
            heapq.heappush(waiting, (-gain, node, feature, place))

    offer(0)
    while waiting and len(members) < LEAVES:
        _, node, feature, place = heapq.heappop(waiting)
        rows, left = members.pop(node), len(nodes)
        nodes[node][:3] = [float(feature), float(edges[feature, place]), float(left)]
        nodes += [[-1.0, 0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0, 0.0]]
        lower = bins[rows, feature] <= place
        members |= {left: rows[lower], left + 1: rows[~lower]}
        offer(left)
        offer(left + 1)
    tree = np.array(nodes)
    for node, rows in members.items():
        low, high = np.quantile(r[rows], [(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
        tree[node, MIDDLE], tree[node, SPREAD] = (low + high) / 2, max((high - low) / 2, floor)
    return tree


def check_tree(tree: Array, newest: int | None = None) -> None:
    """Refuse an array that is no tree, of windows of at least `newest` samples if given: InputError."""
    if tree.ndim != 2 or tree.shape[1] != 5 or not len(tree) or not np.isfinite(tree).all():
        raise InputError(f"tree: an array of shape {tree.shape}; its rows are five finite numbers")
    numbers, features = np.arange(len(tree)), tree[:, FEATURE]
    inner = features != -1
    most = len(contrasts(NEWEST if newest is None else newest))
    children = np.sort(np.concatenate([tree[inner, LEFT], tree[inner, LEFT] + 1]))
    fits = (
        (features[inner] >= 0).all()
        and (features[inner] < most).all()
        and (features == np.round(features)).all()
        and (tree[inner, LEFT] > numbers[inner]).all()
        and np.array_equal(children, numbers[1:])
        and (tree[~inner, SPREAD] > 0).all()
    )
    if not fits:
        raise InputError("tree: its nodes do not form a tree, or spreads are not above 0")


def leaves(X: Matrix, tree: Array) -> Counts:
    """Return the leaf (n,), a row of the tree, of standardised windows X (n, d), the last column ones."""
    window = X.shape[1] - 1
    nodes, out = flat(tree, min(window, NEWEST)), np.empty(X.shape[0], dtype=np.int64)
    for begin, rows in row_chunks(X, 1 << 14):
        _leaves(rows, window, nodes, out[begin : begin + len(rows)])
    return out


def flat(tree: Array, newest: int) -> Array:
    """Return the tree (nodes, 7) for `leaf_of`: places a, b, c from the end, v, w, threshold, left child."""
    inner = tree[:, FEATURE] >= 0
    out = np.zeros((len(tree), 7))
    of = contrasts(newest)[tree[inner, FEATURE].astype(np.int64)]
    out[inner] = np.c_[newest - of[:, :3], of[:, 3:], tree[inner][:, [THRESHOLD, LEFT]]]
    return out


@compiled
def leaf_of(x: Array, window: int, nodes: Array) -> int:
    """The leaf of a standardised window x (at least window,) in a tree of `flat`."""
    at = 0
    while nodes[at, 6] > 0.0:
        a, b, c = window - int(nodes[at, 0]), window - int(nodes[at, 1]), window - int(nodes[at, 2])
        left = x[a] + nodes[at, 3] * x[b] + nodes[at, 4] * x[c] <= nodes[at, 5]
        at = int(nodes[at, 6]) + (0 if left else 1)
    return at


@compiled
def _leaves(rows: Array, window: int, nodes: Array, out: Counts) -> None:
    for i in range(rows.shape[0]):
        out[i] = leaf_of(rows[i], window, nodes)


def _newest(rows: Array) -> Array:
    """The newest samples (n, up to NEWEST) of rows, without the 1 of the bias."""
    return rows[:, :-1][:, -NEWEST:]


def _binned(X: Matrix, step: int, count: int) -> tuple[NDArray[np.uint8], Array]:
    """Bins (count, F) of the contrasts of every step-th row, and their edges (F, BINS - 1)."""
    every = step * max(count // EDGE_ROWS, 1)
    few = np.concatenate([values(rows[-begin % every :: every]) for begin, rows in row_chunks(X, 1 << 14)])
    edges = np.quantile(few, np.arange(1, BINS) / BINS, axis=0, method="lower").T.copy()
    bins, at = np.empty((count, len(edges)), dtype=np.uint8), 0
    for begin, rows in row_chunks(X, 1 << 14):
        found = values(rows[-begin % step :: step])
        for j, own in enumerate(edges):
            bins[at : at + len(found), j] = np.searchsorted(own, found[:, j], side="left")
        at += len(found)
    return bins, edges


@compiled
def _sums(bins: NDArray[np.uint8], r: Array, rows: Counts, out: Array) -> None:
    """Add up number, residuals and their squares by feature and bin, out (F, bins, 3)."""
    for i in rows:
        for j in range(bins.shape[1]):
            own = out[j, bins[i, j]]
            own[0] += 1.0
            own[1] += r[i]
            own[2] += r[i] * r[i]


def _best_split(bins: NDArray[np.uint8], r: Array, rows: Counts, edges: int) -> tuple[float, int, int]:
    """Gain, feature and place of the edge of the best split of rows, -1 without one; r (n,) in units of e."""
    sums = np.zeros((bins.shape[1], edges + 1, 3))
    _sums(bins, r, rows, sums)
    lower = np.cumsum(sums, axis=1)
    whole = lower[:1, -1:]
    gains = _cost(whole) - _cost(lower[:, :-1]) - _cost(whole - lower[:, :-1])
    least = np.minimum(lower[:, :-1, 0], len(rows) - lower[:, :-1, 0])
    gains[least < LEAF_ROWS] = -1.0
    best = int(np.argmax(gains))
    return float(gains.flat[best]), best // edges, best % edges


def _cost(sums: Array) -> Array:
    """n log(v + 1) of sums (.., 3); 0 of none."""
    n = np.maximum(sums[..., 0], 1.0)
    v = np.maximum(sums[..., 2] / n - (sums[..., 1] / n) ** 2, 0.0)
    found: Array = sums[..., 0] * np.log(v + 1.0)
    return found
