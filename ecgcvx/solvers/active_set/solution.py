"""What a solver over all patterns returns, and the lines of its history."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ecgcvx.atoms.family import Atoms
from ecgcvx.evidence import Evidence, relative_gap
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.types import Array


class Round(NamedTuple):
    """One line of the history, made when the atoms have been priced.

    seconds since the start; rows that the round works on; primal P, searched dual D and relative gap on these rows;
    neurons: number of atoms; starts of the search; confirmed: whether a confirmation is among them.
    """

    seconds: float
    rows: int
    primal: float
    dual: float
    gap: float
    neurons: int
    starts: int
    confirmed: bool


Callback = Callable[[Round], None]


class Confirmation(NamedTuple):
    """Fresh starts, how many distinct violators (price > beta) they found, and the largest price relative to beta."""

    starts: int
    violators: int
    price: float


@dataclass(frozen=True, eq=False)
class AtomSolution:
    """What a run over all patterns arrived at.

    atoms. free : weights of the program's free part, (d,) of x or (1,) of the constant. primal : P in float64. dual : D
    at the largest price, which a search found or, on few rows, that of every cell, as evidence says. confirmation : the
    search by fresh starts that the bound rests on, None where the run was interrupted before one or none is needed.
    status : 'optimal' when the gap is within what was asked for, else why it stopped. history : every round.
    """

    atoms: Atoms
    free: Array
    primal: float
    dual: float
    confirmation: Confirmation | None
    status: str
    seconds: float
    history: tuple[Round, ...]
    evidence: Evidence = Evidence.SEARCHED

    @property
    def gap(self) -> float:
        """Relative searched gap."""
        return relative_gap(self.primal, self.dual)

    @property
    def starts(self) -> int:
        """Fresh starts that confirmed the bound, 0 for none."""
        return 0 if self.confirmation is None else self.confirmation.starts


class Iterate(NamedTuple):
    """Atoms with their objective P, residual v (n,) and the weights of the free part, all in float64."""

    atoms: Atoms
    primal: float
    v: Array
    free: Array


def evaluate(program: AllPatterns, atoms: Atoms) -> Iterate:
    """Return the atoms with P and v, in one pass in float64."""
    found = program.at_atoms(atoms)
    return Iterate(atoms, found.loss + program.penalty(atoms), found.v, program.part.weights_of(found.free))


def used(program: AllPatterns, atoms: Atoms) -> Atoms:
    """The atoms that are not zero."""
    return atoms.subset(program.family.norms(atoms) > 0)
