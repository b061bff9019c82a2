"""Lambda's Runtime API for one environment, as far as its runtime client uses it."""

import json
import queue
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.support.loopback import Reply, Request, answering

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
        self._serving = ExitStack()
        server = self._serving.enter_context(answering(self._answer))
        self.address = f"127.0.0.1:{server.server_port}"

    def stop(self) -> None:
        """Close the port; a runtime that still asks for its next event is refused."""
        self.events.put(None)
        self._serving.close()

    def _answer(self, request: Request) -> Reply | None:
        if request.method == "POST":
            *_, invocation_id, what = request.path.split("/")
            if what == "response":
                outcome = Outcome(invocation_id=invocation_id, response=json.loads(request.body))
            else:
                outcome = Outcome(invocation_id=invocation_id, error=request.body.decode())
            self.outcomes.put(outcome)
            return 202, b"{}", {}
        if request.path.endswith("/restore/next"):
            # SnapStart: the snapshot was taken, and is restored at once.
            return 200, b"{}", {}
        if not (invocation := self.events.get()):
            return None
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
        }
        return 200, json.dumps(invocation.event).encode(), headers
