"""
Ask Aurora what a key may do, without leaving a trace there.

Every probe is one of the requests a minute that Aurora grants the key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import urllib3
from token_vendor.settings import Settings

from infra import outbound

# An id that belongs to nobody: generating for it is refused, after Aurora looked at the permission.
NOBODY = "00000000-0000-0000-0000-000000000000"
TIMEOUT = urllib3.Timeout(connect=5, read=15)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer's status, 0 for none, its `Date` header, and why there is none."""

    status: int = 0
    date: str = ""
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Right:
    """
    A call that a key has to be allowed, and the answers that say so.

    To a call for nobody Aurora answers a 4xx once it has looked at the right.
    """

    name: str
    method: str
    path: str
    body: dict[str, object] | None = None
    allowed: frozenset[int] = frozenset({400, 404, 422})
    asked: str = ""
    if_refused: str = ""


LIST = Right(name="list users", method="GET", path="", allowed=frozenset({HTTPStatus.OK}))
GENERATE = Right(
    name="generate token",
    method="POST",
    path=f"/{NOBODY}/generate_token",
    asked=" (asked for nobody)",
    if_refused="a production key has to include access to the Platform API",
)
INVITE = Right(
    name="invite user",
    method="POST",
    path="/invite",
    body={"user": {}},
    asked=" (asked without a user)",
    if_refused="allow it in Aurora's console, or set invitations: false in cdk.json and deploy",
)


def answers(settings: Settings, api_key: str) -> Iterator[tuple[Right, Answer]]:
    """Ask for each right that the stage needs; for none any more where the list is not answered."""
    for right in (LIST, GENERATE, INVITE) if settings.invitations else (LIST, GENERATE):
        answer = _ask(settings, api_key, right)
        yield right, answer
        if right is LIST and answer.status != HTTPStatus.OK:
            return


def missing_right(settings: Settings, api_key: str) -> str:
    """
    Say what keeps a key from working here, or return an empty string.

    Only 401 and 403 tell of a right: a failure at Aurora is no reason to keep a key out.
    """
    for right, answer in answers(settings, api_key):
        said = f"Aurora answered {answer.status} to {right.name}"
        if right is LIST and answer.status != HTTPStatus.OK:
            return answer.failure or said
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return f"{said}; {right.if_refused}"
    return ""


def request(
    settings: Settings,
    api_key: str,
    method: str,
    path: str = "",
    headers: Mapping[str, str] = {},
    **arguments: Any,
) -> urllib3.BaseHTTPResponse:
    """Send one request about the tenant's users, with the version that the stage pins."""
    url = f"{settings.aurora_origin}/tenants/{settings.aurora_tenant_id}/users{path}"
    sent = {
        "Accept": "application/json",
        "User-Agent": "aurora-token-vendor",
        "Authorization": f"Bearer {api_key}",
    }
    if settings.aurora_version_header and settings.aurora_version:
        sent[settings.aurora_version_header] = settings.aurora_version
    sent |= headers
    return outbound.request(method, url, headers=sent, timeout=TIMEOUT, **arguments)


def _ask(settings: Settings, api_key: str, right: Right) -> Answer:
    try:
        answer = request(settings, api_key, right.method, right.path, json=right.body)
    except urllib3.exceptions.HTTPError as error:
        return Answer(failure=f"{type(error).__name__} at {settings.aurora_origin}")
    return Answer(status=answer.status, date=answer.headers.get("Date", ""))
