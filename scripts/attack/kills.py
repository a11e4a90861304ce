"""kill -9 at every step of every write: what a reader of ecgcvx then finds is whole and of one run.

    python scripts/attack/kills.py --kills 200
    python scripts/attack/kills.py --seconds 60

An output folder holds one run; a child that writes another one into it is killed just before one of its file system
calls, or at a random moment of its writing. Then the folder is read, which finishes what was whole: its files must be
byte for byte those of the one run or of the other, and a command must be able to write there again.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attack import processes
from attack.processes import start
from ecgcvx.checkpoint import read_checkpoint, save_checkpoint
from ecgcvx.files import atomic_write, settle, write_files
from ecgcvx.types import silent

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "data" / "mitdb208" / "208"
CALLS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
"""Events of Python's audit hooks (os.replace is os.rename there)."""


class Writer(NamedTuple):
    """How run k (0 or 1) of something writes into a folder. late : seconds in which a random kill comes."""

    name: str
    write: Callable[[Path, int], object]
    late: float


def cheap_writers() -> tuple[Writer, ...]:
    """Writers of single files, and of files that belong together, that need no training."""
    arrays = [{"state": np.full(200_000, float(k))} for k in range(2)]

    def several(folder: Path, k: int) -> object:
        def fill(scratch: Path) -> None:
            for name in ("a", "b", "model.safetensors", *(("only_old",) if k == 0 else ())):
                (scratch / name).write_bytes(b"%d" % k * 100_000)

        return write_files(folder, fill, without=("only_old",))

    return (
        Writer("checkpoint", lambda folder, k: save_checkpoint(folder / "state", "kill", {"k": k}, arrays[k]), 0.05),
        Writer("forecast", lambda folder, k: atomic_write(folder / "a", lambda f: f.write(b"%d" % k * 300_000)), 0.02),
        Writer("files", several, 0.02),
    )


def writers() -> tuple[Writer, ...]:
    """All ways in which results are written, made of results that are there already, so that a child only writes."""
    from attack.interrupts import records
    from ecgcvx.classify.output import write_training
    from ecgcvx.classify.training import TrainOptions, train
    from ecgcvx.dataset import DatasetOptions, fit_records, write_dataset
    from ecgcvx.fit_options import fit_options
    from ecgcvx.fitting import fit
    from ecgcvx.gan.records import write_record
    from ecgcvx.output import write_output, write_path
    from ecgcvx.path import regularisation_path
    from ecgcvx.records import read_recording

    recording = read_recording(RECORD, end=8)
    options = [fit_options("polynomial", beta=beta) for beta in (1e-3, 1e-2)]
    fits = [fit(recording, one, silent) for one in options]
    paths = [regularisation_path(recording, fit_options("polynomial"), count, 1e-3, silent)[0] for count in (2, 3)]

    with tempfile.TemporaryDirectory() as name:
        tables, patients, _ = records(Path(name))
        rows = list(fit_records([RECORD.with_suffix("").as_posix(), tables[0]], DatasetOptions(options[0], jobs=1),
                                Path(name) / "out", silent))  # fmt: skip
        trained = [train([read_recording(one) for one in patients], TrainOptions(taps=(9,), betas=(beta,), folds=2))
                   for beta in (1e-2, 3e-2)]  # fmt: skip

    def beats(folder: Path, k: int) -> object:
        signals = [recording.signal[:, None] * (k + 1)]
        return write_files(
            folder, lambda scratch: write_record(scratch, "rec", signals[0], 360.0, ("II",), "mV", [f"run {k}"])
        )

    return (
        Writer("fit", lambda folder, k: write_output(fits[k], recording, options[k], folder), 1.5),
        Writer("path", lambda folder, k: write_path(paths[k], recording, folder), 0.5),
        Writer("record", beats, 0.1),
        Writer("records", lambda folder, k: write_dataset(rows[: k + 1], folder, {"network": "polynomial"}), 0.05),
        Writer("classify train", lambda folder, k: write_training(trained[k], folder), 0.5),
        Writer("model", lambda folder, k: fits[k].forecaster.save(folder / "model.safetensors"), 0.02),
        *cheap_writers(),
    )


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder that a user sees."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file() and file.name[0] != "."}


def reference(writer: Writer, base: Path) -> tuple[Path, list[dict[str, bytes]], int]:
    """The folder of a writer, what each run leaves in it, and how many calls the second one makes."""
    folder = base / writer.name
    folder.mkdir()
    runs: list[dict[str, bytes]] = []
    for k in (1, 0):
        writer.write(folder, k)
        runs.insert(0, content(folder))
    counted = base / "counted"
    child = start(lambda: _killed_at(writer, folder, 1, math.inf, counted), base / "words")
    assert child.wait().code == 0
    assert content(folder) == runs[1]
    return folder, runs, int(counted.read_text())


def _killed_at(writer: Writer, folder: Path, k: int, step: float, counted: Path | None = None) -> int:
    """Write run k and die just before call number `step` that touches the folder."""
    seen, active = 0, True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if active and event in CALLS and str(arguments[0]).startswith(str(folder)):
            seen += 1
            if seen > step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    writer.write(folder, k)
    active = False
    if counted is not None:
        counted.write_text(str(seen))
    return 0


def judge(writer: Writer, folder: Path, runs: list[dict[str, bytes]]) -> tuple[str, list[str]]:
    """What a reader finds, and what is wrong with it."""
    settle(folder)
    found = content(folder)
    faults = []
    what = "mixed"
    if found == runs[0]:
        what = "the old run"
    elif found == runs[1]:
        what = "the new run"
    else:
        same = [sum(found.get(name) == run[name] for name in run) for run in runs]
        faults.append(f"{sorted(found)}: {same[0]} files of the old run, {same[1]} of the new one")
    if writer.name == "checkpoint":
        read_checkpoint(folder / "state", "kill")
    return what, faults


def attack(
    chosen: tuple[Writer, ...], kills: float, seconds: float, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Kill writers in turn; return how often what was found, and the faults."""
    begun, outcomes, faults, done = time.monotonic(), Counter[str](), list[str](), 0
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="ecgcvx-kills-") as name:
        base = Path(name)
        made = [(writer, *reference(writer, base)) for writer in chosen]
        while done < kills and time.monotonic() - begun < seconds:
            writer, folder, runs, calls = made[done % len(made)]
            writer.write(folder, 0)
            random_moment = bool(random.random() < 0.3)
            step = math.inf if random_moment else int(random.integers(calls))
            child = start(lambda w=writer, f=folder, s=step: _killed_at(w, f, 1, s), base / "words")  # type: ignore[misc]
            if random_moment:
                child.send(signal.SIGKILL, float(random.uniform(0, writer.late)))
            ended = child.wait()
            what, wrong = judge(writer, folder, runs)
            if ended.killed != signal.SIGKILL and not random_moment:
                wrong.append(f"was not killed: {ended.words[-300:]}")
            outcomes[what] += 1
            when = "at a random moment" if random_moment else f"before call {step} of {calls}"
            if wrong:
                faults.append(f"{writer.name}, killed {when}: {wrong}")
                tell(f"FAULT {faults[-1]}")
            done += 1
    return {"kills": done, "outcomes": outcomes, "faults": faults}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    return processes.main(parser, "kills", lambda _, *limits: attack(writers(), *limits))


if __name__ == "__main__":
    sys.exit(main())
