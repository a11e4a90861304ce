"""Beats told apart end to end: windows, training, file, classification, refusals, command line."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import wfdb
from beat_records import RATE, synthetic_recording

from ecgcvx.beats import find_beats
from ecgcvx.classify import ConvexBeatClassifier, TrainOptions, beat_windows, train
from ecgcvx.classify.context import likeness, local_intervals, rhythm
from ecgcvx.classify.crowded import SHARES, crowded_copies
from ecgcvx.classify.output import training_json, training_words, write_annotations, write_training
from ecgcvx.classify.windows import AFTER, BEFORE, CONTEXT
from ecgcvx.cli import main
from ecgcvx.errors import InputError, ModelError
from ecgcvx.gan.records import write_record
from ecgcvx.model_file import load
from ecgcvx.records import Annotation

QUICK = {"taps": (9,), "betas": (1e-2,), "folds": 2, "rough": 1.0, "confirm_starts": 20}


@pytest.fixture(scope="module")
def recordings():
    return [synthetic_recording(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def training(recordings):
    return train(recordings, TrainOptions(**QUICK))


@pytest.fixture(scope="module")
def folder(training, tmp_path_factory):
    found = tmp_path_factory.mktemp("beats") / "made"
    write_training(training, found)
    return found


def test_windows_are_the_beats_at_180_hz_whatever_the_rate(recordings):
    recording = recordings[0]
    windows = beat_windows(recording)
    assert windows.X.shape == (60, BEFORE + AFTER + CONTEXT)
    assert np.std(windows.signal) == pytest.approx(1.0, abs=0.4)
    # The R peak of a normal beat is the largest sample of its window.
    normal = np.array(windows.symbols) == "N"
    assert (np.abs(np.argmax(windows.signal[normal], axis=1) - BEFORE) <= 1).all()
    # At another rate noise differs, and R peaks are on other samples, by one at most; the beats are the same.
    slower = beat_windows(synthetic_recording(0, rate=250.0)).signal
    for ours, theirs in zip(windows.signal, slower, strict=True):
        assert max(np.corrcoef(ours[1:-1], theirs[1 + lag : 124 + lag])[0, 1] for lag in (-1, 0, 1)) > 0.97


def test_amplitude_does_not_matter_and_gaps_take_their_beats_with_them(recordings):
    recording = recordings[0]
    windows = beat_windows(recording)
    louder = replace(recording, signal=1000 * recording.signal, unit="uV")
    np.testing.assert_allclose(beat_windows(louder).signal, windows.signal, rtol=1e-9, atol=1e-9)
    signal = recording.signal.copy()
    at = int(windows.samples[20])
    signal[at + 20 : at + 30] = np.nan
    kept = beat_windows(replace(recording, signal=signal)).samples
    assert at not in kept
    assert windows.samples[17] in kept
    assert windows.samples[23] in kept


def test_rr_ratios_against_the_usual_interval():
    times = np.cumsum(np.full(40, 0.8))
    times[20] -= 0.4  # early, with a pause after it
    ratios = rhythm(times)
    np.testing.assert_allclose(ratios[20], [-0.5, 0.5, -0.5, -0.5, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(ratios[19], [0.0, -0.5, 0.0, 0.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(ratios[21], [0.5, 0.0, 0.5, 2.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_array_equal(ratios[:, :2], local_intervals(times))
    assert ratios[0, 0] == ratios[1, 3] == ratios[-1, 1] == 0.0
    long = np.concatenate([times, times[-1] + 60 + np.cumsum(np.full(30, 0.8))])
    np.testing.assert_array_equal(rhythm(long)[39:41, :2], [[rhythm(long)[39, 0], 0.0], [0.0, rhythm(long)[40, 1]]])


def test_irregularity_is_the_median_change_of_the_interval():
    random = np.random.default_rng(1)
    intervals = 0.8 * (1 + 0.1 * random.uniform(-1, 1, 80))
    found = rhythm(np.concatenate([[0.0], np.cumsum(intervals)]))[:, 4]
    usual = [np.median(intervals[max(i - 10, 0) : i + 11]) for i in range(80)]
    changes = [abs(intervals[i] - intervals[i - 1]) / usual[i] for i in range(1, 80)]  # changes[i - 1] leads to i
    expected = [np.median(changes[max(i - 33, 0) : i + 32]) for i in range(80)]
    np.testing.assert_allclose(found[1:], expected)
    assert found[0] == 0.0


@pytest.mark.parametrize("share", [0.4, 0.6, 0.75])
def test_the_usual_interval_is_the_long_one_where_early_beats_abound(share):
    random = np.random.default_rng(3)
    early = random.random(400) < share
    intervals = np.where(early, 0.55, 0.95) * (1 + 0.02 * random.standard_normal(400))
    found = rhythm(np.concatenate([[0.0], np.cumsum(intervals)]))[1:]
    inner = slice(40, -40)
    for place in (0, 2):
        np.testing.assert_allclose(found[inner, place], intervals[inner] / 0.95 - 1, atol=0.02)
    assert found[inner, 4].mean() > 2 * found[inner, 5].mean() or share > 0.7  # there most follow one of their kind
    assert (found[inner, 5] < 0.05).all()  # one early beat follows the other as regularly as one usual beat the other
    cut = 0.75
    for i in (100, 200, 300):  # against a plain loop
        changes = []
        for j in range(i - 32, i + 33):
            last = [k for k in range(j - 20, j) if (intervals[k] < cut) == (intervals[j] < cut)]
            changes += [abs(intervals[j] - intervals[last[-1]]) / 0.95] if last else []
        assert found[i, 5] == pytest.approx(np.median(changes), rel=0.02)


def test_fibrillation_is_of_one_kind():
    random = np.random.default_rng(4)
    intervals = 0.7 * np.exp(0.22 * random.standard_normal(400))
    times = np.concatenate([[0.0], np.cumsum(intervals)])
    found = rhythm(times)
    assert np.mean(found[:, :2] == local_intervals(times)) > 0.98
    assert np.median(found[:, 5]) > 0.08


def test_copies_with_many_early_beats():
    recording = synthetic_recording(7, beats=150, share=0.2, others="S")
    beats = find_beats(recording)
    part = beat_windows(recording, beats)
    copies = crowded_copies(part, beats, RATE)
    assert len(copies) == len(SHARES)
    for share, copy in zip(SHARES, copies, strict=True):
        early = np.array(copy.symbols) == "S"
        assert np.mean(early) == pytest.approx(share, abs=0.06)
        for row, symbol in zip(copy.signal, copy.symbols, strict=True):  # each is a beat of the recording
            assert symbol in {part.symbols[i] for i in np.flatnonzero((part.signal == row).all(axis=1))}
        assert copy.records == (f"patient7 ({100 * share:.0f} % early)",)
        assert (copy.context[early, 0] < -0.15).mean() > 0.9
    again = crowded_copies(part, beats, RATE)
    np.testing.assert_array_equal(copies[1].context, again[1].context)
    none = synthetic_recording(7, beats=150, share=0.1, others="S")
    assert crowded_copies(beat_windows(none), find_beats(none), RATE) == []


def test_a_beat_against_the_usual_one():
    random = np.random.default_rng(0)
    usual = random.standard_normal(40)
    windows = np.concatenate([np.tile(usual, (5, 1)), [-usual, 2 * usual + 3]])
    found = likeness(windows, 15)
    np.testing.assert_allclose(found[:5], 0.0, atol=1e-9)
    np.testing.assert_allclose(found[5], [-2.0, -2.0, 0.0, 2.0], atol=1e-9)
    np.testing.assert_allclose(found[6, :2], 0.0, atol=1e-9)
    qrs = slice(4, 30)
    expected = np.log(np.linalg.norm(windows[6, qrs]) / np.linalg.norm(usual[qrs]))
    assert found[6, 2] == pytest.approx(expected)
    assert found[6, 3] == pytest.approx(min(2.0, np.linalg.norm(windows[6] - usual) / np.linalg.norm(usual)))
    np.testing.assert_array_equal(likeness(np.zeros((3, 40)), 15)[:, 2:], 0.0)


def test_beats_of_a_patient_it_never_saw(training):
    new = synthetic_recording(99)
    found = training.classifier.classify(new)
    np.testing.assert_array_equal(found.classes, new.annotation.symbols)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
    assert not found.unknown.any()
    assert found.left_out == 0
    assert training.classifier.parameters == 24 * training.classifier.filters


def test_the_gap_of_the_training_is_within_what_was_asked_for(training):
    (machine,) = training.classifier.machines
    assert machine.status == "optimal"
    assert machine.gap.relative <= 2e-2
    facts = training_json(training)
    assert facts["held_out"] == "patients"
    assert facts["beats"] == {"N": 192, "V": 48}
    assert facts["held_out_measures"]["V"]["f1"] > 0.95


def test_what_is_like_nothing_in_training_is_unknown(training):
    new = synthetic_recording(99)
    signal = new.signal.copy()
    at = int(new.annotation.samples[30])
    signal[at - 90 : at + 150] += 2 * np.sign(np.sin(2 * np.pi * 25 * np.arange(240) / 360))
    found = training.classifier.classify(replace(new, signal=signal))
    where = int(np.flatnonzero(found.samples == at)[0])
    assert found.classes[where] == "Q"
    assert found.distances[where] > 1
    assert found.unknown.sum() <= 3


def test_copies_are_left_out_with_their_patients():
    recordings = [synthetic_recording(seed, beats=160, share=0.35, others="SSV") for seed in range(4)]
    training = train(recordings, TrainOptions(**QUICK | {"classes": ("N", "S", "V")}))
    facts = training.classifier.training["crowded"]
    assert facts["records"] == [f"patient{seed} ({share} % early)" for seed in range(4) for share in (40, 70)]
    assert facts["held_out_measures"]["S"]["f1"] > 0.9
    assert len(training.truth) == len(training.held_out) == 640
    for share in (0.15, 0.7):
        new = synthetic_recording(99, beats=120, share=share, others="S")
        found = training.classifier.classify(new)
        assert np.mean(found.classes == np.array(new.annotation.symbols)) > 0.93


def test_three_classes():
    recordings = [synthetic_recording(seed, beats=60, share=0.45, others="SV") for seed in range(4)]
    classifier = ConvexBeatClassifier.train(recordings, ("N", "S", "V"), **QUICK)
    new = synthetic_recording(99, beats=60, share=0.45, others="SV")
    found = classifier.classify(new)
    assert found.probabilities.shape == (60, 3)
    assert np.mean(found.classes == np.array(new.annotation.symbols)) > 0.95


def test_the_file_gives_back_the_same_bits_and_notices_a_change(folder, training, tmp_path):
    new = synthetic_recording(99)
    classifier = ConvexBeatClassifier.load(folder)
    ours, theirs = training.classifier.classify(new), classifier.classify(new)
    np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    assert classifier.training == json.loads(json.dumps(training.classifier.training))
    data = (folder / "model.safetensors").read_bytes()
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(data.replace(b"MLII", b"MLIV"))
    with pytest.raises(ModelError, match="digest"):
        ConvexBeatClassifier.load(changed)
    changed.write_bytes(data[:-8] + bytes([data[-8] ^ 1]) + data[-7:])
    with pytest.raises(ModelError, match="digest"):
        ConvexBeatClassifier.load(changed)
    with pytest.raises(ModelError, match="no such file"):
        ConvexBeatClassifier.load(tmp_path / "missing")
    with pytest.raises(ModelError, match="classifier of beats"):
        load(folder)


def test_refusals_name_what_is_wrong(recordings):
    first = recordings[0]
    with pytest.raises(InputError, match="no annotated beats"):
        train([replace(first, annotation=None)])
    only = replace(first, annotation=Annotation(first.annotation.samples, ("N",) * 60))
    with pytest.raises(InputError, match="no beats of class V"):
        train([only])
    paced = replace(first, annotation=Annotation(first.annotation.samples, ("/",) * 30 + first.annotation.symbols[30:]))
    with pytest.raises(InputError, match="30 of its 60 beats are paced"):
        train([paced])
    with pytest.raises(InputError, match="fewer than the 20 weights"):
        train([first])
    with pytest.raises(InputError, match="MLII, V1"):
        train([first, replace(first, lead="V1")])
    with pytest.raises(InputError, match="patient0: the same signal twice"):
        train([*recordings, first])
    with pytest.raises(InputError, match="classes = N,X"):
        TrainOptions(classes=("N", "X"))
    with pytest.raises(InputError, match="taps = 0"):
        TrainOptions(taps=(0,))
    with pytest.raises(InputError, match="too slow"):
        beat_windows(replace(first, sampling_frequency=60.0))


def test_a_single_recording_is_divided_in_time():
    found = train([synthetic_recording(5, beats=120, share=0.3)], TrainOptions(**QUICK))
    assert found.classifier.training["held_out"] == "parts of recordings"


def test_command_line(folder, tmp_path, capsys, monkeypatch):
    new = synthetic_recording(99)
    write_record(tmp_path, "new", new.signal[:, None], 360.0, ["MLII"], "mV", [], *_annotations(new))
    table = tmp_path / "beats.csv"
    assert main(["classify", str(folder), str(tmp_path / "new"), "--output", str(table)]) == 0
    said = capsys.readouterr().out
    assert "V against the annotation: sensitivity 100 %, precision 100 %, F1 1.000 of 12 beats" in said
    assert "not a medical device" in said
    rows = list(csv.DictReader(table.open()))
    assert [row["class"] for row in rows] == list(new.annotation.symbols)
    assert list(rows[0]) == ["sample", "time_s", "class", "p_N", "p_V", "distance"]
    assert main(["classify", str(folder), str(tmp_path / "new"), "--output", str(tmp_path / "new.net")]) == 0
    read = wfdb.rdann(str(tmp_path / "new"), "net")
    np.testing.assert_array_equal(read.sample, new.annotation.samples)
    assert tuple(read.symbol) == new.annotation.symbols
    capsys.readouterr()
    for arguments, words in (
        (["--output", str(tmp_path / "new.atr")], "there already"),
        (["--taps", "9"], "--taps belongs to `ecgcvx classify train`"),
        (["--output", str(tmp_path / "n.net"), "--start", "5"], "whole record"),
    ):
        assert main(["classify", str(folder), str(tmp_path / "new"), *arguments]) == 2
        assert words in capsys.readouterr().err


def test_command_line_training(tmp_path, capsys):
    names = []
    for seed in range(3):
        made = synthetic_recording(seed)
        write_record(tmp_path, f"p{seed}", made.signal[:, None], 360.0, ["MLII"], "mV", [], *_annotations(made))
        names.append(str(tmp_path / f"p{seed}"))
    options = ["--taps", "9", "--beta", "1e-2", "--folds", "2", "--output", str(tmp_path / "out"), "--json"]
    assert main(["classify", "train", *names, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chosen"] == {"taps": 9, "beta": 0.01, "weights": "patients"}
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "metrics.json", "model.safetensors", "report.html"
    ]  # fmt: skip
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Not a medical device" in page
    assert page.count('class="pattern"') == found["filters"]


def test_annotations_keep_to_the_names_of_wfdb(training, tmp_path):
    found = training.classifier.classify(synthetic_recording(99))
    with pytest.raises(InputError, match=r"RECORD\.EXTENSION"):
        write_annotations(found, tmp_path / "bad name.n7", 360.0)


def _annotations(recording):
    return recording.annotation.samples, recording.annotation.symbols


@pytest.mark.parametrize("taps", [60, 125])
def test_long_filters_and_those_of_the_whole_beat_have_a_report(tmp_path, taps):
    recordings = [synthetic_recording(seed, beats=150, share=0.4) for seed in range(4)]
    training = train(recordings, TrainOptions(**{**QUICK, "taps": (taps,)}))
    write_training(training, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("The shape it looks for") == training.classifier.filters
    assert page.count("Where it fires") == (training.classifier.filters if taps < 125 else 0)
    again = ConvexBeatClassifier.load(tmp_path)
    np.testing.assert_array_equal(again.log_odds(training.windows), training.classifier.log_odds(training.windows))


def test_filters_longer_than_the_beats_allow_are_not_tried_and_that_is_said():
    recordings = [synthetic_recording(seed) for seed in range(3)]
    training = train(recordings, TrainOptions(**{**QUICK, "taps": (9, 60)}))
    assert [trial["taps"] for trial in training.classifier.training["trials"]] == [9]
    assert training.classifier.training["too_long"] == [60]
    assert "filters of 60 taps were not tried: a class has fewer beats than weights" in training_words(training)
