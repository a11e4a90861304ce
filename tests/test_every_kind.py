"""Every network goes the whole way: fit, save, load, predict, certify, interpret, report, stream, and a foreign option.

A kind that is made up here shows that one registry line is all that the rest needs.
"""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

import ecgcvx
from ecgcvx.baselines.linear import least_squares
from ecgcvx.cli import main
from ecgcvx.errors import InputError
from ecgcvx.evidence import Evidence, Gap
from ecgcvx.fit_options import fit_options
from ecgcvx.kinds.kind import NetworkKind, Trained
from ecgcvx.kinds.registry import REGISTRY, Entry
from ecgcvx.models import ReluNetwork
from ecgcvx.options import option

ROWS = {
    "relu": {"beta": 1e-2, "rounds": 2, "confirm_starts": 20},
    "gated": {"beta": 1e-4, "patterns": 8},
    "polynomial": {"beta": 1e-4},
    "quadratic": {"beta": 1e-4},
    "conv": {"beta": 1e-3, "rounds": 2, "confirm_starts": 20},
    "batchnorm": {"beta": 1e-2, "rounds": 2, "confirm_starts": 20},
    "three-layer": {"beta": 1e-2, "rounds": 2, "confirm_starts": 20, "inner": 2},
    "stack": {"confirm_starts": 20},
    "toy": {"beta": 1e-3, "shrink": 0.9},
}
EVIDENCE = {
    "relu": Evidence.SEARCHED, "gated": Evidence.GIVEN, "polynomial": Evidence.EIGENVALUES,
    "quadratic": Evidence.EIGENVALUES, "stack": Evidence.SEARCHED, "toy": Evidence.GIVEN,
    "conv": Evidence.SEARCHED, "batchnorm": Evidence.SEARCHED, "three-layer": Evidence.SEARCHED,
}  # fmt: skip
CERTIFIED = {
    "relu": Evidence.BOUNDED, "gated": Evidence.GIVEN, "polynomial": Evidence.EIGENVALUES,
    "quadratic": Evidence.EIGENVALUES, "stack": Evidence.BOUNDED, "toy": None,
    "conv": Evidence.BOUNDED, "batchnorm": Evidence.SEARCHED, "three-layer": Evidence.SEARCHED,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Toy(NetworkKind):
    """A linear predictor as two ReLU neurons, times an option."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "toy"
    summary: ClassVar[str] = "made up"

    shrink: float | None = option(None, "factor of the weights", above=0.0)

    @property
    def method(self):
        return "least-squares"

    def problem(self, windows, seed, progress, *, rounds=None):
        return ToyProblem(windows, self.shrink or 1.0)


@dataclass(frozen=True, eq=False)
class ToyProblem:
    windows: object
    shrink: float

    def largest_beta(self):
        return 1.0

    def train(self, beta, *, warm, limits, progress, rough=False):
        w = self.shrink * least_squares(self.windows.X, self.windows.y)
        network = ReluNetwork(np.stack([w, -w], axis=1), np.array([1.0, -1.0]))
        return Trained(
            network=network, beta=beta, gap=Gap(1.0, 0.5, Evidence.GIVEN), objective=1.0, status="optimal", detail="",
            seconds=0.0,
        )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def toy_kind():
    """The one line that a network needs besides its module."""
    REGISTRY["toy"] = Entry(f"{__name__}:Toy", "ecgcvx.models.relu:ReluNetwork")
    yield
    del REGISTRY["toy"]


@pytest.fixture(scope="module")
def recording(record_208):
    return ecgcvx.read_recording(record_208, end=20)


FREE = [(name, ROWS[name] | {"linear": "free"}) for name in ("relu", "gated", "polynomial", "quadratic")]


@pytest.fixture(scope="module", params=[*ROWS.items(), *FREE], ids=[*ROWS, *(f"{name}-free" for name, _ in FREE)])
def case(request):
    """A network and its options."""
    return request.param


@pytest.fixture(scope="module")
def fitted(case, recording):
    name, options = case
    return name, ecgcvx.fit(recording, name, **options)


def test_every_network_of_the_registry_is_here():
    assert set(ROWS) == set(REGISTRY)


def test_a_fit_states_its_gap_and_scores_its_forecast(fitted, recording):
    name, found = fitted
    gap = found.scores[-1].gap
    assert gap.evidence is EVIDENCE[name]
    assert 0.0 <= gap.relative < 1.0
    assert gap.words.startswith("within ")
    residual = (recording.signal - found.forecaster.predict(recording))[found.split.test.targets]
    assert found.scores[-1].test_rmse_mv == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-9)
    assert found.forecaster.kind == name


def test_what_is_saved_is_what_is_loaded(fitted, recording, tmp_path):
    name, found = fitted
    found.forecaster.save(tmp_path / "model.safetensors")
    again = ecgcvx.load(tmp_path)
    assert (again.kind, type(again.network)) == (name, type(found.forecaster.network))
    np.testing.assert_array_equal(ecgcvx.predict(again, recording), found.forecaster.predict(recording))


def test_a_stream_has_the_bits_of_the_batch(fitted, recording):
    _, found = fitted
    batch = found.forecaster.predict(recording)
    stream = found.forecaster.stream()
    steps = [stream.push(sample) for sample in recording.signal[:200]]
    horizon = found.forecaster.horizon
    made = np.array([step.prediction for step in steps])[:-horizon]
    np.testing.assert_array_equal(made, batch[horizon:200])
    rest = stream.push_chunk(recording.signal[200:500], patterns=True)
    np.testing.assert_array_equal(rest.predictions[:-horizon], batch[200 + horizon : 500])
    assert rest.patterns.shape == (300, found.forecaster.network.switches)


def test_it_is_certified_by_the_evidence_of_its_kind(fitted, recording):
    name, found = fitted
    certificates = ecgcvx.certify(found, recording, seconds=0.5)
    if CERTIFIED[name] is None:
        assert not certificates
        return
    assert {one.evidence for one in certificates} == {CERTIFIED[name]}
    for one in certificates:
        assert one.dual <= one.primal
    if found.trained.objective is not None:
        assert certificates[0].primal == pytest.approx(found.trained.objective, rel=1e-9)


def test_it_is_interpreted_and_reported(case, fitted, recording, tmp_path):
    from ecgcvx.output import write_output

    name, found = fitted
    reading = ecgcvx.interpret(found.forecaster, recording, refitting=None)
    assert reading.kind == found.forecaster.network.activation
    assert len(reading.table)
    told = write_output(found, recording, fit_options(name, **case[1]), tmp_path)
    assert told["models"][-1]["gap_kind"] == str(EVIDENCE[name])
    kept = json.loads((tmp_path / "metrics.json").read_text())
    assert kept["options"]["network"] == name
    page = (tmp_path / "report.html").read_text()
    assert "</html>" in page
    assert ecgcvx.load(tmp_path).kind == name


def test_the_command_line_trains_it_and_reads_its_model(case, fitted, record_208, tmp_path, capsys):
    name, found = fitted
    words = [word for key, value in case[1].items() for word in (f"--{key.replace('_', '-')}", str(value))]
    record = [str(record_208), "--end", "20"]
    assert main(["fit", *record, "--network", name, *words, "--json", "--output", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"][-1]["test_rmse_mv"] == found.scores[-1].test_rmse_mv
    assert main(["fit", *record, "--network", name, *words, "--output", str(tmp_path)]) == 0
    assert "within " in capsys.readouterr().out
    assert main(["certify", str(tmp_path), *record, "--seconds", "0.3", "--starts", "5"]) == 0
    assert main(["interpret", str(tmp_path), *record, "--no-stability"]) == 0


def test_a_forecast_is_the_sum_of_its_terms_and_its_nearest_gate_switches(fitted, recording):
    from ecgcvx.interpretation.explanation import explain, waterfall

    _, found = fitted
    model, rng = found.forecaster, np.random.default_rng(0)
    batch = model.predict(recording)
    for sample in rng.integers(20, len(recording.signal), 12):
        told = explain(model, recording, sample / recording.sampling_frequency)
        assert (told.sample, told.forecast_mv) == (sample, batch[sample])
        total = told.mean_mv + sum(pattern.adds_mv for pattern in told.patterns)
        size = sum(abs(pattern.adds_mv) for pattern in told.patterns)
        assert total == pytest.approx(told.forecast_mv, abs=1e-12 * (1 + size))
        shown = told.mean_mv + sum(adds for _, adds in waterfall(told, 2))
        assert shown == pytest.approx(told.forecast_mv, abs=1e-12 * (1 + size))
        nearest = told.nearest
        if nearest is None:
            assert model.network.activation == "polynomial" or not model.network.neurons
            continue
        # On the way to the gate the forecast is linear, with the sum of the active filters; beyond it is not.
        slope = sum(np.asarray(pattern.filter) for pattern in told.active)
        along = float(slope @ nearest.change_mv)
        ahead = [_forecast(model, told.window_mv + share * nearest.change_mv) for share in (0.0, 0.5, 0.999)]
        tolerance = 1e-10 * (1 + size)
        assert ahead[1] - ahead[0] == pytest.approx(0.5 * along, abs=tolerance)
        assert ahead[2] - ahead[0] == pytest.approx(0.999 * along, abs=tolerance)


def test_unusual_beats_are_read_from_its_patterns(fitted, record_208):
    """On-times and contributions in a bin are those of the explanation of its samples; ectopic beats score higher."""
    from ecgcvx.anomalies import detect
    from ecgcvx.anomalies.measured import BEFORE, heaviest_units, measure_beats

    _, found = fitted
    model, minute = found.forecaster, ecgcvx.read_recording(record_208, end=60)
    units = heaviest_units(model)
    if not len(units):
        pytest.skip("a network of no neurons")
    beats, windows = measure_beats(model, minute), model.windows(minute)
    width = round(beats.bin_ms * minute.sampling_frequency / 1e3)
    for k, bin in ((3, 0), (7, 14), (20, 30)):
        first = beats.samples[k] - round(BEFORE * minute.sampling_frequency) + bin * width
        rows = np.stack([windows.X[row : row + 1][0] for row in first - windows.length + 1 + np.arange(width)])
        active = units.on(rows)
        np.testing.assert_allclose(beats.adds[k, bin], units.outputs(rows, active).mean(axis=0), atol=1e-5)
        if beats.on is not None:
            np.testing.assert_allclose(beats.on[k, bin], active.mean(axis=0), atol=1e-6)
    # A wave that is not usual, after a beat that is: of several, since the record has ectopic beats of its own.
    signal, t = minute.signal.copy(), np.arange(len(minute.signal)) / minute.sampling_frequency
    planted = beats.samples[[-4, -9, -14]]
    for peak in planted:
        signal += 1.5 * np.exp(-0.5 * ((t - t[peak] - 0.15) / 0.02) ** 2)
    told = detect(model, replace(minute, signal=signal), learn=35)
    is_planted = np.isin(told.samples, planted)
    assert is_planted.sum() >= 2
    assert np.median(told.scores[is_planted]) > np.quantile(told.scores[~is_planted], 0.8)


def _forecast(model, window):
    row = np.append(model.scaler.standardise(window), 1.0)[None]
    return float(model.scaler.restore(model.network.predict(row))[0])


def test_a_foreign_option_is_refused_by_name(fitted):
    name, _ = fitted
    foreign = "stages" if name != "stack" else "patterns"
    with pytest.raises(InputError, match=rf"{foreign} = 5: not an option of network='{name}'; it is one of "):
        fit_options(name, **{foreign: 5})
