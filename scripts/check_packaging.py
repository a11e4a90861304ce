"""Build wheel and sdist, and use them as a stranger would: in a clean environment, outside the repository.

    python scripts/check_packaging.py                     # with this Python
    python scripts/check_packaging.py --python python3.13 --extra sklearn --tests tests/test_api.py

It fails unless the sdist holds every file of the repository, the wheel installs and runs the quickstart, and the tests
that are named run from the unpacked sdist. Needs the package `build`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = (".ci/", ".gitignore")
QUICKSTART = """\
import sys
from pathlib import Path
import ecgcvx
record, repository = sys.argv[1:]
assert not Path(ecgcvx.__file__).is_relative_to(repository), ecgcvx.__file__
fitted = ecgcvx.fit(ecgcvx.read_recording(record, end=10), "polynomial", beta=1e-4)
fitted.forecaster.save("model.safetensors")
forecast = ecgcvx.predict("model.safetensors", ecgcvx.read_recording(record, end=10))
assert fitted.trained.gap.evidence.proved
print(fitted.trained.gap.words)
"""
ESTIMATOR = """\
import numpy as np
from ecgcvx.estimators import PolynomialNetworkRegressor
X = np.random.default_rng(0).standard_normal((50, 2))
assert PolynomialNetworkRegressor(1e-6).fit(X, X[:, 0] * X[:, 1]).score(X, X[:, 0] * X[:, 1]) > 0.999
"""


def main() -> int:
    """Check the packages; 0 when they hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="of the clean environment (default: this one)")
    parser.add_argument("--extra", action="append", default=[], help="extra to install as well; may be repeated")
    parser.add_argument("--tests", nargs="*", default=[], metavar="FILE", help="tests to run from the unpacked sdist")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ecgcvx-packaging-") as name:
        folder = Path(name)
        wheel, sdist = built(folder / "dist")
        missing = left_out_of(sdist)
        if missing:
            print("not in the sdist: " + ", ".join(missing), file=sys.stderr)
            return 1
        extras = [*options.extra, *(["test"] if options.tests else [])]
        python = installed(options.python, folder / "environment", wheel, extras)
        home = folder / "elsewhere"
        home.mkdir()
        record = ROOT / "data" / "mitdb208" / "208"
        run([python, "-c", QUICKSTART, record, ROOT], home)
        run([python.parent / "ecgcvx", "export", ".", "--to", "c", "--json"], home)
        if "sklearn" in extras:
            run([python, "-c", ESTIMATOR], home)
        if options.tests:
            with tarfile.open(sdist) as archive:
                archive.extractall(folder / "sdist", filter="data")
            (unpacked,) = (folder / "sdist").iterdir()
            run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options.tests], unpacked)
        size = sum(file.stat().st_size for file in (folder / "environment").rglob("*") if file.is_file())
        sizes = {"wheel": wheel.stat().st_size, "sdist": sdist.stat().st_size, "environment": size}
        print(json.dumps({"python": options.python, "bytes": sizes}))
    return 0


def built(folder: Path, project: Path = ROOT) -> tuple[Path, Path]:
    """Build a project into a folder; return the wheel, which is made from the sdist, and the sdist."""
    run([sys.executable, "-m", "build", "--outdir", folder, project], project)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def left_out_of(sdist: Path) -> list[str]:
    """Return the files of the repository that a sdist does not hold."""
    tracked = {file for file in files_of_repository() if not file.startswith(LEFT_OUT)}
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive.getmembers()}
    return sorted(tracked - held)


def files_of_repository() -> list[str]:
    """Return the files that are kept, by their paths from the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [file for file in listed.stdout.split("\0") if file]


def copied(folder: Path) -> Path:
    """Copy the files of the repository into a new folder; return it."""
    for file in files_of_repository():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, target)
    return folder


def installed(python: str, folder: Path, wheel: Path, extras: list[str]) -> Path:
    """Make an environment with a wheel in it; return its interpreter."""
    run([python, "-m", "venv", folder], ROOT)
    made = folder / "bin" / "python"
    wanted = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
    run([made, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted], ROOT)
    return made


def run(command: list[str | Path], folder: Path) -> None:
    """Run a command in a folder, where nothing points at the repository; fail when it does."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([str(word) for word in command], cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
