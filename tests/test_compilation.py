"""The cache of compiled functions: none where there is no place for it, made again where it is damaged."""

import os
import subprocess
import sys
from pathlib import Path

SOURCE = """
from ecgcvx.compilation import cached_njit

@cached_njit(nogil=True)
def twice(x):
    return 2 * x

print(twice(21))
"""
ROOT = Path(__file__).resolve().parent.parent


def run(folder, **environment):
    (folder / "twice.py").write_text(SOURCE) if not (folder / "twice.py").exists() else None
    found = subprocess.run(
        [sys.executable, "-c", "import twice"], cwd=folder, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"} | environment,
    )  # fmt: skip
    assert (found.returncode, found.stdout, found.stderr) == (0, "42\n", "")


def test_a_cache_that_was_cut_short_is_made_again(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    run(tmp_path, **cache)
    files = [file for file in (tmp_path / "cache").rglob("*") if file.suffix in (".nbi", ".nbc")]
    assert {file.suffix for file in files} == {".nbi", ".nbc"}
    for suffix, left in ((".nbi", 0.0), (".nbc", 0.5)):
        chosen = {file: file.stat().st_size for file in files if file.suffix == suffix}
        for file, size in chosen.items():
            os.truncate(file, int(left * size))
        run(tmp_path, **cache)
        assert all(file.stat().st_size > 0.9 * size for file, size in chosen.items())


def test_no_place_for_a_cache_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file" / "below")  # below a file no folder can be made, for root neither
    (tmp_path / "__pycache__").write_text("")  # nor beside the source
    run(tmp_path, HOME=nowhere, XDG_CACHE_HOME=nowhere, NUMBA_CACHE_LOCATOR_CLASSES="")
