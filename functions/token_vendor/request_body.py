"""The optional JSON body of a POST → `TokenRequest` and profile."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from token_vendor.models import TokenRequest
from token_vendor.problems import InvalidRequestError

BODY_LIMIT = 4096
"""Bytes: three short members and a profile fit many times over."""
LONGEST_MIN_TTL = 39_600
LONGEST_TEXT = 200


def parse_body(event: Mapping[str, Any]) -> tuple[TokenRequest, dict[str, str]]:
    """Return what a POST asks for, and the profile; or raise `InvalidRequestError`."""
    body = _json_object(event)
    _only(body, {"replace", "min_ttl", "profile"}, "")
    replace = body.get("replace")
    if "replace" in body and not (isinstance(replace, str) and 0 < len(replace) <= LONGEST_TEXT):
        raise InvalidRequestError("replace must be the jti of the token that failed.")
    min_ttl = body.get("min_ttl", 0)
    if type(min_ttl) is not int or not 0 <= min_ttl <= LONGEST_MIN_TTL:
        raise InvalidRequestError(f"min_ttl must be whole seconds from 0 to {LONGEST_MIN_TTL}.")
    profile = body.get("profile", {})
    if not isinstance(profile, dict):
        raise InvalidRequestError("profile must be an object.")
    _only(profile, {"first_name", "last_name", "phone"}, "profile.")
    for name, value in profile.items():
        if not (isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()):
            raise InvalidRequestError(f"profile.{name} must be a short text on one line.")
    return TokenRequest(replace=replace, min_ttl=min_ttl), profile


def _json_object(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a POST as an object; an absent one is an empty object."""
    text = event.get("body") or ""
    try:
        data = text.encode() if isinstance(text, str) else b"?"
        if event.get("isBase64Encoded"):
            data = base64.b64decode(data, validate=True)
        if len(data) > BODY_LIMIT:
            raise InvalidRequestError(f"The body is larger than {BODY_LIMIT} bytes.")
        if not data.strip():
            return {}
        body = json.loads(data, object_pairs_hook=_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, binascii.Error) as exc:
        raise InvalidRequestError("The body is not JSON.", cause=type(exc).__name__) from exc
    if not isinstance(body, dict):
        raise InvalidRequestError("The body is not a JSON object.")
    return body


def _only(members: dict[str, Any], allowed: set[str], prefix: str) -> None:
    if unknown := sorted(set(members) - allowed):
        raise InvalidRequestError(
            # As ASCII: half a surrogate pair would cost the log line that quotes it.
            f"Unknown member {prefix + unknown[0][:40]!a}: allowed are "
            f"{', '.join(prefix + name for name in sorted(allowed))}."
        )


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing a repeated name: parsers differ in which one counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidRequestError("A member is given twice in the body.")
    return members


def _refuse_constant(name: str) -> None:
    raise InvalidRequestError(f"{name} is not JSON.")
