"""Full-batch training by L-BFGS (SciPy's, of Byrd, Lu, Nocedal, Zhu 1995)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from threadpoolctl import threadpool_limits

from ecgcvx.baselines.clock import Clock, TimeUp
from ecgcvx.baselines.minibatch import BackpropResult, Status
from ecgcvx.baselines.problem import Problem
from ecgcvx.errors import InputError
from ecgcvx.interruption import stoppable

MEMORY = 30  # pairs that the inverse Hessian is made of


def train_lbfgs(
    problem: Problem,
    start: NDArray[Any],
    iterations: int = 500,
    callback: Callable[[int, float], None] | None = None,
    clock: Clock | None = None,
) -> BackpropResult:
    """Minimise P from `start` (k,) for so many iterations, until nothing is gained, or until the clock's time is over.

    P is not differentiable at kinks of the ReLU; on many rows that is seldom felt. KeyboardInterrupt ends the training
    early. callback(iteration, P) is called after each iteration.

    Raises InputError for iterations < 1.
    """
    if iterations < 1:
        raise InputError(f"iterations is {iterations}; pass at least 1")
    clock = Clock() if clock is None else clock
    history: list[float] = []
    best = [np.array(start, dtype=np.float64)]

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        clock.check()
        return problem.objective_and_gradient(parameters)

    def seen(intermediate_result: OptimizeResult) -> None:
        best[0] = intermediate_result.x.copy()
        history.append(float(intermediate_result.fun))
        if callback is not None:
            callback(len(history), history[-1])
        clock.see(best[0])

    status: Status = "finished"
    options = {"maxiter": iterations, "maxfun": 20 * iterations, "maxcor": MEMORY, "ftol": 0.0, "gtol": 1e-9}
    with threadpool_limits(1, "blas"):
        with stoppable() as loop:
            try:
                minimize(objective, best[0], method="L-BFGS-B", jac=True, callback=seen, options=options)
            except TimeUp:
                status = "time limit"
        if loop.stopped:
            status = "interrupted"
    return BackpropResult(best[0], tuple(history), status)
