"""What a package index shows: the README with links that lead to the site, every one to what is there."""

import re
import tomllib
from pathlib import Path

import pytest

from release import absolute, named

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://ecgcvx.example.org/stable"


def test_every_link_of_the_readme_is_absolute_and_leads_to_a_page_or_a_picture_of_one():
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]*)\)", absolute(text, SITE))
    assert len(links) == len(re.findall(r"\]\(", text)) > 10
    pages = "".join(file.read_text() for file in (ROOT / "docs").glob("*.md"))
    for link in links:
        if not link.startswith(SITE):
            assert re.match("https?://", link)
        elif link.startswith(f"{SITE}/_images/"):
            assert f"]({Path(link).name})" in pages  # Sphinx copies what a page shows
        else:
            page = link.removeprefix(f"{SITE}/").removesuffix(".html")
            assert (ROOT / "docs" / f"{page}.md").is_file()


def test_parts_of_pages_and_other_addresses_are_kept():
    text = "[a](docs/theory.md#solving) [b](https://physionet.org/) [c](#here)"
    assert absolute(text, SITE) == f"[a]({SITE}/theory.html#solving) [b](https://physionet.org/) [c](#here)"


@pytest.mark.parametrize("link", ["docs/nothing.md", "scripts/harness.py", "../elsewhere.md"])
def test_a_link_to_what_the_site_does_not_have_is_refused_by_name(link):
    with pytest.raises(ValueError, match=re.escape(link)):
        absolute(f"[a]({link})", SITE)


def test_the_site_is_an_address_of_the_project():
    settings = tomllib.loads(named((ROOT / "pyproject.toml").read_text(), SITE))
    assert settings["project"]["urls"]["Documentation"] == SITE
    assert len(settings["project"]["urls"]) == 4
