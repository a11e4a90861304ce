"""Certificates of a network: a lower bound on the optimum, of the kind that its name says."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.optimize import minimize_scalar, nnls
from scipy.special import expit, xlogy

from ecgcvx.arrangements.enumeration import enumerate_patterns
from ecgcvx.arrangements.patterns import Patterns
from ecgcvx.certificates.bound import PriceBound, bound_price
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, at_most, relative_gap
from ecgcvx.models import GatedNetwork, PolynomialNetwork, TwoLayerNetwork
from ecgcvx.models.convolutional import ConvolutionalNetwork
from ecgcvx.models.two_layer import linear_of
from ecgcvx.programs.linear_part import LinearPart
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.search import search_price
from ecgcvx.types import Array

LossName = Literal["squared", "logistic"]
Certified = TwoLayerNetwork | ConvolutionalNetwork
CHUNK = 1 << 18  # elements of one product
ROWS_A_ROUND = 40
ROUNDING = 1e-9  # relative, of the sums in P and D: n u with room to spare
UNIT = 1e-9  # deviation of ||w|| from 1 that rounding explains


@dataclass(frozen=True)
class Certificate:
    """A bound on the distance to the optimum.

    primal: objective of the network; dual: lower bound on the optimum; price: the largest price relative to beta, 1 at
    the optimum; evidence: what the bound rests on; detail: what that leaves open, e.g. the number of patterns or
    starts; bound: of the branch and bound, if that was it.
    """

    primal: float
    dual: float
    price: float
    evidence: Evidence
    detail: str
    bound: PriceBound | None = None

    @property
    def gap(self) -> float:
        """(primal - dual) / primal."""
        return relative_gap(self.primal, self.dual)

    @property
    def proved(self) -> bool:
        """Whether the dual holds for certain, over what `evidence` names."""
        return self.evidence is not Evidence.SEARCHED

    @property
    def name(self) -> str:
        """The evidence with its detail, e.g. 'searched (3000 starts)'."""
        return f"searched ({self.detail})" if not self.proved else f"{self.evidence}, {self.detail}"

    def __str__(self) -> str:
        """One line that names its evidence."""
        word = "gap" if self.proved else "gap (heuristic search, not a proof)"
        return f"P = {self.primal:.6e}, D = {self.dual:.6e}, {word} {at_most(self.gap)}: {self.name}"


def primal_objective(network: Certified, X: Matrix, y: Array, beta: float, loss: LossName = "squared") -> float:
    """Return L(f) + beta/2 (||W1||_F^2 + ||W2||^2) of the network as it stands.

    With a polynomial activation it is L(f) + beta ||W2||_1, of neurons with ||W1_j|| = 1; InputError for others.
    """
    f = network.predict(X)
    value = float(np.mean((f - y) ** 2)) / 2 if loss == "squared" else float(np.mean(np.logaddexp(0.0, -y * f)))
    if isinstance(network, PolynomialNetwork):
        lengths = np.linalg.norm(network.W1, axis=0)
        if (np.abs(lengths - 1) > UNIT).any():
            odd = lengths[np.argmax(np.abs(lengths - 1))]
            raise InputError(f"network: a neuron of a polynomial network has length {odd:g}; they must have length 1")
        return value + beta * float(np.abs(network.W2).sum())
    return value + beta / 2 * float(np.sum(network.W1**2) + np.sum(network.W2**2))


def certify_given(
    network: TwoLayerNetwork, X: Matrix, y: Array, beta: float, patterns: Patterns, loss: LossName = "squared"
) -> Certificate:
    """Certificate over given patterns (of a gated network: over its gates, which must be among them).

    Raises InputError when shapes, y or beta are unusable.
    """
    refuse_polynomial(network)
    v = residual_of(network, X, y, beta, loss)
    gradients = _pattern_gradients(X, v, patterns) / len(y)
    norms = np.linalg.norm(gradients, axis=1)
    if isinstance(network, GatedNetwork):
        return certificate_of(
            network, X, y, beta, loss, v, float(norms.max(initial=0.0)), Evidence.GIVEN, f"{len(patterns)} gates"
        )
    price = _largest_cone_price(X, patterns, gradients)
    return certificate_of(network, X, y, beta, loss, v, price, Evidence.GIVEN, f"{len(patterns)} patterns")


def certify_enumerated(
    network: Certified, X: Matrix, y: Array, beta: float, loss: LossName = "squared", limit: int = 100_000
) -> Certificate:
    """Certificate over all patterns of X, proved by enumerating them.

    Raises InputError for a gated network and when there are more patterns than the limit.
    """
    _refuse_gated(network)
    v = residual_of(network, X, y, beta, loss)
    rows, weights = network.price_rows(X, v)
    patterns = enumerate_patterns(rows, limit=limit)
    price = _largest_cone_price(rows, patterns, _pattern_gradients(rows, weights, patterns) / len(weights))
    return certificate_of(network, X, y, beta, loss, v, price, Evidence.ENUMERATED, f"{len(patterns)} patterns")


def certify_bounded(
    network: Certified,
    X: Matrix,
    y: Array,
    beta: float,
    *,
    factor: float = 1.001,
    time_limit: float = float("inf"),
    threads: int | None = None,
    callback: Callable[[Certificate, float], None] | None = None,
    loss: LossName = "squared",
) -> Certificate:
    """Certificate over every w, proved by `bound_price`, whose options these are; callback gets the best so far.

    Raises InputError for a gated network.
    """
    _refuse_gated(network)
    v = residual_of(network, X, y, beta, loss)
    slack = linear_slack(network, X, y, beta, v, primal_objective(network, X, y, beta, loss))

    def certificate(bound: PriceBound) -> Certificate:
        detail = f"{bound.cells:,} cells in {bound.seconds:.1f} s"
        price = bound.factor * beta * (1 + ROUNDING)
        found = certificate_of(network, X, y, beta, loss, v, price, Evidence.BOUNDED, detail)
        return replace(found, dual=found.dual - ROUNDING * abs(found.primal) - slack, bound=bound)

    report = callback
    bound = bound_price(
        *network.price_rows(X, v), beta, factor=factor, time_limit=time_limit, threads=threads,
        callback=None if report is None else lambda best, target: report(certificate(best), target),
    )  # fmt: skip
    return certificate(bound)


def certify_searched(
    network: Certified, X: Matrix, y: Array, beta: float, starts: int, seed: int, loss: LossName = "squared"
) -> Certificate:
    """Certificate over all patterns as far as a search of `starts` starts found violators; no proof.

    The search ascends |v'(Xw)_+| on the sphere from random directions and from the network's own neurons, on all rows.
    """
    _refuse_gated(network)
    v = residual_of(network, X, y, beta, loss)
    rows, weights = network.price_rows(X, v)
    price, _ = search_price(rows, weights, starts, seed, network.W1.T)
    return certificate_of(network, X, y, beta, loss, v, price / len(weights), Evidence.SEARCHED, f"{starts} starts")


def certificate_of(
    network: Certified,
    X: Matrix,
    y: Array,
    beta: float,
    loss: LossName,
    v: Array,
    price: float,
    evidence: Evidence,
    detail: str,
) -> Certificate:
    limit = beta / price if price > 0 else np.inf
    return Certificate(
        primal_objective(network, X, y, beta, loss), _best_dual(v, y, limit, loss), price / beta, evidence, detail
    )


def residual_of(network: Certified, X: Matrix, y: Array, beta: float, loss: LossName = "squared") -> Array:
    """Return v: y - f of the squared loss, y / (1 + exp(y f)) of the logistic, which is dual feasible up to its scale.

    Beside a free linear part the dual has X'v = 0: of y - f what X explains is taken away. Raises InputError for
    unusable y or beta, and for a linear part with the logistic loss.
    """
    if y.shape != (X.shape[0],) or not np.isfinite(y).all():
        raise InputError(f"y has shape {y.shape}; give {X.shape[0]} finite numbers, one for each row of X")
    if not (np.isfinite(beta) and beta > 0):
        raise InputError(f"beta = {beta}: it must be a positive number, e.g. 1e-4")
    if loss == "logistic" and not np.isin(y, (-1.0, 1.0)).all():
        raise InputError("y: the logistic certificate takes labels -1 and 1")
    f = network.predict(X)
    if linear_of(network) is None:
        return y - f if loss == "squared" else y * expit(-y * f)
    if loss == "logistic":
        raise InputError("network: it has a free linear part; its certificate takes the squared loss")
    return LinearPart(X).dual_feasible(y - f)


def linear_slack(network: Certified, X: Matrix, y: Array, beta: float, v: Array, primal: float) -> float:
    """Return how far D(v) may lie above the optimum since X'v is zero only up to rounding; 0 without a linear part.

    At the optimum (a, atoms) the Lagrangian is at least D(v) - a'X'v/n. There P is at most `primal`, so that the atoms'
    outputs are at most primal/beta times the rows' lengths, the residual at most sqrt(2 n primal), and Xa, with X of
    full rank, at most what these and y allow.
    """
    if linear_of(network) is None:
        return 0.0
    n, gram, lengths = len(y), np.zeros((X.shape[1], X.shape[1])), 0.0
    for _, rows in row_chunks(X, CHUNK):
        gram += rows.T @ rows
        lengths += float((rows * rows).sum())
    smallest = float(np.linalg.eigvalsh(gram / n)[0])
    if smallest <= 0:
        return np.inf
    size = np.sqrt(2 * primal) + np.sqrt(float(y @ y) / n) + primal / beta * np.sqrt(lengths / n)
    scale = max(1.0, float(np.linalg.norm(y)) / max(float(np.linalg.norm(v)), 1e-300))  # c of D(c v) is not larger
    return float(scale * np.linalg.norm(LinearPart(X).correlate(v)) * size / np.sqrt(smallest))


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
        slack = np.concatenate([rows @ w / row_lengths(rows) for _, rows in row_chunks(X, CHUNK)]) * signs
        violated = np.setdiff1d(np.flatnonzero(slack < -1e-12 * np.linalg.norm(w)), chosen)
        if not len(violated):
            break
        new = violated[np.argsort(slack[violated])[:ROWS_A_ROUND]]
        chosen = np.concatenate([chosen, new])
        added = np.concatenate([X[k : k + 1] for k in new])
        rows_in = np.concatenate([rows_in, signs[new, None] * added / row_lengths(added)[:, None]])
        z, _ = nnls(rows_in.T, -g)
        w = g + rows_in.T @ z
        if np.linalg.norm(w) <= 1e-12 * np.linalg.norm(g):
            return 0.0
    return float(np.linalg.norm(w))


def row_lengths(rows: Array) -> Array:
    """Return ||x_i||, 1 in place of 0."""
    lengths = np.linalg.norm(rows, axis=1)
    lengths[lengths == 0] = 1.0
    return lengths


def refuse_polynomial(network: Certified) -> None:
    if isinstance(network, PolynomialNetwork):
        raise InputError("network: its activation is a polynomial, which has no patterns; use certify_polynomial")


def _refuse_gated(network: Certified) -> None:
    refuse_polynomial(network)
    if isinstance(network, GatedNetwork):
        raise InputError("network: it is gated, and its gates are given; use certify_given")
