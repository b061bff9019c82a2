"""What only a browser shows: two tabs with a probe's tokens, and an operator who looks."""

import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import override
from urllib.parse import urlsplit

import typer

from infra.outbound import is_loopback

PAGE = Path(__file__).with_name("tab.html")
# It names the loader and its option, as the product has them.
HELPER = Path(__file__).parents[1] / "web" / "sdk.js"
LOOK = """\
Whether a session survives is seen only in a browser on this
machine. Two pages are served here, and each loads the Client
SDK with one of the two tokens.
"""
LOADED = "Open {url}\nDid the Client SDK load?"
AFTER_GENERATE = """\
A second token was generated. Wait half a minute.
Does the session in the first tab still work?"""
SECOND = "Open {url} in a second tab.\nDid the Client SDK load?"
AFTER_LOAD = "Wait half a minute. Does the session in the first tab still work?"
AGAIN = "Close the second tab, and reload the first.\nDid the Client SDK load in it?"


class Tabs(ThreadingHTTPServer):
    """Serve a page for each token, at addresses that nobody can guess."""

    daemon_threads = True

    def __init__(self, origin: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        stand_in = is_loopback(urlsplit(origin).hostname or "")
        # A fake Aurora brings its own loader; for a real one the helper knows the address.
        self._loader = f"{origin}/client-sdk-loader.next.js" if stand_in else ""
        self.folder = f"/{secrets.token_urlsafe(16)}/"
        helper = ("text/javascript", HELPER.read_bytes())
        self.files: dict[str, tuple[str, bytes]] = {f"{self.folder}{HELPER.name}": helper}

    def show(self, which: str, jwt: str) -> str:
        """Serve a page that loads the SDK with the token, and return its address."""
        tab = json.dumps({"which": which, "jwt": jwt, "loader": self._loader})
        # In HTML, JSON must not end the element that it is in.
        page = PAGE.read_text(encoding="utf-8").replace("TAB", tab.replace("<", "\\u003c"))
        path = f"{self.folder}{which}"
        self.files[path] = ("text/html; charset=utf-8", page.encode())
        return f"http://localhost:{self.server_port}{path}"


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
        """Log nothing: the address is a secret."""


class Sessions:
    """Ask about each moment of two sessions; `said` has the answers, None for what was skipped."""

    def __init__(self, tabs: Tabs) -> None:
        self._tabs = tabs
        self.said: dict[str, bool | None] = {}

    def first(self, jwt: str) -> None:
        typer.echo(LOOK, err=True)
        self.said["loader-option"] = _look(LOADED.format(url=self._tabs.show("first", jwt)))

    def second(self, jwt: str) -> None:
        """Have the first session looked at after the second generate, and load the second token."""
        if not self.said.get("loader-option"):
            return
        survived = self.said["session-after-generate"] = _look(AFTER_GENERATE)
        loaded = _look(SECOND.format(url=self._tabs.show("second", jwt)))
        # Once the first session is over, nothing that comes later is about it.
        if survived:
            self.said["second-session"] = loaded
            if loaded:
                self.said["session-after-load"] = _look(AFTER_LOAD)
        # A token that is refused beside an open session may be as good as before.
        if loaded:
            self.said["first-token-again"] = _look(AGAIN)


def choose(question: str, *answers: str) -> str:
    """Ask until one of the answers is typed, or how it begins."""

    def read(text: str) -> str:
        found = [each for each in answers if each.startswith(text.strip().lower())]
        if len(found) != 1:
            raise typer.BadParameter(f"type one of {', '.join(answers)}")
        return found[0]

    return str(typer.prompt(question, value_proc=read, err=True))


def _look(question: str) -> bool | None:
    answer = choose(f"{question} (yes, no, skip)", "yes", "no", "skip")
    return {"yes": True, "no": False}.get(answer)
