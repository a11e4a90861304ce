"""What every benchmark shares: its command line, the windows as peers read them, peers in processes and environments of
their own, clocks, turns, stored results, the machine's name, and a table.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import platformdirs
from numpy.typing import ArrayLike

from ecgcvx.windows import Split

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "data" / "mitdb208" / "208"
PEER_FILES = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = platformdirs.user_cache_path("ecgcvx", appauthor=False) / "peers"
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def parser(usage: str | None) -> argparse.ArgumentParser:
    """A parser that prints the docstring of the script as it stands."""
    return argparse.ArgumentParser(description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_record(options: argparse.ArgumentParser) -> None:
    """`--record`, by default the one that ships with the project."""
    options.add_argument("--record", type=Path, default=RECORD, help="WFDB record")


def add_threads(options: argparse.ArgumentParser) -> None:
    """`--threads` of every contender."""
    options.add_argument("--threads", type=int, default=2, help="threads that a contender may use")


def add_peers(options: argparse.ArgumentParser) -> None:
    """`--peers` and `--make-peers`, for contenders in environments of their own."""
    options.add_argument("--peers", type=Path, default=ENVIRONMENTS, help="folder of the peers' environments")
    options.add_argument("--make-peers", action="store_true", help="make the peers' environments first")


@dataclass(frozen=True)
class Seconds:
    """Of one run: by the wall clock, and of all threads together."""

    wall: float
    cpu: float


Result = TypeVar("Result")


def timed(run: Callable[[], Result]) -> tuple[Result, Seconds]:
    """What `run` gives, and its seconds."""
    started, used = time.perf_counter(), time.process_time()
    result = run()
    return result, Seconds(time.perf_counter() - started, time.process_time() - used)


class Timed(Protocol):
    """A run that knows what it cost."""

    @property
    def seconds(self) -> Seconds:
        """Without imports and without reading."""
        ...


Run = TypeVar("Run", bound=Timed)


def take_turns(contenders: Mapping[str, Callable[[], Run]], count: int) -> dict[str, list[Run]]:
    """Run every contender `count` times, turn by turn, so that a busy machine slows all alike; who fails drops out."""
    runs: dict[str, list[Run]] = defaultdict(list)
    failed = set()
    for turn in range(count):
        for name, run in contenders.items():
            if name in failed:
                continue
            try:
                runs[name].append(run())
            except RuntimeError as error:
                print(f"{name}: failed and is left out: {error}", file=sys.stderr)
                failed.add(name)
            else:
                print(f"run {turn + 1}, {name}: {runs[name][-1].seconds.cpu:.3f} CPU s", file=sys.stderr)
    return runs


@contextmanager
def program_file(arrays: Mapping[str, ArrayLike]) -> Iterator[Path]:
    """A file of arrays, as a peer reads its program, in a folder of its own that also takes the peer's result."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.npz"
        held: dict[str, Any] = dict(arrays)  # the stub of savez takes no named arrays from a mapping
        np.savez(path, **held)
        yield path


def window_arrays(split: Split) -> dict[str, ArrayLike]:
    """X, y and X_test of a split, standardised, as peers read them."""
    return {"X": split.train.X[: len(split.train)], "X_test": split.test.X[: len(split.test)], "y": split.train.y}


def peer_python(name: str, arguments: argparse.Namespace, requirements: str) -> Path | None:
    """The interpreter of a peer's environment, made first where that is asked for; None, told, where there is none."""
    folder: Path = arguments.peers / name
    if arguments.make_peers and not python_of(folder).exists():
        make_environment(folder, PEER_FILES / requirements)
    if python_of(folder).exists():
        return python_of(folder)
    print(f"{name}: no environment in {folder}, left out; --make-peers makes it", file=sys.stderr)
    return None


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


def stored_lines(path: Path) -> list[dict[str, Any]]:
    """The results in a file of JSON lines, none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add a result to a file of JSON lines; folder and file are made where there are none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    header = list(header)
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))


def machine() -> str:
    """Date, processor, number of cores and Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    return f"{time.strftime('%d %B %Y')}; {model}, {os.cpu_count()} cores; Python {platform.python_version()}"
