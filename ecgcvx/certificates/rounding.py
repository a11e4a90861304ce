"""What is believed of multipliers: the bound of `lagrange`, in arithmetic that may not be reordered, rounded outwards.

A proof rests on this function and on what a majorant is; how the multipliers were found does not matter.
Its Cholesky is its own: that of `minimise` may be reordered.
"""

from typing import Any

import numpy as np

from ecgcvx.certificates.kernels import strict

UNIT = 2.0**-53
NEVER = np.inf


@strict
def safe_value(
    theta: Any, cut: Any, m: int, models: int, c: Any, h: Any, C: Any, b: Any, H: Any, sizes: Any, base: float,
    relative: float,
) -> float:  # fmt: skip
    """Return a bound that holds for the exact numbers behind C, b, H, whatever rounding did; inf if there is none.

    Let d^ be the computed Q^-1 g, e = g - Q d^, and |delta_i| <= D_i in the cell: h_i where it is cut, else 2, since
    ||delta|| <= ||w|| + ||c||. For every delta of the cell

        g'delta - delta'Q delta/2 = d^'Q d^/2 + e'delta - (delta - d^)'Q(delta - d^)/2
                                 <= d^'Q d^/2 + sum |e_i| D_i + G (sum sqrt(Q_ii) (D_i + |d^_i|))^2 / 2

    so that neither an exact solve nor an exact inverse is asked for: a Cholesky factorisation that runs to its end in
    floating point shows x'Qx >= -G (sum sqrt(Q_ii) |x_i|)^2 with G = 2 (d + 2) u, u = 2^-53 (Higham, Accuracy and
    Stability of Numerical Algorithms, theorem 10.3 and the proof of 10.5). The numbers computed here from C, b, H and
    theta are sums of at most d^2 + models + 4 terms each, so that their rounding is below 2 (d^2 + models + 4) u times
    `terms`, the sum of the absolute values of all terms over the cell. The coefficients themselves are sums over
    clusters of terms which are each within `relative` of exact and of total size sizes_t on the ball; `base` is what
    else they may be off by.
    """
    d = len(c)
    total = 0.0
    for k in range(models):
        if not theta[m + 1 + k] >= 0:
            return NEVER
        total += theta[m + 1 + k]
    if not (total > 0 and theta[m] >= 0):
        return NEVER
    mu = theta[m]
    Q, A, L, g, x = np.zeros((d, d)), np.zeros((d, d)), np.zeros((d, d)), np.zeros(d), np.zeros(d)
    D, G = np.full(d, 2.0), np.zeros(d)
    for q in range(m):
        D[cut[q]] = min(h[cut[q]], 2.0)
    room, terms = 1.0, mu
    for i in range(d):
        room -= c[i] * c[i]
        g[i] = -2.0 * mu * c[i]
        Q[i, i] = 2.0 * mu
        A[i, i] = 2.0 * mu
        G[i] = abs(g[i])
        terms += mu * c[i] * c[i]
    value, slack = mu * room, base
    for k in range(models):
        a = theta[m + 1 + k] / total
        value += a * C[k]
        slack += relative * a * sizes[k]
        terms += a * abs(C[k])
        for i in range(d):
            g[i] += a * b[k, i]
            G[i] += a * abs(b[k, i])
            for j in range(d):
                Q[i, j] -= a * 0.5 * (H[k, i, j] + H[k, j, i])
                A[i, j] += a * abs(H[k, i, j])
    for q in range(m):
        if not theta[q] >= 0:
            return NEVER
        j = cut[q]
        Q[j, j] += theta[q]
        A[j, j] += theta[q]
        value += 0.5 * theta[q] * h[j] * h[j]
        terms += 0.5 * theta[q] * h[j] * h[j]
    for j in range(d):
        s = Q[j, j]
        for p in range(j):
            s -= L[j, p] * L[j, p]
        if not s > 0:
            return NEVER
        L[j, j] = np.sqrt(s)
        for i in range(j + 1, d):
            t = Q[i, j]
            for p in range(j):
                t -= L[i, p] * L[j, p]
            L[i, j] = t / L[j, j]
    for i in range(d):
        t = g[i]
        for p in range(i):
            t -= L[i, p] * x[p]
        x[i] = t / L[i, i]
    for i in range(d - 1, -1, -1):
        t = x[i]
        for p in range(i + 1, d):
            t -= L[p, i] * x[p]
        x[i] = t / L[i, i]
    wrong, quadratic, root = 0.0, 0.0, 0.0
    for i in range(d):
        t = 0.0
        for j in range(d):
            t += Q[i, j] * x[j]
            terms += A[i, j] * (abs(x[i]) + D[i]) * (abs(x[j]) + D[j])
        quadratic += x[i] * t
        wrong += abs(g[i] - t) * D[i]
        terms += G[i] * (abs(x[i]) + D[i])
        root += np.sqrt(Q[i, i]) * (abs(x[i]) + D[i])
    value += 0.5 * quadratic + wrong
    slack += (d + 2) * UNIT * root * root
    slack += 2.0 * (d * d + models + 4) * UNIT * terms
    value += 2.0 * slack
    return value if value < NEVER else NEVER
