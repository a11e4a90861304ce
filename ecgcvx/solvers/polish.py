"""The last stage that the solvers share: Newton's method on the groups and cone rows that are active.

From a nearly optimal point, sequential quadratic programming on the Gram matrix. With w_j = u_j / ||u_j|| the model of
beta ||u_j|| has the Hessian beta/||u_j|| (I - (1 - damping) w_j w_j'): damping 0 is Newton's method, damping 1 a
majoriser, which never fails. Each round

1. minimises the model over the active groups and their cones. With Q = LL' the Hessian and v its free minimiser that is
   the projection min ||L'(x - v)||, C x >= 0: non-negative least squares over multipliers, as in `programs.cone`. Rows
   with a positive multiplier are then met exactly by solving in their null space;
2. drops every group that the step would shrink tenfold or turn round, since the model is blind to the kink at zero,
   and every small group for which zero is the best value;
3. takes the step if the objective falls, and otherwise damps it;
4. brings a group back when its price exceeds beta, by its best step along the steepest feasible descent.

Measured on record 208 (86,385 windows, 100 gates, beta = 1e-3): after 256 iterations of FISTA 8 rounds bring every
price to beta (1 + 1e-10); damping alone, without the dropping of groups, is not there after 40.

A logistic loss is polished by proximal Newton steps: the second-order model of the loss at u is a weighted squared
loss, whose program is solved as above, and the step to its solution is halved until the objective falls.

Source of the latter: Lee, Sun & Saunders 2014.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag, cho_factor, cho_solve, null_space, solve_triangular
from scipy.optimize import nnls

from ecgcvx.interruption import stoppable
from ecgcvx.programs.cone import project
from ecgcvx.programs.losses import SquaredLoss, scaled_parabola
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.rows import ConeRows
from ecgcvx.solvers.solution import Clock, Solution, feasible, finish
from ecgcvx.types import Array

Index = NDArray[np.intp]
ROUNDS = 200
LEAST_DAMPING = 1e-8  # keeps the Hessian positive definite along w_j
FIRST_DAMPING = 1e-2
ROUNDING = 1e-13  # of y'y/(2n): what the evaluation of the objective on the Gram matrix may be off
SETTLED = 1e-4  # relative decrease below which prices are looked at
PATIENCE = 4  # rounds at the rounding of the objective that do not improve the gap
VANISHING = 0.1
SMALL = 1e-2  # of the largest norm
NEWTON_STEPS = 50
LEAST_WEIGHT = 1e-6  # of a sample in the model of a logistic loss: keeps working responses finite
LEAST_STEP = 1e-4
FORCING = 0.1  # of the gap: what the solution of a model may be off


class _Gap(NamedTuple):
    value: float
    descents: Array  # steepest feasible descents of the loss (g, d), whose norms are the prices


def better(one: Solution | None, other: Solution) -> Solution:
    """Return the solution of lower objective; the other, later one where they are equal."""
    return other if one is None or other.primal <= one.primal else replace(one, history=other.history)


def complete(program: ConvexProgram, u: Array, tolerance: float, clock: Clock, detail: str, reason: str) -> Solution:
    """Polish the last iterate of a solver unless it was stopped from outside, and evaluate it on the data."""
    if reason not in ("time limit", "interrupted"):
        method = polish if isinstance(program.loss, SquaredLoss) else polish_logistic
        u, stopped = method(program, feasible(program, u, tolerance), tolerance, clock)
        reason = stopped or reason
    return finish(program, u, tolerance, clock, detail, reason)


def polish(program: ConvexProgram, u: Array, tolerance: float, clock: Clock) -> tuple[Array, str]:
    """Return a feasible point no worse than the feasible u (g, d), and why it stopped early if it did."""
    damping, stalled, best = LEAST_DAMPING, 0, np.inf
    with stoppable() as loop:
        rows = ConeRows(program)
        u = _screen(program, u, np.inf)  # an interior point has no zeros
        value = _objective(program, u)
        gap = _gap(program, u, value)
        for _ in range(ROUNDS):
            if gap.value <= tolerance / 2 or stalled == PATIENCE:
                return u, ""
            if clock.expired:
                return u, clock.reason
            u = _revive(program, _screen(program, u, SMALL), gap)
            value = _objective(program, u)
            target = _step(program, rows, u, damping)
            new = _objective(program, target)
            clock.report(min(new, value))
            if new > value + ROUNDING * program.quadratic.constant:
                stalled += damping == 1.0
                damping = min(1.0, max(FIRST_DAMPING, 10 * damping))
                gap = gap._replace(descents=np.zeros_like(u))
                continue
            settled = value - new <= SETTLED * value
            u, value, damping = target, new, max(LEAST_DAMPING, damping / 10)
            gap = _gap(program, u, value) if settled else _Gap(np.inf, np.zeros_like(u))
            stalled = stalled + 1 if settled and gap.value >= best else 0
            best = min(best, gap.value)
    if loop.stopped:
        return u, "interrupted"
    return u, ""


def polish_logistic(program: ConvexProgram, u: Array, tolerance: float, clock: Clock) -> tuple[Array, str]:
    """Return a feasible point no worse than the feasible u (g, d) by proximal Newton steps; else as `polish`."""
    f = program.predict(u)
    value = program.loss.value(f, program.y) + program.penalty(u)
    with stoppable() as loop:
        for _ in range(NEWTON_STEPS):
            v = program.loss.residual(f, program.y)
            gap = (value - program.dual_bound(v).value) / value
            if gap <= tolerance / 2:
                break
            if clock.expired:
                return u, clock.reason
            model = _second_order_model(program, f, v)
            inner = Clock(None, max(clock.time_limit - clock.seconds, 1e-3))
            accuracy = min(FORCING * gap * value / _objective(model, u), SETTLED)
            target, stopped = polish(model, u, accuracy, inner)
            if stopped == "interrupted":
                return u, stopped
            lower = _lower_point(program, u, target, f, value)
            if lower is None:
                break
            u, f, value = lower
            clock.report(value, gap)
    if loop.stopped:
        return u, "interrupted"
    return u, ""


def _lower_point(
    program: ConvexProgram, u: Array, target: Array, f: Array, value: float
) -> tuple[Array, Array, float] | None:
    """The first point of a lower objective from target back to u, halving, with its prediction and objective."""
    step, f_target = 1.0, program.predict(target)
    while step >= LEAST_STEP:
        w = u + step * (target - u) if step < 1 else target
        f_new = f + step * (f_target - f)
        new = program.loss.value(f_new, program.y) + program.penalty(w)
        if new < value:
            return w, f_new, new
        step /= 2
    return None


def _second_order_model(program: ConvexProgram, f: Array, v: Array) -> ConvexProgram:
    """The program with the loss's expansion at f, the squared loss of working responses f + v/l'' weighted by l''."""
    q = v * program.y
    weights = np.maximum(q * (1 - q), LEAST_WEIGHT)
    return replace(program, loss=SquaredLoss()).with_gram(program.features.gram(f + v / weights, weights))


def _objective(program: ConvexProgram, u: Array) -> float:
    return program.quadratic.value(u) + program.penalty(u)


def _gap(program: ConvexProgram, u: Array, value: float) -> _Gap:
    """The relative duality gap at u from the Gram matrix, as `ConvexProgram.dual_bound` has it from the data."""
    quadratic = program.quadratic
    descents = -quadratic.gradient(u)
    if program.cones:
        descents = project(program.features, program.blocks, descents)
    worst = float(np.linalg.norm(descents, axis=1).max())
    ry = 2 * quadratic.constant - float(quadratic.c @ u.ravel())
    dual = scaled_parabola(ry, 2 * quadratic.value(u), program.beta / worst if worst > 0 else np.inf)
    return _Gap((value - dual) / value if value > 0 else 0.0, descents)


def _screen(program: ConvexProgram, u: Array, below: float) -> Array:
    """Zero the groups for which zero is the best value, the others as they are: Newton would only halve them.

    Only groups smaller than `below` times the largest are looked at, the smallest first.
    """
    d = program.shape[1]
    H, c, _ = program.quadratic
    norms = np.linalg.norm(u, axis=1)
    u = u.copy()
    for j in np.argsort(norms):
        if norms[j] == 0:
            continue
        if norms[j] >= below * norms.max():
            break
        block = slice(j * d, (j + 1) * d)
        descent = (c[block] - H[block] @ u.ravel() + H[block, block] @ u[j])[None]
        if program.cones:
            descent = project(program.features, program.blocks[j : j + 1], descent)
        if np.linalg.norm(descent) <= program.beta:
            u[j] = 0.0
    return u


def _revive(program: ConvexProgram, u: Array, gap: _Gap) -> Array:
    """Move groups at zero whose price exceeds beta, one after the other, to the best multiple of their descent."""
    beta, d = program.beta, program.shape[1]
    H, c, _ = program.quadratic
    u = u.copy()
    prices = np.where(u.any(axis=1), 0.0, np.linalg.norm(gap.descents, axis=1))
    for j in np.argsort(-prices):
        if prices[j] <= beta:
            break
        block = slice(j * d, (j + 1) * d)
        w = gap.descents[j] / prices[j]
        slope = float(w @ (c[block] - H[block] @ u.ravel())) - beta
        if slope > 0:
            u[j] = slope / float(w @ H[block, block] @ w) * w
    return u


def _step(program: ConvexProgram, rows: ConeRows, u: Array, damping: float) -> Array:
    """The minimiser of the model, without the groups that would vanish; u itself if the model is singular."""
    norms = np.linalg.norm(u, axis=1)
    while True:
        active = np.flatnonzero(norms)
        if not len(active):
            return np.zeros_like(u)
        target = np.zeros_like(u)
        try:
            target[active] = _minimise_model(program, rows, u, active, damping)
        except (np.linalg.LinAlgError, RuntimeError):
            return np.full_like(u, np.inf)
        along = np.einsum("jd,jd->j", target, u)
        vanishing = (norms > 0) & (along < VANISHING * norms**2)
        if damping == 1.0 or not vanishing.any():
            return target
        norms[vanishing] = 0.0


def _minimise_model(program: ConvexProgram, rows: ConeRows, u: Array, active: Index, damping: float) -> Array:
    """Minimise the model at u over the active groups (k, d), the others zero, and their cones."""
    Q, q = _model(program, u, active, damping)
    x = u[active].ravel()
    factor = cho_factor(Q, lower=True)
    v = x - cho_solve(factor, q)
    if not program.cones:
        return v.reshape(len(active), -1)
    L = np.tril(factor[0])
    target = np.zeros_like(u)
    while True:
        C = [rows.matrix(j) for j in active]
        ends = np.cumsum([len(matrix) for matrix in C])
        multipliers, _ = nnls(solve_triangular(L, block_diag(*C).T, lower=True), -(L.T @ v), maxiter=10 * len(rows))
        binding = [matrix[m > 0] for matrix, m in zip(C, np.split(multipliers, ends[:-1]), strict=True)]
        # The multipliers carry the rounding of Q^-1; the null space of the binding rows does not.
        Z = block_diag(*[null_space(matrix) if len(matrix) else np.eye(u.shape[1]) for matrix in binding])
        start = Z @ (Z.T @ x)
        shift = np.linalg.solve(Z.T @ Q @ Z, Z.T @ (q + Q @ (start - x)))
        target[active] = (start - Z @ shift).reshape(len(active), -1)
        if not rows.grow(target, negligible=1e-13):
            return target[active]


def _model(program: ConvexProgram, u: Array, active: Index, damping: float) -> tuple[Array, Array]:
    """Hessian (k d, k d) and gradient (k d,) of the model in the active groups at u, the others zero."""
    d = u.shape[1]
    index = (active[:, None] * d + np.arange(d)).ravel()
    norms = np.linalg.norm(u[active], axis=1)
    directions = u[active] / norms[:, None]
    Q = program.quadratic.H[np.ix_(index, index)]
    q = Q @ u[active].ravel() - program.quadratic.c[index] + program.beta * directions.ravel()
    for k, (w, norm) in enumerate(zip(directions, norms, strict=True)):
        block = slice(k * d, (k + 1) * d)
        Q[block, block] += program.beta / norm * (np.eye(d) - (1 - damping) * np.outer(w, w))
    return Q, q
