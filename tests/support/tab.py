"""What a page with a token source has and gets: a caller's token, and the service's answer."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
MINUTE, HOUR = 60_000, 3_600_000
LIFE = 43_200
JESSICA = {"id": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "email": "jessica.smith@aurorasolar.com"}


def jwt(**claims: Any) -> str:
    """Give a caller's token as far as a browser reads it."""
    body = {"iss": "https://idp.example.com", "sub": "jessica", "exp": NOW.timestamp() + 600}
    text = json.dumps(body | claims).encode()
    return f"e30.{base64.urlsafe_b64encode(text).decode().rstrip('=')}.c2ln"


def vended(jti: str = "first") -> dict[str, Any]:
    expires_at = (NOW + timedelta(seconds=LIFE)).isoformat()
    token = {"jwt": f"jwt-{jti}", "jti": jti, "expires_at": expires_at, "expires_in": LIFE}
    return {"token": token, "user": JESSICA, "source": "generated"}
