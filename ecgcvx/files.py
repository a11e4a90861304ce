"""Writes that either happen as a whole or leave nothing behind: temporary name in the same folder, fsync, rename."""

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ecgcvx.errors import InputError

ROOM = 1 << 20  # bytes that a result may take


def atomic_write(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Call `write` on a binary stream and put what it wrote at `path`, replacing what was there.

    A link stays one, and what it points to is replaced. What is no file (/dev/stdout, a named pipe) is written to as it
    is, never replaced.

    Raises
    ------
    InputError
        when the folder is missing, is not writable or has no space left. Whatever `write` raises passes through.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        _write_to(path, write)
        return
    path = Path(os.path.realpath(path))
    # Not tempfile.mkstemp: its files are readable by their owner only, and the rename would keep that.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose a writable folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(folder: str | Path, room: int = ROOM) -> None:
    """Make a folder and try to write `room` bytes into it, so that no result of long work is without a place.

    Raises InputError when that is not possible.
    """
    folder = Path(folder)
    probe = folder / f".probe-{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(probe, "xb") as stream:
                stream.write(bytes(room))
                stream.flush()
                os.fsync(stream.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"output = {folder}: cannot be written ({error.strerror}); name another folder") from None


def check_file(path: str | Path) -> None:
    """Check as `check_folder` that a file can be written where it is to be; its folder is not made.

    Raises InputError when that is not possible.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        return
    folder = Path(os.path.realpath(path)).parent
    if path.is_dir() or not folder.is_dir():
        reason = "it is a folder" if path.is_dir() else "its folder is missing"
        raise InputError(f"{path}: cannot be written ({reason}); name a file in a folder that exists")
    check_folder(folder)


def _write_to(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write to a device or a pipe."""
    try:
        with open(path, "wb") as stream:
            write(stream)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); name a file") from error


def atomic_folder(path: str | Path, fill: Callable[[Path], object]) -> None:
    """Call `fill` on an empty folder and rename that to `path`, unless another process has made that folder meanwhile.

    Missing parents are made. `fill` puts files directly into its folder. Errors, of the file system too, pass through.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        folder = Path(scratch) / path.name
        folder.mkdir()
        fill(folder)
        for file in folder.iterdir():
            with open(file, "rb+") as stream:
                os.fsync(stream.fileno())
        try:
            folder.rename(path)
        except OSError:
            if not path.is_dir():
                raise
