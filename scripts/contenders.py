"""What the benchmarks share: peers in processes and environments of their own, the machine's name, and a table."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import platformdirs

PEER_FILES = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = platformdirs.user_cache_path("ecgcvx", appauthor=False) / "peers"
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def make_environment(folder: Path, requirements: Path) -> None:
    """Make a virtual environment with this Python; a failure is told on the error output."""
    python = python_of(folder)
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", folder],
        [python, "-m", "pip", "install", "--quiet", "--requirement", requirements],
    ]
    for command in commands:
        if subprocess.run(command).returncode:
            print(f"{requirements.name}: could not be installed in {folder}", file=sys.stderr)
            return


def python_of(folder: Path) -> Path:
    """The interpreter of an environment, whether it is there or not."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run_peer(script: str, arguments: Iterable[str | Path], threads: int, python: str | Path = sys.executable) -> None:
    """Run scripts/peers/SCRIPT with a number of threads; RuntimeError with its last words if it fails."""
    limits = dict.fromkeys(THREAD_LIMITS, str(threads))
    command: list[str | Path] = [python, PEER_FILES / script, *arguments, "--threads", str(threads)]
    child = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError((child.stderr.strip() or f"exit code {child.returncode}").splitlines()[-1])


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def machine() -> str:
    """Date, processor, number of cores and Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    return f"{time.strftime('%d %B %Y')}; {model}, {os.cpu_count()} cores; Python {platform.python_version()}"
