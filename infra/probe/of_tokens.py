"""What generated tokens are, and when there are none."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

from infra.probe.questions import Found, Record, is_seen, names, question

CLAIMS = {"id", "email", "exp", "jti"}
TOKEN_LIFE = 43_200
MINUTE = 60
CLOCKS = 60
"""Seconds by which a life may seem off, since Aurora signs before it answers."""


@question("generate", "The key generates tokens.")
def _generate(record: Record) -> Found:
    done = record["generate"]
    if done.ok:
        readable = record.claims is not None
        found = "generated" if readable else "the answer has no token.jwt that can be read"
        return readable, found, done
    if done.refused and is_seen("invite-active", record):
        why = "the key's right, or its access to the Platform API"
        return False, f"answered {done.status}: {why}", done
    return None, "no token was asked for an active person", done


@question("generate-again", "A second generate returns a new token.")
def _generate_again(record: Record) -> Found:
    first, second = record["generate"], record["generate-again"]
    if not (first.jwt and second.jwt):
        return None, "there are no two tokens", first, second
    if first.jwt == second.jwt:
        return False, "the same token came again", first, second
    return True, "another token", first, second


Claims = dict[str, Any]
Read = Callable[[Claims, Record], tuple[bool, str]]


def _of_claims(name: str, statement: str) -> Callable[[Read], None]:
    """Make a function of the claims the reader of a question."""

    def decorate(read: Read) -> None:
        @question(name, statement)
        def reader(record: Record) -> Found:
            if not (claims := record.claims):
                return None, "there is no token", record["generate"]
            return *read(claims, record), record["generate"]

    return decorate


@_of_claims("claims", "The JWT has id, email, exp and jti.")
def _names(claims: Claims, _: Record) -> tuple[bool, str]:
    if missing := CLAIMS - set(claims):
        return False, f"without {names(missing)}"
    return True, f"it has {names(claims)}"


@_of_claims("claim-id", "The JWT's id is the user's.")
def _id(claims: Claims, record: Record) -> tuple[bool, str]:
    same = claims.get("id") == record.people.ids.get(record.person)
    return same, "it is" if same else "it is another one, or none"


@question("token-life", "A token lives 12 hours.")
def _token_life(record: Record) -> Found:
    if life := life_of(record):
        return abs(life - TOKEN_LIFE) <= CLOCKS, f"{life} s", record["generate"]
    return None, "there is no token with an end", record["generate"]


def life_of(record: Record) -> int:
    """Return how many seconds a token lives, to the minute, or 0."""
    claims, generated = record.claims, record["generate"]
    end = claims.get("exp") if claims else None
    if isinstance(end, bool) or not isinstance(end, int | float) or not isfinite(end):
        return 0
    try:
        now = parsedate_to_datetime(generated.header("Date") or "").timestamp()
    except ValueError:
        now = generated.ended
    return round((end - now) / MINUTE) * MINUTE
