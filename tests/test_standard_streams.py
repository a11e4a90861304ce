"""Standard streams that are closed, full or left by their reader: quiet, and the right exit code."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecgcvx.forecaster import Forecaster
from ecgcvx.models import ReluNetwork
from ecgcvx.windows import Scaler

ROOT = Path(__file__).resolve().parent.parent
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model and a table that it can predict."""
    path, rng = tmp_path_factory.mktemp("streams"), np.random.default_rng(0)
    network = ReluNetwork(rng.standard_normal((5, 3)), rng.standard_normal(3))
    Forecaster(network, Scaler(0.0, 1.0), "ECG", 100.0, 4, 1, 1e-3).save(path / "model.safetensors")
    np.savetxt(path / "ecg.csv", rng.standard_normal(30_000), header="ECG (mV)", comments="", fmt="%.4f")
    return path


def shell(folder, command):
    """Exit code and standard error of a line of a shell, in which `ecgcvx` is this package."""
    found = subprocess.run(
        ["bash", "-c", f'set -o pipefail; ecgcvx() {{ "{sys.executable}" -m ecgcvx "$@"; }}; {command}'],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return found.returncode, found.stderr, found.stdout


PREDICT = "ecgcvx predict model.safetensors ecg.csv --sampling-frequency 100"


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        pytest.param(f"{PREDICT} > /dev/full", 2, "ecgcvx: standard output: No space left on device\n", marks=FULL),
        pytest.param("ecgcvx predict missing ecg.csv 2> /dev/full", 2, "", marks=FULL),
        (f"{PREDICT} >&-", 0, ""),
        (f"{PREDICT} | head -1", 0, ""),
        ("ecgcvx predict missing ecg.csv 2>&-", 2, ""),
        ("ecgcvx stream model.safetensors <&- 2>/dev/null", 0, ""),
        ("ecgcvx monitor --port 99999 <&-", 2, "ecgcvx: port = 127.0.0.1:99999"),
        (f"{PREDICT} --output /dev/stdout | tail -1 >/dev/null", 0, ""),
    ],
)
def test_an_end_is_quiet_and_has_its_code(folder, command, code, error):
    found, said, _ = shell(folder, command)
    assert found == code
    assert error in said
    assert len(said.splitlines()) == (1 if error else 0)


def test_a_closed_stream_takes_no_other_file(folder):
    """Descriptor 1 stays one of standard output: the file that is opened next is not written over by a print."""
    code, said, _ = shell(folder, f"{PREDICT} --output out.csv >&-")
    assert (code, said) == (0, "")
    assert (folder / "out.csv").read_text().startswith("sample,time_s")
