"""A write happens as a whole or not at all."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ecgcvx.errors import InputError
from ecgcvx.files import atomic_folder, atomic_write, settle, write_files
from ecgcvx.interruption import signals, wanted


def fail_half_way(stream):
    stream.write(b"half")
    raise KeyboardInterrupt


def test_write_creates_and_replaces(tmp_path):
    target = tmp_path / "model.bin"
    atomic_write(target, lambda stream: stream.write(b"old"))
    atomic_write(str(target), lambda stream: stream.write(b"new"))
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_written_file_has_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    atomic_write(tmp_path / "atomic", lambda stream: None)
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("before", [None, b"old"])
def test_interrupted_write_leaves_what_was_there(tmp_path, before):
    target = tmp_path / "model.bin"
    if before is not None:
        target.write_bytes(before)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(target, fail_half_way)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if before is None else [before])


def test_write_refuses_missing_folder_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"missing.model\.bin: cannot be written .*; choose") as caught:
        atomic_write(tmp_path / "missing" / "model.bin", lambda stream: None)
    assert "\n" not in str(caught.value)


def test_write_onto_a_folder_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError):
        atomic_write(tmp_path / "taken", lambda stream: None)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_folder_appears_filled_under_missing_parents(tmp_path):
    target = tmp_path / "a" / "b"
    atomic_folder(target, lambda folder: (folder / "file").write_bytes(b"x"))
    assert (target / "file").read_bytes() == b"x"
    assert list(target.parent.iterdir()) == [target]


def test_interrupted_folder_leaves_nothing(tmp_path):
    def fill(folder):
        (folder / "file").write_bytes(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_folder(tmp_path / "target", fill)
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_faster_process_stays(tmp_path):
    target = tmp_path / "target"

    def fill(folder):
        (folder / "mine").write_bytes(b"x")
        target.mkdir()
        (target / "theirs").write_bytes(b"y")

    atomic_folder(target, fill)
    assert [path.name for path in target.iterdir()] == ["theirs"]


def test_a_device_or_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    atomic_write(pipe, lambda stream: stream.write(b"new"))
    reader.join(20)
    assert found == [b"new"]
    assert pipe.is_fifo()
    atomic_write(os.devnull, lambda stream: stream.write(b"new"))
    assert not Path(os.devnull).is_file()
    if Path("/dev/full").exists():
        with pytest.raises(InputError, match=r"/dev/full: cannot be written \(No space left"):
            atomic_write("/dev/full", lambda stream: stream.write(b"new"))


def test_a_link_stays_one(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    atomic_write(tmp_path / "link", lambda stream: stream.write(b"new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.fixture
def two_runs(tmp_path):
    """A folder that holds a run of three files, and how another run writes two."""
    for name in ("model.safetensors", "metrics.json", "sparsity.csv"):
        (tmp_path / name).write_text(f"old {name}")

    def fill(scratch):
        for name in ("model.safetensors", "metrics.json"):
            (scratch / name).write_text(f"new {name}")
        return "made"

    return tmp_path, fill


def content(folder):
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_files_that_belong_together_replace_those_of_an_earlier_run(two_runs):
    folder, fill = two_runs
    assert write_files(folder, fill, without=("sparsity.csv", "sparsity.png")) == "made"
    assert content(folder) == {name: f"new {name}" for name in ("model.safetensors", "metrics.json")}


@pytest.mark.parametrize("step", range(7))
def test_killed_at_any_step_the_folder_is_of_one_run_for_who_reads_it(two_runs, monkeypatch, step):
    """Every rename and removal is a step; a kill is an error that nothing catches, not even to tidy up."""
    folder, fill = two_runs
    before, done = content(folder), []

    class Killed(BaseException):
        pass

    def counted(function):
        def call(*arguments, **options):
            done.append(arguments)
            if len(done) > step:
                raise Killed
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        patched.setattr("ecgcvx.files.rmtree", lambda *_, **__: None)
        for name in ("rename", "replace"):
            patched.setattr(f"os.{name}", counted(getattr(os, name)))
        for name in ("unlink", "rmdir"):
            patched.setattr(Path, name, counted(getattr(Path, name)))
        with pytest.raises(Killed):
            write_files(folder, fill, without=("sparsity.csv",))
    settle(folder)
    found = {name: text for name, text in content_of_files(folder).items() if not name.startswith(".")}
    new = {name: f"new {name}" for name in ("model.safetensors", "metrics.json")}
    made = any(arguments[-1] == folder / ".made" and len(arguments) == 2 for arguments in done[:step])
    assert made == (step > 1)  # the first step looks for what an earlier run left
    assert found == (new if made else before)
    assert not (folder / ".made").exists()


def content_of_files(folder):
    return {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}


def test_ctrl_c_waits_for_files_that_are_being_written(two_runs):
    folder, fill = two_runs

    def slowly(scratch):
        os.kill(os.getpid(), signal.SIGINT)
        return fill(scratch)

    with signals():
        write_files(folder, slowly)
        assert wanted()
    assert content(folder)["model.safetensors"] == "new model.safetensors"


def test_an_error_while_files_are_made_leaves_the_old_ones_and_no_scratch(two_runs):
    folder, _ = two_runs
    before = content(folder)

    def fail(scratch):
        (scratch / "metrics.json").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_files(folder, fail)
    assert content(folder) == before


def test_scratch_of_a_run_that_was_killed_goes_with_time(two_runs):
    folder, fill = two_runs
    for name, age in ((".writing-old", 7200), (".writing-of-another-run", 5)):
        (folder / name).mkdir()
        os.utime(folder / name, (time.time() - age,) * 2)
    write_files(folder, fill)
    assert [name.name for name in folder.glob(".*")] == [".writing-of-another-run"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.out: cannot be made"):
        write_files(tmp_path / "file" / "out", lambda scratch: None)
