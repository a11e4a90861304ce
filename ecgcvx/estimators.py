"""Convex networks as scikit-learn estimators, for pipelines and searches over hyperparameters.

    ConvexReLURegressor, ConvexReLUClassifier     over all activation patterns, with a searched gap
    GatedReLURegressor, GatedReLUClassifier       over sampled gates, with an exact gap over them
    PolynomialNetworkRegressor                    a polynomial activation, with a proved gap
    StackedReLURegressor                          two-layer networks on top of each other
    WindowTransformer                             a signal as its sliding windows

They train on X and y as they are, with a column of ones added for the bias: standardise both before, e.g. with
`StandardScaler` and `TransformedTargetRegressor`, for beta and the penalty of the bias to mean the same everywhere.
Classifiers take two classes; `sklearn.multiclass.OneVsRestClassifier` makes more of them. Needs the extra
`ecgcvx[sklearn]`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgcvx.activations import QUADRATIC, RELU_LIKE, Polynomial
from ecgcvx.arrangements.patterns import Patterns, patterns_of_gates
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, Gap, searched
from ecgcvx.models import network_of, polynomial_network_of
from ecgcvx.models.maps import merge
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.losses import LogisticLoss, Loss, SquaredLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.program import gated_relu_program
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.polynomial import PolynomialSolver
from ecgcvx.types import Array

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:  # pragma: no cover - seen by scripts/check_packaging.py
    raise ImportError(
        f"ecgcvx.estimators needs scikit-learn 1.6 or newer: pip install 'ecgcvx[sklearn]' ({error})"
    ) from None

if TYPE_CHECKING:
    from ecgcvx.atoms.family import Atoms

__all__ = [
    "ConvexReLUClassifier",
    "ConvexReLURegressor",
    "GatedReLUClassifier",
    "GatedReLURegressor",
    "PolynomialNetworkRegressor",
    "StackedReLURegressor",
    "WindowTransformer",
]

RandomState = int | np.random.RandomState | None


class _ConvexNetwork(BaseEstimator):
    """What all networks share: rows with their column of ones, and what is known after a fit."""

    beta: float

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[Array, Any]:
        """X with a column of ones (n, d + 1), and y: numbers (n,), or labels for a classifier."""
        numeric = not isinstance(self, ClassifierMixin)
        rows, targets = validate_data(self, X, y, dtype=np.float64, y_numeric=numeric)
        return _with_ones(rows), np.asarray(targets, dtype=np.float64) if numeric else targets

    def _output(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        rows = _with_ones(validate_data(self, X, reset=False, dtype=np.float64))
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


class _Regressor(RegressorMixin, _ConvexNetwork):
    def predict(self, X: ArrayLike) -> Array:
        """Return the output of the network (n,) for X (n, d)."""
        return self._output(X)


class _Classifier(ClassifierMixin, _ConvexNetwork):
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


class _AllPatterns:
    """Parameters of, and training over, all patterns."""

    def __init__(
        self,
        beta: float = 1e-3,
        *,
        gap: float = 1e-3,
        max_iter: int = 200,
        confirm_starts: int = 300,
        time_limit: float | None = None,
        warm_start: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        self.beta = beta
        self.gap = gap
        self.max_iter = max_iter
        self.confirm_starts = confirm_starts
        self.time_limit = time_limit
        self.warm_start = warm_start
        self.random_state = random_state

    def _train(self: Any, X: Array, y: Array, loss: Loss, sample_weight: ArrayLike | None) -> None:
        weights = None if sample_weight is None else _checked_weights(sample_weight, X)
        warm: Atoms | None = getattr(self, "_atoms", None) if self.warm_start else None
        if warm is not None and (not len(warm) or self.network_.inputs != X.shape[1]):
            warm = None
        solver = ActiveSetSolver(
            gap=self.gap, rounds=self.max_iter, confirm_starts=self.confirm_starts, seed=_seed(self.random_state)
        )
        program = AllPatterns(X, y, _positive("beta", self.beta), loss, sample_weight=weights)
        found = solver.solve(program, warm_start=warm, time_limit=_seconds(self.time_limit))
        self._atoms, self._training_rows = found.atoms, X
        self._keep(
            program.family.network(found.atoms), searched(found.primal, found.dual, found.starts), self.beta,
            len(found.history),
        )  # fmt: skip


class ConvexReLURegressor(_AllPatterns, _Regressor):
    """The two-layer ReLU network of least squares, trained over all activation patterns.

    Minimises 1/(2n) sum_k w_k (f(x_k) - y_k)^2 + beta sum_j |W2_j| ||W1_j|| over networks of any width, the weights w
    of mean 1.

    Parameters
    ----------
    beta : float
        Weight of the penalty.
    gap : float
        Relative duality gap to stop at; it rests on a search for the largest price.
    max_iter : int
        Rounds at most.
    confirm_starts : int
        Fresh starts of the search that the gap rests on; 0 for none.
    time_limit : float, optional
        Seconds at most.
    warm_start : bool
        Whether a second fit starts from the neurons of the first, e.g. along a path of falling beta.
    random_state : int, RandomState instance or None
        Of the searches. The optimum does not depend on it.

    Attributes
    ----------
    network_ : ReluNetwork
        Its weights W1 (d + 1, m) and W2 (m,), the last row of W1 that of the bias.
    gap_ : Gap
        The objective, its lower bound and what the bound rests on; `gap_.words` says it in a sentence.
    dual_ : float
        The lower bound on the optimum.
    evidence_ : Evidence
        What the bound rests on.
    patterns_ : Patterns
        Distinct activation patterns of the neurons on the training rows.
    beta_ : float
    n_iter_ : int
        Rounds of the solver.
    n_features_in_ : int
    feature_names_in_ : (n_features_in_,) array
        Where X had names.

    Source: Pilanci & Ergen 2020.
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X (n, d) and y (n,). sample_weight : (n,), >= 0; only their ratios count."""
        rows, targets = self._checked(X, y)
        self._train(rows, targets, SquaredLoss(), sample_weight)
        return self


class ConvexReLUClassifier(_AllPatterns, _Classifier):
    """The two-layer ReLU network of the logistic loss for two classes, trained over all activation patterns.

    Minimises the (weighted) mean of log(1 + exp(-y_k f(x_k))) + beta sum_j |W2_j| ||W1_j||, y_k = -1 for the first
    class and 1 for the second. Parameters and attributes are those of `ConvexReLURegressor`, and `classes_` (2,).
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X (n, d) and the labels y (n,) of two classes. sample_weight : (n,), >= 0; only ratios count."""
        rows, targets = self._checked(X, y)
        self._train(rows, self._labels(targets), LogisticLoss(), sample_weight)
        return self


class _Gated:
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
        gates = np.random.default_rng(_seed(self.random_state)).standard_normal((self.n_patterns - 1, d))
        # The gate of the bias, on for every row, first: it holds the linear predictor.
        patterns = patterns_of_gates(X, np.concatenate([np.eye(d)[-1:], gates]))
        program = gated_relu_program(PatternFeatures(X, patterns), y, _positive("beta", self.beta), loss)
        found = FistaSolver(gap=self.gap).solve(program, time_limit=_seconds(self.time_limit))
        self._training_rows = X
        gap = Gap(found.primal, found.dual, Evidence.GIVEN, f"{len(patterns)} patterns")
        self._keep(merge(network_of(program, found.u), X), gap, self.beta, found.iterations)


class GatedReLURegressor(_Gated, _Regressor):
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

    Attributes are those of `ConvexReLURegressor`. Source: Mishkin, Sahiner & Pilanci 2022.
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X (n, d) and y (n,). sample_weight : (n,), >= 0; only their ratios count."""
        rows, targets = self._checked(X, y)
        self._train(*_weighted(rows, targets, sample_weight), SquaredLoss())
        return self


class GatedReLUClassifier(_Gated, _Classifier):
    """The gated ReLU network of the logistic loss for two classes.

    Parameters are those of `GatedReLURegressor`, attributes those of `ConvexReLUClassifier`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, d) and the labels y (n,) of two classes."""
        rows, targets = self._checked(X, y)
        self._train(rows, self._labels(targets), LogisticLoss())
        return self


class PolynomialNetworkRegressor(_Regressor):
    """The network with a polynomial activation s(t) = a t^2 + b t + c, trained to its proved optimum.

    Minimises 1/(2n) sum_k (f(x_k) - y_k)^2 + beta sum_j |alpha_j| with f(x) = sum_j alpha_j s(x'u_j), ||u_j|| = 1, over
    networks of any width: a semidefinite program of order d + 2, whatever n.

    Parameters
    ----------
    beta : float
        Weight of the penalty.
    activation : 'relu-like', 'quadratic' or (a, b, c)
        .09 t^2 + .5 t + .47, t^2, or any other.
    gap : float
        Relative duality gap to stop at.
    time_limit : float, optional
        Seconds at most.

    Attributes are those of `ConvexReLURegressor`. Source: Bartan & Pilanci 2021.
    """

    def __init__(
        self,
        beta: float = 1e-3,
        *,
        activation: str | tuple[float, float, float] = "relu-like",
        gap: float = 1e-6,
        time_limit: float | None = None,
    ) -> None:
        self.beta = beta
        self.activation = activation
        self.gap = gap
        self.time_limit = time_limit

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, d) and y (n,)."""
        rows, targets = self._checked(X, y)
        beta = _positive("beta", self.beta)
        program = PolynomialProgram(rows, targets, beta, _polynomial(self.activation))
        found = PolynomialSolver(gap=self.gap).solve(program, time_limit=_seconds(self.time_limit))
        self._training_rows = rows
        gap = Gap(found.primal, found.dual, Evidence.EIGENVALUES)
        self._keep(polynomial_network_of(program, found.u), gap, self.beta, found.iterations)
        return self


class StackedReLURegressor(_Regressor):
    """A stack of two-layer ReLU networks: each stage is a convex program on what those below say.

    Rows are taken as they come in time: the last tenth of them is held out to choose the beta of every stage.

    Parameters
    ----------
    stages : int
        At most; one more is kept only if it predicts the held-out rows better.
    average : int
        Stacks of different seeds whose mean is the prediction.
    joint : int
        Epochs of descent on all stages at once, before the last one is solved again; 0 for none.
    confirm_starts : int
        Fresh starts that the searched gap of a stage rests on.
    random_state : int, RandomState instance or None
        Of the searches.

    Attributes
    ----------
    network_ : Stack
    gap_, dual_, evidence_, beta_
        Those of the last stage, given the stages below; the stack as a whole has no gap.
    n_iter_ : int
        Networks that were tried.
    n_features_in_, feature_names_in_
    """

    def __init__(
        self,
        stages: int = 2,
        *,
        average: int = 1,
        joint: int = 0,
        confirm_starts: int = 300,
        random_state: RandomState = 0,
    ) -> None:
        self.stages = stages
        self.average = average
        self.joint = joint
        self.confirm_starts = confirm_starts
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, d) and y (n,), rows in the order of time."""
        from ecgcvx.stacks.training import StackOptions, train_stack

        rows, targets = self._checked(X, y)
        if len(rows) < 2:
            raise InputError(f"n_samples = {len(rows)}: a stack keeps rows back to choose its betas; give more")
        windows: Any = _Rows(rows, targets, ((0, len(rows)),))
        options = StackOptions(
            stages=self.stages, members=self.average, joint=self.joint, confirm_starts=self.confirm_starts,
            seed=_seed(self.random_state),
        )  # fmt: skip
        found = train_stack(windows, options)
        last = found.stages[0][-1]
        gap = searched(last.primal, last.dual, last.starts, "for its last stage")
        self._training_rows = rows
        self._keep(found.stack, gap, last.beta, len(found.trials))
        return self


class WindowTransformer(TransformerMixin, BaseEstimator):
    """A signal as its sliding windows: every row becomes the last `length` samples up to it, oldest first.

    X (samples, channels) are samples in the order of time, and row t of the result (samples, length x channels) holds
    the rows t - length + 1, ..., t of every channel in turn. Rows keep their number, so that it stands in a `Pipeline`
    with y[t] the value to predict, e.g. `signal[t + horizon]`. Before the first sample it repeats that sample.

    Parameters
    ----------
    length : int
        Samples in a window.

    Attributes
    ----------
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : (n_features_in_,) array
        Where X had names.
    """

    def __init__(self, length: int = 15) -> None:
        self.length = length

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Look at the number of channels of X (samples, channels), or (samples,) for one."""
        if self.length < 1:
            raise InputError(f"length = {self.length}: it must be at least 1 sample")
        validate_data(self, X, dtype=np.float64)
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return the windows (samples, length x channels) of X (samples, channels)."""
        check_is_fitted(self)
        signal = validate_data(self, X, reset=False, dtype=np.float64)
        before = np.repeat(signal[:1], self.length - 1, axis=0)
        view = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, signal]), self.length, axis=0)
        return view.reshape(len(signal), -1).copy()

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return names such as 'MLII[t-14]', ..., 'MLII[t]'."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None) if input_features is None else np.asarray(input_features)
        names = [f"x{k}" for k in range(self.n_features_in_)] if names is None else names
        lags = [f"[t-{lag}]" if lag else "[t]" for lag in range(self.length - 1, -1, -1)]
        return np.array([f"{name}{lag}" for name in names for lag in lags], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        return tags


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of an array where the training of a stack expects windows: their starts are the rows themselves."""

    whole: Array
    targets: Array
    runs: tuple[tuple[int, int], ...]
    length: int = 1
    horizon: int = 0

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def starts(self) -> NDArray[np.int64]:
        return np.concatenate([np.arange(first, stop) for first, stop in self.runs])

    @property
    def X(self) -> Array:
        return self.whole[self.starts]

    @property
    def y(self) -> Array:
        return self.targets[self.starts]


def _with_ones(X: Array) -> Array:
    return np.concatenate([X, np.ones((len(X), 1))], axis=1)


def _checked_weights(sample_weight: ArrayLike, X: Array) -> Array:
    """Weights (n,) of mean 1."""
    weights: Array = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise InputError("sample_weight: all weights are 0; give at least one positive weight")
    return weights / weights.mean()


def _weighted(X: Array, y: Array, sample_weight: ArrayLike | None) -> tuple[Array, Array]:
    """Rows and targets times the roots of their weights, of mean 1; rows without weight are left out.

    A gated network without another bias than the column of ones is positively homogeneous: its output on a row times
    r > 0 is r times its output, so that squares are weighted by r^2 and the patterns stay.
    """
    if sample_weight is None:
        return X, y
    weights = _checked_weights(sample_weight, X)
    kept = weights > 0
    roots = np.sqrt(weights[kept] * (kept.sum() / len(weights)))
    return X[kept] * roots[:, None], y[kept] * roots


def _seed(random_state: RandomState) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _seconds(time_limit: float | None) -> float:
    return math.inf if time_limit is None else _positive("time_limit", time_limit)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise InputError(f"{name} = {value}: it must be a positive number")
    return value


def _polynomial(activation: str | tuple[float, float, float]) -> Polynomial:
    known: dict[Any, Polynomial] = {"relu-like": RELU_LIKE, "quadratic": QUADRATIC}
    if isinstance(activation, str):
        if activation not in known:
            raise InputError(f"activation = {activation!r}: choose 'relu-like', 'quadratic' or numbers (a, b, c)")
        return known[activation]
    return Polynomial(*(float(number) for number in activation))
