"""How many patterns of a network another network has as well: by on-sets, the sets of windows in which they are on.

Two patterns are the same where the Jaccard index |A and B| / |A or B| of their on-sets is at least `SAME`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecgcvx.rows import Matrix
    from ecgcvx.types import Array

SAME = 0.9
CHUNK = 1 << 14  # rows


@dataclass(frozen=True)
class Recurrence:
    """Of the `patterns` of a network, how many recur among the `others` of another one; windows : they were on."""

    patterns: int
    recurring: int
    others: int
    windows: int

    @property
    def words(self) -> str:
        """How many, as one sentence; what the other network is, is the caller's to say."""
        share = f" (one in {self.patterns / self.recurring:.2g})" if self.recurring else ""
        return f"{self.recurring} of {self.patterns} patterns recur{share}"


def jaccard(first: "tuple[Matrix, Array]", second: "tuple[Matrix, Array]") -> "Array":
    """Return the Jaccard index (k, m) of the on-sets of gates (k, d) and (m, d); 1 of two empty ones.

    first, second : rows (n, d) and gates; the rows are the same windows, each as its network standardises them.
    """
    import numpy as np

    from ecgcvx.rows import row_chunks

    (X, gates), (Z, others) = first, second
    both = np.zeros((len(gates), len(others)))
    one, two = np.zeros(len(gates)), np.zeros(len(others))
    for (_, rows), (_, same) in zip(row_chunks(X, CHUNK), row_chunks(Z, CHUNK), strict=True):
        a, b = (rows @ gates.T >= 0).astype(np.float64), (same @ others.T >= 0).astype(np.float64)
        both += a.T @ b
        one += a.sum(axis=0)
        two += b.sum(axis=0)
    either = one[:, None] + two - both
    return np.divide(both, either, out=np.ones_like(both), where=either > 0)


def recurrence(first: "tuple[Matrix, Array]", second: "tuple[Matrix, Array]") -> Recurrence:
    """Return how many patterns of the first network recur in the second; see `jaccard`."""
    found = jaccard(first, second).max(axis=1, initial=0.0)
    return Recurrence(len(found), int((found >= SAME).sum()), len(second[1]), first[0].shape[0])
