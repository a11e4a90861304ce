"""What the trainings of several horizons share: their windows, what is computed of the rows, and where they start."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecgcvx.kinds.kind import NetworkKind, Problem, Trained
from ecgcvx.types import Progress
from ecgcvx.windows import Windows

if TYPE_CHECKING:
    from ecgcvx.path import RegularisationPath


@dataclass(eq=False)
class Sharing:
    """What a fit takes from that of the horizon before, and leaves for the next one; nothing for a fit alone.

    longest : horizon in samples to which all windows reach, 0 for a fit alone. trained : on all training windows,
    before neurons were removed. paths : by network, what chose beta, and its training there.
    """

    longest: int = 0
    trained: Trained | None = None
    paths: "dict[NetworkKind, tuple[RegularisationPath, Trained]]" = field(default_factory=dict)
    known: dict[Any, Problem] = field(default_factory=dict)

    def problem(
        self, kind: NetworkKind, windows: Windows, seed: int, progress: Progress, *, rounds: int | None = None
    ) -> Problem:
        """Return the training problem of some windows, from one of the same rows where there has been one."""
        if not self.longest:
            return kind.problem(windows, seed, progress, rounds=rounds)
        key = (kind, windows.runs, seed, rounds)
        if key in self.known:
            return kind.with_targets(self.known[key], windows, seed, progress, rounds=rounds)
        self.known[key] = kind.problem(windows, seed, progress, rounds=rounds)
        return self.known[key]
