"""Several horizons at once: each is the fit of its own, forecasts stand at the samples that they are of, one file."""

import csv
import json
import os
import signal
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ecgcvx
from ecgcvx.cli import main
from ecgcvx.errors import InputError, ModelError
from ecgcvx.fan import fan_strip
from ecgcvx.fit_options import fit_options
from ecgcvx.forecaster import Forecaster
from ecgcvx.horizon_output import write_horizons
from ecgcvx.horizons import fit_horizons
from ecgcvx.interruption import signals
from ecgcvx.kinds.kind import Limits
from ecgcvx.kinds.registry import REGISTRY
from ecgcvx.model_file import digest
from ecgcvx.models import PolynomialNetwork, ReluNetwork
from ecgcvx.multi_horizon import MultiHorizonForecaster, check_horizons, horizon_words, read_horizons
from ecgcvx.records import Recording
from ecgcvx.sharing import Sharing
from ecgcvx.types import silent
from ecgcvx.windows import Scaler, split_windows

HORIZONS = (1, 3, 8)
RATE, WINDOW = 50.0, 4


@pytest.fixture(scope="module")
def recording(record_208):
    return ecgcvx.read_recording(record_208, end=20)


OPTIONS = {
    "polynomial": {"beta": 1e-4}, "quadratic": {"beta": 1e-4}, "gated": {"beta": 1e-4, "patterns": 8, "gap": 1e-8},
    "polynomial-free": {"beta": 1e-4, "linear": "free"},
    "gated-free": {"beta": 1e-4, "patterns": 8, "gap": 1e-8, "linear": "free"},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_every_horizon_is_the_separate_fit_of_the_same_windows(name, recording):
    options, network = OPTIONS[name], name.partition("-")[0]
    together = ecgcvx.fit(recording, network, horizon=HORIZONS, baselines="none", **options)
    for horizon, found in zip(HORIZONS, together.fits, strict=True):
        windows = split_windows(recording.signal, 15, horizon, longest=HORIZONS[-1]).train
        kind = fit_options(network, **options).network
        alone = kind.problem(windows, 0, silent).train(options["beta"], warm=None, limits=Limits(), progress=silent)
        assert found.trained.objective == pytest.approx(alone.objective, rel=1e-7)
        assert found.trained.gap.relative <= 1e-6
        f, g = found.trained.network.predict(windows.X), alone.network.predict(windows.X)
        assert np.abs(f - g).max() < 2e-3 * np.abs(f).max()


def test_a_separate_fit_of_the_longest_horizon_is_that_of_all(recording):
    together = ecgcvx.fit(recording, "polynomial", horizon=HORIZONS, beta=1e-4, baselines="linear")
    alone = ecgcvx.fit(recording, "polynomial", horizon=HORIZONS[-1], beta=1e-4, baselines="linear")
    last = together.fits[-1]
    assert last.split.counts == alone.split.counts
    for ours, theirs in zip(last.scores, alone.scores, strict=True):
        assert ours.test_rmse_mv == pytest.approx(theirs.test_rmse_mv, rel=1e-6)


def test_the_shared_gram_matrix_is_that_of_cvxpy(recording):
    """The group lasso of a horizon whose Gram matrix is another one's, by CVXPY on its rows."""
    kind = fit_options("gated", patterns=4, gap=1e-9).network
    sharing = Sharing(5)
    parts = [split_windows(recording.signal[:1500], 3, horizon, longest=5).train for horizon in (1, 5)]
    problems = [sharing.problem(kind, part, 0, silent) for part in parts]
    program = problems[1].program.at(1e-2)
    assert program.gram.H is problems[0].program.gram.H
    found = problems[1].train(1e-2, warm=None, limits=Limits(), progress=silent)
    F = np.concatenate([rows for _, rows in program.features.rows()])
    u = cp.Variable(program.shape)
    loss = cp.sum_squares(F @ cp.vec(u, order="C") - parts[1].y) / (2 * len(parts[1]))
    problem = cp.Problem(cp.Minimize(loss + 1e-2 * cp.sum(cp.norm(u, axis=1))))
    problem.solve(solver="CLARABEL", tol_gap_rel=1e-10, tol_gap_abs=1e-12)
    assert found.objective == pytest.approx(problem.value, rel=1e-6)


def test_relu_networks_start_from_the_neighbour_and_keep_their_gap(recording):
    options = {"beta": 1e-2, "rounds": 4, "confirm_starts": 50, "baselines": "none"}
    together = ecgcvx.fit(recording, horizon=(2, 3), **options)
    for found in together.fits:
        train = found.split.train
        alone = ecgcvx.fit(recording, horizon=found.forecaster.horizon, **options)
        assert found.trained.objective <= (1 + 2e-2) * alone.trained.objective
        network = found.forecaster.network
        residual = train.y - network.predict(train.X)
        penalty = 1e-2 * float((np.linalg.norm(network.W1, axis=0) * np.abs(network.W2)).sum())
        assert residual @ residual / (2 * len(train)) + penalty == pytest.approx(found.trained.objective, rel=1e-6)


@pytest.mark.parametrize("name", [*REGISTRY])
def test_a_network_that_is_given_other_targets_is_as_made_anew(name, recording):
    few = {"rounds": 1, "confirm_starts": 5}
    options = {
        "relu": few, "gated": {"patterns": 4}, "stack": {"confirm_starts": 5}, "conv": few, "batchnorm": few,
        "three-layer": few | {"inner": 2},
    }.get(name, {})  # fmt: skip
    kind = fit_options(name, **options).network
    first, second = (split_windows(recording.signal[:1200], 6, horizon, longest=4).train for horizon in (1, 4))
    assert first.runs == second.runs
    problem = kind.problem(first, 0, silent)
    found, anew = (
        one.train(3e-2, warm=None, limits=Limits(), progress=silent)
        for one in (kind.with_targets(problem, second, 0, silent), kind.problem(second, 0, silent))
    )
    assert found.objective == (None if anew.objective is None else pytest.approx(anew.objective, rel=1e-9))
    np.testing.assert_allclose(found.network.predict(second.X), anew.network.predict(second.X), atol=1e-6)


def test_beta_is_chosen_beside_that_of_the_horizon_before(recording):
    found = ecgcvx.fit(recording, "polynomial", horizon=(1, 2, 3), linear="penalised", baselines="none")
    first, *others = (one.path for one in found.fits)
    step = first.points[0].beta / first.points[1].beta
    for before, path in zip((first, *others), others, strict=False):
        betas = [point.beta for point in path.points]
        assert np.allclose(betas, before.chosen.beta * step ** np.array([1.0, 0.0, -1.0])[: len(betas)])
        assert path.chosen.validation_rmse_mv == min(point.validation_rmse_mv for point in path.points)


def networks(horizons, window=WINDOW, seed=0):
    rng = np.random.default_rng(seed)
    weights = [(rng.standard_normal((window + 1, 3)), rng.standard_normal(3)) for _ in horizons]
    return MultiHorizonForecaster(
        tuple(
            Forecaster(ReluNetwork(W, w), Scaler(0.1, 0.5), "II", RATE, window, horizon, 1e-3, longest=max(horizons))
            for (W, w), horizon in zip(weights, horizons, strict=True)
        )
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True).map(sorted),
    st.integers(50, 80),
    st.integers(0, 10**6),
    st.integers(0, 39),
)
def test_columns_are_forecasts_of_their_row_from_samples_before_it(horizons, n, seed, changed):
    """Row t, column h is what the network of h makes of the window that ends at t - h, and of nothing else."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(n)
    signal[rng.integers(0, n, 2)] = np.nan
    model = networks(horizons)
    made = model.predict(Recording(signal, RATE, "II", "r"))
    for j, one in enumerate(model.forecasters):
        for t in range(n):
            window = signal[t - one.horizon - WINDOW + 1 : t - one.horizon + 1] if t >= one.horizon + WINDOW - 1 else []
            if len(window) < WINDOW or np.isnan(signal[t - one.horizon - WINDOW + 1 : t + 1]).any():
                assert np.isnan(made[t, j])
                continue
            x = np.r_[(window - 0.1) / 0.5, 1.0]
            expected = 0.1 + 0.5 * float(np.maximum(x @ one.network.W1, 0) @ one.network.W2)
            assert made[t, j] == pytest.approx(expected, abs=1e-9)
    fan = model.fan(made, changed)
    for value, horizon, j in zip(fan, horizons, range(len(horizons)), strict=True):
        if changed + horizon < n:
            assert np.array_equal(value, made[changed + horizon, j], equal_nan=True)
        else:
            assert np.isnan(value)


def test_a_file_holds_all_horizons(tmp_path, recording):
    fitted = ecgcvx.fit(recording, "polynomial", horizon=HORIZONS, beta=1e-4, intervals=(0.8,), baselines="none")
    path = tmp_path / "model.safetensors"
    fitted.forecaster.save(path)
    back = ecgcvx.load_horizons(path)
    assert digest(back) == digest(fitted.forecaster)
    assert back.horizons == HORIZONS
    assert np.array_equal(back.predict(recording), fitted.forecaster.predict(recording), equal_nan=True)
    assert np.array_equal(ecgcvx.predict(path, recording), back.predict(recording), equal_nan=True)
    one = ecgcvx.load(path, horizon=3)
    assert np.array_equal(one.predict(recording), back.predict(recording)[:, 1], equal_nan=True)
    lower, upper = ecgcvx.predict_interval(path, recording, 0.8)
    assert lower.shape == (len(recording.signal), len(HORIZONS))
    assert np.array_equal(upper[:, 2], back.at(8).predict_interval(recording, 0.8).upper, equal_nan=True)
    # A horizon that stands alone knows the windows of its training: what its certificate is about.
    one.save(tmp_path / "one.safetensors")
    again = ecgcvx.load(tmp_path / "one.safetensors")
    assert len(again.training_windows(recording, 0.8)) == len(fitted.at(3).split.train)
    (certificate,) = ecgcvx.certify(again, recording)
    assert certificate.gap == pytest.approx(fitted.at(3).trained.gap.relative, abs=1e-6)
    with pytest.raises(InputError, match="forecasts 1, 3 and 8 samples ahead; name one of them with --horizon"):
        ecgcvx.load(path)
    with pytest.raises(InputError, match="horizon = 2: the model forecasts 1, 3 and 8"):
        ecgcvx.load(path, horizon=2)
    with pytest.raises(InputError, match="horizon = 2: the model forecasts 3 ahead"):
        ecgcvx.load(tmp_path / "one.safetensors", horizon=2)
    assert ecgcvx.load_horizons(tmp_path / "one.safetensors").horizons == (3,)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_of_several_horizons_with_any_bit_changed_is_refused_or_the_same(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bits") / "model.safetensors"
    networks((1, 2)).save(path)
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    try:
        back = ecgcvx.load_horizons(path)
    except ModelError:
        return
    assert digest(back) == digest(networks((1, 2)))  # a space, or the version that wrote it


@pytest.mark.parametrize(
    ("text", "horizons"),
    [("5", 5), ("1:4", (1, 2, 3, 4)), ("1:10:4", (1, 5, 9)), ("18,1,5", (1, 5, 18)), ("1:3,9", (1, 2, 3, 9)),
     ("7:7", (7,)), ("5,", None), ("", None), ("1:", None), ("4:1", None), ("1:9:0", None), ("0:3", None),
     ("1,1", None), ("1:2000", None), ("1.5", None), ("-3", None), ("1:2:3:4", None), ("a", None),
     ("1:99999999999999", None)],
)  # fmt: skip
def test_a_text_of_horizons(text, horizons):
    if horizons is None:
        with pytest.raises(InputError, match="horizon"):
            read_horizons(text)
    else:
        assert read_horizons(text) == horizons


@pytest.mark.parametrize("horizons", [np.array([2, 2]), [], [0], [1, 1], [1.5], [True, 2], range(1, 2000), ["1"]])
def test_horizons_that_are_none(horizons, recording):
    with pytest.raises(InputError, match="horizon"):
        check_horizons(horizons)
    with pytest.raises(InputError, match="horizon"):
        ecgcvx.fit(recording, "polynomial", horizon=horizons, beta=1e-3)


def test_words():
    assert horizon_words((1, 2, 3)) == "1 to 3"
    assert horizon_words((1, 2)) == "1 and 2"
    assert horizon_words((1, 5, 18)) == "1, 5 and 18"
    assert horizon_words((4,)) == "4"


def test_what_several_horizons_refuse(recording):
    with pytest.raises(InputError, match="prove = 10: not for several horizons"):
        ecgcvx.fit(recording, horizon=(1, 2), beta=1e-2, prove=10.0)
    with pytest.raises(InputError, match="checkpoint: a fit of several horizons keeps none"):
        ecgcvx.fit(recording, horizon=(1, 2), beta=1e-2, resume=True)
    with pytest.raises(InputError, match="window and its target need"):
        ecgcvx.fit(recording, "polynomial", horizon=(1, 10**6), beta=1e-2)
    one, two = networks((1, 2)).forecasters
    with pytest.raises(InputError, match="scaler"):
        MultiHorizonForecaster((one, replace(two, scaler=Scaler(0.0, 1.0))))
    with pytest.raises(InputError, match="in the order"):
        MultiHorizonForecaster((two, one))


def test_ctrl_c_keeps_the_horizons_that_are_done(recording):
    sent = []

    def stop(words, share):
        if words.startswith("horizon 3: ") and not sent:
            sent.append(words)
            os.kill(os.getpid(), signal.SIGINT)

    options = fit_options("polynomial", beta=1e-4, baselines="none")
    with signals():
        found = fit_horizons(recording, options, HORIZONS, stop)
    assert found.forecaster.horizons == (1,)
    assert found.interrupted == "interrupted: of the horizons 1, 3 and 8 the model has 1"


@pytest.fixture(scope="module")
def fan(record_208, tmp_path_factory):
    """The folder of `ecgcvx fit --horizon 1,4`."""
    folder = tmp_path_factory.mktemp("fan")
    arguments = ["fit", str(record_208), "--end", "20", "--network", "polynomial", "--beta", "1e-4", "--horizon", "4,1"]
    assert main([*arguments, "--intervals", "0.8", "--baselines", "linear", "--output", str(folder)]) == 0
    return folder


def test_the_folder_tells_of_every_horizon(fan):
    assert sorted(path.name for path in fan.iterdir()) == [
        "horizons.png", "metrics.json", "model.safetensors", "report.html",
    ]  # fmt: skip
    metrics = json.loads((fan / "metrics.json").read_text())
    model = ecgcvx.load_horizons(fan)
    assert metrics["model_digest"] == digest(model)
    assert [one["horizon"] for one in metrics["horizons"]] == [1, 4]
    for one, forecaster in zip(metrics["horizons"], model.forecasters, strict=True):
        assert one["model_digest"] == digest(forecaster)
        assert one["intervals"][0]["coverage"] == 0.8
    report = (fan / "report.html").read_text()
    assert "How far ahead" in report
    assert report.count("linear predictor") > 1


def test_the_report_of_several_horizons_names_one_to_test_again(recording, tmp_path):
    options = fit_options("gated", beta=1e-2, baselines="none")
    write_horizons(fit_horizons(recording, options, (2, 5), silent), recording, options, tmp_path / "fan")
    assert f"ecgcvx interpret {tmp_path}/fan RECORD --horizon 2" in (tmp_path / "fan" / "report.html").read_text()


def test_fans_are_of_one_prediction_a_horizon(fan, recording, monkeypatch):
    model = ecgcvx.load_horizons(fan)
    aligned, ends = model.predict(recording), model.predict_interval(recording, 0.8, adapt=True)
    calls, predict = [], PolynomialNetwork.predict
    monkeypatch.setattr(PolynomialNetwork, "predict", lambda network, X: calls.append(X) or predict(network, X))
    strip = fan_strip(model, recording, 5000)
    assert len(calls) == len(model.horizons)
    assert strip.coverage == 0.8
    for one in strip.fans:
        sample = int(one.samples[0])
        np.testing.assert_array_equal(one.forecast[1:], model.fan(aligned, sample))
        for found, whole in zip(one.interval, ends, strict=True):
            np.testing.assert_array_equal(found[1:], model.fan(whole, sample))


def test_predict_has_a_column_a_horizon(fan, record_208, recording, tmp_path, capsys):
    target = tmp_path / "forecast.csv"
    arguments = ["predict", str(fan), str(record_208), "--end", "20", "--intervals", "--output", str(target)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "horizon 4: 7,182 forecasts" in out
    rows = list(csv.DictReader(target.open()))
    assert list(rows[0]) == [
        "sample", "time_s", "signal_mv", "forecast_1_mv", "outside_1", "lower_80_1_mv", "upper_80_1_mv",
        "forecast_4_mv", "outside_4", "lower_80_4_mv", "upper_80_4_mv",
    ]  # fmt: skip
    aligned = ecgcvx.predict(fan, recording)
    for j, horizon in enumerate((1, 4)):
        told = [row[f"forecast_{horizon}_mv"] for row in rows]
        assert [text == "" for text in told] == np.isnan(aligned[:, j]).tolist()
        known = ~np.isnan(aligned[:, j])
        np.testing.assert_allclose([float(text) for text in told if text], aligned[known, j], atol=6e-7)
    assert main(["predict", str(fan), str(record_208), "--end", "2", "--horizon", "4"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "sample,time_s,signal_mv,forecast_mv,residual_mv,outside"


@pytest.mark.parametrize(
    "command",
    [
        ["certify", "FAN", "RECORD", "--end", "20"], ["stream", "FAN", "--record", "RECORD", "--end", "2"],
        ["export", "FAN", "--to", "numpy", "--output", "TARGET"], ["explain", "FAN", "RECORD", "--at", "3"],
        ["detect", "FAN", "RECORD", "--end", "60", "--learn", "40", "--output", "TARGET.csv"],
        ["interpret", "FAN", "RECORD", "--end", "20", "--no-stability", "--json"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_other_commands_take_one_horizon(command, fan, record_208, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))  # a stream asks for its descriptor
    names = {"FAN": str(fan), "RECORD": str(record_208), "TARGET": str(tmp_path / "m"),
             "TARGET.csv": str(tmp_path / "events.csv")}  # fmt: skip
    arguments = [names.get(word, word) for word in command]
    assert main(arguments) == 2
    assert "it forecasts 1 and 4 samples ahead; name one of them with --horizon" in capfd.readouterr().err
    more = ["--speed", "0"] if command[0] == "stream" else []
    assert main([*arguments, "--horizon", "4", *more]) == 0
    assert capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--horizon", "3:1"], "horizon = '3:1'"), (["--horizon", "0"], "horizon = 0"),
        (["--horizon", "x"], "horizon = 'x'"), (["--horizon", "1:3", "--resume"], "resume: "),
        (["--horizon", "1:3", "--prove"], "prove = 60"), (["--horizon", "1:3", "--leads", "a,b"], "on one record"),
        (["--horizon", "1:900"], "--horizon"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(arguments, named, record_208, tmp_path, capsys):
    if named == "--horizon":  # several that the record is too short for
        arguments, named = [*arguments, "--end", "3"], "a window and its target need 915"
    assert main(["fit", str(record_208), "--network", "polynomial", "--output", str(tmp_path / "o"), *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in error if line.startswith("ecgcvx: ")]) == 1
    assert named in error[-1]
