"""Interior-point (or any conic) solution of a convex program through CVXPY."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ecgcvx.errors import SolverError
from ecgcvx.interruption import stoppable
from ecgcvx.programs.features import matrix_of
from ecgcvx.programs.losses import SquaredLoss
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.polish import complete
from ecgcvx.solvers.rows import ConeRows
from ecgcvx.solvers.solution import Callback, Clock, Solution, check_stopping, unit_of
from ecgcvx.types import Array


@dataclass(frozen=True)
class CvxpySolver:
    """Model the program in CVXPY and solve it with one of CVXPY's conic solvers.

    A squared loss is modelled on the Gram matrix, a logistic one on the data, with all blocks F_i formed: small n only.

    Use it as the reference: it is exact to about 1e-8 and general, for up to some 2,000 variables in all. Cone rows are
    added until none of the n rows is violated.

    solver : a conic solver that CVXPY has installed. tolerance : relative duality gap. options : passed to the solver.
    """

    solver: str = "CLARABEL"
    gap: float = 1e-5
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_stopping(self.gap)

    def solve(
        self,
        program: ConvexProgram,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Solve the program. A warm start only serves as the point that is returned if time runs out at once."""
        clock = Clock(callback, time_limit)
        u = np.zeros(program.shape) if warm_start is None else warm_start
        detail, reason = "not started", ""
        with stoppable() as loop:
            rows = ConeRows(program)
            while not clock.expired:
                u, value, detail = self._solve_with(program, rows, clock)
                clock.report(value)
                if not rows.grow(u):
                    reason = "inaccurate"
                    break
        reason = "interrupted" if loop.stopped else reason or clock.reason
        return complete(program, u, self.gap, clock, f"CVXPY {self.solver}: {detail}", reason)

    def _clarabel_tolerances(self) -> dict[str, float]:
        """The gap that we report is first order in the error of u, Clarabel's is second order: ask it for much more."""
        if self.solver != "CLARABEL":
            return {}
        return dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), max(1e-5 * self.gap, 1e-11))

    def _solve_with(self, program: ConvexProgram, rows: ConeRows, clock: Clock) -> tuple[Array, float, str]:
        import cvxpy as cp

        g, d = program.shape
        U = cp.Variable((g, d))
        u = cp.vec(U, order="C")
        constraints = [rows.matrix(j) @ U[j] >= 0 for j in range(g) if len(rows.indices[j])]
        # Solvers stop at absolute tolerances: in units of beta, and of the variables, all is of order one.
        unit, beta = unit_of(program), program.beta
        if isinstance(program.loss, SquaredLoss):
            H, c, constant = program.quadratic
            loss = cp.quad_form(u, cp.psd_wrap(H * (unit / beta))) / 2 - (c / beta) @ u
        else:
            constant = 0.0
            margins = cp.multiply(program.y, (_features(program) * unit) @ u)
            loss = cp.sum(cp.logistic(-margins)) / (len(program.y) * beta * unit)
        problem = cp.Problem(cp.Minimize(loss + cp.sum(cp.norm(U, 2, axis=1))), constraints)
        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # the status says it as well
                problem.solve(solver=self.solver, **(self._clarabel_tolerances() | self.options))
        except cp.SolverError as error:
            raise SolverError(f"solver = {self.solver!r}: {error}") from None
        if U.value is None:
            raise SolverError(f"solver = {self.solver!r} ended with status {problem.status!r}; try another solver")
        return unit * U.value, float(problem.value) * beta * unit + constant, str(problem.status)


def _features(program: ConvexProgram) -> Array:
    """The matrix of all signed blocks, (n, g d)."""
    d = program.features.width
    columns = (program.blocks[:, None] * d + np.arange(d)).ravel()
    return matrix_of(program.features)[:, columns] * np.repeat(program.signs, d)
