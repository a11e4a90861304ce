"""The two-layer ReLU network, over all patterns or over a sample of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.choice import Rule
from ecgcvx.errors import InputError
from ecgcvx.kinds.kind import SOLVER_METHODS, BoundProgram, Limits, NetworkKind, Problem, Trained, linear_option
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.programs.free import Free
    from ecgcvx.rows import Matrix
    from ecgcvx.solvers.active_set.loop import ActiveSetSolver
    from ecgcvx.solvers.check import Check
    from ecgcvx.types import Array, Progress
    from ecgcvx.windows import Windows

ACTIVE_SET, COLUMNS = "active-set", "column-generation"
MASTERS = ("cvxpy", "osqp")  # of column generation
ALL = (ACTIVE_SET, COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Relu(NetworkKind):
    """Options of the two-layer ReLU network. Source: Pilanci & Ergen 2020.

    Without `patterns` it is trained over all of them, by the active set or by column generation with the solver
    'cvxpy' or 'osqp'; with a number of them, over that many sampled patterns.
    """

    name: ClassVar[str] = "relu"
    title: ClassVar[str] = "ReLU"
    summary: ClassVar[str] = "the two-layer ReLU network"
    recurrence: ClassVar[bool] = True

    patterns: int | None = option(
        None, "sample that many activation patterns (default: relu all patterns, gated 100)", metavar="P", least=3
    )
    solver: str | None = option(
        None,
        "active-set: all patterns (default), as cvxpy and osqp by column generation; over a sample fista: accelerated "
        "proximal gradient (default there), admm: alternating directions, cvxpy: interior point, Clarabel, osqp: a "
        "sequence of quadratic programs; for polynomial and quadratic semidefinite: interior point on the Gram matrix "
        "(default), or cvxpy",
        choices=(ACTIVE_SET, *SOLVER_METHODS),
    )
    gap: float | None = option(
        None, "relative gap to stop at (default: 1e-2 searched over all patterns, 1e-5 over a sample)", metavar="TOL",
        above=0.0, example="1e-2",
    )  # fmt: skip
    rounds: int | None = option(
        None,
        "rounds at most (default: active-set 8, 6 where neurons are chosen, unless gap or time limit is given, and one "
        "more where the confirmation finds over twice the gap; 200 of the others, admm 50)",
        metavar="N", least=1, methods=(*ALL, "fista", "admm", "osqp"),
    )  # fmt: skip
    confirm_starts: int | None = option(
        None,
        "fresh starts that confirm a searched gap (default 3000; without gap 1000 of more than 131,072 windows; of "
        "each stage of a stack 300)",
        metavar="N", least=0, methods=ALL,
    )  # fmt: skip
    max_neurons: int | None = option(
        None, "keep at most K neurons: remove the ones that P misses least", metavar="K", least=1, methods=ALL
    )
    tolerance: float | None = option(
        None, "keep the smallest network with P at most that share up, e.g. 1e-2 (default with --max-neurons: 0)",
        metavar="SHARE", least=0.0, methods=ALL,
    )  # fmt: skip
    choose: str | None = option(
        None,
        "which network to keep: within:1% (fewest neurons, for each training window, whose relaxed validation error is "
        "within 1 % of the best), one-se, or best (default: within:1% where beta is chosen too, else all neurons)",
        metavar="RULE", methods=(ACTIVE_SET,),
    )  # fmt: skip
    linear: str | None = linear_option()
    check: bool = option(
        False, "solve the convex program over the network's patterns by cvxpy and osqp as well", methods=ALL
    )

    def __post_init__(self) -> None:
        if self.choose is not None:
            Rule.of(self.choose)
            if self.tolerance is not None or self.max_neurons is not None:
                raise InputError(
                    f"choose = {self.choose}: tolerance and max_neurons choose as well; leave one of them out"
                )
        if self.patterns is None and self.solver not in (None, ACTIVE_SET, *MASTERS) and self.solver in SOLVER_METHODS:
            raise InputError(f"solver = {self.solver!r}: it trains over given patterns; pass patterns=N")
        if self.patterns is not None and self.solver == ACTIVE_SET:
            raise InputError(
                f"patterns = {self.patterns}: not an option of network='relu' with solver='active-set', which trains "
                "over all patterns; leave one of them out"
            )
        super().__post_init__()

    @property
    def method(self) -> str:
        if self.patterns is not None:
            return self.solver or "fista"
        return ACTIVE_SET if self.solver in (None, ACTIVE_SET) else COLUMNS

    @property
    def bounded(self) -> bool:
        return True

    @property
    def described(self) -> str:
        solver = self.solver or self.method
        return f"network='relu' with solver={solver!r}" + (
            "" if self.patterns is None else f", patterns={self.patterns}"
        )

    @property
    def settings(self) -> dict[str, Any]:
        return {**super().settings, "solver": self.solver or self.method}

    @property
    def needs_beta(self) -> str | None:
        if self.method != COLUMNS:
            return None
        return f"solver={self.solver!r} over all patterns needs beta; pass beta, or patterns=N"

    @property
    def keeps_checkpoints(self) -> bool:
        return self.method == ACTIVE_SET

    @property
    def needs_signals(self) -> bool:
        return self.method == ACTIVE_SET and self.linear != "free"

    def problem(self, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None) -> Problem:
        if self.patterns is not None:
            return self._over_sample(windows, seed, progress)
        from ecgcvx.kinds.all_patterns import CONFIRM_STARTS, GAP, AllPatternsProblem, active_set
        from ecgcvx.programs.all_patterns import AllPatterns
        from ecgcvx.solvers.column_generation import ColumnGeneration

        solver: ActiveSetSolver | ColumnGeneration
        if self.method == COLUMNS:
            gap = GAP if self.gap is None else self.gap
            starts = CONFIRM_STARTS if self.confirm_starts is None else self.confirm_starts
            limits = {} if self.rounds is None else {"rounds": self.rounds}
            solver = ColumnGeneration(self.solver or "cvxpy", gap=gap, confirm_starts=starts, seed=seed, **limits)
        else:
            solver = active_set(self.gap, self.rounds, self.confirm_starts, seed, rounds, len(windows))
        free: Free = "linear" if self.linear == "free" else "none"
        return AllPatternsProblem(AllPatterns(windows.X, windows.y, 1.0, free=free), solver, seed)

    @property
    def shares_rows(self) -> bool:
        return self.patterns is None  # two of the sampled ones are those of the linear predictor of the targets

    def _over_sample(self, windows: "Windows", seed: int, progress: "Progress") -> Problem:
        from ecgcvx.kinds.given_patterns import fit_patterns, given_patterns_problem
        from ecgcvx.programs.program import relu_program

        assert self.patterns is not None
        progress(f"{self.patterns} patterns of {len(windows):,} windows", None)
        patterns = fit_patterns(windows, self.patterns, "relu", seed)
        options = {name: getattr(self, name) for name in ("gap", "rounds") if getattr(self, name) is not None}
        return given_patterns_problem(
            windows, patterns, relu_program, self.method, options, progress, self.name, free=self.linear == "free"
        )

    def rule(self, beta_chosen: bool) -> Rule | None:
        """Return the rule that chooses how many neurons are kept; None for all of them.

        beta_chosen : whether beta is chosen by validation too, which makes `within:1%` the default.
        """
        if self.method != ACTIVE_SET or self.tolerance is not None or self.max_neurons is not None:
            return None
        text = self.choose or ("within:1%" if beta_chosen else "best")
        return None if text == "best" else Rule.of(text)

    def checks(self, problem: Any, trained: Trained, limits: Limits, progress: "Progress") -> "tuple[Check, ...]":
        if not self.check or not trained.network.neurons:
            return ()
        progress(f"checking: the convex program over the patterns of {trained.network.neurons} neurons", None)
        found: tuple[Check, ...] = problem.check(trained, limits)
        return found

    @classmethod
    def programs(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> list[BoundProgram]:
        return [BoundProgram("", network, X, y, beta)]
