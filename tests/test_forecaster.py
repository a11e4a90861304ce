"""The model file gives back the same forecasts; what is damaged or does not fit is refused in one line."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ecgcvx.activations import Polynomial
from ecgcvx.errors import ModelError
from ecgcvx.forecaster import Forecaster, load, save
from ecgcvx.networks import Network
from ecgcvx.records import Recording
from ecgcvx.windows import Scaler


def forecaster(seed=0, gated=True, window=5, horizon=2, neurons=4):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((3, window + 1, neurons))
    network = Network(weights[0], rng.standard_normal(neurons), weights[1] if gated else None)
    return Forecaster(network, Scaler(0.3, 0.5), "MLII", 360.0, window, horizon, 1e-4)


def recording(seed=0, n=80, frequency=360.0):
    signal = np.random.default_rng(seed).standard_normal(n)
    signal[30:33] = np.nan
    return Recording(signal, frequency, "MLII", "test")


def test_every_forecast_uses_only_samples_at_least_the_horizon_before_it():
    model, record = forecaster(), recording()
    whole = model.predict(record)
    for t in range(len(record.signal)):
        past = record.signal[t - 6 : t - 1] if t >= 6 else np.empty(0)
        span = record.signal[t - 6 : t + 1] if t >= 6 else np.array([np.nan])
        if np.isnan(span).any():
            assert np.isnan(whole[t])
            continue
        x = np.append(model.scaler.standardise(past), 1.0)
        expected = model.scaler.restore(model.network.predict(x[None]))[0]
        assert whole[t] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.integers(1, 12), st.integers(1, 5), st.integers(0, 6))
def test_round_trip(tmp_path_factory, seed, gated, window, horizon, neurons):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model = forecaster(seed, gated, window, horizon, neurons)
    save(model, path)
    again = load(path)
    np.testing.assert_array_equal(again.predict(recording(seed)), model.predict(recording(seed)))
    fields = ("scaler", "lead", "sampling_frequency", "window", "horizon", "beta")
    assert all(getattr(again, name) == getattr(model, name) for name in fields)


def test_a_polynomial_network_keeps_its_activation_and_is_no_model_of_format_1(tmp_path):
    """A reader of format 1 alone would take it for a ReLU network; files of that format stay as they were."""
    plain = forecaster(gated=False)
    model = dataclasses.replace(plain, network=dataclasses.replace(plain.network, polynomial=Polynomial(0.1, 0.5, 0.3)))
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path)
    assert again.network.polynomial == Polynomial(0.1, 0.5, 0.3)
    np.testing.assert_array_equal(again.predict(recording()), model.predict(recording()))
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["ecgcvx"])["format"] == 2
    save(plain, tmp_path / "plain")
    with safe_open(tmp_path / "plain", framework="numpy") as file:
        metadata = json.loads(file.metadata()["ecgcvx"])
    assert metadata["format"] == 1
    assert "activation" not in metadata


def test_a_folder_is_as_good_as_its_file(tmp_path):
    save(forecaster(), tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load(tmp_path).network.W1, forecaster().network.W1)


def test_another_sampling_frequency_is_refused():
    with pytest.raises(ModelError, match=r"250 Hz.*360 Hz"):
        forecaster().predict(recording(frequency=250.0))


def rewritten(path, change):
    """The model file with its metadata changed."""
    save(forecaster(), path)
    metadata = {
        "format": 1, "scaler": {"mean": 0.0, "scale": 1.0}, "lead": "II", "sampling_frequency": 360.0, "window": 5,
        "horizon": 1, "beta": 1e-4,
    }  # fmt: skip
    change(metadata)
    save_file(load_file(path), path, metadata={"ecgcvx": json.dumps(metadata)})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.update(format=4), "format 4"),
        (lambda m: m.update(format=2), "damaged"),
        (lambda m: m.update(format=2, activation={"polynomial": [1.0, 2.0]}), "damaged"),
        (lambda m: m.update(format=2, activation={"polynomial": [1.0, 2.0, 3.0]}), "exclude each other"),
        (lambda m: m.pop("scaler"), "damaged"),
        (lambda m: m.update(window="x"), "damaged"),
        (lambda m: m.update(window=9), "windows of 9"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, change, named):
    rewritten(tmp_path / "m", change)
    with pytest.raises(ModelError, match=named):
        load(tmp_path / "m")


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        load(tmp_path / "missing")
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ModelError, match="not a readable model"):
        load(tmp_path / "text")
    save(forecaster(), tmp_path / "cut")
    data = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="not a readable model"):
        load(tmp_path / "cut")
    save_file({"W1": np.ones(3)}, tmp_path / "other")
    with pytest.raises(ModelError, match="not one of ecgcvx"):
        load(tmp_path / "other")


def test_a_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save(forecaster(1), path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(Exception, match="disk full"):
        save(dataclasses.replace(forecaster(2), lead="V5"), path)
    assert load(path).lead == "MLII"
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
