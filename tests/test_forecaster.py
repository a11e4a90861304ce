"""The model file gives back the same forecasts; what is damaged or does not fit is refused in one line."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from two_layers import two_layers

from ecgcvx.activations import QUADRATIC, Polynomial
from ecgcvx.errors import ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.model_file import digest, load, save
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork, Stack, Stage
from ecgcvx.records import Recording
from ecgcvx.windows import Scaler


def forecaster(seed=0, gated=True, window=5, horizon=2, neurons=4):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((3, window + 1, neurons))
    network = two_layers(weights[0], rng.standard_normal(neurons), weights[1] if gated else None)
    return Forecaster(network, Scaler(0.3, 0.5), "MLII", 360.0, window, horizon, 1e-4)


SETTINGS = {
    "scaler": {"mean": 0.3, "scale": 0.5}, "lead": "MLII", "sampling_frequency": 360.0, "window": 5, "horizon": 2,
    "beta": 1e-4,
}  # fmt: skip


def model_of(name):
    rng = np.random.default_rng(7)
    W1, W2 = rng.standard_normal((6, 4)), rng.standard_normal(4)
    network = {
        "relu": lambda: ReluNetwork(W1, W2),
        "gated": lambda: GatedNetwork(W1, W2, rng.standard_normal((6, 4))),
        "polynomial": lambda: PolynomialNetwork(W1, W2, Polynomial(0.1, 0.5, 0.3)),
        "quadratic": lambda: PolynomialNetwork(W1, W2, QUADRATIC),
        "stack": lambda: Stack(
            (
                (
                    Stage(rng.standard_normal((6, 3)), rng.standard_normal(3), ReluNetwork(W1[:3], W2), 1e-3),
                    Stage(rng.standard_normal((10, 2)), rng.standard_normal(2), ReluNetwork(W1[:2], W2), 1e-4),
                ),
            )
        ),
    }[name]()
    return Forecaster(network, Scaler(0.3, 0.5), "MLII", 360.0, 5, 2, 1e-4, name)


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


@pytest.mark.parametrize("name", ["relu", "gated", "polynomial", "quadratic", "stack"])
def test_every_network_comes_back_as_what_it_was(tmp_path, name):
    model = model_of(name)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path)
    assert (type(again.network), again.kind) == (type(model.network), name)
    assert again.network.attributes() == model.network.attributes()
    np.testing.assert_array_equal(again.predict(recording()), model.predict(recording()))
    assert digest(again) == digest(model)


@pytest.mark.parametrize("name", ["relu", "gated", "polynomial", "quadratic", "stack"])
def test_files_of_the_formats_before_the_digest_still_load(tmp_path, name):
    model = model_of(name)
    metadata = {"format": 1, "version": "0.1.0", **SETTINGS}
    if name in ("polynomial", "quadratic"):
        metadata |= {"format": 2, "activation": {"polynomial": list(model.network.polynomial)}}
    elif name == "stack":
        metadata |= {"format": 3, **model.network.attributes()}
    save_file(model.network.tensors(), tmp_path / "m", metadata={"ecgcvx": json.dumps(metadata)})
    again = load(tmp_path / "m")
    assert again.kind == name
    np.testing.assert_array_equal(again.predict(recording()), model.predict(recording()))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["relu", "gated", "quadratic", "stack"]), st.data())
def test_a_file_with_any_bit_changed_is_refused(tmp_path_factory, name, data):
    path = tmp_path_factory.mktemp("flip") / "m"
    save(model_of(name), path)
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    try:
        found = digest(load(path))
    except ModelError as error:
        found = str(error)
    # Digests are equal where the bit says nothing: of the version, or of blank space.
    assert found == digest(model_of(name)) or (found.startswith(str(path)) and "\n" not in found)


def test_a_folder_is_as_good_as_its_file(tmp_path):
    save(forecaster(), tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load(tmp_path).network.W1, forecaster().network.W1)


def test_another_sampling_frequency_is_refused():
    with pytest.raises(ModelError, match=r"250 Hz.*360 Hz"):
        forecaster().predict(recording(frequency=250.0))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": 8}, "model format 8"),
        ({"format": None}, "model format None"),
        ({"format": True}, "model format True"),
        ({"format": 1}, "digest"),
        ({"format": 3}, "digest"),
        ({"network": "deep"}, "choose one of"),
        ({"network": "gated"}, "'gates'"),
        ({"network": 3}, "network = '3' is no text"),
        ({"attributes": []}, "no JSON object"),
        ({"scaler": None}, "no JSON object"),
        ({"scaler": {"mean": 0.0}}, "'scale'"),
        ({"scaler": {"mean": 0.0, "scale": 0.0}}, "scale = 0"),
        ({"scaler": {"mean": 0.0, "scale": -1.0}}, "scale = -1"),
        ({"scaler": {"mean": True, "scale": 1.0}}, "mean = 'True' is no number"),
        ({"unit": "stone"}, "unit"),
        ({"unit": 5}, "unit"),
        ({"resample": -1}, "resample"),
        ({"sampling_frequency": 0}, "sampling_frequency = 0"),
        ({"window": "x"}, "window = 'x' is no whole number"),
        ({"window": 9}, "windows of 9"),
        ({"window": 5.0}, "window = '5.0' is no whole number"),
        ({"horizon": 10**9}, "horizon = 1000000000"),
        ({"horizon": 0}, "horizon = 0"),
        ({"horizon": True}, "horizon = 'True' is no whole number"),
        ({"beta": -1.0}, "beta = -1"),
        ({"beta": "1e-4"}, "beta = '1e-4' is no number"),
        ({"lead": 7}, "lead = '7' is no text"),
        ({"lead": "x" * 1001}, "lead has 1,001 characters"),
        ({"lead": "V5"}, "digest"),
        ({"beta": 2e-4}, "digest"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, change, named):
    path = tmp_path / "m"
    save(forecaster(gated=False), path)
    with safe_open(path, framework="numpy") as file:
        metadata = json.loads(file.metadata()["ecgcvx"])
    save_file(load_file(path), path, metadata={"ecgcvx": json.dumps(metadata | change)})
    with pytest.raises(ModelError, match=named):
        load(path)


@pytest.mark.parametrize(
    "text", ['{"format": NaN}', "[" * 100_000, '{"format": Infinity}', "[]", "null", "{", '"x"', '{"format": 1e999}']
)
def test_metadata_that_is_no_plain_json_object_is_refused(tmp_path, text):
    save_file({"W1": np.ones((6, 1)), "W2": np.ones(1)}, tmp_path / "m", metadata={"ecgcvx": text})
    with pytest.raises(ModelError):
        load(tmp_path / "m")


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_weights_of_another_type_are_refused(tmp_path, dtype):
    metadata = {"format": 1, **SETTINGS}
    weights = {"W1": np.ones((6, 1), dtype), "W2": np.ones(1, dtype)}
    save_file(weights, tmp_path / "m", metadata={"ecgcvx": json.dumps(metadata)})
    with pytest.raises(ModelError, match="float64"):
        load(tmp_path / "m")


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        load(tmp_path / "missing")
    with pytest.raises(ModelError, match=r"no such file|not a readable"):
        load(tmp_path / ("x" * 300))
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


@pytest.mark.parametrize("unit", [None, "uV", "200/mV", "adu"])
@pytest.mark.parametrize("resample", [None, 360.0])
def test_unit_and_resampling_are_kept_under_the_digest(tmp_path, unit, resample):
    model = dataclasses.replace(forecaster(), unit=unit, resample=resample)
    save(model, tmp_path / "model.safetensors")
    back = load(tmp_path)
    assert (back.unit, back.resample) == (unit, resample)
    assert (digest(back) == digest(forecaster())) == (unit is None and resample is None)
