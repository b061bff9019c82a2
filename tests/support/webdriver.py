"""
Drive a browser by W3C WebDriver: Firefox by its own port, WebKitGTK by its driver program.

Firefox speaks WebDriver over HTTP only by geckodriver, which Debian does not have. Marionette, the
protocol behind it, has the same commands: https://firefox-source-docs.mozilla.org/testing/marionette/
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import urllib3

from infra.local.processes import free_port
from tests.support.engines import firefox, mini_browser, started

STARTS_WITHIN = 120  # Seconds, on a busy machine.
ANSWERS_WITHIN = 120
PATIENCE = 120
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # The specification's own name.
# By Marionette's names, how the specification has them over HTTP.
OVER_HTTP = {
    "Navigate": ("POST", "url"),
    "Refresh": ("POST", "refresh"),
    "ExecuteScript": ("POST", "execute/sync"),
    "FindElement": ("POST", "element"),
    "ElementClick": ("POST", "element/{id}/click"),
    "GetWindowHandles": ("GET", "window/handles"),
    "SwitchToWindow": ("POST", "window"),
    "CloseWindow": ("DELETE", "window"),
}


class Transport(Protocol):
    """Carries one command to a browser, and gives what it answers."""

    def send(self, command: str, **parameters: Any) -> Any: ...


class Driver:
    """A browser with one tab after the other in front."""

    def __init__(self, transport: Transport) -> None:
        self._send = transport.send

    def open(self, url: str) -> None:
        self._send("Navigate", url=url)

    def reload(self) -> None:
        self._send("Refresh")

    def evaluate(self, expression: str, *arguments: Any) -> Any:
        return self._send("ExecuteScript", script=f"return {expression};", args=list(arguments))

    def click(self, selector: str) -> None:
        self._send("ElementClick", id=self._visible(selector))

    def wait_until(self, condition: str, *arguments: Any) -> None:
        """Wait for a JavaScript expression to be true; raise AssertionError with it otherwise."""
        until = time.monotonic() + PATIENCE
        while not self.evaluate(condition, *arguments):
            if time.monotonic() > until:
                page = self.evaluate("document.documentElement?.textContent")
                raise AssertionError(f"not {condition} {arguments}, but:\n{page}")
            time.sleep(0.05)

    def reads(self, selector: str, text: str) -> None:
        """Wait until an element is in sight with a text that contains this one."""
        found = "(document.querySelector(arguments[0])?.checkVisibility()"
        self.wait_until(
            f"{found} && document.querySelector(arguments[0]).textContent.includes(arguments[1]))",
            selector,
            text,
        )

    def text(self, selector: str) -> str:
        return str(self.evaluate("document.querySelector(arguments[0]).textContent", selector))

    def tabs(self) -> list[str]:
        handles: list[str] = self._send("GetWindowHandles")
        return handles

    def switch_to(self, tab: str) -> None:
        self._send("SwitchToWindow", handle=tab)

    def close_tab(self) -> None:
        self._send("CloseWindow")

    def _visible(self, selector: str) -> str:
        self.wait_until("document.querySelector(arguments[0])?.checkVisibility()", selector)
        found = self._send("FindElement", using="css selector", value=selector)
        return str(found[ELEMENT])


@contextmanager
def webdriver(engine: str, home: Path) -> Iterator[Driver]:
    """Start a browser with an empty profile until the block ends; skip where there is none."""
    with {"firefox": _firefox, "webkit": _webkit}[engine](home) as transport:
        yield Driver(transport)


@contextmanager
def _firefox(home: Path) -> "Iterator[_Marionette]":
    command = [*firefox(home, marionette_port=0), "--marionette"]
    with started(command, home):
        port = _until(lambda: int((home / "MarionetteActivePort").read_text()))
        # A socket stays open for as long as the file that was made of it.
        with (
            socket.create_connection(("127.0.0.1", port), ANSWERS_WITHIN) as connection,
            connection.makefile("rb") as answers,
        ):
            yield _Marionette(connection, answers)


@contextmanager
def _webkit(home: Path) -> "Iterator[_HTTP]":
    browser = mini_browser()
    port = free_port(0)
    with started(["xvfb-run", "--auto-servernum", "WebKitWebDriver", f"--port={port}"], home):
        options = {"binary": browser, "args": ["--automation"]}
        yield _until(
            lambda: _HTTP(f"http://127.0.0.1:{port}", {"webkitgtk:browserOptions": options})
        )


class _Marionette:
    """A message is a JSON array behind its length: [0, number, command, parameters]."""

    def __init__(self, connection: socket.socket, answers: BinaryIO) -> None:
        self._connection = connection
        self._file = answers
        self._read()  # Which version it is.
        self.send("NewSession")

    def send(self, command: str, **parameters: Any) -> Any:
        text = json.dumps([0, 1, f"WebDriver:{command}", parameters]).encode()
        self._connection.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self._read()
        assert error is None, error
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def _read(self) -> Any:
        length = b""
        while (byte := self._file.read(1)) != b":":
            assert byte, "Firefox has gone"
            length += byte
        return json.loads(self._file.read(int(length)))


class _HTTP:
    """Each command is a request, as https://www.w3.org/TR/webdriver2/ has it."""

    def __init__(self, url: str, capabilities: dict[str, Any]) -> None:
        self._url = f"{url}/session"
        opened = self._request("POST", self._url, {"capabilities": {"alwaysMatch": capabilities}})
        self._url += f"/{opened['sessionId']}"

    def send(self, command: str, **parameters: Any) -> Any:
        method, path = OVER_HTTP[command]
        return self._request(method, f"{self._url}/{path.format(**parameters)}", parameters)

    @staticmethod
    def _request(method: str, url: str, parameters: dict[str, Any]) -> Any:
        body = {"json": parameters} if method == "POST" else {}
        answer = urllib3.request(method, url, timeout=ANSWERS_WITHIN, retries=False, **body)
        value = answer.json()["value"]
        assert answer.status == 200, value
        return value


def _until[T](attempt: Callable[[], T]) -> T:
    """Try until it is there."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        with suppress(OSError, ValueError, urllib3.exceptions.HTTPError):
            return attempt()
        time.sleep(0.05)
    raise AssertionError("the browser does not start")
