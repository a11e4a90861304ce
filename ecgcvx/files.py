"""Writes that either happen as a whole or leave nothing behind: temporary name in the same folder, fsync, rename.

Several files that belong together go through `write_files`: they are made in a scratch folder, which one rename makes
the new content of their folder. What is killed before that leaves the old files; what is killed after it is finished by
whoever next reads or writes there (`settle`).
"""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO, TypeVar

from ecgcvx.errors import InputError
from ecgcvx.interruption import keep, keeping

SCRATCH, MADE, ABSENT = ".writing-", ".made", ".absent"
STALE = 3600.0  # s: a scratch folder of that age belongs to no one any more
Result = TypeVar("Result")

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
        keep()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose a writable folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(folder: str | Path, room: int = ROOM) -> None:
    """Try to write `room` bytes into a folder, so that no result of long work is without a place; leave nothing.

    Raises InputError when that is not possible.
    """
    folder = Path(folder)
    probe = folder / f".probe-{secrets.token_hex(8)}"
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(probe, "xb") as stream:
                stream.write(bytes(room))
                stream.flush()
                os.fsync(stream.fileno())
        finally:
            probe.unlink(missing_ok=True)
            with suppress(OSError):  # of another process that uses it already
                for one in missing:
                    one.rmdir()
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


def write_files(folder: Path, fill: Callable[[Path], Result], without: Sequence[str] = ()) -> Result:
    """Call `fill` on an empty folder and move the files that it makes into `folder`, all of them or none.

    without : files of an earlier run that go where `fill` makes no others of their name. Ctrl-C waits for the end.

    Raises
    ------
    InputError
        when the folder cannot be made or written. Other errors of `fill` pass through.
    """
    with keeping():
        make_folder(folder)
        settle(folder)
        _remove_stale(folder)
        try:
            scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder))
        except OSError as error:
            raise InputError(f"output = {folder}: cannot be written ({error.strerror}); name another folder") from None
        try:
            result = fill(scratch)
            absent = [name for name in without if not (scratch / name).exists()]
            (scratch / ABSENT).write_text(json.dumps(absent), encoding="utf-8")
            for file in scratch.iterdir():
                _sync(file)
            os.rename(scratch, folder / MADE)
            keep()
        except OSError as error:
            raise InputError(f"output = {folder}: cannot be written ({error.strerror}); name another folder") from error
        finally:
            rmtree(scratch, ignore_errors=True)
        settle(folder)
        return result


def settle(folder: Path) -> None:
    """Finish what `write_files` had made whole but not moved when it was killed; nothing where there is no such thing.

    A folder that cannot be written is left as it is.
    """
    made = folder / MADE
    with suppress(OSError, ValueError):
        if (made / ABSENT).exists():
            for name in json.loads((made / ABSENT).read_text(encoding="utf-8")):
                (folder / Path(name).name).unlink(missing_ok=True)
            # The model last, as metrics name the model that they belong to.
            for file in sorted(made.iterdir(), key=lambda file: (file.suffix == ".safetensors", file.name)):
                if file.name != ABSENT:
                    os.replace(file, folder / file.name)
            (made / ABSENT).unlink()
        made.rmdir()


def make_folder(folder: Path) -> None:
    """Make an output folder; InputError when that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output = {folder}: cannot be made ({error.strerror}); name another folder") from None


def _remove_stale(folder: Path) -> None:
    with suppress(OSError):
        for left in folder.glob(f"{SCRATCH}*"):
            if time.time() - left.stat().st_mtime > STALE:
                rmtree(left, ignore_errors=True)


def _sync(file: Path) -> None:
    with open(file, "rb+") as stream:
        os.fsync(stream.fileno())
