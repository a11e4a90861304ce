"""Windows that are made of their signal in each pass give the bits of windows that are held."""

import numpy as np
import pytest

from ecgcvx.atoms import chunks, relu
from ecgcvx.atoms.family import Atoms
from ecgcvx.atoms.relu import ReluFamily
from ecgcvx.atoms.workers import workers
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.solvers.active_set.loop import ActiveSetSolver
from ecgcvx.windows import WindowMatrix

RELU = ReluFamily()


@pytest.fixture
def matrix():
    """Windows of 5 samples in three runs, the second one short: chunks with and without a gap, the last one partial."""
    rng = np.random.default_rng(0)
    return WindowMatrix(rng.standard_normal(40_000).cumsum() / 50, ((3, 20_000), (20_010, 20_013), (20_100, 39_000)), 5)


@pytest.fixture
def sliding(monkeypatch):
    """Make of windows what is more than a few."""
    monkeypatch.setattr(relu, "HELD_ROWS", 100)
    monkeypatch.setattr(chunks, "BATCH", 3)


def test_starts_and_rows(matrix):
    every = np.concatenate([np.arange(a, b) for a, b in matrix.runs])
    for first, stop in [(0, 7), (19_990, 20_005), (5, 5), (0, len(every))]:
        np.testing.assert_array_equal(matrix.starts(first, stop), every[first:stop])
    rows = np.array([0, 3, 19_996, 19_997, 19_998, 20_000, len(every) - 1])
    some = matrix.take(rows)
    np.testing.assert_array_equal(some[:], matrix[:][rows])
    np.testing.assert_array_equal(some.take(np.array([1, 4]))[0:2], matrix[:][rows[[1, 4]]])


@pytest.mark.parametrize("threads", [1, 3])
def test_passes_have_the_bits_of_held_rows(matrix, sliding, threads):
    rng = np.random.default_rng(1)
    atoms = Atoms(rng.standard_normal((40, 6)), np.where(rng.random((40, 1)) < 0.5, 1.0, -1.0))
    n, v = matrix.shape[0], rng.standard_normal(matrix.shape[0])
    widths, program = 0.1 * RELU.norms(atoms), AllPatterns(np.zeros((n, 1)), v, 0.1)
    rows = np.sort(rng.choice(n, 3000, replace=False))
    with workers(threads) as pool:
        made, held = RELU.prepare(matrix).using(pool), RELU.hold(matrix)
        assert isinstance(made.chunks, chunks.SlidingChunks)
        for one, other in ((made, held), (made.on_rows(rows), held.on_rows(rows))):
            u = v[: one.n]
            for name, given in (
                ("outputs", ()), ("prices", (u,)), ("output_gram", ()), ("output_gram", (u * u,)), ("curvature", ()),
                ("curvature", (u * u,)), ("rounded_outputs", (widths,)), ("rounded_prices", (widths, u)),
            ):  # fmt: skip
                np.testing.assert_array_equal(getattr(one, name)(atoms, *given), getattr(other, name)(atoms, *given))
            starts = [p.starts(50, atoms, np.random.default_rng(2)).points for p in (one, other)]
            np.testing.assert_array_equal(*starts)
            assert one.height == other.height
            np.testing.assert_array_equal(one.prices(atoms, u, exact=True), other.prices(atoms, u, exact=True))
        one, other = (passes.loss_and_gradient(atoms, widths, program) for passes in (made, held))
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])


def test_training_has_the_bits_of_held_rows(matrix, monkeypatch):
    y = np.roll(matrix[:][:, 4], -1)
    found = []
    for most, threads in ((1 << 20, 1), (100, 1), (100, 2)):
        monkeypatch.setattr(relu, "HELD_ROWS", most)
        solver = ActiveSetSolver(gap=0.05, confirm_starts=40, threads=threads)
        solution = solver.solve(AllPatterns(matrix, y, 1e-2))
        found.append((solution.atoms.points.tobytes(), solution.primal, solution.dual))
    assert found[0] == found[1] == found[2]
