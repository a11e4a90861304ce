"""The command line as a user meets it: files, JSON, exit codes, one line for every refusal."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecgcvx.cli import main

FAST = ["--end", "40", "--network", "gated", "--patterns", "6", "--beta", "1e-5"]


@pytest.fixture(scope="module")
def fitted(record_208, tmp_path_factory):
    """(output folder, parsed JSON) of a fit of 40 seconds."""
    folder = tmp_path_factory.mktemp("fit") / "made" / "here"
    quiet = ("--json", "--quiet")  # a slow machine says how far it is
    command = [sys.executable, "-m", "ecgcvx", "fit", str(record_208), *FAST, *quiet, "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return folder, json.loads(done.stdout)


def test_json_holds_what_the_documentation_says(fitted):
    folder, found = fitted
    assert (found["record"], found["lead"], found["sampling_frequency_hz"]) == ("208", "MLII", 360)
    assert (found["window"], found["horizon"], found["beta"], found["output"]) == (15, 1, 1e-5, str(folder))
    assert found["windows"] == {
        "train": 11_505, "test": 2_865, "excluded": 15, "excluded_because": {"missing": 0, "split": 15}
    }  # fmt: skip
    assert [model["name"] for model in found["models"]] == ["persistence", "linear_ar", "backprop_adam", "convex"]
    for model in found["models"]:
        assert set(model) == {
            "name", "neurons", "train_rmse_mv", "test_rmse_mv", "objective", "gap", "gap_kind", "gap_detail",
            "gap_of", "proved_gap", "seconds", "status", "test_inside_rmse_mv",
        }  # fmt: skip
    persistence, linear, _, convex = found["models"]
    assert persistence["objective"] is None
    assert persistence["gap"] is None
    assert convex["gap"] < 1e-4
    assert convex["gap_kind"] == "given patterns"
    assert convex["test_rmse_mv"] < linear["test_rmse_mv"] < persistence["test_rmse_mv"]


def test_the_folder_holds_model_metrics_and_figure(fitted):
    folder, found = fitted
    assert sorted(file.name for file in folder.iterdir()) == [
        "metrics.json", "model.safetensors", "predictions.png", "report.html"
    ]  # fmt: skip
    kept = json.loads((folder / "metrics.json").read_text())
    assert {name: kept[name] for name in found} == found
    assert kept["solver"]["status"] == "optimal"
    pixels = np.asarray(Image.open(folder / "predictions.png").convert("RGB"))
    # The forecast's colour is drawn in the upper and in the lower panel.
    blue = (np.abs(pixels.astype(int) - (0x4A, 0x8D, 0xF0)).sum(axis=2) < 30).any(axis=1)
    assert blue[: len(blue) // 2].any()
    assert blue[len(blue) // 2 :].any()


def test_predict_repeats_the_test_error(fitted, record_208, tmp_path, capsys):
    folder, found = fitted
    target = tmp_path / "forecast.csv"
    assert main(["predict", str(folder), str(record_208), "--end", "40", "--output", str(target)]) == 0
    assert "14,385 forecasts" in capsys.readouterr().out
    rows = list(csv.DictReader(target.open()))
    assert len(rows) == 40 * 360
    assert rows[14]["forecast_mv"] == ""
    residual = np.array([float(row["residual_mv"]) for row in rows[32 * 360 + 15 :]])
    assert np.sqrt(np.mean(residual**2)) == pytest.approx(found["models"][-1]["test_rmse_mv"], rel=1e-4)


def test_predict_writes_to_standard_output(fitted, record_208, capsys):
    assert main(["predict", str(fitted[0]), str(record_208), "--end", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sample,time_s,signal_mv,forecast_mv,residual_mv,outside"
    assert len(lines) == 361


def test_the_table_names_every_model(record_208, tmp_path, capsys):
    arguments = ["fit", str(record_208), "--end", "20", "--beta", "1e-4", "--patterns", "4", "--solver", "osqp"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for word in ("persistence", "linear_ar", "backprop_adam", "convex", "OSQP", "model.safetensors", "report.html"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fit", "no/such/record.hea"], "no/such/record.hea"),
        (["fit", "RECORD", "--lead", "V9"], "MLII"),
        (["fit", "RECORD", "--beta", "-1"], "beta = -1"),
        (["fit", "RECORD", "--window", "0"], "window = 0"),
        (["fit", "RECORD", "--patterns", "1"], "patterns = 1"),
        (["fit", "RECORD", "--end", "0.05"], "signal"),
        (["fit", "RECORD", *FAST, "--output", "RECORD.hea/x"], "output"),
        (["predict", "no/model", "RECORD"], "no/model"),
        (["predict", "RECORD.hea", "RECORD"], "not a readable model"),
    ],
)
def test_refusals_are_one_line_and_exit_code_2(arguments, named, record_208, capsys):
    assert main([word.replace("RECORD", str(record_208)) for word in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert named in captured.err


@pytest.mark.parametrize(
    ("command", "first"),
    [("predict MODEL RECORD --end 30", "sample,"), ("explain MODEL RECORD --at 10", ""), ("doctor", "versions")],
)
def test_a_reader_that_leaves_is_no_error(fitted, record_208, tmp_path, command, first):
    command = command.replace("MODEL", str(fitted[0])).replace("RECORD", str(record_208))
    # A reader that has gone before anything is written, and one that reads a line.
    for reader in ("true", "head -n 1"):
        line = f"set -o pipefail; {sys.executable} -m ecgcvx {command} | {reader}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(first if reader != "true" else "")


@pytest.mark.parametrize("command", [[], ["fit"], ["predict"], ["certify"]])
def test_help_explains(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "usage: ecgcvx" in capsys.readouterr().out


def test_help_does_not_wait_for_the_numerical_stack():
    code = "import sys, ecgcvx.cli.commands; ecgcvx.cli.commands.build_parser(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "False"


def test_the_default_trains_over_all_patterns(record_208, tmp_path, capsys):
    arguments = ["fit", str(record_208), "--end", "20", "--beta", "1e-3", "--rounds", "2", "--confirm-starts", "50"]
    assert main([*arguments, "--output", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models"][-1]["gap_kind"] == "searched"
    assert found["beta_chosen_by"] == "user"
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert main([*arguments, "--output", str(tmp_path), "--resume"]) == 2
    assert "no checkpoint to resume from" in capsys.readouterr().err


def test_a_sparsified_network_with_its_curve_and_checks(record_208, tmp_path, capsys):
    arguments = ["fit", str(record_208), "--end", "10", "--beta", "1e-2", "--confirm-starts", "50", "--check"]
    assert main([*arguments, "--tolerance", "0.01", "--max-neurons", "6", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for word in ("sparsified from", "fewest neurons", "check by cvxpy", "check by osqp", "sparsity.png"):
        assert word in out
    found = json.loads((tmp_path / "metrics.json").read_text())
    convex = found["models"][-1]
    assert convex["neurons"] <= 6
    assert [check["solver"] for check in found["check"]] == ["cvxpy", "osqp"]
    for check in found["check"]:
        assert -1e-6 <= check["difference"] < 0.05
        assert check["objective"] == pytest.approx(convex["objective"] * (1 - check["difference"]), rel=1e-9)
    with open(tmp_path / "sparsity.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(found["sparsified"])
    kept = next(line for line in lines if int(line["neurons"]) == convex["neurons"])
    assert float(kept["objective"]) == convex["objective"]
    assert float(kept["test_rmse_mv"]) == pytest.approx(convex["test_rmse_mv"], rel=1e-9)
    assert Image.open(tmp_path / "sparsity.png").width > 500


@pytest.mark.slow
def test_osqp_without_patterns_trains_over_all_of_them(record_208, tmp_path, capsys):
    arguments = ["fit", str(record_208), "--solver", "osqp", "--output", str(tmp_path), "--json", "--beta", "1e-2"]
    assert main([*arguments, "--end", "2", "--gap", "1e-3", "--confirm-starts", "50"]) == 0
    convex = json.loads(capsys.readouterr().out)["models"][-1]
    assert convex["gap_kind"] == "searched"
    assert convex["gap"] <= 1e-3
    assert main([*arguments, "--resume"]) == 2
    assert "keeps no checkpoint" in capsys.readouterr().err


def test_what_a_fit_proves_certify_recomputes(record_208, tmp_path, capsys):
    arguments = ["fit", str(record_208), "--end", "10", "--beta", "1e-1", "--rounds", "3", "--confirm-starts", "50"]
    assert main([*arguments, "--prove", "2", "--output", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    convex, proof = found["models"][-1], found["proof"]
    assert convex["gap_kind"] == "searched"
    assert convex["proved_gap"] == proof["proved_gap"]
    certify = ["certify", str(tmp_path), str(record_208), "--end", "10", "--seconds", "2", "--starts", "20"]
    assert main([*certify, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    wanted = {"primal", "dual_proved", "proved_gap", "searched_gap", "factor", "nodes", "seconds", "status"}
    assert set(again) == wanted
    assert again["primal"] == pytest.approx(proof["primal"], rel=1e-9)
    assert again["dual_proved"] < again["primal"]
    assert again["searched_gap"] <= again["proved_gap"] < 0.2
    assert main(certify) == 0
    words = capsys.readouterr().out
    assert "proved by bound: no network of this kind, of any width," in words
    assert "searched (20 starts)" in words
    assert "not a proof" in words
    assert main(["certify", str(tmp_path), str(record_208), "--end", "9"]) == 2
    assert "not what the model was trained on" in capsys.readouterr().err


def test_a_gap_that_needs_no_bound_is_recomputed_and_prove_is_refused(fitted, record_208, tmp_path, capsys):
    folder, found = fitted
    assert main(["certify", str(folder), str(record_208), "--end", "40", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["gap_kind"] == "given patterns"
    assert again["primal"] == pytest.approx(found["models"][-1]["objective"], rel=1e-9)
    assert again["gap"] <= found["models"][-1]["gap"] + 1e-9  # over fewer gates: those of its neurons
    assert main(["certify", str(folder), str(record_208), "--end", "40", "--seconds", "0"]) == 2
    assert "seconds" in capsys.readouterr().err
    assert main(["fit", str(record_208), *FAST, "--prove", "--output", str(tmp_path)]) == 2
    assert "prove" in capsys.readouterr().err


@pytest.mark.slow
def test_intervals_from_the_fit_to_the_forecast_and_the_stream(record_208, tmp_path, capsys):
    fast = ["--end", "60", "--network", "polynomial", "--beta", "1e-5", "--horizon", "4"]
    command = ["fit", str(record_208), *fast, "--intervals", "0.5", "0.9", "--json", "--output", str(tmp_path)]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)["intervals"]
    assert [line["coverage"] for line in found] == [0.5, 0.9]
    assert "90 % interval" in (tmp_path / "report.html").read_text().replace("\u00a0", " ")
    target = tmp_path / "forecast.csv"
    command = ["predict", str(tmp_path), str(record_208), "--end", "60", "--intervals", "--adapt"]
    assert main([*command, "--output", str(target)]) == 0
    rows = list(csv.DictReader(target.open()))
    assert list(rows[0])[6:] == ["lower_50_mv", "upper_50_mv", "lower_90_mv", "upper_90_mv"]
    made = [row for row in rows[48 * 360 + 18 :] if row["lower_90_mv"]]
    inside = [float(row["lower_90_mv"]) <= float(row["signal_mv"]) <= float(row["upper_90_mv"]) for row in made]
    assert np.mean(inside) == pytest.approx(found[1]["adaptive"]["inside"], abs=2e-3)
    capsys.readouterr()
    command = [sys.executable, "-m", "ecgcvx", "stream", str(tmp_path), "--intervals", "0.8"]
    samples = "\n".join(row["signal_mv"] for row in rows[:100])
    done = subprocess.run(command, input=samples, capture_output=True, text=True, check=True)
    last = json.loads(done.stdout.splitlines()[-1])
    low, high = last["intervals"]["0.8"]
    assert low < high
    assert abs(last["prediction"] - (low + high) / 2) < high - low
    assert set(json.loads(done.stderr.splitlines()[-1])["inside"]) == {"0.8"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["predict", "MODEL", "RECORD", "--intervals", "0.9"], "fit again with --intervals"),
        (["predict", "MODEL", "RECORD", "--adapt"], "give --intervals"),
        (["fit", "RECORD", *FAST, "--intervals", "90"], "intervals = 90: give a number below 1"),
        (["stream", "MODEL", "--record", "RECORD", "--intervals", "0.9"], "fit again with --intervals"),
    ],
)
def test_intervals_that_are_not_to_be_had(arguments, named, fitted, record_208, capsys):
    words = {"MODEL": str(fitted[0]), "RECORD": str(record_208)}
    assert main([words.get(word, word) for word in arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert named in captured.err
