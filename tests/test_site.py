"""The site leads to every page, and the Python of its quickstart prints what the page says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "quickstart.md").read_text()


def test_the_front_page_leads_to_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    listed = {line for tree in re.findall(r"```{toctree}(.*?)```", index, re.DOTALL) for line in tree.split()}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"} <= listed


@pytest.mark.slow
def test_the_quickstart_prints_what_it_says(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```python")
    for code, told in blocks:
        exec(code, names)
        assert capsys.readouterr().out == told
    assert (tmp_path / "model.safetensors").exists()
