"""Stacks: weights against NumPy written out, stages against CVXPY, choices that see nothing but training windows."""

import dataclasses
import json

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ecgcvx
from ecgcvx.cli import main
from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.interpretation import decompose, interpret
from ecgcvx.kinds.stack import StackKind
from ecgcvx.model_file import load, save
from ecgcvx.models import ReluNetwork
from ecgcvx.models.stack import Stack, Stage
from ecgcvx.records import Recording, read_recording
from ecgcvx.stacks.features import features, first_projection
from ecgcvx.stacks.joint import _gradients, joint_descent
from ecgcvx.stacks.training import StackOptions, hold_out, train_stack
from ecgcvx.streaming.adaptation import SizeStatistics
from ecgcvx.streaming.predictor import StreamPredictor
from ecgcvx.windows import Scaler, split_windows

QUICK = StackOptions(features=12, confirm_starts=20)


def random_stack(seed=0, d=6, members=2, depth=2):
    rng = np.random.default_rng(seed)

    def stage(c, q, m):
        network = ReluNetwork(rng.standard_normal((q, m)), rng.standard_normal(m))
        return Stage(rng.standard_normal((c, q)) / c, rng.standard_normal(q), network, 1e-3)

    return Stack(tuple(tuple(stage(d + 4 * s, 5, 4) for s in range(depth)) for _ in range(members)))


def written_out(stack, X):
    forecasts = []
    for member in stack.members:
        h, f = X, np.zeros(len(X))
        for stage in member:
            phi = h @ stage.projection
            z = np.maximum(phi @ stage.network.W1, 0)
            f = f + phi @ stage.linear + z @ stage.network.W2
            h = np.hstack([h, z])
        forecasts.append(f)
    return np.mean(forecasts, axis=0)


@pytest.fixture(scope="module")
def windows(record_208):
    return split_windows(read_recording(record_208, end=90).signal, horizon=5)


@pytest.fixture(scope="module")
def trained(windows):
    return train_stack(windows.train, QUICK)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 3))
def test_the_forecast_is_the_one_written_out_and_the_sum_of_its_stages(seed, members, depth):
    stack = random_stack(seed, members=members, depth=depth)
    X = np.random.default_rng(seed).standard_normal((40, 6))
    f = stack.predict(X)
    np.testing.assert_allclose(f, written_out(stack, X), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(stack.contributions(X).sum(axis=1), f, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(stack.on_window().predict(X), stack.contributions(X)[:, 0], rtol=1e-11, atol=1e-11)
    for i in (0, 7, 39):
        assert stack.predict(X[i : i + 1])[0] == f[i]


def test_the_spread_is_that_of_the_members():
    stack = random_stack(3, members=3)
    X = np.random.default_rng(0).standard_normal((30, 6))
    each = [Stack((member,)).predict(X) for member in stack.members]
    np.testing.assert_allclose(stack.spread(X), np.std(each, axis=0, ddof=1), atol=1e-12)
    assert (Stack(stack.members[:1]).spread(X) == 0).all()


@pytest.mark.parametrize("name", ["projection", "linear"])
def test_stages_that_do_not_fit_are_refused(name):
    stage = random_stack().members[0][0]
    with pytest.raises(InputError, match="not finite"):
        dataclasses.replace(stage, **{name: np.full_like(getattr(stage, name), np.nan)})
    with pytest.raises(InputError, match="do not fit"):
        dataclasses.replace(stage, **{name: getattr(stage, name)[..., :-1]})
    with pytest.raises(InputError, match="stage 2: its projection has 6 rows, but there are 10"):
        Stack(((stage, stage),))
    with pytest.raises(InputError, match="at least one"):
        Stack(())


def test_a_time_limit_ends_the_choice_and_leaves_a_whole_stack(windows):
    """No time at all: the first beta of the first stage, for one round on all windows, and it says so."""
    late = train_stack(windows.train, dataclasses.replace(QUICK, members=3, joint=5), end=0.0)
    assert len(late.trials) == 1
    assert [[stage.starts for stage in member] for member in late.stages] == [[0]]
    y = windows.train.y
    error = np.mean((y - late.stack.predict(windows.train.X)) ** 2)
    assert error < np.mean((y - windows.train.X[:][:, -2]) ** 2)  # that of the last value
    found = ecgcvx.fit(Recording(windows.train.signal[:4000], 360.0, "II", "x"), "stack", horizon=5, time_limit=1e-3)
    assert found.trained.status == "time limit"
    assert found.trained.gap.detail == "not confirmed"
    assert found.overrun > 0
    assert [score.name for score in found.scores] == ["persistence", "linear_ar", "convex"]
    told = any("more than its time limit of 0.001 s" in caution for caution in found.cautions)
    assert told == (found.overrun > 0.05)  # a quick machine has nothing to say
    assert any("left out" in caution for caution in found.cautions)


def test_a_stage_is_the_convex_program_of_its_features(windows):
    """The stages' P and bounds against CVXPY over the patterns of the final neurons, which can only be lower."""
    train = dataclasses.replace(windows.train, runs=((0, 400),))
    options = dataclasses.replace(QUICK, betas=(2e-2, 2e-2), features=4, rounds=12, confirm_starts=200)
    found = train_stack(train, options)
    programs = StackKind.programs(found.stack, train.X, train.y, 2e-2)
    for solved, problem in zip(found.stages[0], programs, strict=True):
        W1, W2 = problem.network.W1, problem.network.W2
        r = problem.y - problem.network.predict(problem.X)
        P = r @ r / (2 * len(r)) + problem.beta / 2 * ((W1**2).sum() + (W2**2).sum())
        assert solved.primal == pytest.approx(P, rel=1e-9)
        X = np.asarray(problem.X[:])
        U = [cp.Variable(len(W1)) for _ in W2]
        D = [np.where(X @ w >= 0, 1.0, 0.0) for w in W1.T]
        f = sum(np.sign(a) * cp.multiply(on, X @ u) for a, on, u in zip(W2, D, U, strict=True))
        cost = cp.sum_squares(f - problem.y) / (2 * len(X)) + problem.beta * sum(cp.norm(u) for u in U)
        cones = [cp.multiply(2 * on - 1, X @ u) >= 0 for on, u in zip(D, U, strict=True)]
        best = cp.Problem(cp.Minimize(cost), cones).solve(solver=cp.CLARABEL)
        assert solved.dual <= best * (1 + 1e-6)
        assert best * (1 + 2e-2) >= P


def test_features_are_standardised_components_with_the_forecast_and_a_one(trained, windows):
    stage = trained.stack.members[0][1]
    X = windows.train.X
    phi = features(X, trained.stack.members[0][:1], stage.projection)
    assert phi.shape[1] == QUICK.features + 2
    np.testing.assert_allclose(phi[:, -1], 1)
    np.testing.assert_allclose(phi[:, -2], trained.stack.contributions(X)[:, 0], atol=1e-9)
    centred = phi[:, :-2] - phi[:, :-2].mean(axis=0)
    correlations = np.corrcoef(centred.T)
    np.testing.assert_allclose(correlations, np.eye(len(correlations)), atol=1e-6)


def test_it_forecasts_better_than_its_lowest_stage_and_than_a_linear_predictor(trained, windows):
    X, y = windows.test.X, windows.test.y
    w = np.linalg.lstsq(windows.train.X[:], windows.train.y, rcond=None)[0]
    linear = np.mean((y - X[:] @ w) ** 2)
    lowest = np.mean((y - trained.stack.contributions(X)[:, 0]) ** 2)
    assert np.mean((y - trained.stack.predict(X)) ** 2) < lowest < linear


def test_the_seed_decides_everything_and_the_test_part_nothing(trained, windows):
    changed = windows.train.signal.copy()
    changed[windows.test.starts[0] :] = 7.0
    again = train_stack(dataclasses.replace(windows.train, signal=changed), QUICK)
    for one, two in zip(trained.stack.members[0], again.stack.members[0], strict=True):
        np.testing.assert_array_equal(one.projection, two.projection)
        np.testing.assert_array_equal(one.network.W1, two.network.W1)
    assert trained.betas == again.betas
    other = train_stack(windows.train, dataclasses.replace(QUICK, members=2))
    first = Stack(other.stack.members[:1])
    np.testing.assert_array_equal(first.predict(windows.test.X), trained.stack.predict(windows.test.X))
    assert other.stack.spread(windows.test.X).max() > 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(1, 6))
def test_held_out_windows_come_last_and_share_no_sample(lengths, horizon):
    length, runs, start = 5, [], 0
    for n in lengths:
        runs.append((start, start + n))
        start += n + length + horizon - 1 + 3
    signal = np.random.default_rng(0).standard_normal(start + length + horizon)
    windows = dataclasses.replace(
        split_windows(np.random.default_rng(1).standard_normal(200), length, horizon).train,
        signal=signal, runs=tuple(runs),
    )  # fmt: skip
    try:
        inner, held = hold_out(windows)
    except InputError:
        assert len(windows) < 12 * (length + horizon)
        return
    assert inner.targets.max() < held.starts.min()
    assert set(inner.starts) | set(held.starts) <= set(windows.starts)
    lost = len(windows) - len(inner) - len(held)
    assert len(held) >= 1
    assert lost <= length + horizon


def test_a_model_file_gives_back_the_same_bits(tmp_path, trained, windows):
    model = Forecaster(trained.stack, windows.scaler, "MLII", 360.0, 15, 5, trained.betas[-1])
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path)
    np.testing.assert_array_equal(again.network.predict(windows.test.X), trained.stack.predict(windows.test.X))
    assert [stage.beta for stage in again.network.members[0]] == list(trained.betas)
    with pytest.raises(ModelError, match="single two-layer network"):
        SizeStatistics(again, 10.0)


def test_a_stream_has_the_bits_of_the_batch_and_goes_on_from_its_checkpoint(tmp_path):
    stack = random_stack(5, d=6)
    model = Forecaster(stack, Scaler(0.1, 0.5), "II", 250.0, 5, 2, 1e-3)
    signal = np.random.default_rng(1).standard_normal(120)
    signal[[40, 41, 90]] = np.nan
    batch = model.predict(Recording(signal, 250.0, "II", "made"))
    one = StreamPredictor(model)
    steps = [one.push(sample) for sample in signal[:70]]
    one.save(tmp_path / "stream")
    rest = StreamPredictor.resume(model, tmp_path / "stream").push_chunk(signal[70:], patterns=True)
    predictions = np.concatenate([[step.prediction for step in steps], rest.predictions])
    made = np.isfinite(batch[2:])  # a stream also forecasts samples that turn out to be missing
    np.testing.assert_array_equal(predictions[:-2][made], batch[2:][made])
    assert made.sum() > 80
    gates = np.concatenate([stage.projection @ stage.network.W1 for stage, *_ in stack.members], axis=1)
    assert rest.patterns.shape == (50, gates.shape[1])
    x = np.append(model.scaler.standardise(signal[75:80]), 1.0)
    np.testing.assert_array_equal(rest.patterns[9], x @ gates > 0)


def test_an_interpretation_reads_the_lowest_stage_and_says_what_the_others_add(trained, windows, record_208):
    recording = read_recording(record_208, end=90)
    model = Forecaster(trained.stack, windows.scaler, recording.lead, 360.0, 15, 5, trained.betas[-1])
    found = interpret(model, recording, part="test")
    assert found.kind == "stack"
    assert found.stability is None
    assert len(found.stages) == trained.stack.depth
    assert found.stages[-1].rmse_mv == pytest.approx(found.rmse_mv, rel=1e-9)
    assert found.stages[0].rmse_mv > found.stages[-1].rmse_mv
    one = decompose(model, recording, int(windows.test.targets[100]))
    assert one.mean_mv + one.contributions.sum() == pytest.approx(one.forecast_mv, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stages": 0}, "stages = 0"),
        ({"power": 0.7}, "power = 0.7"),
        ({"betas": (0.0,)}, "betas"),
        ({"seed": -1}, "seed"),
    ],
)
def test_unusable_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        StackOptions(**options)


def test_the_gradient_of_the_joint_descent_is_that_of_finite_differences():
    stack = random_stack(2, members=1, depth=3)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 6)), rng.standard_normal(30)
    projections = [stage.projection for stage in stack.members[0]]
    parameters = [w for stage in stack.members[0] for w in (stage.network.W1, stage.network.W2, stage.linear)]
    betas = [0.1, 0.2, 0.3]

    def objective(parameters):
        stages = [
            Stage(M, parameters[3 * s + 2], ReluNetwork(parameters[3 * s], parameters[3 * s + 1]), betas[s])
            for s, M in enumerate(projections)
        ]
        r = written_out(Stack((tuple(stages),)), X) - y
        penalty = sum(
            b / 2 * ((s.network.W1**2).sum() + (s.network.W2**2).sum()) for b, s in zip(betas, stages, strict=True)
        )
        return r @ r / (2 * len(y)) + penalty

    _, gradients = _gradients(projections, parameters, betas, X, y)
    for k, g in enumerate(gradients):
        direction = rng.standard_normal(g.shape)
        moved = [[w + h * direction if j == k else w for j, w in enumerate(parameters)] for h in (1e-6, -1e-6)]
        slope = (objective(moved[0]) - objective(moved[1])) / 2e-6
        assert (g * direction).sum() == pytest.approx(slope, rel=1e-5)


def test_joint_descent_lowers_the_error_it_descends_on_and_keeps_a_bounded_last_stage(trained, windows):
    joint = train_stack(windows.train, dataclasses.replace(QUICK, joint=5))
    X, y = windows.train.X, windows.train.y
    assert np.mean((y - joint.stack.predict(X)) ** 2) < np.mean((y - trained.stack.predict(X)) ** 2)
    assert 0 < joint.stages[0][-1].dual <= joint.stages[0][-1].primal
    moved = joint_descent(trained.stack.members[0], X, y, 0, seed=0)
    np.testing.assert_allclose(Stack((moved,)).predict(X), trained.stack.predict(X), atol=1e-4)


@pytest.mark.slow
def test_the_commands_take_a_stack(record_208, tmp_path, capsys):
    record, folder = [str(record_208), "--end", "90"], str(tmp_path / "out")
    options = ["--network", "stack", "--horizon", "5", "--average", "2", "--confirm-starts", "20", "--output", folder]
    assert main(["fit", *record, *options]) == 0
    told = capsys.readouterr().out
    assert "stage 2: 44 features" in told  # of which stack may depend on the BLAS
    assert "stack 2, stage 1: 16 features" in told
    assert "the stack as a whole has none" in told
    kept = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert len(kept["stack"]["stages"]) == 2
    for number, member in enumerate(kept["stack"]["stages"], 1):
        for stage, inputs in zip(range(1, len(member) + 1), (16, 44), strict=False):
            assert f"stack {number}, stage {stage}: {inputs} features" in told
        assert f"stack {number}, stage {len(member) + 1}:" not in told
    assert kept["models"][-1]["gap_kind"] == "searched"
    assert main(["predict", folder, *record, "--output", str(tmp_path / "f.csv")]) == 0
    capsys.readouterr()
    assert main(["certify", folder, *record, "--seconds", "0.2", "--starts", "20", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    for one, two in zip(stages, [stage for member in kept["stack"]["stages"] for stage in member], strict=True):
        assert one["primal"] == pytest.approx(two["primal"], rel=1e-6)
        assert one["dual_proved"] < one["primal"]
    assert main(["path", *record, "--network", "stack"]) == 2
    assert "chooses its own betas" in capsys.readouterr().err
    assert main(["fit", *record, "--network", "stack", "--resume", "--output", folder]) == 2
    assert "keeps no checkpoint" in capsys.readouterr().err


def test_long_windows_keep_the_components_of_largest_variance(record_208):
    X = split_windows(read_recording(record_208, end=25).signal, 30, 5).train.X
    M = first_projection(X, 12, 0.25)
    whole = first_projection(X, 42, 0.25)
    assert M.shape == (31, 13)
    assert whole.shape == (31, 31)
    np.testing.assert_allclose(M[:, :12], whole[:, :12])
    rows = np.asarray(X[:])[:, :-1]
    moments = np.linalg.svd(rows, compute_uv=False) ** 2 / len(rows)  # about zero, the mean of the signal
    np.testing.assert_allclose(np.mean((rows @ M[:-1, :12]) ** 2, axis=0), np.sqrt(moments * moments[0])[:12])
