"""Distributed and decentralised training: shards of the data that agree on one network.

Slides: distributed and decentralised optimisation.
Claims: the convex program is solved by consensus ADMM over shards that exchange variables and no data; with a hub, and
with neighbours in a graph alone, all arrive at the optimum of the whole data.
Found: holds for the gated network to the accuracy asked for, and for the ReLU network on planted data. On an ECG the
cells of the ReLU network are thin, and ADMM is slow: the difference that is left is given.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from _page import BLUE, GREEN, ORANGE, Claim, Entry, Picture, main, new_figure, plain_log, style
from ecgcvx.arrangements import sample_patterns
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.program import ConvexProgram, gated_relu_program, relu_program
from ecgcvx.programs.shards import split_program
from ecgcvx.records import read_recording
from ecgcvx.solvers.consensus import ConsensusSolution, ConsensusSolver
from ecgcvx.solvers.cvxpy_solver import CvxpySolver
from ecgcvx.windows import split_windows

RECORD = "data/mitdb208/208"
SHARDS = 4
GRAPHS = {
    "hub": None,
    "ring": ((0, 1), (1, 2), (2, 3), (3, 0)),
    "path": ((0, 1), (1, 2), (2, 3)),
}
COLORS = {"hub": BLUE, "ring": ORANGE, "path": GREEN}
AGREE = 1e-6  # relative, of the objectives
SLACK = 1.25  # of the bytes exchanged, for the checks of the gap


@dataclass(frozen=True)
class Study:
    """A program, its centralised optimum, and what each graph came to."""

    name: str
    optimum: float
    found: dict[str, ConsensusSolution]

    def above(self, graph: str) -> float:
        """How far the result is above the optimum, relative."""
        return self.found[graph].primal / self.optimum - 1

    def words(self) -> str:
        """Iterations and bytes of every graph."""
        several = [
            f"{graph}: {self.above(graph):.0e} above the optimum, gap {f.gap:.0e}, {f.iterations:,} iterations, "
            f"{f.exchanged / 1e6:.1f} MB, shards apart by {f.disagreement:.0e}"
            for graph, f in self.found.items()
        ]
        return "; ".join(several)


def reproduce(reduced: bool) -> Entry:
    """Solve each program by all graphs."""
    windows, gates = (400, 4) if reduced else (2000, 12)
    gated = _study("gated ReLU, record 208", _record(gated_relu_program, windows, gates), 1e-4)
    planted = _study("ReLU, planted data", _planted(60 if reduced else 200, 4 if reduced else 8), 1e-5)
    graphs = {"hub": GRAPHS["hub"]}
    ecg = _study("ReLU, record 208", _record(relu_program, windows // 2, gates // 2 + 2), 1e-3, graphs, 120)
    exact = all(abs(gated.above(graph)) < AGREE for graph in GRAPHS)
    links = {graph: SHARDS if graph == "hub" else len(pairs or ()) for graph, pairs in GRAPHS.items()}
    moved = {graph: 2 * links[graph] * 8 * f.u.size for graph, f in gated.found.items()}
    counted = {graph: f.exchanged / f.iterations for graph, f in gated.found.items()}
    data = 8 * windows * 17
    claims = (
        Claim(
            "Gated network: with a hub, and with neighbours alone, the shards agree on the optimum of the whole data.",
            gated.words(),
            exact and all(f.status == "optimal" for f in gated.found.values()),
        ),
        Claim(
            "ReLU network: the same.",
            planted.words(),
            all(-1e-9 < planted.above(graph) < 1e-5 for graph in GRAPHS)
            and all(f.status == "optimal" for f in planted.found.values()),
        ),
        Claim(
            "The same on an ECG.",
            f"{windows // 2:,} windows of record 208, {ecg.words()}",
            -1e-9 < ecg.above("hub") < 2e-2,
            "The cells of the ReLU network are thin on an ECG: ADMM takes thousands of iterations to some 0.1 %.",
        ),
        Claim(
            "The shards exchange variables and no data.",
            f"two copies of the variables a link: an iteration moves {moved['hub'] / 1e3:.1f} kB with the hub, "
            f"{moved['path'] / 1e3:.1f} kB along the path, whatever the number of windows; counted with all checks: "
            f"{counted['hub'] / 1e3:.1f} and {counted['path'] / 1e3:.1f} kB; the windows are {data / 1e3:,.0f} kB",
            all(found.exchanged <= SLACK * found.iterations * moved[graph] for graph, found in gated.found.items()),
            "To put the last point of a ReLU network into its cones, the few rows that hold it are exchanged as well.",
        ),
    )
    return Entry(
        "Distributed and decentralised training",
        "distributed and decentralised optimisation",
        claims,
        (
            Picture(
                "consensus_admm",
                f"How far {SHARDS} shards are from the centralised optimum, against iterations and bytes.",
                _figure((gated, planted)),
            ),
        ),
        f"{windows:,} windows of record 208, {gates} gates, beta = 1e-3; planted data: beta = 0.02.",
    )


def _record(network: Callable[..., ConvexProgram], windows: int, gates: int) -> ConvexProgram:
    train = split_windows(read_recording(RECORD).signal).train
    X = train.X[0:windows]
    return network(PatternFeatures(X, sample_patterns(X, gates, 0)), train.y[:windows], 1e-3)


def _planted(n: int, gates: int) -> ConvexProgram:
    rng = np.random.default_rng(0)
    X = np.c_[rng.standard_normal((n, 3)), np.ones(n)]
    y = np.maximum(X @ rng.standard_normal((4, 3)), 0) @ np.array([1.0, -1.0, 0.5]) + 0.1 * rng.standard_normal(n)
    return relu_program(PatternFeatures(X, sample_patterns(X, gates, 0)), y, 0.02)


def _study(name: str, program: ConvexProgram, gap: float, graphs: dict = GRAPHS, rounds: int = 400) -> Study:
    optimum = CvxpySolver(gap=1e-9).solve(program).primal
    shards = split_program(program, SHARDS)
    found = {}
    for graph, neighbours in graphs.items():
        found[graph] = ConsensusSolver(gap=gap, neighbours=neighbours, rounds=rounds).solve(shards)
    return Study(name, optimum, found)


def _figure(studies: tuple[Study, ...]) -> Figure:
    figure = new_figure("Four shards agree on the centralised optimum", 5.2)
    grid = figure.subplots(2, 2, sharey="row")
    for row, study in zip(grid, studies, strict=True):
        for graph, found in study.found.items():
            distance = np.abs(np.array([line.primal for line in found.history]) / study.optimum - 1)
            iterations = 25 * np.arange(1, len(distance) + 1)
            megabytes = np.array(found.traffic) / 1e6
            for axes, x in zip(row, (iterations, megabytes), strict=True):
                axes.plot(x, np.maximum(distance, 1e-10), color=COLORS[graph], label=graph, marker=".", markersize=4)
        style(row[0], xscale="log", yscale="log", xlabel="iterations", ylabel="|objective / optimum − 1|")
        style(row[1], xscale="log", yscale="log", xlabel="exchanged by all shards (MB)")
        if study is studies[0]:  # the other spans decades, for which powers of ten are the better labels
            for axes in row:
                plain_log(axes.xaxis)
        row[0].set_title(study.name, fontsize=9, loc="left")
        row[0].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


if __name__ == "__main__":
    main(reproduce)
