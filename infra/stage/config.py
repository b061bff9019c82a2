"""The options of a stage: the function's, and those that shape the stack around it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import urlsplit

from token_vendor.options import Names, Pairs, option, to_text
from token_vendor.settings import LOOPBACK, Options, is_origin

from infra.stage.given import GivenOptions
from infra.stage.reader import StageError, read_options, stage_error
from infra.stage.schedules import wrong_times
from infra.web.demo_files import wrong_sources

# CloudWatch Logs accepts these retentions and no others.
RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653)
HOURS_SHAPE = re.compile(r"(\d{1,2})-(\d{1,2})")
HOURS_OF_DAY = 24
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
MOST_AUDIENCES = 50
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: all variables together.
ENVIRONMENT_BYTES = 4096
# What the stack adds: names of table, secret, service and namespace.
STACK_BYTES = 512

STAND_INS: Mapping[str, Any] = {
    "issuer": "https://id.example.com",
    "audiences": ("client",),
    "cors_origins": (),
    "aurora_environment": "sandbox",
    "aurora_tenant_id": "tenant",
    "stage": "stage",
}
"""Values for required options that are missing or wrong, while the others are looked at."""


def is_issuer(text: str) -> bool:
    """Tell whether `text` can be the `iss` of a token whose keys API Gateway looks up."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    plain = re.fullmatch(r"[^\s?#@*{}]+", text) is not None
    # Entra's shared addresses are no `iss`: its tokens name their own tenant.
    shared = host == "login.microsoftonline.com" and parts.path.split("/")[1:2] in (
        ["common"],
        ["organizations"],
        ["consumers"],
    )
    return bool(host) and secure and plain and not shared and "/.well-known/" not in text


def is_span(hours: str) -> bool:
    """Tell whether `hours` is empty or such as "6-16"."""
    match = HOURS_SHAPE.fullmatch(hours)
    return not hours or (match is not None and int(match[1]) < int(match[2]) <= HOURS_OF_DAY)


@dataclass(frozen=True, kw_only=True)
class StageConfig(GivenOptions):
    # Who may call.
    issuer: str = option(
        "the https address that your OIDC provider puts in `iss`: one tenant's, without "
        "/.well-known/…",
        shape=is_issuer,
    )
    audiences: Names = option("a list with the client ids (`aud`) of your app", shape=r"\S+")
    cors_origins: Names = option(
        'a list of origins such as "https://app.example.com", as browsers write them: lower case, '
        "without path or default port",
        shape=is_origin,
    )
    throttle_rate: float = option(
        "requests a second that API Gateway lets in, and twice as many at once",
        100,
        least=1,
        most=2_500,
    )

    # The function and what is kept of its work.
    memory_mb: int = option("MB", 1024, least=256, most=10_240)
    deployment: str = option(
        '"all-at-once", or "canary": a new version is tried first, then by a tenth of the requests',
        "all-at-once",
        shape="all-at-once|canary",
    )
    canary_email: str = option(
        'the address of an SDK User whose token is asked for every minute, or "" for none',
        "",
        shape=r"(?:[^@\s]+@[^@\s]+\.[^@\s]+)?",
    )
    provisioned_concurrency: int = option("execution environments kept warm", 0, least=0, most=1000)
    snap_start: bool = option("true or false", False)
    log_retention_days: int = option(
        "days, such as 30 or 365: CloudWatch Logs takes some numbers", 30, least=1, most=3653
    )
    alarm_email: str = option(
        'the address that alarms go to, or "" for none', "", shape=r"(?:[^@\s]+@[^@\s]+\.[^@\s]+)?"
    )
    runbook: str = option(
        "where docs/runbook.md is for those who read an alarm: an https address",
        "docs/runbook.md",
        shape=r"docs/runbook\.md|https://[^\s#]{1,300}",
    )
    business_hours: str = option(
        'hours of UTC such as "6-16" in which no traffic is an alarm, or "" for no such alarm',
        "",
        shape=is_span,
    )
    website: bool = option(
        "true publishes the demo page on CloudFront, with /token behind the same address", False
    )
    website_origins: Names = option(
        "a list of origins that the page may call beside the issuer's and the SDK's",
        (),
        shape=is_origin,
    )
    sdk_sources: Pairs = option(
        'what the page\'s policy allows the Client SDK, by directive, such as {"worker-src": '
        '"blob:"}',
        (),
    )
    directory_schedule: str = option(
        'when to read Aurora\'s user list beforehand, such as "cron(30 6 ? * MON-FRI *)"',
        "",
    )
    prewarm_schedule: str = option(
        "when `prewarm` works: every quarter of an hour in which people come, and before",
        "cron(0/15 3-8 ? * MON-FRI *)",
        shape=r".+",
    )
    reserved_concurrency: int = option(
        "execution environments, taken from the account's limit; 0 for no bound",
        0,
        least=0,
        most=10_000,
    )
    termination_protection: bool = option("true refuses to delete the stack", False)
    disposable: bool = option("true lets `cdk destroy` delete table, key and logs", False)

    @classmethod
    def read(cls, stages: Mapping[str, Any], stage: object, override: Mapping[str, Any]) -> Self:
        """
        Return the options of one stage, or raise `StageError` with a line for each that is wrong.

        `stages` is that object of cdk.json, `stage` the name given with `-c stage=`. What stands in
        `override` is known only at the time of the call, and wins.
        """
        if not isinstance(stage, str) or stage not in stages:
            known = ", ".join(sorted(stages))
            if not stage:
                raise StageError(f"-c stage=…: name a stage of cdk.json; it has {known}")
            raise StageError(f"cdk.json has no stage {stage}; it has {known}")
        given = {**stages[stage], **override, "stage": stage}
        values, wrong = read_options(cls, given)
        # What is right is held against each other all the same: one run names every fault.
        found = set(wrong)
        stand_ins = {key: value for key, value in STAND_INS.items() if key in wrong}
        config = cls(**{**values, **stand_ins})
        for key, why in config.contradictions():
            # What names a wrong one was held against its default.
            named = {key, *re.findall(r"\w+", why)}
            if key == "aurora_url":
                named.add("aurora_environment")
            if not named & found:
                wrong[key] = why
                given.setdefault(key, getattr(config, key))
        if wrong:
            raise stage_error(stage, given, wrong)
        return config

    @classmethod
    def of(cls, stage: str, **options: Any) -> Self:
        """Return the options of a stage that another CDK app declares; raise as `read`."""
        return cls.read({stage: options}, stage, {})

    def variables(self) -> dict[str, str]:
        values = {each.name.upper(): to_text(getattr(self, each.name)) for each in fields(Options)}
        return {**values, "AURORA_URL": self.aurora_origin}

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield each option that contradicts another one, or that AWS would refuse."""
        yield from super().contradictions()
        yield from wrong_times(
            time_zone=self.time_zone,
            directory_schedule=self.directory_schedule,
            prewarm_schedule=self.prewarm_schedule,
        )
        if not 1 <= len(self.audiences) <= MOST_AUDIENCES:
            yield "audiences", f"API Gateway takes 1 to {MOST_AUDIENCES} of them"
        if self.log_retention_days not in RETENTIONS:
            yield "log_retention_days", f"CloudWatch Logs takes one of {RETENTIONS}"
        if self.snap_start and self.provisioned_concurrency:
            yield "snap_start", "AWS refuses it together with provisioned_concurrency"
        if 0 < self.reserved_concurrency < self.provisioned_concurrency:
            yield "reserved_concurrency", "must be at least provisioned_concurrency"
        if self.alarm_topic_arn and self.alarm_email:
            yield "alarm_email", "subscribe it to alarm_topic_arn, which is not the stack's"
        if self.stage != "local" and urlsplit(self.issuer).hostname in LOOPBACK:
            yield (
                "issuer",
                "API Gateway cannot reach this machine; only stage local may name it",
            )
        if self.website_web_acl_arn and not self.website:
            yield "website_web_acl_arn", "goes together with website"
        if wrong := wrong_sources(self.sdk_sources):
            yield "sdk_sources", wrong
        variables = self.variables()
        size = sum(len(name) + len(value.encode()) for name, value in variables.items())
        if size > ENVIRONMENT_BYTES - STACK_BYTES:
            longest = max(variables, key=lambda name: len(variables[name].encode()))
            why = (
                f"too long: the function's options have {size} bytes, and Lambda takes "
                f"{ENVIRONMENT_BYTES} with those that the stack adds ({STACK_BYTES})"
            )
            yield longest.lower(), why


def parse_override(text: str | None) -> Mapping[str, Any]:
    """
    Parse `-c override='{"option": value}'`: options that are known only when the app runs.

    What is no JSON object raises `StageError`.
    """
    try:
        override = json.loads(text or "{}")
    except ValueError as error:
        raise StageError(f"-c override={text}: {error}") from error
    if not isinstance(override, dict):
        raise StageError(f"-c override={text}: has to be a JSON object of options")
    return override
