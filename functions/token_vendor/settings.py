"""
Every option of the function: declared, typed, and checked once per cold start.

Nothing else reads `os.environ`. A message names the variable, its value and what is wrong with it.
The CDK app's stages (`infra/stage`) take the options from here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from math import ceil
from typing import Any, Self
from urllib.parse import urlsplit

from token_vendor.options import Names, Pairs, WrongValueError, from_text, option, rule_of

AURORA_HOSTS = {"sandbox": "api-sandbox.aurorasolar.com", "production": "api.aurorasolar.com"}
"""Aurora's own hosts, by environment (its page "Access Token", and its reference)."""
GATEWAY_TIMEOUT = 29
"""Seconds after which the HTTP API gives up on the function: the most that the CDK accepts."""
RESERVE = 1
"""Seconds kept of an invocation for storing, releasing and answering."""
MINUTE = 60
LOOPBACK = ("localhost", "127.0.0.1")
CLAIM = r"[\x21-\x7e]{1,128}"
LINE = r"[^\s\x00-\x1f](?:[^\x00-\x1f]*[^\s\x00-\x1f])?"
# RFC 9110: a header's name is a token, and its value is visible ASCII with single blanks inside.
HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]*"
HEADER_VALUE = r"(?:[\x21-\x7e]+(?: [\x21-\x7e]+)*)?"
DOMAIN = re.compile(r"[\w-]+(?:\.[\w-]+)+")
DEFAULT_PORTS = {"https": ":443", "http": ":80"}


class SettingsError(Exception):
    """Environment variables are missing or wrong; a line for each."""


def is_origin(text: str) -> bool:
    """Tell whether `text` is an https origin as browsers write it; loopback may be plain."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return (
        text == f"{parts.scheme}://{parts.netloc}"
        and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
        and re.fullmatch(r"[a-z0-9.-]+(:\d+)?", parts.netloc) is not None
        and not parts.netloc.endswith(DEFAULT_PORTS[parts.scheme])
        and not parts.netloc.startswith(":")
    )


def is_domain(text: str) -> bool:
    """Tell whether `text` is a domain as normalised addresses have it: lower case, no wildcard."""
    return text == text.lower() and DOMAIN.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a stage may set for the function. Durations are in seconds."""

    stage: str = option(
        "1 to 20 of a-z, 0-9 and -, starting with a letter", shape=r"[a-z][a-z0-9-]{0,19}"
    )

    # Who may call.
    claim_email: str = option("the name of a claim", "email", shape=CLAIM)
    claim_email_verified: str = option("the name of a claim", "email_verified", shape=CLAIM)
    claim_groups: str = option('the name of a claim, or "" for none', "", shape=rf"(?:{CLAIM})?")
    require_verified_email: bool = option(
        "false only where the provider verifies e-mails but sends no claim that says so", True
    )

    # Aurora.
    aurora_environment: str = option('"sandbox" or "production"', shape="|".join(AURORA_HOSTS))
    aurora_tenant_id: str = option("the id of your Aurora tenant", shape=r"[A-Za-z0-9_-]{1,128}")
    aurora_url: str = option(
        "an https origin; left out, Aurora's own for the environment",
        "",
        shape=lambda text: not text or is_origin(text),
    )
    aurora_version_header: str = option(
        "the header that pins Aurora's API version: letters, digits and -", "", shape=HEADER_NAME
    )
    aurora_version: str = option(
        "the API version to pin, in ASCII on one line", "", shape=HEADER_VALUE
    )
    aurora_rate_limit: int = option("requests a minute that Aurora grants the key", 90, least=1)
    request_rate: float = option("requests a minute to make", 88, least=0.1)
    request_burst: int = option("requests to make at once", 90, least=1)

    # Tokens and accounts.
    refresh_margin: float = option("seconds", 3600, least=0, most=39_600)
    directory_ttl: float = option("seconds", 300, least=1, most=3600)
    kept_days: int = option(
        "days that the table remembers a person after the last token", 30, least=30, most=400
    )
    prewarm: bool = option(
        "true notes when people come, and generates before they are expected", False
    )
    time_zone: str = option(
        'an IANA time zone such as "Europe/Berlin", in which schedules and `prewarm` tell the time',
        "UTC",
        shape=r"UTC|[A-Za-z]+(?:/[A-Za-z0-9_+-]+){1,2}",
    )
    renewals_per_hour: int = option("renewals a caller may ask for in an hour", 6, least=1)
    invitations: bool = option("true or false", True)
    invite_domains: Names = option(
        "a list of e-mail domains; empty means all",
        (),
        shape=is_domain,
        problem='. Write them in lower case such as "example.com", without *, @ or leading dot',
    )
    invite_level: str = option("an Aurora user level", "SDK User", shape=LINE)
    invite_levels_by_group: Pairs = option('an object {"group": "level"}', (), shape=LINE)
    invite_partner_ids: Names = option("a list of Aurora partner ids", (), shape=r"[A-Za-z0-9_-]+")

    log_email: bool = option("true to log e-mails as they are, not as hashes", False)
    # The least is what one call to Aurora may take, see the time-outs in Settings.
    function_timeout: int = option("seconds", 25, least=14, most=GATEWAY_TIMEOUT - 1)

    @property
    def aurora_origin(self) -> str:
        """Return where Aurora is: the option, or Aurora's own host for the environment."""
        return self.aurora_url or f"https://{AURORA_HOSTS[self.aurora_environment]}"

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield each option that contradicts another one, and in what."""
        host = urlsplit(self.aurora_origin).hostname
        for environment, its_host in AURORA_HOSTS.items():
            if host == its_host and environment != self.aurora_environment:
                yield "aurora_url", f'that host is the "{environment}" environment'
        if bool(self.aurora_version) != bool(self.aurora_version_header):
            yield "aurora_version", "goes together with aurora_version_header"
        # A place is used once in w = burst · 60 s ÷ rate (request_budget.py): this often in a
        # minute, wherever the minute begins.
        rounds = ceil(self.request_rate / self.request_burst)
        if (worst := self.request_burst * rounds) > self.aurora_rate_limit:
            why = (
                f"with request_burst {self.request_burst} a minute can hold {worst} calls: "
                f"aurora_rate_limit is {self.aurora_rate_limit}"
            )
            yield "request_rate", why

    @property
    def longest_request(self) -> float:
        """Return the seconds that a request may work before it has to answer."""
        return self.function_timeout - RESERVE


@dataclass(frozen=True, kw_only=True)
class Settings(Options):
    """
    The options, what the stack adds, and times that no stage changes because they fit each other.

    A variable is its field's name in capitals. Tests set the times, too.
    """

    table_name: str = option("the name of the table")
    aurora_secret_arn: str = option("the ARN of the secret that holds the Aurora API key")
    aurora_connect_timeout: float = option("seconds", 2, least=0.1, most=10)
    aurora_read_timeout: float = option("seconds", 10, least=0.1, most=25)
    turn_grace: float = option("seconds that a kept turn may be late", 5, least=0, most=60)
    patience: float = option("seconds to wait for a turn inside a request", 5, least=0, most=20)
    queue_horizon: float = option("seconds that turns are given out ahead", 900, least=1, most=3600)
    api_key_ttl: float = option("seconds", 300, least=1, most=3600)
    cool_down: float = option("seconds; 0 for none", 30, most=600)

    @property
    def partition(self) -> str:
        """Return what every partition key starts with; a tenant's items are told apart by it."""
        return f"{self.aurora_environment}#{self.aurora_tenant_id}"

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield each setting that contradicts another one, and in what."""
        yield from super().contradictions()
        if self.aurora_connect_timeout + self.aurora_read_timeout >= self.longest_request:
            why = (
                f"with aurora_connect_timeout it has to end {RESERVE} s before function_timeout, "
                f"{self.function_timeout}"
            )
            yield "aurora_read_timeout", why
        if self.patience >= self.function_timeout:
            yield "patience", f"has to be below function_timeout, {self.function_timeout}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; a `SettingsError` names every variable that is wrong."""
        values: dict[str, Any] = {}
        wrong: list[str] = []
        for declared in fields(cls):
            name = declared.name.upper()
            if text := environment.get(name, ""):
                try:
                    value = from_text(declared.type, text)
                    rule_of(declared).check(value)
                    values[declared.name] = value
                except WrongValueError as exc:
                    wrong.append(f"{name} = {text!r}: {exc}")
            elif declared.default is MISSING:
                wrong.append(f"{name} must be set")
        if wrong:
            raise SettingsError("\n".join(wrong))
        settings = cls(**values)
        wrong = [
            f"{name.upper()} = {getattr(settings, name)!r}: {why}"
            for name, why in settings.contradictions()
        ]
        if wrong:
            raise SettingsError("\n".join(wrong))
        return settings
