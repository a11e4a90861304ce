"""Fixtures that several test modules use."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, running_browser

# A shell starts what it runs in the background with Ctrl-C ignored; tests of Ctrl-C are to be the same there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def record_208() -> Path:
    """Path, without extension, of the record that ships with the project."""
    return Path(__file__).resolve().parent.parent / "data" / "mitdb208" / "208"


# Not for the session: playwright keeps an event loop running in this thread, in which no other test could start one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser; the test is skipped where there is none, and fails there if one is required."""
    with running_browser() as found:
        yield found


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch):
    """Standard error holds no line that says how long a slow machine has been at it."""
    from ecgcvx.cli import terminal

    monkeypatch.setattr(terminal, "LINE_SECONDS", float("inf"))
