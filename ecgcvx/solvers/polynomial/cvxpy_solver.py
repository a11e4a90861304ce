"""Programs of polynomial networks through CVXPY, by any of its semidefinite solvers."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ecgcvx.errors import SolverError
from ecgcvx.interruption import stoppable
from ecgcvx.programs.losses import SquaredLoss
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.polynomial_form import PolynomialForm
from ecgcvx.solvers.polynomial.lift import LiftedProgram
from ecgcvx.solvers.polynomial.refine import refine
from ecgcvx.solvers.polynomial.solver import finish
from ecgcvx.solvers.solution import Callback, Clock, Solution, check_stopping
from ecgcvx.types import Array


@dataclass(frozen=True)
class PolynomialCvxpySolver:
    """Model the semidefinite program in CVXPY; the reference.

    A squared loss is modelled on a factor of the Gram matrix, and completed by `refine`; a logistic one on the data,
    with all monomials formed: small n only.

    solver : CLARABEL, SCS or another that takes semidefinite cones (and, for the logistic loss, exponential ones).
    gap : relative duality gap. options : passed to the solver.
    """

    solver: str = "CLARABEL"
    gap: float = 1e-6
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_stopping(self.gap)

    def solve(
        self,
        program: PolynomialForm,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Solve the program; the first line of the history is CVXPY's own objective. The arguments are those of
        `PolynomialSolver.solve`."""
        clock = Clock(callback, time_limit)
        Z = np.zeros(program.shape) if warm_start is None else warm_start
        detail, reason = "not started", "interrupted"
        with stoppable():
            lifted = LiftedProgram(program, program.quadratic)
            found, value, detail = self._solve(lifted)
            clock.report(value)
            squared = isinstance(program.loss, SquaredLoss)
            Z, reason = refine(lifted, found) if squared else lifted.feasible(found), "inaccurate"
        return finish(program, Z, self.gap, clock, f"CVXPY {self.solver}: {detail}", reason)

    def _solve(self, lifted: LiftedProgram) -> tuple[Array, float, str]:
        import cvxpy as cp

        program = lifted.program
        k, beta, J = program.order, program.beta, program.balance
        pair = [cp.Variable((k, k), PSD=True) for _ in range(2)]
        rows, columns = program.upper
        m = cp.vec(pair[0] - pair[1], order="C")[rows * k + columns]
        # In units of beta, of the targets and of Z all is of order one, as the solvers' absolute tolerances take it.
        if isinstance(program.loss, SquaredLoss):
            F, target = lifted.factor
            size, curvature = float(np.linalg.norm(target)), float(np.linalg.norm(F))
            unit = size / curvature if size * curvature > 0 else 1.0
            constant = program.quadratic.constant - size**2 / 2
            loss = cp.sum_squares(F * (unit / size) @ m - target / size) * (size**2 / (2 * beta * unit))
        else:
            assert isinstance(program, PolynomialProgram)  # sums have the squared loss
            unit, constant = 1.0, 0.0
            loss = cp.sum(cp.logistic(cp.multiply(-program.y, program.lifted() @ m))) / (len(program.y) * beta)
        if J is None:
            sizes, constraints = [cp.trace(Z) for Z in pair], []
        else:
            sizes = [Z[k - 1, k - 1] for Z in pair]
            constraints = [cp.trace(cp.diag(J) @ Z) == 0 for Z in pair]
        problem = cp.Problem(cp.Minimize(loss + sizes[0] + sizes[1]), constraints)
        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # the status says it as well
                problem.solve(solver=self.solver, **self.options)
        except cp.SolverError as error:
            raise SolverError(f"solver = {self.solver!r}: {error}") from None
        if pair[0].value is None:
            raise SolverError(f"solver = {self.solver!r} ended with status {problem.status!r}; try another solver")
        Z = unit * np.stack([np.asarray(part.value) for part in pair])
        return (Z + Z.transpose(0, 2, 1)) / 2, float(problem.value) * beta * unit + constant, str(problem.status)
