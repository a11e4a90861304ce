"""What the estimators share: rows with their column of ones, weights, seeds, and what is known after a fit."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ecgcvx.arrangements.patterns import Patterns, patterns_of_gates
from ecgcvx.errors import InputError
from ecgcvx.evidence import Gap
from ecgcvx.types import Array

RandomState = int | np.random.RandomState | None


class ConvexNetwork(BaseEstimator):
    """What all networks share: rows with their column of ones, and what is known after a fit."""

    beta: float

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[Array, Any]:
        """X with a column of ones (n, d + 1), and y: numbers (n,), or labels for a classifier."""
        numeric = not isinstance(self, ClassifierMixin)
        rows, targets = validate_data(self, X, y, dtype=np.float64, y_numeric=numeric)
        return with_ones(rows), np.asarray(targets, dtype=np.float64) if numeric else targets

    def _output(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        rows = with_ones(validate_data(self, X, reset=False, dtype=np.float64))
        found: Array = self.network_.predict(rows)
        return found

    def _keep(self, network: Any, gap: Gap, beta: float, rounds: int) -> None:
        self.network_, self.gap_, self.dual_, self.evidence_ = network, gap, gap.dual, gap.evidence
        self.beta_, self.n_iter_ = beta, max(rounds, 1)

    @property
    def patterns_(self) -> Patterns:
        """Distinct activation patterns of the neurons on the training rows, one bit a row."""
        check_is_fitted(self)
        gates = self.network_.units().gates
        return patterns_of_gates(self._training_rows, gates)


class NetworkRegressor(RegressorMixin, ConvexNetwork):
    def predict(self, X: ArrayLike) -> Array:
        """Return the output of the network (n,) for X (n, d)."""
        return self._output(X)


class NetworkClassifier(ClassifierMixin, ConvexNetwork):
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _labels(self, y: ArrayLike) -> Array:
        """y as -1 and 1; sets `classes_`."""
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}. "
                "For more classes use sklearn.multiclass.OneVsRestClassifier"
            )
        self.classes_, index = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds 1 class, {self.classes_[0]!r}: Classifier can't train when only one class is present."
            )
        return np.where(index == 1, 1.0, -1.0)

    def decision_function(self, X: ArrayLike) -> Array:
        """Return the output of the network (n,) for X (n, d): the log-odds of the second class."""
        return self._output(X)

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probabilities of both classes (n, 2) for X (n, d)."""
        from scipy.special import expit

        f = self.decision_function(X)
        return np.stack([expit(-f), expit(f)], axis=1)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the more probable class (n,) of X (n, d)."""
        second = self.decision_function(X) > 0
        chosen: NDArray[Any] = self.classes_[second.astype(np.intp)]
        return chosen


def with_ones(X: Array) -> Array:
    return np.concatenate([X, np.ones((len(X), 1))], axis=1)


def mean_one_weights(sample_weight: ArrayLike, X: Array) -> Array:
    """Weights (n,) of mean 1."""
    weights: Array = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise InputError("sample_weight: all weights are 0; give at least one positive weight")
    return weights / weights.mean()


def seed_of(random_state: RandomState) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def seconds_of(time_limit: float | None) -> float:
    return math.inf if time_limit is None else positive("time_limit", time_limit)


def positive(name: str, value: float) -> float:
    if not value > 0:
        raise InputError(f"{name} = {value}: it must be a positive number")
    return value
