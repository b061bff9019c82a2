"""
Ask Aurora what a key may do, without leaving a trace there.

Every probe is one of the requests a minute that Aurora grants the key.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

import urllib3
from token_vendor.settings import Settings

from infra.outbound import request

# An id that belongs to nobody: generating for it is refused, after Aurora looked at the permission.
NOBODY = "00000000-0000-0000-0000-000000000000"
TIMEOUT = urllib3.Timeout(connect=5, read=15)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """
    An answer's status, 0 for none, its `Date` header, and why there is none.
    """

    status: int = 0
    date: str = ""
    failure: str = ""


def list_users(settings: Settings, api_key: str) -> Answer:
    return _ask(settings, api_key, "GET", "")


def generate_for_nobody(settings: Settings, api_key: str) -> Answer:
    """
    Generate for an id that nobody has; a permitted key is told that there is no such user.
    """
    return _ask(settings, api_key, "POST", f"/{NOBODY}/generate_token")


def invite_nobody(settings: Settings, api_key: str) -> Answer:
    """
    Invite without saying whom; a permitted key is told that the input is missing.
    """
    return _ask(settings, api_key, "POST", "/invite", {"user": {}})


def missing_right(settings: Settings, api_key: str) -> str:
    """
    Say what keeps a key from working here, or return an empty string. Asks up to three times.

    Only 401 and 403 tell of a right. To a call for nobody Aurora answers another 4xx once it has
    looked at the right, and a failure at Aurora is no reason to keep a key out.
    """
    listed = list_users(settings, api_key)
    if listed.status != HTTPStatus.OK:
        return listed.failure or f"Aurora answered {listed.status} to list users"
    refused = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    status = generate_for_nobody(settings, api_key).status
    if status in refused:
        return (
            f"Aurora answered {status} to generate token; "
            "a production key has to include access to the Platform API"
        )
    if settings.invitations and (status := invite_nobody(settings, api_key).status) in refused:
        return (
            f"Aurora answered {status} to invite user; "
            "allow it in Aurora's console, or set invitations: false in cdk.json and deploy"
        )
    return ""


def _ask(
    settings: Settings, api_key: str, method: str, path: str, body: dict[str, object] | None = None
) -> Answer:
    url = f"{settings.aurora_origin}/tenants/{settings.aurora_tenant_id}/users{path}"
    headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
    if settings.aurora_version_header and settings.aurora_version:
        headers[settings.aurora_version_header] = settings.aurora_version
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        answer = request(
            method,
            url,
            headers=headers,
            body=None if body is None else json.dumps(body),
            timeout=TIMEOUT,
        )
    except urllib3.exceptions.HTTPError as error:
        return Answer(failure=f"{type(error).__name__} at {settings.aurora_origin}")
    return Answer(status=answer.status, date=answer.headers.get("Date", ""))
