"""
What passes between the stack and MiniStack that AWS would count: calls to a table, and to the API.

The local stack's MiniStack lets all of it pass through here; who draws it asks at `TAPPED`.
"""

import json
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any

App = Callable[[Any, Any, Any], Awaitable[None]]

TAPPED = "/_local/tapped"
MOST = 100_000
"""Passages that are kept; the oldest go first."""
DYNAMODB = "DynamoDB_20120810"
API = re.compile(r"/_aws/execute-api/(\w+)/|(\w+)\.execute-api\.")
READ_UNIT = 4096


class Tap:
    """Stand before an ASGI app, and remember what passed: status, time, and what was asked."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._passages: deque[dict[str, Any]] = deque(maxlen=MOST)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or tell what passed since the moment in the query string."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == TAPPED:
            since = float(scope["query_string"] or 0)
            found = [each for each in self._passages if each["at"] >= since]
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(found).encode()})
        else:
            await self._passed(scope, receive, send)

    async def _passed(self, scope: Any, receive: Any, send: Any) -> None:
        asked, answered, status = bytearray(), bytearray(), 500

        async def hear() -> Any:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def tell(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            answered.extend(message.get("body", b""))
            await send(message)

        began = time.time()
        try:
            await self._app(scope, hear, tell)
        finally:
            if what := _what(scope, bytes(asked), bytes(answered)):
                took = (time.time() - began) * 1000
                self._passages.append({"at": began, "ms": took, "status": status} | what)


def _what(scope: Any, asked: bytes, answered: bytes) -> dict[str, Any] | None:
    """Return what is counted of a request, or None where AWS has no metric that is drawn here."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    service, _, operation = headers.get(b"x-amz-target", "").partition(".")
    if service == DYNAMODB:
        return _call(operation, asked, answered)
    api = API.search(scope["path"]) or API.search(headers.get(b"host", ""))
    # A browser's preflight is answered by the gateway itself.
    if api and scope["method"] != "OPTIONS":
        return {"api": api[1] or api[2]}
    return None


def _call(operation: str, asked: bytes, answered: bytes) -> dict[str, Any]:
    body = json.loads(asked or b"{}")
    batch = body.get("RequestItems", {})
    reads = writes = 0
    match operation:
        case "GetItem":
            reads = 1
        case "BatchGetItem":
            reads = sum(len(each["Keys"]) for each in batch.values())
        case "Query" | "Scan":
            reads = ceil(len(answered) / READ_UNIT)
        case "BatchWriteItem":
            writes = sum(map(len, batch.values()))
        case "PutItem" | "UpdateItem" | "DeleteItem":
            # An item with its JWT is between 1 and 2 KB, and all others are smaller.
            writes = 1 + (b'"TOKEN"' in asked)
    error = json.loads(answered or b"{}").get("__type", "")
    return {
        "table": body.get("TableName") or next(iter(batch), ""),
        "operation": operation,
        "error": error.rpartition("#")[2],
        "reads": reads,
        "writes": writes,
    }
