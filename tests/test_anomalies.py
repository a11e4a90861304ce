"""Beats that are not as usual: planted ones are found, by patterns and by timing, from a record and as CSV."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgcvx.activations import QUADRATIC
from ecgcvx.anomalies import detect
from ecgcvx.anomalies.events import extents
from ecgcvx.anomalies.stream import EventStream
from ecgcvx.anomalies.usual import SHARE, log_distances
from ecgcvx.baselines.linear import least_squares
from ecgcvx.cli import main
from ecgcvx.cli.arguments import THRESHOLD
from ecgcvx.errors import InputError
from ecgcvx.forecaster import Forecaster
from ecgcvx.models import GatedNetwork, PolynomialNetwork
from ecgcvx.records import Recording
from ecgcvx.windows import Scaler, all_windows

RATE, BEATS = 250.0, 150
WIDE, EARLY = 100, 130  # numbers of the planted beats


def pulse(t, width):
    return np.exp(-0.5 * (t / width) ** 2)


def made(seed=0, wide=(WIDE,), early=(EARLY,), gap=None):
    """Beats of a QRS and a T wave, a few of them wide, a few early; R peaks in s beside the recording."""
    rng = np.random.default_rng(seed)
    intervals = 0.8 + 0.02 * rng.standard_normal(BEATS)
    for k in early:
        intervals[k] -= 0.3
        intervals[k + 1] += 0.3
    peaks = 1 + np.cumsum(intervals)
    t = np.arange(int((peaks[-1] + 1) * RATE)) / RATE
    signal = 0.01 * rng.standard_normal(len(t))
    for k, peak in enumerate(peaks):
        signal += 1.2 * pulse(t - peak, 0.03 if k in wide else 0.01) + 0.25 * pulse(t - peak - 0.25, 0.04)
    if gap is not None:
        signal[int(gap * RATE) : int((gap + 0.2) * RATE)] = np.nan
    return Recording(signal, RATE, "II", "made"), peaks


def forecaster(recording, kind="gated"):
    """A network that forecasts, by least squares on sampled gates."""
    signal = recording.signal
    scaler = Scaler(float(np.nanmean(signal)), float(np.nanstd(signal)))
    windows = all_windows(signal, scaler, 10, 1)
    if kind == "polynomial":
        weights = np.eye(11)[:, :4]
        return Forecaster(PolynomialNetwork(weights, np.ones(4), QUADRATIC), scaler, "II", RATE, 10, 1, 0.1)
    X = windows.X[:]
    gates = np.random.default_rng(1).standard_normal((11, 6))
    features = ((X @ gates >= 0)[:, :, None] * X[:, None, :]).reshape(len(X), -1)
    filters = least_squares(features, windows.y).reshape(6, 11).T
    return Forecaster(GatedNetwork(filters, np.ones(6), gates), scaler, "II", RATE, 10, 1, 0.1)


def at(event, peaks):
    """Numbers of the beats of an event."""
    return {int(np.argmin(np.abs(peaks - sample / RATE))) for sample in event.samples}


@pytest.mark.parametrize("kind", ["gated", "polynomial"])
def test_planted_beats_are_the_events(kind):
    recording, peaks = made()
    found = detect(forecaster(recording, kind), recording, threshold=10)
    assert found.left_out <= 1
    numbers = set().union(*(at(event, peaks) for event in found.events))
    assert {WIDE, EARLY} <= numbers <= {WIDE, EARLY, EARLY + 1, EARLY - 1}
    wide = next(event for event in found.events if WIDE in at(event, peaks))
    early = next(event for event in found.events if EARLY in at(event, peaks))
    assert wide.shape > wide.timing
    assert early.timing > 10
    assert early.early == pytest.approx(0.375, abs=0.05)
    assert wide.unit == ("ms" if kind == "gated" else "")


def test_excess_is_the_difference_of_the_time_on():
    recording, _ = made()
    model = forecaster(recording)
    found = detect(model, recording, threshold=10)
    event = next(event for event in found.events if event.shape > event.timing)
    windows = model.windows(recording)
    on = windows.X[:] @ model.network.gates >= 0
    newest = windows.targets - 1
    start, stop = round(0.25 * RATE), 36 * 4 - round(0.25 * RATE)  # bins of 4 samples

    def milliseconds(peak, j):
        inside = (newest >= peak - start) & (newest < peak + stop)
        return 1e3 * on[inside, j].sum() / RATE

    learned = found.samples[found.samples < found.learned]
    for pattern in event.patterns:
        (j,) = pattern.neurons
        usual = np.median([milliseconds(peak, j) for peak in learned])
        # The usual is the median bin by bin, which is near that of the sums.
        assert pattern.excess == pytest.approx(milliseconds(event.peak, j) - usual, abs=30)


def test_a_third_of_the_reference_may_be_ectopic():
    ectopic = tuple(range(2, BEATS - 2, 4))
    recording, peaks = made(wide=ectopic, early=())
    found = detect(forecaster(recording), recording)
    numbers = [int(np.argmin(np.abs(peaks - sample / RATE))) for sample in found.samples]
    is_wide = np.isin(numbers, ectopic)
    assert found.scores[is_wide].min() > np.quantile(found.scores[~is_wide], 0.95)


def test_beats_over_a_gap_are_left_out_and_scores_of_samples_are_those_of_beats():
    recording, _ = made(gap=60.0)
    found = detect(forecaster(recording), recording, learn=40)
    assert found.left_out >= 1
    assert found.learned == 40 * RATE
    scores = found.by_sample()
    assert scores.shape == recording.signal.shape
    np.testing.assert_array_equal(scores[found.samples], found.scores)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=30), st.integers(0, 500))
@settings(max_examples=50, deadline=None)
def test_beats_reach_half_way_and_never_overlap(steps, rest):
    samples = np.cumsum(steps)
    length = int(samples[-1]) + rest + 1
    reach = extents(samples, length, 360.0)
    assert (reach[1:, 0] >= reach[:-1, 1]).all()
    assert (reach[:, 0] <= samples).all()
    assert (reach[:, 1] <= length).all()
    assert (np.diff(reach, axis=1) <= 2 * 360).all()


def test_distances_are_those_to_the_neighbour():
    rng = np.random.default_rng(0)
    rows, reference = rng.standard_normal((30, 7)), rng.standard_normal((50, 7))
    every = np.sort(np.linalg.norm(rows[:, None] - reference, axis=2), axis=1)
    np.testing.assert_allclose(log_distances(rows, reference), np.log(every[:, int(SHARE * 50)] + 1e-6))


def test_detect_writes_csv_json_and_annotations(tmp_path, capsys):
    recording, _ = made()
    forecaster(recording).save(tmp_path / "model.safetensors")
    record = tmp_path / "made.csv"
    record.write_text("II\n" + "\n".join(f"{value:.5f}" for value in recording.signal) + "\n")
    common = ["detect", str(tmp_path), str(record), "--sampling-frequency", "250", "--unit", "mV", "--threshold", "10"]
    assert main([*common, "--output", str(tmp_path / "events.csv")]) == 0
    with (tmp_path / "events.csv").open() as file:
        lines = list(csv.DictReader(file))
    capsys.readouterr()
    assert main([*common, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [float(line["score"]) for line in lines] == pytest.approx(
        [one["score"] for one in found["events"]], abs=0.01
    )
    assert main([*common, "--output", str(tmp_path / "made.unu")]) == 0
    import wfdb

    marks = wfdb.rdann(str(tmp_path / "made"), "unu")
    assert len(marks.sample) == len(lines)
    assert marks.aux_note[0].startswith("unusual ")
    assert main([*common, "--output", str(tmp_path / "made.unu")]) == 2
    assert "there already" in capsys.readouterr().err


def test_the_help_names_the_default():
    from ecgcvx.anomalies import events

    assert events.THRESHOLD == THRESHOLD


@pytest.mark.parametrize(
    ("options", "named"),
    [({"learn": 5.0}, "to learn from"), ({"learn": 1e9}, "learn = 1e"), ({"threshold": float("nan")}, "threshold")],
)
def test_refusals(options, named):
    recording, _ = made()
    with pytest.raises(InputError, match=named):
        detect(forecaster(recording), recording, **options)


def test_no_beats_and_another_frequency_are_refused():
    recording, _ = made()
    model = forecaster(recording)
    with pytest.raises(InputError, match="no beats"):
        detect(model, Recording(np.zeros(20_000), RATE, "II", "flat"))


def test_a_stream_finds_what_the_whole_recording_has():
    recording, peaks = made()
    stream = EventStream(forecaster(recording), learn=40, threshold=10)
    events = []
    for begin in range(0, len(recording.signal), 97):
        for event in stream.push(recording.signal[begin : begin + 97].tolist()):
            assert event.peak <= stream.samples - 1.5 * RATE
            assert event.peak >= stream.samples - 4 * RATE
            events.append(event)
    numbers = set().union(*(at(event, peaks) for event in events))
    assert {WIDE, EARLY} <= numbers <= {WIDE, EARLY, EARLY + 1, EARLY - 1}


def test_the_command_streams_the_events_of_the_stream(tmp_path):
    """`ecgcvx stream --events`: with the sample that found it, on the clock of the source, as `EventStream` has it."""
    recording, _ = made()
    model = forecaster(recording)
    model.save(tmp_path / "model.safetensors")
    signal = recording.signal[: int(88 * RATE)].tolist()
    origin, stream = 5.0, EventStream(model, learn=40, threshold=10)
    given = [json.dumps({"sample": round(value, 5), "time": origin + k / RATE})
             for k, value in enumerate(signal)]  # fmt: skip
    expected = {}
    for k, value in enumerate(signal):
        for event in stream.push([round(value, 5)]):
            expected.setdefault(k, []).append(event)
    assert expected
    command = [
        sys.executable,
        "-m",
        "ecgcvx",
        "stream",
        str(tmp_path),
        "--events",
        "--learn",
        "40",
        "--threshold",
        "10",
    ]
    done = subprocess.run(command, input="\n".join([*given, ""]), capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(given)
    assert {k for k, line in enumerate(lines) if "events" in line} == set(expected)
    for k, events in expected.items():
        for told, event in zip(lines[k]["events"], events, strict=True):
            assert told["score"] == pytest.approx(event.score, abs=0.01)
            assert told["r_peaks_s"] == pytest.approx([origin + one / RATE for one in event.samples], abs=2e-4)
            assert told["time_s"] == pytest.approx(origin + event.start / RATE, abs=2e-4)
    assert "event" in done.stderr


def test_a_stream_without_beats_goes_on_learning_in_constant_memory():
    recording, _ = made()
    stream = EventStream(forecaster(recording), learn=20)
    assert stream.push([0.0] * int(120 * RATE)) == []
    assert stream.usual is None
    assert len(stream._signal) + len(stream._new) <= 20 * RATE
    stream.push(recording.signal[: int(40 * RATE)].tolist())
    assert stream.usual is not None


def test_a_stream_refuses_a_second_to_learn_from():
    recording, _ = made()
    with pytest.raises(InputError, match="learn = 1"):
        EventStream(forecaster(recording), learn=1)
