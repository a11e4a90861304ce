"""A proved upper bound on the price max_{||w|| <= 1} |v'(Xw)_+| / n over all w, by branch and bound over directions.

    axes       coordinates by which cells are cut
    tree       windows in groups, made once
    clusters   windows that a cell of directions cannot tell apart, summed
    majorant   a quadratic above the price over a cell
    lagrange   the largest value of that quadratic, from above
    rounding   what is believed of it, and the rounding of it all
    cells      a cell is proved or cut in two
    frontier   cells that cover half of the ball, over threads
    bound      a ladder of falling targets

The number of cells grows with the dimension that the windows really have, hardly with n; so does the time, and where
beta is small no machine proves much. Any n and any d are taken: a cell costs about d^2 a cluster and d^3 a Newton step,
while for d <= 3 and few rows enumeration is exact.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from ecgcvx.certificates.axes import weighted_axes
from ecgcvx.cores import usable_cores
from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, row_chunks
from ecgcvx.types import Array

if TYPE_CHECKING:
    from ecgcvx.certificates.frontier import Frontier
    from ecgcvx.certificates.state import Problem

CHUNK = 1 << 18
STEP = 0.2  # from one target's excess over the level to the next one's
GROWTH = 3.0  # seconds are thought to grow as excess^-GROWTH
SPARE = 0.95  # of the time left, that is planned for
LEAST_SAMPLE = 6  # tasks that say something about the others
LEAST = 1e-6  # excess that is worth a target of its own
UNIT32, UNIT64 = 2.0**-24, 2.0**-53
OUTWARD = 1 + 1e-12


@dataclass(frozen=True)
class PriceBound:
    """What was proved: price <= `price`, and price <= `factor` times the level that was asked about.

    cells : bounded in all. seconds : it took. status : 'reached' the factor asked for, 'time limit', or 'interrupted'.
    """

    price: float
    factor: float
    cells: int
    seconds: float
    status: Literal["reached", "time limit", "interrupted"]


Callback = Callable[[PriceBound, float], None]  # the best so far, and the factor that is being tried


def bound_price(
    X: Matrix,
    v: Array,
    level: float,
    *,
    factor: float = 1.001,
    time_limit: float = float("inf"),
    threads: int | None = None,
    callback: Callback | None = None,
) -> PriceBound:
    """Prove an upper bound on max_{||w|| <= 1} |v'(Xw)_+| / n for X (n, d) and v (n,).

    The bound is at most `factor` times `level` (beta, say) unless the price is not, or a time limit (seconds) or Ctrl-C
    ends the work; then it is the best that was proved: each cell of directions keeps its bound, and the largest of them
    holds at any moment. Falling factors are tried in turn. Threads (None: all cores) change no result; only a time
    limit makes it depend on the machine. Without one, it does not return where the price is above that bound.

    Memory: 4 n (d + 2) bytes for X in axes of its own (twice that while it is put in order), at most
    NODES (2 d^2 + 22 d) for its tree, 32 n + CAPACITY (2 d^2 + 10 d + 60) + 20 LISTS a thread, and 66 d + 64 for each
    cell that there is at the end of a target.

    Rounding: what is returned holds for X and v as they are. The rotation A of the rows changes the price by at most
    (4 d u + ||A'A - I||) S, S = sum |rho_i| ||x_i||, u = 2^-53, and rounding them to float32 by at most 2^-24 S, since
    |(a)_+ - (b)_+| <= |a - b|: `base`. Sums over rows are off by at most (2 n + 8 d + 100) u of the sum of their
    absolute terms, and second moments, kept in float32 by a group and again by a cluster, by 2^-23 of their trace:
    `relative`. `safe_value` adds both outwards.

    Raises InputError for shapes that do not fit, numbers that are not finite, and options out of range.
    """
    _check(X, v, level, factor, time_limit, threads)
    from ecgcvx.certificates.frontier import Frontier

    _compile(X.shape[1])
    started = time.perf_counter()
    problem, plain = _problem(X, v / (len(v) * level))
    best = PriceBound(plain * level * OUTWARD, plain, 0, 0.0, "reached")
    if plain <= factor or plain == 0:
        return best
    deadline = started + time_limit
    status: Literal["reached", "time limit", "interrupted"] = "reached"
    with Frontier(problem, plain, threads or usable_cores()) as frontier:
        try:
            while best.factor > factor and status == "reached":
                pace = _Pace(factor, best.factor, started, deadline)
                if callback is not None:
                    callback(best, pace.target)
                frontier.lower(pace.target, deadline, pace.think_over)
                best = _bound_of(frontier, level, started)
                if best.factor > factor and time.perf_counter() >= deadline:
                    status = "time limit"
        except KeyboardInterrupt:
            status = "interrupted"
    return replace(_bound_of(frontier, level, started), status=status)


def _bound_of(frontier: "Frontier", level: float, started: float) -> PriceBound:
    factor = frontier.value
    return PriceBound(factor * level * OUTWARD, factor, frontier.cells, time.perf_counter() - started, "reached")


@cache
def _compile(d: int) -> None:
    """Have the kernels compiled (once an installation, some 40 s) before any clock runs."""
    from ecgcvx.certificates.frontier import Frontier

    problem, plain = _problem(np.eye(d), np.ones(d))
    with Frontier(problem, 4 * plain, 1) as frontier:
        frontier.lower(2 * plain, float("inf"), lambda target, done, tasks: target)


class _Pace:
    """The next target: the excess over 1 falls by STEP, or by what the time left may just allow.

    That is a guess, on the side of too much; it is raised when what was done of it shows how long it takes.
    """

    def __init__(self, factor: float, known: float, started: float, deadline: float) -> None:
        self.known, self.deadline, self.begun, self.before = known, deadline, time.perf_counter(), 0
        share = max(STEP, (self.begun - started) / max(SPARE * (deadline - self.begun), 1e-3))
        excess = min(share, 0.95) * (known - 1.0)
        self.target = max(factor, 1.0 + excess) if excess > LEAST else factor

    def think_over(self, target: float, done: int, tasks: int) -> float:
        """Return a higher target where the rest takes longer than is left, as far as the tasks done are a sample."""
        now, seen = time.perf_counter(), done - self.before
        rest, left = (now - self.begun) * (tasks - done) / seen, max(SPARE * (self.deadline - now), 1e-3)
        if seen < LEAST_SAMPLE or rest * (1.0 - seen**-0.5) <= left:
            return target
        self.begun, self.before = now, done  # what follows is of another target
        return min(1.0 + (rest / left) ** (1.0 / GROWTH) * (target - 1.0), self.known)


def _problem(X: Matrix, rho: Array) -> tuple["Problem", float]:
    """Rows in axes of their own in the order of their tree, weights relative to the level, and a bound at no cost."""
    from ecgcvx.certificates.state import Problem
    from ecgcvx.certificates.tree import Windows, grow

    n, d = X.shape
    axes = weighted_axes(X, rho, CHUNK)
    skew = float(np.linalg.norm(axes.T @ axes - np.eye(d)))
    # Rows of mean square 1 to 4, by a power of two that rounds nothing: float32 has little room for exponents.
    square = sum(float(np.vdot(rows, rows)) for _, rows in row_chunks(X, CHUNK)) / n
    unit = 2.0 ** np.floor(0.5 * np.log2(square)) if square > 0 else 1.0
    axes, rho = axes / unit, rho * unit
    turned32, g, weighted, size = np.empty((n, d), np.float32), np.zeros(d), np.zeros((d, d)), 0.0
    for a, rows in row_chunks(X, CHUNK):
        turned32[a : a + len(rows)] = rows @ axes
        turned = turned32[a : a + len(rows)].astype(np.float64)
        part = rho[a : a + len(rows)]
        g += part @ turned
        weighted += (np.abs(part)[:, None] * turned).T @ turned
        size += float(np.abs(part) @ np.linalg.norm(rows, axis=1)) / unit
    tree, order = grow(turned32, rho)
    signed = np.where(tree.first < tree.stop[0], tree.mass, -tree.mass)
    windows = Windows(
        np.concatenate([turned32[order], tree.centroid.astype(np.float32)]), np.concatenate([rho[order], signed]), tree
    )
    relative = (2 * n + 8 * d + 100) * UNIT64 + 2.0 * UNIT32
    base = (2.0 * UNIT32 + relative + skew) * size
    spectral = np.sqrt(max(float(np.linalg.eigvalsh(weighted)[-1]), 0.0) * float(np.abs(rho).sum()))
    plain = 0.5 * (float(np.linalg.norm(g)) + spectral) + base
    return Problem(windows, g, base, relative), float(min(plain * (1.0 + 1e-9), size + base))


def _check(X: Matrix, v: Array, level: float, factor: float, time_limit: float, threads: int | None) -> None:
    if v.shape != (X.shape[0],) or not np.isfinite(v).all():
        raise InputError(f"v has shape {v.shape}; give {X.shape[0]} finite numbers, one for each row of X")
    if not (np.isfinite(level) and level > 0):
        raise InputError(f"level = {level}: it must be a positive number, as beta")
    if not factor > 0:
        raise InputError(f"factor = {factor}: give a positive number, as 1.01")
    if not time_limit > 0:
        raise InputError(f"time_limit = {time_limit}: give a positive number of seconds")
    if threads is not None and threads < 1:
        raise InputError(f"threads = {threads}: give at least 1")
