"""What numba compiles once an installation, by part: each function below compiles all that its part needs.

The results are kept in numba's cache, from where later runs read them in a second.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecgcvx.types import Array


def training() -> None:
    """The active set over all patterns: prices, descent, amplitudes, pruning."""
    import numpy as np

    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.solvers.active_set.loop import ActiveSetSolver
    from ecgcvx.solvers.active_set.sparsify import sparsify

    X, y = _rows()
    program = AllPatterns(X, y, 1e-3)
    solution = ActiveSetSolver(gap=0.1, rounds=2, confirm_starts=4, threads=1).solve(program)
    sparsify(program, solution, tolerance=0.1)
    np.asarray(program.family.network(solution.atoms).predict(X))


def given_patterns() -> None:
    """The programs over given patterns: pattern sums and the group lasso."""
    from ecgcvx.arrangements import sample_patterns
    from ecgcvx.programs.features import PatternFeatures
    from ecgcvx.programs.program import gated_relu_program
    from ecgcvx.solvers.group_lasso import GroupLassoSolver

    X, y = _rows()
    GroupLassoSolver(gap=1e-3).solve(gated_relu_program(PatternFeatures(X, sample_patterns(X, 8, 0)), y, 1e-2))


def proof() -> None:
    """The branch and bound of `ecgcvx certify`."""
    from ecgcvx.certificates import bound_price

    X, y = _rows()
    bound_price(X, y, 1.0, factor=1e6, time_limit=0.1, threads=1)


def streams() -> None:
    """Forecasts sample by sample."""
    import numpy as np

    from ecgcvx.forecaster import Forecaster
    from ecgcvx.intervals import calibrate
    from ecgcvx.models import GatedNetwork, ReluNetwork
    from ecgcvx.streaming import StreamPredictor
    from ecgcvx.windows import Scaler

    W1, W2 = np.eye(16)[:, :3], np.ones(3)
    known, one = calibrate(_rows(), _rows()), Scaler(0.0, 1.0)
    joined = Forecaster(
        ReluNetwork(W1, W2), Scaler(0.0, 1.0, (one, one)), "", 360.0, 5, 1, 1e-3, calibration=known,
        joined=("a", "b"),
    )  # fmt: skip
    alone = [
        Forecaster(network, one, "", 360.0, 15, 1, 1e-3, calibration=known)
        for network in (ReluNetwork(W1, W2), GatedNetwork(W1, W2, W1))
    ]
    for model in (*alone, joined):
        stream = StreamPredictor(model, coverages=known.coverages)
        samples = np.linspace(np.zeros(len(model.leads)), 1, 20) if model.joined else np.linspace(0, 1, 20)
        for sample in samples.tolist():
            stream.push(sample)
        stream.push_chunk(samples.T)


PARTS: dict[str, Callable[[], None]] = {
    "proof": proof, "training": training, "given patterns": given_patterns, "streams": streams,
}  # fmt: skip
"""Every part, the longest first."""


def compile_part(name: str) -> float:
    """Compile a part, or read it from the cache, and return the seconds that took."""
    import time

    started = time.perf_counter()
    PARTS[name]()
    return time.perf_counter() - started


def _rows() -> "tuple[Array, Array]":
    import numpy as np

    random = np.random.default_rng(0)
    X = np.column_stack([random.standard_normal((60, 15)), np.ones(60)])
    return X, random.standard_normal(60)
