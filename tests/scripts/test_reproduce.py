"""The lecture's scripts in a reduced size, and the pages made of what they found."""

import importlib
import json

import pytest

import _page
from _page import Claim, Record, docs_page, index_html, keep, read_record

QUICK = ["arrangements", "linear_penalties", "duality", "polynomial_networks", "consensus_admm"]
MADE = Record(
    "example",
    "An example",
    "a slide",
    (Claim("x < 1", "x = 0.5", True),),
    (("example.png", "a & b"),),
    "",
    "command",
    1.0,
)


@pytest.mark.parametrize("script", QUICK)
def test_every_claim_of_the_slide_holds(script, tmp_path):
    module = importlib.import_module(script)
    record = keep(script, module.reproduce, tmp_path, reduced=True)
    assert [claim.text for claim in record.claims if not claim.holds] == []
    for name, _ in record.pictures:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert read_record(tmp_path / f"{script}.json") == record


def test_a_claim_that_does_not_hold_ends_with_status_1(tmp_path, monkeypatch, capsys):
    def reproduce(reduced):
        return _page.Entry("t", "s", (Claim("one", "1", True), Claim("two", "3", False, "three")), ())

    monkeypatch.setattr("sys.argv", ["script", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        _page.main(reproduce)
    assert ended.value.code == 1
    assert "does not hold: two" in capsys.readouterr().out
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["claims"][1]["holds"] is False


@pytest.mark.parametrize(
    ("claims", "verdict"),
    [
        (((True, ""),), "holds"),
        (((True, ""), (True, "factor 2")), "holds with this correction"),
        (((True, "factor 2"), (False, "")), "does not hold"),
    ],
)
def test_the_verdict_of_an_entry_is_that_of_its_weakest_claim(claims, verdict):
    several = tuple(Claim("text", "found", holds, correction) for holds, correction in claims)
    record = Record("a", "b", "c", several, (), "", "", 0.0)
    assert record.verdict == verdict


def test_the_page_shows_pictures_before_claims_and_escapes_text():
    page = index_html([MADE])
    assert page.index("example.png") < page.index("x = 0.5")
    assert "x &lt; 1" in page
    assert "a &amp; b" in page


def test_the_documentation_has_a_link_to_each_entry():
    page = docs_page([MADE], "Introduction.")
    assert "[An example](#1-an-example) | holds" in page
    assert "## 1. An example" in page
    assert "![a & b](lecture/example.png)" in page
