"""
Serve the demo page of infra/web on loopback, with the headers that it would have in production.

Beside the fake Aurora, the page's buttons make a queue, an outage and a takeover by
`POST /scenes/NAME`. The server takes that from this page alone, and tells the fake Aurora.
"""

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override
from urllib.parse import urlsplit

import urllib3

from infra.local.outputs import Outputs
from infra.web.demo_files import (
    CONTENT_TYPES,
    FILES,
    SDK_SOURCES,
    at_one_origin,
    security_headers,
)

# What each button does at the fake Aurora, for the next call that generates a token.
SCENES: dict[str, dict[str, Any]] = {
    "queue": {"status": 429, "headers": {"Retry-After": "15"}},
    "outage": {"status": 503},
}
LARGEST = 16_384
ANSWERS_WITHIN = 5


class Demo(ThreadingHTTPServer):
    """A static file server that adds the page's configuration and its Content-Security-Policy."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://localhost:{self.server_port}"
        self.config: dict[str, str | bool] = {}
        self.headers = security_headers(sdk={}, connects=())
        # Where the fake Aurora takes orders; none where another Aurora was named.
        self.control = ""

    def configure(self, outputs: Outputs, *, environment: str | None = None) -> None:
        """
        Tell the page where everything is, and allow it exactly that.

        `environment` is Aurora's own that the stack calls, None for the fake Aurora, which brings a
        stand-in for the SDK.
        """
        self.config = {
            "issuer": outputs.issuer,
            "client_id": outputs.client_id,
            "token_url": outputs.token_url,
        }
        sdk = at_one_origin(outputs.aurora_url)
        if environment:
            # The helper has the address of Aurora's own loader.
            sdk = SDK_SOURCES[environment]
        else:
            self.control = f"{outputs.aurora_url}/_control"
            self.config |= {
                "loader_url": f"{outputs.aurora_url}/client-sdk-loader.next.js",
                "token_option": "token",
                "stand_in": True,
            }
        self.headers = security_headers(
            sdk=sdk, connects=[outputs.issuer, outputs.aws_endpoint_url]
        )


class _Handler(BaseHTTPRequestHandler):
    server: Demo

    def do_GET(self) -> None:
        name = urlsplit(self.path).path.removeprefix("/") or "index.html"
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in {"127.0.0.1", "localhost"}:
            # A name that an attacker points to 127.0.0.1 (DNS rebinding).
            self.send_error(HTTPStatus.FORBIDDEN)
        elif name == "config.json":
            self._send(json.dumps(self.server.config).encode(), ".json")
        elif file := FILES.get(name):
            self._send(file.read_bytes(), file.suffix)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        name = self.path.removeprefix("/scenes/")
        size = int(self.headers.get("Content-Length") or 0)
        control = self.server.control
        if not control or name not in {*SCENES, "takeover"}:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self.headers.get("Origin") != self.server.url or size > LARGEST:
            self.send_error(HTTPStatus.FORBIDDEN)
        else:
            body = self.rfile.read(size)
            if name == "takeover":
                answer = urllib3.request(
                    "POST", f"{control}/sessions", body=body, timeout=ANSWERS_WITHIN
                )
            else:
                fault = {"operation": "generate_token", "kind": "status"} | SCENES[name]
                answer = urllib3.request(
                    "PUT", f"{control}/faults", json={"faults": [fault]}, timeout=ANSWERS_WITHIN
                )
            if answer.status < HTTPStatus.BAD_REQUEST:
                self._send(b"{}", ".json")
            else:
                self.send_error(answer.status)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: `make run` prints its own lines."""

    def _send(self, body: bytes, suffix: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPES[suffix])
        self.send_header("Content-Length", str(len(body)))
        for header, value in self.server.headers.items():
            self.send_header(header, value)
        # The page is edited while it is served.
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
