"""Resolve the versions that CI runs, and the lowest ones that are allowed; needs uv (https://docs.astral.sh/uv/).

    python scripts/lock.py [--check]

requirements/ci.txt has the newest versions for every platform and Python from 3.11 on, with the hashes of their files;
requirements/lowest.txt the lowest ones of what pyproject.toml names, for the tests of the lower bounds. --check writes
nothing, and says whether what is there still satisfies pyproject.toml.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
PYTHON = "3.11"
COMMON = ("--no-header", "--no-annotate", "--no-emit-index-url", "--python-version", PYTHON, "--quiet")
EXTRAS = ("test", "lint", "docs")
FILES = {
    "ci.txt": ("--universal", "--generate-hashes", *(word for extra in EXTRAS for word in ("--extra", extra))),
    "lowest.txt": ("--resolution", "lowest-direct", "--extra", "test"),
}
BUILD = "setuptools>=77"  # builds the package itself, without a download of its own


def resolve(name: str, output: Path) -> None:
    """Write the versions of a file; those that it names already are kept where they still do."""
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder) / "build.in"
        build.write_text(f"{BUILD}\n")
        sources = ["pyproject.toml", *([str(build)] if name == "ci.txt" else [])]
        command = ["uv", "pip", "compile", *sources, *COMMON, *FILES[name], "--output-file", str(output)]
        subprocess.run(command, cwd=ROOT, check=True)


def pins(text: str) -> set[str]:
    """The versions that a file names."""
    return set(re.findall(r"^[A-Za-z0-9_.-]+==[^ ;\n\\\\]+", text, re.MULTILINE))


def main() -> int:
    """Run the script; 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    if shutil.which("uv") is None:
        parser.error("uv is not installed; pip install uv")
    FOLDER.mkdir(exist_ok=True)
    code = 0
    for name in FILES:
        if not options.check:
            resolve(name, FOLDER / name)
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / name
            copy.write_text((FOLDER / name).read_text())
            resolve(name, copy)
            other = pins(copy.read_text()) ^ pins((FOLDER / name).read_text())
        if other:
            print(f"requirements/{name}: {', '.join(sorted(other))}; run make lock", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
