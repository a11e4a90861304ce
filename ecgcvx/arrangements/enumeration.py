"""Exact enumeration of all activation patterns of a small data matrix.

The rows x_i are normals of hyperplanes through the origin; a pattern belongs to a cell of full dimension between them.
Hyperplanes are inserted one at a time. Those inserted before cut the new one, h, into walls: the cells of the same
problem in one dimension less, solved recursively down to the plane, where rays are sorted by angle. Every wall splits
the one cell in whose interior it lies, so that the work is proportional to the number of cells (not to 2^n) and no
linear program is solved. Which hyperplanes coincide within h is decided by angles alone: degenerate data (integers, a
column of ones, duplicates) need no special case.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ecgcvx.arrangements.counting import pattern_bound, principal_axes
from ecgcvx.arrangements.patterns import Patterns, distinct_patterns, pack_signs
from ecgcvx.errors import InputError
from ecgcvx.rows import Matrix, check_matrix, row_chunks
from ecgcvx.types import Array

PARALLEL = 1e-9  # radians: hyperplanes that are closer count as one; products of unit vectors err by some 1e-16
BALANCING = 10  # rounds; columns in units from 1e-4 to 1e4: worst condition number 2e6 after one, 2e3 after ten
CONDITION = 1e6  # beyond it rounding of the whitened rows comes near PARALLEL
MEMORY = 4 << 30  # bytes that packed patterns and gates may take
HASH_SEED = 1965  # of the hash of sign vectors


def enumerate_patterns(
    X: Matrix, limit: int = 2_000_000, progress: Callable[[int, int], None] | None = None
) -> Patterns:
    """All non-zero patterns 1[X w >= 0] of w with x_i'w != 0 for every non-zero row, each with a gate inside its cell.

    A positive multiple of a row shares its bit, a negative one has the opposite bit, and a zero row has bit 1 in every
    pattern (0 >= 0). Gates have unit norm. Papers count the zero pattern too: without zero rows it exists exactly if
    the all-ones pattern does.

    Parameters
    ----------
    X : (n, d) matrix
        Rows within 1e-9 rad of each other's line count as parallel (after columns are scaled to a similar size), and
        cells narrower than that are not resolved.
    limit : int
        Largest number of patterns; compared with Cover's bound before any work is done.
    progress : function of (done, bound), optional
        Called before every hyperplane and at the end with the number of cells so far and the bound on the final number.

    Raises
    ------
    InputError
        If the bound exceeds `limit`, the patterns could take more than 4 GB, or X is so close to a degenerate matrix
        that double precision cannot tell its patterns apart.

    Source: Pilanci & Ergen 2020 (patterns); Cover 1965 (the count by deletion and restriction, here made constructive).
    """
    n, d = check_matrix(X)
    rows, scale = _scaled_rows(X)
    lines = _distinct_lines(rows)
    singular, axes = principal_axes(lines) if len(lines) else (np.zeros(0), np.zeros((d, 0)))
    bound = pattern_bound(len(lines), len(singular))
    _refuse_excess(bound, limit, n, d, f"{len(lines)} distinct rows of rank {len(singular)}")
    if len(lines) and singular[0] > CONDITION * singular[-1]:
        raise _ill_posed()
    # Whitened coordinates of the row space make the angles between the hyperplanes of ill-conditioned X generic.
    whitening = axes / singular
    points = _cells(_unit(lines @ whitening), (lambda done: progress(done, bound)) if progress else None)
    if progress:
        progress(len(points), bound)
    gates = _unit(points @ whitening.T / scale) if len(lines) else np.zeros((1, d))
    packed = pack_signs(X, gates)
    patterns = distinct_patterns(packed, n, gates)
    if len(patterns) + np.count_nonzero(~packed.any(axis=1)) != len(gates):
        raise _ill_posed()
    return patterns


def _cells(normals: Array, report: Callable[[int], None] | None = None) -> Array:
    """One unit vector inside every cell of the hyperplanes with the given unit normals (m, r), (p, r)."""
    dimension = normals.shape[1]
    if dimension == 0:
        return np.zeros((1, 0))
    if dimension == 1:
        return np.array([[1.0], [-1.0]][: 1 + min(len(normals), 1)])
    if dimension == 2:
        return _sectors(normals)
    return _insert_hyperplanes(_distinct_lines(normals), report)


def _sectors(normals: Array) -> Array:
    """Bisectors of the sectors between lines through the origin of the plane."""
    angles = np.sort(np.arctan2(normals[:, 1], normals[:, 0]) % np.pi)
    if not len(angles):
        return np.array([[1.0, 0.0]])
    # After the last line comes the first one again, half a turn later.
    angles = angles[np.diff(angles, append=angles[0] + np.pi) > PARALLEL]
    widths = np.diff(angles, append=angles[0] + np.pi)
    half = angles + widths / 2 + np.pi / 2
    points = np.column_stack([np.cos(half), np.sin(half)])
    return np.concatenate([points, -points])


def _insert_hyperplanes(normals: Array, report: Callable[[int], None] | None) -> Array:
    """Points in the cells of distinct hyperplanes in three or more dimensions, (p, r).

    Of every cell we keep a point, the point's smallest |h'w| and a hash of the cell's sign vector: the sum modulo 2^64
    of one random number for each positive sign.
    """
    count, dimension = normals.shape
    salts = np.frombuffer(np.random.default_rng(HASH_SEED).bytes(8 * count), dtype=np.uint64)
    points, margins, hashes = np.zeros((1, dimension)), np.ones(1), np.zeros(1, dtype=np.uint64)
    for k, h in enumerate(normals):
        if report:
            report(len(points))
        basis = _complement(h)
        walls = _cells(_unit(normals[:k] @ basis)) @ basis.T
        products = walls @ normals[:k].T
        split, wall = _matches(hashes, (products > 0).astype(np.uint64) @ salts[:k])
        heights = points @ h
        np.minimum(margins, np.abs(heights), out=margins)
        halves = []
        for sign in (1.0, -1.0):
            half, half_margins = _leave_wall(walls[wall], products[wall], sign * h, normals[:k])
            # The point of a split cell stays on its side of the wall if it is better centred there than the new one.
            stay = (sign * heights[split] > 0) & (margins[split] > half_margins)
            half[stay], half_margins[stay] = points[split[stay]], margins[split[stay]]
            halves.append((half, half_margins))
        above = heights > 0
        above[split] = True
        points[split], margins[split] = halves[0]
        points, margins = np.concatenate([points, halves[1][0]]), np.concatenate([margins, halves[1][1]])
        hashes = np.concatenate([hashes + above * salts[k], hashes[split]])
    return points


def _leave_wall(walls: Array, products: Array, h: Array, normals: Array) -> tuple[Array, Array]:
    """Unit vectors from unit points q of walls in the direction of their normal h, and their smallest |x'w|.

    With s = sign(x'q), q + t h is at |x'q| + t s x'h from the plane of x and at t from the wall, so that at
    t = min |x'q| / (1 - s x'h) the wall is as near as the nearest other plane.
    """
    slopes = np.where(products > 0, 1.0, -1.0) * (normals @ h)
    step = (np.abs(products) / (1 - slopes)).min(axis=1, initial=1.0)
    length = np.sqrt(1 + step**2)
    return (walls + step[:, None] * h) / length[:, None], step / length


def _matches(hashes: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices (i, j) with hashes[i] == wanted[j], where every wanted hash occurs exactly once."""
    order = np.argsort(wanted)
    position = np.minimum(np.searchsorted(wanted[order], hashes), len(wanted) - 1)
    found = np.flatnonzero(wanted[order][position] == hashes)
    if len(found) != len(wanted):
        raise _ill_posed()
    return found, order[position[found]]


def _complement(h: Array) -> Array:
    """Orthonormal basis (r, r - 1) of the hyperplane of a unit normal h, by a Householder reflection."""
    v = h.copy()
    v[0] += np.copysign(1.0, h[0])
    return np.eye(len(h))[:, 1:] - np.outer(v, 2 / (v @ v) * v[1:])


def _distinct_lines(units: Array) -> Array:
    """One of every set of unit vectors (m, r) on the same line to within PARALLEL, in their order.

    Vectors are turned into one half space and sorted by their product with a random direction; only runs of close
    products need a comparison of the vectors.
    """
    if len(units) < 2:
        return units
    turn, sweep = np.random.default_rng(HASH_SEED).standard_normal((2, units.shape[1]))
    turned = np.where(units @ turn < 0, -1.0, 1.0)[:, None] * units
    heights = turned @ (sweep / np.linalg.norm(sweep))
    order = np.argsort(heights, kind="stable")
    kept = np.ones(len(units), dtype=np.bool_)
    for run in np.split(order, np.flatnonzero(np.diff(heights[order]) > PARALLEL) + 1):
        rest = np.sort(run)
        while len(rest) > 1:
            close = np.linalg.norm(turned[rest[1:]] - turned[rest[0]], axis=1) <= PARALLEL
            kept[rest[1:][close]] = False
            rest = rest[1:][~close]
    return units[kept]


def _scaled_rows(X: Matrix) -> tuple[Array, Array]:
    """Non-zero rows of X with unit norm after its columns are divided by `scale` (d,), and that scale.

    Columns in different units (mV and the ones of a bias) would make X ill-conditioned: grid points near 10^5 with a
    column of ones have a condition number of 10^10 without this and 2 10^5 with it.
    """
    rows = np.concatenate([chunk for _, chunk in row_chunks(X, 1 << 16)])
    rows = rows[rows.any(axis=1)]
    rows = rows / np.abs(rows).max(axis=1, keepdims=True)
    scale = np.ones(X.shape[1])
    for _ in range(BALANCING if len(rows) else 0):
        sizes = np.sqrt(np.mean(rows**2, axis=0))
        sizes[sizes == 0] = 1.0
        rows, scale = _unit(rows / sizes), scale * sizes
    return rows, scale


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _refuse_excess(bound: int, limit: int, n: int, d: int, what: str) -> None:
    if bound > limit:
        raise InputError(f"{what} have up to {bound:,} patterns, limit = {limit:,}; raise it or use sample_patterns")
    if bound * (n / 8 + 16 * d) > MEMORY:
        raise InputError(f"{what} have up to {bound:,} patterns, more than fit into 4 GB; use sample_patterns")


def _ill_posed() -> InputError:
    return InputError("X is too nearly degenerate for double precision; centre and round its columns, or drop rows")
