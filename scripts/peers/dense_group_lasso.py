"""The group lasso on a dense matrix solved by adelie, celer or skglm, in an environment of their own.

Usage: python dense_group_lasso.py PROGRAM.npz RESULT.npz --threads 2 --peer adelie [--tolerance 1e-9]
PROGRAM holds A (n, m), y (n,), group (columns of each group) and beta; RESULT gets u (groups, columns), seconds, CPU
seconds (cpu) and version. All three minimise 1/(2n) ||A z - y||^2 + beta sum ||z_g||; weights of one, no intercept, no
standardisation. celer and skglm are compiled by a first run on other data, which is not timed.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np


def adelie_solver(tolerance: float) -> Callable:
    """Adelie's block descent."""
    import adelie

    def solve(A: np.ndarray, y: np.ndarray, group: int, beta: float) -> np.ndarray:
        groups = np.arange(0, A.shape[1], group)
        state = adelie.grpnet(
            A, adelie.glm.gaussian(y), groups=groups, penalty=np.ones(len(groups)), lmda_path=[beta], intercept=False,
            tol=tolerance, early_exit=False, progress_bar=False,
        )  # fmt: skip
        return state.betas.toarray()[-1]

    return solve


def celer_solver(tolerance: float) -> Callable:
    """Celer's working sets with extrapolated dual points; its tolerance is a gap relative to ||y||^2 / n."""
    from celer import GroupLasso

    def solve(A: np.ndarray, y: np.ndarray, group: int, beta: float) -> np.ndarray:
        model = GroupLasso(group, beta, tol=tolerance, fit_intercept=False, max_iter=1000, max_epochs=100_000)
        return model.fit(A, y).coef_

    return solve


def skglm_solver(tolerance: float) -> Callable:
    """Block descent of skglm on working sets, with Anderson acceleration."""
    from skglm.datafits import QuadraticGroup
    from skglm.penalties import WeightedGroupL2
    from skglm.solvers import GroupBCD
    from skglm.utils.data import grp_converter
    from skglm.utils.jit_compilation import compiled_clone

    def solve(A: np.ndarray, y: np.ndarray, group: int, beta: float) -> np.ndarray:
        indices, starts = grp_converter(group, A.shape[1])
        datafit = compiled_clone(QuadraticGroup(starts, indices))
        penalty = compiled_clone(WeightedGroupL2(beta, np.ones(len(starts) - 1), starts, indices))
        solver = GroupBCD(max_iter=1000, max_epochs=100_000, tol=tolerance, fit_intercept=False)
        return solver.solve(A, y, datafit, penalty)[0]

    return solve


SOLVERS = {"adelie": adelie_solver, "celer": celer_solver, "skglm": skglm_solver}


def main() -> None:
    """Parse the command line, solve, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--peer", choices=SOLVERS, required=True)
    parser.add_argument("--tolerance", type=float, default=1e-9, help="the peer's own (default: %(default)s)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    data = np.load(arguments.program)
    A, y, group, beta = np.asfortranarray(data["A"]), data["y"], int(data["group"]), float(data["beta"])
    solve = SOLVERS[arguments.peer](arguments.tolerance)
    random = np.random.default_rng(0)
    small = np.asfortranarray(random.standard_normal((20, 4 * group)))
    solve(small, small[:, 0] + random.standard_normal(20), group, 0.1)

    started, used = time.perf_counter(), time.process_time()
    z = solve(A, y, group, beta)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    np.savez(arguments.result, u=z.reshape(-1, group), seconds=seconds, cpu=cpu, version=version(arguments.peer))


if __name__ == "__main__":
    main()
