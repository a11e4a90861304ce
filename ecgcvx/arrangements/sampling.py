"""Random activation patterns, for data whose full arrangement is too large to enumerate."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.counting import matrix_rank, pattern_bound, principal_axes
from ecgcvx.arrangements.patterns import Patterns, distinct_patterns, pack_signs
from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, check_matrix

Draw = Callable[[int], NDArray[np.float64]]

MIN_ROUND = 256  # gates of a repeated round: on small X most draws repeat a known pattern
PARALLEL = 1e-9  # sine of the angle between a row and a hyperplane, below which the row counts as on it


def sample_patterns(
    X: Matrix,
    count: int,
    seed: int | np.random.Generator,
    kind: Literal["gaussian", "whitened", "data"] = "gaussian",
) -> Patterns:
    """Exactly `count` distinct non-zero patterns 1[X g >= 0] of random unit gates g; fewer are a prefix of more.

    Parameters
    ----------
    X : (n, d) matrix
        Read in chunks of rows; once unless patterns repeat.
    count : int
        Number of patterns.
    seed : int or Generator
        The same seed gives the same patterns.
    kind : str
        'gaussian': g ~ N(0, I).
        'whitened': g = V S^-1 z with z ~ N(0, I) and X = U S V', so that X g is equally likely to point anywhere in the
        column space of X: more of the patterns of ill-conditioned X, but on ECG most of those tell noise apart.
        'data': a Gaussian direction made orthogonal to a random point between two random samples, which it separates;
        thresholds lie where the data lie, whatever their offset.
        Gated least squares with 60 gates on record 208, mean squared training error in units of the signal's variance
        (mean of three seeds): 1.5e-3, 5.3e-3, 1.5e-3 for these kinds one step ahead, .065, .076, .063 five steps ahead.

    Raises
    ------
    InputError
        If X or an argument is unusable, or after 2,000 + 100 count draws with too few distinct patterns; the message
        says how many were found and bounds how many exist.

    Source: Pilanci & Ergen 2020 (random subsets of patterns); Mishkin, Sahiner & Pilanci 2022 (gates).
    """
    n, d = check_matrix(X)
    if count < 1:
        raise InputError(f"count = {count}; ask for at least one pattern")
    draw = _gate_source(X, np.random.default_rng(seed), kind)
    budget = 2_000 + 100 * count
    found = Patterns(np.zeros((0, -(-n // 8)), dtype=np.uint8), n, np.zeros((0, d)))
    drawn, size = 0, count
    while len(found) < count and drawn < budget:
        gates = draw(size)
        packed = pack_signs(X, gates)
        found = distinct_patterns(np.concatenate([found.packed, packed]), n, np.concatenate([found.gates, gates]))
        drawn += size
        size = max(count - len(found), MIN_ROUND)
    if len(found) < count:
        raise InputError(_shortage(X, count, len(found), drawn))
    return found.subset(np.arange(count))


def _gate_source(X: Matrix, rng: np.random.Generator, kind: str) -> Draw:
    d = X.shape[1]
    if kind == "gaussian":
        return lambda size: gaussian_gates(rng, size, d)
    if kind == "whitened":
        singular, axes = principal_axes(X)
        if not len(singular):
            raise InputError("X is zero, so it cannot be whitened; check the record")
        whitening = axes / singular
        return lambda size: _unit(rng.standard_normal((size, len(singular))) @ whitening.T)
    if kind == "data":
        return _separating_gates(X, rng)
    raise InputError(f"kind = {kind!r}; choose 'gaussian', 'whitened' or 'data'")


def gaussian_gates(rng: np.random.Generator, count: int, width: int) -> NDArray[np.float64]:
    """Return random unit gates (count, width), equally likely in every direction."""
    return _unit(rng.standard_normal((count, width)))


def _separating_gates(X: Matrix, rng: np.random.Generator) -> Draw:
    """Gates z - (m'z / m'm) m with z ~ N(0, I) and m uniform between random rows x_i and x_j.

    m'g = 0, so x_i and x_j lie on different sides; a gate that leaves x_i on its hyperplane (equal or parallel rows)
    would have a pattern of rounding errors, and is left out.
    """
    n, d = X.shape
    places, directions = rng.spawn(2)  # two streams: the gates do not depend on how many are drawn at a time

    def draw(size: int) -> NDArray[np.float64]:
        numbers = places.random((size, 3))
        picks = (numbers[:, :2] * n).astype(np.intp)
        rows = np.array([np.asarray(X[k : k + 1], dtype=np.float64)[0] for k in picks.ravel()]).reshape(size, 2, d)
        point = rows[:, 1] + numbers[:, 2:] * (rows[:, 0] - rows[:, 1])
        squared = np.sum(point**2, axis=1)
        gates = directions.standard_normal((size, d))
        along = np.sum(gates * point, axis=1)
        gates -= np.divide(along, squared, out=np.zeros(size), where=squared > 0)[:, None] * point
        height = np.abs(np.sum(gates * rows[:, 0], axis=1))
        reach = np.linalg.norm(gates, axis=1) * np.linalg.norm(rows[:, 0], axis=1)
        return _unit(gates[height > PARALLEL * reach])

    return draw


def _unit(gates: NDArray[np.float64]) -> NDArray[np.float64]:
    return gates / np.linalg.norm(gates, axis=1, keepdims=True)


def _shortage(X: Matrix, count: int, found: int, drawn: int) -> str:
    n = X.shape[0]
    bound = pattern_bound(n, matrix_rank(X))
    message = f"count = {count}, but {drawn} random gates gave {found} distinct patterns of {n} samples"
    if bound < 2 or count > bound - 1:
        return f"{message}; more patterns asked than exist (at most {bound}, the zero pattern included): ask for fewer"
    return f"{message}; ask for fewer, try another kind, or use enumerate_patterns"
