"""Standard input, output and error as a command finds them: closed, full, or with a reader that has gone."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from ecgcvx.text import clean

REFUSED = 2  # exit code
STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


class Forgiving:
    """A standard error that loses what cannot be written: nobody could be told of that."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text where that is possible; its length."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush where that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guarded(run: Callable[[], int]) -> int:
    """Run a command and return its exit code.

    A stream that is closed is as /dev/null. Where standard output cannot be written (a full disk) that is one line on
    standard error and exit code 2; a reader that has gone (`| head -1`) is an end like another.
    """
    with _streams():
        try:
            try:
                return run()
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            _discard_output()
            return 0
        except OSError as error:
            # Files are written and read by functions that say which; what is left without a name is standard output.
            _discard_output()
            name = "standard output" if error.filename is None else clean(error.filename)
            print(f"ecgcvx: {name}: {error.strerror or error}", file=sys.stderr)
            return REFUSED


@contextmanager
def _streams() -> Iterator[None]:
    for number, (name, mode) in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode))
    before = sys.stderr
    sys.stderr = Forgiving(before)
    try:
        yield
    finally:
        sys.stderr = before


def _discard_output() -> None:
    """Python flushes once more at its end, and would complain."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
