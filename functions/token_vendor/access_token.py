"""
What we believe of a JWT that Aurora generated.

It is signed with HS256 and Aurora's own secret: we cannot verify it. It came over TLS from Aurora,
and all that we take from it is what Aurora says about it.
"""

from typing import Any
from uuid import UUID

from token_vendor.models import GENERATE, AccessToken, Account, is_id, normalised_email
from token_vendor.observability import Metric, digest, recorder
from token_vendor.problems import AuroraInvalidResponseError, UserNotEligibleError

LONGEST_JWT = 16_384
"""Characters: some forty times the sample, and far below what an item and a response may hold."""
LONGEST_LIFE = 24 * 3600
"""Seconds. Aurora's tokens live 12 hours; a longer life is believed for a day."""
UNDATED_LIFE = 900
"""Seconds that a token is used whose JWT does not say when it ends."""
MILLISECONDS = 1e11
"""An `exp` above this is in milliseconds: in seconds, it would be the year 5138."""


def access_token(encoded: Any, account: Account, now: float) -> AccessToken:
    """
    Return the account's access token, made of what its JWT says; or raise a `ProblemError`.

    We never refuse a token for its life: Aurora decides that. A JWT that does not say when it ends,
    or that has ended by our clock, is vended once and not stored.
    """
    unverified_claims = _unverified_claims(encoded)
    if not is_same_id(unverified_claims.get("id"), account.user_id):
        recorder.count(Metric.WRONG_ACCOUNT)
        raise _unusable("the JWT is another user's")
    email = unverified_claims.get("email")
    if email is not None and not is_address(email, account.email):
        # The account was renamed, and is somebody else's by now.
        recorder.count(Metric.WRONG_ACCOUNT)
        raise UserNotEligibleError(
            cause="the JWT names another e-mail than the caller's", in_doubt=GENERATE
        )
    jti = unverified_claims.get("jti")
    expires_at = _expiry(unverified_claims.get("exp"), now)
    if not expires_at:
        recorder.count(Metric.UNDATED)
    return AccessToken(
        jwt=encoded,
        # The sample tokens have a jti; one without gets a name that cannot be mistaken.
        jti=jti if is_id(jti) else digest(encoded)[:32],
        expires_at=expires_at or int(now + UNDATED_LIFE),
        user_id=account.user_id,
        storable=bool(expires_at),
    )


def is_same_id(one: Any, another: str) -> bool:
    """Tell whether two ids are equal; Aurora's are UUIDs, whose case means nothing."""
    if one == another:
        return True
    try:
        return UUID(one) == UUID(another)
    except (AttributeError, TypeError, ValueError):
        return False


def is_address(text: Any, email: str) -> bool:
    """Tell whether `text` is a spelling of a normalised address."""
    try:
        return normalised_email(str(text)) == email
    except ValueError:
        return False


def _unverified_claims(encoded: Any) -> dict[str, Any]:
    # PyJWT is imported where a token was generated, not at a cold start that finds one stored.
    import jwt  # noqa: PLC0415

    if not isinstance(encoded, str) or len(encoded) > LONGEST_JWT:
        raise _unusable("no token.jwt of usable length")
    try:
        # Without the signature, PyJWT checks no other claim either: not even that it has not ended.
        return jwt.decode(encoded, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError) as exc:
        raise _unusable("unreadable JWT") from exc


def _expiry(exp: Any, now: float) -> int:
    """Return the moment until which a token is believed to live, or 0 if nobody can say."""
    try:
        moment = float(exp)
        seconds = moment / 1000 if moment > MILLISECONDS else moment
        expires_at = int(min(seconds, now + LONGEST_LIFE))
    except (TypeError, ValueError, OverflowError):
        return 0
    return expires_at if expires_at > now else 0


def _unusable(reason: str) -> AuroraInvalidResponseError:
    # Aurora has generated, although its answer is no token.
    return AuroraInvalidResponseError(cause=f"generate_token: {reason}", in_doubt=GENERATE)
