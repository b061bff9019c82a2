"""The function's environment and settings, as far as a test does not care."""

from dataclasses import replace
from typing import Any

from token_vendor.settings import Settings

ENVIRONMENT = {
    "STAGE": "test",
    "TABLE_NAME": "tokens",
    "AURORA_SECRET_ARN": "aurora-api-key",
    "AURORA_URL": "http://127.0.0.1:9",
    "AURORA_TENANT_ID": "tenant",
    "AURORA_ENVIRONMENT": "sandbox",
}


def settings(**options: Any) -> Settings:
    """Return the defaults, with some options set."""
    return replace(Settings.from_environment(ENVIRONMENT), **options)
