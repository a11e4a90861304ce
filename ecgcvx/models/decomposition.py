"""Neurons of the matrices of a polynomial network: the neural decomposition and its network.

A positive semidefinite Z of order d + 1 with tr Z1 = z4 is a sum of alpha_j (u_j, 1)(u_j, 1)' with ||u_j|| = 1 and
alpha_j > 0, as many as its rank: from any Z = sum_j p_j p_j' two p whose defects p'Jp, J = diag(1, ..., 1, -1), have
opposite signs are rotated into two others, of which one has none. The defects add up to tr JZ = 0 throughout.

Source: Bartan & Pilanci 2021, section 4; Sturm & Zhang 2003, proposition 3.
"""

import numpy as np

from ecgcvx.errors import InputError
from ecgcvx.models.polynomial import PolynomialNetwork
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.polynomial_form import PolynomialForm
from ecgcvx.types import Array

RANK = 1e-12  # of the largest eigenvalue: smaller ones are rounding
UNBALANCED = 1e-6  # of z4, beyond which a matrix was not made by a solver of ours


def neural_decomposition(Z: Array) -> tuple[Array, Array]:
    """Return alpha (r,), positive, and unit rows u (r, d) with Z = sum_j alpha_j (u_j, 1)(u_j, 1)', r the rank of Z.

    Raises InputError unless Z (d + 1, d + 1) is positive semidefinite with tr Z1 = z4.
    """
    values, V = np.linalg.eigh(Z)
    largest = float(values[-1])
    defect = float(np.trace(Z)) - 2 * float(Z[-1, -1])
    if values[0] < -UNBALANCED * max(largest, 0.0) or abs(defect) > UNBALANCED * max(largest, 0.0):
        raise InputError(
            f"Z: smallest eigenvalue {values[0]:.1e}, tr Z1 - z4 = {defect:.1e}; give a positive semidefinite matrix "
            "with tr Z1 = z4"
        )
    kept = values > RANK * largest
    P = (V[:, kept] * np.sqrt(values[kept])).T
    left = list(range(len(P)))  # rows that may still have a defect
    while len(left) > 1:
        defects = np.array([_form(P[i], P[i]) for i in left])
        i, j = left[int(np.argmin(defects))], left[int(np.argmax(defects))]
        low, high, mixed = float(defects.min()), float(defects.max()), _form(P[i], P[j])
        if low >= 0 or high <= 0:
            break
        # The root t of (p_i + t p_j)'J(p_i + t p_j) = 0 that is smaller in size.
        root = np.sqrt(mixed * mixed - low * high)
        t = -low / (mixed + np.copysign(root, mixed))
        size = np.hypot(1.0, t)
        P[i], P[j] = (P[i] + t * P[j]) / size, (P[j] - t * P[i]) / size
        left.remove(i)
    lengths = np.linalg.norm(P[:, :-1], axis=1)
    return lengths * np.abs(P[:, -1]), P[:, :-1] / (lengths * np.where(P[:, -1] < 0, -1.0, 1.0))[:, None]


def polynomial_network_of(program: PolynomialForm, Z: Array) -> PolynomialNetwork:
    """Return the network of a pair Z (2, k, k): unit first-layer weights, ||alpha||_1 the program's penalty / beta.

    The pure quadratic activation takes the eigenvectors of Z - Z', whose nuclear norm is at most the penalty.
    """
    if program.balance is None:
        values, V = np.linalg.eigh(Z[0] - Z[1])
        kept = np.abs(values) > RANK * np.abs(values).max(initial=0.0)
        W1, W2 = V[:, kept], values[kept]
    else:
        (alpha, u), (other, w) = (neural_decomposition(part) for part in Z)
        W1, W2 = np.concatenate([u, w]).T, np.concatenate([alpha, -other])
    order = np.argsort(-np.abs(W2), kind="stable")
    linear = program.fit(Z).a if isinstance(program, PolynomialProgram) and program.linear is not None else None
    return PolynomialNetwork(
        np.ascontiguousarray(W1[:, order]), W2[order], polynomial=program.activation, linear=linear
    )


def _form(p: Array, q: Array) -> float:
    """p'Jq."""
    return float(p[:-1] @ q[:-1] - p[-1] * q[-1])
