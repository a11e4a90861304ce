"""Two-layer ReLU networks over all activation patterns."""

from typing import TYPE_CHECKING, Any, Self

from numpy.typing import ArrayLike

from ecgcvx.estimators.base import (
    NetworkClassifier,
    NetworkRegressor,
    RandomState,
    mean_one_weights,
    positive,
    seconds_of,
    seed_of,
)
from ecgcvx.evidence import searched
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.losses import LogisticLoss, Loss, SquaredLoss
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array

if TYPE_CHECKING:
    from ecgcvx.atoms.family import Atoms


class OverAllPatterns:
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
        weights = None if sample_weight is None else mean_one_weights(sample_weight, X)
        warm: Atoms | None = getattr(self, "_atoms", None) if self.warm_start else None
        if warm is not None and (not len(warm) or self.network_.inputs != X.shape[1]):
            warm = None
        solver = ActiveSetSolver(
            gap=self.gap, rounds=self.max_iter, confirm_starts=self.confirm_starts, seed=seed_of(self.random_state)
        )
        program = AllPatterns(X, y, positive("beta", self.beta), loss, sample_weight=weights)
        found = solver.solve(program, warm_start=warm, time_limit=seconds_of(self.time_limit))
        self._atoms, self._training_rows = found.atoms, X
        self._keep(
            program.family.network(found.atoms), searched(found.primal, found.dual, found.starts), self.beta,
            len(found.history),
        )  # fmt: skip


class ConvexReLURegressor(OverAllPatterns, NetworkRegressor):
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


class ConvexReLUClassifier(OverAllPatterns, NetworkClassifier):
    """The two-layer ReLU network of the logistic loss for two classes, trained over all activation patterns.

    Minimises the (weighted) mean of log(1 + exp(-y_k f(x_k))) + beta sum_j |W2_j| ||W1_j||, y_k = -1 for the first
    class and 1 for the second. Parameters and attributes are those of `ConvexReLURegressor`, and `classes_` (2,).
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X (n, d) and the labels y (n,) of two classes. sample_weight : (n,), >= 0; only ratios count."""
        rows, targets = self._checked(X, y)
        self._train(rows, self._labels(targets), LogisticLoss(), sample_weight)
        return self
