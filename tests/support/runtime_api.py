"""Lambda's Runtime API for one environment, as far as its runtime client uses it."""

import json
import queue
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from tests.support.loopback import Handler

FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:token-vendor:live"


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One event on its way into an environment; the deadline is in milliseconds since the epoch."""

    id: str
    event: dict[str, Any]
    deadline_ms: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out: the handler's response, or the error that it or its import raised."""

    invocation_id: str
    response: Any = None
    error: str = ""


@dataclass
class RuntimeApi:
    """Hand out what lies in `events`, collect what comes back in `outcomes`."""

    events: queue.Queue[Invocation | None] = field(default_factory=queue.Queue)
    outcomes: queue.Queue[Outcome] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self._server = _Server(self)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port; a runtime that still asks for its next event is refused."""
        self.events.put(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: RuntimeApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about runtimes that were killed in the middle of a request."""


class _Handler(Handler, BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path.endswith("/restore/next"):
            # SnapStart: the snapshot was taken, and is restored at once.
            self.answer(HTTPStatus.OK, b"{}", {})
            return
        invocation = self.server.api.events.get()
        if invocation is None:
            self.close_connection = True
            return
        self.answer(
            HTTPStatus.OK,
            json.dumps(invocation.event).encode(),
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
            },
        )

    def do_POST(self) -> None:
        body = self.body()
        *_, invocation_id, what = self.path.split("/")
        if what == "response":
            outcome = Outcome(invocation_id=invocation_id, response=json.loads(body))
        else:
            outcome = Outcome(invocation_id=invocation_id, error=body.decode())
        self.answer(HTTPStatus.ACCEPTED, b"{}", {})
        self.server.api.outcomes.put(outcome)
