"""`ecgcvx doctor`: what a report of a fault should say of the installation."""

import argparse
import json
from typing import Any

from ecgcvx.cli.arguments import JSON_HELP
from ecgcvx.cli.terminal import show

DESCRIPTION = """\
Print versions, threads, the BLAS, and where caches are: what a report of a fault should begin with. Nothing of your
records or your name is among it, but paths are."""
EXAMPLES = """\
examples:
  ecgcvx doctor
  ecgcvx doctor --json"""
EXTRAS = {
    "sklearn": "scikit-learn", "edf": "edfio", "ecgdatakit": "ecgdatakit", "parquet": "pyarrow", "lsl": "pylsl",
    "onnx": "onnx", "torch": "torch",
}  # fmt: skip
"""Extras with the distribution that tells whether they are there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    found = findings()
    if options.json:
        print(json.dumps(found))
        return 0
    width = max(len(name) for part in found.values() for name in part)
    for title, part in found.items():
        show(title, *(f"  {name:{width}}  {value}" for name, value in part.items()))
    return 0


def findings() -> dict[str, dict[str, Any]]:
    """Return what is to be said, by part."""
    return {
        "versions": _versions(),
        "extras": {extra: _version(name) or "not installed" for extra, name in EXTRAS.items()},
        "threads": _threads(),
        "caches": _caches(),
    }


def _versions() -> dict[str, Any]:
    import platform
    import re
    from importlib.metadata import PackageNotFoundError, requires
    from pathlib import Path

    import ecgcvx

    place = ""
    try:
        needed = requires("ecgcvx") or []
    except PackageNotFoundError:  # used from a folder on the path
        needed, place = [], f", not installed: imported from {Path(ecgcvx.__file__).parents[1]}"
    own = [re.split(r"[ ;<>=!~\[]", one, maxsplit=1)[0] for one in needed if "extra ==" not in one]
    return {
        "ecgcvx": f"{ecgcvx.__version__}{place}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "processor": platform.machine(),
        **{name: _version(name) or "missing" for name in own},
    }


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _threads() -> dict[str, Any]:
    import os

    import numpy as np  # noqa: F401 - threadpoolctl tells of libraries that are loaded
    from threadpoolctl import threadpool_info

    from ecgcvx.cores import usable_cores

    found: dict[str, Any] = {"cores": usable_cores()}
    for pool in threadpool_info():
        name = f"{pool['internal_api']} {pool.get('version') or ''}".strip()
        found[name] = f"{pool['num_threads']} threads, {pool.get('architecture', 'architecture unknown')}"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return found | {name: os.environ[name] for name in names if name in os.environ}


def _caches() -> dict[str, Any]:
    import os
    from pathlib import Path

    import platformdirs

    import ecgcvx

    package = Path(ecgcvx.__file__).parent
    beside = package / "__pycache__"
    records = platformdirs.user_cache_path("ecgcvx", appauthor=False)
    given = os.environ.get("NUMBA_CACHE_DIR")
    # numba keeps compiled code beside the source where it may, else in the user's cache directory.
    home = Path(given) if given else beside if os.access(beside if beside.is_dir() else package, os.W_OK) else None
    compiled = sorted(package.rglob("*.nbi")) if home == beside else sorted(home.rglob("*.nbi")) if home else []
    return {
        "records of PhysioNet": f"{records} ({'there' if records.is_dir() else 'none yet'})",
        "compiled code": f"{home or 'in the user cache directory of numba'} ({len(compiled)} functions)",
    }
