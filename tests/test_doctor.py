"""What the doctor says is what is installed; `warm` compiles every part."""

import json
import sys
from importlib.metadata import version

import pytest
from numba.core.dispatcher import Dispatcher

from ecgcvx.cli import main
from ecgcvx.warmup import PARTS, compile_part


def test_it_names_versions_threads_and_caches(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["numpy"] == version("numpy")
    assert found["extras"]["sklearn"] == version("scikit-learn")
    assert found["threads"]["cores"] >= 1
    assert found["threads"]["OMP_NUM_THREADS"] == "1"
    assert set(found["caches"]) == {"records of PhysioNet", "compiled code"}
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "versions"
    assert any(line.split() == ["numpy", version("numpy")] for line in lines)


def test_warm_compiles_what_is_asked_for(capsys):
    assert main(["warm", "--only", "streams", "given patterns", "--json"]) == 0
    seconds = json.loads(capsys.readouterr().out)["seconds"]
    assert list(seconds) == ["streams", "given patterns"]
    assert all(value > 0 for value in seconds.values())


def compiled():
    """Signatures of every compiled function of the package that is loaded."""
    modules = [module for name, module in sys.modules.items() if name.startswith("ecgcvx")]
    held = [value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)]
    return {(f.py_func.__module__, f.py_func.__name__): len(f.signatures) for f in held}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_leaves_nothing_to_compile(name):
    compile_part(name)
    before = compiled()
    assert sum(before.values()) > 0
    compile_part(name)
    assert compiled() == before
