"""How many activation patterns there are: enumerated, the exact count, and the bound of the slide.

Slides: the number of hyperplane arrangements.
Claims: n samples of rank r have at most 2 sum_{k<r} C(n, k) patterns.
Found: holds. C(n - 1, k) in place of C(n, k) is the exact count in general position and a bound otherwise.
"""

from math import comb

import numpy as np
from matplotlib.figure import Figure

from _page import BLUE, GREEN, GREY, ORANGE, Claim, Entry, Picture, main, new_figure, style
from ecgcvx.arrangements import enumerate_patterns, pattern_bound


def reproduce(reduced: bool) -> Entry:
    """Enumerate the patterns of data of growing size and rank."""
    counts = _counts(reduced)
    below = all(count <= bound <= slide for *_, count, bound, slide in counts)
    exact = all(count == bound for kind, *_, count, bound, _ in counts if kind == "normal")
    fewer = all(count < bound for kind, n, *_, count, bound, _ in counts if kind == "integer" and n >= 12)
    largest = max((row for row in counts if row[0] == "normal"), key=lambda row: row[3])
    claims = (
        Claim(
            "There are at most 2 sum of C(n, k) over k < r patterns, r = rank X.",
            f"all {len(counts)} enumerated sets are below it; n = {largest[1]}, r = {largest[2]}: {largest[3]:,} "
            f"patterns with the zero one, bound {largest[5]:,}",
            below and exact and fewer,
            "C(n - 1, k) in place of C(n, k) is exact in general position and a bound otherwise.",
        ),
    )
    return Entry(
        "Number of arrangements",
        "the number of hyperplane arrangements",
        claims,
        (
            Picture(
                "arrangement_counts",
                "Enumerated patterns (points), the exact count (lines) and the bound of the slide (dashed).",
                _count_figure(counts),
            ),
        ),
    )


Count = tuple[str, int, int, int, int, int]  # kind of data, n, rank, patterns, exact bound, bound of the slide


def _counts(reduced: bool) -> list[Count]:
    """Enumerated patterns of normal and of integer data, the zero pattern included."""
    random = np.random.default_rng(0)
    sizes = {2: (4, 8, 12, 20, 40, 80), 3: (4, 8, 12, 20, 40, 80), 4: (6, 8, 12, 20, 30), 5: (6, 8, 12, 16)}
    rows: list[Count] = []
    for rank, several in sizes.items():
        for n in several[: 3 if reduced else None]:
            for kind in ("normal", "integer"):
                data = random.standard_normal((n, rank)) if kind == "normal" else random.integers(-2, 3, (n, rank))
                if np.linalg.matrix_rank(data) < rank:
                    continue
                data = np.asarray(data, dtype=np.float64)
                found = enumerate_patterns(data)
                count = len(found) + int(len(data[data.any(axis=1)]) == n and found.coverage.max() == 1)
                slide = 2 * sum(comb(n, k) for k in range(rank))
                rows.append((kind, n, rank, count, pattern_bound(n, rank), slide))
    return rows


def _count_figure(counts: list[Count]) -> Figure:
    figure = new_figure("Number of activation patterns of n samples of rank r", 3.8)
    axes = figure.subplots()
    for rank, color in zip((2, 3, 4, 5), (BLUE, ORANGE, GREEN, GREY), strict=True):
        own = [row for row in counts if row[2] == rank and row[0] == "normal"]
        n = np.array([row[1] for row in own])
        axes.plot(n, [row[5] for row in own], "--", color=color, linewidth=0.9)
        axes.plot(n, [row[4] for row in own], color=color, linewidth=1.2)
        axes.plot(n, [row[3] for row in own], "o", color=color, markersize=5)
        integer = [row for row in counts if row[2] == rank and row[0] == "integer"]
        axes.plot([row[1] for row in integer], [row[3] for row in integer], "x", color=color, markersize=5)
        axes.annotate(f"r = {rank}", (n[-1], own[-1][4]), (6, 0), textcoords="offset points", fontsize=8, va="center",
                      color=color)  # fmt: skip
    for marker, text in (("k--", "2 Σ C(n, k), the slide"), ("k-", "2 Σ C(n−1, k)"), ("ko", "normal data, enumerated"),
                         ("kx", "integers −2..2, enumerated")):  # fmt: skip
        axes.plot([], [], marker, markersize=5, linewidth=1, label=text)
    style(axes, xscale="log", yscale="log", xlabel="samples n", ylabel="patterns, the zero one included")
    axes.set_xticks([5, 10, 20, 40, 80], ["5", "10", "20", "40", "80"])
    axes.set_xticks([], minor=True)
    axes.set_xlim(3.7, 105)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure


if __name__ == "__main__":
    main(reproduce)
