"""The gated ReLU network: gates of sampled patterns stay fixed, each with a free linear filter."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.evidence import Evidence, Gap
from ecgcvx.kinds.kind import SOLVER_METHODS, Limits, NetworkKind, Problem, Trained, linear_option
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.certificates import Certificate
    from ecgcvx.programs.moments import GatedSums, SecondMoments
    from ecgcvx.programs.summed import SummedGated
    from ecgcvx.rows import Matrix
    from ecgcvx.solvers.group_lasso import GroupLassoSolver
    from ecgcvx.types import Array, Progress
    from ecgcvx.windows import Windows

PATTERNS = 100


@dataclass(frozen=True, kw_only=True)
class Gated(NetworkKind):
    """Options of the gated ReLU network. Source: Mishkin, Sahiner & Pilanci 2022."""

    name: ClassVar[str] = "gated"
    title: ClassVar[str] = "gated"
    summary: ClassVar[str] = "the gates of sampled patterns stay fixed, each with a free linear filter"
    recurrence: ClassVar[bool] = True

    patterns: int | None = option(None, "activation patterns to sample (default 100)", metavar="P", least=3)
    solver: str | None = option(
        None, "group-lasso: working sets and block descent (default), or a solver over given patterns",
        choices=("group-lasso", *SOLVER_METHODS),
    )  # fmt: skip
    gap: float | None = option(None, "relative gap to stop at (default 1e-5)", metavar="TOL", above=0.0, example="1e-5")
    rounds: int | None = option(
        None, "rounds at most (default: group-lasso 100, admm 50, others 200)", metavar="N", least=1,
        methods=("group-lasso", "fista", "admm", "osqp"),
    )  # fmt: skip

    linear: str | None = linear_option()

    @property
    def method(self) -> str:
        return self.solver or "group-lasso"

    @property
    def described(self) -> str:
        return f"network='gated' with solver={self.method!r}"

    @property
    def settings(self) -> dict[str, Any]:
        return {**super().settings, "patterns": self.patterns or PATTERNS}

    def problem(self, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None) -> Problem:
        from ecgcvx.kinds.given_patterns import fit_patterns, given_patterns_problem
        from ecgcvx.programs.program import gated_relu_program

        count = self.patterns or PATTERNS
        progress(f"{count} patterns of {len(windows):,} windows", None)
        free = self.linear == "free"
        patterns = fit_patterns(windows, count, "gated", seed, free=free)
        options = {name: getattr(self, name) for name in ("gap", "rounds") if getattr(self, name) is not None}
        return given_patterns_problem(
            windows, patterns, gated_relu_program, self.method, options, progress, self.name, free=free
        )

    @property
    def shares_rows(self) -> bool:
        return True

    def statistics(self, width: int, seed: int, gates: "Array | None" = None) -> "GatedStatistics | None":
        if self.free_linear or self.method != "group-lasso":
            return None
        return GatedStatistics(self, fixed_gates(width, self.patterns or PATTERNS, seed) if gates is None else gates)

    @classmethod
    def certify(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> "Certificate | None":
        """Over the gates of the network itself: those that its training left at zero are not in its file."""
        from ecgcvx.arrangements.patterns import patterns_of_gates
        from ecgcvx.certificates import certify_given

        return certify_given(network, X, y, beta, patterns_of_gates(X, network.gates.T))


def fixed_gates(width: int, count: int, seed: int) -> "Array":
    """Return gates (count, width) that no data decide: all rows, whose last column is ones, then random directions.

    They are those of `given_patterns.fit_patterns`, unless two of its patterns coincide on the rows.
    """
    import numpy as np

    from ecgcvx.arrangements.sampling import gaussian_gates

    gates = np.concatenate([np.eye(width)[-1:], gaussian_gates(np.random.default_rng(seed), count, width)])
    return np.ascontiguousarray(gates[:count])


@dataclass(frozen=True, eq=False)
class GatedStatistics:
    """The sums that a gated network of given gates (p, d) needs."""

    kind: Gated
    gates: "Array"

    @property
    def sums(self) -> "GatedSums":
        """The features of the gates."""
        from ecgcvx.programs.moments import GatedSums

        return GatedSums(self.gates)

    @property
    def tensors(self) -> "dict[str, Array]":
        """The gates."""
        return {"gates": self.gates}

    def problem(self, total: "SecondMoments") -> "SummedGatedProblem":
        """Return the training problem of the sums of some rows."""
        from ecgcvx.programs.summed import SummedGated
        from ecgcvx.solvers.group_lasso import GroupLassoSolver

        options = {name: value for name in ("gap", "rounds") if (value := getattr(self.kind, name)) is not None}
        return SummedGatedProblem(SummedGated(self.gates, total, 1.0), GroupLassoSolver(**options))


@dataclass(frozen=True, eq=False)
class SummedGatedProblem:
    """A program of a gated network of which sums are known, and its solver."""

    program: "SummedGated"
    solver: "GroupLassoSolver"

    def largest_beta(self) -> float:
        """Return the smallest beta at which the network is zero."""
        return self.program.largest_beta()

    def mean_loss(self, trained: Trained) -> float:
        """Return the squared loss over the rows of this program's sums of a network that another program trained."""
        return self.program.mean_loss(trained.warm)

    def train(
        self, beta: float, *, warm: Trained | None, limits: Limits, progress: "Progress", rough: bool = False
    ) -> Trained:
        """Train at a beta; Ctrl-C or the time limit end it with the best network so far."""
        from ecgcvx.models import gated_network_of

        program = self.program.at(beta)
        progress("gated network, group-lasso: solving", None)
        solution = self.solver.solve(
            program, warm_start=None if warm is None else warm.warm, time_limit=limits.left,
            callback=lambda line: progress(f"gated network: round {line.iteration + 1}, P = {line.primal:.6e}", None),
        )  # fmt: skip
        gap = Gap(solution.primal, solution.dual, Evidence.GIVEN, f"{len(program.gates)} patterns")
        return Trained.of(solution, network=gated_network_of(program.gates, solution.u), beta=beta, gap=gap)
