"""Record 208 as the networks of the lecture are trained on it."""

from dataclasses import replace
from typing import Any

import numpy as np

from ecgcvx.kinds.kind import Limits, Trained, make_kind
from ecgcvx.types import Array, silent
from ecgcvx.windows import Split, Windows

RECORD = "data/mitdb208/208"


def first_windows(part: Windows, count: int) -> Windows:
    """Return the first windows of a part."""
    runs, left = [], count
    for first, stop in part.runs:
        if left > 0:
            runs.append((first, min(stop, first + left)))
            left -= runs[-1][1] - first
    return replace(part, runs=tuple(runs))


class Training:
    """A network's training problem on some windows, for any beta."""

    def __init__(self, network: str, windows: Windows, **options: Any) -> None:
        self.problem = make_kind(network, options).problem(windows, 0, silent)

    def at(self, beta: float) -> Trained:
        """Train at a beta."""
        return self.problem.train(beta, warm=None, limits=Limits(), progress=silent)


def linear_error(split: Split, w: Array) -> float:
    """Test RMSE in mV of the linear filter w (length + 1,)."""
    return split.rmse_mv(lambda X: np.asarray(X) @ w)
