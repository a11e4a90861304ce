"""Reading that may never end: a file on a network file system that stalls."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from threading import Thread
from typing import TypeVar

from ecgcvx.errors import InputError

Result = TypeVar("Result")


def in_time(read: Callable[[], Result], name: str, seconds: float) -> Result:
    """What `read` gives, or its error; InputError naming `name` where it is not there after so many seconds.

    A system call that does not return cannot be ended; it is left to a thread that ends with the process.
    """
    found: Future[Result] = Future()

    def run() -> None:
        try:
            found.set_result(read())
        except BaseException as error:  # whatever it is belongs to who waits
            found.set_exception(error)

    Thread(target=run, daemon=True, name=f"reading {name}").start()
    try:
        return found.result(seconds)
    except NotInTime:
        if found.done():  # a TimeoutError of the reading itself
            raise
        raise InputError(
            f"{name}: not read after {seconds:g} s; the file system may have stalled: look whether it is there, "
            "copy the record, or allow more time (--read-limit S)"
        ) from None
