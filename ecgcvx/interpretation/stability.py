"""Which patterns recur when the network is trained again.

The optimum of the convex program is unique in its forecast, not in its neurons, and another recording of the same heart
has another optimum. So the network over all patterns is trained again on thinned windows: with other random starts of
the search, on folds in time, with other beta, and as two extremes of the near-optimal networks of one problem: the
smallest and the one of least norm. Every training starts from nothing and follows its own path of falling beta, so that
it knows nothing of the network in question.

Two patterns are the same when both the correlation phi of their on/off sequences on common windows and the cosine of
their gates are large. Phi alone is not enough: many directions switch on with the level of the signal, and the best of
a few hundred random ones reaches .9 on an ECG. What both reach for random gates of the same coverage is reported.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.workers import workers
from ecgcvx.errors import InputError
from ecgcvx.interpretation.results import PatternStability, Refit, Stability, Verdict
from ecgcvx.interruption import check
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.programs.free import Free
from ecgcvx.solvers.active_set.amplitudes import AmplitudeSystem, amplitude_system, nonnegative_quadratic
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.solvers.active_set.solution import AtomSolution
from ecgcvx.solvers.active_set.sparsify import sparsify
from ecgcvx.types import Array, Progress
from ecgcvx.windows import Windows

PATH = (300.0, 30.0, 3.0, 1.0)  # of beta, from which each training comes down
ROUNDS = 3  # at each of them: small beta is not solved to its gap, which would take minutes
COMMON = 8000  # windows on which patterns are compared
DRAWS = 20  # of random gates
FEWEST = 20  # common windows in which a testable pattern is on, and off
MOST, HALF = 2 / 3, 1 / 2  # share of all refits, and of every kind, in which a stable pattern recurs
RIDGE = 1e-3  # of the mean diagonal of Q, towards the least norm
SLACK = 1e-2  # of P, for the smallest network


@dataclass(frozen=True)
class Refitting:
    """How to train again: on `rows` windows, with that many seeds and folds, and beta times `factors`.

    threshold : the least phi and cosine that count as the same pattern.

    Raises InputError for a number that makes no sense.
    """

    rows: int = 8000
    seeds: int = 3
    folds: int = 4
    factors: tuple[float, ...] = (1 / 3, 3.0)
    threshold: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rows", 100), ("seeds", 1), ("folds", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)}: give at least {least}")
        if not all(np.isfinite(factor) and factor > 0 for factor in self.factors):
            raise InputError(f"factors = {self.factors}: give positive numbers")
        if not 0 < self.threshold <= 1:
            raise InputError(f"threshold = {self.threshold}: give a correlation above 0 and up to 1, e.g. 0.9")


def recurrence(
    gates: Array,
    windows: Windows,
    common: Windows,
    beta: float,
    refitting: Refitting,
    progress: Progress,
    *,
    linear: bool = False,
) -> tuple[Stability, tuple[PatternStability, ...]]:
    """Train again on windows, and return how well each refit holds the patterns of gates (K, d) on common windows.

    beta : of the network in question. linear : whether it has a free linear part; then so have the refits.
    KeyboardInterrupt passes: refits that were cut short are worth nothing.
    """
    started = time.perf_counter()
    refits, networks = [], []
    for refit, network in _refits(windows, beta, refitting, progress, "linear" if linear else "none"):
        refits.append(refit)
        networks.append(network)
    every = rows_of(common, _thinned(len(common), COMMON))
    masks = _centred(every, gates)
    on = (every @ gates.T >= 0).sum(axis=0)
    testable = (on >= FEWEST) & (len(every) - on >= FEWEST)
    matches = np.array([_best(masks.T @ _centred(every, network), _cosines(gates, network)) for network in networks])
    levels = _chance(every, masks, gates, networks, np.random.default_rng([refitting.seed, 1]))
    found = []
    for k in range(len(gates)):
        similarity, cosine = matches[:, :, k].T
        both = np.minimum(similarity, cosine)
        recurs = (both >= refitting.threshold) & (both > levels[:, k]) & testable[k]
        verdict: Verdict = "stable" if _everywhere(refits, recurs) else "not stable"
        verdict = verdict if testable[k] else "not testable"
        found.append(PatternStability(similarity, cosine, levels[:, k], recurs, float(recurs.mean()), verdict))
    return Stability(tuple(refits), refitting.threshold, time.perf_counter() - started), tuple(found)


def rows_of(windows: Windows, index: NDArray[np.intp]) -> Array:
    """Return some rows (k, d) of the design matrix."""
    places = windows.starts[index][:, None] + np.arange(windows.length)
    taps = [lead[places] for lead in np.atleast_2d(windows.signal)]
    return np.concatenate([*taps, np.ones((len(index), 1))], axis=1)


def _refits(
    windows: Windows, beta: float, refitting: Refitting, progress: Progress, free: Free
) -> Iterator[tuple[Refit, Array]]:
    """Every refit with the directions (m, d) of its neurons."""
    random = np.random.default_rng([refitting.seed, 0])
    total, done = refitting.seeds + refitting.folds + len(refitting.factors) + 2, 0

    def drawn(first: int, stop: int) -> NDArray[np.intp]:
        return first + np.sort(random.choice(stop - first, min(refitting.rows, stop - first), replace=False))

    def tell(what: str) -> None:
        nonlocal done
        progress(f"refit {done + 1} of {total}: {what}", done / total)
        done += 1

    index = drawn(0, len(windows))
    program = AllPatterns(rows_of(windows, index), windows.y[index], beta, free=free)
    n = program.n
    solutions = []
    for seed in range(refitting.seeds):
        tell(f"seed {seed}")
        solutions.append(_train(program, seed))
        yield _entry("seed", f"seed {seed}", beta, n, solutions[-1].atoms, solutions[-1].seconds)
    for factor in refitting.factors:
        tell(f"beta x {factor:.3g}")
        solution = _train(program.at(factor * beta), 0)
        yield _entry("beta", f"beta x {factor:.3g}", factor * beta, n, solution.atoms, solution.seconds)
    tell("smallest network")
    if len(solutions[0].atoms):
        small = sparsify(program, solutions[0], tolerance=SLACK, shown=SLACK)
        check()
        yield _entry("optimal set", "smallest network", beta, n, small.chosen.atoms, small.seconds)
    tell("least norm")
    start = time.perf_counter()
    spread = _least_norm(program, [solution.atoms for solution in solutions])
    yield _entry("optimal set", "least norm", beta, n, spread, time.perf_counter() - start)
    bounds = np.linspace(0, len(windows), refitting.folds + 1).astype(int)
    for fold in range(refitting.folds):
        tell(f"fold {fold + 1} of {refitting.folds}")
        index = drawn(int(bounds[fold]), int(bounds[fold + 1]))
        solution = _train(AllPatterns(rows_of(windows, index), windows.y[index], beta, free=free), 0)
        label = f"fold {fold + 1} of {refitting.folds}"
        yield _entry("fold", label, beta, len(index), solution.atoms, solution.seconds)


def _entry(kind: str, label: str, beta: float, rows: int, atoms: Atoms, seconds: float) -> tuple[Refit, Array]:
    return Refit(kind, label, beta, rows, len(atoms), seconds), atoms.points  # type: ignore[arg-type]


def _train(program: AllPatterns, seed: int) -> AtomSolution:
    """The network over all patterns, by a path of falling beta, as far as a few rounds take it."""
    solver = ActiveSetSolver(rounds=ROUNDS, confirm_starts=0, seed=seed)
    warm: Atoms | None = None
    for factor in PATH:
        solution = solver.solve(program.at(factor * program.beta), warm_start=warm)
        check()
        warm = solution.atoms if len(solution.atoms) else None
    return solution


def _least_norm(program: AllPatterns, parts: list[Atoms]) -> Atoms:
    """Of the near-optimal networks on the neurons of all of these together the one of least ||(norms)||_2.

    By a small ridge on the amplitudes: it spreads over neurons that can stand for each other.
    """
    together = parts[0]
    for part in parts[1:]:
        together = together.with_more(part)
    if not len(together):
        return together
    family = program.family
    units, norms = family.units(together), family.norms(together) / len(parts)
    with workers(None) as pool:
        system = amplitude_system(program.using(pool), units, norms)
    ridge = RIDGE * np.trace(system.Q) / len(norms) * np.eye(len(norms))
    norms = nonnegative_quadratic(AmplitudeSystem(system.Q + ridge, system.b), program.beta, norms)
    return family.scaled(units, norms).subset(norms > 0)


def _best(phi: Array, cosines: Array) -> Array:
    """(2, K): phi and cosine of that of m neurons whose smaller one is largest, for each of K patterns; 0 if m = 0."""
    if not phi.shape[1]:
        return np.zeros((2, len(phi)))
    best = np.argmax(np.minimum(phi, cosines), axis=1)
    every = np.arange(len(phi))
    return np.stack([phi[every, best], cosines[every, best]])


def _chance(rows: Array, masks: Array, shown: Array, networks: list[Array], random: np.random.Generator) -> Array:
    """(R, K): the .95 quantile, over draws, of what the best of as many random gates as a network has reaches.

    Their coverages are those of the neurons of all networks; half of the directions are isotropic, half whitened.
    """
    counts = np.array([len(network) for network in networks])
    most = int(counts.max(initial=0))
    if not most:
        return np.zeros((len(networks), masks.shape[1]))
    everyone = np.concatenate(networks)
    coverage = np.mean(rows @ everyone.T >= 0, axis=0)
    values, Q = np.linalg.eigh(np.cov(rows[:, :-1].T))
    whitening = (Q * np.maximum(values, 1e-10 * values[-1]) ** -0.25) @ Q.T
    taps = np.ascontiguousarray(rows[:, :-1].T, dtype=np.float32)
    masks = masks.astype(np.float32)
    best = np.zeros((DRAWS, len(networks), masks.shape[1]))
    for draw in best:
        gates = random.standard_normal((most, rows.shape[1] - 1))
        gates[1::2] @= whitening
        heights = gates.astype(np.float32) @ taps
        place = ((1 - random.choice(coverage, most)) * (len(rows) - 1)).astype(int)
        level = np.sort(heights, axis=1)[np.arange(most), place]
        phi = masks.T @ _unit_columns((heights >= level[:, None]).astype(np.float32).T)
        cosines = _cosines(shown, np.column_stack([gates, -level]))
        running = np.maximum.accumulate(np.minimum(phi, cosines), axis=1)
        draw[:] = np.where(counts[:, None] > 0, running[:, np.maximum(counts - 1, 0)].T, 0.0)
    return np.quantile(best, 0.95, axis=0)


def _centred(rows: Array, gates: Array) -> Array:
    """Unit columns (n, p) of the centred on/off sequences, whose products are correlations; 0 for a constant one."""
    return _unit_columns((rows @ gates.T >= 0).astype(np.float64))


def _unit_columns(masks: NDArray[Any]) -> NDArray[Any]:
    masks -= masks.mean(axis=0)
    masks /= np.maximum(np.linalg.norm(masks, axis=0), 1e-9)
    return masks


def _cosines(a: Array, b: Array) -> Array:
    """(K, m) between the rows of a (K, d) and of b (m, d)."""
    units = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300) for x in (a, b)]
    return np.asarray(units[0] @ units[1].T)


def _everywhere(refits: list[Refit], recurs: NDArray[np.bool_]) -> bool:
    """Whether it recurs in two thirds of all refits and in half of those of every kind."""
    kinds = np.array([refit.kind for refit in refits])
    return recurs.mean() >= MOST and all(recurs[kinds == kind].mean() >= HALF for kind in np.unique(kinds))


def _thinned(n: int, count: int) -> NDArray[np.intp]:
    """Up to `count` of n indices, evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).astype(np.intp))
