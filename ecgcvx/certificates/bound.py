"""A proved upper bound on the price max_{||w|| <= 1} |v'(Xw)_+| / n over all w, by branch and bound over directions.

    tree       windows in groups, made once
    clusters   windows that a cell of directions cannot tell apart, summed
    majorant   a quadratic above the price over a cell
    lagrange   the largest value of that quadratic, from above, and the rounding of it all
    cells      a cell is proved or cut in two
    bound      cells over threads, and a ladder of falling targets

The number of cells grows with the dimension that the windows really have, hardly with n; so does the time, and where
beta is small no machine proves much. Any n and any d are taken: a cell costs about d^2 a cluster and d^3 a Newton step,
while for d <= 3 and few rows enumeration is exact.
"""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.patterns import Matrix, row_chunks
from ecgcvx.cores import usable_cores
from ecgcvx.errors import InputError

Array = NDArray[np.float64]
CHUNK = 1 << 18
CLUSTERS = 16384  # at most, of one cell
COARSE, LIGHT = 0.2, 3e-3  # when a cluster is fine enough, see `split`; LIGHT relative to the excess over 1
FINE = 0.4  # of these for a group of the tree
ROUNDS = 5  # models of a function in a cell
DEPTH = 5  # cuts of a cell before its clusters are made anew
STEP = 0.2  # from one target's excess over the level to the next one's
GROWTH, HASTE, LEAST_STEP = 1.5, 1.15, 0.95  # seconds grow as excess^-GROWTH; share of time kept; least worth a try
FIRST_EXCESS = 1.0
PRECISION = 3e-3  # last weight of the barrier, relative to the excess
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


class Cell(NamedTuple):
    """Directions |w_j - c_j| <= h_j on the cut coordinates, and which of the four functions are to be proved there.

    place (3, d): c, h and where the maximum is expected.
    """

    place: Array
    cut: NDArray[np.bool_]
    functions: int


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
    ends the work; then it is the best that was proved. Falling factors are tried in turn, each on its own. Threads
    (None: all cores) change no result; only a time limit makes it depend on the machine. Without one, it does not
    return where the price is above that bound.

    Memory: 4 n (d + 2) bytes for X in principal axes (twice that while it is put in order), at most
    NODES (6 d^2 + 24 d) for its tree, and 16 n + CLUSTERS (2 d^2 + 12 d + 150 + 20 DEPTH) a thread.

    Rounding: what is returned holds for X and v as they are. The rotation of the rows changes the price by at most
    4 d u S, S = sum |rho_i| ||x_i||, u = 2^-53, and rounding them to float32 by at most 2^-24 S, since
    |(a)_+ - (b)_+| <= |a - b|: `base`. Sums over rows are off by at most (2 n + 8 d + 100) u of the sum of their
    absolute terms, and second moments, kept in float32 by a group and again by a cluster, by 2^-23 of their trace:
    `relative`. `safe_value` adds both outwards.

    Raises InputError for shapes that do not fit, numbers that are not finite, and options out of range.
    """
    _check(X, v, level, factor, time_limit, threads)
    _compile(X.shape[1])
    started = time.perf_counter()
    problem = _Problem(X, v / (len(v) * level))
    best = PriceBound(problem.plain * level * OUTWARD, problem.plain, 0, 0.0, "reached")
    if problem.plain <= factor or problem.plain == 0:
        return best
    deadline = started + time_limit
    status: Literal["reached", "time limit", "interrupted"] = "reached"
    count = threads or usable_cores()
    cells, costs = 0, list[tuple[float, float]]()
    with ThreadPoolExecutor(count, thread_name_prefix="ecgcvx-bound") as pool:
        try:
            while best.factor > factor:
                target = _next_target(best.factor, factor, costs, deadline - time.perf_counter())
                if target is None:
                    status = "time limit"
                    break
                if callback is not None:
                    callback(best, target)
                begun = time.perf_counter()
                visited, proved = _prove(problem, target, pool, count, deadline)
                cells += visited
                if not proved:
                    status = "time limit"
                    break
                now = time.perf_counter()
                best = PriceBound(target * level * OUTWARD, target, cells, now - started, "reached")
                costs.append((target, now - begun))
        except KeyboardInterrupt:
            status = "interrupted"
            pool.shutdown(wait=False, cancel_futures=True)
    return PriceBound(best.price, best.factor, cells, time.perf_counter() - started, status)


@cache
def _compile(d: int) -> None:
    """Have the kernels compiled (once an installation, some 20 s) before any clock runs."""
    problem = _Problem(np.eye(d), np.ones(d))
    with ThreadPoolExecutor(1) as pool:
        _prove(problem, 2 * problem.plain, pool, 1, float("inf"))


def _next_target(known: float, factor: float, costs: list[tuple[float, float]], left: float) -> float | None:
    """The next factor to try: the excess over 1 times STEP, or as much nearer as the time left seems to allow.

    costs: targets proved, and seconds. None when there is not even time for a small step.
    """
    excess = known - 1.0
    share = STEP if excess <= 2 * FIRST_EXCESS else max(STEP, FIRST_EXCESS / excess)
    if costs and np.isfinite(left) and excess > 0:
        seconds, growth = costs[-1][1], GROWTH
        if len(costs) > 1 and costs[-2][0] > known:
            ratio = (costs[-2][0] - 1.0) / excess
            growth = float(np.clip(np.log(seconds / max(costs[-2][1], 1e-3)) / np.log(ratio), 1.0, 4.0))
        share = max(share, (HASTE * seconds / max(left, 1e-3)) ** (1.0 / growth))
        if share > LEAST_STEP:
            return None
    target = 1.0 + share * excess
    return factor if target < factor or share * excess < 1e-9 else target


class _Problem:
    """Rows in principal axes, weights relative to the level, and what every cell needs of them."""

    def __init__(self, X: Matrix, rho: Array) -> None:
        from ecgcvx.certificates.tree import grow

        n, d = X.shape
        gram = np.zeros((d, d))
        for _, rows in row_chunks(X, CHUNK):
            gram += rows.T @ rows
        axes = np.ascontiguousarray(np.linalg.eigh(gram)[1][:, ::-1])
        # Rows of mean square 1 to 4, by a power of two that rounds nothing: float32 has little room for exponents.
        unit = 2.0 ** np.floor(0.5 * np.log2(np.trace(gram) / n)) if gram.any() else 1.0
        axes, rho = axes / unit, rho * unit
        self.X, self.rho = np.empty((n, d), np.float32), rho
        self.g, weighted, self.size = np.zeros(d), np.zeros((d, d)), 0.0
        for a, rows in row_chunks(X, CHUNK):
            self.X[a : a + len(rows)] = rows @ axes
            turned = self.X[a : a + len(rows)].astype(np.float64)
            part = rho[a : a + len(rows)]
            self.g += part @ turned
            weighted += (np.abs(part)[:, None] * turned).T @ turned
            self.size += float(np.abs(part) @ np.linalg.norm(rows, axis=1)) / unit
        self.tree, order = grow(self.X, rho)
        signed = np.where(self.tree.first < self.tree.stop[0], self.tree.mass, -self.tree.mass)
        self.X = np.concatenate([self.X[order], self.tree.centroid.astype(np.float32)])
        self.rho = np.concatenate([rho[order], signed])
        self.n = len(order)
        self.relative = (2 * n + 8 * d + 100) * UNIT64 + 2.0 * UNIT32
        self.base = (2.0 * UNIT32 + self.relative) * self.size
        spectral = np.sqrt(max(float(np.linalg.eigvalsh(weighted)[-1]), 0.0) * float(np.abs(rho).sum()))
        plain = 0.5 * (float(np.linalg.norm(self.g)) + spectral) + self.base
        self.plain = float(min(plain * (1.0 + 1e-9), self.size + self.base))


class _Room:
    """What one thread works in."""

    def __init__(self, n: int, groups: int, d: int) -> None:
        from ecgcvx.certificates.cells import OPEN

        K = min(CLUSTERS, n + 2)
        self.items, self.heights = np.zeros(n, np.int64), np.zeros(n + groups)
        self.clusters = (
            np.zeros(K, np.int64), np.zeros(K, np.int64), np.zeros(K, np.int8), np.zeros(K), np.zeros((K, d)),
            np.zeros((K, d * (d + 1) // 2), np.float32), np.zeros(K), np.zeros(K),
        )  # fmt: skip
        self.out, self.out_cut = np.zeros((OPEN, 3, d)), np.zeros((OPEN, d), np.bool_)
        self.out_functions = np.zeros(OPEN, np.int64)
        self.counts = np.zeros(3, np.int64)


def _prove(
    problem: _Problem, target: float, pool: ThreadPoolExecutor, threads: int, deadline: float
) -> tuple[int, bool]:
    """Prove the target in every cell of the half ball; return how many were bounded, and whether all were in time."""
    from ecgcvx.certificates.cells import explore

    rooms: SimpleQueue[_Room] = SimpleQueue()
    for _ in range(threads):
        rooms.put(_Room(problem.n, len(problem.tree.mass), problem.X.shape[1]))
    excess = max(target - 1.0, 1e-6)
    d = problem.X.shape[1]
    place = np.zeros((3, d))
    place[:2, 0], place[1, 1:] = 0.5, 1.0

    def work(cell: Cell) -> tuple[list[Cell], int]:
        room = rooms.get()
        try:
            for depth in range(DEPTH, 0, -1):  # fewer cuts where too many cells would be left open
                left = explore(
                    problem.X, problem.rho, problem.n, *problem.tree, FINE, problem.g,
                    problem.base, problem.relative, target, PRECISION * excess,
                    cell.place, cell.cut, cell.functions, COARSE, LIGHT * excess, ROUNDS, depth, room.items,
                    room.heights, *room.clusters, room.out, room.out_cut, room.out_functions, room.counts,
                )  # fmt: skip
                if left >= 0:
                    break
            visited = int(room.counts[0])
            room.counts[:] = 0
            return [
                Cell(room.out[k].copy(), room.out_cut[k].copy(), int(room.out_functions[k])) for k in range(left)
            ], visited
        finally:
            rooms.put(room)

    waiting, running, visited = [Cell(place, np.arange(d) == 0, 15)], set[Future[tuple[list[Cell], int]]](), 0
    while waiting or running:
        patience = deadline - time.perf_counter()
        if patience <= 0:
            for future in running:
                future.cancel()
            return visited, False
        while waiting and len(running) < 2 * threads:
            running.add(pool.submit(work, waiting.pop()))
        finished, running = wait(running, timeout=min(patience, 1e6), return_when=FIRST_COMPLETED)
        for future in finished:
            children, count = future.result()
            visited += count
            waiting.extend(children)
    return visited, True


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
