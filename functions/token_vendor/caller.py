"""
The authorizer's claims → the `Caller`.  The only file that reads claims.

API Gateway has verified signature, issuer, audience and expiry.  It hands claims over as
strings (`"true"`, `"1629926482"`, lists as `"[a b]"`); emulators may hand over JSON types: both
are accepted.
"""

import re
from collections.abc import Mapping
from typing import Any

from token_vendor.models import Caller, normalised_email
from token_vendor.observability import digest, logger
from token_vendor.problems import CallerNotIdentifiedError
from token_vendor.settings import Options

LONGEST_NAME = 100
SUBJECT = 16
"""Characters of a subject's digest: enough to tell the few people of one address apart."""
ID = re.compile(r"[0-9A-Fa-f-]{32,36}")
"""A group's id, such as Entra's: it has no blanks, and is no part of another one."""


def identify(claims: Mapping[str, Any], profile: Mapping[str, str], *, settings: Options) -> Caller:
    """
    Return the person whom the claims name, or raise `CallerNotIdentifiedError`.

    The settings name the claims that providers disagree about; the others are those of OpenID
    Connect Core 1.0, 5.1. `profile` fills what the claims leave open, but for the e-mail.
    """
    email = _single(claims.get(settings.claim_email))
    if not isinstance(email, str):
        raise CallerNotIdentifiedError(cause=f"no claim {settings.claim_email!r}")
    verified = claims.get(settings.claim_email_verified)
    if settings.require_verified_email and verified is not True and verified != "true":
        raise CallerNotIdentifiedError(cause=f"claim {settings.claim_email_verified!r} is not true")
    try:
        address = normalised_email(email)
    except ValueError as error:
        raise CallerNotIdentifiedError(
            cause=f"claim {settings.claim_email!r} is malformed"
        ) from error
    whole_first, _, whole_last = _text(claims, "name").rpartition(" ")
    first_name = _text(claims, "given_name") or whole_first or profile.get("first_name", "")
    last_name = _text(claims, "family_name") or whole_last or profile.get("last_name", "")
    return Caller(
        email=address,
        subject=digest(f"{claims.get('iss', '')}|{claims.get('sub', '')}")[:SUBJECT],
        # Aurora's page shows both names in an invitation: the address stands in for a missing one.
        first_name=first_name or address.partition("@")[0][:LONGEST_NAME],
        last_name=last_name or address.rpartition("@")[2][:LONGEST_NAME],
        phone=_text(claims, "phone_number") or profile.get("phone", ""),
        groups=_groups(claims.get(settings.claim_groups)) if settings.claim_groups else (),
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = _single(claims.get(name))
    if not isinstance(value, str):
        return ""
    # A claim may hold half a surrogate pair, which no request to Aurora could carry.
    words = ("".join(filter(str.isprintable, word)) for word in value.split())
    return " ".join(filter(None, words))[:LONGEST_NAME]


def _single(value: Any) -> Any:
    """Return the one element of a list claim, in either form; other values as they are."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        inner = value[1:-1].strip()
        return None if not inner or " " in inner or "," in inner else inner
    return value


def _groups(value: Any) -> tuple[str, ...]:
    """
    Read a list claim: JSON list, or API Gateway's `[a b]`.

    `[Read-only Admins]` may be two groups or one: only ids are read from such a text.
    """
    if isinstance(value, list):
        return tuple(str(group) for group in value)
    if not isinstance(value, str):
        return ()
    if not (value.startswith("[") and value.endswith("]")):
        return (value,) if value else ()
    parts = value[1:-1].replace(",", " ").split()
    if len(parts) > 1 and not all(ID.fullmatch(part) for part in parts):
        logger.warning("the group claim can be read two ways: no group counts; configure group ids")
        return ()
    return tuple(parts)
