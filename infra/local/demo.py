"""
Serve the demo page of infra/web on loopback, with the headers that it would have in production.
"""

from __future__ import annotations

import json
import mimetypes
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, override
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.stack import Outputs

PAGE = Path(__file__).parents[1] / "web"
# What belongs to the page; the folder also holds Python and type declarations.
SUFFIXES = {".html", ".js", ".css", ".svg", ".json", ".map"}


class Demo(ThreadingHTTPServer):
    """
    A static file server that adds the page's configuration and its Content-Security-Policy.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://localhost:{self.server_port}"
        self.config: dict[str, str] = {}
        self.policy = "default-src 'none'"

    def configure(self, outputs: Outputs) -> None:
        """
        Tell the page where everything is, and allow it exactly that.
        """
        # The stand-in for Aurora's loader comes from the fake Aurora; Aurora's own has its address
        # in the helper.
        self.config = {
            "issuer": outputs.issuer,
            "client_id": outputs.client_id,
            "token_url": outputs.token_url,
            "loader_url": f"{outputs.aurora_url}/client-sdk-loader.next.js",
            "aurora_url": outputs.aurora_url,
        }
        self.policy = (
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            f"script-src 'self' {outputs.aurora_url}; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' {outputs.issuer} {outputs.aws_endpoint_url} {outputs.aurora_url}"
        )


@contextmanager
def demo_page(port: int) -> Iterator[Demo]:
    """
    Serve the page until the block ends.
    """
    demo = Demo(port)
    thread = threading.Thread(target=demo.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield demo
    finally:
        demo.shutdown()
        thread.join()
        demo.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Demo

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/config.json":
            self._send(json.dumps(self.server.config).encode(), "application/json")
            return
        file = (PAGE / path.lstrip("/")).resolve()
        if path.endswith("/"):
            file /= "index.html"
        if file.is_relative_to(PAGE) and file.suffix in SUFFIXES and file.is_file():
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            self._send(file.read_bytes(), kind)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """
        Log nothing: `make run` prints its own lines.
        """

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        # The page is edited while it is served.
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
