"""Interior point on the Gram matrix, then Newton on the low-rank factors: one pass over the data, whatever beta.

Another loss than the squared one is replaced by its quadratic model at the current point, again and again: proximal
Newton, one weighted Gram matrix an iteration.

    min  g'(m - m0) + (m - m0)'H(m - m0)/2 + penalty,   m0 = vector(Z - Z'),  H = the Hessian of the loss at m0

Source: Lee, Sun & Saunders 2014 (proximal Newton).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ecgcvx.errors import SolverError
from ecgcvx.evidence import relative_gap
from ecgcvx.interruption import stoppable
from ecgcvx.programs.losses import LogisticLoss, SquaredLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.polynomial_form import PolynomialForm
from ecgcvx.programs.program import Quadratic
from ecgcvx.solvers.polynomial.interior import interior_point
from ecgcvx.solvers.polynomial.lift import LiftedProgram
from ecgcvx.solvers.polynomial.refine import refine
from ecgcvx.solvers.solution import Callback, Clock, Solution, check_stopping
from ecgcvx.types import Array

INTERIOR_GAP = 1e-9  # asked of the interior point, relative to the penalty
SUFFICIENT = 1e-4  # share of the model's decrease that a step must keep
PROXIMAL = 1e-9  # of the Hessian of the squared loss, added: where all labels are fitted the logistic one vanishes


@dataclass(frozen=True)
class PolynomialSolver:
    """Solve a program with a polynomial activation to a relative duality gap of `gap`.

    rounds : quadratic models of a logistic loss at most; a squared loss takes one.
    """

    gap: float = 1e-6
    rounds: int = 50

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)

    def solve(
        self,
        program: PolynomialForm,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Return the solution, whose u is the pair Z (2, k, k); a warm start serves the logistic loss."""
        clock = Clock(callback, time_limit)
        Z = np.zeros(program.shape) if warm_start is None else warm_start
        iterations, reason = 0, ""
        with stoppable() as loop:
            if isinstance(program.loss, SquaredLoss):
                lifted = LiftedProgram(program, program.quadratic)
                if not clock.expired:
                    Z, iterations = _solve_quadratic(lifted)
                    reason = "inaccurate"
            elif isinstance(program, PolynomialProgram) and isinstance(program.loss, LogisticLoss):
                Z, iterations, reason = self._proximal_newton(program, Z, clock)
            else:
                raise SolverError(f"loss = {type(program.loss).__name__}: give a squared or a logistic loss")
        reason = "interrupted" if loop.stopped else reason or clock.reason
        return finish(program, Z, self.gap, clock, f"interior point, {iterations} iterations", reason)

    def _proximal_newton(self, program: PolynomialProgram, Z: Array, clock: Clock) -> tuple[Array, int, str]:
        floor = PROXIMAL * program.curvature(np.ones(len(program.y)))
        upper, y, iterations = program.upper, program.y, 0
        f = program.predict(Z)
        for _ in range(self.rounds):
            v = program.loss.residual(f, y)
            primal = program.loss.value(f, y) + program.penalty(Z)
            B = program.ascent(v)
            prices = program.prices_of(B)
            dual = program.loss.dual_value(v, y, program.beta / max(float(prices.max()), 1e-300))
            clock.report(primal, max(primal - dual, 0.0) / primal)
            if primal - dual <= self.gap / 2 * primal:
                return Z, iterations, "inaccurate"
            if clock.expired:
                return Z, iterations, clock.reason
            H = program.curvature(expit(f) * expit(-f)) + floor
            m = upper.vector(Z[0] - Z[1])
            g = upper.vector(B) * np.where(upper.rows == upper.columns, 1.0, 2.0)
            c = g + H @ m
            constant = program.loss.value(f, y) + float(m @ H @ m) / 2 + float(g @ m)
            lifted = LiftedProgram(program, Quadratic(H, c, constant))
            candidate, count = _solve_quadratic(lifted)
            iterations += count
            Z, f, moved = _search(program, Z, f, candidate, primal - lifted.objective(candidate))
            if not moved:
                return Z, iterations, "inaccurate"
        return Z, iterations, "round limit"


def _solve_quadratic(lifted: LiftedProgram) -> tuple[Array, int]:
    """Return the pair that solves a quadratic program, and the interior point's iterations."""
    with lifted.program.threads():
        found, iterations = interior_point(lifted, INTERIOR_GAP)
        return refine(lifted, found), iterations


def _search(
    program: PolynomialProgram, Z: Array, f: Array, candidate: Array, promise: float
) -> tuple[Array, Array, bool]:
    """Halve the step towards the candidate until the objective keeps some of the promise; f is linear in the step."""
    primal, target = program.loss.value(f, program.y) + program.penalty(Z), program.predict(candidate)
    step = 1.0
    while step > 1e-6:
        mixed = candidate if step == 1 else Z + step * (candidate - Z)
        g = target if step == 1 else f + step * (target - f)
        # Near the optimum the decrease is below rounding, and the full step is the right one.
        slack = 1e-14 * primal
        if program.loss.value(g, program.y) + program.penalty(mixed) <= primal - SUFFICIENT * step * promise + slack:
            return mixed, g, True
        step /= 2
    return Z, f, False


def finish(program: PolynomialForm, Z: Array, tolerance: float, clock: Clock, detail: str, reason: str) -> Solution:
    """Evaluate a feasible pair and bound it; reason: the status if the gap is above the tolerance."""
    primal, dual = program.evaluated(Z)
    gap = relative_gap(primal, dual)
    status = "optimal" if gap <= tolerance else reason
    with stoppable() as loop:
        clock.report(primal, gap)
    if loop.stopped:  # from the callback; the point is complete
        status = "interrupted"
    history = tuple(clock.history)
    return Solution(Z, primal, dual, 0.0, len(history), status, detail, clock.seconds, history)
