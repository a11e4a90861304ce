"""Work side by side: every result once, and no process, traceback or half-written file after a signal at any moment."""

import os
import signal
import subprocess
import sys
import time

import pytest

from attack.processes import session, there
from ecgcvx.errors import InputError, SolverError
from ecgcvx.workers import side_by_side

WORK = '''
import os, signal, sys, time
from pathlib import Path
from ecgcvx.cli import commands
from ecgcvx.files import write_files
from ecgcvx.interruption import stoppable, wanted
from ecgcvx.workers import side_by_side

def work(task):
    """Write a folder for a second, and then wait in a loop that has something to keep."""
    Path(f"began-{task}").touch()
    def fill(folder):
        for k in range(10):
            (folder / f"{task}-{k}").write_text("whole")
            time.sleep(0.03)
    write_files(Path(str(task)), fill)
    with stoppable():
        while task >= SHORT and not wanted():
            time.sleep(0.01)
    return "kept" if wanted() else "whole"

def run(options):
    for task, words in side_by_side(work, range(TASKS), 2):
        print(task, words, flush=True)
    return 0

if __name__ == "__main__":
    import types
    commands.parse = lambda arguments: types.SimpleNamespace(command="doctor")
    commands.command = lambda name: types.SimpleNamespace(run=run)
    sys.exit(commands.main([]))
'''


def _square(number: int) -> int:
    return number * number


def _refuse(number: int) -> int:
    if number == 2:
        raise InputError("number = 2: it is refused")
    return number


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [1, 2, 7, None])
def test_every_task_has_its_result(jobs):
    assert sorted(side_by_side(_square, range(5), jobs)) == [(k, k * k) for k in range(5)]
    assert list(side_by_side(_square, (), jobs)) == []


def test_bound_workers_have_a_core_each():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("no affinities on this system")
    found = {core for _, core in side_by_side(_affinity, range(4), 2, bound=True)}
    assert found <= {(core,) for core in os.sched_getaffinity(0)}


def _affinity(_number: int) -> tuple[int, ...]:
    return tuple(os.sched_getaffinity(0))


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_task_raises_passes_through(jobs):
    with pytest.raises(InputError, match="number = 2: it is refused"):
        list(side_by_side(_refuse, range(4), jobs))


def test_a_process_that_dies_is_an_error_of_ours():
    with pytest.raises(SolverError, match="jobs = 2: a process ended"):
        list(side_by_side(_die, range(3), 2))


@pytest.fixture
def started(tmp_path):
    """Start the program above in a session of its own, in a folder of its own."""
    children = []

    def start(tasks: int, short: int) -> subprocess.Popen[str]:
        (tmp_path / "program.py").write_text(WORK.replace("TASKS", str(tasks)).replace("SHORT", str(short)))
        words = (tmp_path / "words").open("w")
        child = subprocess.Popen(
            [sys.executable, "-m", "program"], stdout=words, stderr=words, text=True, cwd=tmp_path,
            start_new_session=True,
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        if there(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _until(reached, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("group", [False, True], ids=["alone", "session"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("moment", "short", "whole"), [("starting", 0, 0), ("began-0", 0, None), ("0/0-9", 0, None), ("idle", 1, 2)]
)
def test_a_signal_at_any_moment_leaves_whole_files_and_no_process(
    started, tmp_path, moment, short, whole, number, group
):
    """starting: the workers import. idle: one task is done and one runs, so that a worker waits."""
    child = started(2, short)
    if moment == "starting":
        _until(lambda: len(list(session(child.pid))) >= 3)
    elif moment == "idle":
        _until(lambda: "0 whole" in (tmp_path / "words").read_text() and (tmp_path / "1" / "1-9").exists())
    else:
        _until((tmp_path / moment).exists)
    (os.killpg if group else os.kill)(child.pid, number)
    assert child.wait(60) == 130
    words = (tmp_path / "words").read_text()
    assert "Traceback" not in words
    assert "interrupted" in words
    _until(lambda: not there(child.pid))
    folders = [folder for folder in tmp_path.iterdir() if folder.is_dir() and folder.name.isdigit()]
    for folder in folders:
        assert sorted(file.name for file in folder.iterdir()) == [f"{folder.name}-{k}" for k in range(10)]
    if whole is not None:
        assert len(folders) == whole


def test_workers_end_with_the_program_that_is_killed(started, tmp_path):
    child = started(2, 0)
    _until((tmp_path / "1" / "1-9").exists)
    child.kill()
    child.wait()
    _until(lambda: not there(child.pid), 20.0)
