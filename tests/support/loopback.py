"""How servers of tests speak HTTP: connections stay open, and an answer is one write."""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, override


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # One write per answer: headers and body in two would cost a round trip.
    wbufsize = -1

    def body(self) -> bytes:
        """Read the body of the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: what a test needs to know, its server collects."""
