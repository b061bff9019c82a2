"""The environment variables: what is refused at a cold start, and in which words."""

import pytest
from token_vendor.settings import Settings, SettingsError

REQUIRED = {
    "STAGE": "sandbox",
    "TABLE_NAME": "tokens",
    "AURORA_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:key",
    "AURORA_TENANT_ID": "7d3c2f10-5717-4562-b3fc-2c963f66afa6",
    "AURORA_ENVIRONMENT": "sandbox",
}


def read(**changes: str) -> Settings:
    return Settings.from_environment(REQUIRED | changes)


def test_required_variables_are_enough() -> None:
    found = read()
    assert found.refresh_margin == 3600
    assert found.require_verified_email
    assert found.partition == "sandbox#7d3c2f10-5717-4562-b3fc-2c963f66afa6"


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_or_empty_variable_is_named(name: str) -> None:
    absent = {key: REQUIRED[key] for key in REQUIRED if key != name}
    for given in (absent, REQUIRED | {name: ""}):
        with pytest.raises(SettingsError, match=f"^{name} must be set$"):
            Settings.from_environment(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AURORA_ENVIRONMENT", "staging"),
        ("AURORA_ENVIRONMENT", "Sandbox"),
        ("AURORA_URL", "http://api-sandbox.aurorasolar.com"),
        ("AURORA_URL", "http://localhost.elsewhere.example"),
        ("AURORA_URL", "http://127.0.0.1.elsewhere.example"),
        ("AURORA_URL", "http://localhost@elsewhere.example"),
        ("AURORA_URL", "https://"),
        ("AURORA_URL", "https://api.aurorasolar.com"),
        ("AURORA_URL", "https://aurora.example/"),
        ("AURORA_URL", "https://aurora.example:443"),
        ("AURORA_URL", "https://:80"),
        ("AURORA_TENANT_ID", "a/b"),
        ("CLAIM_EMAIL", "e mail"),
        ("AURORA_VERSION_HEADER", "X-Version:"),
        ("AURORA_VERSION", "2024 \u2013 2025"),
        ("AURORA_VERSION", "2024-01"),
        ("INVITE_DOMAINS", "Example.com"),
        ("INVITE_DOMAINS", "*.example.com"),
        ("INVITE_DOMAINS", ".example.com"),
        ("AURORA_URL", "file:///etc/passwd"),
        ("REFRESH_MARGIN", "an hour"),
        ("REFRESH_MARGIN", "-1"),
        ("REFRESH_MARGIN", "nan"),
        ("COOL_DOWN", "inf"),
        ("RENEWALS_PER_HOUR", "0"),
        ("RENEWALS_PER_HOUR", "6.5"),
        ("REQUIRE_VERIFIED_EMAIL", "yes"),
        ("REQUIRE_VERIFIED_EMAIL", "False"),
        ("INVITATIONS", "1"),
        ("INVITE_LEVELS_BY_GROUP", "designers=Team Member"),
        ("INVITE_LEVELS_BY_GROUP", '["designers"]'),
        ("INVITE_LEVELS_BY_GROUP", '{"designers": 1}'),
        ("FUNCTION_TIMEOUT", "30"),
        ("FUNCTION_TIMEOUT", "13"),
        ("AURORA_READ_TIMEOUT", "22"),
        ("REQUEST_RATE", "91"),
        ("REQUEST_BURST", "46"),
        ("REQUEST_BURST", "91"),
        ("TURN_GRACE", "61"),
        ("AURORA_RATE_LIMIT", "60"),
    ],
    ids=lambda text: text or "empty",
)
def test_wrong_value_is_refused_with_its_name_and_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(**{name: value})
    assert name.lower() in str(refused.value).lower()
    assert value in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["https://api-sandbox.aurorasolar.com", "http://127.0.0.1:9400", "http://localhost:9400"],
)
def test_the_key_travels_encrypted_or_not_at_all(url: str) -> None:
    """Plain HTTP is for this machine only, by its whole name."""
    assert read(AURORA_URL=url).aurora_url == url


def test_lists_are_read() -> None:
    found = read(
        INVITE_DOMAINS="example.com, solar.example,",
        INVITE_LEVELS_BY_GROUP='{"designers": "Team Member"}',
    )
    assert found.invite_domains == ("example.com", "solar.example")
    assert found.invite_levels_by_group == (("designers", "Team Member"),)


def test_every_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError) as refused:
        read(COOL_DOWN="soon", PATIENCE="-1", STAGE="")
    lines = str(refused.value).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["STAGE", "PATIENCE", "COOL_DOWN"]
