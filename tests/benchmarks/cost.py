"""
What a month costs: the synthesized template and counted requests, times AWS's list prices.

Everything that is neither counted nor in the template is an assumption with a name. Prices are
those of us-east-1, on demand, noted on 2026-11-25 from the pages that they name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from token_vendor.observability import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CALLERS = 10_000
VENDS_A_DAY = 3
DAYS = 30
REQUESTS = CALLERS * VENDS_A_DAY * DAYS
PREFLIGHTS = REQUESTS
"""Chromium asks anew after two hours, and people come further apart. AWS bills every request."""
GENERATES = CALLERS * DAYS
"""A caller's first vend of a day is generated, the others are stored."""

# Upstream times, in milliseconds. AWS bills an environment that waits like one that works.
AURORA_MS = 650
"""The middle of the 0.3 to 1 s that a generate is assumed to take."""
DYNAMODB_MS = 6
OWN_MS = 5
INIT_MS = 400
COLD_SHARE = 0.01
"""AWS: "INITs typically occur in under 1% of invocations"; billed since August 2025,
https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase"""
BUSY_HOURS = 12
ENVIRONMENTS = 5
"""Warm in a busy hour; each reads the API key, and has its table key decrypted, in five minutes."""
ANSWER_BYTES = 2500
CALLER_BYTES = 3000
"""What the table holds of one caller: token, account and their keys."""
ROTATIONS = 2
"""From the third year on; KMS bills no more than two."""
PLATFORM_BYTES = 330
"""START, END and REPORT of one invocation, where the function's log level lets them through."""
EVENT_BYTES = 26
"""What CloudWatch Logs adds to each line."""
COMPRESSED = 0.15
"""AWS's own estimate of what is left of an archived log."""

# Series with data in an ordinary month, and the hours of a day in which they have some: AWS bills
# a metric for the hours in which it has data, https://aws.amazon.com/cloudwatch/pricing.
SERIES: Mapping[Metric, tuple[int, int]] = {
    Metric.VENDED: (2, BUSY_HOURS),
    Metric.LATENCY: (1, BUSY_HOURS),
    Metric.COLD_START: (1, BUSY_HOURS),
    Metric.GENERATED: (1, BUSY_HOURS),
    Metric.BUDGET_LEFT: (1, BUSY_HOURS),
    Metric.BUDGET_WAIT: (1, BUSY_HOURS),
    # To list, retrieve, invite and generate; three more answers to a generate.
    Metric.AURORA_CALL: (7, BUSY_HOURS),
    Metric.AURORA_LATENCY: (4, BUSY_HOURS),
    Metric.INVITED: (1, BUSY_HOURS),
    Metric.FORGOTTEN: (1, BUSY_HOURS),
    Metric.RENEWED: (1, BUSY_HOURS),
    Metric.LEASE_WAITED: (1, BUSY_HOURS),
    Metric.LEASE_WAIT: (1, BUSY_HOURS),
    Metric.DIRECTORY_READ: (1, BUSY_HOURS),
    Metric.TURN_GIVEN: (1, 2),
    Metric.STALE_VENDED: (1, 1),
    # A caller not identified, one not eligible, a turn, and two failures of Aurora.
    Metric.PROBLEM: (5, 4),
    # Only where a stage has `prewarm`, and where somebody switched.
    Metric.PREWARMED: (0, 0),
    Metric.SWITCHED_OFF: (0, 0),
    Metric.DOUBLE_GENERATE: (0, 0),
    Metric.WRONG_ACCOUNT: (0, 0),
    Metric.UNDATED: (0, 0),
    Metric.STORE_FAILED: (0, 0),
    Metric.KEY_REREAD: (0, 0),
}
# A value as long as it is in an ordinary request, for each field that the access log may have.
ACCESS_LOG_VALUES = {
    "$context.requestId": "JKJaXmPLvHcESHA=",
    "$context.requestTimeEpoch": "1764115200",
    "$context.routeKey": "POST /token",
    "$context.status": "200",
    "$context.responseLength": "2500",
    "$context.responseLatency": "25",
    "$context.integrationLatency": "21",
    "$context.integrationStatus": "200",
    "$context.error.responseType": "-",
}
GIGABYTE = 2**30
PRICING = "https://aws.amazon.com/{}/pricing"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """
    What one request of a kind did at the wire.
    """

    calls: int
    read_units: int
    write_units: int
    log_bytes: int
    log_lines: int


# As `make bench` counted them on 2026-11-25; docs/cost.md is computed from these.
STORED = Counted(calls=1, read_units=2, write_units=0, log_bytes=925, log_lines=2)
GENERATED = Counted(calls=6, read_units=3, write_units=6, log_bytes=1643, log_lines=3)


@dataclass(frozen=True, kw_only=True)
class Line:
    """
    One line of the bill: `quantity` units at `usd` each, of which an account has `free`.
    """

    name: str
    quantity: float
    unit: str
    usd: float
    page: str
    free: float = 0

    @property
    def listed(self) -> float:
        """
        Return US dollars where another stack has used up the account's allowance.
        """
        return self.quantity * self.usd

    @property
    def billed(self) -> float:
        """
        Return US dollars with the account's allowance.
        """
        return max(0, self.quantity - self.free) * self.usd


@dataclass(frozen=True, kw_only=True)
class Bill:
    """
    The lines of a month.
    """

    lines: tuple[Line, ...]

    @property
    def listed(self) -> float:
        return sum(line.listed for line in self.lines)

    @property
    def billed(self) -> float:
        return sum(line.billed for line in self.lines)

    @property
    def beside_other_functions(self) -> float:
        """
        Return US dollars where the account's other functions use up Lambda's allowance.
        """
        return sum(
            line.listed if line.name.startswith("Lambda") else line.billed for line in self.lines
        )

    def markdown(self) -> str:
        """
        Return the table that docs/cost.md shows.
        """
        rows = [
            "| a month of | quantity | price | of it free | list price | billed |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                f"| [{line.name}]({line.page}) | {readable(line.quantity)} {line.unit} | "
                f"${line.usd:.10g} | {readable(min(line.free, line.quantity))} | "
                f"{line.listed:.2f} | {line.billed:.2f} |"
                for line in self.lines
            ),
            f"| **in all, US dollars** | | | | **{self.listed:.2f}** | **{self.billed:.2f}** |",
        ]
        return "\n".join(rows)


def readable(value: float) -> str:
    """
    Return a quantity with as many digits as say something.
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def month(template: Mapping[str, Any], *, stored: Counted, generated: Counted) -> Bill:
    """
    Return the bill of a month for one stage.
    """
    return Bill(
        lines=(
            *_requests(template, stored=stored, generated=generated),
            *_kept(template),
            *_logs(template, stored=stored, generated=generated),
            *_monitoring(template),
        )
    )


def alarm_metrics(template: Mapping[str, Any]) -> int:
    """
    Count as CloudWatch bills: an alarm on an expression costs each metric that this takes.
    """
    return sum(
        sum("MetricStat" in each for each in alarm.get("Metrics", [])) or 1
        for alarm in _properties(template, "AWS::CloudWatch::Alarm")
    )


def dashboard_metrics(template: Mapping[str, Any]) -> list[int]:
    """
    Count the metrics of each dashboard: those named, and those that searches find in a fortnight.
    """
    found, _ = SERIES[Metric.AURORA_CALL]
    counts = []
    for dashboard in _properties(template, "AWS::CloudWatch::Dashboard"):
        rows = [
            row
            for widget in json.loads(_flat(dashboard["DashboardBody"]))["widgets"]
            for row in widget["properties"].get("metrics", [])
        ]
        searches = any("SEARCH(" in json.dumps(row) for row in rows)
        counts.append(sum(isinstance(row[0], str) for row in rows) + searches * found)
    return counts


def _requests(
    template: Mapping[str, Any], *, stored: Counted, generated: Counted
) -> Iterator[Line]:
    (function,) = _properties(template, "AWS::Lambda::Function")
    kinds = ((REQUESTS - GENERATES, stored, 0), (GENERATES, generated, AURORA_MS))
    milliseconds = sum(
        number * (OWN_MS + counted.calls * DYNAMODB_MS + aurora)
        for number, counted, aurora in kinds
    )
    milliseconds += REQUESTS * COLD_SHARE * INIT_MS
    millions = REQUESTS / 1e6
    yield Line(
        name="HTTP API, with preflights",
        quantity=millions + PREFLIGHTS / 1e6,
        unit="million requests",
        usd=1.00,
        page=PRICING.format("api-gateway"),
    )
    yield Line(
        name="Lambda requests",
        quantity=millions,
        unit="million",
        usd=0.20,
        free=1,
        page=PRICING.format("lambda"),
    )
    yield Line(
        name="Lambda, arm64",
        quantity=milliseconds / 1000 * function["MemorySize"] / 1024,
        unit="GB-s",
        usd=0.0000133334,
        free=400_000,
        page=PRICING.format("lambda"),
    )
    for name, usd, units in (
        ("reads", 0.125, [counted.read_units for _, counted, _ in kinds]),
        ("writes", 0.625, [counted.write_units for _, counted, _ in kinds]),
    ):
        quantity = sum(number * each for (number, *_), each in zip(kinds, units, strict=True))
        yield Line(
            name=f"DynamoDB {name}",
            quantity=quantity / 1e6,
            unit="million units",
            usd=usd,
            page=PRICING.format("dynamodb") + "/on-demand",
        )
    yield Line(
        name="answers to the internet",
        quantity=REQUESTS * ANSWER_BYTES / GIGABYTE,
        unit="GB",
        usd=0.09,
        free=100,
        page=PRICING.format("ec2") + "/on-demand",
    )


def _kept(template: Mapping[str, Any]) -> Iterator[Line]:
    yield Line(
        name="DynamoDB storage",
        quantity=CALLERS * CALLER_BYTES / GIGABYTE,
        unit="GB",
        usd=0.25,
        free=25,
        page=PRICING.format("dynamodb") + "/on-demand",
    )
    yield Line(
        name="DynamoDB point-in-time recovery",
        quantity=CALLERS * CALLER_BYTES / GIGABYTE,
        unit="GB",
        usd=0.20,
        page=PRICING.format("dynamodb") + "/on-demand",
    )
    reads = ENVIRONMENTS * 12 * BUSY_HOURS * DAYS
    yield Line(
        name="Secrets Manager",
        quantity=len(_properties(template, "AWS::SecretsManager::Secret")),
        unit="secrets",
        usd=0.40,
        page=PRICING.format("secrets-manager"),
    )
    yield Line(
        name="Secrets Manager calls",
        quantity=reads / 1e4,
        unit="ten thousand",
        usd=0.05,
        page=PRICING.format("secrets-manager"),
    )
    yield Line(
        name="KMS key and its rotations",
        quantity=sum(
            1 + (ROTATIONS if key.get("EnableKeyRotation") else 0)
            for key in _properties(template, "AWS::KMS::Key")
        ),
        unit="keys",
        usd=1.00,
        page=PRICING.format("kms"),
    )
    yield Line(
        name="KMS calls",
        quantity=2 * reads / 1e4,
        unit="ten thousand",
        usd=0.03,
        free=2,
        page=PRICING.format("kms"),
    )


def _logs(template: Mapping[str, Any], *, stored: Counted, generated: Counted) -> Iterator[Line]:
    (function,) = _properties(template, "AWS::Lambda::Function")
    quiet = function.get("LoggingConfig", {}).get("SystemLogLevel") == "WARN"
    platform = 0 if quiet else PLATFORM_BYTES + 3 * EVENT_BYTES
    (access,) = [
        stage["AccessLogSettings"]["Format"]
        for stage in _properties(template, "AWS::ApiGatewayV2::Stage")
    ]
    line = re.sub(r"\$context[.\w]+", lambda field: ACCESS_LOG_VALUES[field[0]], access)
    total = sum(
        number
        * (counted.log_bytes + counted.log_lines * EVENT_BYTES + platform + len(line) + EVENT_BYTES)
        for number, counted in ((REQUESTS - GENERATES, stored), (GENERATES, generated))
    )
    retention = max(
        group["RetentionInDays"] for group in _properties(template, "AWS::Logs::LogGroup")
    )
    archived = total / GIGABYTE * COMPRESSED * retention / DAYS
    for name, quantity, usd in (
        ("logs, function and access", total / GIGABYTE, 0.50),
        (f"logs kept for {retention} days", archived, 0.03),
    ):
        yield Line(
            name=name,
            quantity=quantity,
            unit="GB",
            usd=usd,
            # AWS's one allowance is for both.
            free=5 if usd == 0.50 else max(0.0, 5 - total / GIGABYTE),
            page=PRICING.format("cloudwatch"),
        )


def _monitoring(template: Mapping[str, Any]) -> Iterator[Line]:
    page = PRICING.format("cloudwatch")
    yield Line(
        name="own metrics, by the hour",
        quantity=sum(number * hours / 24 for number, hours in SERIES.values()),
        unit="metrics",
        usd=0.30,
        free=10,
        page=page,
    )
    yield Line(
        name="alarm metrics",
        quantity=alarm_metrics(template),
        unit="metrics",
        usd=0.10,
        free=10,
        page=page,
    )
    counts = dashboard_metrics(template)
    yield Line(
        name="dashboards",
        quantity=len(counts),
        unit="dashboards",
        usd=3.00,
        # Those of more metrics are not free.
        free=min(3, sum(metrics <= 50 for metrics in counts)),
        page=page,
    )


def _properties(template: Mapping[str, Any], type_: str) -> list[dict[str, Any]]:
    resources = template["Resources"].values()
    return [each["Properties"] for each in resources if each["Type"] == type_]


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "".join(map(_flat, value["Fn::Join"][1])) if "Fn::Join" in value else "reference"
