"""The forecast benchmark: choice by validation, what is stored and not run again, averages, its peers."""

import sys
from dataclasses import replace
from importlib import import_module
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

import bench_forecast
from ecgcvx.errors import InputError
from ecgcvx.windows import WindowMatrix
from forecast_models import CONV_ON_RESIDUAL, MODELS, chosen_settings
from forecast_results import (
    Question,
    Run,
    append_run,
    forecast_figure,
    overview_rows,
    read_runs,
    result_rows,
    summaries,
    validation_rows,
)
from harness import PEER_FILES, run_peer

sys.path.append(str(PEER_FILES))
windows_of = import_module("forecast_residual").windows_of
ASKED = Question("208", 15, 5)
MADE = Run(
    ASKED, "MLP 64", {"step": 3e-3, "epochs": 160.0}, "test", 0, 0.1, 8.0, 7.9, 2, False, "ecgcvx 0.1.0", "a machine"
)  # fmt: skip


def test_settings_of_the_lowest_error_along_each_axis():
    axes = {"a": (1.0, 2.0, 3.0), "b": (10.0, 20.0), "c": (5.0,)}
    asked = []

    def error(settings):
        asked.append(tuple(settings.values()))
        return (settings["a"] - 2) ** 2 + (settings["b"] - 20) ** 2

    chosen = chosen_settings(axes, error)
    best = min(product(*axes.values()), key=lambda at: (at[0] - 2) ** 2 + (at[1] - 20) ** 2)
    assert tuple(chosen.values()) == best
    assert set(asked) == {(1, 10, 5), (2, 10, 5), (3, 10, 5), (2, 20, 5)}


def test_one_choice_of_settings_needs_no_validation():
    assert chosen_settings({"a": (1.0,)}, lambda _: pytest.fail("asked")) == {"a": 1.0}
    assert chosen_settings({}, lambda _: pytest.fail("asked")) == {}


def test_runs_come_back_as_they_were_stored(tmp_path):
    later = replace(MADE, part="validation", seed=3, timed=True)
    assert read_runs(tmp_path) == []
    append_run(tmp_path, MADE, np.array([0.5, -0.25]))
    append_run(tmp_path, later)
    assert read_runs(tmp_path) == [MADE, later]
    assert MADE.key != later.key
    assert np.load(tmp_path / "residuals" / MADE.residuals).tolist() == [0.5, -0.25]


@pytest.mark.parametrize("line", ["{", "[]", '{"question": 1}', '{"question": {"record": "208"}}'])
def test_a_damaged_line_is_named(tmp_path, line):
    append_run(tmp_path, MADE)
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=r"results\.jsonl, line 2: .* delete the line"):
        read_runs(tmp_path)


def _csv(path, signal):
    path.write_text("II (mV)\n" + "\n".join(f"{value:.6f}" for value in signal) + "\n")
    return path


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Runs the benchmark on a short record with peers that forecast zero; returns what the peers were given."""
    signal = np.sin(np.arange(600) / 5) + 0.1 * np.random.default_rng(0).standard_normal(600)
    record = _csv(tmp_path / "short.csv", signal)
    monkeypatch.setattr(bench_forecast, "read_recording", lambda path: _recording(path))
    given = []

    def peer(script, arguments, threads):
        data, result, *options = arguments
        with np.load(data) as held:
            rows = {name: held[name] for name in held}
        given.append((script, tuple(options), rows))
        np.savez(result, seconds=[1.0], cpu_seconds=0.5, predictions=np.zeros((1, len(rows["X_test"]))), version="v")

    def run(*words, signal=None):
        if signal is not None:
            _csv(record, signal)
        given.clear()
        options = ["--record", str(record), "--output", str(tmp_path / "out"), "--horizon", "2"]
        arguments = bench_forecast._parser().parse_args([*words[:1], *options, *words[1:]])
        arguments.run(arguments)
        return list(given)

    monkeypatch.setattr(bench_forecast, "run_peer", peer)
    run.signal, run.output = signal, tmp_path / "out"
    return run


def _recording(path):
    from ecgcvx.records import read_recording

    return read_recording(path, sampling_frequency=360.0)


def test_what_is_stored_is_not_run_again(bench):
    mlp = ("run", "--model", "MLP 64", "--epochs", "2")
    assert len(bench(*mlp)) == 5  # four steps on the validation part, one test
    assert bench(*mlp) == []
    (made,) = bench(*mlp, "--seed", "0", "1")
    assert made[1][-2:] == ("--seed", "1")
    (made,) = bench(*mlp, "--timed")
    assert bench(*mlp, "--timed") == []
    runs = read_runs(bench.output)
    assert [run.timed for run in runs if run.part == "test"] == [False, False, True]
    assert [run.part for run in runs[:4]] == ["validation"] * 4


def test_tuning_never_sees_the_test_part(bench):
    """With the last fifth of the record replaced, the peers get the same bytes to choose their settings from."""
    before = bench("tune", "--model", "MLP 64", "--epochs", "2")
    changed = bench.signal.copy()
    changed[480:] = 7.0 + 0.1 * (np.arange(len(changed) - 480) % 3)
    (bench.output / "results.jsonl").unlink()
    after = bench("tune", "--model", "MLP 64", "--epochs", "2", signal=changed)
    assert len(before) == len(after) == 4
    for (_, options, rows), (_, same_options, same_rows) in zip(before, after, strict=True):
        assert options == same_options
        assert all(np.array_equal(rows[name], same_rows[name]) for name in rows)


def test_validation_windows_follow_those_trained_on(bench):
    """432 = 0.9 * 480 samples train, 48 validate: no sample is in windows or targets of both."""
    (script, _, rows), *_ = bench("tune", "--model", "MLP 64", "--epochs", "2")
    assert script == "forecast_backprop.py"
    assert rows["X"].shape == (432 - 15 - 2 + 1, 16)
    assert rows["X_test"].shape == (48 - 15 - 2 + 1, 16)
    mean, scale = bench.signal[:432].mean(), bench.signal[:432].std()
    np.testing.assert_allclose(rows["X_test"][0, :-1] * scale + mean, bench.signal[432:447], atol=1e-6)


def test_a_forecast_of_zero_has_the_deviation_of_the_targets(bench):
    bench("run", "--model", "MLP 64", "--epochs", "2")
    (run,) = (run for run in read_runs(bench.output) if run.part == "test")
    targets = bench.signal[480 + 16 :]
    assert run.rmse_mv == pytest.approx(np.sqrt(np.mean((targets - bench.signal[:480].mean()) ** 2)), rel=1e-5)


def test_medians_averages_and_the_settings_that_validation_prefers(tmp_path):
    random = np.random.default_rng(0)
    residuals = random.standard_normal((4, 50))
    for seed, r in enumerate(residuals):
        error = float(np.sqrt(np.mean(r * r)))
        append_run(tmp_path, replace(MADE, seed=seed, rmse_mv=error, timed=seed == 2), r)
    append_run(tmp_path, replace(MADE, part="validation", rmse_mv=0.2))
    longer = replace(MADE, settings={"step": 3e-3, "epochs": 400.0})
    append_run(tmp_path, longer, residuals[0])
    append_run(tmp_path, replace(longer, part="validation", rmse_mv=0.3))
    found = {(s.averaged, s.settings["epochs"]): s for s in summaries(read_runs(tmp_path), tmp_path)}
    single, mean, other = found[False, 160.0], found[True, 160.0], found[False, 400.0]
    errors = np.sqrt(np.mean(residuals**2, axis=1))
    assert single.rmse == pytest.approx(np.median(errors))
    assert (single.seconds, mean.seconds) == ((8.0,), (24.0,))
    means = [np.sqrt(np.mean(residuals[list(of)].mean(axis=0) ** 2)) for of in combinations(range(4), 3)]
    np.testing.assert_allclose(mean.rmses, means, rtol=1e-6)
    assert (single.chosen, mean.chosen, other.chosen) == (True, True, False)


def test_tables_and_figure_name_every_forecaster(tmp_path):
    for model, error in (("linear AR", 0.2), ("MLP 64", 0.1), ("ecgcvx, two layers", 0.09)):
        for horizon in (1, 5):
            asked = replace(ASKED, horizon=horizon)
            append_run(tmp_path, replace(MADE, question=asked, model=model, rmse_mv=error, timed=True), np.ones(3))
    append_run(tmp_path, replace(MADE, part="validation"))
    runs = read_runs(tmp_path)
    found = summaries(runs, tmp_path)
    header, rows = overview_rows(found)
    assert header[1:] == ["1 ahead", "5 ahead"]
    assert rows[0] == ["ecgcvx, two layers", "0.0900", "0.0900"]
    _, rows = result_rows([s for s in found if s.question == ASKED])
    assert [row[0] for row in rows] == ["**ecgcvx, two layers**", "MLP 64", "linear AR"]
    assert rows[1][1:] == ["step 0.003, epochs 160", "0.10000", "0.10000", "", "1", "8.00"]
    assert validation_rows(runs)[1] == [["208", "5", "15", "MLP 64", "step 0.003, epochs 160", "0.10000", "", "1"]]
    figure = forecast_figure(found)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "record 208, 1 ahead", "record 208, 5 ahead", "record 208"
    ]  # fmt: skip
    (line,) = (line for line in figure.axes[2].lines if line.get_color() == "#7fa3e0")
    np.testing.assert_allclose(line.get_ydata(), 0.45)


def _program(path: Path) -> np.ndarray:
    """Windows of a kinked function, which no linear forecast knows; returns the test targets."""
    random = np.random.default_rng(0)
    X = np.hstack([random.standard_normal((3000, 3)), np.ones((3000, 1))])
    y = np.abs(X[:, 0]) - X[:, 1]
    np.savez(path, X=X[:2500], y=y[:2500], X_test=X[2500:])
    return y[2500:]


def test_windows_that_overlap_are_found_in_their_rows():
    random = np.random.default_rng(0)
    X = np.asarray(WindowMatrix(random.standard_normal(100), ((0, 20), (40, 41), (50, 80)), 7))
    found = windows_of(X)
    assert [stop - first for first, stop in found.runs] == [20, 1, 30]
    np.testing.assert_array_equal(np.asarray(found), X)


PERCEPTRON = {"step": 3e-3, "epochs": 200.0}
SETTINGS = {
    "MLP 128+128": PERCEPTRON, "MLP 128+128 (PyTorch)": PERCEPTRON,
    CONV_ON_RESIDUAL: {"beta": 1e-4, "segments": 1, "below": 3e-5},
}  # fmt: skip


@pytest.mark.parametrize("model", SETTINGS)
def test_networks_learn_a_kink(tmp_path, model):
    if "PyTorch" in model:
        pytest.importorskip("torch")
    y = _program(tmp_path / "program.npz")
    peer = MODELS[model]
    options = peer.arguments(SETTINGS[model])
    run_peer(peer.script, [tmp_path / "program.npz", tmp_path / "result.npz", *options, "--seed", "1"], 1)
    with np.load(tmp_path / "result.npz") as held:
        error = np.sqrt(np.mean((held["predictions"][0] - y) ** 2))
    assert error < 0.05  # the best linear forecast has 0.6


def test_the_linear_forecaster_is_least_squares(tmp_path, record_208):
    peer = MODELS["linear AR"]
    run_peer(peer.script, [record_208, tmp_path / "result.npz", *peer.arguments({}), "--horizon", "5"], 1)
    split = bench_forecast.Task(record_208, 15, 5).split
    X = split.train.X[: len(split.train)]
    w = np.linalg.lstsq(X, split.train.y, rcond=None)[0]
    with np.load(tmp_path / "result.npz") as held:
        np.testing.assert_allclose(held["predictions"][0], split.test.X[: len(split.test)] @ w, atol=1e-8)
