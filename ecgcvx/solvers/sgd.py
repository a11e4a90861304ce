"""Convex stochastic gradient descent on the unconstrained form of the programs.

    min  L(f) + beta sum_j ||u_j|| + rho sum_j mean_k (-(C_j u_j)_k)_+

over minibatches of rows, without a Gram matrix of all variables. A step is taken in the metric M_j = tau F_j'F_j / n,
since neighbouring taps of an ECG window are nearly equal; tau is the largest curvature of a minibatch in it:

    m <- (9 m + gradient of the minibatch's loss) / 10
    u <- prox_{beta ||.||}(u - eta M^-1 m)            eta falls linearly to zero over the epochs
    u <- prox of the hinge at the minibatch's most violated row of each cone, four rows in turn

The hinges take proximal steps, which end on the row's hyperplane at the latest: the cones of a record are so thin that
a subgradient either leaves them or throws u across (2,000 windows: an objective 3 to 40 times the optimum at any rho,
against 1.1 times). The last point is then projected on its cones.

Source: Pilanci & Ergen 2020 (the hinge form); Bertsekas 2011 (incremental proximal steps); Zamani &
Glineur 2023 (the schedule).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.errors import InputError, SolverError
from ecgcvx.interruption import stoppable
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram
from ecgcvx.solvers.fista import secular_root
from ecgcvx.solvers.solution import Callback, Clock, Solution, evaluate, feasible, finish
from ecgcvx.types import Array

RUN = 512  # consecutive rows read at once; a multiple of 8, since a byte of a pattern holds eight
RUNS_SHUFFLED = 32  # runs in memory together, so that a minibatch mixes distant windows
EPOCHS_A_CHECK = 25
MOMENTUM = 0.9
STEP = 4.0  # of 1/tau; with this momentum 8 still converges and 16 does not
CONE_STEP = 1.0  # with cones a longer step leaves them further: the projection at the end then costs more
RIDGE = 1e-4  # of a block's largest eigenvalue: directions below it are noise in a minibatch
PROBES = 20  # minibatches whose curvature sets the step
ROWS_A_STEP = 4  # of each cone


@dataclass(frozen=True)
class SgdSolver:
    """Minibatch steps on the hinge form, rounded to a feasible point, with the true objective and its gap.

    Use it as the baseline that it is in the literature, or where not even the Gram matrix fits; the other solvers are
    faster and exact. On record 208 (2,000 windows, 25 patterns, beta = 1e-3) it ends at a gap of 4e-2 for the gated
    network, 1.7e-4 above the optimum, after 4 s. For the ReLU network it ends 12 % above the optimum and its residual
    proves nothing near it: a gap of 0.8 after 13 s, with status 'epoch limit'.

    gap : relative duality gap, checked on the rounded point every 25 epochs. epochs : passes over the rows before
    giving up; the step falls to zero over them. batch : rows a step. hinge : rho in units of beta. seed : of the order
    of rows; the same seed gives the same bytes.
    """

    gap: float = 5e-2
    epochs: int = 1000
    batch: int = 64
    hinge: float = 1e6
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, example in (("gap", self.gap, "5e-2"), ("hinge", self.hinge, "1e6")):
            if not value > 0:
                raise InputError(f"{name} = {value}: it must be positive, e.g. {example}")
        for name, number, least in (("epochs", self.epochs, 1), ("batch", self.batch, 1), ("seed", self.seed, 0)):
            if number < least:
                raise InputError(f"{name} = {number}: give at least {least}")

    def solve(
        self,
        program: ConvexProgram,
        *,
        warm_start: Array | None = None,
        callback: Callback | None = None,
        time_limit: float = float("inf"),
    ) -> Solution:
        """Solve the program from a warm start (g, d) or from zero; the rounded point of lowest objective is kept.

        Raises SolverError for a program that is not of the two-layer network.
        """
        if not isinstance(program.features, PatternFeatures):
            name = type(program.features).__name__
            raise SolverError(f"features = {name}: SGD takes minibatches of D_i X; use CVXPY, OSQP, FISTA or ADMM")
        if program.linear is not None:
            raise SolverError("linear: SGD takes no free linear part; use CVXPY, OSQP, FISTA, ADMM or the group lasso")
        clock = Clock(callback, time_limit)
        u = np.zeros(program.shape) if warm_start is None else warm_start.copy()
        best, lowest, reason = feasible(program, u, self.gap), np.inf, "epoch limit"
        with stoppable() as loop:
            descent = _Descent(program, program.features, self, u)
            for epoch in range(self.epochs + 1):
                if epoch % EPOCHS_A_CHECK == 0 or epoch == self.epochs:
                    point = feasible(program, descent.u, self.gap)
                    found = evaluate(program, point)
                    clock.report(found.primal, found.gap)
                    closed = found.gap <= self.gap
                    if closed or found.primal < lowest:
                        best, lowest = point, found.primal
                    if closed or epoch == self.epochs:
                        break
                if clock.expired:
                    reason = clock.reason
                    break
                descent.run(1 - epoch / self.epochs)
        if loop.stopped:
            reason = "interrupted"
        return finish(program, best, self.gap, clock, "SGD", reason)


class _Batch(NamedTuple):
    """Rows of X (b, d), bits of all patterns (p, b), targets (b,) and row norms (b,)."""

    X: Array
    masks: NDArray[np.bool_]
    y: Array
    norms: Array


class _Descent:
    """Iterate u and momentum (g, d), and the metric: eigenvalues (g, d) and eigenvectors (g, d, d)."""

    def __init__(self, program: ConvexProgram, features: PatternFeatures, options: SgdSolver, u: Array) -> None:
        self.program, self.features, self.batch, self.u = program, features, min(options.batch, features.n), u
        self.momentum = np.zeros_like(u)
        self.rho = options.hinge * program.beta
        self.random = np.random.default_rng(options.seed)
        eigenvalues, V = np.linalg.eigh(_squares(features))
        floor = np.maximum(RIDGE * eigenvalues[:, -1:], np.finfo(float).tiny)
        eigenvalues = np.maximum(eigenvalues, floor)
        tau = program.loss.curvature * self._largest_curvature(V / np.sqrt(eigenvalues)[:, None, :])
        step = CONE_STEP if program.cones else STEP
        self.eigenvalues, self.V = tau / step * eigenvalues[program.blocks], V[program.blocks]

    def run(self, eta: float) -> None:
        """One pass over all rows with the step eta, relative to that of the metric."""
        for batch in _batches(self.features, self.program.y, self.batch, self.random):
            self._step(batch, eta)

    def _step(self, batch: _Batch, eta: float) -> None:
        """One step on a minibatch."""
        program, e, V = self.program, self.eigenvalues / eta, self.V
        signed = program.signs[:, None] * batch.masks[program.blocks]
        f = np.einsum("jb,jb->b", signed, self.u @ batch.X.T)
        gradient = -(signed * program.loss.residual(f, batch.y)) @ batch.X / len(batch.y)
        self.momentum = MOMENTUM * self.momentum + (1 - MOMENTUM) * gradient
        q = e * np.einsum("jab,ja->jb", V, self.u) - np.einsum("jab,ja->jb", V, self.momentum)
        active = np.flatnonzero(np.linalg.norm(q, axis=1) > program.beta)
        self.u = np.zeros_like(self.u)
        if len(active):
            s = secular_root(e[active], q[active], program.beta)[:, None]
            shrunk = s * q[active] / (s * e[active] + program.beta)
            self.u[active] = np.einsum("jab,jb->ja", V[active], shrunk)
        if program.cones:
            self._enter_cones(batch, e)

    def _enter_cones(self, batch: _Batch, e: Array) -> None:
        """Proximal steps on the hinge of the row that each u_j violates most, in the metric."""
        orientation = np.where(batch.masks[self.program.blocks], 1.0, -1.0) / batch.norms
        each = np.arange(len(orientation))
        for _ in range(ROWS_A_STEP):
            slack = orientation * (self.u @ batch.X.T)
            worst = slack.argmin(axis=1)
            rows = orientation[each, worst][:, None] * batch.X[worst]
            upward = np.einsum("jab,jb->ja", self.V, np.einsum("jab,ja->jb", self.V, rows) / e)
            # The floor is for zero rows, which are never violated.
            slope = np.maximum(np.einsum("jd,jd->j", rows, upward), np.finfo(float).tiny)
            length = np.clip(-slack[each, worst] / slope, 0.0, self.rho / len(batch.y))
            self.u = self.u + length[:, None] * upward

    def _largest_curvature(self, whitening: Array) -> float:
        """Largest eigenvalue of a minibatch's squared loss in the metric, over a few minibatches."""
        repeats = np.bincount(self.program.blocks, minlength=len(whitening))
        largest = 0.0
        for _, batch in zip(
            range(PROBES), _batches(self.features, self.program.y, self.batch, self.random), strict=False
        ):
            kernel = np.zeros((len(batch.y), len(batch.y)))
            for mask, W, repeat in zip(batch.masks, whitening, repeats, strict=True):
                whitened = np.where(mask[:, None], batch.X @ W, 0.0)
                kernel += repeat * (whitened @ whitened.T)
            largest = max(largest, float(np.linalg.eigvalsh(kernel / len(batch.y))[-1]))
        return max(largest, np.finfo(float).tiny)


def _batches(features: PatternFeatures, targets: Array, size: int, random: np.random.Generator) -> Iterator[_Batch]:
    """Yield all rows once, in random order among runs of rows that are in memory together."""
    starts = random.permutation(np.arange(0, features.n, RUN))
    for first in range(0, len(starts), RUNS_SHUFFLED):
        runs = [(int(a), min(int(a) + RUN, features.n)) for a in starts[first : first + RUNS_SHUFFLED]]
        X = np.concatenate([np.asarray(features.X[a:b], dtype=np.float64) for a, b in runs])
        masks = np.concatenate([features.patterns.masks(a, b) for a, b in runs], axis=1)
        y, norms = (np.concatenate([v[a:b] for a, b in runs]) for v in (targets, features.row_norms))
        for rows in np.array_split(random.permutation(len(y)), -(-len(y) // size)):
            yield _Batch(X[rows], masks[:, rows], y[rows], norms[rows])


def _squares(features: PatternFeatures) -> Array:
    """F_i'F_i / n of every block, (p, d, d), in one pass over the rows."""
    out = np.zeros((features.count, features.width, features.width))
    for _, X, masks in features.chunks(features.patterns, features.count):
        for square, mask in zip(out, masks, strict=True):
            square += (X * mask[:, None]).T @ X
    return out / features.n
