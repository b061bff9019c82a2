"""Check an ID token as API Gateway and the function would, but for its signature."""

import json
import time
from collections.abc import Iterator
from typing import Any

from token_vendor.caller import identify
from token_vendor.problems import CallerNotIdentifiedError

from infra.operator.deployed import Deployed
from infra.operator.doctor import Finding, judged
from infra.operator.exits import OperatorError

LARGEST = 10_240
"""
Bytes of request line and headers that an HTTP API takes.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""
OTHER_HEADERS = 2_000
"""Bytes that a browser's other headers may well have."""
LARGE_TOKENS = "docs/identity-providers.md, Large tokens"


def examine(deployed: Deployed, token: str) -> Iterator[Finding]:
    """
    Check size, issuer, audience, expiry and e-mail; claims are named, their values are not.

    What is no JWT raises `OperatorError`.
    """
    claims = _claims(token)
    yield _size(token, claims)
    expected = deployed.authorizer()
    yield judged(
        "token: issuer",
        f"iss is {claims.get('iss')}, the stage expects {expected['Issuer']}",
        good=claims.get("iss") == expected["Issuer"],
        fix="sign in at the stage's issuer, or set issuer in cdk.json and deploy",
    )
    audience = claims.get("aud", claims.get("client_id", []))
    audiences = [audience] if isinstance(audience, str) else audience
    yield judged(
        "token: audience",
        f"aud is {', '.join(audiences)}; the stage expects {', '.join(expected['Audience'])}",
        good=bool(set(audiences) & set(expected["Audience"])),
        fix="set audiences in cdk.json to the app's client id and deploy",
    )
    left = float(claims.get("exp", 0)) - time.time()
    yield judged("token: expiry", f"{left:.0f} s are left", good=left > 0, fix="sign in anew")
    wrong = ""
    try:
        identify(claims, {}, settings=deployed.settings)
    except CallerNotIdentifiedError as problem:
        wrong = problem.cause
    other = "send the ID token, not the access token; see docs/identity-providers.md"
    yield judged("token: e-mail", wrong or "names a person", good=not wrong, fix=other)


def _claims(token: str) -> dict[str, Any]:
    # Imported where a token is checked: it brings cryptography.
    import jwt  # noqa: PLC0415

    try:
        # The gateway verifies it; what is wrong with the claims is to be said one by one.
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise OperatorError("this is no JWT: copy what your page sends after 'Bearer '") from error
    return claims


def _size(token: str, claims: dict[str, Any]) -> Finding:
    size = len(f"Authorization: Bearer {token}")
    largest = sorted(claims, key=lambda name: -len(json.dumps(claims[name])))[:3]
    parts = ", ".join(f"{name} {len(json.dumps(claims[name]))}" for name in largest)
    return judged(
        "token: size",
        f"{size} of the {LARGEST} bytes that API Gateway takes with all other headers; "
        f"largest claims: {parts}",
        good=size <= LARGEST - OTHER_HEADERS,
        fix=LARGE_TOKENS,
    )
