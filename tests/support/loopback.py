"""A server of a test's own: a function answers what it is asked."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from infra.web.loopback import serving

type Reply = tuple[int, bytes, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: Message
    body: bytes


type Answering = Callable[[Request], Reply | None]


def as_json(body: Any, status: int = 200, kind: str = "application/json") -> Reply:
    return status, json.dumps(body).encode(), {"Content-Type": kind}


class Server(ThreadingHTTPServer):
    """A free port; where the function answers None, the connection ends without an answer."""

    daemon_threads = True

    def __init__(self, answer: Answering) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = answer
        self.url = f"http://127.0.0.1:{self.server_port}"

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that was killed while it waited is nobody's fault.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def answering(answer: Answering) -> Iterator[Server]:
    """Have a function answer until the block ends, in a thread for each connection."""
    with serving(Server(answer)) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # One write per answer: headers and body in two would cost a round trip.
    wbufsize = -1

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(method=self.command, path=self.path, headers=self.headers, body=body)
        reply = self.server.reply(request)
        if reply is None:
            self.close_connection = True
            return
        status, answer, headers = reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()

    do_POST = do_DELETE = do_CONNECT = do_GET  # noqa: N815 - the library's names.

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: what a test needs to know, its function collects."""
