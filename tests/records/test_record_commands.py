"""What the commands do with records: warnings are said, unit and resampling are kept, output can be read back."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ecgcvx.cli import main
from ecgcvx.model_file import load
from ecgcvx.records import read_recording

CASES = Path(__file__).parent / "cases"
QUICK = ["--network", "polynomial", "--beta", "1e-2"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(capsys, *arguments):
    """Run a fit; return its exit code, JSON and standard error."""
    code = main(["fit", *map(str, arguments), *QUICK, "--output", "out", "--json"])
    captured = capsys.readouterr()
    said = "".join(line for line in captured.err.splitlines(True) if not re.match(r"ecgcvx: \d+ s: ", line))
    return code, json.loads(captured.out) if code == 0 else None, said  # without progress, which a slow machine shows


def test_a_fit_says_what_is_odd_and_keeps_the_unit_that_is_given(folder, capsys):
    table = CASES / "microvolts-unlabelled" / "ecg.csv"
    code, found, said = fit(capsys, table, "--sampling-frequency", 250)
    assert code == 0
    assert "uV is likely (or ADC counts): give unit uV" in said
    assert found["warnings"] == [said.strip().split(": ", 2)[2]]
    code, found, said = fit(capsys, table, "--sampling-frequency", 250, "--unit", "uV")
    assert (code, said, found["unit"], found["warnings"]) == (0, "", "mV", [])
    assert load(folder / "out").unit == "uV"
    assert main(["predict", "out", str(table), "--sampling-frequency", "250", "--output", "f.csv"]) == 0
    captured = capsys.readouterr()
    assert "no unit is given for lead ECG; it was taken for uV" in captured.err
    table = read_recording("f.csv")
    assert table.lead == "signal"
    np.testing.assert_allclose(np.ptp(table.signal), 1.278)


def test_what_predict_writes_is_a_record_for_every_command(folder, capsys, record_208):
    assert fit(capsys, record_208, "--end", 20)[0] == 0
    assert main(["predict", "out", str(record_208), "--end", "20", "--output", "f.csv"]) == 0
    original, back = read_recording(record_208, end=20), read_recording("f.csv")
    np.testing.assert_allclose(back.signal, original.signal, atol=1e-6)
    assert back.sampling_frequency == 360
    assert main(["predict", "out", "f.csv", "--output", "g.csv"]) == 0
    assert "no lead is named MLII; the only signal" in capsys.readouterr().err
    assert Path("f.csv").read_text() == Path("g.csv").read_text()
    assert fit(capsys, "f.csv")[0] == 0


def test_resampling_is_said_and_kept(folder, capsys, record_208):
    code, found, said = fit(capsys, record_208, "--end", 30, "--resample", 250)
    assert (code, found["sampling_frequency_hz"], found["resampled_from_hz"]) == (0, 250, 360)
    assert "resampled from 360 Hz to 250 Hz" in said
    assert load(folder / "out").resample == 250
    assert main(["predict", "out", str(record_208), "--end", "30", "--output", "f.csv"]) == 0
    assert "resampled from 360 Hz to 250 Hz" in capsys.readouterr().err
    assert read_recording("f.csv").sampling_frequency == 250


@pytest.mark.parametrize(
    ("case", "options", "code", "said"),
    [
        ("low-frequency-traceback", ["--sampling-frequency", "25"], 0, ""),
        ("outlier-hangs-figure", ["--sampling-frequency", "250"], 0, "the largest 900 mV"),
        ("flat-test-part-warnings", ["--sampling-frequency", "250"], 2, "the test part is constant"),
        ("time-in-ms-unlabelled", [], 2, "are the times in ms?"),
        ("two-number-preamble", ["--sampling-frequency", "64"], 2, "do a start time and a sampling frequency precede"),
        ("gap-in-times-glued", ["--sampling-frequency", "250"], 0, "60 missing samples are gaps"),
    ],
)
def test_cases_end_in_a_result_or_a_line(folder, capsys, case, options, code, said):
    found, _, error = fit(capsys, CASES / case / "ecg.csv", *options)
    assert found == code
    assert said in error
    assert len(error.splitlines()) <= 1
    assert "Warning" not in error


def test_slow_record_has_a_report_that_says_why_there_are_no_beats(folder, capsys):
    assert fit(capsys, CASES / "low-frequency-traceback" / "ecg.csv", "--sampling-frequency", 25)[0] == 0
    assert "25 Hz is too slow for the detector" in (folder / "out" / "report.html").read_text()


def test_annotator_and_wrong_options_are_one_line(folder, capsys, record_208):
    for extension in (".hea", ".dat"):
        shutil.copy(f"{record_208}{extension}", folder)
    assert main(["fit", "208", "--annotator", "qrs"]) == 2
    assert "208.qrs: no such annotation file" in capsys.readouterr().err
    assert main(["fit", "208", "--unit", "uV"]) == 2
    assert "unit=uV contradicts the file, whose lead MLII is in mV" in capsys.readouterr().err
    assert main(["fit", "208", "--resample", "0"]) == 2
    assert "sampled at 0 Hz" in capsys.readouterr().err
