"""The fake Aurora at the wire: HTTP, and the faults that only a wire can have."""

import re
import socket
import threading
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override
from urllib.parse import parse_qsl, urlsplit

from infra.fake_aurora.behaviour import Fault
from infra.fake_aurora.client_sdk import FAREWELL, FILES, GREETING, PUSH, handshake
from infra.fake_aurora.control import control, parsed
from infra.fake_aurora.replies import Reply, shaped
from infra.fake_aurora.rules import Rules

MOST_BODY = 2_000_000
CALLS = (
    ("list_users", "GET", re.compile(r"/tenants/([^/]+)/users")),
    ("retrieve_user", "GET", re.compile(r"/tenants/([^/]+)/users/((?!invite$)[^/]+)")),
    ("invite_user", "POST", re.compile(r"/tenants/([^/]+)/users/invite")),
    ("generate_token", "POST", re.compile(r"/tenants/([^/]+)/users/([^/]+)/generate_token")),
)
# The stand-in for Aurora's Client SDK runs in a browser, on the demo page's origin.
BROWSER_PATHS = ("/_control/sessions", PUSH, *FILES)


class AuroraServer(ThreadingHTTPServer):
    """A thread per connection on loopback, serving from the moment it exists until `stop`."""

    daemon_threads = True
    # A storm of execution environments connects at once.
    request_queue_size = 512

    def __init__(self, aurora: Rules, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.aurora = aurora
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection; waits, delays and drips in progress end at once."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            _hang_up(connection)
        self.server_close()

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that go away: timing out is what many tests make them do."""


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side was faster.
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this, an answer waits 40 ms for the acknowledgement of its header.
    disable_nagle_algorithm = True
    server: AuroraServer

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: `GET /_control/calls` is the log."""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        method = self.command
        length = int(self.headers.get("Content-Length") or 0)
        if length > MOST_BODY:
            self.close_connection = True
            self._send(Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "too large"}))
            return
        body = self.rfile.read(length)
        path = urlsplit(self.path)
        try:
            if path.path.startswith(BROWSER_PATHS) and method == "OPTIONS":
                self._send(Reply(HTTPStatus.NO_CONTENT))
            elif path.path in FILES and method == "GET":
                file, content_type = FILES[path.path]
                self._send(Reply(HTTPStatus.OK, file.read_bytes(), content_type=content_type))
            elif path.path == PUSH and (key := self.headers.get("Sec-WebSocket-Key")):
                self.close_connection = True
                self._begin(HTTPStatus.SWITCHING_PROTOCOLS, handshake(key))
                self.wfile.write(GREETING)
                self.rfile.read(1)
                self.wfile.write(FAREWELL)
            elif path.path.startswith("/_control/"):
                if self._is_from_a_page(path.path):
                    self._send(Reply(HTTPStatus.FORBIDDEN, {"error": "not for web pages"}))
                    return
                self._send(control(self.server.aurora, method, path.path, parsed(body)))
            else:
                self._call(method, path.path, path.query, body)
        except OSError:
            # The client went away; there is nobody to tell.
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - The library's names.

    def _is_from_a_page(self, path: str) -> bool:
        """
        Tell whether a page directs the fake, which any that the developer visits could try.

        A simple POST asks no permission (CORS), so the origin that browsers name has to be read;
        a name that an attacker points to loopback (DNS rebinding) makes even that go away.
        """
        host = self.headers.get("Host", "").partition(":")[0]
        is_stand_in = path.startswith(BROWSER_PATHS)
        return host not in {"127.0.0.1", "localhost"} or (
            "Origin" in self.headers and not is_stand_in
        )

    # The three calls -----------------------------------------------------------------------

    def _call(self, method: str, path: str, query: str, body: bytes) -> None:
        matches = [(each, m) for each in CALLS if (m := each[2].fullmatch(path))]
        if not matches:
            self._send(Reply(HTTPStatus.NOT_IMPLEMENTED, {"error": "no such path in the fake"}))
            return
        if not (fitting := [each for each in matches if each[0][1] == method]):
            self._send(Reply(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "not this method"}))
            return
        (operation, _, _), match = fitting[0]
        argument: Any = match[match.lastindex or 1]
        if operation == "list_users":
            argument = dict(parse_qsl(query))
        elif operation == "invite_user":
            argument = parsed(body)
        aurora = self.server.aurora
        call, fault = aurora.begin(operation, str(argument))
        self._wait(aurora.behaviour.latency + (fault.seconds if fault.kind == "delay" else 0))
        reply = Reply(fault.status, {"error": {"message": "A fault."}}, fault.headers)
        if fault.kind not in {"status", "drop"}:
            version = self.headers.get(aurora.behaviour.version_header or "none")
            done = aurora.answer(
                operation, match[1], self._key(), argument, fault=fault, version=version
            )
            done = replace(done, headers=aurora.headers(operation) | done.headers)
            reply = reply if fault.kind == "status_after" else shaped(done, fault)
        # Before the answer leaves: a client that has it also finds it counted.
        call.answer = "dropped" if fault.kind in {"drop", "drop_after"} else int(reply.status)
        self._deliver(reply, fault)

    def _key(self) -> str:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        return key if scheme == "Bearer" else ""

    def _wait(self, seconds: float) -> None:
        self.server.stopping.wait(seconds)

    def _deliver(self, reply: Reply, fault: Fault) -> None:
        match fault.kind:
            case "drop" | "drop_after":
                self.close_connection = True
                _hang_up(self.connection)
            case "slow_drip":
                self._begin(reply.status, {"Content-Length": str(len(reply.content))})
                for byte in reply.content:
                    self.wfile.write(bytes([byte]))
                    self._wait(fault.seconds)
            case "delay_after":
                self._wait(fault.seconds)
                self._send(reply)
            case _:
                self._send(reply)

    # Writing -----------------------------------------------------------------------------------

    def _send(self, reply: Reply) -> None:
        headers = {"Content-Type": reply.content_type, **reply.headers}
        if reply.status != HTTPStatus.NO_CONTENT:
            headers["Content-Length"] = str(len(reply.content))
        self._begin(reply.status, headers)
        self.wfile.write(reply.content)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.path.startswith(BROWSER_PATHS):
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Methods", "GET, POST, DELETE")
            self.send_header("Access-Control-Allow-Headers", "content-type")
        self.end_headers()
