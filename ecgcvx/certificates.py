"""How far a network is from the global optimum: primal, dual, gap and KKT residuals, recomputed from weights and data.

Nothing here comes from a solver or a convex program: a network, its data and beta are all that is believed. With the
residual v (y - f for the squared loss) every scaling c v with c max_w |v'(Xw)_+| / n <= beta, ||w|| <= 1, gives a
lower bound D(c v) on the objective of any two-layer network of any width. What is known of that maximum, the price,
makes three kinds of statement that are never mixed:

- 'given patterns': the maximum over w in the cones of the patterns given; a bound for networks of these patterns only;
- 'all patterns, enumerated': over every pattern of X; a proof for all networks; small n only;
- 'all patterns, searched': the largest value that a stated number of starts found; not a proof.

A gated network has one kind only: its gates are given. So has a network with a polynomial activation s, whose price
max |v's(Xw)| / n over ||w|| = 1 is an eigenvalue problem without a gap of its own:

- 'all neurons, by eigenvalues': over every w of the sphere; a proof for all networks of any width, at any n.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize_scalar, nnls
from scipy.special import expit, xlogy

from ecgcvx.arrangements.enumeration import enumerate_patterns
from ecgcvx.arrangements.patterns import Matrix, Patterns, row_chunks
from ecgcvx.errors import InputError
from ecgcvx.networks import Network
from ecgcvx.search import search_price

Array = NDArray[np.float64]
Kind = Literal["given patterns", "all patterns, enumerated", "all patterns, searched", "all neurons, by eigenvalues"]
LossName = Literal["squared", "logistic"]
CHUNK = 1 << 18  # elements of one product
ON_FACE = 1e-9  # |x'w| / (||x|| ||w||) below which a neuron lies on the hyperplane of x
ROWS_A_ROUND = 40
UNIT = 1e-9  # deviation of ||w|| from 1 that rounding explains
HALVINGS = 100


@dataclass(frozen=True)
class Certificate:
    """A bound on the distance to the optimum.

    primal: objective of the network; dual: lower bound on the optimum over `kind`; price: the largest price relative to
    beta, 1 at the optimum; detail: what the kind leaves open, as the number of patterns or starts.
    """

    primal: float
    dual: float
    price: float
    kind: Kind
    detail: str

    @property
    def gap(self) -> float:
        """(primal - dual) / primal."""
        return max(self.primal - self.dual, 0.0) / self.primal if self.primal > 0 else 0.0

    @property
    def proved(self) -> bool:
        """Whether the dual holds for certain, over what `kind` names."""
        return self.kind != "all patterns, searched"

    def __str__(self) -> str:
        """One line that names its kind."""
        word = "gap" if self.proved else "gap, as far as searched"
        return f"P = {self.primal:.6e}, D = {self.dual:.6e}, {word} {self.gap:.1e} ({self.kind}: {self.detail})"


@dataclass(frozen=True, eq=False)
class Residuals:
    """KKT residuals of a network.

    stationarity (m,): distance of each neuron's gradient from zero, relative to beta, with the best multipliers on the
    rows where the neuron lies on their hyperplane (other rows get none, so complementarity holds by construction).
    faces (m,): the number of those rows. balance: max_j | ||W1_j|| - |W2_j| | relative to the larger of the two.
    """

    stationarity: Array
    faces: NDArray[np.intp]
    balance: float


def primal_objective(network: Network, X: Matrix, y: Array, beta: float, loss: LossName = "squared") -> float:
    """Return L(f) + beta/2 (||W1||_F^2 + ||W2||^2) of the network as it stands.

    With a polynomial activation it is L(f) + beta ||W2||_1, of neurons with ||W1_j|| = 1; InputError for others.
    """
    f = network.predict(X)
    value = float(np.mean((f - y) ** 2)) / 2 if loss == "squared" else float(np.mean(np.logaddexp(0.0, -y * f)))
    if network.polynomial is not None:
        lengths = np.linalg.norm(network.W1, axis=0)
        if (np.abs(lengths - 1) > UNIT).any():
            odd = lengths[np.argmax(np.abs(lengths - 1))]
            raise InputError(f"network: a neuron of a polynomial network has length {odd:g}; they must have length 1")
        return value + beta * float(np.abs(network.W2).sum())
    return value + beta / 2 * float(np.sum(network.W1**2) + np.sum(network.W2**2))


def certify_given(
    network: Network, X: Matrix, y: Array, beta: float, patterns: Patterns, loss: LossName = "squared"
) -> Certificate:
    """Certificate over given patterns (of a gated network: over its gates, which must be among them).

    Raises InputError when shapes, y or beta are unusable.
    """
    _refuse_polynomial(network)
    v = _residual(network, X, y, beta, loss)
    gradients = _pattern_gradients(X, v, patterns) / len(y)
    norms = np.linalg.norm(gradients, axis=1)
    if network.gates is not None:
        return _certificate(
            network, X, y, beta, loss, v, float(norms.max(initial=0.0)), "given patterns", f"{len(patterns)} gates"
        )
    price = _largest_cone_price(X, patterns, gradients)
    return _certificate(network, X, y, beta, loss, v, price, "given patterns", f"{len(patterns)} patterns")


def certify_enumerated(
    network: Network, X: Matrix, y: Array, beta: float, loss: LossName = "squared", limit: int = 100_000
) -> Certificate:
    """Certificate over all patterns of X, proved by enumerating them.

    Raises InputError for a gated network and when there are more patterns than the limit.
    """
    _refuse_gated(network)
    v = _residual(network, X, y, beta, loss)
    patterns = enumerate_patterns(X, limit=limit)
    price = _largest_cone_price(X, patterns, _pattern_gradients(X, v, patterns) / len(y))
    return _certificate(network, X, y, beta, loss, v, price, "all patterns, enumerated", f"{len(patterns)} patterns")


def certify_searched(
    network: Network, X: Matrix, y: Array, beta: float, starts: int, seed: int, loss: LossName = "squared"
) -> Certificate:
    """Certificate over all patterns as far as a search of `starts` starts found violators; no proof.

    The search ascends |v'(Xw)_+| on the sphere from random directions and from the network's own neurons, on all rows.
    """
    _refuse_gated(network)
    v = _residual(network, X, y, beta, loss)
    price, _ = search_price(X, v, starts, seed, network.W1.T)
    return _certificate(network, X, y, beta, loss, v, price / len(y), "all patterns, searched", f"{starts} starts")


def certify_polynomial(network: Network, X: Matrix, y: Array, beta: float, loss: LossName = "squared") -> Certificate:
    """Certificate of a network with a polynomial activation over all networks with that activation, proved.

    v's(Xw)/n = (w, 1)'B(w, 1) on the sphere, where J = diag(1, ..., 1, -1) adds nothing: (w, 1)'J(w, 1) = 0. So it is
    at most 2 lambda_max(B + nu J) for every nu, and equal to the smallest of these bounds (the S-lemma).

    Raises InputError for another network, and when a first-layer weight is no unit vector.
    """
    if network.polynomial is None:
        raise InputError("network: its activation is no polynomial; use certify_given, _enumerated or _searched")
    v = _residual(network, X, y, beta, loss)
    a, b, c = network.polynomial
    d = X.shape[1]
    second, first = np.zeros((d, d)), np.zeros(d)
    for start, rows in row_chunks(X, CHUNK // d):
        weighted = v[start : start + len(rows), None] * rows
        second += rows.T @ weighted
        first += weighted.sum(axis=0)
    B = np.zeros((d + 1, d + 1))
    B[:d, :d], B[:d, d], B[d, :d], B[d, d] = a * (second + second.T) / 2, b * first / 2, b * first / 2, c * v.sum()
    price = max(_sphere_bound(B / len(y)), _sphere_bound(-B / len(y)))
    detail = f"{network.neurons} neurons of {d} inputs"
    return _certificate(network, X, y, beta, loss, v, price, "all neurons, by eigenvalues", detail)


def _sphere_bound(B: Array) -> float:
    """Return the smallest 2 lambda_max(B + nu J), by bisection on its slope in nu; each value of it is a bound."""
    J = np.r_[np.ones(len(B) - 1), -1.0]
    reach = 2 * float(np.abs(B).sum()) + 1e-300  # beyond it J decides the sign of the slope
    low, high, best = -reach, reach, np.inf
    for _ in range(HALVINGS):
        nu = (low + high) / 2
        values, V = np.linalg.eigh(B + nu * np.diag(J))
        best = min(best, 2 * float(values[-1]))
        if (J * V[:, -1]) @ V[:, -1] > 0:
            high = nu
        else:
            low = nu
    return best


def kkt_residuals(
    network: Network, X: Matrix, y: Array, beta: float, loss: LossName = "squared", patterns: Patterns | None = None
) -> Residuals:
    """Return the KKT residuals of a network.

    Without patterns, of the ReLU network itself: on a hyperplane the derivative of (x'w)_+ is any share in [0, 1] of x.
    With patterns, of the convex program over them: neuron j stays in the cone of a pattern that it lies in, with
    multipliers z >= 0 on the rows (2 D - I) X that it meets with equality. A gated network has neither.

    Raises InputError when a neuron lies in no cone of the given patterns, and for a polynomial network.
    """
    _refuse_polynomial(network)
    v = _residual(network, X, y, beta, loss)
    lengths, weights = np.linalg.norm(network.W1, axis=0), np.abs(network.W2)
    larger = np.maximum(np.maximum(lengths, weights), 1e-300)
    balance = float(np.max(np.abs(lengths - weights) / larger, initial=0.0))
    residuals, faces = np.zeros(network.neurons), np.zeros(network.neurons, dtype=np.intp)
    for j in range(network.neurons):
        w = network.W1[:, j] / max(float(lengths[j]), 1e-300)
        gate = w if network.gates is None else network.gates[:, j]
        cosines = np.concatenate([rows @ gate / _lengths(rows) for _, rows in row_chunks(X, CHUNK)])
        s = float(np.sign(network.W2[j]))
        if network.gates is not None:
            residuals[j] = np.linalg.norm(beta * w - s * _masked(X, v, cosines >= 0) / len(y))
            continue
        on_face = np.flatnonzero(np.abs(cosines) <= ON_FACE)
        rows_on = np.array([X[k : k + 1][0] for k in on_face]).reshape(len(on_face), len(w))
        faces[j] = len(on_face)
        free = beta * w - s * _masked(X, v, cosines > ON_FACE) / len(y)
        if patterns is None:
            residuals[j] = _distance(s * v[on_face, None] * rows_on / len(y), free, (0.0, 1.0))
            continue
        residuals[j] = np.inf
        for mask in _patterns_around(patterns, cosines, on_face):
            signs = np.where(mask, 1.0, -1.0)[:, None]
            target = free - s * (v[on_face] * mask) @ rows_on / len(y)
            residuals[j] = min(residuals[j], _distance(signs * rows_on, target, (0.0, np.inf)))
        if np.isinf(residuals[j]):
            raise InputError(
                f"patterns: neuron {j} lies in none of the {len(patterns)} cones; give the patterns it has"
            )
    return Residuals(residuals / beta, faces, balance)


def _masked(X: Matrix, v: Array, mask: NDArray[np.bool_]) -> Array:
    """Return X'D v for one pattern."""
    return sum(
        (mask[a : a + len(rows)] * v[a : a + len(rows)] @ rows for a, rows in row_chunks(X, CHUNK)),
        np.zeros(X.shape[1]),
    )


def _distance(rows: Array, target: Array, bounds: tuple[float, float]) -> float:
    """Return min ||target - rows'z|| over z within the bounds."""
    if not len(rows):
        return float(np.linalg.norm(target))
    scale = float(np.abs(rows).max()) or 1.0
    upper = bounds[1] * scale
    fit = lsq_linear(rows.T / scale, target, (bounds[0], upper), method="bvls", tol=1e-14)
    return float(np.linalg.norm(fit.fun))


def _patterns_around(patterns: Patterns, cosines: Array, on_face: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Values on the face rows (k, faces) of the patterns that agree with the neuron on all other rows."""
    off = np.ones(patterns.n, dtype=bool)
    off[on_face] = False
    differs = (patterns.packed ^ np.packbits(cosines > 0)) & np.packbits(off)
    return np.array([patterns.mask(int(i))[on_face] for i in np.flatnonzero(~differs.any(axis=1))], dtype=bool)


def _certificate(
    network: Network,
    X: Matrix,
    y: Array,
    beta: float,
    loss: LossName,
    v: Array,
    price: float,
    kind: Kind,
    detail: str,
) -> Certificate:
    limit = beta / price if price > 0 else np.inf
    return Certificate(
        primal_objective(network, X, y, beta, loss), _best_dual(v, y, limit, loss), price / beta, kind, detail
    )


def _residual(network: Network, X: Matrix, y: Array, beta: float, loss: LossName) -> Array:
    if y.shape != (X.shape[0],) or not np.isfinite(y).all():
        raise InputError(f"y has shape {y.shape}; give {X.shape[0]} finite numbers, one for each row of X")
    if not (np.isfinite(beta) and beta > 0):
        raise InputError(f"beta = {beta}: it must be a positive number, as 1e-4")
    if loss == "logistic" and not np.isin(y, (-1.0, 1.0)).all():
        raise InputError("y: the logistic certificate takes labels -1 and 1")
    f = network.predict(X)
    return y - f if loss == "squared" else y * expit(-y * f)


def _best_dual(v: Array, y: Array, limit: float, loss: LossName) -> float:
    """Return max D(c v) over 0 <= c <= limit; D is concave in c."""
    if loss == "squared":
        vy, vv = float(v @ y) / len(y), float(v @ v) / len(y)
        c = float(np.clip(vy / vv if vv > 0 else 0.0, 0.0, limit))
        return c * vy - c * c * vv / 2
    q = v * y

    def dual(c: float) -> float:
        return -float(np.mean(xlogy(c * q, c * q) + xlogy(1 - c * q, 1 - c * q)))

    high = min(limit, 1.0 / float(q.max(initial=1e-300)))
    best = minimize_scalar(lambda c: -dual(c), bounds=(0.0, high), method="bounded", options={"xatol": 1e-12 * high})
    return max(dual(float(best.x)), dual(high), 0.0)


def _pattern_gradients(X: Matrix, v: Array, patterns: Patterns) -> Array:
    """Return X'D_i v for every pattern, (p, d)."""
    out = np.zeros((len(patterns), X.shape[1]))
    for start, rows in row_chunks(X, CHUNK // max(len(patterns), 1)):
        out += patterns.masks(start, start + len(rows)).astype(float) @ (v[start : start + len(rows), None] * rows)
    return out


def _largest_cone_price(X: Matrix, patterns: Patterns, gradients: Array) -> float:
    """Return max over patterns and both signs of max_{w in K_i, ||w|| <= 1} s g_i'w.

    The norm of g_i bounds its price, so patterns are looked at in falling order of it until it is below the best.
    """
    norms = np.linalg.norm(gradients, axis=1)
    best = 0.0
    for i in np.argsort(-norms):
        if norms[i] <= best:
            break
        signs = np.where(patterns.mask(int(i)), 1.0, -1.0)
        for g in (gradients[i], -gradients[i]):
            best = max(best, _cone_price(X, signs, g, best))
    return best


def _cone_price(X: Matrix, signs: Array, g: Array, enough: float) -> float:
    """Upper bound of max g'w over ||w|| <= 1 and signs * Xw >= 0, exact unless it is below `enough`.

    It is min_{z >= 0} ||g + (signs X)'z||; rows join z while the minimiser violates them. Any set of rows is a bound.
    """
    w, chosen, rows_in = g, np.empty(0, dtype=np.intp), np.empty((0, len(g)))
    while np.linalg.norm(w) > enough:
        slack = np.concatenate([rows @ w / _lengths(rows) for _, rows in row_chunks(X, CHUNK)]) * signs
        violated = np.setdiff1d(np.flatnonzero(slack < -1e-12 * np.linalg.norm(w)), chosen)
        if not len(violated):
            break
        new = violated[np.argsort(slack[violated])[:ROWS_A_ROUND]]
        chosen = np.concatenate([chosen, new])
        added = np.concatenate([X[k : k + 1] for k in new])
        rows_in = np.concatenate([rows_in, signs[new, None] * added / _lengths(added)[:, None]])
        z, _ = nnls(rows_in.T, -g)
        w = g + rows_in.T @ z
        if np.linalg.norm(w) <= 1e-12 * np.linalg.norm(g):
            return 0.0
    return float(np.linalg.norm(w))


def _lengths(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1)
    lengths[lengths == 0] = 1.0
    return lengths


def _refuse_polynomial(network: Network) -> None:
    if network.polynomial is not None:
        raise InputError("network: its activation is a polynomial, which has no patterns; use certify_polynomial")


def _refuse_gated(network: Network) -> None:
    _refuse_polynomial(network)
    if network.gates is not None:
        raise InputError("network: it is gated, and its gates are given; use certify_given")
