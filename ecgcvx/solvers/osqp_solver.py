"""The group-lasso program as a sequence of quadratic programs, each solved by OSQP.

A group norm is no quadratic, but  beta ||u|| = min_{eta > 0} beta/2 (||u||^2 / eta + eta):  alternate a QP in u with
the weights 1/eta_j, and eta_j = ||u_j||. This majorise-minimise scheme stagnates near 1e-3 on many groups (a group that
should vanish shrinks only slowly, and so does the error of its size), so it is completed by what it lacks:

1. screening: a small group goes to zero as soon as zero is its best value with the others as they are (its block
   coordinate step), and comes back if its price exceeds beta at the end;
2. polish: as long as the objective falls, the majoriser beta I/||u|| is bent towards the exact Hessian of the norm,
   beta/||u|| (I - (1 - damping) uu'/||u||^2), damping 1 -> 0: sequential quadratic programming in the
   Levenberg-Marquardt manner, which falls back to the safe majoriser and ends quadratically convergent.

The data enter through the Gram matrix; cone rows are added as they are violated.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ecgcvx.errors import InputError, SolverError
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.rows import ConeRows
from ecgcvx.solvers.solution import Callback, Clock, Solution, finish

Array = NDArray[np.float64]
Index = NDArray[np.intp]
# OSQP's residuals while the objective still falls by 1e-3 a QP, and after; its own polish comes on top.
LOOSE, TIGHT = 1e-5, 1e-8
SMALL = 0.1  # of the largest norm: groups below it are screened
REVIVED = 1e-3  # of the largest norm: first weight of a group that comes back
QP_ITERATIONS = 10_000


@dataclass(frozen=True)
class OsqpSolver:
    """Alternate QPs and weights, then screen and polish, until the duality gap over the given patterns is closed.

    Use it for its independence of the interior-point solver, and where a QP solver is what there is (embedded code).

    tolerance : relative duality gap. rounds : QPs before giving up.
    """

    tolerance: float = 1e-5
    rounds: int = 200

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise InputError(f"tolerance = {self.tolerance}: give a positive relative gap, as 1e-5")

    def solve(
        self,
        program: ConvexProgram,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Solve the program; a warm start (g, d) sets the first weights."""
        clock = Clock(callback, time_limit)
        state = _State(program, warm_start)
        reason = "round limit"
        try:
            for _ in range(self.rounds):
                if clock.expired:
                    reason = "time limit"
                    break
                decrease = state.advance()
                clock.report(state.value)
                if decrease < 1e-2 * self.tolerance and state.closed(self.tolerance):
                    break
        except KeyboardInterrupt:
            reason = "interrupted"
        return finish(program, state.u, self.tolerance, clock, f"OSQP: {state.detail}", reason)


class _State:
    """Iterate, groups in play, their models and the rows in force."""

    def __init__(self, program: ConvexProgram, warm_start: Array | None) -> None:
        self.program = program
        g, self.d = program.shape
        self.H, self.c, self.constant = program.quadratic
        self.rows = ConeRows(program)
        self.u = np.zeros(program.shape) if warm_start is None else warm_start.copy()
        self.value = self._objective(self.u)
        norms = np.linalg.norm(self.u, axis=1)
        self.eta = np.maximum(norms, REVIVED * norms.max()) if norms.any() else np.ones(g)
        self.in_play = np.ones(g, dtype=bool)
        self.damping = 1.0
        self.tight = False
        self.detail = "not started"

    def advance(self) -> float:
        """Solve one QP and take what follows from it; return the relative decrease of the objective.

        inf is returned when rows were missing: the value before was of another, looser problem.
        """
        target = self._solve_qp()
        added = self.rows.grow(target)
        value = self._objective(target)
        if not added and value > self.value and self.damping < 1.0:
            # The bent model is no majoriser: where it fails, one nearer to the majoriser takes over.
            self.damping = min(1.0, 100 * self.damping)
            return (value - self.value) / value
        decrease = np.inf if added else (self.value - value) / max(abs(value), 1e-300)
        if decrease < 1e-2:
            self.damping = max(self.damping / 10, 1e-8)
        self.u, self.value = target, value
        self._screen()
        norms = np.linalg.norm(self.u, axis=1)
        self.eta = np.where(norms > 0, norms, self.eta)
        self.tight = decrease < 1e-3
        return decrease

    def closed(self, tolerance: float) -> bool:
        """Whether the gap is closed; otherwise groups whose price exceeds beta come back into play."""
        bound = self.program.dual_bound(self.program.residual(self.u))
        if self.value - bound.value <= tolerance * self.value:
            return True
        back = ~self.in_play & (bound.prices > self.program.beta)
        self.in_play |= back
        self.eta[back] = REVIVED * max(float(np.linalg.norm(self.u, axis=1).max()), 1e-300)
        return False

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
        flat = u.ravel()
        loss = flat @ (self.H @ flat) / 2 - self.c @ flat + self.constant
        return float(loss) + self.program.penalty(u)

    def _model(self, groups: Index) -> tuple[Array, Array]:
        """P and q of the QP over the groups in play."""
        beta, d = self.program.beta, self.d
        index = (groups[:, None] * d + np.arange(d)).ravel()
        P, q = self.H[np.ix_(index, index)], -self.c[index]
        for k, j in enumerate(groups):
            block = slice(k * d, (k + 1) * d)
            P[block, block] += beta / self.eta[j] * np.eye(d)
            bend = 1.0 - self.damping
            if bend > 0 and self.u[j].any():
                w = self.u[j] / self.eta[j]
                P[block, block] -= bend * beta / self.eta[j] * np.outer(w, w)
                q[block] += bend * beta * w
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
        eps = TIGHT if self.tight else LOOSE
        problem = osqp.OSQP()
        # In units of beta gradients are of order one, as OSQP's absolute tolerances expect.
        problem.setup(
            sp.triu(sp.csc_matrix(P / beta), format="csc"), q / beta, A, np.zeros(rows), np.full(rows, np.inf),
            eps_abs=eps, eps_rel=eps, max_iter=QP_ITERATIONS, check_termination=50, polishing=rows > 0, verbose=False,
        )  # fmt: skip
        problem.warm_start(x=self.u[groups].ravel())
        result = problem.solve()
        self.detail = str(result.info.status)
        if not np.isfinite(result.x).all():
            raise SolverError(f"OSQP ended with status {self.detail!r}; use the CVXPY solver for this program")
        target[groups] = result.x.reshape(len(groups), self.d)
        return target
