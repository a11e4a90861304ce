"""The group-lasso program as a sequence of quadratic programs, each solved by OSQP.

A group norm is no quadratic, but  beta ||u|| = min_{eta > 0} beta/2 (||u||^2 / eta + eta):  alternate a QP in u with
the weights 1/eta_j, and eta_j = ||u_j||. This majorise-minimise scheme stagnates near 1e-3 on many groups (a group that
should vanish shrinks only slowly, and so does the error of its size). A small group is therefore zeroed as soon as zero
is its best value with the others as they are, and once the objective falls by less than 1e-3 a QP, the polish that the
solvers share takes over.

The data enter through the Gram matrix; cone rows are added as they are violated.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ecgcvx.errors import SolverError
from ecgcvx.interruption import note, stoppable
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.polish import better, complete
from ecgcvx.solvers.rows import ConeRows
from ecgcvx.solvers.solution import Callback, Clock, Solution, check_stopping, need_squared_loss, unit_of
from ecgcvx.types import Array

Index = NDArray[np.intp]
RESIDUAL = 1e-5  # of OSQP, absolute and relative
HANDOVER = 1e-3  # relative decrease of the objective by a QP below which the polish takes over
TIGHTER = 0.03  # of the handover, where the polish did not close the gap: QPs go on from where it ended
LEAST_DECREASE = 1e-9  # below which QPs do nothing
SMALL = 0.1  # of the largest norm: groups below it are screened
LEAST_WEIGHT = 1e-3  # of the largest norm: weight of groups that a warm start leaves at zero
QP_ITERATIONS = 10_000
INTERRUPTED = "interrupted"  # its status after Ctrl-C


@dataclass(frozen=True)
class OsqpSolver:
    """Alternate QPs and weights until they stagnate, then polish until the duality gap is closed.

    Use it for its independence of the interior-point solver, and where a QP solver is what there is (embedded code).

    gap : relative duality gap. rounds : QPs before giving up.
    """

    gap: float = 1e-5
    rounds: int = 200

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
        """Solve the program; a warm start (g, d) sets the first weights.

        Raises SolverError for a loss that is not squared.
        """
        need_squared_loss(program, "OSQP")
        clock = Clock(callback, time_limit)
        state = _State(program, warm_start)
        reason, handover = "round limit", HANDOVER
        best: Solution | None = None
        with stoppable() as loop:
            for _ in range(self.rounds):
                if clock.expired:
                    reason = clock.reason
                    break
                decrease = state.advance()
                clock.report(state.value)
                if decrease < handover:
                    best = better(best, complete(program, state.u, self.gap, clock, f"OSQP: {state.detail}", reason))
                    if best.status != reason or handover < LEAST_DECREASE:
                        return best
                    state, handover = _State(program, best.u), handover * TIGHTER
        if loop.stopped:
            reason = "interrupted"
        return better(best, complete(program, state.u, self.gap, clock, f"OSQP: {state.detail}", reason))


class _State:
    """Iterate, groups in play, their models and the rows in force."""

    def __init__(self, program: ConvexProgram, warm_start: Array | None) -> None:
        self.program = program
        g, self.d = program.shape
        self.H, self.c, _ = program.quadratic
        self.rows = ConeRows(program)
        self.u = np.zeros(program.shape) if warm_start is None else warm_start.copy()
        self.value = self._objective(self.u)
        norms = np.linalg.norm(self.u, axis=1)
        self.unit = unit_of(program)
        self.eta = np.maximum(norms, LEAST_WEIGHT * norms.max()) if norms.any() else np.full(g, self.unit)
        self.in_play = np.ones(g, dtype=bool)
        self.detail = "not started"

    def advance(self) -> float:
        """Solve one QP and take what follows from it; return the relative decrease of the objective.

        inf is returned when rows were missing: the value before was of another, looser problem.
        """
        target = self._solve_qp()
        added = self.rows.grow(target)
        value = self._objective(target)
        decrease = np.inf if added else (self.value - value) / max(abs(value), 1e-300)
        self.u, self.value = target, value
        self._screen()
        norms = np.linalg.norm(self.u, axis=1)
        self.eta = np.where(norms > 0, norms, self.eta)
        return decrease

    def _screen(self) -> None:
        """Zero the small groups for which zero is the best value, the other groups as they are."""
        norms = np.linalg.norm(self.u, axis=1)
        for j in np.flatnonzero(self.in_play & (norms <= SMALL * norms.max())):
            block = slice(j * self.d, (j + 1) * self.d)
            others = self.c[block] - self.H[block] @ self.u.ravel() + self.H[block, block] @ self.u[j]
            # Rows in force may lower this price further; without them the test is safe.
            if np.linalg.norm(others) <= self.program.beta:
                self.u[j] = 0.0
                self.in_play[j] = False
        self.value = self._objective(self.u)

    def _objective(self, u: Array) -> float:
        return self.program.quadratic.value(u) + self.program.penalty(u)

    def _model(self, groups: Index) -> tuple[Array, Array]:
        """P and q of the QP over the groups in play."""
        beta, d = self.program.beta, self.d
        index = (groups[:, None] * d + np.arange(d)).ravel()
        P, q = self.H[np.ix_(index, index)], -self.c[index]
        for k, j in enumerate(groups):
            block = slice(k * d, (k + 1) * d)
            P[block, block] += beta / self.eta[j] * np.eye(d)
        return P, q

    def _solve_qp(self) -> Array:
        import osqp

        groups = np.flatnonzero(self.in_play)
        target = np.zeros(self.program.shape)
        if not len(groups):
            return target
        P, q = self._model(groups)
        A = sp.block_diag([self.rows.matrix(j) for j in groups], format="csc")
        beta, rows = self.program.beta, A.shape[0]
        problem = osqp.OSQP()
        # In units of beta and of the variables all is of order one, as OSQP's absolute tolerances expect.
        problem.setup(
            sp.triu(sp.csc_matrix(P * (self.unit / beta)), format="csc"), q / beta, A, np.zeros(rows),
            np.full(rows, np.inf), eps_abs=RESIDUAL, eps_rel=RESIDUAL, max_iter=QP_ITERATIONS, check_termination=50,
            verbose=False,
        )  # fmt: skip
        problem.warm_start(x=self.u[groups].ravel() / self.unit)
        result = problem.solve(raise_error=False)
        self.detail = str(result.info.status)
        if self.detail == INTERRUPTED:  # OSQP takes Ctrl-C for itself
            note()
            raise KeyboardInterrupt
        if not np.isfinite(result.x).all():
            raise SolverError(f"OSQP ended with status {self.detail!r}; use the CVXPY solver for this program")
        target[groups] = self.unit * result.x.reshape(len(groups), self.d)
        return target
