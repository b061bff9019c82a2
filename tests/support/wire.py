"""A proxy between one environment and AWS or Aurora: counts what passes, and can act at a step."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import urllib3

from tests.support.loopback import Reply, Request, answering

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One request and the size of its answer, in bytes; `service` is what a signed one is for."""

    operation: str
    service: str
    body: bytes
    answered: int

    @property
    def sent(self) -> int:
        return len(self.body)


def signed_for(authorization: str) -> str:
    """Read the service out of an AWS signature; IAM's actions begin with the same name."""
    _, is_signature, scope = authorization.partition("AWS4-HMAC-SHA256 Credential=")
    return scope.split("/")[3] if is_signature else ""


@dataclass(frozen=True, kw_only=True)
class Trap:
    """Call `before` or `after` around the first request whose operation and body match."""

    operation: str
    mention: bytes = b""
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None

    def catches(self, operation: str, body: bytes) -> bool:
        return self.operation in operation and self.mention in body


class Wire:
    """Forward to `upstream` until the block ends; `passages` is what went through."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.passages: list[Passage] = []
        self.trap: Trap | None = None
        self.sprung = threading.Event()
        self.pool = urllib3.PoolManager(maxsize=16, retries=False)

    def __enter__(self) -> Self:
        self._serving = ExitStack()
        self.url = self._serving.enter_context(answering(self._forward)).url
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()
        self.pool.clear()

    def operations(self) -> list[str]:
        """Name what passed, in order."""
        return [passage.operation for passage in self.passages]

    def _forward(self, request: Request) -> Reply:
        """Pass one request on, springing the trap if it matches."""
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or request.path
        trap = self.trap if self.trap and self.trap.catches(operation, request.body) else None
        if trap:
            self.trap = None
            trap.before()
        answer = self.pool.request(
            request.method,
            self.upstream + request.path,
            headers={k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP},
            body=request.body,
            redirect=False,
            decode_content=False,
        )
        self.passages.append(
            Passage(
                operation=operation,
                service=signed_for(request.headers.get("Authorization", "")),
                body=request.body,
                answered=len(answer.data),
            )
        )
        if trap:
            trap.after()
            self.sprung.set()
        passed_on = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
        return answer.status, answer.data, passed_on
