"""The function's settings, as far as a test does not care."""

from typing import Any

from token_vendor.settings import Settings


def settings(**options: Any) -> Settings:
    """Return the defaults, with some options set."""
    required: dict[str, Any] = {
        "stage": "test",
        "aurora_environment": "sandbox",
        "aurora_tenant_id": "tenant",
        "table_name": "tokens",
        "aurora_secret_arn": "aurora-api-key",
    }
    return Settings(**required | options)
