"""Ctrl-C and SIGTERM: one place knows that the work is to stop.

    with keeping():               # there is something to keep: a signal is noted, and raised in loops alone
        with stoppable() as run:  # a loop whose state is whole at any moment: KeyboardInterrupt ends it, and no more
            ...
        if run.stopped:
            ...
        if not wanted():          # what comes later is not begun
            ...

Solvers wrap their loops in `stoppable`. A run of several phases is inside `keeping`, so that a signal between two loops
does not lose what the first one found; it asks `wanted` before every phase. A program installs `signals` once, which
makes SIGTERM the same as Ctrl-C. Without `keeping` KeyboardInterrupt is raised wherever the program is.

Python drops what is raised in a callback of C code or in a destructor; a KeyboardInterrupt that is lost there is raised
again a moment later.
"""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

INTERRUPTED = 130  # exit code
ENDING = (signal.SIGINT, signal.SIGTERM)
_RAISE, _NOTE = True, False
_MOMENT = 0.02  # s until a KeyboardInterrupt that was lost is raised again


class _Scope:
    """What the process knows: whether the work is to stop, and what each block around the main thread wants done."""

    def __init__(self) -> None:
        self.wanted = False
        self.kept = False
        self.depth = 0
        self.modes: list[bool] = []
        self.hook = sys.unraisablehook

    @property
    def raises(self) -> bool:
        """Whether a signal raises KeyboardInterrupt where the main thread is."""
        return not self.modes or self.modes[-1] is _RAISE


_scope = _Scope()


def wanted() -> bool:
    """Whether a signal has asked the work to stop."""
    return _scope.wanted


def kept() -> bool:
    """Whether anything was written since the outermost block of `signals` or `keeping` began, also just after it."""
    return _scope.kept


def keep() -> None:
    """Note that something was written and stays."""
    _scope.kept = True


def check() -> None:
    """Raise KeyboardInterrupt where the work is to stop: between the steps of work of which nothing can be kept."""
    if _scope.wanted:
        raise KeyboardInterrupt


class stoppable:
    """A block that KeyboardInterrupt ends, and nothing else with it. stopped : whether it did."""

    def __init__(self) -> None:
        self.stopped = False

    def __enter__(self) -> Self:
        _push(_RAISE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        _pop()
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            return False
        note()
        self.stopped = True
        return True


@contextmanager
def raising() -> Iterator[None]:
    """A block of which nothing can be kept: KeyboardInterrupt leaves it, inside `keeping` too."""
    _push(_RAISE)
    try:
        yield
    except KeyboardInterrupt:
        note()
        raise
    finally:
        _pop()


@contextmanager
def keeping() -> Iterator[None]:
    """A block that has something to keep: signals are noted, and raised in its stoppable blocks alone.

    Where Python handles Ctrl-C as usual, the block handles it. Only the main thread can do so.
    """
    with _handled((signal.SIGINT,), signal.default_int_handler):
        _push(_NOTE)
        try:
            yield
        finally:
            _pop()


@contextmanager
def signals() -> Iterator[None]:
    """A program: SIGTERM does what Ctrl-C does, and what was noted is known until its end."""
    with _handled((signal.SIGINT,), signal.default_int_handler), _handled((signal.SIGTERM,), signal.SIG_DFL):
        yield


def deaf() -> None:
    """Make a worker process ignore signals that end a program, but inside its tasks, which are `hearing` them."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def hearing() -> Iterator[None]:
    """A task of a worker process that is `deaf`: Ctrl-C and SIGTERM do what they do in a program."""
    with _handled(ENDING, signal.SIG_IGN):
        yield


@contextmanager
def _handled(numbers: tuple[int, ...], usual: object) -> Iterator[None]:
    """Handle signals where they are handled as usual; the outermost block forgets what was noted."""
    if not _main():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    ours = {number: handler for number, handler in before.items() if handler is usual or handler == usual}
    _scope.depth += 1
    if _scope.depth == 1:
        _scope.kept = False
        _scope.hook, sys.unraisablehook = sys.unraisablehook, _lost
    for number in ours:
        signal.signal(number, _handle)
    try:
        if ours and not _scope.modes:
            check()  # a signal may have come while its handler was being set
        yield
    finally:
        _scope.depth -= 1
        if not _scope.depth:
            sys.unraisablehook = _scope.hook
        if not _scope.depth:
            _scope.wanted = False
        for number, handler in ours.items():
            signal.signal(number, handler)


def _handle(number: int, frame: FrameType | None) -> None:
    note()
    if _between(frame):
        _again(outside=False)
    elif _scope.raises:
        raise KeyboardInterrupt


def _between(frame: FrameType | None) -> bool:
    """Whether the program is on the way into a block, or out of it: here, or in `signal.signal` called from here."""
    while frame is not None and frame.f_code.co_filename == signal.__file__:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == __file__


def _lost(what: "sys.UnraisableHookArgs") -> None:
    """What Python calls with an exception that it has to drop."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        _again(outside=True)
    else:
        _scope.hook(what)


def _again(outside: bool) -> None:
    """Raise KeyboardInterrupt in the main thread in a moment, once it is in a block that it ends, or `outside` all."""

    def interrupt() -> None:
        if not (_scope.depth and _scope.wanted):
            return
        if not (outside or _scope.modes):
            _again(outside)
        elif _scope.raises:
            _thread.interrupt_main()

    timer = threading.Timer(_MOMENT, interrupt)
    timer.daemon = True
    timer.start()


def note() -> None:
    """Ask the work to stop, as a signal does; forgotten where nothing would look at it."""
    if _scope.depth:
        _scope.wanted = True


def _push(mode: bool) -> None:
    if _main():
        _scope.modes.append(mode)


def _pop() -> None:
    if _main():
        _scope.modes.pop()


def _main() -> bool:
    return threading.current_thread() is threading.main_thread()
