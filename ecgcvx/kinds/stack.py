"""A stack of two-layer ReLU networks: each stage is a convex program on what the stages below say."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ecgcvx.evidence import at_most, searched
from ecgcvx.kinds.kind import BoundProgram, Limits, NetworkKind, Problem, Trained
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.rows import Matrix
    from ecgcvx.stacks.training import StackOptions, TrainedStack
    from ecgcvx.types import Array, Progress
    from ecgcvx.windows import Windows


@dataclass(frozen=True, kw_only=True)
class StackKind(NetworkKind):
    """Options of a stack; it chooses a beta for each of its stages, and how many stages there are."""

    name: ClassVar[str] = "stack"
    title: ClassVar[str] = "stack"
    summary: ClassVar[str] = "two-layer ReLU networks on top of each other, the most accurate"
    takes_beta: ClassVar[bool] = False

    stages: int | None = option(
        None, "stages at most; one more is kept only if it forecasts the validation part better (default 2)",
        metavar="S", least=1,
    )  # fmt: skip
    average: int | None = option(None, "mean of K stacks from different seeds (default 1)", metavar="K", least=1)
    joint: int | None = option(
        None, "then descend on all stages at once (Adam, default 60 epochs), and solve the last stage again",
        metavar="EPOCHS", least=0, bare=60,
    )  # fmt: skip
    confirm_starts: int | None = option(
        None, "fresh starts that the searched gap of a stage rests on (default 300)", metavar="N", least=1
    )

    @property
    def method(self) -> str:
        return "active-set"

    def problem(self, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None) -> Problem:
        from ecgcvx.stacks.training import StackOptions

        names = {"stages": "stages", "average": "members", "joint": "joint", "confirm_starts": "confirm_starts"}
        chosen = {to: getattr(self, name) for name, to in names.items() if getattr(self, name) is not None}
        return StackProblem(windows, StackOptions(seed=seed, **chosen))

    @classmethod
    def programs(cls, network: Any, X: "Matrix", y: "Array", beta: float) -> list[BoundProgram]:
        from ecgcvx.stacks.features import features

        programs = []
        for k, member in enumerate(network.members, 1):
            left = y
            for number, stage in enumerate(member, 1):
                phi = features(X, member[: number - 1], stage.projection)
                whose = f"stack {k}, stage {number}: " if len(network.members) > 1 else f"stage {number}: "
                target = left - phi @ stage.linear
                programs.append(BoundProgram(whose, stage.network, phi, target, stage.beta))
                left = target - stage.network.predict(phi)
        return programs


@dataclass(frozen=True, eq=False)
class StackProblem:
    """Windows to train a stack on."""

    windows: "Windows"
    options: "StackOptions"

    def largest_beta(self) -> float:
        """Not defined: every stage has one of its own."""
        raise NotImplementedError

    def train(
        self, beta: float, *, warm: Trained | None, limits: Limits, progress: "Progress", rough: bool = False
    ) -> Trained:
        """Train a stack, whose stages choose their betas: `beta` is not looked at."""
        from ecgcvx.stacks.training import train_stack

        found = train_stack(self.windows, self.options, progress, limits.end)
        stack, last = found.stack, found.stages[0][-1]
        members = f"{len(stack.members)} stacks of up to {stack.depth}" if len(stack.members) > 1 else f"{stack.depth}"
        return Trained(
            network=stack,
            beta=last.beta,
            gap=searched(last.primal, last.dual, last.starts, "for its last stage"),
            objective=None,
            status="interrupted" if found.cut else "time limit" if limits.expired else last.status,
            detail=f"{members} stages, {stack.neurons} neurons",
            seconds=found.seconds,
            iterations=len(found.trials),
            notes=tuple(_notes(found)),
            record={"stack": _record(found)},
        )


def _record(found: "TrainedStack") -> dict[str, Any]:
    """What is known of the stages, by member, and what validation chose among; errors standardised."""
    return {
        "stages": [[{**asdict(stage), "gap": stage.gap} for stage in member] for member in found.stages],
        "trials": [asdict(trial) for trial in found.trials],
    }


def _notes(found: "TrainedStack") -> list[str]:
    """What is known of every stage, a line each."""
    lines = []
    for k, member in enumerate(found.stages, 1):
        name = f"stack {k}, " if len(found.stages) > 1 else ""
        for number, stage in enumerate(member, 1):
            lines.append(
                f"{name}stage {number}: {stage.features} features, beta = {stage.beta:.2e}, {stage.neurons} neurons, "
                f"P = {stage.primal:.6e}, gap {at_most(stage.gap)} (searched, {stage.starts:,} starts)"
            )
    if found.cut:
        lines.append(f"interrupted: {found.cut}")
    return [*lines, "a gap holds for its stage, given the features and the linear part; the stack as a whole has none"]
