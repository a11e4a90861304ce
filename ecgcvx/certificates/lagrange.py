"""The largest value of a quadratic over a cell, from above, by its Lagrange dual.

With delta = w - c, |delta_j| <= h_j on the coordinates cut, ||c + delta|| <= 1, and models (C_t, b_t, H_t) each of
which lies above the price, every choice of multipliers

    nu_j >= 0 (box), mu >= 0 (ball), a_t >= 0 with sum a_t = 1 (models), Q = diag(nu) + 2 mu I - sum a_t H_t >= 0

gives the bound  sum a_t C_t + 1/2 sum nu_j h_j^2 + mu (1 - ||c||^2) + 1/2 g'Q^-1 g,  g = sum a_t b_t - 2 mu c.
It is jointly convex in all multipliers: a bundle of cuts and majorants whose mixture is optimised with the rest.
`minimise` looks for good multipliers in ordinary arithmetic; `safe_value` in `rounding` is what is believed of them.
"""

from typing import Any

import numpy as np

from ecgcvx.certificates.kernels import kernel
from ecgcvx.certificates.rounding import NEVER

BARRIER = 3e-3  # first weight of the barrier, relative to the value to reach
STEPS = 60


@kernel
def cholesky(A: Any, n: int, L: Any) -> bool:
    """Factor the leading n x n block A = LL'; False when a pivot is not positive."""
    for j in range(n):
        s = A[j, j]
        for p in range(j):
            s -= L[j, p] * L[j, p]
        if not s > 0:
            return False
        s = np.sqrt(s)
        L[j, j] = s
        for i in range(j + 1, n):
            t = A[i, j]
            for p in range(j):
                t -= L[i, p] * L[j, p]
            L[i, j] = t / s
    return True


@kernel
def solve_factored(L: Any, n: int, b: Any, x: Any) -> None:
    """Solve LL'x = b."""
    for i in range(n):
        t = b[i]
        for p in range(i):
            t -= L[i, p] * x[p]
        x[i] = t / L[i, i]
    for i in range(n - 1, -1, -1):
        t = x[i] / L[i, i]
        x[i] = t
        for p in range(i):
            x[p] -= L[i, p] * t


@kernel
def _assemble(
    theta: Any, cut: Any, m: int, models: int, c: Any, h: Any, C: Any, b: Any, H: Any, Q: Any, g: Any
) -> float:
    """Fill the lower triangle of Q and g; return the bound without its last term."""
    d, mu = len(c), theta[m]
    room = 1.0
    for i in range(d):
        room -= c[i] * c[i]
        g[i] = -2.0 * mu * c[i]
        for j in range(i + 1):
            Q[i, j] = 0.0
        Q[i, i] = 2.0 * mu
    value = mu * room
    for t in range(models):
        a = theta[m + 1 + t]
        value += a * C[t]
        for i in range(d):
            g[i] += a * b[t, i]
            for j in range(i + 1):
                Q[i, j] -= a * H[t, i, j]
    for q in range(m):
        j = cut[q]
        Q[j, j] += theta[q]
        value += 0.5 * theta[q] * h[j] * h[j]
    return value


@kernel
def _barrier(
    theta: Any,
    cut: Any,
    m: int,
    models: int,
    c: Any,
    h: Any,
    C: Any,
    b: Any,
    H: Any,
    Q: Any,
    L: Any,
    g: Any,
    delta: Any,
) -> tuple[float, float]:
    """Return the bound and log det Q + sum log theta; infinite where Q is not positive."""
    value = _assemble(theta, cut, m, models, c, h, C, b, H, Q, g)
    d, logs = len(c), 0.0
    if not cholesky(Q, d, L):
        return NEVER, 0.0
    solve_factored(L, d, g, delta)
    for i in range(d):
        value += 0.5 * g[i] * delta[i]
        logs += 2.0 * np.log(L[i, i])
    for q in range(m + 1 + models):
        logs += np.log(theta[q])
    return value, logs


@kernel
def start(cut: Any, m: int, models: int, h: Any, t: float, H: Any, target: float, theta: Any) -> None:
    """Fill multipliers with Q > 0 by diagonal dominance after scaling coordinate j by its size in the cell."""
    d = len(h)
    scale, boxed = np.full(d, max(t, 1e-3)), np.zeros(d, np.bool_)
    for q in range(m):
        scale[cut[q]] = max(h[cut[q]], 1e-9)
        boxed[cut[q]] = True
    mu = 0.5 * target
    for i in range(d):
        row = 0.0
        for j in range(d):
            x = 0.0
            for k in range(models):
                x += H[k, i, j] / models
            row += abs(x) * scale[j]
        row *= 1.05 / scale[i]
        if boxed[i]:
            for q in range(m):
                if cut[q] == i:
                    theta[q] = row + 1e-3 * target / (scale[i] * scale[i])
        else:
            mu = max(mu, 0.5 * row + 1e-9 * target)
    theta[m] = mu
    for k in range(models):
        theta[m + 1 + k] = 1.0 / models


@kernel
def minimise(
    cut: Any, m: int, models: int, c: Any, h: Any, t: float, C: Any, b: Any, H: Any, target: float, precision: float,
    warm: bool, theta: Any, best: Any, delta: Any, W: Any,
) -> float:  # fmt: skip
    """Minimise the dual by Newton steps on a logarithmic barrier; return the bound of the multipliers `best`.

    Ends at the target, when it is seen to be out of reach, or at the barrier weight `precision`. delta is the maximiser
    of the Lagrangian; W the second moment of w that the relaxation believes in.
    """
    d, size = len(c), m + 1 + models
    Q, L, g, step = np.zeros((d, d)), np.zeros((d, d)), np.zeros(d), np.zeros(size)
    Qi, Li, QH, moved = np.zeros((d, d)), np.zeros((d, d)), np.zeros((models, d, d)), np.zeros(size)
    E, QE, here, there = np.zeros((size, d)), np.zeros((size, d)), np.zeros(d), np.zeros(d)
    G, N, LN, ones, along = (
        np.zeros(size),
        np.zeros((size, size)),
        np.zeros((size, size)),
        np.zeros(size),
        np.zeros(size),
    )
    for k in range(models):
        ones[m + 1 + k] = 1.0
    eps = max(precision, BARRIER * target * (0.3 if warm else 1.0))
    value, logs = NEVER, 0.0
    if warm:
        value, logs = _barrier(theta, cut, m, models, c, h, C, b, H, Q, L, g, here)
    if not value < NEVER:
        start(cut, m, models, h, t, H, target, theta)
        value, logs = _barrier(theta, cut, m, models, c, h, C, b, H, Q, L, g, here)
    least = NEVER
    for _ in range(STEPS):
        if value < least:
            least = value
            best[:size] = theta[:size]
            delta[:] = here
        _inverse(L, d, Li, Qi)
        if least <= target:
            break
        _derivatives(theta, cut, m, models, c, h, C, b, H, here, Qi, eps, QH, E, QE, G, N)
        if not cholesky(N, size, LN):
            break
        solve_factored(LN, size, G, step)
        solve_factored(LN, size, ones, along)
        over, sum_along = 0.0, 0.0
        for k in range(models):
            over += step[m + 1 + k]
            sum_along += along[m + 1 + k]
        decrease, a = 0.0, 1.0
        for q in range(size):
            step[q] -= along[q] * over / sum_along
            decrease += G[q] * step[q]
        if decrease < 0.1 * eps:
            if least - (size + d) * eps > target or eps <= precision:
                break
            eps = max(0.2 * eps, precision)
            continue
        for q in range(size):
            if step[q] > 0:
                a = min(a, 0.95 * theta[q] / step[q])
        found = False
        for _ in range(20):
            for q in range(size):
                moved[q] = theta[q] - a * step[q]
            new, new_logs = _barrier(moved, cut, m, models, c, h, C, b, H, Q, L, g, there)
            if new < NEVER and new - eps * new_logs <= value - eps * logs - 0.1 * a * decrease:
                found = True
                break
            a *= 0.5
        if not found:
            break
        value, logs = new, new_logs
        theta[:size] = moved
        here[:] = there
    for i in range(d):
        for j in range(d):
            W[i, j] = (c[i] + delta[i]) * (c[j] + delta[j]) + 2.0 * eps * Qi[i, j]
    return least


@kernel
def _inverse(L: Any, d: int, Li: Any, Qi: Any) -> None:
    """Fill Qi = (LL')^-1 by way of Li = L^-1."""
    for i in range(d):
        for j in range(d):
            Qi[i, j] = 0.0
        for j in range(i):
            Li[i, j] = 0.0
        for p in range(i):
            t = L[i, p]
            for j in range(p + 1):
                Li[i, j] -= t * Li[p, j]
        s = 1.0 / L[i, i]
        for j in range(i):
            Li[i, j] *= s
        Li[i, i] = s
        for a in range(i + 1):
            t = Li[i, a]
            for j in range(i + 1):
                Qi[a, j] += t * Li[i, j]


@kernel
def _derivatives(
    theta: Any, cut: Any, m: int, models: int, c: Any, h: Any, C: Any, b: Any, H: Any, delta: Any, Qi: Any, eps: float,
    QH: Any, E: Any, QE: Any, G: Any, N: Any,
) -> None:  # fmt: skip
    """Fill gradient G and Hessian N of bound - eps (log det Q + sum log theta).

    With e_p = dg/dtheta_p - dQ/dtheta_p delta the bound has Hessian e_p'Q^-1 e_q, and -log det Q has
    tr(Q^-1 dQ_p Q^-1 dQ_q).
    """
    d, size = len(c), m + 1 + models
    norm, trace, square = 0.0, 0.0, 0.0
    for i in range(d):
        norm += (c[i] + delta[i]) ** 2
        trace += Qi[i, i]
        E[m, i] = -2.0 * (c[i] + delta[i])
        for j in range(d):
            square += Qi[i, j] * Qi[i, j]
    G[m] = 1.0 - norm - 2.0 * eps * trace - eps / theta[m]
    for q in range(m):
        j = cut[q]
        E[q, :] = 0.0
        E[q, j] = -delta[j]
        G[q] = 0.5 * (h[j] * h[j] - delta[j] * delta[j]) - eps * Qi[j, j] - eps / theta[q]
    for k in range(models):
        value, trace_k = C[k], 0.0
        for i in range(d):
            t = 0.0
            for j in range(d):
                t += H[k, i, j] * delta[j]
            E[m + 1 + k, i] = b[k, i] + t
            value += delta[i] * (b[k, i] + 0.5 * t)
        if models > 1:
            for i in range(d):
                for j in range(d):
                    QH[k, i, j] = 0.0
                for p in range(d):
                    t = Qi[i, p]
                    for j in range(d):
                        QH[k, i, j] += t * H[k, p, j]
                trace_k += QH[k, i, i]
        G[m + 1 + k] = value + eps * trace_k - eps / theta[m + 1 + k]
    for p in range(size):
        for i in range(d):
            t = 0.0
            for j in range(d):
                t += Qi[i, j] * E[p, j]
            QE[p, i] = t
        for q in range(p + 1):
            t = 0.0
            for i in range(d):
                t += E[q, i] * QE[p, i]
            N[p, q] = t
        N[p, p] += eps / (theta[p] * theta[p])
    for q in range(m):
        j, t = cut[q], 0.0
        for i in range(d):
            t += Qi[j, i] * Qi[j, i]
        N[m, q] += 2.0 * eps * t
        for p in range(q + 1):
            N[q, p] += eps * Qi[j, cut[p]] ** 2
    N[m, m] += 4.0 * eps * square
    if models > 1:
        for k in range(models):
            row = m + 1 + k
            t = 0.0
            for i in range(d):
                for j in range(d):
                    t += QH[k, i, j] * Qi[j, i]
            N[row, m] -= 2.0 * eps * t
            for q in range(m):
                j, t = cut[q], 0.0
                for i in range(d):
                    t += QH[k, j, i] * Qi[i, j]
                N[row, q] -= eps * t
            for k2 in range(k + 1):
                t = 0.0
                for i in range(d):
                    for j in range(d):
                        t += QH[k, i, j] * QH[k2, j, i]
                N[row, m + 1 + k2] += eps * t
