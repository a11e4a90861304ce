"""What reaches a terminal. No text from outside is ever markup, and none of it can steer the terminal."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ecgcvx.text import clean

if TYPE_CHECKING:
    from rich.console import Console

    from ecgcvx.types import Progress

WIDEST = 400  # columns of a table at most
LOG = logging.getLogger("ecgcvx")
LINE_SECONDS = 5.0  # between two lines where there is no terminal


def one_line(text: str) -> str:
    """Return a message as one printable line."""
    return clean(text)


def show(*parts: Any) -> None:
    """Print lines of text and tables on standard output; lines are cleaned, and none of it is markup.

    A table that is wider than the terminal is wrapped by it, and never cut.
    """
    from rich.measure import Measurement

    console = _console(soft_wrap=True, highlight=False)
    room = console.options.update(width=WIDEST)
    needed = [Measurement.get(console, room, part).maximum for part in parts if not isinstance(part, str)]
    console.width = max([console.width, *needed])
    for part in parts:
        if isinstance(part, str):
            console.print("\n".join(clean(line, longest=4000) for line in part.split("\n")))
        else:
            console.print(part)


def _console(**options: Any) -> "Console":
    """A console that prints text as it is, and leaves a reader that has gone to `standard.guarded`."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Plain(markup=False, emoji=False, **options)


@contextmanager
def progress_bar() -> "Iterator[Progress]":
    """Yield a callback that shows on standard error what is being done.

    On a terminal that is a bar, whose text is cut to what fits; elsewhere a line every `LINE_SECONDS`, so that a log
    shows that something goes on. `--verbose` writes a line for every message, `--quiet` nothing.
    """
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    console = _console(stderr=True)
    if not console.is_terminal or LOG.isEnabledFor(logging.DEBUG):
        yield _lines()
        return
    words = TextColumn(
        "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
    )
    columns = (SpinnerColumn(), BarColumn(20), TimeElapsedColumn(), words)
    shown = LOG.isEnabledFor(logging.INFO)
    with Bars(*columns, console=console, transient=True, expand=True, disable=not shown) as bar:
        task = bar.add_task("", total=None)

        def progress(what: str, share: float | None) -> None:
            bar.update(task, description=clean(what), total=None if share is None else 1.0, completed=share or 0.0)

        yield progress


def _lines() -> "Progress":
    """A callback that writes lines: all of them at DEBUG, one every `LINE_SECONDS` at INFO."""
    started = time.monotonic()
    last = started

    def progress(what: str, share: float | None) -> None:
        nonlocal last
        now = time.monotonic()
        level = logging.INFO if now - last >= LINE_SECONDS else logging.DEBUG
        if level == logging.INFO:
            last = now
        part = "" if share is None else f" ({100 * share:.0f} %)"
        LOG.log(level, "%.0f s: %s%s", now - started, clean(what), part)

    return progress


def set_messages(verbose: bool, quiet: bool) -> None:
    """Let the logger `ecgcvx` write to standard error: everything, or nothing but what goes wrong."""
    LOG.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    LOG.propagate = False
    for old in list(LOG.handlers):
        LOG.removeHandler(old)
    handler = logging.StreamHandler()  # standard error as it is now
    handler.setFormatter(logging.Formatter("ecgcvx: %(message)s"))
    LOG.addHandler(handler)
