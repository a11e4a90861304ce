"""The alternating direction method of multipliers, with one factorisation for many iterations.

Split u = z for the group norm and C u = s >= 0 for the cone rows in force, with scaled multipliers a and t:

    u <- (H + rho I + rho C'C)^-1 (c + rho (z - a) + rho C'(s - t))
    z <- shrink(u^ + a, beta / rho),   s <- (C u^ + t)_+          (u^, C u^ over-relaxed)
    a <- a + u^ - z,                   t <- t + C u^ - s

The matrix is factored once for each rho and set of rows. Between rounds of 100 iterations rho is balanced so that the
primal and dual residuals stay within a factor of ten, and rows that z violates are added.

Source: Boyd et al. 2011, sections 3.3, 3.4.1, 3.4.3 and 6.4.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ecgcvx.interruption import stoppable
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.polish import better, complete
from ecgcvx.solvers.rows import StackedRows
from ecgcvx.solvers.solution import Callback, Clock, Solution, check_stopping, need_squared_loss
from ecgcvx.types import Array

ITERATIONS_A_ROUND = 100
HANDOVER = 1e-2  # relative primal and dual residual at which the polish takes over
TIGHTER = 1e-2  # of the handover, where the polish did not close the gap
RELAXATION = 1.6
BALANCE = 10.0
RANGE = 1e2  # of rho about its first value: rows that come in late fool the balance, down to 1e-15 when unbounded


@dataclass(frozen=True)
class AdmmSolver:
    """ADMM on the Gram matrix to modest accuracy, then the polish that the solvers share.

    Use it where a Cholesky factor of all variables is cheap and many similar iterations are not.

    gap : relative duality gap. rounds : factorisations (100 iterations each) before the polish at the latest.
    """

    gap: float = 1e-5
    rounds: int = 50

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)

    def solve(
        self,
        program: ConvexProgram,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Solve the program from a warm start (g, d) or from zero.

        Raises SolverError for a loss that is not squared.
        """
        need_squared_loss(program, "ADMM")
        clock = Clock(callback, time_limit)
        z = np.zeros(program.shape) if warm_start is None else warm_start.copy()
        reason, handover = "round limit", HANDOVER
        best: Solution | None = None
        with stoppable() as loop:
            state = _Splitting(program, z)
            for _ in range(self.rounds):
                if clock.expired:
                    reason = clock.reason
                    break
                primal, dual = state.iterate(ITERATIONS_A_ROUND)
                z = state.z
                clock.report(program.quadratic.value(z) + program.penalty(z))
                if not state.stack.grow(z) and max(primal, dual) <= handover:
                    best = better(best, complete(program, z, self.gap, clock, "ADMM", reason))
                    if best.status != reason:
                        return best
                    handover *= TIGHTER
                state.balance(primal, dual)
        if loop.stopped:
            reason = "interrupted"
        return better(best, complete(program, z, self.gap, clock, "ADMM", reason))


class _Splitting:
    """z (g, d), the scaled multipliers a (g, d) of u = z and t (g, k) of C u = s, and the penalty rho."""

    def __init__(self, program: ConvexProgram, z: Array) -> None:
        self.program, self.z = program, z
        self.stack = StackedRows(program)
        self.a = np.zeros_like(z)
        self.rho = max(float(np.mean(np.diag(program.quadratic.H))), np.finfo(float).tiny)
        self.range = self.rho / RANGE, self.rho * RANGE

    def iterate(self, iterations: int) -> tuple[float, float]:
        """Run ADMM with the present rho and rows; return the relative primal and dual residuals."""
        (H, c, _), stack, rho, z, a = self.program.quadratic, self.stack, self.rho, self.z, self.a
        factor = self._factor(H)
        s, t = np.maximum(stack.values(z), 0.0), stack.multipliers
        u, last, last_s = z, z, s
        for _ in range(iterations):
            target = rho * (z - a + stack.transposed(s - t))
            u = cho_solve(factor, c + target.ravel()).reshape(z.shape)
            last, last_s = z, s
            relaxed = RELAXATION * u + (1 - RELAXATION) * z
            rows = RELAXATION * stack.values(u) + (1 - RELAXATION) * s
            norms, least = np.linalg.norm(relaxed + a, axis=1, keepdims=True), self.program.beta / rho
            z = (1 - least / np.maximum(norms, least)) * (relaxed + a)
            s = np.maximum(rows + t, 0.0)
            a = a + relaxed - z
            t = t + rows - s
        self.z, self.a, stack.multipliers = z, a, t
        dual = z - last + stack.transposed(s - last_s)
        return _ratio(u - z, u, z), _ratio(dual, a, stack.transposed(t))

    def balance(self, primal: float, dual: float) -> None:
        """Change rho by the root of the ratio of the residuals when they are far apart; scaled multipliers follow."""
        if max(primal, dual) > BALANCE * min(primal, dual):
            factor = float(np.clip(np.sqrt(primal / dual), 1 / BALANCE, BALANCE)) if dual > 0 else BALANCE
            factor = float(np.clip(factor * self.rho, *self.range)) / self.rho
            self.rho *= factor
            self.a /= factor
            self.stack.multipliers /= factor

    def _factor(self, H: Array) -> tuple[Array, bool]:
        g, d = self.z.shape
        matrix = H + self.rho * np.eye(g * d)
        for j, square in enumerate(self.stack.squares()):
            block = slice(j * d, (j + 1) * d)
            matrix[block, block] += self.rho * square
        return cho_factor(matrix, lower=True)


def _ratio(residual: Array, *scales: Array) -> float:
    """Size of a residual relative to the largest of the terms it compares, at most 1."""
    size = float(np.linalg.norm(residual))
    scale = max(float(np.linalg.norm(x)) for x in scales)
    return size / scale if scale > size else float(size > 0)
