"""
Every environment variable, typed, and checked once per cold start.

Nothing else reads `os.environ`.  A message names the variable, the value and what is allowed.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

GATEWAY_TIMEOUT = 30
"""Seconds after which an HTTP API gives up on its integration."""
RESERVE = 1.0
"""Seconds kept of an invocation for storing, releasing and answering."""


class SettingsError(Exception):
    """An environment variable is missing or wrong."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration: durations in seconds; a variable is its field's name in capitals."""

    stage: str
    table_name: str
    aurora_secret_arn: str
    aurora_url: str
    aurora_tenant_id: str
    aurora_environment: str
    aurora_version_header: str = ""
    aurora_version: str = ""
    aurora_connect_timeout: float = 2
    aurora_read_timeout: float = 10
    aurora_rate_limit: int = 90
    request_rate: float = 80
    request_burst: int = 3
    turn_grace: float = 5
    patience: float = 5
    queue_horizon: float = 900
    refresh_margin: float = 3600
    cool_down: float = 30
    directory_ttl: float = 300
    renewals_per_hour: int = 6
    api_key_ttl: float = 300
    function_timeout: float = 25
    claim_email: str = "email"
    claim_email_verified: str = "email_verified"
    claim_given_name: str = "given_name"
    claim_family_name: str = "family_name"
    claim_name: str = "name"
    claim_phone: str = "phone_number"
    claim_groups: str = ""
    require_verified_email: bool = True
    invitations: bool = True
    invite_domains: tuple[str, ...] = ()
    invite_level: str = "SDK User"
    invite_levels_by_group: tuple[tuple[str, str], ...] = ()
    invite_partner_ids: tuple[str, ...] = ()
    log_email: bool = False

    @property
    def partition(self) -> str:
        """Return what every partition key starts with; a tenant's items are told apart by it."""
        return f"{self.aurora_environment}#{self.aurora_tenant_id}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """
        Read the settings.

        Raises:
            SettingsError: A variable is missing, has the wrong type, or contradicts another.

        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = field.name.upper()
            if text := environment.get(name, ""):
                values[field.name] = _parsed(name, text, PARSERS[str(field.type)])
        try:
            settings = cls(**values)
        except TypeError as error:
            missing = [
                field.name.upper()
                for field in fields(cls)
                if field.name not in values and field.name in str(error)
            ]
            raise SettingsError(f"{', '.join(missing)} must be set") from error
        settings.check()
        return settings

    def check(self) -> None:
        """
        Hold the values against each other.

        Raises:
            SettingsError: Naming what contradicts what.

        """
        if self.aurora_environment not in {"sandbox", "production"}:
            raise SettingsError(
                f"AURORA_ENVIRONMENT is {self.aurora_environment!r}: sandbox or production"
            )
        url = urlsplit(self.aurora_url)
        local = url.scheme == "http" and url.hostname in {"127.0.0.1", "localhost"}
        if not (local or (url.scheme == "https" and url.hostname)):
            raise SettingsError(f"AURORA_URL is {self.aurora_url!r}: an https address")
        # A kept turn may be used up to the grace late, so that a window of one minute can hold the
        # calls of a minute and a grace, and the burst.
        worst = self.request_rate * (60 + self.turn_grace) / 60 + self.request_burst
        if worst > self.aurora_rate_limit:
            raise SettingsError(
                f"REQUEST_RATE {self.request_rate:g}, REQUEST_BURST {self.request_burst} and "
                f"TURN_GRACE {self.turn_grace:g} allow {worst:.1f} calls in a minute: "
                f"at most AURORA_RATE_LIMIT {self.aurora_rate_limit}"
            )
        longest_call = self.aurora_connect_timeout + self.aurora_read_timeout
        if not longest_call < self.function_timeout - RESERVE:
            raise SettingsError(
                f"AURORA_CONNECT_TIMEOUT {self.aurora_connect_timeout:g} and AURORA_READ_TIMEOUT "
                f"{self.aurora_read_timeout:g} are {longest_call:g} s together: "
                f"less than FUNCTION_TIMEOUT {self.function_timeout:g} less {RESERVE:g}"
            )
        if not self.function_timeout < GATEWAY_TIMEOUT:
            raise SettingsError(
                f"FUNCTION_TIMEOUT is {self.function_timeout:g}: "
                f"less than the {GATEWAY_TIMEOUT} s of API Gateway"
            )


def _parsed(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"{name} is {text!r}: {(parse.__doc__ or '').lower()}") from error


def _text(text: str) -> str:
    """Expect any text."""
    return text


def _duration(text: str) -> float:
    """Expect a number that is not negative."""
    value = float(text)
    if not 0 <= value < 1e9:  # noqa: PLR2004 - refuses inf and nan with the same words.
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    """Expect a whole number, at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _switch(text: str) -> bool:
    """Expect true or false."""
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


def _names(text: str) -> tuple[str, ...]:
    """Expect names separated by commas."""
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Expect a JSON object of texts."""
    pairs = json.loads(text).items()
    if not all(isinstance(value, str) for _, value in pairs):
        raise ValueError(text)
    return tuple(pairs)


PARSERS: dict[str, Callable[[str], Any]] = {
    "<class 'str'>": _text,
    "<class 'float'>": _duration,
    "<class 'int'>": _count,
    "<class 'bool'>": _switch,
    "tuple[str, ...]": _names,
    "tuple[tuple[str, str], ...]": _pairs,
}
