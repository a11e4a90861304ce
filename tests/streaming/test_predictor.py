"""A stream says, bit for bit, what the whole recording says, however it is cut; what breaks it is seen."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_layers import two_layers

from ecgcvx.activations import Polynomial
from ecgcvx.errors import InputError, ModelError
from ecgcvx.forecaster import Forecaster
from ecgcvx.models import ReluNetwork
from ecgcvx.records import Lead, Recording
from ecgcvx.streaming import StreamPredictor
from ecgcvx.windows import Scaler

RATE = 20.0  # Hz: scores begin after 20 residuals


def forecaster(kind="relu", window=5, horizon=2, neurons=9, seed=0, leads=1):
    rng = np.random.default_rng(seed)
    W1, gates = rng.standard_normal((2, leads * window + 1, neurons))
    extra = {"relu": {}, "gated": {"gates": gates}, "polynomial": {"polynomial": Polynomial(0.09, 0.5, 0.47)}}[kind]
    network = two_layers(W1, rng.standard_normal(neurons), **extra)
    names = tuple(f"V{k + 1}" for k in range(leads - 1))
    scaler = Scaler(0.3, 0.5, tuple(Scaler(0.1 * k, 1.0 + k) for k in range(leads - 1)))
    return Forecaster(network, scaler, "MLII", RATE, window, horizon, 1e-4, joined=names)


def signal(seed, n=200, holes=2, leads=1):
    """(n,), or of several leads (leads, n) with gaps in any of them."""
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((leads, n))
    for start in rng.integers(0, n, holes):
        out[rng.integers(leads), start : start + int(rng.integers(1, 4))] = rng.choice([np.nan, np.inf])
    return out if leads > 1 else out[0]


def recording_of(samples, model):
    """What the whole recording is, of one lead or of several."""
    *others, own = np.atleast_2d(np.where(np.isfinite(samples), samples, np.nan))
    joined = tuple(Lead(name, other) for name, other in zip(model.joined, others, strict=True))
    return Recording(own, RATE, "MLII", "x", joined=joined)


def told(stream, samples, cuts):
    """(predictions, residuals, scores, alarms, patterns) of a signal pushed as cut: pieces of one as single samples."""
    parts = []
    for piece in np.split(samples, sorted(cuts), axis=-1):
        if piece.shape[-1] == 1:
            step = stream.push(piece[..., 0].tolist())
            parts.append([np.array([part]) for part in step[1:5]] + [step.patterns[None]])
        else:
            steps = stream.push_chunk(piece, patterns=True)
            parts.append([*steps[1:5], steps.patterns])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


cases = st.tuples(
    st.sampled_from(["relu", "gated", "polynomial"]), st.integers(1, 9), st.integers(1, 6), st.integers(0, 17),
    st.integers(0, 999), st.integers(1, 3),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(cases, st.lists(st.integers(0, 200), max_size=12), st.integers(0, 3))
def test_any_cut_is_the_batch(case, cuts, holes):
    model = forecaster(*case)
    samples = signal(case[-2], holes=holes, leads=case[-1])
    stream = StreamPredictor(model)
    predictions, residuals, scores, alarms, patterns = told(stream, samples, cuts)
    whole = StreamPredictor(model).push_chunk(samples, patterns=True)
    recording = recording_of(samples, model)
    batch = model.predict(recording)
    np.testing.assert_array_equal(residuals, recording.signal - batch)
    due = np.flatnonzero(np.isfinite(batch))
    np.testing.assert_array_equal(predictions[due - model.horizon], batch[due])
    for part, expected in zip((predictions, residuals, scores, alarms, patterns), (*whole[1:5], whole.patterns)):  # noqa: B905
        np.testing.assert_array_equal(part, expected)
    np.testing.assert_array_equal(whole.missing, ~np.isfinite(recording.signals).reshape(-1, 200).all(axis=0))
    assert stream.samples == 200


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(1, 200), st.integers(0, 999), st.integers(1, 3))
def test_channels_do_not_touch_each_other(channels, T, seed, leads):
    model = forecaster(seed=seed, leads=leads)
    samples = np.stack([signal(seed + c, T, leads=leads) for c in range(channels)])
    steps = StreamPredictor(model, channels).push_chunk(samples, patterns=True)
    for c in range(channels):
        alone = StreamPredictor(model).push_chunk(samples[c], patterns=True)
        for part, expected in zip(steps[1:7], alone[1:7], strict=True):
            np.testing.assert_array_equal(part[c], expected)


def test_active_patterns_are_those_of_the_network():
    for kind in ("relu", "gated"):
        model = forecaster(kind)
        samples = signal(3, 50, holes=0)
        steps = StreamPredictor(model).push_chunk(samples, patterns=True)
        z = model.scaler.standardise(samples)
        for t in range(50):
            if t < model.window - 1:
                assert not steps.patterns[t].any()
                continue
            x = np.append(z[t - model.window + 1 : t + 1], 1.0)
            heights = x @ (model.network.W1 if kind == "relu" else model.network.gates)
            np.testing.assert_array_equal(steps.patterns[t], heights > 0)


@pytest.mark.parametrize("lead", [0, 1])
def test_a_gap_of_any_lead_empties_all_windows(lead):
    model = forecaster(window=3, horizon=2, leads=2)
    stream, samples = StreamPredictor(model), np.full((11, 2), 0.1)
    samples[5, lead] = np.inf
    steps = [stream.push(sample) for sample in samples]
    assert [step.emptied for step in steps] == [""] * 5 + ["missing"] + [""] * 5
    assert [np.isfinite(step.prediction) for step in steps] == [False] * 2 + [True] * 3 + [False] * 3 + [True] * 3


def test_a_gap_empties_the_window_and_says_so():
    model = forecaster(window=3, horizon=2)
    stream = StreamPredictor(model)
    steps = [stream.push(sample) for sample in [0.1, 0.2, 0.3, 0.4, 0.5, np.nan, 0.7, 0.8, 0.9, 1.0, 1.1]]
    assert [step.emptied for step in steps] == [""] * 5 + ["missing"] + [""] * 5
    assert [np.isfinite(step.prediction) for step in steps] == [False] * 2 + [True] * 3 + [False] * 3 + [True] * 3
    assert [np.isfinite(step.residual) for step in steps] == [False] * 4 + [True] + [False] * 5 + [True]
    assert not steps[6].patterns.any()


@pytest.mark.parametrize(
    ("positions", "jumps"),
    [
        ([7, 8, 9, 10], []),
        ([7.0, 8.3, 9.1, 10.4], []),  # jitter below half a sample
        ([7, 8, 10, 11], [2]),  # one is missing
        ([7, 8, 8, 9], [2]),  # twice
        ([7, 9, 8, 10], [1, 2, 3]),  # late
        ([7, 8, 0, 1], [2]),  # the clock starts afresh
        ([7, None, 9, 10], []),  # an unnumbered sample follows
        ([7, None, None, 9], [3]),
    ],
)
def test_a_jump_empties_the_window_and_says_so(positions, jumps):
    model = forecaster(window=2, horizon=1)
    stream = StreamPredictor(model)
    found = [stream.push(0.1 * i, position) for i, position in enumerate(positions)]
    assert [i for i, step in enumerate(found) if step.emptied == "jump"] == jumps
    fresh = 0
    for i, step in enumerate(found):
        fresh = 1 if i in jumps else fresh + 1
        assert np.isfinite(step.prediction) == (fresh >= 2)
        assert np.isfinite(step.residual) == (fresh >= 3)


def test_a_chunk_that_does_not_follow_says_so():
    stream = StreamPredictor(forecaster(window=2, horizon=1), channels=2)
    assert not stream.push_chunk(np.ones((2, 5)), position=0).jump
    assert not stream.push_chunk(np.ones((2, 5)), position=5).jump
    steps = stream.push_chunk(np.ones((2, 5)), position=11)
    assert steps.jump
    assert np.isnan(steps.predictions[:, 0]).all()
    stream.empty()
    assert np.isnan(stream.push_chunk(np.ones((2, 1))).predictions).all()


@settings(max_examples=15, deadline=None)
@given(cases, st.integers(0, 200))
def test_a_resumed_stream_is_the_uninterrupted_one(tmp_path_factory, case, cut):
    model, samples = forecaster(*case), signal(case[-2], leads=case[-1])
    path = tmp_path_factory.mktemp("stream") / "state.safetensors"
    first = StreamPredictor(model, rate=0.02)
    first.push_chunk(samples[..., :cut], position=5)
    first.save(path)
    again = StreamPredictor.resume(model, path)
    rest = samples[..., cut:]
    for part, expected in zip(again.push_chunk(rest, 5 + cut), first.push_chunk(rest), strict=True):
        np.testing.assert_array_equal(part, expected)
    assert (again.rate, again.samples) == (0.02, 200)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    model, path = forecaster(), tmp_path / "state"
    StreamPredictor(model).save(path)
    with pytest.raises(ModelError, match="another model"):
        StreamPredictor.resume(replace(model, scaler=Scaler(0.3, 0.6)), path)
    with pytest.raises(ModelError, match="no such checkpoint"):
        StreamPredictor.resume(model, tmp_path / "missing")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        StreamPredictor.resume(model, path)


def test_the_share_of_alarms_is_the_stated_rate():
    """Independent residuals of a heavy tail: the threshold settles at their quantile, whatever their scale."""
    rng = np.random.default_rng(0)
    zero = Forecaster(ReluNetwork(np.zeros((3, 1)), np.zeros(1)), Scaler(0.0, 1.0), "II", 360.0, 2, 1, 1e-4)
    for scale in (1e-3, 10.0):
        stream = StreamPredictor(zero, rate=1e-2)
        steps = stream.push_chunk(scale * rng.standard_t(3, 400_000))
        share = steps.alarms[100_000:].mean()
        assert share == pytest.approx(1e-2, rel=0.1)
        assert np.median(steps.scores[100_000:]) == pytest.approx(1.0, rel=0.02)


def test_scores_know_only_the_past():
    model, samples = forecaster(), signal(1, holes=0)
    changed = samples.copy()
    changed[150:] = 9.0
    one, two = (StreamPredictor(model).push_chunk(x) for x in (samples, changed))
    np.testing.assert_array_equal(one.scores[:150], two.scores[:150])
    assert two.scores[150] > one.scores[150]


def test_unusable_input_is_refused():
    model = forecaster()
    with pytest.raises(InputError, match="channels = 0"):
        StreamPredictor(model, 0)
    with pytest.raises(InputError, match="rate = 1"):
        StreamPredictor(model, rate=1.0)
    with pytest.raises(InputError, match=r"3 channels; give a chunk \(3, T\)"):
        StreamPredictor(model, 3).push(0.0)
    with pytest.raises(InputError, match=r"shape \(2, 5\); give \(3, T\)"):
        StreamPredictor(model, 3).push_chunk(np.ones((2, 5)))
    two = StreamPredictor(forecaster(leads=2))
    for samples in (0.1, [0.1], [0.1, 0.2, 0.3]):
        with pytest.raises(InputError, match="sample: give 2, one of each of the leads V1, MLII"):
            two.push(samples)
    for samples in (np.ones(5), np.ones((3, 5)), np.ones((2, 2, 5))):
        with pytest.raises(InputError, match=r"give \(1, 2, T\), in a channel the leads V1, MLII"):
            two.push_chunk(samples)
    with pytest.raises(InputError, match="position = nan"):
        StreamPredictor(model).push(0.0, np.nan)
    with pytest.raises(InputError, match="takes 4 inputs"):
        StreamPredictor(model).replace(forecaster(window=3).network)


@pytest.mark.parametrize("first", [1e3, 1e6, 1e9])
def test_a_huge_first_sample_does_not_silence_the_alarms(first):
    """After ten seconds of an ordinary signal the score of a spike is that of a stream that began without it."""
    model = forecaster(horizon=1, neurons=3)
    quiet = 0.1 * np.random.default_rng(0).standard_normal(3600)
    loud = quiet.copy()
    loud[model.window + model.horizon] = first
    scores = []
    for samples in (quiet, loud):
        stream = StreamPredictor(model)
        for sample in samples:
            stream.push(sample)
        spike = stream.push(30.0)
        scores.append(spike.score)
    assert scores[1] > 0.5 * scores[0]


FIRST_PUSH = """
import numba, numpy as np
from ecgcvx.forecaster import Forecaster
from ecgcvx.intervals import calibrate
from ecgcvx.models import ReluNetwork
from ecgcvx.streaming import StreamPredictor, intervals, kernels
from ecgcvx.windows import Scaler

def compiled():
    parts = [*vars(intervals).values(), *vars(kernels).values()]
    return {part.__name__: len(part.signatures) for part in parts if hasattr(part, "signatures")}

random = np.random.default_rng(0)
rows = np.column_stack([random.standard_normal((300, 15)), np.ones(300)]), random.standard_normal(300)
network = ReluNetwork(np.eye(16)[:, :3], np.ones(3))
model = Forecaster(network, Scaler(0.0, 1.0), "", 360.0, 15, 1, 1e-3, calibration=calibrate(rows, rows))
wide = np.column_stack([random.standard_normal((300, 30)), np.ones(300)]), random.standard_normal(300)
network = ReluNetwork(np.eye(31)[:, :3], np.ones(3))
scaler = Scaler(0.0, 1.0, (Scaler(0.0, 1.0),))
two = Forecaster(network, scaler, "", 360.0, 15, 1, 1e-3, calibration=calibrate(wide, wide), joined=("V1",))
streams = [StreamPredictor(model, coverages=(0.5, 0.9)), StreamPredictor(model, 2, coverages=(0.9,))]
joined = StreamPredictor(two, coverages=(0.5, 0.9))
before = compiled()
for _ in range(20):
    streams[0].push(0.1)
streams[0].push_chunk(np.zeros(20))
streams[1].push_chunk(np.zeros((2, 20)))
joined.push([0.1, 0.1])
joined.push_chunk(np.zeros((2, 20)))
print(sorted(set(compiled().items()) ^ set(before.items())))
"""


def test_the_first_sample_compiles_nothing():
    done = subprocess.run([sys.executable, "-c", FIRST_PUSH], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
