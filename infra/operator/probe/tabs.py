"""
Two tabs on loopback, each of which loads the Client SDK with one of a probe's tokens.
"""

import json
import secrets
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import override
from urllib.parse import urlsplit

from infra.web.loopback import serving

PAGE = Path(__file__).with_name("tab.html")
# It names the loader and its option, as the product has them.
HELPER = Path(__file__).parents[2] / "web" / "sdk.js"
LOOPBACK = {"127.0.0.1", "localhost"}


class Tabs(ThreadingHTTPServer):
    """
    Serve a page for each token, at addresses that nobody can guess.
    """

    daemon_threads = True

    def __init__(self, origin: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        stand_in = urlsplit(origin).hostname in LOOPBACK
        # A fake Aurora brings its own loader; for a real one the helper knows the address.
        self._loader = f"{origin}/client-sdk-loader.next.js" if stand_in else ""
        self.folder = f"/{secrets.token_urlsafe(16)}/"
        helper = ("text/javascript", HELPER.read_bytes())
        self.files: dict[str, tuple[str, bytes]] = {f"{self.folder}{HELPER.name}": helper}

    def show(self, which: str, jwt: str) -> str:
        """
        Serve a page that loads the SDK with the token, and return its address.
        """
        tab = json.dumps({"which": which, "jwt": jwt, "loader": self._loader})
        # In HTML, JSON must not end the element that it is in.
        page = PAGE.read_text(encoding="utf-8").replace("TAB", tab.replace("<", "\\u003c"))
        path = f"{self.folder}{which}"
        self.files[path] = ("text/html; charset=utf-8", page.encode())
        return f"http://localhost:{self.server_port}{path}"


def open_tabs(origin: str) -> AbstractContextManager[Tabs]:
    """
    Serve until the block ends.
    """
    return serving(Tabs(origin))


class _Handler(BaseHTTPRequestHandler):
    server: Tabs

    def do_GET(self) -> None:
        if self.path not in self.server.files:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        kind, body = self.server.files[self.path]
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """
        Log nothing: the address is a secret.
        """
