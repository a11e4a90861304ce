"""What a fit is compared with, scored on the training and the test part, inside the training range and in all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ecgcvx.baselines.backprop import Layers
from ecgcvx.baselines.clock import Clock
from ecgcvx.baselines.linear import least_squares, persistence_weights
from ecgcvx.baselines.minibatch import train_minibatch
from ecgcvx.baselines.problem import Problem as BackpropProblem
from ecgcvx.evidence import Gap
from ecgcvx.interruption import stoppable, wanted
from ecgcvx.kinds.kind import Limits, Trained
from ecgcvx.metrics import root_mean_square
from ecgcvx.models import ReluNetwork
from ecgcvx.rows import row_chunks
from ecgcvx.training_range import Bools
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Split, Windows

NEURONS = 64
EPOCHS, EPOCHS_ROWS = 60, 1 << 17  # of more rows fewer, as many steps as those make: more gain nothing
BETA = 1e-6  # beside a network whose betas are those of other programs
LEAST = 0.5  # s that backprop needs at least to say anything
CHUNK = 1 << 16  # rows


@dataclass(frozen=True, kw_only=True)
class Score:
    """One line of the comparison: root-mean-square errors in mV, objective P where the model has one.

    test_inside_rmse_mv : of the test windows inside the training range, None where all of them are outside. gap : of
    the convex network, None for others. proved_gap : the one that was proved over all w, relative to P. status : why a
    training ended before its end, '' for none.
    """

    name: str
    neurons: int | None
    train_rmse_mv: float
    test_rmse_mv: float
    seconds: float
    test_inside_rmse_mv: float | None = None
    objective: float | None = None
    gap: Gap | None = None
    proved_gap: float | None = None
    status: str = ""


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores models on the parts of a split. outside : the test windows (n,) outside the training range."""

    split: Split
    outside: Bools

    def score(self, name: str, neurons: int | None, predict: Callable[..., Array], seconds: float) -> Score:
        """Return the line of a model: predict takes rows (n, d) and returns forecasts (n,), standardised."""
        scale = self.split.scaler.scale
        train, test = (_residual(part, predict) for part in (self.split.train, self.split.test))
        inside = None if self.outside.all() else scale * root_mean_square(test[~self.outside])
        return Score(
            name=name, neurons=neurons, seconds=seconds, test_inside_rmse_mv=inside,
            train_rmse_mv=scale * root_mean_square(train), test_rmse_mv=scale * root_mean_square(test),
        )  # fmt: skip

    def convex(self, name: str, trained: Trained, seconds: float) -> Score:
        """Return the line of a trained network."""
        line = self.score(name, trained.network.neurons, trained.network.predict, seconds)
        return replace(line, objective=trained.objective, gap=trained.gap)

    def linear(self, name: str) -> Score:
        """Return the line of 'persistence' or 'linear_ar', the linear predictor by least squares."""
        started, train = time.perf_counter(), self.split.train
        d = train.X.shape[1]
        w = persistence_weights(d) if name == "persistence" else least_squares(train.X, train.y)
        seconds = time.perf_counter() - started
        return self.score(name, None, lambda X: np.concatenate([rows @ w for _, rows in row_chunks(X, CHUNK)]), seconds)

    def backprop(self, trained: Trained, seed: int, limits: Limits, progress: Progress) -> Score:
        """Return the line of the same network by Adam, for as long as the limits leave.

        Beside a network that is not one program, at a beta of its own and without P.
        """
        started = time.perf_counter()
        X, y = self.split.train.X, self.split.train.y
        same = trained.objective is not None
        problem = BackpropProblem(Layers((X.shape[1], NEURONS, 1)), X, y, trained.beta if same else BETA)
        random = np.random.default_rng(seed)
        epochs = max(1, min(EPOCHS, EPOCHS * EPOCHS_ROWS // len(y)))
        found = train_minibatch(
            problem.single(), problem.layers.initial(random), random, epochs=epochs,
            clock=Clock(limits.left, timer=time.perf_counter),
            callback=lambda epoch, loss: progress(f"backprop (Adam): P = {loss:.6e}", epoch / epochs),
        )  # fmt: skip
        W1, W2 = problem.layers.split(found.parameters)
        network = ReluNetwork(W1, W2)
        seconds = time.perf_counter() - started
        line = self.score("backprop_adam", network.neurons, network.predict, seconds)
        return replace(
            line, objective=problem.objective(found.parameters) if same else None,
            status="" if found.status == "finished" else found.status,
        )  # fmt: skip


def baselines(
    which: str, scorer: Scorer, trained: Trained, seed: int, limits: Limits, progress: Progress
) -> tuple[Score, ...]:
    """Return the lines of the baselines: 'none', 'linear' or 'all'; backprop where limits and Ctrl-C leave it time."""
    if which == "none":
        return ()
    lines = [scorer.linear(name) for name in ("persistence", "linear_ar")]
    if which == "all" and limits.left >= LEAST and not wanted():
        with stoppable():
            lines.append(scorer.backprop(trained, seed, limits, progress))
        if wanted():  # one that was cut short would be no fair comparison
            lines = lines[:2]
    return tuple(lines)


def _residual(part: Windows, predict: Callable[..., Array]) -> Array:
    found: Array = part.y - predict(part.X)
    return found
