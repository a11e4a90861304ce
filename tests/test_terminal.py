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
