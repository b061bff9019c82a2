"""
What one call to Aurora showed, and how much of it may be told.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

PLAIN_NAME = re.compile(r"(?!eyJ|[sr]k_)[a-z][A-Za-z_-]{0,39}")
"""
Names of members as APIs write them. A person's name, an address, an id, a token or a key that
serves as one is none.
"""
HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}")
ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
KINDS = {bool: "boolean", int: "number", float: "number", str: "text"}
MOST_NAMES = 20
DEEPEST = 4


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """
    A call and its answer; status 0 is none, and `failure` says why.

    `began` and `ended` are seconds since the epoch. Headers and body stay in memory.
    """

    call: str
    status: int = 0
    failure: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    began: float = 0
    ended: float = 0

    @property
    def ok(self) -> bool:
        """
        Tell whether Aurora did what it was asked.
        """
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers.

    @property
    def refused(self) -> bool:
        """
        Tell whether Aurora refused what was asked, rather than failed or put it off.
        """
        return 400 <= self.status < 500 and self.status not in {401, 409, 429}  # noqa: PLR2004

    @property
    def limited(self) -> bool:
        """
        Tell whether Aurora had too many requests.
        """
        return self.status == HTTPStatus.TOO_MANY_REQUESTS

    def header(self, name: str) -> str | None:
        """
        Return a header's value, whatever the case of its name.
        """
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())

    @property
    def rows(self) -> list[Any] | None:
        """
        Return the rows of a user list, or None where this is none.
        """
        rows = self.body.get("users") if self.ok and isinstance(self.body, dict) else None
        return rows if isinstance(rows, list) else None

    @property
    def ids(self) -> list[str]:
        """
        Return the ids of the rows, in order.
        """
        found = [usable_id(row.get("id")) for row in self.rows or () if isinstance(row, dict)]
        return [each for each in found if each]

    @property
    def told(self) -> str:
        """
        Return the call, the status and the shape of the body, such as a report may hold.
        """
        what = f"{self.status} {shape(self.body)}" if self.status else self.failure
        return f"{self.call} → {what}"

    @property
    def header_names(self) -> list[str]:
        """
        Return the names of the headers, sorted.
        """
        return sorted(name for name in self.headers if HEADER_NAME.fullmatch(name))


def usable_id(value: Any) -> str:
    """
    Return an id that may stand in a path, or an empty string.
    """
    return value if isinstance(value, str) and ID.fullmatch(value) else ""


def parsed(data: bytes) -> Any:
    """
    Return a body as JSON, or None where it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def shape(value: Any, depth: int = 0) -> str:
    """
    Return JSON with every value replaced by its kind.
    """
    if isinstance(value, list):
        first = f" of {shape(value[0], depth + 1)}" if value and depth < DEEPEST else ""
        return f"[{len(value)}{first}]"
    if isinstance(value, dict):
        shown = [
            f"{plain(name)}: {shape(inner, depth + 1)}"
            for name, inner in list(value.items())[:MOST_NAMES]
        ]
        return "{…}" if depth >= DEEPEST else "{" + ", ".join(shown) + "}"
    if value is None:
        return "null" if depth else "no JSON"
    return KINDS[type(value)]


def plain(name: str) -> str:
    """
    Return a member's name, or "…" for what may be data that serves as a name.
    """
    return name if PLAIN_NAME.fullmatch(name) else "…"
