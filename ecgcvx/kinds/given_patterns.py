"""Training over given patterns: a convex program with one variable a pattern (and sign), for any of its solvers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ecgcvx.arrangements.patterns import Patterns, patterns_of_gates
from ecgcvx.arrangements.sampling import sample_patterns
from ecgcvx.baselines.linear import least_squares
from ecgcvx.evidence import Evidence, Gap
from ecgcvx.kinds.kind import Limits, Trained
from ecgcvx.models import network_of
from ecgcvx.models.maps import merge
from ecgcvx.programs.features import PatternFeatures, two_layer_features
from ecgcvx.programs.linear_part import LinearPart
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.admm import AdmmSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.solvers.fista import FistaSolver
from ecgcvx.solvers.group_lasso.solver import GroupLassoSolver
from ecgcvx.solvers.osqp_solver import OsqpSolver
from ecgcvx.solvers.solution import Solver
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Windows

SOLVERS: dict[str, Callable[..., Solver]] = {
    "group-lasso": GroupLassoSolver,
    "fista": FistaSolver,
    "admm": AdmmSolver,
    "cvxpy": CvxpySolver,
    "osqp": OsqpSolver,
}
Build = Callable[..., ConvexProgram]


@dataclass(frozen=True, eq=False)
class GivenPatternsProblem:
    """A program over given patterns, with its Gram matrix, and the solver that trains it. title : of the network."""

    program: ConvexProgram
    solver: Solver
    title: str

    def with_targets(self, y: Array) -> "GivenPatternsProblem":
        """Return the problem of other targets (n,) of the same rows, which shares patterns and Gram matrix."""
        return replace(self, program=self.program.with_targets(y))

    def largest_beta(self) -> float:
        """Return the smallest beta at which the solution is zero."""
        return self.program.largest_beta()

    def train(
        self, beta: float, *, warm: Trained | None, limits: Limits, progress: Progress, rough: bool = False
    ) -> Trained:
        """Train at a beta; Ctrl-C or the time limit end it with the best network so far."""
        program = self.program.at(beta)
        progress(f"{self.title}: solving", None)
        solution = self.solver.solve(
            program,
            warm_start=warm.warm if warm is not None and self._of_these_patterns(warm.problem) else None,
            time_limit=limits.left,
            callback=lambda line: progress(f"{self.title}: round {line.iteration + 1}, P = {line.primal:.6e}", None),
        )
        count = len(np.unique(program.blocks))
        gap = Gap(solution.primal, solution.dual, Evidence.GIVEN, f"{count} patterns")
        network = merge(network_of(program, solution.u), two_layer_features(program.features, self.title).X)
        return Trained.of(solution, network=network, beta=beta, gap=gap, violation=solution.violation, problem=self)

    def _of_these_patterns(self, other: Any) -> bool:
        return isinstance(other, GivenPatternsProblem) and other.program.features is self.program.features


def given_patterns_problem(
    windows: Windows,
    patterns: Patterns,
    build: Build,
    solver: str,
    options: dict[str, Any],
    progress: Progress,
    name: str,
    *,
    free: bool = False,
) -> GivenPatternsProblem:
    """Return the problem of a program over patterns of the windows; its Gram matrix serves every beta.

    Where the solver forms the blocks of the Gram matrix that it needs, none is formed here. build : of features, y,
    beta and a linear part. free : whether a linear part that no penalty shrinks stands beside the patterns.
    """
    linear = LinearPart(windows.X) if free else None
    program = build(PatternFeatures(windows.X, patterns), windows.y, 1.0, linear=linear)
    if solver != "group-lasso":
        progress(f"Gram matrix of {len(patterns)} blocks", None)
        _ = program.quadratic
    return GivenPatternsProblem(program, SOLVERS[solver](**options), f"{name} network, {solver}")


def fit_patterns(windows: Windows, count: int, network: str, seed: int, *, free: bool = False) -> Patterns:
    """Return `count` patterns of the windows: those of the linear predictor first, then those of Gaussian gates.

    With them the network is never worse than the penalised linear predictor: a gated network holds it in the pattern
    of all samples (the gate of the bias), a ReLU network as (Xw)_+ - (-Xw)_+ in the patterns of w and -w. Beside a
    free linear part a gated network does without.
    """
    d = windows.X.shape[1]
    if network == "relu":
        w = least_squares(windows.X, windows.y)
        linear = np.stack([w, -w])
    else:
        linear = np.eye(d)[-1:] if not free else np.empty((0, d))
    sampled = sample_patterns(windows.X, count, seed)
    patterns = patterns_of_gates(windows.X, np.concatenate([linear, sampled.gates]))
    return patterns.subset(np.arange(count))
