"""Writes that either happen as a whole or leave nothing behind: temporary name in the same folder, fsync, rename."""

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ecgcvx.errors import InputError


def atomic_write(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Call `write` on a binary stream and put what it wrote at `path`, replacing what was there.

    Raises
    ------
    InputError
        when the folder is missing, is not writable or has no space left. Whatever `write` raises passes through.
    """
    path = Path(path)
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
