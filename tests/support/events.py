"""What API Gateway would send in, and what it would send on."""

import json
from dataclasses import dataclass
from typing import Any


def event(claims: dict[str, Any], body: Any = None, *, method: str = "POST") -> dict[str, Any]:
    """Make an event of payload format 2.0 as an HTTP API with a JWT authorizer sends it."""
    return {
        "version": "2.0",
        "routeKey": f"{method} /token",
        "rawPath": "/token",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "requestId": "gateway-1",
            "authorizer": {"jwt": {"claims": claims, "scopes": None}},
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


def token_event(email: str, body: Any = None, *, method: str = "POST") -> dict[str, Any]:
    """Make the event of somebody with a verified address."""
    # Real API Gateway hands every claim over as a string.
    claims = {
        "email": email,
        "email_verified": "true",
        "given_name": "Jessica",
        "family_name": "Smith",
    }
    return event(claims, body, method=method)


@dataclass(frozen=True)
class Answer:
    """The response of one invocation."""

    status: int
    headers: dict[str, str]
    body: Any

    @classmethod
    def from_response(cls, response: dict[str, Any]) -> "Answer":
        """Read what the handler returned."""
        body = response.get("body")
        return cls(response["statusCode"], response["headers"], json.loads(body) if body else None)

    @property
    def jti(self) -> str:
        """The vended token's own name."""
        return str(self.body["token"]["jti"])

    @property
    def slug(self) -> str:
        """The problem's name in the catalogue."""
        return str(self.body["type"]).rpartition(":")[2]
