"""What API Gateway would send: the canary's request, and those that a new version is tried with."""

from typing import Any

from infra.stage import StageConfig

NOBODY = "nobody@before-traffic.invalid"
"""An address that nobody can have (RFC 6761)."""
LONGEST = 5
"""Minutes: two requests with their cold start, and three more until a version may be called."""


def events(stage: StageConfig) -> list[dict[str, Any]]:
    """
    Return what a new version is tried with.

    It reads its settings and the claims, and asks the table to forget the token of a person who
    does not exist. With `canary_email` it vends to the canary.
    """
    forgets = event_of(stage, NOBODY, name="before-traffic", method="DELETE")
    return [forgets, canary_event(stage)] if stage.canary_email else [forgets]


def canary_event(stage: StageConfig) -> dict[str, Any]:
    """Return what API Gateway would send for the canary."""
    return event_of(stage, stage.canary_email, name="canary", method="POST")


def event_of(stage: StageConfig, email: str, *, name: str, method: str) -> dict[str, Any]:
    """Return what API Gateway would send for the person with this address."""
    claims = {
        "iss": stage.issuer,
        "sub": name,
        stage.claim_email: email,
        stage.claim_email_verified: "true",
    }
    return {
        "version": "2.0",
        "routeKey": f"{method} /token",
        "rawPath": "/token",
        "headers": {},
        "requestContext": {
            "requestId": name,
            "authorizer": {"jwt": {"claims": claims, "scopes": None}},
        },
        "isBase64Encoded": False,
    }
