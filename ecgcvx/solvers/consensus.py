"""Consensus ADMM: shards of the data that agree on one network, by way of a hub or with neighbours alone.

Shard k of K holds n_k of the n rows, and with them its part f_k(u) = n_k/n L_k(u) of the loss and its rows C_k of the
cones. It keeps a copy u_k of the variables, z_k of those of the penalty and s_k of the values of its cone rows:

    u_k <- (n_k/n H_k + rho (1 + m_k) M + rho C_k'C_k)^-1
           (n_k/n c_k + rho M (z_k - a_k + w_k - b_k) + rho C_k'(s_k - t_k))
    hub:         z_k <- prox(mean_l (u_l^ + a_l)), the same for all;   m_k = w_k = b_k = 0
    neighbours:  z_k <- prox(u_k^ + a_k);   m_k the number of neighbours l of k,
                 w_k <- sum_l (u_k + u_l) / 2 (over-relaxed),   b_k <- b_k + sum_l (u_k - u_l) / 2
    both:        s_k <- (C_k u_k^ + t_k)_+,   a_k <- a_k + u_k^ - z_k,   t_k <- t_k + C_k u_k^ - s_k

with u^ over-relaxed and prox(v) = argmin_z beta sum ||z_j|| + K rho/2 ||z - v||_M^2. The metric M = diag(F_j'F_j / n),
one sum over the shards at the start, is that of `solvers.fista`: the taps of a window are nearly equal, and in the
Euclidean one the copies agree on the sum of two taps long before they do on the difference. Cone rows are scaled to
unit norm in it.

A shard sends u_k and nothing of its data, but that the last point is put into its cones needs the rows that hold it.
Every sum over shards of the stopping rule is passed up and down a tree and counted, too.

Sources: Boyd et al. 2011, sections 7.1 and 8.2 (hub); Mateos, Bazerque & Giannakis 2010 (neighbours).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ecgcvx.errors import InputError
from ecgcvx.evidence import relative_gap
from ecgcvx.interruption import stoppable
from ecgcvx.programs.losses import scaled_parabola
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.programs.shards import FLOAT, JoinedFeatures, check_shards
from ecgcvx.solvers.fista import secular_root
from ecgcvx.solvers.rows import StackedRows
from ecgcvx.solvers.solution import Callback, Clock, Solution, check_stopping, feasible, need_squared_loss
from ecgcvx.types import Array

RELAXATION = 1.6
BALANCE = 5.0  # ratio of the relative residuals beyond which rho changes
BALANCED_ROUNDS = 30  # after which rho stays: convergence is proved for a fixed one
FIRST_RHO = 0.25  # in units of the metric
RIDGE, CONE_RIDGE = 1e-3, 1e-1  # of a block's largest eigenvalue: directions that the loss hardly sees, the norm does
SCALARS = 8  # numbers that a sum over shards carries besides the prices


@dataclass(frozen=True, eq=False)
class ConsensusSolution(Solution):
    """A solution, what it cost to agree on it, and how far the shards are apart.

    exchanged : bytes that all shards sent and received in all, and as they were at each line of the history (traffic).
    disagreement : largest distance of a shard's z_k from their mean, relative to the mean's norm; 0 with a hub.
    """

    exchanged: int
    traffic: tuple[int, ...]
    disagreement: float


@dataclass(frozen=True)
class ConsensusSolver:
    """Rounds of ADMM until the duality gap, summed over the shards, closes.

    gap : relative duality gap. rounds : before giving up. iterations : of a round, after which the gap is looked at.
    neighbours : pairs of shards that talk to each other, None for a hub that talks to all of them.
    """

    gap: float = 1e-5
    rounds: int = 400
    iterations: int = 25
    neighbours: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)
        if self.iterations < 1:
            raise InputError(f"iterations = {self.iterations}: give at least 1 a round")

    def solve(
        self,
        shards: Sequence[ConvexProgram],
        *,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> ConsensusSolution:
        """Solve the program whose rows are those of all shards; these have the same gates, signs, cones and beta.

        Raises InputError for shards of different programs or neighbours that do not connect them, SolverError for a
        loss that is not squared.
        """
        check_shards(shards)
        for shard in shards:
            need_squared_loss(shard, "consensus ADMM")
        clock = Clock(callback, time_limit)
        state = _State(shards, _adjacency(self.neighbours, len(shards)))
        detail = "consensus ADMM, " + ("hub" if self.neighbours is None else f"{len(self.neighbours)} links")
        joined = JoinedFeatures(tuple(shard.features for shard in shards))
        whole = replace(shards[0], features=joined, y=np.concatenate([shard.y for shard in shards]))
        reason, traffic = "round limit", []
        found: _Evaluated | None = None
        with stoppable() as loop:
            for number in range(self.rounds):
                if clock.expired:
                    reason = clock.reason
                    break
                primal, dual = state.iterate(self.iterations)
                value, gap = state.evaluate()
                traffic.append(state.exchanged)
                clock.report(value, gap)
                grown = state.grow()
                if gap <= self.gap / 2 and not grown:
                    found = _evaluated(whole, state.mean, self.gap, reason)
                    if found.status == "optimal":
                        break
                if number < BALANCED_ROUNDS:
                    state.balance(primal, dual)
        if loop.stopped:
            reason = "interrupted"
        if found is None or found.status != "optimal":
            found = _evaluated(whole, state.mean, self.gap, reason)
        return ConsensusSolution(
            found.u, found.primal, found.dual, found.violation, self.iterations * len(traffic), found.status, detail,
            clock.seconds, tuple(clock.history), state.exchanged + joined.exchanged, tuple(traffic), state.disagreement,
        )  # fmt: skip


class _Evaluated(NamedTuple):
    """A point in its cones, its objective, a lower bound, its violation, and whether that is enough."""

    u: Array
    primal: float
    dual: float
    violation: float
    status: str


def _evaluated(program: ConvexProgram, z: Array, gap: float, reason: str) -> _Evaluated:
    """Put a point into its cones and bound it; the residual of the point as it was bounds it better than that of u."""
    u = feasible(program, z, gap)
    primal = program.objective(u)
    dual = max(program.dual_bound(program.residual(point)).value for point in ((z, u) if program.cones else (u,)))
    status = "optimal" if primal - dual <= gap * primal else reason
    return _Evaluated(u, primal, dual, program.violation(u), status)


class _State:
    """Copies of the variables of K shards, and what they have sent.

    U, Z, A, W, B : (K, g, d), as in the module's formulas. rho is the same for all.
    """

    def __init__(self, shards: Sequence[ConvexProgram], adjacency: Array | None) -> None:
        n = sum(shard.features.n for shard in shards)
        self.beta = shards[0].beta
        self.adjacency = adjacency
        self.degrees = np.zeros(len(shards)) if adjacency is None else adjacency.sum(axis=1)
        self.links = len(shards) if adjacency is None else int(self.degrees.sum()) // 2
        self.H, self.c, self.constant = [], [], 0.0
        for shard in shards:
            weight = shard.features.n / n
            self.H.append(weight * shard.quadratic.H)
            self.c.append(weight * shard.quadratic.c)
            self.constant += weight * shard.quadratic.constant
        self.metric = _Metric(self.H, shards[0].shape, CONE_RIDGE if shards[0].cones else RIDGE)
        self.cones = [_Cones(shard, self.metric) for shard in shards]
        shape = (len(shards), *shards[0].shape)
        self.U, self.Z, self.A, self.W, self.B = (np.zeros(shape) for _ in range(5))
        self.rho = FIRST_RHO
        self.exchanged = 2 * self._tree * FLOAT * self.metric.M.size

    @property
    def _tree(self) -> int:
        """Messages on the way up of a sum over the shards, as many as on the way down."""
        return len(self.H) if self.adjacency is None else len(self.H) - 1

    @property
    def mean(self) -> Array:
        """The mean of the z_k, (g, d)."""
        return np.asarray(self.Z.mean(axis=0))

    @property
    def disagreement(self) -> float:
        """Largest distance of a z_k from the mean, relative."""
        size = float(np.linalg.norm(self.mean))
        return max(float(np.linalg.norm(z - self.mean)) for z in self.Z) / size if size > 0 else 0.0

    def iterate(self, iterations: int) -> tuple[float, float]:
        """Run ADMM with the present rho and rows; return the relative primal and dual residuals over all shards."""
        factors = [self._factor(k) for k in range(len(self.H))]
        rho, alpha = self.rho, RELAXATION
        last_Z, last_W = self.Z, self.W
        for _ in range(iterations):
            pull = self.metric.apply(self.Z - self.A + self.W - self.B)
            for k, cone in enumerate(self.cones):
                target = self.c[k] + rho * (pull[k] + cone.transposed(cone.s - cone.t)).ravel()
                self.U[k] = cho_solve(factors[k], target).reshape(self.U[k].shape)
                cone.step(self.U[k], alpha)
            last_Z, last_W = self.Z, self.W
            relaxed = alpha * self.U + (1 - alpha) * self.Z
            self.Z = self._prox(relaxed + self.A)
            self.A = self.A + relaxed - self.Z
            self._exchange(alpha)
        self.exchanged += iterations * 2 * self.links * FLOAT * self.U[0].size
        return self._residuals(last_Z, last_W)

    def _exchange(self, alpha: float) -> None:
        """What neighbours make of each other's u; nothing with a hub."""
        if self.adjacency is None:
            return
        own = self.degrees[:, None, None] * self.U
        others = np.tensordot(self.adjacency, self.U, 1)
        self.W = alpha * (own + others) / 2 + (1 - alpha) * self.W
        self.B = self.B + alpha * (own - others) / 2

    def _prox(self, V: Array) -> Array:
        """The z_k of v_k, (K, g, d)."""
        weight = len(V) * self.rho
        if self.adjacency is None:
            return np.broadcast_to(self.metric.prox(V.mean(axis=0), self.beta / weight), V.shape)
        return np.stack([self.metric.prox(v, self.beta / weight) for v in V])

    def _residuals(self, last_Z: Array, last_W: Array) -> tuple[float, float]:
        """How far copies are apart and how far they moved, relative to their size and to that of the multipliers."""
        sizes = np.zeros(4)
        for k, cone in enumerate(self.cones):
            square, u, z = self.metric.square, self.U[k], self.Z[k]
            inner = self.metric.apply(z - last_Z[k] + self.W[k] - last_W[k]) + cone.transposed(cone.s - cone.last)
            force = cone.transposed(cone.t)
            sizes += (
                square(u - z) + square(self.degrees[k] * u - self.W[k]) + float(np.sum((cone.values(u) - cone.s) ** 2)),
                max(square(u), square(z)),
                self.metric.dual_square(inner),
                max(square(self.A[k]), square(self.B[k]), self.metric.dual_square(force)),
            )
        return _ratio(sizes[0], sizes[1]), _ratio(sizes[2], sizes[3])

    def balance(self, primal: float, dual: float) -> None:
        """Change rho by the root of the ratio of the residuals when they are far apart; scaled multipliers follow."""
        if max(primal, dual) > BALANCE * min(primal, dual) > 0:
            factor = float(np.clip(np.sqrt(primal / dual), 0.2, 5.0))
            self.rho *= factor
            self.A, self.B = self.A / factor, self.B / factor
            for cone in self.cones:
                cone.t = cone.t / factor

    def grow(self) -> bool:
        """Let every shard add the rows of its cones that its z_k violates; return whether there were any."""
        grown = [cone.grow(z) for cone, z in zip(self.cones, self.Z, strict=True)]
        return any(grown)

    def evaluate(self) -> tuple[float, float]:
        """Objective and relative gap at the mean, from sums over the shards.

        The cones enter the prices by the multipliers lambda >= 0 of their rows: for w in K_j, d'w <= ||d + C'lambda||.
        """
        z = self.mean
        flat = z.ravel()
        descent, cross, square = np.zeros(flat.shape), 0.0, 0.0
        for H, c, cone in zip(self.H, self.c, self.cones, strict=True):
            Hz = H @ flat
            descent += c - Hz - self.rho * cone.transposed(cone.t).ravel()
            cross += float(c @ flat)
            square += float(flat @ Hz)
        ry = 2 * self.constant - cross
        rr = max(2 * self.constant - 2 * cross + square, 0.0)
        primal = rr / 2 + self.beta * float(np.linalg.norm(z, axis=1).sum())
        worst = float(np.linalg.norm(descent.reshape(z.shape), axis=1).max())
        dual = scaled_parabola(ry, rr, self.beta / worst if worst > 0 else np.inf)
        means = 0 if self.adjacency is None else z.size
        self.exchanged += 2 * self._tree * FLOAT * (z.size + means + SCALARS)
        return primal, relative_gap(primal, dual)

    def _factor(self, k: int) -> tuple[Array, bool]:
        d = self.U[k].shape[1]
        blocks = (1 + self.degrees[k]) * self.metric.M + self.cones[k].squares()
        matrix = self.H[k].copy()
        for j, block in enumerate(blocks):
            own = slice(j * d, (j + 1) * d)
            matrix[own, own] += self.rho * block
        return cho_factor(matrix, lower=True)


class _Metric:
    """M (g, d, d) = diag(F_j'F_j / n) with a ridge, its eigenvalues e (g, d) and eigenvectors V (g, d, d)."""

    def __init__(self, parts: list[Array], shape: tuple[int, int], ridge: float) -> None:
        g, d = shape
        each = np.arange(g)
        own = sum(H.reshape(g, d, g, d)[each, :, each, :] for H in parts)
        e, self.V = np.linalg.eigh(own)
        self.e = np.maximum(e, 0.0) + np.maximum(ridge * e[:, -1:], np.finfo(float).tiny)
        self.M = np.einsum("jab,jb,jcb->jac", self.V, self.e, self.V)

    def apply(self, v: Array) -> Array:
        """Return M_j v_j, (..., g, d)."""
        return np.einsum("jab,...jb->...ja", self.M, v)

    def square(self, v: Array) -> float:
        """Return ||v||_M^2."""
        return float(np.sum(v * self.apply(v)))

    def dual_square(self, v: Array) -> float:
        """Return ||v||^2 in the metric M^-1."""
        return float(np.sum(np.einsum("jab,ja->jb", self.V, v) ** 2 / self.e))

    def row_norms(self, C: Array) -> Array:
        """Norms (g, k) of rows C (g, k, d) in the metric M^-1, 1 for rows of zeros."""
        norms = np.sqrt(np.sum(np.einsum("jab,jka->jkb", self.V, C) ** 2 / self.e[:, None, :], axis=2))
        return np.where(norms > 0, norms, 1.0)

    def prox(self, v: Array, weight: float) -> Array:
        """Return argmin_z weight sum_j ||z_j|| + ||z - v||_M^2 / 2, (g, d)."""
        q = self.e * np.einsum("jab,ja->jb", self.V, v)
        z = np.zeros_like(v)
        active = np.flatnonzero(np.linalg.norm(q, axis=1) > weight)
        if len(active):
            e, q = self.e[active], q[active]
            s = secular_root(e, q, weight)[:, None]
            z[active] = np.einsum("jab,jb->ja", self.V[active], s * q / (s * e + weight))
        return z


class _Cones:
    """A shard's rows in force, scaled to unit norm in the metric, with their values s >= 0 and multipliers t <= 0."""

    def __init__(self, program: ConvexProgram, metric: _Metric) -> None:
        self.stack, self.metric = StackedRows(program), metric
        self.norms = metric.row_norms(self.stack.C)
        self.s = self.last = np.zeros(self.norms.shape)

    @property
    def t(self) -> Array:
        """Scaled multipliers (g, k), which stay with their rows."""
        return self.stack.multipliers

    @t.setter
    def t(self, values: Array) -> None:
        self.stack.multipliers = values

    def values(self, u: Array) -> Array:
        """Return C_j u_j, (g, k)."""
        return self.stack.values(u) / self.norms

    def transposed(self, m: Array) -> Array:
        """Return C_j'm_j, (g, d)."""
        return self.stack.transposed(m / self.norms)

    def squares(self) -> Array:
        """Return C_j'C_j, (g, d, d)."""
        C = self.stack.C / self.norms[:, :, None]
        return np.einsum("jkd,jke->jde", C, C)

    def step(self, u: Array, alpha: float) -> None:
        """The new values and multipliers for a shard's u (g, d)."""
        moved = alpha * self.values(u) + (1 - alpha) * self.s + self.t
        self.last, self.s, self.t = self.s, np.maximum(moved, 0.0), np.minimum(moved, 0.0)

    def grow(self, z: Array) -> bool:
        """Add the rows that z violates; return whether there were any."""
        if not self.stack.grow(z):
            return False
        self.norms = self.metric.row_norms(self.stack.C)
        self.s = self.last = np.maximum(self.values(z), 0.0)
        return True


def _adjacency(neighbours: tuple[tuple[int, int], ...] | None, shards: int) -> Array | None:
    """The matrix of a graph; InputError unless it connects all shards."""
    if neighbours is None:
        return None
    adjacency = np.zeros((shards, shards))
    for k, other in neighbours:
        if not (0 <= k < shards and 0 <= other < shards and k != other):
            raise InputError(f"neighbours ({k}, {other}): give two different shards of 0 to {shards - 1}")
        adjacency[k, other] = adjacency[other, k] = 1.0
    reached = np.zeros(shards, dtype=np.bool_)
    reached[0] = True
    for _ in range(shards):
        reached |= adjacency @ reached > 0
    if not reached.all():
        raise InputError(f"neighbours: shard {int(np.argmin(reached))} has no path to shard 0; add a link")
    return adjacency


def _ratio(residual: float, scale: float) -> float:
    """Size of a residual relative to a scale, both given as squares, at most 1."""
    return float(np.sqrt(residual / scale)) if scale > residual else float(residual > 0)
