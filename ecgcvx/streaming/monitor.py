"""A page that shows a stream in the browser, fed by lines of NDJSON.

ECG and forecast on ECG grid (25 mm/s, 10 mm/mV) with the interval that was made for each sample, residual, score and
active patterns, as they come. The page is served
to one host, asks nobody else for anything, and answers nothing to a request that names another host or comes from
another origin, so that no web page that is open beside it can read the signal.

The server is that of the standard library, a thread a page: a handful of pages need no more, and an ASGI server would
be two dependencies for one stream of events. A page that falls behind misses samples, it holds up nobody.
"""

import json
import math
import secrets
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

PAGE = Path(__file__).resolve().parent / "monitor_page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/monitor.css": ("monitor.css", "text/css; charset=utf-8"),
    "/monitor.js": ("monitor.js", "text/javascript; charset=utf-8"),
}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
KEPT = 8192  # samples for a page that opens or comes back: 22 s at 360 Hz
LONGEST = 1 << 20  # bytes of a line
BEAT = 0.05  # s between events at least
SILENCE = 5.0  # s after which an event without samples shows that the line is up
STUCK = 10.0  # s that a page may take to read
PAGES = 16  # at once
FARTHEST = 1 << 16  # samples ahead that an interval is kept for
NUMBERS = ("time", "sample", "prediction", "residual", "score")


class Entry(NamedTuple):
    """A sample, its number since the start, and what the page draws of it.

    events : found by this sample: from when, how long (s), and score of each. band : ends (mV) of the widest interval
    that was made for this sample, `horizon` samples before it.
    """

    number: int
    values: tuple[float | None, ...]
    alarm: bool
    patterns: tuple[int, ...]
    emptied: str
    outside: bool
    events: tuple[tuple[float, float, float], ...] = ()
    band: tuple[float, float] | None = None


class Feed:
    """The last samples, for any number of readers; no reader holds up the writer."""

    def __init__(self, title: str = "") -> None:
        self.run, self.title = secrets.token_hex(4), title
        self.ended = False
        self.malformed = 0
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0
        self._ahead: deque[tuple[float, float] | None] = deque(maxlen=1)  # intervals of samples to come
        self._news = threading.Condition()

    def read(self, source: BinaryIO) -> None:
        """Take all lines of a source, then note the end; one that is longer than `LONGEST` bytes is malformed."""
        try:
            while line := source.readline(LONGEST):
                if len(line) == LONGEST and not line.endswith(b"\n"):
                    while (rest := source.readline(LONGEST)) and not rest.endswith(b"\n"):
                        pass
                    self._skip()
                elif line.strip():
                    self._take(line)
        finally:
            with self._news:
                self.ended = True
                self._news.notify_all()

    def after(self, number: int, wait: float) -> list[Entry]:
        """The samples kept with a larger number, as soon as there are any, the stream ends or the time is over."""
        with self._news:
            self._news.wait_for(lambda: self._count > number or self.ended, wait)
            new = min(self._count - number, len(self._entries))
            return [self._entries[len(self._entries) - new + i] for i in range(new)] if new > 0 else []

    def _take(self, line: bytes) -> None:
        try:
            found = json.loads(line)
            values = tuple(_number(found.get(name)) for name in NUMBERS)
            patterns = tuple(int(neuron) for neuron in found.get("patterns", ()))
            kept = (
                values,
                bool(found.get("alarm", False)),
                patterns,
                str(found.get("emptied", ""))[:8],
                bool(found.get("outside", False)),
                tuple(_event(one) for one in found.get("events", ())),
                self._due(found),
            )
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            self._skip()
            return
        with self._news:
            self._count += 1
            self._entries.append(Entry(self._count, *kept))
            self._news.notify_all()

    def _due(self, found: dict[str, Any]) -> tuple[float, float] | None:
        """The widest interval that fell due with a line, or None; keeps that of the line for later."""
        horizon, made = found.get("horizon", 1), found.get("intervals", {})
        if isinstance(horizon, bool) or not isinstance(horizon, int) or not 1 <= horizon <= FARTHEST:
            raise ValueError
        widest = max(made, key=float, default=None)
        low, high = (None, None) if widest is None else map(_number, made[widest])
        own = None if low is None or high is None else (low, high)
        if self._ahead.maxlen != horizon:
            self._ahead = deque(maxlen=horizon)
        if found.get("emptied") == "jump":
            self._ahead.clear()
        due = self._ahead[0] if len(self._ahead) == horizon else None
        self._ahead.append(own)
        return None if found.get("residual") is None else due

    def _skip(self) -> None:
        """Count a line that cannot be read; what was made for samples to come is not known to be theirs any more."""
        self.malformed += 1
        self._ahead.clear()


def _event(found: Any) -> tuple[float, float, float]:
    start, length, score = (_number(found[name]) for name in ("time_s", "length_s", "score"))
    if start is None or length is None or score is None:
        raise ValueError
    return start, length, score


def _number(value: Any) -> float | None:
    if value is None:
        return None
    found = float(value)
    return found if math.isfinite(found) else None


class Monitor(ThreadingHTTPServer):
    """The page and its events."""

    daemon_threads = True

    def __init__(self, host: str, port: int, feed: Feed) -> None:
        self.feed = feed
        self.places = threading.BoundedSemaphore(PAGES)
        self.closing = threading.Event()  # before the port is bound: where that fails, the server is closed
        super().__init__((host, port), Handler)
        names = {host, "127.0.0.1", "localhost"} if host in ("127.0.0.1", "localhost") else {host}
        self.hosts = {f"{name}:{self.server_port}" for name in names}

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{self.server_address[0]!s}:{self.server_port}/"

    def server_close(self) -> None:
        """Let go of the port and of the pages."""
        self.closing.set()
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed is no error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Files and events, for our own page on our own host only."""

    server: Monitor
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "ecgcvx", ""
    timeout = STUCK

    def do_GET(self) -> None:
        """Serve the page, its two files, or the events."""
        if not self._ours():
            self._refuse(403)
        elif self.path == "/events":
            self._events()
        elif self.path in FILES:
            name, kind = FILES[self.path]
            self._answer(200, kind, (PAGE / name).read_bytes())
        else:
            self._refuse(404)

    def log_message(self, format: str, *args: Any) -> None:
        """No log of requests: standard error belongs to the stream."""

    def _ours(self) -> bool:
        """Whether the request names this host (a foreign name could point here) and comes from no other origin."""
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            return False
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self.server.hosts}:
            return False
        return self.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin") or self.path == "/"

    def _refuse(self, status: int) -> None:
        self._answer(status, "text/plain; charset=utf-8", b"")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        if not self.server.places.acquire(blocking=False):
            self._refuse(503)
            return
        try:
            self.close_connection = True
            self.send_response(200)
            for name, value in (HEADERS | {"Content-Type": "text/event-stream", "Connection": "close"}).items():
                self.send_header(name, value)
            self.end_headers()
            self._stream()
        finally:
            self.server.places.release()

    def _stream(self) -> None:
        """Events from where the page left off, or from the oldest sample kept."""
        feed = self.server.feed
        run, _, last = self.headers.get("Last-Event-ID", "").partition("-")
        number = int(last) if run == feed.run and last.isdecimal() else 0
        self.wfile.write(b"retry: 1000\n\n")
        closing = self.server.closing
        while not closing.is_set():
            entries = feed.after(number, SILENCE)
            event = {
                "run": feed.run, "title": feed.title, "numbers": [entry.number for entry in entries],
                **{name: [entry.values[i] for entry in entries] for i, name in enumerate(NUMBERS)},
                "alarm": [int(entry.alarm) for entry in entries], "patterns": [entry.patterns for entry in entries],
                "emptied": [entry.emptied for entry in entries], "outside": [int(entry.outside) for entry in entries],
                "band": [entry.band for entry in entries],
                "events": [event for entry in entries for event in entry.events], "malformed": feed.malformed,
                "ended": feed.ended and not entries,
            }  # fmt: skip
            number = entries[-1].number if entries else number
            data = json.dumps(event, allow_nan=False, separators=(",", ":"))
            self.wfile.write(f"id: {feed.run}-{number}\ndata: {data}\n\n".encode())
            if event["ended"]:
                closing.wait(SILENCE)  # the line stays up: the page shows the end, not an error
            closing.wait(BEAT)
