"""A proved bound for a network on windows, and how it is stated: JSON, words. Nothing of the training is used."""

from typing import Any

from ecgcvx.certificates import Certificate, certify_bounded
from ecgcvx.kinds.kind import BoundProgram
from ecgcvx.types import Progress


def prove(program: BoundProgram, seconds: float, progress: Progress) -> Certificate:
    """Return the proved bound of a network on its training rows, after some seconds or Ctrl-C."""

    def tell(best: Certificate, factor: float) -> None:
        progress(f"proof: gap {best.gap:.2%} proved so far; trying price <= {factor:.4f} beta", None)

    progress("proof: reading compiled kernels (compiled once an installation, some 40 s)", None)
    return certify_bounded(program.network, program.X, program.y, program.beta, time_limit=seconds, callback=tell)


def proof_json(proof: Certificate, searched: Certificate | None = None) -> dict[str, Any]:
    """A proved bound, and what a search found beside it, as one JSON object."""
    assert proof.bound is not None
    return {
        "primal": proof.primal,
        "dual_proved": proof.dual,
        "proved_gap": proof.gap,
        **({} if searched is None else {"searched_gap": searched.gap}),
        "factor": proof.bound.factor,
        "nodes": proof.bound.cells,
        "seconds": proof.bound.seconds,
        "status": proof.bound.status,
    }


def certificate_json(found: Certificate) -> dict[str, Any]:
    """A certificate that needs no bound as one JSON object."""
    return {
        "primal": found.primal,
        "dual": found.dual,
        "gap": found.gap,
        "gap_kind": str(found.evidence),
        "detail": found.detail,
    }


def proof_words(proof: Certificate) -> str:
    """A proved bound in words."""
    assert proof.bound is not None
    words = (
        f"{proof.evidence}: no network of this kind, of any width, has P below {proof.dual:.6e} on these inputs\n"
        f"  at this beta; ours has {proof.primal:.6e}, at most {proof.gap:.2%} of P above the optimum\n"
        f"  price <= {proof.bound.factor:.5f} beta over all w, {proof.bound.cells:,} cells, {proof.bound.seconds:.1f} s"
    )
    return words + (", interrupted" if proof.bound.status == "interrupted" else "")


def searched_words(searched: Certificate) -> str:
    """What a search found, in words."""
    return (
        f"{searched.name}: largest price found {searched.price:.5f} beta; if it were the largest of "
        f"all, at most {searched.gap:.2%} of P; not a proof"
    )
