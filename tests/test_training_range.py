"""Windows outside of what a model was trained on: which they are, and what is said and done about their forecasts."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_layers import two_layers

import ecgcvx
from ecgcvx.activations import Polynomial
from ecgcvx.cautions import forecast_caution
from ecgcvx.cli import main
from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.model_file import digest, load
from ecgcvx.outside import outside_score
from ecgcvx.records import Recording
from ecgcvx.training_range import TrainingRange, training_range
from ecgcvx.windows import Scaler, all_windows

RATE = 20.0


def rows(seed, n=400, d=6, rank=None):
    """Windows of neighbouring samples, which are correlated, with the ones of the bias."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal((n, d - 1)), axis=1)
    if rank is not None:
        walk[:, rank:] = walk[:, :1]
    return np.column_stack([walk, np.ones(n)]), rng.standard_normal(n)


def forecaster(seed=0, kind="relu", window=5, horizon=2):
    rng = np.random.default_rng(seed)
    W1, gates = rng.standard_normal((2, window + 1, 7))
    extra = {"relu": {}, "gated": {"gates": gates}, "polynomial": {"polynomial": Polynomial(0.09, 0.5, 0.47)}}[kind]
    signal = 0.3 + 0.5 * np.sin(np.arange(300) / 3) + 0.05 * rng.standard_normal(300)
    scaler = Scaler(float(signal.mean()), float(signal.std()))
    train = all_windows(signal, scaler, window, horizon)
    known = training_range(train.X, train.y)
    return Forecaster(
        two_layers(W1, rng.standard_normal(7), **extra), scaler, "MLII", RATE, window, horizon, 1e-4,
        training_range=known,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.sampled_from([None, 2]))
def test_no_training_window_is_outside_and_the_leverage_is_the_hat_matrix(seed, rank):
    X, y = rows(seed, rank=rank)
    known = training_range(X, y)
    assert not known.outside(X).any()
    if rank is None:
        hat = X @ np.linalg.pinv(X)
        np.testing.assert_allclose(known.leverage(X), len(X) * np.diag(hat), rtol=1e-6)
        assert known.leverage(X).mean() == pytest.approx(X.shape[1])
        np.testing.assert_allclose(known.linear, np.linalg.lstsq(X, y)[0], atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(0, 4))
def test_beyond_the_box_or_the_ellipsoid_is_outside(seed, column):
    X, y = rows(seed)
    known = training_range(X, y)
    box = X[:1].copy()
    box[0, column] = known.high * 1.001
    assert known.outside(box).all()
    box[0, column] = known.low * 1.001
    assert known.outside(box).all()
    # Along a direction that hardly varies a window leaves the ellipsoid while it is in the box.
    values, directions = np.linalg.eigh(X.T @ X / len(X))
    far = X.mean(axis=0) + 1.5 * np.sqrt(known.limit * values[0]) * directions[:, 0]
    far[-1] = 1.0
    assert known.outside(far[None]) == (known.leverage(far[None]) > known.limit)
    assert (known.leverage(far[None]) > known.limit).all()


def test_what_the_training_windows_do_not_span_is_outside():
    X, y = rows(0, rank=2)
    known = training_range(X, y)
    X[0, 4] += 0.1
    assert known.outside(X[:2]).tolist() == [True, False]


def recording(seed, n=200):
    rng = np.random.default_rng(seed)
    signal = 0.3 + 0.5 * np.sin(np.arange(n) / 3) + 0.05 * rng.standard_normal(n)
    signal[rng.integers(0, n, 3)] *= 4  # outside
    signal[rng.integers(0, n, 2)] = np.nan
    return Recording(signal, RATE, "MLII", "x")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["relu", "gated", "polynomial"]), st.sampled_from(["flag", "linear", "nan"]), st.integers(0, 999),
    st.lists(st.integers(0, 200), max_size=8),
)  # fmt: skip
def test_a_stream_does_what_the_batch_does_to_the_bit(kind, policy, seed, cuts):
    model, record = forecaster(seed, kind), recording(seed)
    batch, outside = model.predict_and_flag(record, policy)
    plain = model.predict(record)
    windows = all_windows(record.signal, model.scaler, model.window, model.horizon)
    expected = np.zeros(len(plain), dtype=bool)
    expected[windows.targets] = model.training_range.outside(windows.X)
    np.testing.assert_array_equal(outside, expected)
    np.testing.assert_array_equal(batch[~outside], plain[~outside])
    if policy == "nan":
        assert np.isnan(batch[outside]).all()
    if policy == "linear":
        linear = model.scaler.restore(windows.X[:] @ model.training_range.linear)
        np.testing.assert_allclose(batch[outside], linear[expected[windows.targets]], rtol=1e-12, atol=1e-12)
    stream, predictions, flags = model.stream(outside=policy), [], []
    for piece in np.split(record.signal, sorted(cuts)):
        if len(piece) == 1:
            step = stream.push(float(piece[0]))
            predictions.append([step.prediction])
            flags.append([step.outside])
        else:
            steps = stream.push_chunk(piece)
            predictions.append(steps.predictions)
            flags.append(steps.outside)
    made, flagged = np.concatenate(predictions), np.concatenate(flags)
    due = np.flatnonzero(np.isfinite(plain))
    np.testing.assert_array_equal(made[due - model.horizon], batch[due])
    np.testing.assert_array_equal(flagged[due - model.horizon], outside[due])
    assert not flagged[np.isnan(record.signal)].any()


def test_a_forecast_that_is_withheld_has_no_residual_and_moves_no_level():
    model = forecaster()
    signal = 0.3 + 0.5 * np.sin(np.arange(60) / 3)
    signal[40:44] = 9.0
    with_them, without = (model.stream(outside=policy).push_chunk(signal) for policy in ("flag", "nan"))
    due = np.flatnonzero(with_them.outside) + model.horizon
    due = due[due < len(signal)]
    assert len(due) >= model.window
    assert np.isfinite(with_them.residuals[due]).all()
    assert np.isnan(without.residuals[due]).all()
    assert np.isnan(without.scores[due]).all()
    assert np.isfinite(without.residuals[: due[0]][model.window + model.horizon :]).all()


def test_the_range_is_kept_in_the_file_under_its_digest(tmp_path):
    model = forecaster()
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert digest(again) == digest(model)
    for name in ("low", "high", "limit"):
        assert getattr(again.training_range, name) == getattr(model.training_range, name)
    for policy in ("flag", "linear", "nan"):
        np.testing.assert_array_equal(again.predict(recording(3), policy), model.predict(recording(3), policy))
    changed = replace(model, training_range=replace(model.training_range, limit=1e9))
    assert digest(changed) != digest(model)


@pytest.mark.parametrize(
    "change",
    [
        {"limit": -1.0}, {"whitening": np.ones((5, 6))}, {"linear": np.ones(7)}, {"low": np.inf},
        {"whitening": np.full((6, 6), np.nan)}, {"whitening": np.empty((6, 0))},
    ],
)  # fmt: skip
def test_a_range_that_is_none_is_refused(tmp_path, change):
    model = forecaster()
    try:
        replace(model, training_range=replace(model.training_range, **change)).save(tmp_path / "m")
    except ValueError:  # JSON has no infinity
        return
    with pytest.raises(ModelError, match="damaged model"):
        load(tmp_path / "m")


def test_a_model_without_a_range_flags_nothing_and_takes_no_policy():
    model = replace(forecaster(), training_range=None)
    assert not model.predict_and_flag(recording(0))[1].any()
    assert outside_score(model, all_windows(recording(0).signal, model.scaler, 5, 2)) is None
    for use in (lambda: model.predict(recording(0), "nan"), lambda: model.stream(outside="linear")):
        with pytest.raises(InputError, match="keeps no training range"):
            use()
    with pytest.raises(InputError, match="choose one of flag, linear, nan"):
        forecaster().predict(recording(0), "clip")


def test_scores_with_and_without():
    model, record = forecaster(), recording(1)
    windows = all_windows(record.signal, model.scaler, model.window, model.horizon)
    score = outside_score(model, windows)
    forecast, outside = model.predict_and_flag(record)
    residual = record.signal - forecast
    assert score.outside == outside.sum() > 0
    assert score.rmse_mv == pytest.approx(np.sqrt(np.nanmean(residual**2)))
    assert score.inside_rmse_mv == pytest.approx(np.sqrt(np.nanmean(residual[~outside] ** 2)))
    linear = record.signal - model.predict(record, "linear")
    assert score.linear_rmse_mv == pytest.approx(np.sqrt(np.nanmean(linear**2)))
    assert score.leverage > 1
    assert f"{score.outside} of {score.windows} windows" in score.words


@pytest.mark.parametrize("network", ["relu", "gated", "polynomial", "stack"])
def test_every_network_says_it_everywhere(network, record_208, tmp_path, capsys, monkeypatch):
    """Trained on half a minute, a signal four times as large is outside: in fit, predict, interpret, report, stream."""
    options = {"relu": ["--beta", "1e-2", "--rounds", "1"], "gated": ["--beta", "1e-3", "--patterns", "6"],
               "polynomial": ["--beta", "1e-4"], "stack": []}[network]  # fmt: skip
    if network in ("relu", "stack"):
        options += ["--confirm-starts", "20"]
    monkeypatch.chdir(tmp_path)
    signal = ecgcvx.read_recording(record_208, end=30).signal
    signal[-720:-360] *= 4
    np.savetxt("loud.csv", signal, header="ECG (mV)", comments="", fmt="%.6f")
    rate = ["--sampling-frequency", "360"]
    assert (
        main(["fit", "loud.csv", *rate, "--network", network, *options, "--output", "out", "--baselines", "linear"])
        == 0
    )
    said = capsys.readouterr().out
    assert "outside the training range" in said
    assert "inside mV" in said
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told["outside"]["outside"] > 100
    assert [model["name"] for model in told["models"]][:2] == ["persistence", "linear_ar"]
    assert told["models"][-1]["test_inside_rmse_mv"] == told["outside"]["inside_rmse_mv"]
    assert "backprop_adam" not in {model["name"] for model in told["models"]}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "lie outside the training range" in page
    assert main(["predict", "out", "loud.csv", *rate, "--outside", "nan"]) == 0
    captured = capsys.readouterr()
    assert "lie outside the training range" in captured.err
    lines = [line.split(",") for line in captured.out.splitlines()]
    assert lines[0][-1] == "outside"
    assert {line[3] for line in lines[1:] if line[-1] == "1"} == {""}
    assert main(["interpret", "out", "loud.csv", *rate, "--no-stability", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outside"]["outside"] == told["outside"]["outside"]
    stream = load("out").stream(outside="linear")
    steps = stream.push_chunk(signal)
    np.testing.assert_array_equal(
        steps.predictions[:-1][14:], load("out").predict(Recording(signal, 360.0, "", ""), "linear")[15:]
    )
    assert steps.outside.sum() > 100


def test_forecasts_far_beside_the_signal_are_told():
    signal = np.sin(np.arange(100) / 3)
    forecast = signal.copy()
    assert forecast_caution(signal, forecast, 10.0) == ""
    forecast[40], forecast[0] = -500.0, np.nan
    assert "1 forecast far beside the signal" in forecast_caution(signal, forecast, 10.0)
    assert "-500 mV, at 4.000 s" in forecast_caution(signal, forecast, 10.0)
    assert isinstance(forecaster().training_range, TrainingRange)


def test_a_flat_record_is_no_reading_and_no_far_forecast():
    model, flat = forecaster(), Recording(np.full(300, 0.2), RATE, "MLII", "flat")
    with pytest.raises(InputError, match="flat: what its windows forecast is constant"):
        ecgcvx.interpret(model, flat, refitting=None)
    assert forecast_caution(flat.signal, np.full(300, 0.9), RATE) == ""
    assert "300 forecasts far" in forecast_caution(flat.signal, np.full(300, 1.3), RATE)
