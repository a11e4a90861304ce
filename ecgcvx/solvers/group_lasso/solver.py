"""The group lasso by working sets: the Gram matrix of few groups, extended as they grow.

    minimise  1/(2n) ||sum_j F_j u_j - y||^2 + beta sum_j ||u_j||

Where few groups are active, most of the Gram matrix is never needed. A round

1. evaluates objective, prices and duality gap on the data (or the sums that stand for them), over all groups, and stops
   when the gap is closed;
2. adds the groups with the highest prices above beta to the working set, at most as many as it has (8 at least), and
   all groups once 40 % are in it, and extends the Gram matrix by their blocks;
3. solves the program over the working set on its Gram matrix: sweeps of compiled block descent, and after every ten of
   them, where the gap over the working set is looked at, a step of Newton's method in the groups that are not zero.

Each diagonal block of the Gram matrix is diagonalised, which leaves norms as they are: a visit of a group is then one
scalar equation. Block descent finds the active groups, but neighbouring taps of a window are nearly equal and it
crawls; Newton's method knows no ill-conditioning, but is blind to groups that are zero or about to be.

Source: Qin, Scheinberg & Goldfarb 2013 (the block step); Massias, Gramfort & Salmon 2018 (working sets and gaps).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ecgcvx.errors import SolverError
from ecgcvx.interruption import stoppable
from ecgcvx.programs.features import Index
from ecgcvx.programs.losses import scaled_parabola
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.programs.summed import SummedGated
from ecgcvx.solvers.group_lasso.blocks import sweep
from ecgcvx.solvers.solution import Callback, Clock, Solution, check_stopping, evaluate, need_squared_loss
from ecgcvx.types import Array

SWEEPS = 10  # between two looks at the gap
LOOKS = 500  # at the gap of one working set
SWEEPS_A_NEWTON = 1 / 40  # times k^2 / (w d), k the variables that are not zero: sweeps that take as long as a step
LEAST_SWEEPS = 20  # before a step of Newton, whose overhead small programs feel
FIRST = 8  # groups that are added at least
SMALL = 2e8  # operations of a whole Gram matrix up to which it is formed at once
ALL = 0.4  # share of groups in the working set from which all are taken
FORCING = 1e-2  # of the gap over all groups: how far the program over a working set is solved
VANISHING = 0.1  # of its norm: a group that a Newton step would shrink below it is left out of the step


@dataclass(frozen=True)
class GroupLassoSolver:
    """Working sets, block descent and Newton's method, for programs of any design without cones.

    gap : relative duality gap to stop at. rounds : working sets before giving up.
    """

    gap: float = 1e-5
    rounds: int = 100

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)

    def solve(
        self,
        program: ConvexProgram | SummedGated,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Solve the program from a warm start (g, d) or from zero.

        Raises SolverError for a loss that is not squared and for cones.
        """
        need_squared_loss(program, "the group lasso")
        if program.cones:
            raise SolverError("cones: the group lasso has none; use FISTA, ADMM, OSQP or CVXPY for a ReLU program")
        clock = Clock(callback, time_limit)
        u = np.zeros(program.shape) if warm_start is None else warm_start.copy()
        found, reason = evaluate(program, u), "round limit"
        working = _WorkingSet(program, np.flatnonzero(u.any(axis=1)))
        with stoppable() as loop:
            for _ in range(self.rounds):
                clock.report(found.primal, found.gap)
                if found.gap <= self.gap:
                    reason = "optimal"
                    break
                if clock.expired:
                    reason = clock.reason
                    break
                working.add(_additions(program, found.prices, working.members))
                accuracy = self.gap / 2 if working.complete else max(self.gap / 2, FORCING * found.gap)
                new = working.solve(u, accuracy, clock)
                u, found = new, evaluate(program, new)
        if loop.stopped:
            reason = "interrupted"
        detail = f"group lasso, {len(working.members)} of {len(u)} groups in the working set"
        return clock.solution(u, found, 0.0, reason, detail)


def _additions(program: ConvexProgram | SummedGated, prices: Array, members: Index) -> Index:
    """The groups to add, in ascending order."""
    outside = np.setdiff1d(np.arange(len(prices)), members)
    wanted = outside[prices[outside] > program.beta]
    most = max(len(members), FIRST)
    g, d = program.shape
    if len(members) + min(len(wanted), most) > ALL * g or program.n * (g * d) ** 2 <= SMALL:
        return outside
    return np.sort(wanted[np.argsort(-prices[wanted], kind="stable")[:most]])


class _WorkingSet:
    """Groups `members` (w,) and their Gram matrix H (w d, w d) in coordinates V_j that make H_jj = diag(e_j)."""

    def __init__(self, program: ConvexProgram | SummedGated, members: Index) -> None:
        _, d = program.shape
        self.program = program
        self.c, self.yy = program.correlation, program.squares
        self.members = np.empty(0, dtype=np.intp)
        self.H, self.e, self.V = np.empty((0, 0)), np.empty((0, d)), np.empty((0, d, d))
        self.add(members)

    @property
    def complete(self) -> bool:
        """Whether all groups are members."""
        return len(self.members) == self.program.shape[0]

    def add(self, new: Index) -> None:
        """Extend the Gram matrix by new groups (k,)."""
        k, d = len(new), self.program.shape[1]
        if not k:
            return
        own = self.program.hessian(new, new).reshape(k, d, k, d)
        e, V = np.linalg.eigh(own[np.arange(k), :, np.arange(k), :])
        w = len(self.members)
        H = np.empty((w + k, d, w + k, d))
        H[:w, :, :w] = self.H.reshape(w, d, w, d)
        H[w:, :, w:] = _rotated(own, V, V)
        if w:
            cross = self.program.hessian(self.members, new).reshape(w, d, k, d)
            H[:w, :, w:] = _rotated(cross, self.V, V)
            H[w:, :, :w] = H[:w, :, w:].transpose(2, 3, 0, 1)
        self.H = H.reshape((w + k) * d, -1)
        self.e, self.V = np.concatenate([self.e, np.maximum(e, 0.0)]), np.concatenate([self.V, V])
        self.members = np.concatenate([self.members, new])

    def solve(self, u: Array, gap: float, clock: Clock) -> Array:
        """Return u (g, d) after the program over the members is solved to a relative gap, or as far as time allows."""
        out = np.zeros_like(u)
        x = np.einsum("jab,ja->jb", self.V, u[self.members])
        c = np.einsum("jab,ja->jb", self.V, self.c[self.members])
        gradient = (self.H @ x.ravel()).reshape(x.shape) - c
        swept = 0
        for _ in range(LOOKS):
            sweep(self.H, self.e, self.program.beta, x, gradient, SWEEPS)
            swept += SWEEPS
            if self._gap(x, gradient, c) <= gap or clock.expired:
                break
            if swept >= LEAST_SWEEPS + SWEEPS_A_NEWTON * (np.count_nonzero(x.any(axis=1)) * x.shape[1]) ** 2 / x.size:
                x, gradient = self._newton(x, gradient)
                swept = 0
        out[self.members] = np.einsum("jab,jb->ja", self.V, x)
        return out

    def _gap(self, x: Array, gradient: Array, c: Array) -> float:
        """The relative duality gap over the members."""
        beta = self.program.beta
        xc, xHx = float(np.sum(x * c)), float(np.sum(x * (gradient + c)))
        value = (self.yy - 2 * xc + xHx) / 2 + beta * float(np.linalg.norm(x, axis=1).sum())
        worst = float(np.linalg.norm(gradient, axis=1).max())
        dual = scaled_parabola(self.yy - xc, self.yy - 2 * xc + xHx, beta / worst if worst > 0 else np.inf)
        return (value - dual) / value if value > 0 else 0.0

    def _newton(self, x: Array, gradient: Array) -> tuple[Array, Array]:
        """A step of Newton's method in the groups that are not zero; x and its gradient as they are unless P falls."""
        beta, d = self.program.beta, x.shape[1]
        norms = np.linalg.norm(x, axis=1)
        active = np.flatnonzero(norms)
        step = np.zeros_like(x)
        step[norms > 0] = -x[norms > 0]
        while len(active):
            index = (active[:, None] * d + np.arange(d)).ravel()
            size, unit = norms[active], x[active] / norms[active, None]
            gone = np.setdiff1d(np.flatnonzero(norms), active)
            right = gradient[active] + beta * unit
            if len(gone):
                gone_index = (gone[:, None] * d + np.arange(d)).ravel()
                right = right - (self.H[np.ix_(index, gone_index)] @ x[gone].ravel()).reshape(right.shape)
            Q = self.H[np.ix_(index, index)]
            curvature = (np.eye(d) - unit[:, :, None] * unit[:, None, :]) * (beta / size)[:, None, None]
            blocks = Q.reshape(len(active), d, len(active), d)
            each = np.arange(len(active))
            blocks[each, :, each, :] += curvature
            try:
                step[active] = -cho_solve(cho_factor(Q, lower=True, overwrite_a=True), right.ravel()).reshape(-1, d)
            except np.linalg.LinAlgError:
                return x, gradient
            along = 1 + np.sum(step[active] * x[active], axis=1) / size**2
            if (along >= VANISHING).all():
                break
            step[active[along < VANISHING]] = -x[active[along < VANISHING]]
            active = active[along >= VANISHING]
        moved = np.flatnonzero(norms)
        index = (moved[:, None] * d + np.arange(d)).ravel()
        change = (step[moved].ravel() @ self.H[index]).reshape(x.shape)
        fall = float(np.sum(step * gradient)) + float(np.sum(step * change)) / 2
        fall += beta * float((np.linalg.norm(x + step, axis=1) - norms).sum())
        return (x + step, gradient + change) if fall < 0 else (x, gradient)


def _rotated(H: Array, first: Array, second: Array) -> Array:
    """Return first_i' H_ij second_j for blocks H (a, d, b, d)."""
    half = np.matmul(first.transpose(0, 2, 1), H.reshape(len(first), H.shape[1], -1)).reshape(H.shape)
    return np.matmul(half.transpose(2, 0, 1, 3), second[:, None]).transpose(1, 2, 0, 3)
