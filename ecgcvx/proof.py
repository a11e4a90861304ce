"""A proved bound for a network on windows, and how it is told: JSON, words. Nothing of the training is used."""

from collections.abc import Callable
from typing import Any

from ecgcvx.certificates import Certificate, certify_bounded
from ecgcvx.networks import Network
from ecgcvx.windows import Windows


def prove(
    network: Network, windows: Windows, beta: float, seconds: float, step: Callable[[str, float | None], None]
) -> Certificate:
    """The proved bound of a network on its training windows, after some seconds or Ctrl-C."""

    def tell(best: Certificate, factor: float) -> None:
        step(f"proof: gap {best.gap:.2%} proved so far; trying price <= {factor:.4f} beta", None)

    return certify_bounded(network, windows.X, windows.y, beta, time_limit=seconds, callback=tell)


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


def proof_words(proof: Certificate) -> str:
    """A proved bound in words."""
    assert proof.bound is not None
    words = (
        f"{proof.kind}: no two-layer ReLU network of any width has P below {proof.dual:.6e} on these windows at this "
        f"beta; ours has {proof.primal:.6e}, at most {proof.gap:.2%} of P above the optimum\n"
        f"  price <= {proof.bound.factor:.5f} beta over all w, {proof.bound.cells:,} cells, {proof.bound.seconds:.1f} s"
    )
    return words + (", interrupted" if proof.bound.status == "interrupted" else "")
