"""How well beats are told apart: per class, over classes, and with intervals over patients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgcvx.types import Array

Classes = NDArray[np.str_]


@dataclass(frozen=True)
class ClassMeasures:
    """Of one class: sensitivity, precision (positive predictivity) and F1, and the beats that there are."""

    sensitivity: float
    precision: float
    f1: float
    beats: int


def confusion(truth: Classes, found: Classes, rows: Sequence[str], columns: Sequence[str]) -> NDArray[np.int64]:
    """Return how many beats of class `rows` were called `columns`, (rows, columns)."""
    return np.array([[np.sum((truth == a) & (found == b)) for b in columns] for a in rows], dtype=np.int64)


def measures_of(truth: Classes, found: Classes, name: str) -> ClassMeasures:
    """Return the measures of a class; a share of nothing is 0."""
    hits = int(np.sum((truth == name) & (found == name)))
    there, called = int(np.sum(truth == name)), int(np.sum(found == name))
    se, pp = hits / max(there, 1), hits / max(called, 1)
    return ClassMeasures(se, pp, 2 * hits / max(there + called, 1), there)


def average_precision(scores: Array, positive: NDArray[np.bool_]) -> float:
    """Return the area under the precision-recall curve as sum of (R_k - R_{k-1}) P_k; 0 without positives."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], np.cumsum(positive[order])
    last = np.append(np.diff(sorted_scores) != 0, True)
    hits, called = hits[last], np.flatnonzero(last) + 1
    return float(np.sum(np.diff(hits, prepend=0) * hits / called) / max(positive.sum(), 1))


def roc_area(scores: Array, positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative; .5 without one of them."""
    from scipy.stats import rankdata

    p, n = int(positive.sum()), int((~positive).sum())
    if not p or not n:
        return 0.5
    return float((rankdata(scores)[positive].sum() - p * (p + 1) / 2) / (p * n))


def jk_index(matrix: NDArray[np.int64]) -> float:
    """Return I_jk = kappa/2 + j/8 of a confusion matrix (truth, found) over N, S, V.

    kappa is Cohen's; j is the sum of sensitivity and precision of S and of V. Source: Mar et al. 2011.
    """
    total = matrix.sum()
    observed = np.trace(matrix) / total
    chance = float(matrix.sum(axis=0) @ matrix.sum(axis=1)) / total**2
    kappa = (observed - chance) / (1 - chance) if chance < 1 else 0.0
    j = sum(
        matrix[k, k] / max(matrix[k].sum(), 1) + matrix[k, k] / max(matrix[:, k].sum(), 1) for k in (1, 2)
    )  # fmt: skip
    return float(kappa / 2 + j / 8)


def bootstrap(
    patients: NDArray[np.intp], measure: Callable[[NDArray[np.intp]], float], draws: int = 500, seed: int = 0
) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % quantiles of a measure over draws of patients with replacement.

    patients : (n,) of every beat. measure : of the beats of an index (k,), some of them several times.
    """
    random = np.random.default_rng(seed)
    names = np.unique(patients)
    beats = {name: np.flatnonzero(patients == name) for name in names}
    values = [measure(np.concatenate([beats[name] for name in random.choice(names, len(names))])) for _ in range(draws)]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
