"""A site on loopback for pages that use the browser helper."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

from tests.support.loopback import Reply, Request, answering, as_json
from tests.support.npm import WEB

MODULES = {
    f"/{name}": WEB / name for name in ("aurora-token.js", "sdk.js", "sources.js", "hooks.js")
}
OWN = {
    "/": (b"<!doctype html><title>Test</title>", "text/html"),
    "/loader.js": (
        b"export const load = async (options) => ({ loadedWith: options });",
        "text/javascript",
    ),
}


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
        if path in self.files:
            content, kind = self.files[path]
        elif path in MODULES:
            content, kind = MODULES[path].read_bytes(), "text/javascript"
        elif path in OWN:
            content, kind = OWN[path]
        else:
            return 404, b"", {}
        return 200, content, {"Content-Type": kind}


@contextmanager
def site() -> Iterator[Site]:
    """Serve until the block ends."""
    site = Site()
    with answering(site.answer) as server:
        site.url = f"http://localhost:{server.server_port}"
        yield site
