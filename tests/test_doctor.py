"""What the doctor says is what is installed."""

import json
from importlib.metadata import version

from ecgcvx.cli import main


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
