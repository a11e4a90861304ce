"""Two-layer networks with K outputs, Y (n, K).

Gated ReLU, as a convex program over U_i (d, K), one a pattern:

    min  1/(2n) ||sum_i F_i U_i - Y||_F^2 + beta sum_i ||U_i||_*          F_i = D_i X
    max_R  <R, Y>/n - ||R||_F^2 / (2n)   s.t.  ||F_i'R||_2 <= beta n      (its dual; the spectral norm)

The nuclear norm is what weight decay beta/2 (||W1||_F^2 + ||W2||_F^2) amounts to when a gate may have several neurons:
a singular triple of U_i is one of them. With K = 1 it is the group lasso of `gated_relu_program`.

ReLU: with the cones that norm has no closed form. `relu_by_output` therefore fits each output by a network of its
own. The sum of the K optima is the optimum over networks in which every neuron feeds one output, so an upper bound of
the optimum over all; the gated program of the same patterns is a lower bound of the joint ReLU program over them.

Source: Sahiner, Ergen, Pauly & Pilanci 2021 (ICLR).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.models import network_of
from ecgcvx.programs.features import Gram, PatternFeatures
from ecgcvx.programs.losses import scaled_parabola
from ecgcvx.programs.program import ConvexProgram, DualBound, relu_program
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

CHUNK_ELEMENTS = 1 << 18  # rows x neurons of one product: 2 MB
RANK = 1e-12  # of the largest singular value: smaller ones are rounding


@dataclass(frozen=True, eq=False)
class VectorProgram:
    """The gated ReLU network with K outputs over given patterns.

    features : blocks F_i (n, d). Y : (n, K) targets. beta : weight of the nuclear norms.

    Raises InputError if Y does not fit X or holds a number that is not finite, if beta is not positive, or if there are
    no patterns.
    """

    features: PatternFeatures
    Y: Array
    beta: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "Y", _targets(self.features, self.Y))
        if not (np.isfinite(self.beta) and self.beta > 0):
            raise InputError(f"beta = {self.beta}: it must be a positive number, e.g. 1e-4")
        if not self.features.count:
            raise InputError("patterns: there are none, so there is nothing to optimise; sample at least one")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(p, d, K) of the variables U."""
        return self.features.count, self.features.width, self.Y.shape[1]

    @cached_property
    def grams(self) -> tuple[Gram, ...]:
        """The Gram matrix, one array that the K outputs share, with F'y/n and y'y/n of each."""
        return _grams(self.features, self.Y)

    def predict(self, U: Array) -> Array:
        """Return sum_i F_i U_i, (n, K)."""
        return np.stack([self.features.apply(U[:, :, k]) for k in range(self.shape[2])], axis=1)

    def objective(self, U: Array) -> float:
        """Return the primal objective, from the data and not from the Gram matrix."""
        R = self.Y - self.predict(U)
        return float(np.vdot(R, R)) / (2 * len(R)) + self.penalty(U)

    def penalty(self, U: Array) -> float:
        """Return beta sum_i ||U_i||_*."""
        return self.beta * float(np.linalg.svd(U, compute_uv=False).sum())

    def largest_beta(self) -> float:
        """The smallest beta whose solution is zero, max_i ||F_i'Y||_2 / n."""
        return float(self.dual_bound(self.Y).prices.max())

    def dual_bound(self, R: Array) -> DualBound:
        """Return the best lower bound over scalings of R (n, K) with all prices ||F_i'R||_2 / n (p,) at most beta."""
        n = len(R)
        correlations = np.stack([self.features.correlate(r) for r in R.T], axis=2) / n
        prices = np.linalg.norm(correlations, 2, axis=(1, 2))
        worst = float(prices.max())
        limit = self.beta / worst if worst > 0 else np.inf
        return DualBound(scaled_parabola(float(np.vdot(R, self.Y)) / n, float(np.vdot(R, R)) / n, limit), prices)


@dataclass(frozen=True, eq=False)
class VectorNetwork:
    """Weights of a two-layer network with m neurons and K outputs, f(x) = sum_j W2_j phi_j(x).

    W1 : (d, m). W2 : (m, K). gates : (d, m) for a gated network, None for a ReLU network.
    """

    W1: Array
    W2: Array
    gates: Array | None = None

    def predict(self, X: Matrix) -> Array:
        """Return f (n, K) for a matrix or lazy matrix X (n, d).

        Raises InputError when X has another number of columns.
        """
        d, m = self.W1.shape
        if X.shape[1] != d:
            raise InputError(f"X has {X.shape[1]} columns, but the network takes {d} inputs")
        out = np.empty((X.shape[0], self.W2.shape[1]))
        for start, rows in row_chunks(X, CHUNK_ELEMENTS // max(m, 1)):
            Z = rows @ self.W1
            active = Z >= 0 if self.gates is None else rows @ self.gates >= 0
            out[start : start + len(rows)] = np.where(active, Z, 0.0) @ self.W2
        return out


def vector_network_of(program: VectorProgram, U: Array) -> VectorNetwork:
    """Return the gated network of U (p, d, K): from U_i = P S Q' the neurons W1 = P sqrt(S), W2 = sqrt(S) Q'.

    Its output is the program's prediction and 1/2 (||W1||_F^2 + ||W2||_F^2) = sum_i ||U_i||_*.
    """
    P, s, Q = np.linalg.svd(U, full_matrices=False)
    block, rank = np.nonzero(s > RANK * s.max())
    roots = np.sqrt(s[block, rank])
    gates = np.ascontiguousarray(program.features.interior(block).T)
    return VectorNetwork(P[block, :, rank].T * roots, Q[block, rank] * roots[:, None], gates)


def relu_by_output(features: PatternFeatures, Y: Array, beta: float) -> tuple[ConvexProgram, ...]:
    """Return a ReLU program for each column of Y (n, K); all share one Gram matrix, from one pass over the data.

    The sum of their optima is an upper bound of the optimum over networks whose neurons may feed several outputs.

    Raises InputError as `VectorProgram` does.
    """
    Y = _targets(features, Y)
    grams = _grams(features, Y)
    return tuple(relu_program(features, y, beta).with_gram(gram) for y, gram in zip(Y.T, grams, strict=True))


def network_by_output(programs: Sequence[ConvexProgram], variables: Sequence[Array]) -> VectorNetwork:
    """Return one ReLU network of the K scalar programs' variables u (g, d); every neuron feeds one output."""
    networks = [network_of(program, u) for program, u in zip(programs, variables, strict=True)]
    output = np.repeat(np.arange(len(networks)), [network.neurons for network in networks])
    W2 = np.zeros((len(output), len(networks)))
    W2[np.arange(len(output)), output] = np.concatenate([network.W2 for network in networks])
    return VectorNetwork(np.concatenate([network.W1 for network in networks], axis=1), W2)


def _grams(features: PatternFeatures, Y: Array) -> tuple[Gram, ...]:
    """One pass for H; F'y is cheap beside it."""
    first = features.gram(Y[:, 0])
    others = (Gram(first.H, features.correlate(y).ravel() / len(y), float(y @ y) / len(y)) for y in Y.T[1:])
    return first, *others


def _targets(features: PatternFeatures, Y: Array) -> Array:
    targets = np.asarray(Y, dtype=np.float64)
    if targets.ndim != 2 or len(targets) != features.n or not targets.shape[1]:
        raise InputError(f"Y has shape {targets.shape}; X has {features.n} rows, so give ({features.n}, K), K >= 1")
    if not np.isfinite(targets).all():
        bad = np.flatnonzero(~np.isfinite(targets).all(axis=1))[0]
        raise InputError(f"Y holds a number that is not finite in row {bad}")
    return targets
