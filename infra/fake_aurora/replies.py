"""The fake Aurora's answers, and how a fault spoils one."""

import gzip
import json
from dataclasses import dataclass, field, replace
from typing import Any

from infra.fake_aurora.behaviour import Fault

# Long enough for a logger to trim it.
HTML = b"<!doctype html><title>Bad gateway</title><p>" + b"The upstream did not answer. " * 50


@dataclass(frozen=True)
class Reply:
    """One HTTP answer; a body that is not bytes is sent as JSON."""

    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class RefusedError(Exception):
    """Answer something other than success."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        # Bodies of errors are JSON of unknown shape, and their texts may change.
        self.reply = Reply(status, {"error": {"message": message}}, headers or {})


def shaped(reply: Reply, fault: Fault) -> Reply:  # noqa: PLR0911  # One line per kind.
    """Spoil a good answer in the way that the fault names; other kinds leave it as it is."""
    match fault.kind:
        case "not_json":
            return replace(reply, body=HTML, content_type="text/html")
        case "truncated_json":
            return replace(reply, body=reply.content[: len(reply.content) // 2])
        case "missing_fields":
            return replace(reply, body={"unknown": True})
        case "huge_body":
            return replace(reply, body=_padded(fault.size))
        case "gzip_bomb":
            packed = gzip.compress(_padded(fault.size))
            return replace(reply, body=packed, headers={"Content-Encoding": "gzip"})
        case "redirect":
            return Reply(302, b"", {"Location": fault.location})
        case _:
            return reply


def _padded(size: int) -> bytes:
    return b'{"padding": "' + b"x" * size + b'"}'
