"""Kinds that are trained over all patterns of a family of atoms by the active set: their options, and their problem."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecgcvx.kinds.kind import NetworkKind, Problem
from ecgcvx.options import option

if TYPE_CHECKING:
    from ecgcvx.atoms.family import Atoms
    from ecgcvx.certificates import Certificate
    from ecgcvx.programs.all_patterns import AllPatterns
    from ecgcvx.types import Progress
    from ecgcvx.windows import Windows

CERTIFY_STARTS = 300


@dataclass(frozen=True, kw_only=True)
class FamilyKind(NetworkKind):
    """Options of the active set, and of what is kept of its neurons."""

    gap: float | None = option(
        None, "relative searched gap to stop at (default 1e-2)", metavar="TOL", above=0.0, example="1e-2"
    )
    rounds: int | None = option(
        None, "rounds at most (default 8 unless gap or time limit is given)", metavar="N", least=1
    )
    confirm_starts: int | None = option(
        None,
        "fresh starts that confirm a searched gap (default 3000; without gap 1000 of more than 131,072 windows)",
        metavar="N",
        least=0,
    )
    max_neurons: int | None = option(
        None, "keep at most K neurons: remove the ones that P misses least", metavar="K", least=1
    )
    tolerance: float | None = option(
        None, "keep the smallest network with P at most that share up, e.g. 1e-2", metavar="SHARE", least=0.0
    )

    @property
    def method(self) -> str:
        return "active-set"

    @property
    def keeps_checkpoints(self) -> bool:
        return True

    def program(self, windows: "Windows") -> "AllPatterns":
        """Return the program over all patterns of some windows, of any beta. Raises InputError for options that do not
        fit the windows."""
        raise NotImplementedError

    def problem(self, windows: "Windows", seed: int, progress: "Progress", *, rounds: int | None = None) -> Problem:
        from ecgcvx.kinds.all_patterns import AllPatternsProblem, active_set

        solver = active_set(self.gap, self.rounds, self.confirm_starts, seed, rounds, len(windows))
        return AllPatternsProblem(self.program(windows), solver, seed, self.plain)

    @property
    def shares_rows(self) -> bool:
        return True

    def plain(self, network: Any, program: "AllPatterns") -> Any:
        """Return the network of the family as it is kept: as plain weights."""
        return network


def searched_certificate(program: "AllPatterns", atoms: "Atoms", starts: int = CERTIFY_STARTS) -> "Certificate":
    """Return the bound that the largest price of a search gives, from fresh starts and from the atoms themselves."""
    import numpy as np

    from ecgcvx.certificates import Certificate
    from ecgcvx.evidence import Evidence
    from ecgcvx.solvers.active_set.pricing import CLOSE, search
    from ecgcvx.solvers.active_set.solution import evaluate

    here, family = evaluate(program, atoms), program.family
    fresh = program.passes.starts(starts, atoms, np.random.default_rng(0))
    found = search(program, here.v, family.units(atoms).with_more(fresh), program.passes.none(), CLOSE)
    price = float(found.prices.max(initial=0.0))
    dual = min(program.dual_value(here.v, price), here.primal)
    return Certificate(here.primal, dual, price / program.beta, Evidence.SEARCHED, f"{starts} starts")
