"""What the demo page consists of, and the headers that it is served with, wherever that is."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
# The library's own build for browsers; infra/package-lock.json pins it.
SIGN_IN_LIBRARY = HERE.parent / "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js"

# By the name in the address. A list, because the folder also holds what is no browser's business.
FILES = {
    "index.html": HERE / "index.html",
    "style.css": HERE / "style.css",
    "app.js": HERE / "app.js",
    "page.js": HERE / "page.js",
    "session.js": HERE / "session.js",
    "timeline.js": HERE / "timeline.js",
    "aurora-token.js": HERE / "aurora-token.js",
    "sdk.js": HERE / "sdk.js",
    "oidc-client-ts.min.js": SIGN_IN_LIBRARY,
}
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
}

# What the page itself needs, without the SDK.
PAGE_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
# Where Aurora's "Access Token" page has its loader, which is also what the helper imports.
LOADER_ORIGIN = "https://aurora-sdk.s3.amazonaws.com"
# Aurora publishes no list. This is what a customer's public policy allows, less the hosts of that
# customer's other tools: the bucket, chunks behind CloudFront, Aurora's services, a push service
# and a feature-flag service. No frame was seen; of the named hosts, only Aurora's own may be one.
AURORA_SOURCES = {
    "script-src": f"{LOADER_ORIGIN} https://*.cloudfront.net 'unsafe-eval'",
    "style-src": "'unsafe-inline'",
    "img-src": "blob:",
    "connect-src": f"{LOADER_ORIGIN} https://*.auslr.io https://*.aurorasolar.com "
    "https://*.pusher.com wss://*.pusher.com https://*.launchdarkly.com blob: data:",
    "worker-src": "blob:",
    "frame-src": "https://*.aurorasolar.com",
}
# By `aurora_environment`. Nobody has seen the two differ; a difference goes here.
SDK_SOURCES = {"sandbox": AURORA_SOURCES, "production": AURORA_SOURCES}

# A whole top-level domain is no host.
HOST = re.compile(r"(?:https|wss)://(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?")
# Beside hosts, what a directive may be given. 'unsafe-inline' for scripts would be the end of it.
KEYWORDS = {
    "script-src": {"'unsafe-eval'", "'wasm-unsafe-eval'", "blob:"},
    "style-src": {"'unsafe-inline'"},
    "img-src": {"blob:"},
    "font-src": {"data:"},
    "connect-src": {"blob:", "data:"},
    "worker-src": {"blob:"},
    "frame-src": {"blob:"},
    "media-src": {"blob:", "data:"},
}


def wrong_sources(sources: Iterable[tuple[str, str]]) -> str:
    """Say what is wrong with sources for the SDK, or nothing."""
    for directive, text in sources:
        if directive not in KEYWORDS:
            return f"{directive} is none of {', '.join(KEYWORDS)}"
        for source in text.split():
            if source not in KEYWORDS[directive] and not HOST.fullmatch(source):
                allowed = ", ".join(["https://host", "wss://host", *sorted(KEYWORDS[directive])])
                return f"{directive} takes {allowed}, the host's first label may be *; not {source}"
    return ""


def at_one_origin(origin: str) -> dict[str, str]:
    """Give Aurora's sources with every host replaced by one, which is where the stand-in SDK is."""
    moved = {"https": origin, "wss": f"ws://{urlsplit(origin).netloc}"}
    return {
        directive: " ".join(
            dict.fromkeys(moved.get(each.partition("://")[0], each) for each in text.split())
        )
        for directive, text in AURORA_SOURCES.items()
    }


def security_headers(*, sdk: Mapping[str, str], connects: Iterable[str]) -> dict[str, str]:
    """
    Give the headers that allow the page its own files, these sources, and nothing else.

    Args:
        sdk: what the Client SDK needs, by directive.
        connects: origins that the page itself calls.

    """
    policy = PAGE_SOURCES | {"connect-src": " ".join([PAGE_SOURCES["connect-src"], *connects])}
    for directive, sources in sdk.items():
        if sources:
            policy[directive] = f"{policy.get(directive, '')} {sources}".strip()
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
