"""Which of several networks to keep, by their errors on a validation part.

    within:1%   the fewest neurons whose root-mean-square error is within 1 % of the smallest
    one-se      the fewest whose mean squared error is within one standard error of the smallest
    best        the smallest error

The standard error is taken over blocks of one second, since errors of neighbouring windows go together: on ECG they
come in bursts, which makes it large, and the rule of one standard error a loose one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecgcvx.errors import InputError

if TYPE_CHECKING:
    from ecgcvx.types import Array

WITHIN = re.compile(r"within:(\d+(?:\.\d+)?)%\Z")


@dataclass(frozen=True)
class Rule:
    """A rule of choice. share : how much larger the root-mean-square error may be, None for one standard error."""

    share: float | None

    @classmethod
    def of(cls, text: str) -> "Rule":
        """Return the rule of a text; InputError for another one."""
        if text == "best":
            return cls(0.0)
        if text == "one-se":
            return cls(None)
        found = WITHIN.match(text)
        if found is None:
            raise InputError(f"choose = {text!r}: give within:1% (any percentage), one-se or best")
        return cls(float(found[1]) / 100)


def smallest_good(rule: Rule, neurons: Sequence[int], errors: "Sequence[Array]", block: int) -> int:
    """Return the index of the network with the fewest neurons that the rule allows.

    errors : squared error of every validation window (v,) of each network. block : windows in a block.
    """
    import numpy as np

    means = np.array([float(squared.mean()) for squared in errors])
    best = int(np.argmin(means))
    if rule.share is None:
        limit = means[best] + _standard_error(errors[best], block)
    else:
        limit = means[best] * (1 + rule.share) ** 2
    allowed = np.flatnonzero(means <= limit)
    return min((int(i) for i in allowed), key=lambda i: (neurons[i], float(means[i])))


def _standard_error(squared: "Array", block: int) -> float:
    """Standard error of a mean over blocks of consecutive windows."""
    import numpy as np

    count = max(len(squared) // max(block, 1), 1)
    blocks = np.array([part.mean() for part in np.array_split(squared, count)])
    return float(blocks.std(ddof=1) / np.sqrt(count)) if count > 1 else float("inf")
