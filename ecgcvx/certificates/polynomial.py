"""Certificates of networks with a polynomial activation: their largest price is an eigenvalue problem."""

import numpy as np

from ecgcvx.certificates.certify import CHUNK, Certificate, LossName, certificate_of, residual_of
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence
from ecgcvx.models import PolynomialNetwork, TwoLayerNetwork
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

HALVINGS = 100


def certify_polynomial(
    network: TwoLayerNetwork, X: Matrix, y: Array, beta: float, loss: LossName = "squared"
) -> Certificate:
    """Certificate of a network with a polynomial activation over all networks with that activation, proved.

    v's(Xw)/n = (w, 1)'B(w, 1) on the sphere, where J = diag(1, ..., 1, -1) adds nothing: (w, 1)'J(w, 1) = 0. So it is
    at most 2 lambda_max(B + nu J) for every nu, and equal to the smallest of these bounds (the S-lemma).

    Raises InputError for another network, and when a first-layer weight is no unit vector.
    """
    if not isinstance(network, PolynomialNetwork):
        raise InputError("network: its activation is no polynomial; use certify_given, _enumerated or _searched")
    v = residual_of(network, X, y, beta, loss)
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
    return certificate_of(network, X, y, beta, loss, v, price, Evidence.EIGENVALUES, detail)


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
