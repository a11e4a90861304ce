"""What branch and bound works on: the problem, what is to be proved, cells, and the arrays that it works in."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.certificates.clusters import Clusters
from ecgcvx.certificates.tree import RowTree
from ecgcvx.types import Array


class Problem(NamedTuple):
    """What a cell needs of the data: windows, g = sum rho_i x_i, and base, relative: of rounding, see `safe_value`."""

    windows: RowTree
    g: Array
    base: float
    relative: float


class Goal(NamedTuple):
    """The price to be proved, and how much is done for it.

    aim : a lower one, to which a bound is taken where that costs little. precision : last weight of the barrier.
    coarse, light : of clusters, see `too_coarse`. rounds : models of a function in a cell. every : cuts of a cell
    before its clusters are refined where they fail. budget : cells bounded in one go.
    """

    target: float
    aim: float
    precision: float
    coarse: float
    light: float
    rounds: int
    every: int
    budget: int


class Leaves(NamedTuple):
    """Cells of directions |w_j - c_j| <= h_j on the coordinates cut so far, and what is proved there.

    place (k, 4, d): c, h, and mean and variance of where the maximum is expected; cut (k, d): by coordinate; values
    (k, 4): above function o; light (k,): which share of the goal's it should have, 0 for a cell
    that is too small to be cut.
    """

    place: Array
    cut: NDArray[np.bool_]
    values: Array
    light: Array


class Workspace(NamedTuple):
    """What one thread works in.

    listed (L,): clusters, z and reach: see `listing`. counts (1,): cells bounded. stop (1,): shared by all
    threads; no further cell is bounded once it is not 0.
    """

    clusters: Clusters
    listed: NDArray[np.int32]
    z: Array
    reach: Array
    out: Leaves
    counts: NDArray[np.int64]
    stop: NDArray[np.int64]


class Models(NamedTuple):
    """Of each function: models C + b'(w - c) + (w - c)'H(w - c)/2 above it, and what `minimise` found with them.

    sizes : see `fit_majorant`. best : multipliers. used : models of them. mean, moment : where the relaxation has its
    maximum, relative to c, and the second moment of w there. w, W : mean and second moment that the next is fitted to.
    """

    C: Array
    b: Array
    H: Array
    sizes: Array
    best: Array
    used: NDArray[np.int64]
    mean: Array
    moment: Array
    w: Array
    W: Array
