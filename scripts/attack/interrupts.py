"""Ctrl-C and SIGTERM at random moments of every command: it ends soon, keeps what is whole, and says what it kept.

    python scripts/attack/interrupts.py --interrupts 40
    python scripts/attack/interrupts.py --only "fit.*--prove" --seconds 120

A fault is: an exit code other than 130, a traceback, a process that is left, a folder that is not whole, files that are
written without a word or a word of none, more than 2 s of processor time until the work has stopped (and what writing
the files of that command takes on top of it).
"""

import argparse
import json
import re
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
from attack.processes import Ended, command, start
from ecgcvx.interruption import INTERRUPTED

ROOT = Path(__file__).resolve().parents[2]
RECORD = str(ROOT / "data" / "mitdb208" / "208")
STOP = 2.0  # s of processor time
WRITING = {"fit": 8.0, "interpret": 8.0, "compare": 4.0, "path": 3.0, "generate": 4.0}
"""Seconds of processor time that a command takes to write what it keeps, figures for the most part."""
FILES = {"predict": "forecast.csv", "fill": "filled.csv", "interpret": "report.html", "export": "model.c"}
"""Where the output of a command is not a folder."""
NOT_RESULTS = ("words", "checkpoint.safetensors")
BEFORE = "interrupted before there was a result"


class Case(NamedTuple):
    """A command on a part of the record: its arguments, and the processor seconds among which a signal comes."""

    name: str
    arguments: tuple[str, ...]
    longest: float
    output: bool = True


def records(folder: Path) -> tuple[list[str], list[str], str]:
    """Write small records: three tables of parts of the record, four annotated 'patients', and one with gaps."""
    import wfdb

    signal = np.asarray(wfdb.rdrecord(RECORD).p_signal[:, 0])
    random, tables, patients = np.random.default_rng(0), list[str](), list[str]()
    for k in range(3):
        part = signal[k * 20_000 : k * 20_000 + 12_000]
        tables.append(str(folder / f"part{k}.csv"))
        np.savetxt(tables[-1], part, header="ECG (mV)", comments="", fmt="%.3f")
    for k in range(4):
        part = signal[k * 27_000 : (k + 1) * 27_000]
        wfdb.wrsamp(
            f"patient{k}", fs=360, units=["mV"], sig_name=["MLII"], p_signal=part[:, None], fmt=["212"],
            write_dir=str(folder),
        )  # fmt: skip
        beats = np.arange(300, len(part) - 300, 280)
        symbols = np.where(random.random(len(beats)) < 0.3, "V", "N")
        wfdb.wrann(f"patient{k}", "atr", beats, symbol=symbols.tolist(), write_dir=str(folder))
        patients.append(str(folder / f"patient{k}"))
    gaps = signal[:100_000].copy()
    gaps[(random.integers(100, len(gaps) - 100, 300)[:, None] + np.arange(12)).ravel()] = np.nan
    np.savetxt(folder / "gaps.csv", gaps, header="ECG (mV)", comments="", fmt="%.3f")
    return tables, patients, str(folder / "gaps.csv")


def cases(folder: Path, model: Path) -> tuple[Case, ...]:
    """Every command that takes any time. folder : for records, model : of a fit."""
    minute, rate = (RECORD, "--end", "60"), ("--sampling-frequency", "360")
    tables, patients, gaps = records(folder)
    return (
        Case("fit", (*minute,), 14.0),
        Case("fit", (*minute, "--beta", "1e-4"), 8.0),
        Case("fit", (*minute, "--beta", "1e-3", "--tolerance", "1e-2", "--check"), 10.0),
        Case("fit", (*minute, "--beta", "1e-3", "--prove", "10"), 10.0),
        Case("fit", (*minute, "--network", "gated"), 8.0),
        Case("fit", (*minute, "--network", "relu", "--patterns", "8", "--solver", "admm", "--beta", "1e-3"), 4.0),
        Case("fit", (*minute, "--network", "relu", "--patterns", "8", "--solver", "osqp", "--beta", "1e-3"), 6.0),
        Case("fit", (*minute, "--network", "relu", "--patterns", "8", "--solver", "cvxpy", "--beta", "1e-3"), 6.0),
        Case("fit", (*minute, "--network", "polynomial"), 5.0),
        Case("fit", (*minute, "--network", "stack"), 20.0),
        Case("fit", (*minute, "--network", "stack", "--average", "2", "--joint", "3"), 30.0),
        Case("fit", (*tables, *rate, "--jobs", "1", "--beta", "1e-4"), 12.0),
        Case("fit", (*tables, *rate, "--jobs", "2", "--beta", "1e-4"), 16.0),
        Case("fit", (*tables, *rate, "--evaluate", "pooled", "--network", "gated", "--beta", "1e-4"), 3.0),
        Case("path", (*minute,), 12.0),
        Case("path", (*minute, "--network", "gated"), 6.0),
        Case("compare", (*minute, "--runs", "2", "--seconds", "0.3", "--jobs", "2"), 10.0),
        Case("compare", (*minute, "--runs", "2", "--seconds", "0.3", "--jobs", "1"), 10.0),
        Case("predict", (str(model), RECORD), 1.0),
        Case("certify", (str(model), *minute, "--seconds", "20"), 10.0, output=False),
        Case("interpret", (str(model), *minute), 15.0),
        Case("generate", (*minute, "--class", "N", "V", "--kind", "relu", "--count", "50"), 10.0),
        Case("denoise", (*minute,), 1.0),
        Case("stream", (str(model), "--record", RECORD, "--speed", "1"), 1.0, output=False),
        Case("monitor", ("--port", "0"), 0.5, output=False),
        Case("classify", ("train", *patients), 8.0),
        Case("classify", ("train", *patients, "--prove", "10", "--taps", "9", "--beta", "1e-3"), 8.0),
        Case("fill", (gaps, *rate), 3.0),
        Case("explain", (str(model), *minute, "--at", "20"), 1.0, output=False),
        Case("export", (str(model), "--format", "c"), 0.3),
    )  # fmt: skip


def run(case: Case, folder: Path, number: int, after: float, group: bool) -> Ended:
    """Run a command and send it a signal after some processor seconds."""
    arguments = [case.name, *case.arguments]
    if case.output:
        arguments += ["--output", str(folder / FILES.get(case.name, "out"))]
    child = start(command(arguments), folder / "words")
    child.send(number, after, group)
    return child.wait()


def judge(case: Case, ended: Ended, folder: Path) -> tuple[str, list[str]]:
    """What came out, and what is wrong with it."""
    if ended.after is None:
        return "ended before", []
    faults = []
    if ended.code != INTERRUPTED:
        faults.append(f"exit code {ended.code}, signal {ended.killed}")
    if "Traceback" in ended.words:
        faults.append("a traceback")
    if ended.left:
        faults.append("a process is left")
    if "interrupted" not in ended.words.lower() and case.name != "monitor":
        faults.append("not a word on it")
    files = [file for file in folder.rglob("*") if file.is_file() and file.name not in NOT_RESULTS]
    hidden = [file.name for file in files if any(part.startswith(".") for part in file.relative_to(folder).parts)]
    if hidden:
        faults.append(f"scratch is left: {hidden}")
    if BEFORE in ended.words and files:
        faults.append("says that there was nothing, and wrote files")
    written = bool(files)
    limit = STOP + (WRITING.get(case.name, 0.0) if written else 0.0)
    if ended.after > limit:
        faults.append(f"{ended.after:.1f} s of processor time after the signal")
    single = case.name == "fit" and not {"--jobs", "--evaluate"} & set(case.arguments)
    if single and written:
        faults += whole(folder / "out", ended.words)
    return "kept" if written else "nothing kept", faults


def whole(folder: Path, words: str) -> list[str]:
    """What is wrong with the folder of an interrupted fit that said `words`."""
    from ecgcvx.model_file import digest, load
    from ecgcvx.report.training import read_training

    names = {file.name for file in folder.iterdir()}
    missing = {"model.safetensors", "metrics.json", "predictions.png", "report.html"} - names
    if missing:
        return [f"missing: {sorted(missing)}"]
    faults = []
    own = digest(load(folder))
    training = read_training(folder, own)
    if training is None:
        return ["metrics of another model"]
    metrics = json.loads((folder / "metrics.json").read_text())
    said = metrics["interrupted"]  # None: when the results were written
    if said is not None and not (said.startswith("interrupted") and said in words):
        faults.append("metrics.json does not say how it was interrupted")
    report = (folder / "report.html").read_text()
    if own[:16] not in report or ("was interrupted" in report) != (said is not None):
        faults.append("the report does not say whether it was interrupted")
    if metrics["models"][-1]["name"] != "convex":
        faults.append("no convex network")
    return faults


def attack(
    only: str | None, interrupts: float, seconds: float, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Interrupt commands in turn, or those that the pattern `only` fits; return how often what came out, and faults."""
    begun, outcomes, faults, done = time.monotonic(), Counter[str](), list[str](), 0
    slowest: dict[str, float] = {}
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="ecgcvx-interrupts-") as name:
        base = Path(name)
        model = base / "model"
        made = start(command(["fit", RECORD, "--end", "60", "--beta", "1e-2", "--output", str(model)]), base / "words")
        assert made.wait().code == 0
        chosen = [case for case in cases(base, model) if re.match(only or "", " ".join((case.name, *case.arguments)))]
        while done < interrupts and time.monotonic() - begun < seconds:
            case = chosen[done % len(chosen)]
            folder = base / str(done)
            folder.mkdir()
            number = (signal.SIGINT, signal.SIGTERM)[int(random.integers(2))]
            after, group = float(random.uniform(0.05, case.longest)), bool(random.random() < 0.5)
            ended = run(case, folder, number, after, group)
            what, wrong = judge(case, ended, folder)
            outcomes[what] += 1
            words = f"{case.name} {' '.join(case.arguments[1:])}: {signal.Signals(number).name} after {after:.2f} s"
            took = "" if ended.after is None else f", ended {ended.after:.2f} s later"
            fault = f"; FAULT {wrong}" if wrong else ""
            tell(f"{words}{' to its session' if group else ''}{took}: {what}{fault}")
            if wrong:
                faults.append(f"{words}: {wrong}\n{ended.words[-1500:]}")
            if ended.after is not None:
                slowest[case.name] = round(max(slowest.get(case.name, 0.0), ended.after), 2)
            done += 1
    return {"interrupts": done, "outcomes": outcomes, "slowest": slowest, "faults": faults}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help="a pattern of command lines, e.g. 'fit.*--prove'")
    return processes.main(parser, "interrupts", lambda options, *limits: attack(options.only, *limits))


if __name__ == "__main__":
    sys.exit(main())
