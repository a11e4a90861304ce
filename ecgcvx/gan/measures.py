"""How generated beats compare with beats held out of the training, each measure with its reference beside it."""

from dataclasses import asdict, dataclass

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.gan.target import moment_error
from ecgcvx.types import Array

MOMENT_DRAWS = 20_000
MMD_BEATS = 600
KEPT = 70  # numbers of a beat that the classifier sees, about


@dataclass(frozen=True)
class Comparison:
    """Measures of one set of beats against the held-out ones.

    two_sample_auc : of a classifier that tells them from held-out beats, cross-validated; 0.5 when it cannot. None
    without scikit-learn. mmd : squared, unbiased. nearest : median distance to the nearest training beat, mV, over all
    samples of a beat. moment_error : of the covariance, relative to the training beats' largest moment.
    """

    two_sample_auc: float | None
    mmd: float
    nearest: float
    moment_error: float


def compare_beats(
    training: Array, held_out: Array, generated: Array, many: Array
) -> dict[str, dict[str, float | None]]:
    """Return the measures of generated beats and, as references, of training and held-out ones, all matrices (n, p).

    generated : as many as there are held out. many : 20,000 draws, whose moments are compared.

    training against held-out is what a generator that reproduces the training beats would get in AUC and MMD, the
    held-out beats' own nearest and moment_error what new beats of the record have.
    """
    reference = Comparison(
        two_sample_auc(held_out, training), mmd(held_out, training), nearest_distance(held_out, training),
        moment_error(training, held_out),
    )  # fmt: skip
    found = Comparison(
        two_sample_auc(held_out, generated), mmd(held_out, generated), nearest_distance(generated, training),
        moment_error(training, many),
    )  # fmt: skip
    return {"generated": asdict(found), "reference": asdict(reference)}


def two_sample_auc(A: Array, B: Array, seed: int = 0) -> float | None:
    """Return the AUC, in 4-fold cross-validation, of boosted trees that tell rows of A from rows of B, equally many.

    None where scikit-learn is not installed. Source: Lopez-Paz & Oquab 2017 (ICLR).
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.metrics import roc_auc_score
        from sklearn.model_selection import cross_val_predict
    except ImportError:
        return None
    count = min(len(A), len(B))
    if count < 8:
        raise InputError(f"beats: {count} are too few to compare; give at least 8 on either side")
    random = np.random.default_rng(seed)
    step = max(A.shape[1] // KEPT, 1)
    X = np.concatenate([S[random.permutation(len(S))[:count]] for S in (A, B)])[:, ::step]
    y = np.repeat([0, 1], count)
    trees = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    return float(roc_auc_score(y, cross_val_predict(trees, X, y, cv=4, method="predict_proba")[:, 1]))


def nearest_distance(A: Array, training: Array) -> float:
    """Return the median over the rows of A of the distance to the nearest row of `training`."""
    return float(np.median(np.sqrt(_squared_distances(A, training).min(axis=1))))


def mmd(A: Array, B: Array) -> float:
    """Return the unbiased squared maximum mean discrepancy of the first 600 rows, of a Gaussian kernel.

    Its squared width is the median squared distance between the two. Source: Gretton et al. 2012 (JMLR 13), lemma 6.
    """
    count = min(len(A), len(B), MMD_BEATS)
    A, B = A[:count], B[:count]
    between = _squared_distances(A, B)
    width = max(float(np.median(between)), 1e-300)
    off = 1 - np.eye(count)
    within = sum(float((np.exp(-_squared_distances(S, S) / width) * off).sum()) for S in (A, B))
    return within / (count * (count - 1)) - 2 * float(np.exp(-between / width).mean())


def _squared_distances(A: Array, B: Array) -> Array:
    return np.maximum((A * A).sum(axis=1)[:, None] + (B * B).sum(axis=1) - 2 * A @ B.T, 0.0)
