"""Where reports are written, by the command line: beside the model, whole, and only when they are wanted."""

import json
import os

import pytest
from readings import RECORD, case, minute

from ecgcvx.cli import main
from ecgcvx.model_file import digest, load, save
from ecgcvx.records import Recording
from ecgcvx.report import read_training, report_path

FAST = ["--end", "40", "--no-stability"]


@pytest.fixture
def folder(tmp_path):
    """The output folder of a fit."""
    made = tmp_path / "out"
    made.mkdir()
    save(case("gated").reading.forecaster, made / "model.safetensors")
    (made / "metrics.json").write_text(json.dumps(case("gated").metrics))
    return made


def test_the_report_goes_beside_the_model(folder, capsys):
    assert main(["interpret", str(folder), str(RECORD), *FAST]) == 0
    assert f"wrote {folder}/report.html" in capsys.readouterr().out
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "proved for the given patterns" in page


def test_output_names_the_report_and_json_asks_for_none(folder, tmp_path, capsys):
    before = sorted(folder.iterdir())
    assert main(["interpret", str(folder), str(RECORD), *FAST, "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert sorted(folder.iterdir()) == before
    assert main(["interpret", str(folder), str(RECORD), *FAST, "--json", "--output", str(tmp_path / "a.html")]) == 0
    json.loads(capsys.readouterr().out)
    assert sorted(folder.iterdir()) == before
    assert (tmp_path / "a.html").stat().st_size > 100_000


def test_a_report_that_is_there_is_replaced_whole_or_not_at_all(folder, tmp_path, capsys):
    target = tmp_path / "gone" / "report.html"
    assert main(["interpret", str(folder), str(RECORD), *FAST, "--output", str(target)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert str(target) in captured.err
    assert not target.parent.exists()


def test_damaged_metrics_are_one_line(folder, capsys):
    (folder / "metrics.json").write_text("{}")
    assert main(["interpret", str(folder), str(RECORD), *FAST]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "metrics.json" in captured.err


def test_another_record_does_not_replace_the_report_of_the_fit(folder, tmp_path):
    training = read_training(folder)
    assert report_path(folder, minute(), training) == folder / "report.html"
    assert report_path(folder / "model.safetensors", minute(), training) == folder / "report.html"
    other = Recording(minute().signal, 360.0, "MLII", "mitdb/100")
    assert report_path(folder, other, training) == folder / "report-100.html"
    assert report_path(tmp_path / "model.safetensors", minute(), None) == tmp_path / "report-208.html"
    hostile = Recording(minute().signal, 360.0, "MLII", "../../etc/<passwd>")
    assert report_path(folder, hostile, training).parent == folder
    assert os.sep not in report_path(folder, hostile, training).name


def test_metrics_of_another_run_are_left_out_and_stale_files_removed(record_208, tmp_path, capsys):
    """An output folder that holds two runs: the model of the second, the metrics of the first."""
    arguments = ["fit", str(record_208), "--end", "10", "--network", "polynomial", "--output", str(tmp_path)]
    (tmp_path / "sparsity.png").write_bytes(b"of an earlier run")
    assert main([*arguments, "--beta", "1e-3"]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "metrics.json", "model.safetensors", "predictions.png", "report.html"
    ]  # fmt: skip
    model = load(tmp_path)
    assert read_training(tmp_path, digest(model)).model_digest == digest(model)
    assert digest(model)[:16] in (tmp_path / "report.html").read_text()
    metrics = (tmp_path / "metrics.json").read_bytes()
    assert main([*arguments, "--beta", "1e-4"]) == 0
    (tmp_path / "metrics.json").write_bytes(metrics)
    assert read_training(tmp_path, digest(load(tmp_path))) is None
    capsys.readouterr()
    assert main(["interpret", str(tmp_path), str(record_208), "--end", "10", "--no-stability"]) == 0
    assert "belongs to another model" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_the_old_run_whole(record_208, tmp_path, monkeypatch):
    arguments = ["fit", str(record_208), "--end", "10", "--network", "polynomial", "--output", str(tmp_path)]
    assert main([*arguments, "--beta", "1e-3"]) == 0
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ecgcvx.output.write_report", fail)
    assert main([*arguments, "--beta", "1e-4"]) == 130
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
