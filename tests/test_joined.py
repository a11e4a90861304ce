"""Leads that are joined as further columns of one window, against `sliding_window_view` and least squares by hand."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from ecgcvx import api
from ecgcvx.anomalies import detect
from ecgcvx.anomalies.stream import EventStream
from ecgcvx.cli import main
from ecgcvx.cli.stream import channels_of
from ecgcvx.dataset import DatasetOptions, Reading, fit_records
from ecgcvx.errors import InputError, ModelError, RecordError
from ecgcvx.fit_options import fit_options
from ecgcvx.interpretation import Refitting, decompose, interpret
from ecgcvx.interpretation.explanation import explain
from ecgcvx.interpretation.stability import rows_of
from ecgcvx.interpretation.units import gate_in_mv
from ecgcvx.model_file import load
from ecgcvx.programs.all_patterns import AllPatterns
from ecgcvx.records import Lead, Recording, read_recording
from ecgcvx.report.page import report_html
from ecgcvx.streaming.adaptation import AdaptiveStream, SizeStatistics
from ecgcvx.tensor_file import read_tensors, write_tensors
from ecgcvx.types import silent
from ecgcvx.windows import Scaler, all_windows, split_windows

RATE = 100.0


def leads_of(seed, samples=1500, count=2):
    """Noisy leads of one source, of which the later ones run ahead of the first."""
    random = np.random.default_rng(seed)
    t = np.arange(samples) / RATE
    source = [np.sin(2 * np.pi * 1.3 * (t + 0.05 * k)) + 0.4 * np.sin(2 * np.pi * 6 * (t + 0.05 * k)) for k in range(4)]
    return [(1 + k) * source[k] + 0.1 * k + 0.05 * random.standard_normal(samples) for k in range(count)]


def write_leads(path, names, signals):
    rows = zip(np.arange(len(signals[0])) / RATE, *signals, strict=True)
    text = "".join(",".join(f"{value:.5f}" for value in row) + "\n" for row in rows)
    path.write_text(f"time (s),{','.join(names)}\n{text}")
    return str(path)


@pytest.fixture
def record(tmp_path):
    return write_leads(tmp_path / "r.csv", ("II", "V1", "V5"), leads_of(0, count=3))


def options(beta=1e-4, **more):
    return fit_options("polynomial", window=5, beta=beta, baselines="linear", linear="penalised", **more)


@st.composite
def gapped_leads(draw):
    n, leads = draw(st.integers(30, 90)), draw(st.integers(2, 4))
    signal = np.random.default_rng(draw(st.integers(0, 999))).standard_normal((leads, n))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, n - 1))
        signal[draw(st.integers(0, leads - 1)), at : at + draw(st.integers(1, 4))] = np.nan
    return signal


@settings(max_examples=100, deadline=None)
@given(gapped_leads(), st.integers(1, 6), st.integers(1, 4), st.integers(0, 60), st.integers(0, 60))
def test_a_row_is_the_windows_of_all_leads_at_the_same_samples(signal, length, horizon, a, b):
    try:
        split = split_windows(signal, length, horizon, 0.6)
    except InputError:  # a part without a window
        return
    mean, scale = (np.array([[one] for one in values]) for values in zip(
        *((s.mean, s.scale) for s in (*split.scaler.joined, split.scaler)), strict=True
    ))  # fmt: skip
    valid = np.isfinite(signal).all(axis=0)
    known = signal[:, : split.boundary][:, valid[: split.boundary]]
    np.testing.assert_allclose(mean[:, 0], known.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(scale[:, 0], known.std(axis=1), rtol=1e-12)
    z = (signal - mean) / scale
    for part, first, stop in ((split.train, 0, split.boundary), (split.test, split.boundary, signal.shape[1])):
        starts = [
            s for s in range(first, stop - length - horizon + 1) if valid[s : s + length + horizon].all()
        ]  # fmt: skip
        by_hand = np.hstack([sliding_window_view(lead, length)[starts] for lead in z] + [np.ones((len(starts), 1))])
        np.testing.assert_array_equal(part.starts, starts)
        np.testing.assert_array_equal(part.X[:], by_hand)
        np.testing.assert_array_equal(part.X[a:b], by_hand[a:b])
        np.testing.assert_array_equal(part.y, z[-1, np.array(starts) + length - 1 + horizon])
    whole = all_windows(signal, split.scaler, length, horizon)
    assert set(split.train.starts) | set(split.test.starts) <= set(whole.starts)


def test_one_lead_as_a_matrix_is_that_lead():
    signal = leads_of(1)[0]
    one, two = split_windows(signal, 5), split_windows(signal[None], 5)
    np.testing.assert_array_equal(one.train.X[:], two.train.X[:])
    np.testing.assert_array_equal(one.test.y, two.test.y)
    assert one.scaler == two.scaler


def test_a_constant_joined_lead_is_refused():
    signal = np.stack([np.ones(300), leads_of(1)[0][:300]])
    with pytest.raises(InputError, match=r"the training part is constant \(1 mV\); it is of a lead that is joined"):
        split_windows(signal, 5)


def test_leads_are_read_side_by_side(record):
    found = read_recording(record, "V1", join=("V5", "II"))
    assert (found.lead, [lead.name for lead in found.joined]) == ("V1", ["V5", "II"])
    for at, name in enumerate(("V5", "II", "V1")):
        np.testing.assert_array_equal(found.signals[at], read_recording(record, name).signal)
    every = read_recording(record, "V1", join="all")
    assert [lead.name for lead in every.joined] == ["II", "V5"]
    assert read_recording(record).signals.shape == (1500,)
    halved = read_recording(record, "II", join="V1", resample=50.0)
    np.testing.assert_array_equal(halved.joined[0].signal, read_recording(record, "V1", resample=50.0).signal)


@pytest.mark.parametrize(
    ("lead", "join", "words"),
    [
        ("II", ("V9",), "no lead 'V9'"),
        ("II", ("II",), "lead II is joined to itself"),
        ("II", ("V1", "v1"), "lead V1 is joined to itself"),
    ],
)
def test_leads_that_cannot_be_joined_are_named(record, lead, join, words):
    with pytest.raises(RecordError, match=words):
        read_recording(record, lead, join=join)


def test_a_record_of_one_lead_has_none_to_join(tmp_path):
    path = write_leads(tmp_path / "one.csv", ("II",), leads_of(0, count=1))
    with pytest.raises(RecordError, match="II is its only ECG lead"):
        read_recording(path, join="all")


def test_the_linear_baseline_is_least_squares_on_the_windows_side_by_side(record):
    found = read_recording(record, "II", join="all")
    result = api.fit(found, "polynomial", window=5, beta=1e-4, baselines="linear")
    z = result.split.scaler.standardise(found.signals)
    n, boundary = 1500, 1200
    rows = np.hstack([sliding_window_view(lead, 5) for lead in z] + [np.ones((n - 4, 1))])
    w = np.linalg.lstsq(rows[: boundary - 5], z[-1, 5:boundary], rcond=None)[0]
    error = z[-1, boundary + 5 :] - rows[boundary : n - 5] @ w
    scores = {score.name: score.test_rmse_mv for score in result.scores}
    assert scores["linear_ar"] == pytest.approx(result.split.scaler.scale * np.sqrt(np.mean(error**2)), rel=1e-9)
    signal = found.signal
    last = signal[boundary + 5 :] - signal[boundary + 4 : -1]
    assert scores["persistence"] == pytest.approx(np.sqrt(np.mean(last**2)), rel=1e-9)
    alone = api.fit(read_recording(record, "II"), "polynomial", window=5, beta=1e-4, baselines="linear")
    assert scores["convex"] < alone.scores[-1].test_rmse_mv


def test_the_network_is_that_of_the_windows_side_by_side(record):
    """The program gets what a plain matrix of the same rows gives."""
    from ecgcvx.activations import RELU_LIKE
    from ecgcvx.programs.polynomial import PolynomialProgram
    from ecgcvx.solvers.polynomial import PolynomialSolver

    found = read_recording(record, "II", join="all")
    result = api.fit(found, "polynomial", window=5, beta=1e-3, baselines="none", linear="penalised")
    train = result.split.train
    solved = PolynomialSolver().solve(PolynomialProgram(np.asarray(train.X), train.y, 1e-3, RELU_LIKE))
    assert result.trained.objective == pytest.approx(solved.primal, rel=1e-6)


@pytest.mark.parametrize("network", ["relu", "gated", "quadratic", "stack"])
def test_other_networks_take_joined_leads(network, tmp_path):
    joined = Recording(leads_of(2)[0], RATE, "II", "r", joined=(Lead("V1", leads_of(2)[1]),))
    more = {"relu": {"beta": 1e-2, "rounds": 2}, "gated": {"beta": 1e-2, "patterns": 4}, "stack": {"stages": 1}}
    result = api.fit(
        joined, network, window=4, baselines="none", **{"beta": 1e-3} | more[network] if network in more
        and network != "stack" else more.get(network, {"beta": 1e-3}),
    )  # fmt: skip
    assert result.forecaster.network.inputs == 9
    result.forecaster.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        load(tmp_path / "m.safetensors").predict(joined), result.forecaster.predict(joined)
    )  # fmt: skip


def test_a_network_of_patches_takes_one_lead():
    joined = Recording(leads_of(2)[0], RATE, "II", "r", joined=(Lead("V1", leads_of(2)[1]),))
    with pytest.raises(InputError, match="network='conv' takes windows of one lead, not of 2"):
        api.fit(joined, "conv", window=8, beta=1e-2)


@pytest.fixture
def model(record):
    return api.fit(
        read_recording(record, "II", join="all"), "polynomial", window=5, beta=1e-4, baselines="none",
        intervals=(0.5,),
    ).forecaster  # fmt: skip


def test_a_model_of_joined_leads_survives_its_file(record, model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    again, found = load(tmp_path / "m.safetensors"), read_recording(record, "II", join="all")
    assert (again.joined, again.scaler) == (("V1", "V5"), model.scaler)
    np.testing.assert_array_equal(again.predict(found), model.predict(found))
    np.testing.assert_array_equal(again.predict_interval(found, 0.5).upper, model.predict_interval(found, 0.5).upper)
    np.testing.assert_array_equal(
        np.isfinite(again.predict(found)), np.r_[np.zeros(5, dtype=bool), np.ones(1495, dtype=bool)]
    )  # fmt: skip
    assert api.certify(again, found)[0].gap < 1e-5


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("joined"),
        lambda found: found["joined"].pop(),
        lambda found: found["joined"][0].update(scale=0.0),
        lambda found: found["joined"][0].update(lead=3),
        lambda found: found.update(joined=[1]),
        lambda found: found.update(format=5),
    ],
)
def test_damaged_leads_of_a_model_file_are_refused(model, change, tmp_path):
    path = tmp_path / "m.safetensors"
    model.save(path)
    _, tensors, found = read_tensors(path, "")
    change(found)
    write_tensors(path, tensors, {name: value for name, value in found.items() if name != "digest"})
    with pytest.raises(ModelError):
        load(path)


def test_records_without_the_leads_are_refused(record, model):
    for recording in (read_recording(record, "II"), read_recording(record, "II", join=("V5", "V1"))):
        with pytest.raises(ModelError, match="the model's to II are V1, V5"):
            model.predict(recording)
        with pytest.raises(ModelError, match="the model's to II are V1, V5"):
            api.certify(model, recording)


def test_what_takes_one_lead_says_so(record, model):
    found = read_recording(record, "II", join="all")
    for name, call in {"detect (--events)": lambda: EventStream(model), "detect": lambda: detect(model, found)}.items():
        with pytest.raises(ModelError, match=rf"{re.escape(name)}: not of a model of joined leads \(V1, V5, II\)"):
            call()


def rows_in_mv(windows, scaler):
    """The rows of windows, in mV, without the 1 of the bias."""
    mean, scale = scaler.columns(windows.length)
    return windows.X[:][:, :-1] * scale + mean


def test_a_polynomial_network_is_one_quadratic_form_of_the_row(record, model):
    found = read_recording(record, "II", join="all")
    read = interpret(model, found, refitting=None)
    windows, predict = read.part_windows, model.network.predict
    forecast = model.scaler.restore(predict(windows.X))
    np.testing.assert_allclose(read.quadratic(rows_in_mv(windows, model.scaler)), forecast, atol=1e-9)
    # The parts of the leads, from finite differences of the network (exact for a polynomial of degree 2).
    X, d = windows.X[:][:, :-1], 15
    at = np.eye(d)
    values = lambda rows: predict(np.c_[rows, np.ones(len(rows))])  # noqa: E731
    zero = values(np.zeros((1, d)))[0]
    slope = (values(at) - values(-at)) / 2
    pairs = values((at[:, None] + at[None]).reshape(-1, d)).reshape(d, d)
    Q = (pairs - values(at)[:, None] - values(at)[None] + zero) / 2
    f = predict(windows.X)
    for k, one in enumerate(read.leads):
        mask = np.repeat(np.arange(3) == k, 5)
        part = X @ (slope * mask) + np.einsum("ni,ij,nj->n", X * mask, Q, X)
        assert one.lead == ("V1", "V5", "II")[k]
        assert one.variance_share == pytest.approx(np.cov(part, f, ddof=0)[0, 1] / f.var(), abs=1e-9)
        assert one.sd_mv == pytest.approx(model.scaler.scale * part.std(), rel=1e-9)
    assert sum(one.variance_share for one in read.leads) == pytest.approx(1.0, abs=1e-9)


@pytest.fixture(scope="module")
def relu():
    """A ReLU network of two leads and its recording."""
    joined = Recording(leads_of(2)[0], RATE, "II", "r", joined=(Lead("V1", leads_of(2)[1]),))
    result = api.fit(joined, "relu", window=4, beta=3e-3, baselines="none", rounds=2)
    assert result.forecaster.network.neurons > 3
    return result.forecaster, joined


def test_patterns_of_joined_leads_are_filters_of_every_lead(relu):
    """Gates and filters in mV, one a lead, add up to the forecast of every window."""
    model, joined = relu
    read = interpret(model, joined, top=999, refitting=Refitting(rows=120, seeds=1, folds=2, factors=()))
    windows, network = read.part_windows, model.network
    rows, X = rows_in_mv(windows, model.scaler), windows.X[:]
    on = np.array([pattern.gate(rows) >= 0 for pattern in read.patterns])
    added = np.array([pattern.filter(rows) for pattern in read.patterns])
    forecast = model.scaler.restore(network.predict(X))
    np.testing.assert_allclose(model.scaler.mean + (on * added).sum(axis=0), forecast, atol=1e-9)
    for pattern, here in zip(read.patterns, on, strict=True):
        assert len(pattern.filter.leads) == len(pattern.gate.leads) == 2
        assert np.linalg.norm(pattern.gate.row) == pytest.approx(1.0)
        np.testing.assert_allclose(pattern.mean_window, rows[here].mean(axis=0).reshape(2, 4), atol=1e-12)
    f = network.predict(X)
    parts = [((X @ network.W1 > 0) * (X[:, k : k + 4] @ network.W1[k : k + 4])) @ network.W2 for k in (0, 4)]
    shares = [np.cov(part, f, ddof=0)[0, 1] / f.var() for part in parts]
    assert [one.variance_share for one in read.leads] == pytest.approx(shares, abs=1e-9)
    index = np.array([3, 0, 17])
    np.testing.assert_array_equal(rows_of(windows, index), X[index])
    assert len(read.stability.refits) == 5


def test_one_forecast_of_joined_leads_is_taken_apart_and_explained(relu):
    model, joined = relu
    sample, forecast = 700, model.predict(joined)[700]
    parts = decompose(model, joined, sample)
    assert parts.mean_mv + parts.contributions.sum() == pytest.approx(forecast, abs=1e-12)
    np.testing.assert_array_equal(parts.window, joined.signals[:, 696:700])
    found = explain(model, joined, sample / RATE)
    assert found.mean_mv + sum(one.adds_mv for one in found.active) == pytest.approx(forecast, abs=1e-12)
    np.testing.assert_array_equal(found.windows, parts.window)
    # The smallest change in mV: on the gate of its pattern, and along its taps in mV.
    pattern = int(found.nearest.name.split()[1]) - 1
    gate = gate_in_mv(model, model.network.W1[:, pattern])
    assert gate((found.window_mv + found.nearest.change_mv)[None])[0] == pytest.approx(0.0, abs=1e-9)
    assert np.linalg.norm(found.nearest.change_mv) == pytest.approx(found.nearest.distance_mv)
    assert abs(gate.row @ found.nearest.change_mv) == pytest.approx(found.nearest.distance_mv)
    for other in (replace(joined, joined=()), Recording(joined.signal, RATE, "II", "r", joined=joined.joined * 2)):
        for call in (
            lambda r: decompose(model, r, sample),
            lambda r: explain(model, r, 7.0),
            lambda r: interpret(model, r),
        ):
            with pytest.raises(ModelError, match="the model's to II are V1"):
                call(other)


@pytest.mark.parametrize("network", ["relu", "gated", "stack"])
def test_a_report_of_joined_leads_draws_each(network, relu):
    model, joined = relu
    if network != "relu":
        more = {"gated": {"beta": 1e-2, "patterns": 4}, "stack": {"stages": 1}}[network]
        model = api.fit(joined, network, window=4, baselines="none", **more).forecaster
    read = interpret(model, joined, refitting=None, top=2)
    page = report_html(read, None, "out")
    assert page.count("<h4>Lead V1</h4>") == page.count("<h4>Lead II</h4>") == len(read.patterns) > 0
    assert "of each of the leads V1 and II and forecasts the value of II" in page
    assert "Each lead was standardised by itself, V1 by one mean" in page
    assert "% comes from V1 and " in page.replace("\u00a0", " ")
    assert "V1: window, mV" in page
    assert "NaN" not in page


@pytest.mark.parametrize("outside", ["flag", "linear", "nan"])
def test_a_stream_says_what_the_whole_recording_says(model, outside):
    leads = [lead.copy() for lead in leads_of(7, count=3)]
    leads[0][200:203], leads[2][900], leads[1][500:520] = np.nan, np.nan, 9.0  # gaps, and what no training window has
    found = Recording(leads[0], RATE, "II", "r", joined=(Lead("V1", leads[1]), Lead("V5", leads[2])))
    forecasts, flags = model.predict_and_flag(found, outside)
    interval = model.predict_interval(found, 0.5, adapt=True)
    stream = model.stream(outside=outside, coverages=(0.5,))
    first, steps = stream.push_chunk(found.signals[:, :700]), [stream.push(row) for row in found.signals[:, 700:].T]
    due = np.flatnonzero(np.isfinite(forecasts) | flags)
    assert 0 < flags.sum() < len(due) < len(found.signal) - 3

    def made(name):
        return np.concatenate([getattr(first, name + "s"), [getattr(step, name) for step in steps]])[due - 1]

    np.testing.assert_array_equal(made("prediction"), forecasts[due])
    np.testing.assert_array_equal(
        np.concatenate([first.outside, [step.outside for step in steps]])[due - 1], flags[due]
    )  # fmt: skip
    if outside == "flag":
        ends = np.concatenate([first.intervals, [step.intervals for step in steps]])[due - 1]
        np.testing.assert_array_equal(ends[:, 0], np.stack(interval, axis=1)[due])
    whole = model.stream(2, outside=outside).push_chunk(np.stack([found.signals] * 2))
    np.testing.assert_array_equal(whole.predictions[1][due - 1], forecasts[due])


def test_a_stack_of_joined_leads_streams():
    joined = Recording(leads_of(2)[0], RATE, "II", "r", joined=(Lead("V1", leads_of(2)[1]),))
    stack = api.fit(joined, "stack", window=4, baselines="none", stages=1).forecaster
    stream, forecasts = stack.stream(), stack.predict(joined)
    first, steps = stream.push_chunk(joined.signals[:, :1400]), [stream.push(row) for row in joined.signals[:, 1400:].T]
    made = np.concatenate([first.predictions, [step.prediction for step in steps]])
    np.testing.assert_array_equal(made[3:-1], forecasts[4:])


def test_adaptation_remembers_the_windows_of_all_leads(model):
    """The sums of a few pieces are those of all windows at once, by their age."""
    found = Recording(leads_of(9)[0], RATE, "II", "r", joined=tuple(map(Lead, ("V1", "V5"), leads_of(9, count=3)[1:])))
    signals = found.signals.copy()
    signals[1, 700] = np.nan
    statistics = SizeStatistics(model, memory=5.0)
    for piece in np.split(signals, [300, 301, 705], axis=1):
        statistics.absorb(piece)
    windows = all_windows(signals, model.scaler, model.window, model.horizon)
    units = np.sign(model.network.W2) / model.network.directions
    residuals = windows.y if model.network.linear is None else windows.y - windows.X[:] @ model.network.linear
    features = model.network.activations(windows.X[:]) * units
    weights = np.exp(-(signals.shape[1] - 1 - windows.targets) / (5.0 * RATE))
    assert statistics._n == pytest.approx(weights.sum(), rel=1e-9)
    np.testing.assert_allclose(statistics._b, features.T @ (weights * residuals), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(statistics._Q, features.T * weights @ features, rtol=1e-7, atol=1e-9)
    assert statistics.solve().certified
    reports = []
    adaptive = AdaptiveStream(model.stream(), 5.0, every=2.0, report=reports.append)
    emptied = [adaptive.push(row, k + (k > 99)).emptied for k, row in enumerate(signals[:, :600].T)]
    adaptive.close()
    assert (emptied[100], adaptive.skipped + len(reports)) == ("jump", 3)
    assert all(one.certified for one in reports)


def test_the_stream_command_is_the_whole_recording(record, model, tmp_path):
    """By the record, and by lines that name their leads in another order."""
    model.save(tmp_path / "model.safetensors")
    found = read_recording(record, "II", join="all")
    command = [sys.executable, "-m", "ecgcvx", "stream", str(tmp_path / "model.safetensors")]
    text = (tmp_path / "r.csv").read_text().replace("II,V1,V5", "II,V1 (mV),V5")
    for more, lines in ((["--record", record, "--speed", "0"], ""), ([], text)):
        done = subprocess.run([*command, *more], input=lines, capture_output=True, text=True, check=True)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        np.testing.assert_array_equal([line["sample"] for line in told], found.signal)
        made = np.array([line["prediction"] for line in told], dtype=float)
        np.testing.assert_array_equal(made[:-1], model.predict(found)[1:])


def test_channels_are_one_a_lead(model):
    assert channels_of("2, 0,1", model) == (2, 0, 1)
    for text in (None, "1", "0,1,2,3", "0,1,-2", "0,1,a"):
        with pytest.raises(InputError, match="give the number of that of V1, V5, II, from 0"):
            channels_of(text, model)


def test_the_command_line_joins_leads_and_predicts(record, tmp_path, capsys):
    folder = tmp_path / "out"
    wanted = ["--network", "polynomial", "--window", "5", "--beta", "1e-4", "--baselines", "linear"]
    assert main(["fit", record, "--leads", "V1,V5,II", "--lead", "II", "--join", *wanted, "--output", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "lead II, 100 Hz: 5 samples of it and of V1, V5 predict" in said
    assert f"what the network does: {folder}/report.html" in said
    files = ["metrics.json", "model.safetensors", "predictions.png", "report.html"]
    assert sorted(file.name for file in folder.iterdir()) == files
    page = (folder / "report.html").read_text()
    assert "<h4>Lead V5</h4>" in page
    assert "Matrix of the products of two samples, 15 by 15" in page
    assert main(["interpret", str(folder), record, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["lead"] for one in told["leads"]] == ["V1", "V5", "II"]
    assert len(told["patterns"][0]["filter"]["joined"]) == 2
    assert main(["interpret", str(folder), record]) == 0
    assert "share of each lead in the forecast's variance: V1 " in capsys.readouterr().out
    figure = tmp_path / "e.svg"
    assert main(["explain", str(folder), record, "--at", "5", "--svg", str(figure)]) == 0
    assert "V5: window, mV" in figure.read_text()
    capsys.readouterr()
    assert json.loads((folder / "metrics.json").read_text())["joined"] == ["V1", "V5"]
    assert main(["predict", str(folder), record, "--output", str(tmp_path / "f.csv")]) == 0
    forecast = np.genfromtxt(tmp_path / "f.csv", delimiter=",", names=True)["forecast_mv"]
    by_hand = load(folder).predict(read_recording(record, "II", join=("V1", "V5")))
    np.testing.assert_allclose(forecast, by_hand, atol=1e-5)
    bare = write_leads(tmp_path / "bare.csv", ("II", "V1"), leads_of(0))
    capsys.readouterr()
    assert main(["predict", str(folder), bare]) == 2
    assert "no lead 'V5'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--join"], "join: of which leads?"),
        (["--join", "--leads", "II"], "names no lead beside II"),
        (["--leads", ","], "names no lead; give all or A,B"),
        (["--leads", "II,V1", "--lead", "V5"], "leads: not together with lead but with join"),
        (["--leads", "all", "--join", "--network", "conv"], "takes windows of one lead, not of 3"),
    ],
)
def test_leads_that_say_nothing_are_refused(record, arguments, words, capsys, tmp_path):
    assert main(["fit", record, *arguments, "--output", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err


def records_of(tmp_path, *names):
    return [
        write_leads(tmp_path / f"{k}.csv", given, leads_of(k, count=len(given))) for k, given in enumerate(names)
    ]  # fmt: skip


def test_every_lead_is_a_signal_where_all_are_pooled(tmp_path):
    records = records_of(tmp_path, ("II", "V1"), ("II", "V5", "V1"))
    wanted = DatasetOptions(options(), Reading("all"), "pooled", jobs=1)
    rows = list(fit_records(records, wanted, tmp_path / "out", silent))
    assert [(Path(row.record).stem, row.lead) for row in rows] == [
        ("0", "II"), ("0", "V1"), ("1", "II"), ("1", "V5"), ("1", "V1"),
    ]  # fmt: skip
    assert len({row.neurons for row in rows}) == 1


@pytest.mark.parametrize("engine", ["memory", "records"])
def test_one_network_of_records_with_joined_leads(tmp_path, engine):
    records = records_of(tmp_path, ("II", "V1"), ("II", "V1"), ("II", "V5"))
    wanted = DatasetOptions(options(), Reading(join=("V1",)), "pooled", jobs=1, engine=engine)
    rows = {Path(row.record).stem: row for row in fit_records(records, wanted, tmp_path / "out", silent)}
    assert "no lead 'V1'" in rows["2"].skipped
    parts = [split_windows(read_recording(one, "II", join=("V1",)).signals, 5) for one in records[:2]]
    both = load(tmp_path / "out" / "1.csv")
    assert (both.joined, both.scaler) == (("V1",), parts[1].scaler)
    X, y = (np.concatenate(all_) for all_ in zip(*((one.train.X[:], one.train.y) for one in parts), strict=True))
    from ecgcvx.activations import RELU_LIKE
    from ecgcvx.programs.polynomial import PolynomialProgram
    from ecgcvx.solvers.polynomial import PolynomialSolver

    alone = PolynomialSolver().solve(PolynomialProgram(X, y, 1e-4, RELU_LIKE))
    P = np.mean((both.network.predict(X) - y) ** 2) / 2
    assert alone.primal >= P
    assert rows["1"].neurons == both.network.neurons


def test_records_that_join_different_leads_are_not_pooled(tmp_path):
    records = records_of(tmp_path, ("II", "V1"), ("II", "V5"))
    wanted = DatasetOptions(options(), Reading(join="all"), "pooled", jobs=1)
    with pytest.raises(InputError, match=r"leads: 0 joins V1 but 1 joins V5"):
        list(fit_records(records, wanted, tmp_path / "out", silent))
    rows = list(fit_records(records, replace(wanted, evaluate="within"), tmp_path / "out", silent))
    assert [load(tmp_path / "out" / f"{row.name}.csv").joined for row in rows] == [("V1",), ("V5",)]


def test_scalers_and_names_of_joined_leads_are_as_many(model):
    with pytest.raises(InputError, match="joined: 1 names, 2 scalers"):
        replace(model, joined=("V1",))
    assert isinstance(model.scaler.joined[0], Scaler)


def test_many_windows_of_joined_leads_are_held(monkeypatch):
    """Windows are made of their signal in each pass only where there is one."""
    signal = np.random.default_rng(3).standard_normal((2, 300))
    train = split_windows(signal, 4).train
    held = AllPatterns(train.X, train.y, 1e-2).passes
    monkeypatch.setattr("ecgcvx.atoms.relu.HELD_ROWS", 10)
    many = AllPatterns(train.X, train.y, 1e-2).passes
    atoms = held.starts(8, held.none(), np.random.default_rng(0))
    np.testing.assert_array_equal(many.outputs(atoms), held.outputs(atoms))
    np.testing.assert_array_equal(many.prices(atoms, train.y), held.prices(atoms, train.y))
