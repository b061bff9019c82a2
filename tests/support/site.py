"""A site on loopback, for tests that need one which is not the project's."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, override

from infra.web.loopback import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def site(files: Mapping[str, str]) -> Iterator[str]:
    """Serve texts by path until the block ends; `files` may change meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = files.get(self.path)
            self.send_response(404 if text is None else 200)
            self.send_header(
                "Content-Type", "text/html" if self.path == "/" else "application/json"
            )
            self.end_headers()
            self.wfile.write((text or "").encode())

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"
