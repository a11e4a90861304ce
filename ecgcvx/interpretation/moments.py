"""One pass over the windows for all patterns at once: coverage, dwell, moments of the contributions, where they are on.

Rows come in chunks, so that memory does not grow with the recording: some 20 products and sums of a chunk, whatever the
number of patterns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ecgcvx.beats import SEGMENTS, BeatLabels
from ecgcvx.interpretation.units import CHUNK_ELEMENTS, Units
from ecgcvx.rows import row_chunks
from ecgcvx.types import Array
from ecgcvx.windows import Windows

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over n windows for p units, standardised: c is a unit's contribution, f the output, r = y - f.

    on, runs : (p,) windows and uninterrupted runs of windows in which it is on. c, cc, cf, cr : (p,) sums of c, c^2,
    c f, c r. cx : (p, d) of c x, xx : (d, d) of x x'. segments, bins : (4, p), (bins, p) windows with that label in
    which it is on. beats : (p,) beats in which it is on at least once.
    """

    n: int
    on: Array
    runs: Array
    c: Array
    cc: Array
    cf: Array
    cr: Array
    cx: Array
    xx: Array
    segments: Array
    bins: Array
    beats: Array

    def __len__(self) -> int:
        return len(self.on)


def moments(units: Units, windows: Windows, f: Array, labels: BeatLabels | None) -> Moments:
    """Return the sums of units over the windows, f (n,) the network's output; without labels those of beats are 0."""
    p, n = len(units), len(windows)
    r = windows.y - f
    on, runs, cc = np.zeros(p), np.zeros(p), np.zeros(p)
    products = np.zeros((3, p))
    cx, xx = np.zeros_like(units.filters), np.zeros((units.filters.shape[1],) * 2)
    segments, bins = np.zeros((len(SEGMENTS), p)), np.zeros((1 if labels is None else labels.bins, p))
    hits, before, open_beat, open_on = np.zeros(p), np.zeros(p, dtype=np.float32), -1, np.zeros(p, dtype=bool)
    follows = np.r_[False, np.diff(windows.starts) == 1]
    for start, rows in row_chunks(windows.X, CHUNK_ELEMENTS // max(p, 1)):
        piece = slice(start, start + len(rows))
        active = units.on(rows).astype(np.float32)
        C = units.outputs(rows, active)
        on += active.sum(axis=0, dtype=np.float64)
        previous = np.concatenate([before[None], active[:-1]]) * follows[piece, None]
        runs += (active > previous).sum(axis=0)
        before = active[-1]
        products += np.stack([np.ones(len(rows)), f[piece], r[piece]]) @ C
        cc += np.einsum("np,np->p", C, C)
        cx += C.T @ rows
        xx += rows.T @ rows
        if labels is not None and (labels.beat[piece] >= 0).any():
            segments += _one_hot(labels.segment[piece], len(segments)) @ active
            bins += _one_hot(labels.bin[piece], len(bins)) @ active
            seen = labels.beat[piece]
            first, last = int(seen[seen >= 0].min()), int(seen.max())
            touched = _one_hot(seen - np.where(seen >= 0, first, 0), last - first + 1) @ active > 0
            if first == open_beat:
                touched[0] |= open_on
            else:
                hits += open_on
            hits += touched[:-1].sum(axis=0)
            open_beat, open_on = last, touched[-1]
    c, cf, cr = products
    return Moments(n, on, runs, c, cc, cf, cr, cx, xx, segments, bins, hits + open_on)


def joint_windows(shown: Units, others: Units, windows: Windows) -> Array:
    """Return (K, p): in how many windows the units i of the first and j of the second are on together."""
    out = np.zeros((len(shown), len(others)))
    for _, rows in row_chunks(windows.X, CHUNK_ELEMENTS // max(len(others), 1)):
        few, all_of_them = (units.on(rows).astype(np.float32) for units in (shown, others))
        out += few.T @ all_of_them
    return out


def masks_of(units: Units, windows: Windows) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return for few units (K, n): in which windows they are on, and their contributions (standardised y)."""
    on = np.empty((len(units), len(windows)), dtype=bool)
    contributions = np.empty(on.shape, dtype=np.float32)
    for start, rows in row_chunks(windows.X, CHUNK_ELEMENTS // max(len(units), 1)):
        piece = slice(start, start + len(rows))
        here = units.on(rows)
        on[:, piece] = here.T
        contributions[:, piece] = units.outputs(rows, here).T
    return on, contributions


def lead_parts(units: Units, windows: Windows) -> Array:
    """Return what the units add by way of the window of each of several leads (leads, n), standardised."""
    length = windows.length
    out = np.zeros(((windows.X.shape[1] - 1) // length, len(windows)))
    for start, rows in row_chunks(windows.X, CHUNK_ELEMENTS // max(len(units), 1)):
        on = units.on(rows)
        for k in range(len(out)):
            part = units.part(rows, on, slice(k * length, (k + 1) * length))
            out[k, start : start + len(rows)] = part.sum(axis=1)
    return out


def _one_hot(label: Labels, number: int) -> csr_array:
    """(number, rows), one where a row has that label."""
    rows = np.flatnonzero(label >= 0)
    ones = np.ones(len(rows), dtype=np.float32)
    return csr_array((ones, (label[rows], rows)), shape=(number, len(label)))
