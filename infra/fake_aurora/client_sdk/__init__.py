"""A stand-in for Aurora's Client SDK: what a browser loads, and its push service."""

import base64
import hashlib
from pathlib import Path

HERE = Path(__file__).parent
# By path, the file and its type.
FILES = {
    "/client-sdk-loader.next.js": (HERE / "loader.js", "text/javascript"),
    "/client-sdk/scene.js": (HERE / "scene.js", "text/javascript"),
    "/client-sdk/frame.html": (HERE / "frame.html", "text/html; charset=utf-8"),
}
PUSH = "/client-sdk/push"
# RFC 6455, sections 1.3 and 5.2.
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE = 0x81, 0x88


def handshake(key: str) -> dict[str, str]:
    """Give the headers that accept a web socket whose `Sec-WebSocket-Key` is this one."""
    # The RFC's choice of hash; it guards nothing.
    accept = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(accept).decode(),
    }


# The frames that the push service sends. The close comes only when the page has closed: of a
# connection that ends at once, Firefox tells the page the end and not the message.
_EVENT = b'{"event":"connected"}'
GREETING = bytes([_TEXT, len(_EVENT)]) + _EVENT
FAREWELL = bytes([_CLOSE, 0])
