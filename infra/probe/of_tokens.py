"""What generated tokens are, and when there are none."""

from email.utils import parsedate_to_datetime
from math import isfinite

from token_vendor.settings import MINUTE

from infra.operator.tokens import AURORA_LIFE
from infra.probe.questions import Found, Record, is_seen, names, question

CLAIMS = {"id", "email", "exp", "jti"}
CLOCKS = 60
"""Seconds by which a life may seem off, since Aurora signs before it answers."""


@question("generate", "The key generates tokens.")
def _generate(record: Record) -> Found:
    done = record["generate"]
    if done.ok:
        return bool(done.jwt), "generated" if done.jwt else "the answer has no readable JWT", done
    if done.refused and is_seen("invite-active", record):
        why = "the key's right, or its access to the Platform API"
        return False, f"answered {done.status}: {why}", done
    return None, "no token was asked for an active person", done


@question("generate-again", "A second generate returns a new token.")
def _generate_again(record: Record) -> Found:
    first, second = record["generate"], record["generate-again"]
    if not (first.jwt and second.jwt):
        return None, "there are no two tokens", first, second
    new = first.jwt != second.jwt
    return new, "another token" if new else "the same token came again", first, second


@question("claims", "The JWT has id, email, exp and jti.")
def _names(record: Record) -> Found:
    if not (claims := record["generate"].claims):
        return None, "there is no token", record["generate"]
    missing = CLAIMS - set(claims)
    found = f"without {names(missing)}" if missing else f"it has {names(claims)}"
    return not missing, found, record["generate"]


@question("claim-id", "The JWT's id is the user's.")
def _id(record: Record) -> Found:
    if not (claims := record["generate"].claims):
        return None, "there is no token", record["generate"]
    same = claims.get("id") == record.person.id
    return same, "it is" if same else "it is another one, or none", record["generate"]


@question("token-life", "A token lives 12 hours.")
def _token_life(record: Record) -> Found:
    if life := life_of(record):
        return abs(life - AURORA_LIFE) <= CLOCKS, f"{life} s", record["generate"]
    return None, "there is no token with an end", record["generate"]


def life_of(record: Record) -> int:
    """Return how many seconds a token lives, to the minute, or 0."""
    claims, generated = record["generate"].claims, record["generate"]
    end = claims.get("exp") if claims else None
    if isinstance(end, bool) or not isinstance(end, int | float) or not isfinite(end):
        return 0
    try:
        now = parsedate_to_datetime(generated.header("Date") or "").timestamp()
    except ValueError:
        now = generated.ended
    return round((end - now) / MINUTE) * MINUTE
