"""
Read one stage of cdk.json into typed, checked options.

Nothing here needs the CDK, so a wrong option is named before Node even starts.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_type_hints
from urllib.parse import urlsplit

from infra.options import StageError, as_text, option, read_options, refusal

AURORA_HOSTS = {"sandbox": "api-sandbox.aurorasolar.com", "production": "api.aurorasolar.com"}
# CloudWatch Logs accepts these retentions and no others.
RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653)
# API Gateway gives up on a Lambda integration after 30 s; the function has to end before it does.
GATEWAY_TIMEOUT = 29
# Seconds that the function keeps for storing the token and answering.
RESERVE = 1
# The longest stage name whose resource names, prefixes included, stay inside every AWS quota.
NAME_SHAPE = re.compile(r"[a-z][a-z0-9-]{0,19}")
NAMED_CLAIMS = (
    "claim_email",
    "claim_email_verified",
    "claim_given_name",
    "claim_family_name",
    "claim_name",
    "claim_phone",
)
EMAIL_SHAPE = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
HOURS_SHAPE = re.compile(r"(\d{1,2})-(\d{1,2})")
HOURS_OF_DAY = 24
DOMAIN_SHAPE = re.compile(r"[^@\s,/]+\.[^@\s,/]+")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """
    One deployment. Durations are in seconds.
    """

    stage: str = option("1 to 20 of a-z, 0-9 and -, starting with a letter")

    # Who may call.
    issuer: str = option(
        "the https address that your OIDC provider puts in `iss`", shapes_stack=True
    )
    audiences: tuple[str, ...] = option(
        "a list with the client ids (`aud`) of your app", shapes_stack=True
    )
    cors_origins: tuple[str, ...] = option(
        'a list of origins such as "https://app.example.com", without path', shapes_stack=True
    )
    throttle_rate: float = option(
        "requests a second that API Gateway lets in", 100, least=1, most=10_000, shapes_stack=True
    )
    throttle_burst: int = option(
        "requests at once that API Gateway lets in", 200, least=1, most=5_000, shapes_stack=True
    )
    claim_email: str = option("the name of a claim", "email")
    claim_email_verified: str = option("the name of a claim", "email_verified")
    claim_given_name: str = option("the name of a claim", "given_name")
    claim_family_name: str = option("the name of a claim", "family_name")
    claim_name: str = option("the name of a claim", "name")
    claim_phone: str = option("the name of a claim", "phone_number")
    claim_groups: str = option('the name of a claim, or "" for none', "")
    require_verified_email: bool = option(
        "false only where the provider verifies e-mails but sends no claim that says so", True
    )

    # Aurora.
    aurora_environment: str = option('"sandbox" or "production"')
    aurora_tenant_id: str = option("the id of your Aurora tenant")
    aurora_url: str = option("an https origin; left out, Aurora's own for the environment", "")
    aurora_version_header: str = option("the header that pins Aurora's API version", "")
    aurora_version: str = option("the API version to pin", "")
    aurora_connect_timeout: float = option("seconds", 2, least=0.1, most=10)
    aurora_read_timeout: float = option("seconds", 10, least=0.1, most=25)
    aurora_rate_limit: int = option("requests a minute that Aurora grants the key", 90, least=1)
    request_rate: float = option("requests a minute to make", 80, least=1)
    request_burst: int = option("requests to make at once", 3, least=1)
    turn_grace: float = option("seconds that a kept turn may be late", 5, least=0, most=60)
    patience: float = option("seconds to wait for a turn inside a request", 5, least=0, most=20)
    queue_horizon: float = option("seconds that turns are given out ahead", 900, least=1, most=3600)
    api_key_ttl: float = option("seconds", 300, least=1, most=3600)

    # Tokens and accounts.
    refresh_margin: float = option("seconds", 3600, least=0, most=39_600)
    cool_down: float = option("seconds", 30, least=1, most=600)
    directory_ttl: float = option("seconds", 300, least=1, most=3600)
    renewals_per_hour: int = option("renewals a caller may ask for in an hour", 6, least=1)
    invitations: bool = option("true or false", True)
    invite_domains: tuple[str, ...] = option("a list of e-mail domains; empty means all", ())
    invite_level: str = option("an Aurora user level", "SDK User")
    invite_levels_by_group: Mapping[str, str] = option('an object {"group": "level"}', {})
    invite_partner_ids: tuple[str, ...] = option("a list of Aurora partner ids", ())

    # The function and what is kept of its work.
    function_timeout: int = option("seconds", 25, least=5, most=GATEWAY_TIMEOUT - 1)
    memory_mb: int = option("MB", 1024, least=256, most=10_240, shapes_stack=True)
    provisioned_concurrency: int = option(
        "execution environments kept warm", 0, least=0, most=1000, shapes_stack=True
    )
    snap_start: bool = option("true or false", False, shapes_stack=True)
    log_email: bool = option("true to log e-mails as they are, not as hashes", False)
    log_retention_days: int = option(f"one of {RETENTIONS}", 30, shapes_stack=True)
    alarm_email: str = option(
        'the address that alarms go to, or "" for none', "", shapes_stack=True
    )
    business_hours: str = option(
        'hours of UTC such as "6-16" in which no traffic is an alarm, or "" for no such alarm',
        "",
        shapes_stack=True,
    )
    website: bool = option(
        "true publishes the demo page on CloudFront, with /token behind the same address",
        False,
        shapes_stack=True,
    )
    website_origins: tuple[str, ...] = option(
        "a list of origins that the page may call beside the issuer's and Aurora's loader's",
        (),
        shapes_stack=True,
    )
    disposable: bool = option(
        "true lets `cdk destroy` delete table, key and logs", False, shapes_stack=True
    )

    @classmethod
    def read(cls, stages: Mapping[str, Any], stage: object, override: Mapping[str, Any]) -> Self:
        """
        Return the options of one stage.

        Args:
            stages: the `stages` object of cdk.json.
            stage: the name given with `-c stage=`.
            override: options that are known only at the time of the call; they win.

        Raises:
            StageError: with one line that names the option, its value and what is allowed.

        """
        if not isinstance(stage, str) or stage not in stages:
            known = ", ".join(sorted(stages))
            raise StageError(f"-c stage={stage or ''}: cdk.json has the stages {known}")
        given = {**stages[stage], **override, "stage": stage}
        declared = {each.name: each for each in fields(cls)}
        values = read_options(stage, given, declared, get_type_hints(cls))
        config = cls(**values)
        config._check()
        return config

    @property
    def aurora_origin(self) -> str:
        """
        Where Aurora is: the option, or Aurora's own host for the environment.
        """
        return self.aurora_url or f"https://{AURORA_HOSTS[self.aurora_environment]}"

    def variables(self) -> dict[str, str]:
        """
        Return the options that the function reads, as its environment variables.
        """
        values = {
            each.name.upper(): as_text(getattr(self, each.name))
            for each in fields(self)
            if not each.metadata["shapes_stack"]
        }
        return {**values, "AURORA_URL": self.aurora_origin}

    def _check(self) -> None:
        self._check_shapes()
        host = urlsplit(self.aurora_origin).hostname
        for environment, its_host in AURORA_HOSTS.items():
            if host == its_host and environment != self.aurora_environment:
                raise self._wrong("aurora_url", f'that host is the "{environment}" environment')
        if bool(self.aurora_version) != bool(self.aurora_version_header):
            raise self._wrong("aurora_version", "goes together with aurora_version_header")
        # A kept turn may be used late, so one minute can hold the calls of a longer stretch.
        worst_minute = self.request_rate * (60 + self.turn_grace) / 60 + self.request_burst
        if worst_minute > self.aurora_rate_limit:
            raise self._wrong(
                "request_rate",
                f"request_rate * (60 + turn_grace) / 60 + request_burst is {worst_minute:g}, which "
                f"may not be above aurora_rate_limit, {self.aurora_rate_limit}",
            )
        longest_call = self.aurora_connect_timeout + self.aurora_read_timeout
        if longest_call >= self.function_timeout - RESERVE:
            raise self._wrong(
                "aurora_read_timeout",
                f"with aurora_connect_timeout it has to end {RESERVE} s before function_timeout, "
                f"{self.function_timeout}",
            )
        if self.patience >= self.function_timeout:
            raise self._wrong(
                "patience", f"has to be below function_timeout, {as_text(self.function_timeout)}"
            )
        if self.snap_start and self.provisioned_concurrency:
            raise self._wrong("snap_start", "AWS refuses it together with provisioned_concurrency")

    def _check_shapes(self) -> None:
        # `aurora_url` may be left out; the origin that stands in for it is sound.
        shapes = {
            "stage": NAME_SHAPE.fullmatch(self.stage),
            "issuer": _is_secure(self.issuer),
            "audiences": self.audiences,
            "cors_origins": all(map(_is_origin, self.cors_origins)),
            "website_origins": all(map(_is_origin, self.website_origins)),
            # Empty would mean the default, silently.
            **{key: getattr(self, key) for key in NAMED_CLAIMS},
            "aurora_environment": self.aurora_environment in AURORA_HOSTS,
            "aurora_tenant_id": re.fullmatch(r"[A-Za-z0-9_-]+", self.aurora_tenant_id),
            "aurora_url": not self.aurora_url or _is_origin(self.aurora_url),
            "invite_domains": all(map(DOMAIN_SHAPE.fullmatch, self.invite_domains)),
            "invite_level": self.invite_level,
            "log_retention_days": self.log_retention_days in RETENTIONS,
            "alarm_email": not self.alarm_email or EMAIL_SHAPE.fullmatch(self.alarm_email),
            "business_hours": not self.business_hours or _is_span(self.business_hours),
        }
        for key, is_right in shapes.items():
            if not is_right:
                raise self._wrong(key)

    def _wrong(self, key: str, allowed: str = "") -> StageError:
        if not allowed:
            allowed = next(each for each in fields(self) if each.name == key).metadata["allowed"]
        return refusal(self.stage, key, getattr(self, key), allowed)


def _is_secure(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    is_loopback = host in {"localhost", "127.0.0.1"}
    is_plain = not (parts.query or parts.fragment or parts.username or "*" in url)
    return (
        bool(host)
        and is_plain
        and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback))
    )


def _is_span(hours: str) -> bool:
    match = HOURS_SHAPE.fullmatch(hours)
    return match is not None and int(match[1]) < int(match[2]) <= HOURS_OF_DAY


def _is_origin(url: str) -> bool:
    return _is_secure(url) and urlsplit(url).path == ""


def parse_override(text: str | None) -> Mapping[str, Any]:
    """
    Parse `-c override='{"option": value}'`: options that are known only when the app runs.

    Raises:
        StageError: the text is not a JSON object.

    """
    try:
        override = json.loads(text or "{}")
    except ValueError as error:
        raise StageError(f"-c override={text}: {error}") from error
    if not isinstance(override, dict):
        raise StageError(f"-c override={text}: has to be a JSON object of options")
    return override
