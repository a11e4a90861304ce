"""No text from outside is markup, and none of it steers the terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgcvx.cli import main
from ecgcvx.cli.terminal import one_line, show


@pytest.mark.parametrize("name", ["o[/x]", "rec[bold]", "[red]", ":smile:", "[link=x]y[/link]"])
def test_names_that_look_like_markup_are_shown_as_they_are(name, record_208, tmp_path, capsys):
    folder = tmp_path / name
    arguments = ["fit", str(record_208), "--end", "10", "--network", "polynomial", "--beta", "1e-3"]
    assert main([*arguments, "--output", str(folder)]) == 0
    out = capsys.readouterr().out
    assert f"wrote {folder}/model.safetensors" in out.replace("\n", "")
    assert (folder / "report.html").exists()


@given(st.text())
def test_any_text_is_shown_without_markup_and_without_control_characters(text):
    line = one_line(text)
    assert "\x1b" not in line
    assert "\n" not in line
    assert "\u202e" not in line


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_printing_keeps_plain_text(text):
    from io import StringIO

    from rich.console import Console

    file = StringIO()
    Console(file=file, soft_wrap=True, highlight=False, markup=False, emoji=False).print(text)
    assert file.getvalue() == text + "\n"


def test_show_cleans_what_it_is_given(capsys):
    show("a\x1b[31mb", "[bold]c")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]c" in out


def test_without_a_terminal_there_is_a_line_every_few_seconds(monkeypatch, capsys):
    from ecgcvx.cli import terminal

    clock = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(terminal, "LINE_SECONDS", 5.0)
    terminal.set_messages(verbose=False, quiet=False)
    with terminal.progress_bar() as progress:
        for second in range(13):
            clock[0] = float(second)
            progress(f"step {second}\x1b[2J", second / 20)
    assert capsys.readouterr().err.splitlines() == [
        "ecgcvx: 5 s: step 5�[2J (25 %)",
        "ecgcvx: 10 s: step 10�[2J (50 %)",
    ]


@pytest.mark.parametrize(("verbose", "quiet", "count"), [(True, False, 3), (False, False, 0), (False, True, 0)])
def test_verbose_says_every_step_and_quiet_none(verbose, quiet, count, capsys):
    from ecgcvx.cli import terminal

    terminal.set_messages(verbose, quiet)
    with terminal.progress_bar() as progress:
        for k in range(3):
            progress(f"step {k}", None)
    assert len(capsys.readouterr().err.splitlines()) == count


def test_on_a_narrow_terminal_the_text_is_cut_and_not_the_bar(monkeypatch):
    import io

    from rich.console import Console

    from ecgcvx.cli import terminal

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, markup=False, emoji=False)
    monkeypatch.setattr(terminal, "_console", lambda **_: console)
    terminal.set_messages(verbose=False, quiet=False)
    with terminal.progress_bar() as progress:
        progress("a very long description of what is being done at the moment, beyond eighty columns", 0.5)
    lines = [line for line in out.getvalue().replace("\r", "\n").splitlines() if "━" in line]
    assert any(line.count("━") + line.count("╸") + line.count("╺") == 20 for line in lines)
    assert any("…" in line for line in lines)


def test_a_wrong_argument_shows_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["certify", "out/208", "record", "--nonsense", "3"])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: ecgcvx certify")
    assert "unrecognized arguments: --nonsense 3" in told


def test_exit_codes_are_documented(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "130  interrupted" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_commands_and_options(shell, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "certify" in script
    assert "max-neurons" in script
