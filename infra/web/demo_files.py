"""
What the demo page consists of, and the headers that it is served with, wherever that is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
# The library's own build for browsers; infra/package-lock.json pins it.
SIGN_IN_LIBRARY = HERE.parent / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js"

# By the name in the address. A list, because the folder also holds what is no browser's business.
FILES = {
    "index.html": HERE / "index.html",
    "style.css": HERE / "style.css",
    "app.js": HERE / "app.js",
    "aurora-token.js": HERE / "aurora-token.js",
    "oidc-client-ts.min.js": SIGN_IN_LIBRARY,
}
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}


def security_headers(*, scripts: Iterable[str], connects: Iterable[str]) -> dict[str, str]:
    """
    Give the headers that allow the page its own files, these origins, and nothing else.

    Args:
        scripts: origins of scripts beside the page's own, which is where Aurora's loader is.
        connects: origins that the page calls.

    """
    policy = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", *scripts]),
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": " ".join(["'self'", *connects]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
