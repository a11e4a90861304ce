"""Short runs of the harnesses that kill and interrupt, and that they see what is wrong."""

import signal
import time

import pytest

from attack import interrupts, kills
from attack.processes import Ended, start

CASE = interrupts.Case("fit", ("record",), 1.0)


def test_no_kill_leaves_files_of_two_runs():
    found = kills.attack(kills.cheap_writers(), 24, float("inf"), 1, print)
    assert found["kills"] == 24
    assert found["faults"] == []
    assert set(found["outcomes"]) == {"the old run", "the new run"}


def test_a_writer_of_one_file_after_the_other_is_caught():
    def one_by_one(folder, k):
        for name in ("a", "b", "c"):
            (folder / name).write_text(f"run {k}")

    found = kills.attack((kills.Writer("one by one", one_by_one, 0.01),), 12, float("inf"), 0, lambda line: None)
    assert "1 files of the old run" in str(found["faults"]) or "2 files of the old run" in str(found["faults"])


def test_a_child_is_interrupted_and_its_time_after_that_is_known(tmp_path):
    def work():
        try:
            while True:
                sum(range(1000))
        except KeyboardInterrupt:
            begun = time.process_time()
            while time.process_time() - begun < 0.1:
                pass
            print("interrupted", flush=True)
            return 130

    child = start(work, tmp_path / "words")
    child.send(signal.SIGINT, after=0.05)
    ended = child.wait()
    assert (ended.code, ended.killed, ended.words, ended.left) == (130, None, "interrupted\n", False)
    assert 0.05 <= ended.after < 5


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"code": 0}, "exit code 0"),
        ({"code": None, "killed": 15}, "signal 15"),
        ({"words": "interrupted\nTraceback (most recent call last)"}, "a traceback"),
        ({"words": "done"}, "not a word"),
        ({"left": True}, "a process is left"),
        ({"after": 2.5}, "2.5 s of processor time"),
    ],
)
def test_what_is_wrong_with_an_interrupted_command_is_seen(tmp_path, change, fault):
    right = {"code": 130, "killed": None, "words": interrupts.BEFORE, "after": 0.5, "left": False}
    what, faults = interrupts.judge(CASE, Ended(**right | change), tmp_path)
    assert what == "nothing kept"
    assert faults == [] if fault is None else fault in str(faults)


def test_files_that_are_not_told_of_or_not_whole_are_seen(tmp_path):
    ended = Ended(130, None, interrupts.BEFORE, 0.5, False)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metrics.json").write_text("{}")
    _, faults = interrupts.judge(CASE, ended, tmp_path)
    assert "says that there was nothing, and wrote files" in faults
    assert "missing: ['model.safetensors'" in str(faults)
