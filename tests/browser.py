"""Pages in a real browser, headless: what they print on the console, whom they ask for what, what they look like."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
REQUIRED = "ECGCVX_REQUIRE_BROWSER"  # set in continuous integration: there a missing browser is an error
QUIET = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run")  # fmt: skip
OURSELVES = ("127.0.0.1", "localhost", "::1")
PHONE, DESKTOP = (360, 740), (1280, 900)  # CSS px


@dataclass
class Visit:
    """A page and what happened on it: `errors` of console and scripts, `requests` by URL."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def external(self) -> list[str]:
        """Requests that left this machine."""
        parts = ((url, urlsplit(url)) for url in self.requests)
        return [url for url, part in parts if part.scheme not in ("file", "data", "blob") and not _ours(part.hostname)]

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    @property
    def nameless(self) -> list[str]:
        """Start tags of the images and drawings without a text alternative."""
        return list(
            self.page.evaluate(
                """[...document.querySelectorAll('img, svg, canvas, [role=img]')].filter(element => {
                    if (element.closest('[aria-hidden=true]')) return false;
                    const title = [...element.children].find(child => child.tagName.toLowerCase() === 'title');
                    const labels = (element.getAttribute('aria-labelledby') || '').split(' ').filter(Boolean);
                    const text = [element.getAttribute('alt'), element.getAttribute('aria-label'),
                                  title && title.textContent,
                                  ...labels.map(id => document.getElementById(id)?.textContent)];
                    return !text.some(words => words && words.trim());
                }).map(element => element.outerHTML.slice(0, 120))"""
            )
        )


class Browser:
    """A running browser; see the fixture `browser`."""

    def __init__(self, process: Any) -> None:
        self._process = process

    @contextmanager
    def visit(
        self, address: str | Path, size: tuple[int, int] = DESKTOP, scheme: str = "light", scripts: bool = True
    ) -> Iterator[Visit]:
        """Open a file or URL in a fresh window of `size` CSS px; scheme: 'light' or 'dark'; scripts: let them run."""
        context = self._process.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, java_script_enabled=scripts
        )
        try:
            visit = Visit(context.new_page())
            visit.page.on("console", lambda line: visit.errors.append(line.text) if line.type == "error" else None)
            visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
            visit.page.on("request", lambda request: visit.requests.append(request.url))
            visit.page.goto(address.resolve().as_uri() if isinstance(address, Path) else address)
            yield visit
        finally:
            context.close()


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start a browser and stop it; skip the test, with the reason, where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _missing("playwright is not installed; pip install playwright")
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), None) or playwright.chromium.executable_path
        if not Path(path).exists():
            _missing(f"no browser found ({', '.join(NAMES)}); install chromium")
        process = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield Browser(process)
        finally:
            process.close()


def _missing(reason: str) -> None:
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason} ({REQUIRED} = 1 asks for it)")
    pytest.skip(reason)


def _ours(host: str | None) -> bool:
    return host in OURSELVES
