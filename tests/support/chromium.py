"""A Chromium for browser tests, and a small site on loopback for tests without another server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from infra.web.chromium import chromium_arguments, chromium_path
from tests.support.loopback import Reply, Request, answering, as_json

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


LOADER = b"export const load = async (options) => ({ loadedWith: options });"


@dataclass
class Site:
    """
    Serve the helper, an empty page, a loader, and a `/token` that gives one answer after the other.

    What is put into `files` by its path, with its content type, is served as well; what a page
    posts to `/report` is put into `reports`.
    """

    answers: list[Any] = field(default_factory=list)
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    asked: int = 0
    reports: Queue[bytes] = field(default_factory=Queue)
    url: str = ""

    def answer(self, request: Request) -> Reply:
        path = urlsplit(request.path).path
        if request.method == "POST" and path == "/report":
            self.reports.put(request.body)
            return as_json({})
        if request.method == "POST":
            self.asked += 1
            return as_json(self.answers[min(self.asked, len(self.answers)) - 1])
        served = {
            "/": (b"<!doctype html><title>Test</title>", "text/html"),
            "/loader.js": (LOADER, "text/javascript"),
            **{name: (file.read_bytes(), "text/javascript") for name, file in MODULES.items()},
            **self.files,
        }
        if path not in served:
            return 404, b"", {}
        content, kind = served[path]
        return 200, content, {"Content-Type": kind}


@contextmanager
def site() -> Iterator[Site]:
    """Serve until the block ends."""
    site = Site()
    with answering(site.answer) as server:
        site.url = f"http://localhost:{server.server_port}"
        yield site
