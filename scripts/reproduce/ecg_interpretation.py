"""Interpretation of an ECG network: which activation patterns D_i are active where in the beat.

Slides: interpretation of the convex network on an ECG.
Claims: every neuron of the optimum is a pattern D_i with a linear filter, and D_i is on in a certain part of the beat.
Found: holds. On record 208 most patterns are on in one part of the beat and off in another, far beyond what a pattern
shows when the beats are moved in time; the neurons add up to the network's forecast exactly.
"""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from _page import BLUE, INK, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.beats import Beats, find_beats, label_windows
from ecgcvx.models.recovery import network_of_neurons
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import Recording, read_recording
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.types import Array
from ecgcvx.windows import Windows, split_windows

RECORD = "data/mitdb208/208"
BETA, GAP = 1e-3, 1e-2
FIRST, LAST, BIN = -250, 400, 10  # ms from the R peak
SHOWN = 12
MOVES = 20  # of the beats in time, for what chance shows


def reproduce(reduced: bool) -> Entry:
    """Train on record 208, and look where in the beat every pattern is on."""
    recording = read_recording(RECORD)
    windows = split_windows(recording.signal).train
    count = 6000 if reduced else len(windows)
    X, y = windows.X[0:count], windows.y[:count]
    program = AllPatterns(X, y, BETA)
    solution = ActiveSetSolver(gap=GAP).solve(program)
    network = network_of_neurons(solution.atoms.points, solution.atoms.tags[:, 0])
    rows = np.asarray(X[0 : len(y)])
    heights = rows @ network.W1
    on = heights > 0
    parts = np.maximum(heights, 0.0) * network.W2
    order = np.argsort(-parts.var(axis=0))[:SHOWN]
    beats = find_beats(recording)
    assert beats is not None
    rate = recording.sampling_frequency
    offset = _offsets(recording, beats, windows)[: len(y)]
    shares = _shares(on[:, order], offset)
    ranges = np.nanmax(shares, axis=1) - np.nanmin(shares, axis=1)
    random = np.random.default_rng(0)
    moved = []
    for _ in range(4 if reduced else MOVES):
        # Every beat by an amount of its own: a common shift would only turn the pattern.
        samples = beats.samples + random.integers(-int(rate / 2), int(rate / 2), len(beats))
        jitter = replace(beats, samples=np.unique(samples.clip(0, len(recording.signal) - 1)))
        chance = _shares(on[:, order], _offsets(recording, jitter, windows)[: len(y)])
        moved.append(np.nanmax(chance, axis=1) - np.nanmin(chance, axis=1))
    chance = np.max(moved, axis=0)
    error = float(np.abs(parts.sum(axis=1) - network.predict(rows)).max())
    above = int((ranges > chance).sum())
    claims = (
        Claim(
            "The optimum is a sum of patterns D_i with a linear filter each.",
            f"{network.neurons} neurons (beta = {BETA:g}, searched gap {solution.gap:.0e}); the sum of D_i X u_i is "
            f"the network's forecast to {error:.0e}",
            error < 1e-9 * max(1.0, float(np.abs(parts).sum(axis=1).max())),
        ),
        Claim(
            "D_i is active in a certain part of the beat.",
            f"of the {len(order)} patterns that contribute most, {int((ranges > 0.5).sum())} are on more often in one "
            f"part than in another by over 50 percentage points (median {100 * np.median(ranges):.0f}); with beats "
            f"moved at random at most {100 * chance.max():.0f}, and {above} of {len(order)} are beyond their own value",
            above == len(order) and float(np.median(ranges)) > 2 * float(np.median(chance)),
        ),
    )
    return Entry(
        "Interpretation of the ECG network",
        "interpretation of the ECG network",
        claims,
        (
            Picture(
                "ecg_interpretation",
                "Above: the mean beat of record 208. Below: share of the windows at which each pattern is on, by where "
                "in the beat the forecast sample lies.",
                _figure(shares, parts[:, order], offset, y),
            ),
        ),
        f"{len(y):,} training windows of record 208; beats by the detector where the record has no annotation.",
    )


def _offsets(recording: Recording, beats: Beats, windows: Windows) -> Array:
    """Milliseconds from the R peak of the beat of every window's target, NaN outside beats."""
    labels = label_windows(beats, windows, recording.sampling_frequency)
    return np.where(labels.beat >= 0, 1e3 * labels.offset / recording.sampling_frequency, np.nan)


def _shares(on: NDArray[np.bool_], offset: Array) -> Array:
    """Share of the windows at which each pattern is on, (patterns, bins)."""
    edges = np.arange(FIRST, LAST + BIN, BIN)
    place = np.digitize(offset, edges) - 1
    shares = np.full((on.shape[1], len(edges) - 1), np.nan)
    for b in range(len(edges) - 1):
        inside = place == b
        if inside.sum() >= 30:
            shares[:, b] = on[inside].mean(axis=0)
    return shares


def _figure(shares: Array, parts: Array, offset: Array, y: Array) -> Figure:
    figure = new_figure("Where in the beat the patterns are on", 5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    centres = np.arange(FIRST, LAST, BIN) + BIN / 2
    place = np.digitize(offset, np.arange(FIRST, LAST + BIN, BIN)) - 1
    mean = np.array([y[place == b].mean() if (place == b).any() else np.nan for b in range(len(centres))])
    spread = np.array([y[place == b].std() if (place == b).any() else np.nan for b in range(len(centres))])
    upper.fill_between(centres, mean - spread, mean + spread, color=BLUE, alpha=0.2, linewidth=0)
    upper.plot(centres, mean, color=INK)
    style(upper, ylabel="signal (standardised)", xlim=(FIRST, LAST))
    image = lower.imshow(
        shares, aspect="auto", extent=(FIRST, LAST, len(shares) + 0.5, 0.5), cmap="Blues", vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    style(lower, xlabel="time from the R peak (ms)", ylabel="pattern, largest contribution first")
    lower.set_yticks(range(1, len(shares) + 1))
    lower.grid(visible=False)
    bar = figure.colorbar(image, ax=lower, fraction=0.04, pad=0.01)
    bar.set_label("share of windows at which it is on", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


if __name__ == "__main__":
    main(reproduce)
