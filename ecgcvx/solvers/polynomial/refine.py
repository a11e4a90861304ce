"""Newton's method on the low-rank factors of the pair, Z = P'P with P (r, k), after an interior point.

    stationarity  P S = 0 with S = t beta I - B(m) - nu J,    tr J P'P = 0    (likewise P', S')

B depends on P through m = vector(P'P - P''P'). The Hessian 2 (I o S) + (dm)'H(dm) is singular along the rotations of
the rows of P, which change nothing: those directions are given curvature, which leaves the step as it is.

The rank is not known: it is guessed from the eigenvalues of Z, the smallest guess first, until the gap closes.
"""

import numpy as np

from ecgcvx.solvers.polynomial.lift import SIGNS, LiftedProgram
from ecgcvx.types import Array

CUTS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-8)  # of the largest eigenvalue of both: smaller ones are taken for zero
STEPS = 8
ENOUGH = 1e-10  # relative gap at which a guess of the rank is right


def refine(lifted: LiftedProgram, Z: Array) -> Array:
    """Return a pair (2, k, k) of low rank with a smaller gap than Z, or Z when no guess of the rank gives one."""
    Z = lifted.feasible(Z)
    nothing = np.zeros_like(Z)
    if lifted.gap(nothing) <= ENOUGH:
        return nothing
    best, smallest, tried = Z, lifted.gap(Z), [-1, -1]
    values, V = np.linalg.eigh(Z)
    for cut in CUTS:
        kept = values > cut * values.max()
        ranks = kept.sum(axis=1).tolist()
        if ranks == tried:
            continue
        tried = ranks
        factors = [(V[i][:, kept[i]] * np.sqrt(values[i][kept[i]])).T for i in range(2)]
        found = lifted.feasible(_newton(lifted, factors))
        gap = lifted.gap(found)
        if gap < smallest:
            best, smallest = found, gap
        if smallest <= ENOUGH:
            break
    return best


def _newton(lifted: LiftedProgram, factors: list[Array]) -> Array:
    """Return the pair after Newton's steps from the factors P (r, k) of both, as long as the residual falls."""
    residual = _stationarity(lifted, factors)
    size = float(np.linalg.norm(residual))
    for _ in range(STEPS):
        try:
            step = np.linalg.solve(_hessian(lifted, factors), -residual)
        except np.linalg.LinAlgError:
            break
        first = factors[0].size
        moved = [
            P + part.reshape(P.shape)
            for P, part in zip(factors, (step[:first], step[first : first + factors[1].size]), strict=True)
        ]
        residual = _stationarity(lifted, moved)
        if not np.linalg.norm(residual) < size:
            break
        factors, size = moved, float(np.linalg.norm(residual))
    return _pair(factors)


def _pair(factors: list[Array]) -> Array:
    return np.stack([P.T @ P for P in factors])


def _slacks(lifted: LiftedProgram, factors: list[Array]) -> Array:
    """The slacks (2, k, k) in units of beta, with the nu that make P S smallest."""
    beta, J = lifted.program.beta, lifted.program.balance
    B = lifted.descent(_pair(factors)) / beta
    S = lifted.trace_weight * np.eye(len(B)) - SIGNS[:, None, None] * B
    for i, P in enumerate(factors):
        if J is not None and P.any():
            PJ = P * J
            S[i] -= np.vdot(PJ, P @ S[i]) / np.vdot(PJ, PJ) * np.diag(J)
    return S


def _stationarity(lifted: LiftedProgram, factors: list[Array]) -> Array:
    """The residuals of the two conditions, in units of beta."""
    S = _slacks(lifted, factors)
    J = lifted.program.balance
    parts = [2 * (P @ S[i]).ravel() for i, P in enumerate(factors)]
    if J is not None:
        parts.append(np.array([-np.sum(P * P * J) for P in factors if len(P)]))
    return np.concatenate(parts)


def _rotations(P: Array) -> Array:
    """The directions (r (r - 1)/2, r k) along which a rotation of two rows of P moves it."""
    pairs = np.stack(np.triu_indices(len(P), 1), axis=1)
    turn = np.zeros((len(pairs), *P.shape))
    for direction, (a, b) in zip(turn, pairs, strict=True):
        direction[a], direction[b] = P[b], -P[a]
    return turn.reshape(len(pairs), P.size)


def _hessian(lifted: LiftedProgram, factors: list[Array]) -> Array:
    """The matrix of Newton's system in (dP, dP', dnu, dnu'), symmetric."""
    S = _slacks(lifted, factors)
    J, k = lifted.program.balance, lifted.program.order
    rows, columns = lifted.upper
    entries = np.arange(len(rows))
    blocks, changes, borders = [], [], []
    for i, P in enumerate(factors):
        r = len(P)
        turn = _rotations(P)
        blocks.append(2 * np.kron(np.eye(r), S[i]) + turn.T @ turn)
        change = np.zeros((r, len(rows), k))  # of m by each entry of P
        change[:, entries, rows] += P[:, columns]
        change[:, entries, columns] += P[:, rows]
        changes.append(SIGNS[i] * change.transpose(1, 0, 2).reshape(len(rows), r * k))
        if J is not None and r:
            borders.append(-2 * (P * J).ravel())
    sizes = [P.size for P in factors]
    n = sum(sizes)
    full = np.zeros((n + len(borders),) * 2)
    change = np.concatenate(changes, axis=1)
    full[:n, :n] = change.T @ (lifted.loss.H / lifted.program.beta) @ change
    at, border = 0, n
    for i, size in enumerate(sizes):
        part = slice(at, at + size)
        full[part, part] += blocks[i]
        if J is not None and size:
            full[border, part] = full[part, border] = borders[border - n]
            border += 1
        at += size
    return full
