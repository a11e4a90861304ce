"""From a record to the files of generated beats."""

import json

import numpy as np
import pytest
import wfdb

from ecgcvx.errors import InputError
from ecgcvx.gan.aligned import aligned_beats
from ecgcvx.gan.generate import generate, write_generated
from ecgcvx.records import Annotation, Recording, read_recording


@pytest.fixture(scope="module")
def beats():
    random = np.random.default_rng(0)
    peaks = np.cumsum(random.integers(160, 220, 150)) + 100
    symbols = tuple("V" if i % 4 == 1 else "N" for i in range(150))
    t = np.arange(peaks[-1] + 300)
    signal = 0.01 * random.standard_normal(len(t))
    for peak, symbol in zip(peaks, symbols, strict=True):
        width, size = (12.0, 1.5) if symbol == "V" else (4.0, 1.0)
        signal += size * (1 + 0.1 * random.standard_normal()) * np.exp(-(((t - peak) / width) ** 2))
    annotation = Annotation(peaks, symbols)
    leads = [Recording(k * signal, 250.0, name, "made/100", annotation) for k, name in ((1.0, "II"), (-0.4, "V1"))]
    return aligned_beats(leads)


def test_a_generator_a_class_and_files_marked_as_synthetic(beats, tmp_path):
    found = generate(beats, ["N", "V"], 30, kind="linear", seed=1)
    assert [one.classes for one in found] == ["N", "V"]
    widths = [(one.X[:, 0].mean(axis=0) > 0.5).sum() for one in found]
    assert widths[1] > 2 * widths[0]  # each class has its own mean
    files = write_generated(found, tmp_path, seed=1)
    names = {file.name for file in files}
    assert {"100_N_synthetic_beats.hea", "100_V_synthetic_strip.hea", "100_V_synthetic.png", "metrics.json"} <= names
    for file in files:
        if file.suffix == ".hea":
            assert "synthetic" in file.name
            assert "SYNTHETIC: no recording of a heart" in file.read_text()
    single = read_recording(tmp_path / "100_N_synthetic_beats", "V1")
    np.testing.assert_allclose(single.signal.reshape(30, -1), found[0].X[:, 1], atol=6e-4)
    assert set(wfdb.rdann(str(tmp_path / "100_V_synthetic_strip"), "atr").symbol) == {"V"}
    told = json.loads((tmp_path / "metrics.json").read_text())
    assert [one["class"] for one in told] == ["N", "V"]
    for one in told:
        assert set(one["measures"]) == {"generated", "reference"}
        assert one["training_beats"] + one["held_out_beats"] == beats.counts[one["class"]]


def test_classes_are_mixed_only_when_asked_for(beats):
    (one,) = generate(beats, ["N", "V"], 10, kind="linear", mixed=True)
    assert one.classes == "NV"
    assert one.training + len(one.held_out) == len(beats)


def test_the_same_for_a_seed(beats):
    first, second, other = (generate(beats, ["V"], 5, kind="linear", seed=seed)[0].X for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0


def test_intervals_come_with_the_beats(beats):
    (one,) = generate(beats, ["N"], 2000, kind="linear", joint_rr=True)
    known = beats.of_class("N").rr
    known = known[np.isfinite(known)]
    assert one.rr.mean() == pytest.approx(known.mean(), rel=0.03)
    assert one.rr.std() == pytest.approx(known.std(), rel=0.2)
    assert one.X.shape == (2000, 2, beats.X.shape[2])


@pytest.mark.parametrize(
    ("classes", "options", "words"),
    [
        (["A"], {}, "no beats of class A; there are N"),
        ([], {}, "there are none"),
        (["N"], {"count": 0}, "count = 0"),
        (["N"], {"kind": "gan"}, "kind = 'gan'"),
        (["N"], {"rank": 10_000}, "rank = 10000"),
    ],
)
def test_what_is_refused(beats, classes, options, words):
    with pytest.raises(InputError, match=words):
        generate(beats, classes, **{"count": 5, "kind": "linear", **options})


def test_few_beats_are_refused(beats):
    with pytest.raises(InputError, match="12 beats of class N are too few"):
        generate(beats.subset(np.flatnonzero(np.array(beats.symbols) == "N")[:12]), ["N"], 5)
