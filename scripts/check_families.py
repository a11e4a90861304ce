"""Random tiny problems of each network: the active set and CVXPY against the program written out, and restarts.

    python scripts/check_families.py                             # 50 problems a network, 200 restarts each
    python scripts/check_families.py --problems 5 --only conv --restarts 10

For each problem the optimum is that of the convex program written out in CVXPY over patterns that linear programs
enumerate, one for every sign vector; `tests/family_oracles.py`, which shares no code with the package. It is compared
with the package's program over all patterns solved by CVXPY, with the active set, and with networks whose own weights
L-BFGS trains from random starts until it converges. Each problem adds a line to --results; what is there is not run
again. The exit status is 1 where CVXPY or the active set is off by more
than 1e-6 or a restart lies that far below the optimum.

On so few rows the active set prices every cell of the arrangement, so that its gap is proved by enumeration.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ecgcvx.arrangements import enumerate_patterns
from ecgcvx.atoms.batch_norm import BatchNormFamily
from ecgcvx.atoms.convolutional import ConvolutionalFamily
from ecgcvx.atoms.family import AtomFamily
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.three_layer import ThreeLayerFamily
from ecgcvx.patches import Convolution, PatchMatrix
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.batch_norm import BatchNormFeatures, WhitenedMatrix, Whitening, batch_norm_program
from ecgcvx.programs.convolutional import ConvolutionalFeatures
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram, relu_program
from ecgcvx.programs.three_layer import TupleFeatures, enumerate_tuples
from ecgcvx.rows import Matrix
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.types import Array
from harness import ROOT, append_line, parser, stored_lines, table, timed

sys.path.append(str(ROOT / "tests"))  # the oracles of the tests
oracle: Any = import_module("family_oracles")

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Problem:
    """A tiny problem: its program over all patterns, the same for the active set, and its two oracles."""

    program: ConvexProgram
    searched: AllPatterns
    optimum: Callable[[], float]
    trained: Callable[[int], Array]


def convolutional(seed: int) -> Problem:
    """Windows of 4 samples, filters of 2, average or sum, with and without a bias in every patch."""
    pooling: Any = ("average", "sum")[seed % 2]
    context = seed // 2 % 2
    X, y, beta = oracle.random_problem(seed, 3, 4 + context, bias=context == 1)
    convolution = Convolution(2, 1, pooling, context)
    masks = oracle.masks_of(oracle.patches_of(X, 2, 1, context).reshape(-1, 2 + context))
    features = ConvolutionalFeatures(X, convolution, enumerate_patterns(PatchMatrix(X, convolution)[:]))
    return Problem(
        relu_program(features, y, beta), _searched(X, y, beta, ConvolutionalFamily(convolution, X.shape[1])),
        lambda: oracle.conv_optimum(X, y, beta, 2, 1, pooling, context, masks),
        lambda count: oracle.trained_conv(X, y, beta, 2, 1, pooling, context, 8, count, seed),
    )  # fmt: skip


def normalised(seed: int) -> Problem:
    """6 rows of 2 or, with a column of ones, 3."""
    X, y, beta = oracle.random_problem(seed, 6, 2 + seed % 2, bias=seed % 2 == 1)
    return Problem(
        batch_norm_program(BatchNormFeatures(X, enumerate_patterns(X)), y, beta),
        AllPatterns(X, y, beta, family=BatchNormFamily(), free="offset"),
        lambda: oracle.batch_norm_optimum(X, y, beta),
        lambda count: oracle.trained_batch_norm(X, y, beta, 8, count, seed),
    )


def before(seed: int) -> Problem:
    """6 rows of 2; the plain network on whitened rows, its restarts those of a convolution of one patch."""
    X, y, beta = oracle.random_problem(seed, 6, 2)
    W = oracle.whitened(X)
    whitened = WhitenedMatrix(X, Whitening.of(X))
    features = PatternFeatures(whitened, enumerate_patterns(whitened))
    return Problem(
        relu_program(features, y, beta), _searched(whitened, y, beta, ReluFamily()),
        lambda: oracle.relu_optimum(W, y, beta),
        lambda count: oracle.trained_conv(W, y, beta, 3, 1, "sum", 0, 8, count, seed),
    )  # fmt: skip


def three_layers(seed: int) -> Problem:
    """3 rows of 2 with 2 inner neurons, the first of them linear in every second problem."""
    linear = seed % 2 == 1
    X, y, beta = oracle.random_problem(seed, 3, 2)
    features = TupleFeatures(X, enumerate_tuples(X, 2, linear=linear))
    return Problem(
        relu_program(features, y, beta), _searched(X, y, beta, ThreeLayerFamily(2, linear=linear)),
        lambda: oracle.three_layer_optimum(X, y, beta, 2, linear),
        lambda count: oracle.trained_three_layer(X, y, beta, 6, 2, linear, count, seed),
    )  # fmt: skip


def _searched(X: Matrix, y: Array, beta: float, family: AtomFamily) -> AllPatterns:
    return AllPatterns(X, y, beta, family=family)


NETWORKS: dict[str, Callable[[int], Problem]] = {
    "conv": convolutional, "batch norm after": normalised, "batch norm before": before, "three layers": three_layers
}  # fmt: skip


def measure(problem: Problem, count: int) -> dict[str, float]:
    """Relative differences from the optimum: |CVXPY|, active set, and the restarts."""
    optimum = problem.optimum()
    solved = CvxpySolver(gap=1e-9).solve(problem.program).primal
    searched = ActiveSetSolver(gap=1e-7, rounds=40, confirm_starts=0).solve(problem.searched).primal
    trained = problem.trained(count) / optimum - 1
    return {
        "cvxpy": abs(solved / optimum - 1), "active_set": searched / optimum - 1, "lowest": float(trained.min()),
        "median": float(np.median(trained)),
    }  # fmt: skip


def results_of(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The stored results of a network's problems, those that are missing measured first."""
    held = {
        line["problem"]: line
        for line in stored_lines(arguments.results)
        if (line["network"], line["restarts"]) == (name, arguments.restarts)
    }
    for seed in range(arguments.problems):
        if seed not in held:
            with warnings.catch_warnings(action="ignore"):
                found, seconds = timed(lambda seed=seed: measure(NETWORKS[name](seed), arguments.restarts))  # type: ignore[misc]
            held[seed] = {"network": name, "problem": seed, "restarts": arguments.restarts, **found, "cpu": seconds.cpu}
            append_line(arguments.results, held[seed])
    return [held[seed] for seed in range(arguments.problems)]


def main() -> None:
    """Parse the command line, measure, print a table."""
    options = parser(__doc__)
    options.add_argument("--problems", type=int, default=50, help="of each network")
    options.add_argument("--restarts", type=int, default=200, help="of each problem")
    options.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options.add_argument("--results", type=Path, default=ROOT / "out" / "check_families.jsonl", help="JSON lines")
    arguments = options.parse_args()
    rows, wrong = [], 0
    for name in arguments.only:
        found = results_of(name, arguments)
        solved, searched, lowest = (np.array([one[key] for one in found]) for key in ("cvxpy", "active_set", "lowest"))
        wrong += int((solved > TOLERANCE).sum() + (np.abs(searched) > TOLERANCE).sum() + (lowest < -TOLERANCE).sum())
        rows.append([
            name, str(len(found)), f"{solved.max():.0e}", f"{searched.max():.0e}", f"{lowest.min():.0e}",
            f"{np.median(lowest):.0e}", f"{(lowest < 1e-4).sum()}", f"{sum(one['cpu'] for one in found):.0f}",
        ])  # fmt: skip
    header = [
        "network", "problems", "CVXPY off by at most", "active set above by at most", "lowest restart of all",
        "lowest of each, median", "problems with a restart within 1e-4", "CPU s",
    ]  # fmt: skip
    print(table(header, rows))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
