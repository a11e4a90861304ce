"""What the documentation refers to exists."""

import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/lecture").glob("*.md"))]
FILES = {path.name for folder in ("ecgcvx", "tests", "scripts") for path in (ROOT / folder).rglob("*.py")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document):
    text = document.read_text()
    for name in re.findall(r"`([\w./-]+)`", text):
        if "/" in name and name.split("/")[0] in ("ecgcvx", "tests", "scripts", "docs", "data"):
            assert (ROOT / name).exists(), name
        elif name.endswith(".py") and "/" not in name:
            assert name in FILES, name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (document.parent / target).exists(), target


def test_formulas_are_tied_to_what_computes_them():
    names = set(re.findall(r"`(ecgcvx(?:\.\w+)+)`", (ROOT / "docs/theory.md").read_text()))
    assert len(names) >= 10
    for name in names:
        assert pkgutil.resolve_name(name) is not None


@pytest.mark.slow
@pytest.mark.parametrize("page", ["tutorial", "polynomial", "certificates", "datasets"])
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for code in blocks:
        exec(code.replace("seconds=10", "seconds=1"), names)
