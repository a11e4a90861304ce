"""The largest value of a quadratic on the unit sphere: a non-convex problem without a duality gap."""

import numpy as np

from ecgcvx.types import Array

HALVINGS = 100


def largest_on_sphere(A: Array, q: Array) -> float:
    """Return max u'Au + q'u over ||u|| = 1, for a symmetric A (d, d) and q (d,).

    It is the minimum over lambda > lambda_max(A) of lambda + q'(lambda I - A)^-1 q / 4, convex in lambda, and every
    lambda bounds the maximum from above: what is returned is a bound, whatever the accuracy of the search.

    Source: Fortin & Wolkowicz 2004 (the trust region subproblem).
    """
    values, V = np.linalg.eigh(A)
    below, squares = values[-1] - values, (V.T @ q) ** 2 / 4
    low, high = np.sqrt(squares[-1]), np.sqrt(squares.sum())  # of lambda - lambda_max
    if high == 0:
        return float(values[-1])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if np.sum(squares / (below + middle) ** 2) > 1:
            low = middle
        else:
            high = middle
    return float(values[-1] + high + np.sum(squares / (below + high)))
