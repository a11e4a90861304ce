"""A proved bound for a network on windows, and how it is told: JSON, words. Nothing of the training is used."""

from dataclasses import dataclass
from typing import Any

from ecgcvx.certificates import Certificate, certify_bounded
from ecgcvx.forecaster import Forecaster
from ecgcvx.models import ReluNetwork, Stack, TwoLayerNetwork
from ecgcvx.rows import Matrix
from ecgcvx.stacks.features import features
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Windows


@dataclass(frozen=True, eq=False)
class Problem:
    """A two-layer ReLU network with the rows X (n, d), targets y (n,) and beta of its program; name : of its stage."""

    name: str
    network: TwoLayerNetwork
    X: Matrix
    y: Array
    beta: float


def problems_of(forecaster: Forecaster, windows: Windows) -> list[Problem]:
    """The programs over all patterns that a forecaster solves on its training windows.

    One for a ReLU network, none for others, whose gap is proved by their solver; of a stack one for each stage, given
    its features and its linear part.
    """
    network = forecaster.network
    if isinstance(network, ReluNetwork):
        return [Problem("", network, windows.X, windows.y, forecaster.beta)]
    if not isinstance(network, Stack):
        return []
    problems = []
    for k, member in enumerate(network.members, 1):
        left = windows.y
        for number, stage in enumerate(member, 1):
            phi = features(windows.X, member[: number - 1], stage.projection)
            whose = f"stack {k}, stage {number}: " if len(network.members) > 1 else f"stage {number}: "
            target = left - phi @ stage.linear
            problems.append(Problem(whose, stage.network, phi, target, stage.beta))
            left = target - stage.network.predict(phi)
    return problems


def prove(
    network: TwoLayerNetwork, X: Matrix, y: Array, beta: float, seconds: float, progress: Progress
) -> Certificate:
    """The proved bound of a network on its training windows X (n, d), y (n,), after some seconds or Ctrl-C."""

    def tell(best: Certificate, factor: float) -> None:
        progress(f"proof: gap {best.gap:.2%} proved so far; trying price <= {factor:.4f} beta", None)

    return certify_bounded(network, X, y, beta, time_limit=seconds, callback=tell)


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
        f"{proof.kind}: no two-layer ReLU network of any width has P below {proof.dual:.6e} on these inputs at this "
        f"beta; ours has {proof.primal:.6e}, at most {proof.gap:.2%} of P above the optimum\n"
        f"  price <= {proof.bound.factor:.5f} beta over all w, {proof.bound.cells:,} cells, {proof.bound.seconds:.1f} s"
    )
    return words + (", interrupted" if proof.bound.status == "interrupted" else "")


def searched_words(searched: Certificate) -> str:
    """What a search found, in words."""
    return (
        f"{searched.name}: largest price found {searched.price:.5f} beta; if it were the largest of "
        f"all, at most {searched.gap:.2%} of P; not a proof"
    )
