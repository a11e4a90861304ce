"""Build wheel and sdist for a package index: there the links of the README lead to the site of the documentation.

    python scripts/release.py https://ecgcvx.example.org --output out/dist

Within the repository links are relative, so that they work in any copy of it. A package index needs absolute ones:
pages of docs/ become those of the site that `make docs` builds, pictures those in its _images, and the site is named
among the addresses of the project. It fails where a page or picture is not in docs/. Needs the package `build`.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from check_packaging import ROOT, built, copied

LINK = re.compile(r"(?<=\]\()(?!https?://|#|mailto:)([^)\s]+)(?=\))")


def main() -> int:
    """Build; 0 when it was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", help="address of the documentation, e.g. https://ecgcvx.example.org")
    parser.add_argument("--output", type=Path, default=Path("out/dist"), help="folder (default: %(default)s)")
    options = parser.parse_args()
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", options.site):
        parser.error(f"site: {options.site!r} is no address; give one like https://ecgcvx.example.org")
    site = options.site.rstrip("/")
    with tempfile.TemporaryDirectory(prefix="ecgcvx-release-") as name:
        project = copied(Path(name) / "project")
        readme, settings = project / "README.md", project / "pyproject.toml"
        readme.write_text(absolute(readme.read_text(encoding="utf-8"), site), encoding="utf-8")
        settings.write_text(named(settings.read_text(encoding="utf-8"), site), encoding="utf-8")
        for file in built(options.output.absolute(), project):
            print(file)
    return 0


def absolute(text: str, site: str) -> str:
    """Return Markdown with the links to docs/ as addresses of the site; ValueError for any other relative link."""

    def address(found: re.Match[str]) -> str:
        path, _, part = found[1].partition("#")
        file = Path(path)
        if file.parts[:1] != ("docs",) or not (ROOT / file).is_file():
            raise ValueError(f"README.md: {found[1]} is no file of docs/; link to one, or by its whole address")
        inside = file.relative_to("docs")
        page = inside.with_suffix(".html").as_posix() if file.suffix == ".md" else f"_images/{inside.name}"
        return f"{site}/{page}{'#' + part if part else ''}"

    return LINK.sub(address, text)


def named(settings: str, site: str) -> str:
    """Return pyproject.toml with the site among the addresses of the project."""
    heading = "[project.urls]\n"
    if settings.count(heading) != 1:
        raise ValueError("pyproject.toml: there is no [project.urls]")
    return settings.replace(heading, f'{heading}Documentation = "{site}"\n')


if __name__ == "__main__":
    sys.exit(main())
