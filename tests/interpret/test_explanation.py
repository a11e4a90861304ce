"""What switches a pattern does switch it; the command, its figure, and what it refuses."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from ecgcvx.activations import Polynomial
from ecgcvx.cli import main
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation.explanation import explain
from ecgcvx.models import GatedNetwork, PolynomialNetwork, ReluNetwork
from ecgcvx.records import Recording, read_recording
from ecgcvx.report.explanation import explanation_svg
from ecgcvx.windows import Scaler


def model(kind, window=6, neurons=5, linear=None):
    rng = np.random.default_rng(1)
    W1, gates = rng.standard_normal((2, window + 1, neurons))
    W2 = rng.standard_normal(neurons)
    networks = {
        "relu": lambda: ReluNetwork(W1, W2, linear=linear),
        "gated": lambda: GatedNetwork(W1, W2, gates, linear=linear),
        "polynomial": lambda: PolynomialNetwork(W1, W2, Polynomial(0.09, 0.5, 0.47), linear=linear),
    }
    network = networks[kind]()
    return Forecaster(network, Scaler(0.2, 0.7), "II", 50.0, window, 3, 1e-3)


def recording(n=200):
    return Recording(np.random.default_rng(2).standard_normal(n).cumsum() / 10, 50.0, "II", "made")


@pytest.mark.parametrize("kind", ["relu", "gated"])
def test_the_smallest_change_switches_its_pattern_and_no_shorter_one_does(kind):
    forecaster = model(kind)
    found = explain(forecaster, recording(), 1.5)

    def active(window):
        row = np.append(forecaster.scaler.standardise(window), 1.0)[None]
        return forecaster.network.active(row)[0]

    before, rng = active(found.window_mv), np.random.default_rng(3)
    for pattern in found.patterns:
        j = int(pattern.name.split()[-1]) - 1
        assert np.linalg.norm(pattern.change_mv) == pytest.approx(pattern.distance_mv)
        assert active(found.window_mv + 1.0001 * pattern.change_mv)[j] != before[j]
        for _ in range(50):
            other = rng.standard_normal(len(found.window_mv))
            other *= 0.9999 * pattern.distance_mv / np.linalg.norm(other)
            assert active(found.window_mv + other)[j] == before[j]


def test_the_command_tells_and_draws(record_208, tmp_path, capsys):
    fast = ["--end", "20", "--network", "gated", "--patterns", "6", "--beta", "1e-4", "--baselines", "none"]
    assert main(["fit", str(record_208), *fast, "--output", str(tmp_path)]) == 0
    capsys.readouterr()
    command = ["explain", str(tmp_path), str(record_208), "--end", "20", "--at", "10"]
    assert main([*command, "--svg", str(tmp_path / "one.svg"), "--top", "3"]) == 0
    out = capsys.readouterr().out
    for words in ("mean of the signal", "pattern", "forecast", "measured", "smallest change", "one.svg"):
        assert words in out
    ElementTree.parse(tmp_path / "one.svg")
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sample"], told["record"]) == (3600, "208")
    assert told["measured_mv"] == read_recording(record_208).signal[3600]
    total = told["mean_mv"] + sum(pattern["adds_mv"] for pattern in told["patterns"])
    assert total == pytest.approx(told["forecast_mv"], abs=1e-12)
    for at, named in (("20.5", "at = 20.5"), ("-1", "at = -1"), ("0.02", "16 samples"), ("nan", "at = nan")):
        assert main(["explain", str(tmp_path), str(record_208), "--end", "20", "--at", at]) == 2
        error = capsys.readouterr().err
        assert named in error
        assert error.count("\n") == 1


def test_a_gap_has_no_forecast():
    signal = recording().signal
    signal[70] = np.nan
    with pytest.raises(InputError, match=r"at = 1\.500: no forecast"):
        explain(model("relu"), Recording(signal, 50.0, "II", "made"), 1.5)


def test_text_of_a_record_stays_text_in_the_figure():
    found = explain(model("relu"), recording(), 1.5)
    assert "<script" not in explanation_svg(found)
    ElementTree.fromstring(explanation_svg(found))


@pytest.mark.parametrize("kind", ["relu", "gated", "polynomial"])
def test_a_linear_part_is_a_term_without_a_gate(kind):
    linear = np.arange(7.0) / 7
    forecaster = model(kind, linear=linear)
    found = explain(forecaster, recording(), 1.5)
    (part,) = [pattern for pattern in found.patterns if pattern.name == "linear part"]
    row = np.append(forecaster.scaler.standardise(found.window_mv), 1.0)
    assert part.adds_mv == pytest.approx(0.7 * float(row @ linear))
    assert (part.on, part.distance_mv) == (True, np.inf)
    np.testing.assert_allclose(part.filter, linear[:-1])
    total = found.mean_mv + sum(pattern.adds_mv for pattern in found.patterns)
    assert total == pytest.approx(found.forecast_mv, abs=1e-12)
