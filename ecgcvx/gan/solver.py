"""The active set for the ReLU generator: price, add, resize, descend, prune; and the method of multipliers round it.

    residual:  a round searches for neurons whose price exceeds beta, adds them, finds the outputs A of all (a group
               lasso, by block coordinate descent on the Gram matrix), moves directions and outputs together by L-BFGS,
               and finds the outputs again.
    equality:  T_k = T + beta L_k,  L_(k+1) = L_k + (T - outputs_k) / beta,  each T_k a program of the residual. L_k
               prices at most 1, so <L_k, T>/n bounds sum_j ||a_j|| from below.

Source: Bach 2017 (JMLR 18); Osher, Burger, Goldfarb, Xu & Yin 2005 (the multipliers as Bregman iterations).
"""

import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from ecgcvx.compilation import cached_njit
from ecgcvx.errors import InputError
from ecgcvx.evidence import at_most, relative_gap
from ecgcvx.gan.pricing import ascend, distinct, starts
from ecgcvx.gan.program import GeneratorProgram, Neurons
from ecgcvx.solvers.solution import check_stopping
from ecgcvx.types import Array, Progress

SCHEDULE = ((0.5, 5, 0.97), (0.1, 15, 0.99), (0.0, 40, 0.999))  # gap above, steps of ascent, cosine of what is new
DESCENT_STEPS = 60
SWEEPS = (20, 3000)  # of the group lasso, at least and at most
SWEEP_COST = 2e8  # multiplications of a group lasso, about
ADDED = 80  # neurons a round at most, or a quarter of those there are; in the first round all
STALL = 4  # rounds without progress
NEW_SIZE = 1e-3  # of a new neuron's output, relative to the median


@dataclass(frozen=True, eq=False)
class GeneratorSolution:
    """neurons. primal and dual values of the program solved; gap relative, searched. residual : ||T - F||_F / ||T||_F.

    status : 'optimal' when the gap is within tolerance (and, of the equality, the residual too), else why it stopped.
    """

    neurons: Neurons
    primal: float
    dual: float
    residual: float
    status: str
    seconds: float
    rounds: int

    @property
    def gap(self) -> float:
        """Relative gap, which rests on the largest price that was found."""
        return relative_gap(self.primal, self.dual)


@dataclass(frozen=True)
class GeneratorSolver:
    """gap : relative, to stop at. rounds : at most. starts : of the search in a round. seed : of the starts."""

    gap: float = 1e-2
    rounds: int = 60
    starts: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_stopping(self.gap, self.rounds)
        if self.starts < 1:
            raise InputError(f"starts = {self.starts}: give at least 1")

    def solve(
        self,
        program: GeneratorProgram,
        *,
        warm_start: Neurons | None = None,
        time_limit: float = float("inf"),
        progress: Progress | None = None,
    ) -> GeneratorSolution:
        """Return the solution of the program of the residual; the same for the same seed unless time ran out."""
        begun = time.perf_counter()
        random = np.random.default_rng(self.seed)
        d, r = program.Z.shape[1], program.T.shape[1]
        here = Neurons(np.zeros((0, d)), np.zeros((0, r))) if warm_start is None else resized(program, warm_start)
        primal, dual, status, stalled, done = program.objective(here), 0.0, "round limit", 0, 0
        gap = 1.0
        while done < self.rounds:
            done += 1
            V = program.residual(here)
            steps, cosine = next((steps, cosine) for above, steps, cosine in SCHEDULE if gap >= above)
            W, prices = ascend(program, V, starts(program, self.starts, here.W, random), steps)
            own = program.prices(here.W, V).max(initial=0.0)
            dual = program.dual_value(V, max(float(prices.max()), own))
            gap = (primal - dual) / primal if primal > 0 else 0.0
            if progress is not None:
                progress(f"ReLU generator: {len(here)} neurons, gap {at_most(gap)}", None)
            if gap <= self.gap:
                status = "optimal"
                break
            if time.perf_counter() - begun > time_limit:
                status = "time limit"
                break
            if stalled >= STALL:
                status = "stalled"
                break
            moved = _moved(program, _with_found(program, here, V, W, prices, cosine))
            found = program.objective(moved)
            stalled = 0 if found < primal * (1 - 1e-4 * max(gap, 1e-6)) else stalled + 1
            if found < primal:
                here, primal = moved, found
        relative = float(np.linalg.norm(program.residual(here))) / max(float(np.linalg.norm(program.T)), 1e-300)
        return GeneratorSolution(here, primal, dual, relative, status, time.perf_counter() - begun, done)

    def solve_equality(
        self, Z: Array, T: Array, *, residual: float = 1e-6, beta: float | None = None, steps: int = 30
    ) -> GeneratorSolution:
        """Return the solution of the equality, met to ||T - F||_F <= residual ||T||_F, in `steps` multiplier steps.

        beta : of the programs within; a smaller one takes fewer steps that are harder. primal is sum_j ||a_j||.
        """
        begun = time.perf_counter()
        if beta is None:
            first = GeneratorProgram(Z, T, 1.0)
            _, prices = ascend(first, first.T, starts(first, self.starts, first.Z[:0], np.random.default_rng(0)), 20)
            beta = 0.02 * float(prices.max())
        neurons, shifted, rounds, status = None, np.asarray(T, dtype=np.float64), 0, "step limit"
        best: GeneratorSolution | None = None
        for _ in range(steps):
            program = GeneratorProgram(Z, shifted, beta)
            found = self.solve(program, warm_start=neurons)
            neurons, rounds = found.neurons, rounds + found.rounds
            V = program.residual(neurons)
            _, prices = ascend(program, V, starts(program, 4 * self.starts, neurons.W, np.random.default_rng(1)), 60)
            worst = max(float(prices.max()), float(program.prices(neurons.W, V).max(initial=0.0)))
            dual = float(np.vdot(V, T)) / program.n / worst
            missing = T - neurons.outputs(program.Z)
            relative = float(np.linalg.norm(missing) / np.linalg.norm(T))
            best = GeneratorSolution(
                neurons, neurons.price, dual, relative, status, time.perf_counter() - begun, rounds
            )
            if relative <= residual and best.gap <= 2 * self.gap:
                status = "optimal"
                break
            shifted = shifted + missing
        assert best is not None
        return GeneratorSolution(best.neurons, best.primal, best.dual, best.residual, status, best.seconds, rounds)


def _with_found(program: GeneratorProgram, here: Neurons, V: Array, W: Array, prices: Array, cosine: float) -> Neurons:
    """The neurons with those of W whose price exceeds beta, none closer to another than `cosine`."""
    good = np.flatnonzero(prices > program.beta)
    most = max(ADDED, len(here) // 4) if len(here) else None
    chosen = good[distinct(W[good], prices[good], cosine)][:most]
    new = W[chosen]
    out = np.maximum(program.Z @ new.T, 0.0).T @ V
    size = NEW_SIZE * (np.median(np.linalg.norm(here.A, axis=1)) if len(here) else 1.0)
    out *= size / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-300)
    return Neurons(np.concatenate([here.W, new]), np.concatenate([here.A, out]))


def resized(program: GeneratorProgram, neurons: Neurons) -> Neurons:
    """Return the neurons with the outputs that minimise the objective along their directions, zeros left out."""
    H = np.maximum(program.Z @ neurons.W.T, 0.0)
    Q, C = H.T @ H / program.n, H.T @ program.T / program.n
    A = np.ascontiguousarray(neurons.A)
    sweeps = int(np.clip(SWEEP_COST / max(Q.size * A.shape[1], 1), *SWEEPS))
    _group_lasso(Q, C, program.beta, A, sweeps, 1e-9)
    kept = np.linalg.norm(A, axis=1) > 0
    return Neurons(neurons.W[kept], A[kept])


@cached_njit(fastmath=True)
def _group_lasso(Q: Array, C: Array, beta: float, A: Array, sweeps: int, tolerance: float) -> None:
    """Minimise <A, QA>/2 - <C, A> + beta sum_j ||a_j|| in place, by block coordinate descent."""
    m, r = A.shape
    G = C - Q @ A
    for _ in range(sweeps):
        largest = 0.0
        for j in range(m):
            q = Q[j, j]
            if q <= 0.0:
                continue
            b = G[j] + q * A[j]
            size = np.sqrt((b * b).sum())
            new = b * max(1.0 - beta / size, 0.0) / q if size > 0.0 else np.zeros(r)
            change = new - A[j]
            moved = np.abs(change).max()
            if moved > 0.0:
                for i in range(m):
                    for k in range(r):
                        G[i, k] -= Q[j, i] * change[k]
                A[j] = new
                largest = max(largest, moved * np.sqrt(q))
        if largest <= tolerance * beta:
            break


def _moved(program: GeneratorProgram, neurons: Neurons) -> Neurons:
    """Resize, move directions and outputs together, merge what meets, and resize."""
    sized = resized(program, neurons)
    if not len(sized):
        return sized
    Z, T, beta, n = program.fast.Z, program.fast.T, program.beta, program.n
    m, d, r = len(sized), Z.shape[1], T.shape[1]
    W1, W2 = sized.weights()

    def objective(x: Array) -> tuple[float, Array]:
        x = x.astype(Z.dtype)
        U, A = x[: m * d].reshape(m, d), x[m * d :].reshape(m, r)
        heights = Z @ U.T
        active = heights > 0
        heights *= active
        R = heights @ A - T
        back = R @ A.T
        back *= active
        gradient = np.concatenate([(back.T @ Z).ravel(), (heights.T @ R).ravel()]) / n + beta * x
        return float(np.vdot(R, R)) / (2 * n) + beta / 2 * float(x @ x), gradient.astype(np.float64)

    start = np.concatenate([W1.T.ravel(), W2.ravel()])
    options = {"maxiter": DESCENT_STEPS, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-10 * beta}
    x = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    U, A = x[: m * d].reshape(m, d), x[m * d :].reshape(m, r)
    sizes = np.linalg.norm(U, axis=1)
    alive = (sizes > 0) & (np.abs(A).max(axis=1) > 0)
    U, A, sizes = U[alive], A[alive], sizes[alive]
    moved = resized(program, Neurons(U / sizes[:, None], A * sizes[:, None]))
    return moved if program.objective(moved) <= program.objective(sized) else sized
