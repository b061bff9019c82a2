"""What one call to Aurora showed, and how much of it may be told."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from token_vendor.models import is_id

PLAIN_NAME = re.compile(r"(?!eyJ|[sr]k_)[a-z][A-Za-z_-]{0,39}")
"""
Names of members as APIs write them. A person's name, an address, an id, a token or a key that
serves as one is none.
"""
HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}")
KINDS = {bool: "boolean", int: "number", float: "number", str: "text"}
MOST_NAMES = 20
DEEPEST = 4


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """
    A call and its answer; status 0 is none, and `failure` says why.

    `ended` is in seconds since the epoch. Headers and body stay in memory.
    """

    call: str
    status: int = 0
    failure: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    ended: float = 0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own numbers.

    @property
    def refused(self) -> bool:
        """Tell whether Aurora refused what was asked, rather than failed or put it off."""
        return 400 <= self.status < 500 and self.status not in {401, 409, 429}  # noqa: PLR2004

    @property
    def limited(self) -> bool:
        return self.status == HTTPStatus.TOO_MANY_REQUESTS

    def header(self, name: str) -> str | None:
        """Return a header's value, whatever the case of its name."""
        return {key.lower(): value for key, value in self.headers.items()}.get(name.lower())

    @property
    def rows(self) -> list[Any] | None:
        rows = self.body.get("users") if self.ok and isinstance(self.body, dict) else None
        return rows if isinstance(rows, list) else None

    @property
    def people(self) -> list[Mapping[str, Any]]:
        return [row for row in self.rows or () if isinstance(row, dict)]

    @property
    def ids(self) -> list[str]:
        return [each for row in self.people if (each := usable_id(row.get("id")))]

    @property
    def user(self) -> Mapping[str, Any]:
        """Return the user of an answer, which has it under `user` or is it."""
        user = self.body.get("user", self.body) if isinstance(self.body, dict) else {}
        return user if isinstance(user, dict) else {}

    @property
    def claims(self) -> dict[str, Any] | None:
        """Return what the generated JWT says of itself, unverified; None where it says nothing."""
        # Imported where there is a token: it brings cryptography.
        import jwt  # noqa: PLC0415

        try:
            # Signed with Aurora's own secret, so there is nothing to verify it with; without a
            # signature to verify, PyJWT checks no claim.
            claims: dict[str, Any] = jwt.decode(self._encoded, options={"verify_signature": False})
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            return None
        return claims

    @property
    def jwt(self) -> str:
        """Return the generated JWT, or an empty string where there is none that can be read."""
        return self._encoded if self.claims else ""

    @property
    def _encoded(self) -> str:
        token = self.body.get("token") if isinstance(self.body, dict) else None
        encoded = token.get("jwt") if isinstance(token, dict) and self.ok else None
        return encoded if isinstance(encoded, str) else ""

    @property
    def told(self) -> str:
        """Return the status and the shape of the body, such as a report may hold."""
        return f"{self.status} {shape(self.body)}" if self.status else self.failure

    @property
    def header_names(self) -> list[str]:
        return sorted(name for name in self.headers if HEADER_NAME.fullmatch(name))


def usable_id(value: Any) -> str:
    """Return an id that may stand in a path, or an empty string."""
    return value if is_id(value) else ""


def parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def shape(value: Any, depth: int = 0) -> str:
    """Return JSON with every value replaced by its kind."""
    if isinstance(value, list):
        first = f" of {shape(value[0], depth + 1)}" if value and depth < DEEPEST else ""
        return f"[{len(value)}{first}]"
    if isinstance(value, dict):
        members = list(value.items())[:MOST_NAMES]
        shown = [f"{plain(name)}: {shape(inner, depth + 1)}" for name, inner in members]
        return "{…}" if depth >= DEEPEST else "{" + ", ".join(shown) + "}"
    if value is None:
        return "null" if depth else "no JSON"
    return KINDS[type(value)]


def plain(name: str) -> str:
    """Return a member's name, or "…" for what may be data that serves as a name."""
    return name if PLAIN_NAME.fullmatch(name) else "…"
