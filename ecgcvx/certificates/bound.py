"""A proved upper bound on the price max_{||w|| <= 1} |v'(Xw)_+| / n over all w, by branch and bound over directions.

    lines      rows on one line through the origin, taken together
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
from ecgcvx.interruption import raising, stoppable, wanted
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
LEAST = 1e-6  # excess, relative to the reference, that is worth a target of its own
TIGHT = 1e-3  # to which the price is bounded where the factor is out of reach
RESOLUTION = 1e-6  # above the largest price found: factors below that are out of reach
UNIT32, UNIT64 = 2.0**-24, 2.0**-53
OUTWARD = 1 + 1e-12


Status = Literal["reached", "out of reach", "time limit", "interrupted"]


@dataclass(frozen=True)
class PriceBound:
    """What was proved: price <= `price`, and price <= `factor` times the level that was asked about.

    cells : bounded in all. seconds : it took. status : 'reached' the factor asked for; 'out of reach', since the price
    itself is above it, or below it by less than rounding; 'time limit'; or 'interrupted'.
    """

    price: float
    factor: float
    cells: int
    seconds: float
    status: Status


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
    holds at any moment. Falling factors are tried in turn, down to the largest price that was met on the way: where
    `factor` is below that, the bound is taken to within 0.1 % of it, or as near as rounding allows. Threads (None: all
    cores) change no result where the factor is reached; only a time limit makes it depend on the machine.

    Memory: 4 n (d + 2) bytes for X in axes of its own (twice that while it is put in order), at most
    NODES (2 d^2 + 22 d) for its tree, 24 n and 24 d for each row that shares its line (while it is put in order),
    32 n + CAPACITY (2 d^2 + 10 d + 60) + 20 LISTS a thread, and 66 d + 64 for each
    cell that there is at the end of a target.

    Rounding: what is returned holds for X and v as they are. With S = sum |rho_i| ||x_i|| over lines, after their rows
    were taken together, S0 the same over rows before, and u = 2^-53: the rotation A of the rows changes the price by at
    most ||A'A - I|| (S + ||X'rho||), rounding of the rotated rows by 4 d u S, and to float32 by 2^-24 S, since
    | |a| - |b| | <= |a - b|; X'rho is off by (n + 8 d + 100) u S0, and taking rows together by what `merge_lines` says:
    `base`. Sums over rows are off by at most (2 n + 8 d + 100) u of the sum of their absolute terms, and second
    moments, kept in float32 by a group and again by a cluster, by 2^-23 of their trace: `relative`. `safe_value` adds
    both outwards.

    Raises InputError for shapes that do not fit, numbers that are not finite, and options out of range.
    """
    _check(X, v, level, factor, time_limit, threads)
    from ecgcvx.certificates.frontier import Frontier

    with raising():
        _compile(X.shape[1])
        started = time.perf_counter()
        problem, plain = _problem(X, v / (len(v) * level))
    best = PriceBound(plain * level * OUTWARD, plain, 0, 0.0, "reached")
    if plain <= factor or plain == 0:
        return best
    deadline = started + time_limit
    status: Status = "reached"
    with Frontier(problem, plain, factor, threads or usable_cores()) as frontier:
        with stoppable() as loop:
            while best.factor > (aim := frontier.attainable(factor)) and status == "reached":
                pace = _Pace(aim, best.factor, started, deadline, frontier.reference)
                if callback is not None:
                    callback(best, pace.target)
                frontier.lower(pace.target, deadline, pace.adjust_target)
                best = _bound_of(frontier, level, started)
                if best.factor > frontier.attainable(factor) and (wanted() or time.perf_counter() >= deadline):
                    status = "interrupted" if wanted() else "time limit"
        if loop.stopped:
            status = "interrupted"
    best = _bound_of(frontier, level, started)
    return replace(best, status="out of reach" if status == "reached" and best.factor > factor else status)


def _bound_of(frontier: "Frontier", level: float, started: float) -> PriceBound:
    factor = frontier.value
    return PriceBound(factor * level * OUTWARD, factor, frontier.cells, time.perf_counter() - started, "reached")


@cache
def _compile(d: int) -> None:
    """Have the kernels compiled (once an installation, some 40 s) before any clock runs."""
    from ecgcvx.certificates.frontier import Frontier

    problem, plain = _problem(np.eye(d), np.ones(d))
    with Frontier(problem, 4 * plain, 2 * plain, 1) as frontier:
        frontier.compile()


class _Pace:
    """The next target: the excess over the reference, 1 where the level is the price, falls by STEP, or by what the
    time left may just allow.

    That is a guess, on the side of too much; it is raised when what was done of it shows how long it takes.
    """

    def __init__(self, factor: float, known: float, started: float, deadline: float, reference: float = 1.0) -> None:
        self.known, self.deadline, self.begun, self.before = known, deadline, time.perf_counter(), 0
        self.reference = reference
        share = max(STEP, (self.begun - started) / max(SPARE * (deadline - self.begun), 1e-3))
        excess = min(share, 0.95) * (known - reference)
        self.target = max(factor, reference + excess) if excess > LEAST * reference else factor

    def adjust_target(self, target: float, done: int, tasks: int) -> float:
        """Return a higher target where the rest takes longer than is left, as far as the tasks done are a sample."""
        now, seen = time.perf_counter(), done - self.before
        rest, left = (now - self.begun) * (tasks - done) / seen, max(SPARE * (self.deadline - now), 1e-3)
        if seen < LEAST_SAMPLE or rest * (1.0 - seen**-0.5) <= left:
            return target
        self.begun, self.before = now, done  # what follows is of another target
        return min(self.reference + (rest / left) ** (1.0 / GROWTH) * (target - self.reference), self.known)


def _problem(X: Matrix, rho: Array) -> tuple["Problem", float]:
    """Lines in axes of their own in the order of their tree, weights relative to the level, and a bound at no cost."""
    from ecgcvx.certificates.lines import merge_lines
    from ecgcvx.certificates.state import Problem
    from ecgcvx.certificates.tree import RowTree, grow

    n, d = X.shape
    lines, off = merge_lines(X, rho, CHUNK)
    axes = weighted_axes(X, lines, CHUNK)
    skew = float(np.linalg.norm(axes.T @ axes - np.eye(d)))
    # Rows of mean square 1 to 4, by a power of two that rounds nothing: float32 has little room for exponents.
    square = sum(float(np.vdot(rows, rows)) for _, rows in row_chunks(X, CHUNK)) / n
    unit = 2.0 ** np.floor(0.5 * np.log2(square)) if square > 0 else 1.0
    axes, lines, rho = axes / unit, lines * unit, rho * unit
    turned32, g, weighted = np.empty((n, d), np.float32), np.zeros(d), np.zeros((d, d))
    size, before = 0.0, 0.0  # S and S0
    for a, rows in row_chunks(X, CHUNK):
        turned32[a : a + len(rows)] = rows @ axes
        turned = turned32[a : a + len(rows)].astype(np.float64)
        part, lengths = np.abs(lines[a : a + len(rows)]), np.linalg.norm(rows, axis=1) / unit
        g += rho[a : a + len(rows)] @ rows
        weighted += (part[:, None] * turned).T @ turned
        size += float(part @ lengths)
        before += float(np.abs(rho[a : a + len(rows)]) @ lengths)
    g = g @ axes
    tree, order = grow(turned32, lines)
    signed = np.where(tree.first < tree.stop[0], tree.mass, -tree.mass)
    windows = RowTree(
        np.concatenate([turned32[order], tree.centroid.astype(np.float32)]),
        np.concatenate([lines[order], signed]),
        tree,
    )
    relative = (2 * n + 8 * d + 100) * UNIT64 + 2.0 * UNIT32
    length = float(np.linalg.norm(g))
    base = (2.0 * UNIT32 + relative) * size + skew * (size + length) + (n + 8 * d + 100) * UNIT64 * before + off
    spectral = np.sqrt(max(float(np.linalg.eigvalsh(weighted)[-1]), 0.0) * float(np.abs(lines).sum()))
    plain = 0.5 * (length + min(spectral, size)) + base
    return Problem(windows, g, base, relative), float(plain * (1.0 + 1e-9))


def _check(X: Matrix, v: Array, level: float, factor: float, time_limit: float, threads: int | None) -> None:
    if v.shape != (X.shape[0],) or not np.isfinite(v).all():
        raise InputError(f"v has shape {v.shape}; give {X.shape[0]} finite numbers, one for each row of X")
    if not (np.isfinite(level) and level > 0):
        raise InputError(f"level = {level}: it must be a positive number, as beta")
    if not factor > 0:
        raise InputError(f"factor = {factor}: give a positive number, e.g. 1.01")
    if not time_limit > 0:
        raise InputError(f"time_limit = {time_limit}: give a positive number of seconds")
    if threads is not None and threads < 1:
        raise InputError(f"threads = {threads}: give at least 1")
