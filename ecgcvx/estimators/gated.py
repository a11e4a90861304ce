"""Gated ReLU networks over sampled gates."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ecgcvx.arrangements.patterns import patterns_of_gates
from ecgcvx.errors import InputError
from ecgcvx.estimators.base import (
    NetworkClassifier,
    NetworkRegressor,
    RandomState,
    mean_one_weights,
    positive,
    seconds_of,
    seed_of,
)
from ecgcvx.evidence import Evidence, Gap
from ecgcvx.models import network_of
from ecgcvx.models.maps import merge
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss, Loss, SquaredLoss
from ecgcvx.programs.program import gated_relu_program
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.types import Array


class OverGates:
    """Parameters of, and training over, the gates of sampled patterns."""

    def __init__(
        self,
        beta: float = 1e-3,
        *,
        n_patterns: int = 100,
        gap: float = 1e-6,
        time_limit: float | None = None,
        random_state: RandomState = 0,
    ) -> None:
        self.beta = beta
        self.n_patterns = n_patterns
        self.gap = gap
        self.time_limit = time_limit
        self.random_state = random_state

    def _train(self: Any, X: Array, y: Array, loss: Loss) -> None:
        if self.n_patterns < 1:
            raise InputError(f"n_patterns = {self.n_patterns}: give at least 1")
        d = X.shape[1]
        gates = np.random.default_rng(seed_of(self.random_state)).standard_normal((self.n_patterns - 1, d))
        # The gate of the bias, on for every row, first: it holds the linear predictor.
        patterns = patterns_of_gates(X, np.concatenate([np.eye(d)[-1:], gates]))
        program = gated_relu_program(PatternFeatures(X, patterns), y, positive("beta", self.beta), loss)
        found = FistaSolver(gap=self.gap).solve(program, time_limit=seconds_of(self.time_limit))
        self._training_rows = X
        gap = Gap(found.primal, found.dual, Evidence.GIVEN, f"{len(patterns)} patterns")
        self._keep(merge(network_of(program, found.u), X), gap, self.beta, found.iterations)


class GatedReLURegressor(OverGates, NetworkRegressor):
    """The gated ReLU network of least squares: each sampled gate switches a free linear filter.

    Minimises 1/(2n) sum_k w_k (f(x_k) - y_k)^2 + beta sum_j ||u_j|| with f(x) = sum_j 1[x'g_j >= 0] x'u_j, a group
    lasso.

    Parameters
    ----------
    beta : float
        Weight of the penalty.
    n_patterns : int
        Gates to draw, the one of the bias among them; those with equal patterns on the training rows count once.
    gap : float
        Relative duality gap to stop at, exact over these gates.
    time_limit : float, optional
        Seconds at most.
    random_state : int, RandomState instance or None
        Of the gates.

    Notes
    -----
    Attributes are those of `ConvexReLURegressor`. Source: Mishkin, Sahiner & Pilanci 2022.
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X (n, d) and y (n,). sample_weight : (n,), >= 0; only their ratios count."""
        rows, targets = self._checked(X, y)
        self._train(*weighted(rows, targets, sample_weight), SquaredLoss())
        return self


class GatedReLUClassifier(OverGates, NetworkClassifier):
    """The gated ReLU network of the logistic loss for two classes.

    Parameters are those of `GatedReLURegressor`, attributes those of `ConvexReLUClassifier`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, d) and the labels y (n,) of two classes."""
        rows, targets = self._checked(X, y)
        self._train(rows, self._labels(targets), LogisticLoss())
        return self


def weighted(X: Array, y: Array, sample_weight: ArrayLike | None) -> tuple[Array, Array]:
    """Rows and targets times the roots of their weights, of mean 1; rows without weight are left out.

    A gated network without another bias than the column of ones is positively homogeneous: its output on a row times
    r > 0 is r times its output, so that squares are weighted by r^2 and the patterns stay.
    """
    if sample_weight is None:
        return X, y
    weights = mean_one_weights(sample_weight, X)
    kept = weights > 0
    roots = np.sqrt(weights[kept] * (kept.sum() / len(weights)))
    return X[kept] * roots[:, None], y[kept] * roots
