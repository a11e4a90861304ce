"""`ecgcvx generate` and `ecgcvx denoise` on the record that ships, whose beats a detector finds."""

import json

import numpy as np
import pytest

from ecgcvx.cli import main
from ecgcvx.records import read_recording


def test_generate_writes_marked_records(record_208, tmp_path, capsys):
    words = ["generate", str(record_208), "--end", "60", "--class", "?", "--kind", "linear", "--count", "50"]
    words += ["--output", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "two-sample AUC" in out
    assert "208_unknown_synthetic_beats.hea" in out
    strip = read_recording(tmp_path / "208_unknown_synthetic_strip")
    assert strip.annotation is not None
    assert len(strip.annotation.samples) == 50
    assert "SYNTHETIC" in (tmp_path / "208_unknown_synthetic_strip.hea").read_text()
    assert main([*words, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["generated_beats"] == 50
    assert told == json.loads((tmp_path / "metrics.json").read_text())[0]


def test_denoise_takes_off_the_noise_that_was_added(record_208, tmp_path, capsys):
    clean = read_recording(record_208, end=60)
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(clean.signal))
    table = tmp_path / "noisy.csv"
    np.savetxt(table, clean.signal + noise, header="MLII (mV)", comments="", fmt="%.4f")
    words = [
        "denoise",
        str(table),
        "--sampling-frequency",
        "360",
        "--noise",
        "0.1",
        "--output",
        str(tmp_path),
        "--json",
    ]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["beats"] > 60
    found = read_recording(tmp_path / "noisy_denoised").signal
    assert np.mean((found - clean.signal) ** 2) < 0.6 * np.mean(noise**2)  # of 109 beats of all classes: 0.57


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--class", "N"], "no beats of class N"),
        (["--class", "?", "--lead", "0", "--leads", "0", "1"], "give one of them"),
        (["--class", "?", "--leads", "0", "0"], "named twice"),
        (["--class", "?", "--count", "0"], "count = 0"),
        (["--class", "?", "--rank", "9999"], "rank = 9999"),
        (["--class", "?", "--before", "0"], "at least a sample"),
    ],
)
def test_refusals_are_one_line(record_208, tmp_path, words, named, capsys):
    folder = tmp_path / "out"
    assert main(["generate", str(record_208), "--end", "40", "--kind", "linear", "--output", str(folder), *words]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not folder.exists()
