"""
What generated tokens are, and when there are none.
"""

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from math import isfinite

from infra.probe.jwt_claims import Claims, claims_of
from infra.probe.of_invitations import READERS as OF_INVITATIONS
from infra.probe.of_users import not_found
from infra.probe.record import (
    Found,
    Reader,
    Record,
    contradicted,
    member_names,
    seen,
    undetermined,
)

CLAIMS = {"id", "email", "exp", "jti"}
TOKEN_LIFE = 43_200
MINUTE = 60
CLOCKS = 60
"""
Seconds by which a life may seem off, since Aurora signs before it answers.
"""


def _generate(record: Record) -> Found:
    done = record["generate"]
    if done.ok and record.claims:
        return seen("generated", done)
    if done.ok:
        return contradicted("the answer has no token.jwt that can be read", done)
    if done.refused and OF_INVITATIONS["invite-active"](record).verdict == "seen":
        why = "the key's right, or its access to the Platform API"
        return contradicted(f"answered {done.status}: {why}", done)
    return undetermined("no token was asked for an active person", done)


def _generate_again(record: Record) -> Found:
    first, second = record["generate"], record["generate-again"]
    one, other = claims_of(first), claims_of(second)
    if not (one and other):
        return undetermined("there are no two tokens", first, second)
    if one.encoded == other.encoded:
        return contradicted("the same token came again", first, second)
    return seen("another token", first, second)


def _of_claims(read: Callable[[Claims], tuple[bool, str]]) -> Reader:
    def reader(record: Record) -> Found:
        if not (claims := record.claims):
            return undetermined("there is no token", record["generate"])
        fits, found = read(claims)
        return (seen if fits else contradicted)(found, record["generate"])

    return reader


def _claim_names(claims: Claims) -> tuple[bool, str]:
    missing = CLAIMS - set(claims.payload)
    if missing:
        return False, f"without {member_names(missing)}"
    return True, f"it has {member_names(list(claims.payload))}"


def _claim_environment(claims: Claims) -> tuple[bool, str]:
    named = [
        name
        for name, value in claims.payload.items()
        if "env" in name.lower() or value in ["sandbox", "production"]
    ]
    return bool(named), f"in {member_names(named)}" if named else "no claim does"


def _algorithm(claims: Claims) -> tuple[bool, str]:
    named = str(claims.header.get("alg"))
    shown = named if re.fullmatch(r"[A-Za-z]{2,5}\d{0,4}", named) else "another one"
    return named == "HS256", shown


def _claim_id(record: Record) -> Found:
    if not (claims := record.claims):
        return undetermined("there is no token", record["generate"])
    same = claims.payload.get("id") == record.people.ids.get(record.person)
    found = "it is" if same else "it is another one, or none"
    return (seen if same else contradicted)(found, record["generate"])


def life_of(record: Record) -> int:
    """
    Return how many seconds a token lives, to the minute, or 0.
    """
    claims, generated = record.claims, record["generate"]
    end = claims.payload.get("exp") if claims else None
    if isinstance(end, bool) or not isinstance(end, int | float) or not isfinite(end):
        return 0
    told = generated.header("Date") or ""
    try:
        now = parsedate_to_datetime(told).timestamp()
    except ValueError:
        now = generated.ended
    return round((end - now) / MINUTE) * MINUTE


def _token_life(record: Record) -> Found:
    life = life_of(record)
    if not life:
        return undetermined("there is no token with an end", record["generate"])
    fits = abs(life - TOKEN_LIFE) <= CLOCKS
    return (seen if fits else contradicted)(f"{life} s", record["generate"])


def _generate_unknown(record: Record) -> Found:
    return not_found(record["generate-unknown"], _generate(record))


READERS: Mapping[str, Reader] = {
    "generate-unknown": _generate_unknown,
    "generate": _generate,
    "generate-again": _generate_again,
    "claims": _of_claims(_claim_names),
    "claim-id": _claim_id,
    "claim-environment": _of_claims(_claim_environment),
    "algorithm": _of_claims(_algorithm),
    "token-life": _token_life,
}
