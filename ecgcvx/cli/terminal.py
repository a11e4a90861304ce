"""What reaches a terminal. No text from outside is ever markup, and none of it can steer the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ecgcvx.text import clean

if TYPE_CHECKING:
    from ecgcvx.types import Progress

WIDEST = 400  # columns of a table at most
WIDE = 122  # columns of the widest tables


def one_line(text: str) -> str:
    """Return a message as one printable line."""
    return clean(text)


def show(*parts: Any, width: int | None = None) -> None:
    """Print lines of text and tables on standard output; lines are cleaned, and none of it is markup.

    A table that is wider than the terminal is wrapped by it, and never cut.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False, width=width)
    room = console.options.update(width=WIDEST)
    needed = [Measurement.get(console, room, part).maximum for part in parts if not isinstance(part, str)]
    console.width = max([console.width, *needed])
    for part in parts:
        if isinstance(part, str):
            console.print("\n".join(clean(line, longest=4000) for line in part.split("\n")))
        else:
            console.print(part)


@contextmanager
def progress_bar() -> "Iterator[Progress]":
    """Yield a callback for a line on the terminal; nothing is shown when standard error is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, markup=False, emoji=False)
    words = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), BarColumn(20), TimeElapsedColumn(), words)
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def progress(what: str, share: float | None) -> None:
            bar.update(task, description=clean(what), total=None if share is None else 1.0, completed=share or 0.0)

        yield progress
