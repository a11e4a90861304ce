"""Stacks of two-layer ReLU networks."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgcvx.errors import InputError
from ecgcvx.estimators.base import NetworkRegressor, RandomState, seed_of
from ecgcvx.evidence import searched
from ecgcvx.types import Array


class StackedReLURegressor(NetworkRegressor):
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
        windows: Any = Rows(rows, targets, ((0, len(rows)),))
        options = StackOptions(
            stages=self.stages, members=self.average, joint=self.joint, confirm_starts=self.confirm_starts,
            seed=seed_of(self.random_state),
        )  # fmt: skip
        found = train_stack(windows, options)
        last = found.stages[0][-1]
        gap = searched(last.primal, last.dual, last.starts, "for its last stage")
        self._training_rows = rows
        self._keep(found.stack, gap, last.beta, len(found.trials))
        return self


@dataclass(frozen=True, eq=False)
class Rows:
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
