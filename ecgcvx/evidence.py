"""What a duality gap rests on, stated once: a proof, given patterns, or a search."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Evidence(StrEnum):
    """Why a dual value is a lower bound, strongest first."""

    ENUMERATED = "proved by enumeration"
    """Checked on every activation pattern."""
    BOUNDED = "proved by bound"
    """Largest price bounded over all neurons by branch and bound, rounding included."""
    EIGENVALUES = "proved by eigenvalues"
    """Largest price over all neurons of a polynomial activation is an eigenvalue."""
    GIVEN = "given patterns"
    """Exact over the patterns of the program, which are a sample of all patterns."""
    SEARCHED = "searched"
    """Largest price that a heuristic search found; not a proof."""

    @property
    def proved(self) -> bool:
        """Whether no network of any width can lie below the dual value."""
        return self in (Evidence.ENUMERATED, Evidence.BOUNDED, Evidence.EIGENVALUES)


@dataclass(frozen=True)
class Gap:
    """An objective P, a lower bound D on its optimum, and the evidence for the bound.

    detail : what the evidence consists of, e.g. '3,000 starts'; whose : of which program, e.g. 'of the last stage'.
    """

    primal: float
    dual: float
    evidence: Evidence
    detail: str = ""
    whose: str = ""

    @property
    def relative(self) -> float:
        """(P - D)/P, at least 0; 0 for P = 0."""
        return relative_gap(self.primal, self.dual)

    @property
    def words(self) -> str:
        """The gap in a sentence, e.g. 'within 0.43 % of the best network of any width (searched, 3,000 starts)'."""
        best = "the best network on the given patterns" if self.evidence is Evidence.GIVEN else "the best network"
        best += "" if self.evidence is Evidence.GIVEN else " of any width"
        basis = ", ".join(part for part in (str(self.evidence), self.detail) if part)
        if self.evidence is Evidence.GIVEN:
            basis = self.detail or "exact lower bound"
        whose = f" {self.whose}" if self.whose else ""
        return f"within {at_most(self.relative)} of {best}{whose} ({basis})"


def searched(primal: float, dual: float, starts: int, whose: str = "") -> Gap:
    """The gap that a search found, with the fresh starts that it was confirmed by, 0 for none."""
    return Gap(primal, dual, Evidence.SEARCHED, f"{starts:,} starts" if starts else "not confirmed", whose)


def relative_gap(primal: float, dual: float) -> float:
    """(P - D)/P, at least 0; 0 for P = 0."""
    return float(max(primal - dual, 0.0) / primal) if primal > 0 else 0.0


def percent(share: float) -> str:
    """A share in percent with two significant digits, e.g. 0.0043 as '0.43 %'; below 1e-9 '0 %'."""
    value = 100.0 * share
    if value < 1e-7:
        return "0 %"
    if value < 0.01:
        return f"{value:.1e} %"
    digits = 2 if value < 1 else 1 if value < 10 else 0
    return f"{value:.{digits}f} %"


def at_most(gap: float) -> str:
    """A bound in percent, rounded up to two significant digits, 0.0001 % at least: 0.00431 as '0.44 %'.

    What is printed of a gap is thus never less than it is.
    """
    value = max(100.0 * gap, 1e-4)
    if not math.isfinite(value):
        return "unbounded"
    digits = 0 if value >= 10 else min(1 - math.floor(math.log10(value)), 4)
    return f"{math.ceil(value * 10**digits - 1e-9) / 10**digits:.{digits}f} %"
