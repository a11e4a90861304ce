"""Sums over rows: what they are, and that they have the same bits however the work is spread."""

from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_tables import RATE, write_record

from ecgcvx.atoms import relu
from ecgcvx.dataset import DatasetOptions, fit_records
from ecgcvx.dataset.options import Reading
from ecgcvx.dataset.rows import cut_runs, record_pieces
from ecgcvx.errors import InputError
from ecgcvx.fit_options import fit_options
from ecgcvx.kinds.gated import Gated, fixed_gates
from ecgcvx.kinds.given_patterns import fit_patterns
from ecgcvx.kinds.kind import Limits
from ecgcvx.kinds.polynomial import PolynomialKind
from ecgcvx.programs.features import PatternFeatures
from ecgcvx.programs.moments import GatedSums, MonomialSums
from ecgcvx.programs.polynomial import PolynomialProgram
from ecgcvx.programs.program import gated_relu_program
from ecgcvx.records import read_recording
from ecgcvx.reductions import LocalEngine, held, interface
from ecgcvx.reductions.interface import HeldRows, Tree, reduced
from ecgcvx.solvers.polynomial import PolynomialSolver
from ecgcvx.solvers.solution import evaluate
from ecgcvx.types import silent
from ecgcvx.windows import split_windows


@pytest.fixture
def records(tmp_path):
    return [write_record(tmp_path / f"r{k}.csv", k, samples=1500, gap=k == 1) for k in range(3)]


@dataclass(frozen=True)
class Words:
    """A reduction whose result tells the order and the grouping of its joins."""

    def of(self, X, y):
        return f"{int(y[0])}"

    def join(self, first, second):
        return f"({first} {second})"


@given(st.integers(1, 40), st.randoms())
def test_the_tree_is_the_same_whatever_the_order_of_arrival(count, random):
    def joined(order):
        tree = Tree(Words(), count)
        for k in order:
            tree.add(k, str(k))
        return tree.root()

    order = list(range(count))
    in_order = joined(order)
    random.shuffle(order)
    assert joined(order) == in_order
    assert in_order.replace("(", "").replace(")", "").split() == [str(k) for k in range(count)]


def test_results_in_order_hold_few_at_a_time():
    tree = Tree(Words(), 1000)
    for k in range(1000):
        tree.add(k, str(k))
        assert len(tree.waiting) <= 10


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(interface, "BLOCK", 64)
    monkeypatch.setattr(interface, "PIECE", 200)
    monkeypatch.setattr("ecgcvx.dataset.rows.BLOCK", 64)
    monkeypatch.setattr("ecgcvx.dataset.rows.PIECE", 200)


def rows_of(seed, n=700, d=4):
    random = np.random.default_rng(seed)
    X = np.c_[random.standard_normal((n, d)), np.ones(n)]
    return X, np.sin(X[:, 0]) + 0.3 * X[:, 1] * X[:, 2]


def test_sums_are_those_of_the_whole_matrix(small_pieces):
    X, y = rows_of(0)
    found = LocalEngine(2).total(MonomialSums(5), held(X, y))
    rows, columns = np.triu_indices(5)
    monomials = X[:, rows] * X[:, columns]
    for name, wanted in (("n", 700), ("H", monomials.T @ monomials), ("c", monomials.T @ y), ("yy", y @ y)):
        np.testing.assert_allclose(getattr(found, name), wanted, rtol=1e-12, atol=1e-10)
    gates = fixed_gates(5, 7, 1)
    gated = LocalEngine(1).total(GatedSums(gates), held(X, y))
    F = np.hstack([(X @ g >= 0)[:, None] * X for g in gates])
    np.testing.assert_allclose(gated.H, F.T @ F, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(gated.c, F.T @ y, rtol=1e-12, atol=1e-10)


def test_threads_do_not_change_a_bit(small_pieces):
    X, y = rows_of(1)
    one, two = (LocalEngine(threads).total(MonomialSums(5), held(X, y)) for threads in (1, 3))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("name", ["polynomial", "quadratic"])
def test_a_summed_program_is_the_program_of_the_rows(name, small_pieces):
    X, y = rows_of(2)
    statistics = fit_options(name).network.statistics(5, 0)
    problem = statistics.problem(LocalEngine().total(statistics.sums, held(X, y)))
    program = PolynomialProgram(X, y, 0.02, problem.program.activation)
    assert problem.largest_beta() == pytest.approx(program.largest_beta(), rel=1e-10)
    trained = problem.train(0.02, warm=None, limits=Limits(), progress=silent)
    assert trained.objective == pytest.approx(program.objective(trained.warm), rel=1e-10)
    assert trained.gap.dual == pytest.approx(program.evaluated(trained.warm)[1], rel=1e-8)
    assert trained.objective == pytest.approx(PolynomialSolver().solve(program).primal, rel=1e-9)
    assert problem.mean_loss(trained) == pytest.approx(np.mean((y - trained.network.predict(X)) ** 2) / 2, rel=1e-9)


def test_a_summed_gated_program_is_the_program_of_the_rows(small_pieces):
    split = split_windows(np.convolve(np.random.default_rng(3).standard_normal(900), [1, 0.8, 0.5]), 6)
    X, y = split.train.X, split.train.y
    kind = Gated(patterns=8)
    statistics = kind.statistics(7, 0)
    patterns = fit_patterns(split.train, 8, "gated", 0)
    np.testing.assert_array_equal(statistics.gates, patterns.gates)
    problem = statistics.problem(LocalEngine().total(statistics.sums, held(X, y)))
    program = gated_relu_program(PatternFeatures(X, patterns), y, 1e-3)
    trained = problem.train(1e-3, warm=None, limits=Limits(), progress=silent)
    wanted = evaluate(program, trained.warm)
    assert trained.objective == pytest.approx(wanted.primal, rel=1e-10)
    assert trained.gap.dual == pytest.approx(wanted.dual, rel=1e-8)
    assert trained.gap.relative <= 1e-5
    assert problem.largest_beta() == pytest.approx(program.largest_beta(), rel=1e-10)
    assert problem.mean_loss(trained) == pytest.approx(np.mean((y - trained.network.predict(X)) ** 2) / 2, rel=1e-9)


def test_networks_that_need_the_rows_have_no_statistics():
    assert PolynomialKind(linear="free").statistics(16, 0) is None
    assert Gated(solver="fista").statistics(16, 0) is None
    assert fit_options("relu").network.statistics(16, 0) is None


@pytest.mark.parametrize("resample", [None, 50.0])
def test_pieces_of_a_record_are_its_windows(records, resample, small_pieces):
    reading = Reading(start=1.0, resample=resample)
    recording = read_recording(records[1], None, **reading.arguments())
    split = split_windows(recording.signal)
    pieces = record_pieces(records[1], None, reading, split.train, split.scaler, recording.sampling_frequency)
    assert len(pieces) > 2
    assert (pieces[1].stretch is None) == (resample is not None)
    for piece, other in zip(pieces, held(split.train.X, split.train.y), strict=True):
        for (X, y), (wanted, targets) in zip(piece.blocks(), other.blocks(), strict=True):
            assert np.array_equal(X, wanted)
            assert np.array_equal(y, targets)


def test_a_record_that_changed_is_refused(records, tmp_path):
    split = split_windows(read_recording(records[0]).signal)
    pieces = record_pieces(records[0], None, Reading(), split.train, split.scaler, RATE)
    write_record(tmp_path / "r0.csv", 0, samples=1400)
    with pytest.raises(InputError, match=r"r0\.csv: 1,400 samples where 1,500 were; it changed"):
        reduced(MonomialSums(16), pieces[0])


def test_runs_are_cut_by_the_number_of_windows():
    assert cut_runs(((0, 5), (9, 12)), 3, 7) == ((3, 5), (9, 11))
    assert cut_runs(((0, 5), (9, 12)), 5, 8) == ((9, 12),)


def test_held_rows_are_sent_without_the_others():
    X, y = rows_of(4)
    function, arguments = HeldRows(X, y, 100, 300).__reduce__()
    sent = function(*arguments)
    assert len(sent.X) == 200
    assert np.array_equal(next(sent.blocks())[0], X[100:300])


def options(engine="memory", network="polynomial", **more):
    own = {"patterns": 6} if network == "gated" else {}
    return DatasetOptions(fit_options(network, beta=1e-4, **own), evaluate="pooled", engine=engine, **more)


def model_bytes(folder):
    return [(folder / f"r{k}.csv" / "model.safetensors").read_bytes() for k in range(3)]


@pytest.mark.parametrize("network", ["polynomial", "gated"])
def test_memory_and_records_give_the_same_model_files(records, network, tmp_path, small_pieces):
    found = []
    for engine, jobs in (("memory", 1), ("records", 1), ("records", 3)):
        rows = list(fit_records(records, options(engine, network, jobs=jobs), tmp_path / f"{engine}{jobs}", silent))
        found.append((model_bytes(tmp_path / f"{engine}{jobs}"), [asdict(row) | {"seconds": 0.0} for row in rows]))
    for models, rows in found[1:]:
        assert models == found[0][0]
        for row, wanted in zip(rows, found[0][1], strict=True):
            assert row == wanted


@pytest.mark.parametrize("most", [1 << 20, 1000])
def test_relu_windows_that_are_made_give_the_same_model_files(records, tmp_path, monkeypatch, most):
    """Over all patterns only signals are held: engine, order of chunks and number of threads change no bit."""
    held = DatasetOptions(fit_options("relu", beta=1e-2, gap=0.05, confirm_starts=20), evaluate="pooled")
    list(fit_records(records, held, tmp_path / "memory", silent))
    monkeypatch.setattr(relu, "HELD_ROWS", most)
    list(fit_records(records, replace(held, engine="records"), tmp_path / "records", silent))
    assert model_bytes(tmp_path / "records") == model_bytes(tmp_path / "memory")


def test_engines_that_cannot_serve_are_refused(records, tmp_path):
    for engine, more, why in [
        ("dask", {"beta": 1e-3}, "needs all windows in memory.*or engine = records"),
        ("records", {"beta": 1e-3, "linear": "free"}, "needs all windows in memory; leave engine out"),
        ("records", {}, r"takes a fixed beta alone; pass beta \(--beta B\)"),
    ]:
        asked = DatasetOptions(fit_options("relu", **more), evaluate="pooled", engine=engine)
        with pytest.raises(InputError, match=f"engine = {engine}: network='relu' .*{why}"):
            list(fit_records(records, asked, tmp_path / "out", silent))
    with pytest.raises(InputError, match="engine = 'disk': choose one of memory, records, dask"):
        options("disk")
    with pytest.raises(InputError, match="with evaluate = within each record is fitted alone"):
        DatasetOptions(engine="records")
    with pytest.raises(InputError, match="cluster = tcp://h:1: not with engine = memory"):
        options(cluster="tcp://h:1")
