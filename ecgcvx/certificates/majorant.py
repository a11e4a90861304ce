"""A quadratic above the sum of |x_i'w| over a cell, fitted where the maximum is expected.

For a cluster with mass R, centroid m and second moment M (all of weights |rho_i|), y_i = x_i'w:

- a sum that pushes up is at most  s R m'w + k (w'Mw - 2 p s R m'w + p^2 R),  s = sgn m'c, k = 2 L / (p + L)^2,
  for any p >= L, where no s y_i is below -L in the cell; p = tau <= L, k = 1/(2 tau) gives the (y^2/tau + tau)/2 that
  needs no L. Of a variable y with mean y1 and second moment q the best choice is tau = sqrt q, or where that exceeds
  L, p = (q + y1 L)/(y1 + L).
- a sum that pushes down is at least R |m'w| >= R theta m'w for any |theta| <= 1: theta = sgn m'w at the mean, or
  theta = m'(w - c) / reach(m), which has a curvature of its own and so cancels some of the others'.

Every choice is valid; the expected mean w and second moment W only decide how tight it is.
"""

from typing import Any

import numpy as np

from ecgcvx.certificates.clusters import far_side
from ecgcvx.certificates.kernels import OUTWARD, kernel


@kernel
def fit_majorant(
    up: int, listed: Any, a: int, b: int, z: Any, reach: Any, clusters: Any, w: Any, W: Any, linear: Any, curved: Any
) -> tuple[float, float]:  # fmt: skip
    """Fill l and the lower triangle of H of C + l'w + w'Hw/2 >= sum of the clusters listed[a:b]; return C and size.

    Clusters whose sign is `up` push up, the others down. z, reach belong to listed[a:b]. size sums the largest values
    that the single terms take on ||w|| <= 1: rounding is at most a share of it.
    """
    sign, mass, centroid, second = clusters.sign, clusters.mass, clusters.centroid, clusters.second
    trace = clusters.trace
    d = len(w)
    C, size = 0.0, 0.0
    packed, own = np.empty(len(curved)), np.empty(d)
    q = 0
    for i in range(d):
        linear[i], own[i] = 0.0, W[i, i] - w[i] * w[i]
        for j in range(i + 1):
            packed[q] = W[i, j] if i == j else W[i, j] + W[j, i]
            curved[q] = 0.0
            q += 1
    for at in range(a, b):
        k = listed[at]
        x, R = centroid[k], mass[k]
        length = R * np.sqrt(trace[k] / R)
        y = 0.0
        for j in range(d):
            y += x[j] * w[j]
        if sign[k] == up:
            q2 = 0.0
            for q in range(len(packed)):
                q2 += second[k, q] * packed[q]
            q2 = max(q2 / R, 1e-20 * trace[k] / R)
            L = far_side(clusters, k, z[at], reach[at])
            tau = np.sqrt(q2)
            if tau < L:
                f = 1.0 / tau
                C += 0.5 * R * tau
                size += 0.5 * R * tau + 0.5 * f * trace[k]
            else:
                s = 1.0 if z[at] >= 0 else -1.0
                p = max(L, (q2 + s * y * L) / (s * y + L)) if s * y + L > 0 else L
                f = 4.0 * L / ((p + L) * (p + L))
                slope = s * R * (1.0 - f * p)
                C += 0.5 * f * p * p * R
                size += 0.5 * f * (p * p * R + trace[k]) + abs(1.0 - f * p) * length
                for j in range(d):
                    linear[j] += slope * x[j]
            for q in range(len(packed)):
                curved[q] += f * second[k, q]
            continue
        v = y * y
        for j in range(d):
            v += own[j] * x[j] * x[j]
        far = reach[at] * (1.0 + OUTWARD) + OUTWARD * np.sqrt(trace[k] / R)
        if abs(z[at]) < far and v - z[at] * y > abs(y) * far:
            f = -2.0 * R / far
            slope = z[at] * R / far
            q = 0
            for i in range(d):
                t = f * x[i]
                for j in range(i + 1):
                    curved[q + j] += t * x[j]
                q += i + 1
            size += (abs(z[at]) * length + trace[k]) / far
        else:
            slope = -R if y >= 0 else R
            size += length
        for j in range(d):
            linear[j] += slope * x[j]
    return C, size
