"""
MiniStack behind a guard that keeps web pages out of it.

MiniStack checks no signature and allows every origin in a browser (CORS). Without the guard, any
page that the developer visits could read the secret with Aurora's key, or create a function that
runs as the developer. Its own `AUTH=true` would refuse unsigned requests, but refuses the roles
that `cdk deploy` takes on as well ("Bucket … exists, but we dont have access to it").

Run as a file, with `-P`: a `ministack` lies beside it that must not hide the package.
"""

import re
from typing import Any

from ministack import app as ministack  # type: ignore[import-untyped]  # It ships no types.

from infra.dashboard_view.wire_tap import Tap

# What a browser adds to a page's request, and AWS's SDKs and CLIs never:
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
OF_PAGES = {b"origin", b"referer", b"sec-fetch-site"}
# Not every browser sends one of those with an image of another site; all say that they are this.
BROWSER = b"Mozilla/"
# All that a page may ask of AWS here: the deployed API's one route, and its preflight. The API has
# its own list of allowed origins. MiniStack answers as AWS wherever it finds no API in an address,
# so this leaves nothing to read in two ways: no query, no escapes, no other host.
METHODS_FOR_PAGES = {"DELETE", "OPTIONS", "POST"}
PATH_FOR_PAGES = re.compile(rb"/_aws/execute-api/[0-9a-z]{8,10}/token")
HOST_FOR_PAGES = re.compile(rb"(127\.0\.0\.1|localhost)(:\d+)?")
# A name that an attacker points to 127.0.0.1 makes their page one of the same origin, without
# `Origin` (DNS rebinding). Browsers resolve names below `localhost` by themselves.
LOOPBACK = re.compile(rb"(127\.0\.0\.1|([\w.-]+\.)?localhost)(:\d+)?")

unguarded = Tap(ministack.app)


async def guarded(scope: Any, receive: Any, send: Any) -> None:
    """Answer 403 to web pages, except where they call the route of the deployed API."""
    if scope["type"] == "lifespan" or _is_allowed(scope):
        await unguarded(scope, receive, send)
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"Not for web pages.\n"})
    else:
        await send({"type": "websocket.close"})


def _is_allowed(scope: Any) -> bool:
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"")
    if OF_PAGES & headers.keys() or headers.get(b"user-agent", b"").startswith(BROWSER):
        return bool(
            scope["type"] == "http"
            and scope["method"] in METHODS_FOR_PAGES
            and PATH_FOR_PAGES.fullmatch(scope["raw_path"])
            and not scope["query_string"]
            and HOST_FOR_PAGES.fullmatch(host)
        )
    return bool(LOOPBACK.fullmatch(host))


if __name__ == "__main__":
    ministack.app = guarded
    ministack.main()
