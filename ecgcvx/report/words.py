"""What a report says in words: sizes, certificates, where in the beat a pattern is on."""

import math
from typing import Any

import pandas as pd

from ecgcvx import evidence
from ecgcvx.cautions import LARGE_GAP
from ecgcvx.evidence import Evidence
from ecgcvx.interpretation import Interpretation
from ecgcvx.models.two_layer import linear_of
from ecgcvx.report.training import Contender, Training

PERCENT = "\u00a0%"  # not at the start of a line
SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
NAMES = {
    "persistence": "repeat the last value",
    "linear_ar": "linear predictor",
    "backprop_adam": "ReLU network by backprop (Adam)",
    "convex_best": "the network of all neurons before it was pruned",
    "convex": "this network",
}
PARTS = (("on_p", "P wave"), ("on_qrs", "QRS"), ("on_t", "T wave"), ("on_baseline", "baseline"))
ALIKE = 1.5  # times as often on, and as often off, in one part of the beat as in another


def beside(network: Any) -> str:
    """' and a free linear part' of a network that has one."""
    return "" if linear_of(network) is None else " and a free linear part"


def share(value: float) -> str:
    """A share as a percentage, next to 100 with two digits more and below it; '–' where there is none."""
    if not math.isfinite(value):
        return "–"
    percent = 100 * value
    digits = 0 if abs(percent) >= 10 else 1 if abs(percent) >= 1 else 2
    if 99 <= percent < 100:
        digits, percent = 2, min(percent, 99.99)
    return f"{percent:.{digits}f}{PERCENT}".replace("-", "−")


def at_most(value: float) -> str:
    """A bound as a percentage that is rounded up."""
    return evidence.at_most(value).replace(" %", PERCENT)


def roughly(value: float) -> str:
    """A share as a whole percentage, the ones next to none and to all as such; '–' where there is none."""
    if not math.isfinite(value):
        return "–"
    if 0 < value < 0.01:
        return f"< 1{PERCENT}"
    return f"> 99{PERCENT}" if 0.99 < value < 1 else f"{100 * value:.0f}{PERCENT}"


def time_on(ms: float) -> str:
    """A length of time in ms or s."""
    return f"{size(ms)} ms" if ms < 1e3 else f"{size(ms / 1e3)} s"


def tiny(value: float) -> str:
    """A number as a product with a power of ten, for a text."""
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}"


def size(value: float, digits: int = 3) -> str:
    """A number with some significant digits and a true minus; '–' where there is none."""
    if not math.isfinite(value):
        return "–"
    power = 0 if value == 0 else math.floor(math.log10(abs(value)))
    text = f"{value:.{digits - 1}e}" if power < -4 or power > 5 else f"{value:.{max(digits - 1 - power, 0)}f}"
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """A length of time in words."""
    if seconds >= 5400:
        return f"{seconds / 3600:.3g} hours"
    return f"{seconds / 60:.3g} minutes" if seconds >= 90 else f"{seconds:.3g} seconds"


def contender_name(contender: Contender) -> str:
    """A model of the comparison in plain words."""
    return NAMES.get(contender.name, contender.name)


def certificate(training: Training) -> tuple[str, str]:
    """The kind of gap in a word or two, and what it says and does not say."""
    convex, proof = training.convex, training.proof
    if proof is not None:
        return (
            "proved by bound",
            f"No network of this kind, of any width, has an objective P below {tiny(proof.dual_proved)} on these "
            f"training windows; this one has {tiny(proof.primal)}. So the best possible P is at most "
            f"{at_most(proof.proved_gap)} below it. This is a proof, rounding included, by code that shares nothing "
            "with the training.",
        )
    if convex.gap is None:
        return "none", "Nothing is known of how far the network is from the best possible one."
    gap = at_most(convex.gap)
    if convex.objective is None:  # a stack, which is not one program
        return (
            "searched, of the last stage alone",
            "Each stage is a convex program, given the features that it stands on. In the last one a search over all "
            f"activation patterns leaves room for an objective P at most {gap} below this stage's; a search can miss, "
            "so this is not a proof. The stack as a whole is not convex and has no gap: other stages below may allow "
            "a better one.",
        )
    if convex.evidence is Evidence.SEARCHED:
        whose = f"P is that of the program {convex.gap_of}. " if convex.gap_of else ""
        large = "So large a gap leaves open whether the network is near the best one with this penalty. "
        return (
            "searched, not proved",
            "A search over all activation patterns looked for a neuron that would still improve the network. If it "
            f"found the best one, the smallest possible objective P is at most {gap} below this network's. A search "
            f"can miss, so this is not a proof. {whose}{large if convex.gap > LARGE_GAP else ''}The command ecgcvx "
            "certify proves a bound.",
        )
    if convex.evidence is Evidence.GIVEN:
        return (
            "proved for the given patterns",
            f"Of all networks with these same {training.patterns or ''} activation patterns none has an objective P "
            f"more than {gap} below this one's: a proof by duality. It says nothing of networks with other patterns.",
        )
    if convex.evidence is Evidence.EIGENVALUES:
        return (
            "proved by eigenvalues",
            "Of all two-layer networks with this activation, of any width, none has an objective P more than "
            f"{gap} below this one's: a proof by duality and an eigenvalue problem.",
        )
    return (
        str(convex.evidence),
        f"Of all networks of this kind, of any width, none has an objective P more than {gap} below this one's.",
    )


def growth(reading: Interpretation, drop: float) -> float:
    """How many times as large the error is (standard deviation) when the explained variance falls by so much."""
    left = 1 - reading.explained_variance
    return math.sqrt(max(left + drop, 0.0) / left) if left > 0 else math.nan


def error_without(reading: Interpretation, drop: float) -> str:
    """What leaving out a pattern does to the error, from the fall of the explained variance."""
    factor = growth(reading, drop)
    if abs(factor - 1) < 0.01:
        return "hardly changes the error"
    return f"makes the error {size(factor, 2 if factor < 10 else 3)} times as large"


def where(row: "pd.Series[Any]") -> str:
    """Where in the beat a pattern is on, from its row of the table."""
    shares = {name: float(row[column]) for column, name in PARTS}
    known = {name: value for name, value in shares.items() if math.isfinite(value)}
    if float(row["coverage"]) > 0.98:
        return "on nearly all the time"
    if not known:
        return f"on in {share(float(row['coverage']))} of the windows"
    most, least = max(known.values()), min(known.values())
    if most <= ALIKE * least and 1 - least <= ALIKE * (1 - most):
        return "on in every part of the beat alike"
    often = [name for name, value in known.items() if value >= most - 0.25 * (most - least)]
    rarely = [name for name, value in known.items() if value <= least + 0.25 * (most - least)]
    return f"on mostly in the {listed(often)}, least in the {listed(rarely)}"


def listed(names: list[str]) -> str:
    """A list in words."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
