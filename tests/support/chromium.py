"""A Chromium for browser tests, and a small site on loopback for tests without another server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from infra.web.chromium import chromium_arguments, chromium_path
from infra.web.loopback import serving
from tests.support.loopback import Handler

ROOT = Path(__file__).parents[2]
WEB = ROOT / "infra" / "web"
MODULES = {
    f"/{name}": WEB / name for name in ("aurora-token.js", "sdk.js", "sources.js", "hooks.js")
}


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """
    Start the installed Chromium, with `more` arguments.

    Its absence fails the tests, because skipping would hide them.
    """
    path = chromium_path()
    if path is None:
        pytest.fail("no Chromium: python -m infra.web.chromium installs it or says how")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*chromium_arguments(), *more]
        )
        try:
            yield browser
        finally:
            browser.close()


class Site(ThreadingHTTPServer):
    """
    Serve the helper, an empty page, a loader, and a `/token` that counts and is slow.

    What is put into `files` by its path, with its content type, is served as well; what a page
    posts to `/report` is put into `reports`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://localhost:{self.server_port}"
        self.answers: list[bytes] = []
        self.files: dict[str, tuple[bytes, str]] = {}
        self.asked = 0
        self.reports: Queue[bytes] = Queue()
        self.release = threading.Event()


@contextmanager
def site() -> Iterator[Site]:
    """Serve until the block ends."""
    with serving(Site()) as server:
        try:
            yield server
        finally:
            server.release.set()


LOADER = b"export const load = async (options) => ({ loadedWith: options });"


class _Handler(Handler, BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if file := self.server.files.get(urlsplit(self.path).path):
            self._send(*file)
            return
        match self.path:
            case "/":
                self._send(b"<!doctype html><title>Test</title>", "text/html")
            case "/loader.js":
                self._send(LOADER, "text/javascript")
            case path if module := MODULES.get(path):
                self._send(module.read_bytes(), "text/javascript")
            case _:
                self.answer(404, b"", {})

    def do_POST(self) -> None:
        body = self.body()
        if self.path == "/report":
            self.server.reports.put(body)
            self._send(b"{}")
            return
        index, self.server.asked = self.server.asked, self.server.asked + 1
        self.server.release.wait(120)
        self._send(self.server.answers[min(index, len(self.server.answers) - 1)])

    def _send(self, body: bytes, kind: str = "application/json") -> None:
        self.answer(200, body, {"Content-Type": kind})
