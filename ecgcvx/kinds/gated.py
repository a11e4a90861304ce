"""The gated ReLU network: gates of sampled patterns stay fixed, each with a free linear filter."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.kinds.kind import SOLVER_METHODS, NetworkKind, Problem, linear_option
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.certificates import Certificate
    from ecgcvx.rows import Matrix
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

    @classmethod
    def certify(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> "Certificate | None":
        """Over the gates of the network itself: those that its training left at zero are not in its file."""
        from ecgcvx.arrangements.patterns import patterns_of_gates
        from ecgcvx.certificates import certify_given

        return certify_given(network, X, y, beta, patterns_of_gates(X, network.gates.T))
