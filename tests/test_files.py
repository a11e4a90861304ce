"""A write happens as a whole or not at all."""

import os
import threading
from pathlib import Path

import pytest

from ecgcvx.errors import InputError
from ecgcvx.files import atomic_folder, atomic_write


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
