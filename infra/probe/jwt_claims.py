"""
What a generated JWT says of itself; it cannot be verified, and never leaves memory.
"""

from dataclasses import dataclass, field
from typing import Any

from infra.probe.exchange import Exchange


@dataclass(frozen=True, kw_only=True)
class Claims:
    """
    A JWT in its parts, unverified.
    """

    encoded: str = field(repr=False)
    header: dict[str, Any] = field(repr=False)
    payload: dict[str, Any] = field(repr=False)


def claims_of(generated: Exchange) -> Claims | None:
    """
    Return the JWT of an answer to generate, or None where there is none that can be read.
    """
    token = generated.body.get("token") if isinstance(generated.body, dict) else None
    encoded = token.get("jwt") if isinstance(token, dict) and generated.ok else None
    if not isinstance(encoded, str):
        return None
    # Imported where there is a token: it brings cryptography, which no other command needs.
    import jwt  # noqa: PLC0415

    try:
        # Signed with Aurora's own secret, so there is nothing to verify it with.
        parts = jwt.api_jwt.decode_complete(
            encoded,
            options={
                "verify_signature": False,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
            },
        )
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return None
    return Claims(encoded=encoded, header=parts["header"], payload=parts["payload"])
