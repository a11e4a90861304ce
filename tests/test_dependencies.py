"""Every dependency is listed with its licence, locked with hashes, and has a lower bound that is tested."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements):
    return {re.split(r"[ ;<>=!~\[]", one, maxsplit=1)[0].lower() for one in requirements}


OWN = names(PROJECT["dependencies"])
EXTRAS = {extra: names(listed) for extra, listed in PROJECT["optional-dependencies"].items()}


def test_every_package_is_listed_with_its_licence():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    listed = {name.strip().lower() for row in rows for cell in row for name in cell.split(",")}
    assert not (OWN.union(*EXTRAS.values()) - listed)
    assert all(row[-1] for row in rows)


def test_what_ci_installs_is_locked_with_hashes():
    text = (ROOT / "requirements" / "ci.txt").read_text()
    entries = re.split(r"\n(?=[A-Za-z])", text)
    locked = {entry.split("==")[0].lower(): entry for entry in entries}
    assert not (OWN | EXTRAS["test"] | EXTRAS["lint"]) - set(locked)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "://" not in text


def test_every_lower_bound_is_one_that_is_tested():
    pins = dict(line.split("==") for line in (ROOT / "requirements" / "lowest.txt").read_text().splitlines())
    for one in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]):
        name, low = re.match(r"([A-Za-z0-9_-]+)>=([0-9.]+)", one).groups()
        number = [int(part) for part in pins[name.lower()].split(".")[:2]]
        assert number == ([int(part) for part in low.split(".")] + [0])[:2], one
