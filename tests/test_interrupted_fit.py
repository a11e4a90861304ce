"""Ctrl-C in every phase of a fit: the best network so far is kept whole, and everything that is written says so."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from ecgcvx.cli import main
from ecgcvx.fit_options import fit_options
from ecgcvx.fitting import fit
from ecgcvx.model_file import digest, load
from ecgcvx.path import regularisation_path
from ecgcvx.records import read_recording
from ecgcvx.report.training import read_training

WHOLE = ("metrics.json", "model.safetensors", "predictions.png", "report.html")
KEPT = "ecgcvx: interrupted; what was finished is kept\n"
READABLE = ("--choose", "within:1%")  # with a beta: no path


@pytest.fixture
def interrupted(record_208, tmp_path, monkeypatch, capsys):
    """Run a fit that gets a signal when its progress says some words; return code, terminal, folder, names told."""

    def run(words, *arguments, number=signal.SIGINT):
        sent = []

        def progress(what, _share):
            if words in what and not sent:
                sent.append(what)
                os.kill(os.getpid(), number)

        @contextmanager
        def bar():
            yield progress

        monkeypatch.setattr("ecgcvx.cli.fit.progress_bar", bar)
        folder = tmp_path / "out"
        code = main(["fit", str(record_208), "--end", "8", *arguments, "--output", str(folder)])
        assert sent, f"no progress says {words!r}"
        captured = capsys.readouterr()
        return code, captured.out + captured.err, folder

    return run


@pytest.mark.parametrize(
    ("words", "arguments", "where"),
    [
        ("beta = ", (), "while beta was chosen; the network kept was trained on the first"),
        ("beta = ", ("--network", "gated", "--patterns", "6"), "while beta was chosen"),
        ("pruned to", ("--beta", "1e-2", *READABLE), "while the number of neurons was chosen"),
        ("all patterns of", ("--beta", "1e-3"), "during the training"),
        ("removing neurons down to", ("--beta", "1e-2", *READABLE), "while neurons were removed from the network"),
        ("sparsifying", ("--beta", "1e-2", "--tolerance", ".5"), "while neurons were removed"),
        ("backprop", ("--network", "polynomial", "--beta", "1e-3"), "while the baselines were trained"),
        ("stage 1, beta", ("--network", "stack"), "during the training"),
    ],
)  # fmt: skip
def test_what_was_found_is_kept_and_said(interrupted, words, arguments, where):
    code, told, folder = interrupted(words, *arguments)
    assert code == 130
    assert f"interrupted {where}" in told
    assert sorted(file.name for file in folder.iterdir() if file.name not in ("sparsity.csv", "sparsity.png")) in (
        sorted(WHOLE), sorted((*WHOLE, "checkpoint.safetensors"))
    )  # fmt: skip
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["interrupted"].startswith(f"interrupted {where}")
    assert read_training(folder, digest(load(folder))).interrupted == metrics["interrupted"]
    assert "was interrupted" in (folder / "report.html").read_text()
    names = [model["name"] for model in metrics["models"]]
    assert names[-1] == "convex"
    assert "backprop_adam" not in names
    assert metrics["models"][-1]["test_rmse_mv"] < 1


def test_before_there_is_a_network_nothing_is_written_and_nothing_more_is_said(interrupted):
    code, told, folder = interrupted("the largest beta", number=signal.SIGTERM)
    assert code == 130
    assert told == "ecgcvx: interrupted before there was a result\n"
    assert not list(folder.iterdir())


def test_while_results_are_written_they_are_written_to_their_end(interrupted):
    code, told, folder = interrupted("writing the results", "--network", "polynomial", "--beta", "1e-3")
    assert code == 130
    assert sorted(file.name for file in folder.iterdir()) == sorted(WHOLE)
    assert json.loads((folder / "metrics.json").read_text())["interrupted"] is None
    assert told.endswith(KEPT)
    assert "wrote" in told


@pytest.mark.parametrize(
    ("words", "what", "kept"),
    [
        ("raise KeyboardInterrupt", "before there was a result", False),
        ("atomic_write('one', lambda file: file.write(b'1')); raise KeyboardInterrupt",
         "what was finished is kept", True),
        ("atomic_write('one', stop)", "before there was a result", False),
        ("write_files(Path(), lambda to: (to / 'one').write_text('1')); raise KeyboardInterrupt",
         "what was finished is kept", True),
        ("atomic_write('one', lambda file: file.write(b'1')); os.kill(os.getpid(), 15); time.sleep(9)",
         "what was finished is kept", True),
        ("(Path() / 'one').write_text('1'); note()", "what was finished is kept", True),
    ],
)  # fmt: skip
def test_the_last_word_is_on_what_is_kept(tmp_path, words, what, kept):
    """Whatever the command: a signal that finds it after its last write too."""
    program = (
        "import os, sys, time, types\nfrom pathlib import Path\nfrom ecgcvx.cli import commands\n"
        "from ecgcvx.files import atomic_write, write_files\nfrom ecgcvx.interruption import note\n"
        "def stop(file):\n    raise KeyboardInterrupt\n"
        f"def run(options):\n    {words}\n    return 0\n"
        "commands.parse = lambda arguments: types.SimpleNamespace(command='doctor')\n"
        "commands.command = lambda name: types.SimpleNamespace(run=run)\n"
        "sys.exit(commands.main([]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, f"ecgcvx: interrupted{' ' if what[0] == 'b' else '; '}{what}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["one"] * kept


@pytest.mark.parametrize("network", ["gated", "polynomial"])
def test_a_path_that_is_whole_says_that_it_was_interrupted(record_208, tmp_path, monkeypatch, capsys, network):
    """The signal comes after the last beta, while the results are written."""

    @contextmanager
    def bar():
        yield lambda what, _share: os.kill(os.getpid(), signal.SIGTERM) if what == "writing the results" else None

    monkeypatch.setattr("ecgcvx.cli.path.progress_bar", bar)
    words = ["path", str(record_208), "--end", "8", "--network", network, "--betas", "3", "--output", str(tmp_path)]
    assert main(words) == 130
    captured = capsys.readouterr()
    assert captured.err == KEPT
    assert f"wrote {tmp_path}/path.csv" in captured.out
    assert (tmp_path / "path.csv").read_text().count("\n") == 4


def test_a_point_that_was_cut_short_takes_no_part_in_the_choice(record_208):
    """The second point is cut; the whole one before it is chosen whatever the other's error, and the fit is its own."""
    recording = read_recording(record_208, end=8)
    points = []

    def progress(what, _share):
        points.extend([what] if what.startswith("beta = ") else [])
        if points and what.startswith("all patterns of"):
            raise KeyboardInterrupt

    path, trained = regularisation_path(recording, fit_options(), 5, 1e-5, progress, first=1e-2)
    assert path.status == "interrupted"
    assert len(path.points) == 1
    assert path.chosen is path.points[0]
    assert trained.gap.primal == path.chosen.objective
    points.clear()
    found = fit(recording, fit_options(), progress)
    assert "while beta was chosen" in found.interrupted
    assert found.split.scaler == found.path.inner.scaler
    assert len(found.split.train) == found.path.windows[0]
    assert found.scores[-1].test_rmse_mv == pytest.approx(found.path.chosen.test_rmse_mv, rel=1e-9)
    assert found.split.counts.train + found.split.counts.test + found.split.counts.excluded == 8 * 360 - 15


@pytest.mark.parametrize("where", ["exec('raise KeyboardInterrupt')", "raise KeyboardInterrupt"])
def test_the_exit_code_is_130_wherever_the_signal_finds_the_program(where, tmp_path):
    """Python itself would end by SIGINT after an interrupt in code that is text, though it is caught."""
    program = (
        "import sys, types\nfrom ecgcvx.cli import commands\n"
        f"def run(options):\n    {where}\n"
        "commands.parse = lambda arguments: types.SimpleNamespace(command='doctor')\n"
        "commands.command = lambda name: types.SimpleNamespace(run=run)\n"
        "sys.exit(commands.main([]))\n"
    )
    (tmp_path / "as_module.py").write_text(program)  # with -m, as `python -m ecgcvx`
    done = subprocess.run([sys.executable, "-m", "as_module"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "ecgcvx: interrupted before there was a result\n")
