"""How far a network is from the global optimum: primal, dual, gap and KKT residuals, recomputed from weights and data.

Nothing here comes from a solver or a convex program: a network, its data and beta are all that is believed. With the
residual v (y - f for the squared loss) every scaling c v with c max_w |v'(Xw)_+| / n <= beta, ||w|| <= 1, gives a
lower bound D(c v) on the objective of any two-layer network of any width. What is known of that maximum, the price,
makes kinds of statement that are never mixed:

- 'given patterns': the maximum over w in the cones of the patterns given; a bound for networks of these patterns only;
- 'proved by enumeration': over every pattern of X; a proof for all networks; small n only;
- 'proved by bound': over every w, by branch and bound; a proof for all networks, at any n;
- 'searched': the largest value that a stated number of starts found; not a proof.

A gated network has one kind only: its gates are given. So has a network with a polynomial activation s, whose price
max |v's(Xw)| / n over ||w|| = 1 is an eigenvalue problem without a gap of its own:

- 'proved by eigenvalues': over every w of the sphere; a proof for all networks of any width, at any n.

    certify    certificates of a network, by kind
    polynomial certificates of networks with a polynomial activation
    kkt        stationarity of its neurons
    bound      the branch and bound, and its parts tree, clusters, majorant, lagrange, cells
"""

from ecgcvx.certificates.bound import PriceBound, bound_price
from ecgcvx.certificates.certify import (
    Certificate,
    LossName,
    certify_bounded,
    certify_enumerated,
    certify_given,
    certify_searched,
    primal_objective,
    residual_of,
)
from ecgcvx.certificates.kkt import Residuals, kkt_residuals
from ecgcvx.certificates.polynomial import certify_polynomial

__all__ = [
    "Certificate",
    "LossName",
    "PriceBound",
    "Residuals",
    "bound_price",
    "certify_bounded",
    "certify_enumerated",
    "certify_given",
    "certify_polynomial",
    "certify_searched",
    "kkt_residuals",
    "primal_objective",
    "residual_of",
]
