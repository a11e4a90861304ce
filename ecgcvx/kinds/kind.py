"""What a network kind is: its options, and how windows become a training problem.

A kind is a frozen dataclass whose fields are its options, all of them None (or False) unless given; `method` names the
algorithm that trains it with these options. Modules of kinds import solvers only when they train, so that the command
line can list options without them.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ecgcvx.errors import InputError
from ecgcvx.interruption import wanted
from ecgcvx.kinds.registry import REGISTRY, kind_class
from ecgcvx.options import check_options, given, option, options_of

if TYPE_CHECKING:
    from ecgcvx.certificates import Certificate
    from ecgcvx.choice import Rule
    from ecgcvx.evidence import Gap
    from ecgcvx.models import Model
    from ecgcvx.programs.moments import SecondMoments
    from ecgcvx.reductions import Reduction
    from ecgcvx.rows import Matrix
    from ecgcvx.solvers.active_set.sparsify import Sparsified
    from ecgcvx.solvers.check import Check
    from ecgcvx.types import Array, Progress
    from ecgcvx.windows import Windows


@dataclass(frozen=True)
class Limits:
    """What bounds a training besides its gap.

    end : moment of `time.perf_counter` at which all of it is over. checkpoint : a file to keep its state in; resume :
    go on from that file.
    """

    end: float = float("inf")
    checkpoint: Path | None = None
    resume: bool = False

    @property
    def left(self) -> float:
        """Seconds that are left, above 0 even where none are: a solver that starts makes its first point."""
        return max(self.end - time.perf_counter(), 1e-3)

    def share(self, share: float) -> "Limits":
        """Return limits that end after a share of the time that is left, so that what follows has the rest."""
        if self.end == float("inf"):
            return self
        now = time.perf_counter()
        return replace(self, end=now + share * max(self.end - now, 0.0))

    @property
    def expired(self) -> bool:
        """Whether no time is left, or the work is to stop."""
        return wanted() or time.perf_counter() >= self.end


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained:
    """A network as its training left it.

    network : its weights. beta : the weight of the penalty, of a stack that of its last stage. gap : how far P is at
    most from the optimum, and what that rests on. objective : P of the whole network, None where it has none. status :
    'optimal', or why the training ended before. detail : how, in the solver's own words. violation : of cones, a sine.
    warm : where the training at a neighbouring beta may start, problem : the one it belongs to. history : what the
    solver reported on its way. solution : its own, where pruning needs it. step : every step-th window was trained on.
    notes : further lines for people. record : further entries for metrics.json.
    """

    network: "Model"
    beta: float
    gap: "Gap"
    objective: float | None
    status: str
    detail: str
    seconds: float
    violation: float = 0.0
    iterations: int = 0
    warm: Any = None
    history: tuple[Any, ...] = ()
    solution: Any = None
    problem: Any = None
    step: int = 1
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, solution: Any, *, network: "Model", beta: float, gap: "Gap", **more: Any) -> "Trained":
        """Return the training that a solution of a program in variables u came to. more : further fields."""
        return cls(
            network=network, beta=beta, gap=gap, objective=solution.primal, status=solution.status,
            detail=solution.detail, seconds=solution.seconds, iterations=solution.iterations, warm=solution.u,
            history=solution.history, **more,
        )  # fmt: skip

    @property
    def cut(self) -> bool:
        """Whether time or a wish to stop ended it."""
        return self.status in ("interrupted", "time limit")


class Problem(Protocol):
    """Windows ready to be trained on: what serves every beta has been computed once."""

    def largest_beta(self) -> float:
        """Return the smallest beta at which the network is zero."""
        ...

    def train(
        self, beta: float, *, warm: Trained | None, limits: Limits, progress: "Progress", rough: bool = False
    ) -> Trained:
        """Train at a beta, from a neighbouring one where `warm` is given; rough : only as far as ranking takes.

        A rough training may take every k-th of many windows.
        """
        ...


class SummedProblem(Problem, Protocol):
    """A problem of which sums over the rows are all that is known."""

    def mean_loss(self, trained: Trained) -> float:
        """Return the squared loss over the rows of these sums of a network that the same statistics trained."""
        ...


class Statistics(Protocol):
    """The sums over the rows of the data that a training needs, and nothing else of them.

    sums : the reduction. tensors : what it knows besides the data, e.g. gates, for a file.
    """

    @property
    def sums(self) -> "Reduction[SecondMoments]": ...

    @property
    def tensors(self) -> "Mapping[str, Array]": ...

    def problem(self, total: "SecondMoments") -> SummedProblem:
        """Return the training problem of the sums of some rows."""
        ...


@dataclass(frozen=True, eq=False)
class BoundProgram:
    """A two-layer ReLU program over all patterns that a network solves, for a proved bound.

    name : of its stage, '' for a network that is one program. network, X (n, d), y (n,), beta : of the program.
    """

    name: str
    network: Any
    X: "Matrix"
    y: "Array"
    beta: float


@dataclass(frozen=True, kw_only=True)
class NetworkKind:
    """Base of all kinds.

    name : in the registry. title : in sentences. summary : in the help. takes_beta : whether beta, an
    option of every fit, is its own too. recurrence : whether an interpretation may train it again as a ReLU network to
    see which patterns recur. takes_joined : whether its rows may be windows of several leads, one after another.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    takes_beta: ClassVar[bool] = True
    recurrence: ClassVar[bool] = False
    takes_joined: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self)
        for name, value in given(self).items():
            _, known = options_of(self)[name]
            if known.methods and self.method not in known.methods:
                raise InputError(f"{name} = {value}: not an option of {self.described}; leave it out")

    @property
    def method(self) -> str:
        """The algorithm that trains with these options."""
        raise NotImplementedError

    def check_joined(self, further: int) -> None:
        """Raise InputError for leads that are joined to another where the network takes windows of one lead."""
        if further and not self.takes_joined:
            raise InputError(
                f"join: {self.described} takes windows of one lead, not of {1 + further}; leave it out, or take "
                "another network"
            )

    @property
    def bounded(self) -> bool:
        """Whether `programs` returns programs whose gap can be proved by a bound."""
        return False

    @property
    def described(self) -> str:
        """The network and its method, as an error names them."""
        return f"network={self.name!r}"

    @property
    def settings(self) -> dict[str, Any]:
        """The options as metrics.json keeps them: solver and patterns as used, others where given."""
        return {"network": self.name, "solver": self.method, "patterns": None, **given(self)}

    @property
    def needs_beta(self) -> str | None:
        """Why beta must be given; None where a validation part can choose it."""
        return None

    @property
    def free_linear(self) -> bool:
        """Whether a linear part stands beside the neurons that no penalty shrinks."""
        return getattr(self, "linear", None) == "free"

    def linear_parts(self, beta_chosen: bool) -> "tuple[NetworkKind, ...]":
        """Return the networks between whose linear parts a validation part is to choose; itself where none is.

        beta_chosen : whether beta is chosen by validation too, which makes 'auto' the default.
        """
        linear = getattr(self, "linear", self)
        if linear == "auto" or (linear is None and beta_chosen):
            return tuple(_with_linear(self, one) for one in ("penalised", "free"))
        return (self,)

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether a training can go on from a checkpoint."""
        return False

    def problem(self, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None) -> Problem:
        """Return the training problem of some windows. rounds : at most, where the options name no limit."""
        raise NotImplementedError

    @property
    def needs_signals(self) -> bool:
        """Whether windows are made of their signals in training, so that these alone are held."""
        return False

    @property
    def shares_rows(self) -> bool:
        """Whether its problems can take other targets (`with_targets`) and keep what depends on the rows alone."""
        return False

    def with_targets(
        self, problem: Any, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None
    ) -> Problem:
        """Return the training problem of windows that differ from those of a problem in their targets alone.

        problem : of these options, seed and rounds. What depends on the rows alone is taken from it, where the network
        has such.
        """
        if not self.shares_rows:
            return self.problem(windows, seed, progress, rounds=rounds)
        found: Problem = problem.with_targets(windows.y)
        return found

    def statistics(self, width: int, seed: int, gates: "Array | None" = None) -> "Statistics | None":
        """Return the sums over rows of `width` columns, the last one ones, that training needs; None for the rows.

        gates : (p, width) of a gated network, in place of those of the seed.
        """
        return None

    def rule(self, beta_chosen: bool) -> "Rule | None":
        """Return the rule that chooses how many neurons are kept; None where all are."""
        return None

    def pruned(
        self, problem: Any, trained: Trained, limits: Limits, progress: "Progress"
    ) -> "tuple[Trained, Sparsified | None]":
        """Return the training with the smallest network that the options allow, and the curve to it."""
        tolerance, most = getattr(self, "tolerance", None), getattr(self, "max_neurons", None)
        if tolerance is None and most is None:
            return trained, None
        found: tuple[Trained, Sparsified] = problem.prune(trained, tolerance, most, limits, progress)
        return found

    def checks(self, problem: Any, trained: Trained, limits: Limits, progress: "Progress") -> "tuple[Check, ...]":
        """Return what other solvers make of the program over the network's own patterns, where that is asked for."""
        return ()

    @classmethod
    def programs(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> list[BoundProgram]:
        """Return the ReLU programs over all patterns that a network of this kind solves on its training rows."""
        return []

    @classmethod
    def certify(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> "Certificate | None":
        """Return the certificate that needs no search and no branch and bound; None where there is none."""
        return None


SOLVER_METHODS = ("fista", "admm", "cvxpy", "osqp")
"""Solvers over given patterns."""


def _with_linear(kind: Any, linear: str) -> "NetworkKind":
    found: NetworkKind = replace(kind, linear=linear)
    return found


LINEAR = ("penalised", "free", "auto")


def linear_option() -> Any:
    """Return the option that says whether a part x'a of the forecast is left alone by the penalty."""
    return option(
        None,
        "penalised: neurons alone; free: a linear part beside them that no penalty shrinks; auto: the better one on a "
        "validation part (default: auto where beta is chosen too, else penalised)",
        choices=LINEAR,
    )


def solver_option(choices: tuple[str, ...], help: str) -> Any:
    """Return the option that names a solver."""
    return option(None, help, choices=choices)


def make_kind(network: str, options: Mapping[str, Any]) -> NetworkKind:
    """Return the kind of a name with its options.

    Raises InputError for an unknown network, and for an option that it does not own, naming both.
    """
    found = kind_class(network)
    own = options_of(found)
    for name in options:
        if name not in own:
            owners = [other for other in REGISTRY if name in options_of(kind_class(other))]
            if not owners:
                raise InputError(f"{name} = {options[name]}: not an option of any network; leave it out")
            raise InputError(
                f"{name} = {options[name]}: not an option of network={network!r}; it is one of {', '.join(owners)}"
            )
    return found(**options)
