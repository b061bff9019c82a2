"""
What a month costs: the synthesized template and counted requests, times AWS's list prices.

Everything that is neither counted nor in the template is an assumption with a name. Prices are
those of us-east-1, on demand, noted on 2026-11-25 from the pages that they name.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from token_vendor.observability import Metric

from tests.infrastructure.conftest import flat

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
PRICING = "https://aws.amazon.com/{}/pricing{}"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one request of a kind did at the wire."""

    calls: int
    read_units: int
    write_units: int
    log_bytes: int
    log_lines: int


# As `make bench` counted them on 2026-11-25; docs/cost.md is computed from these.
STORED = Counted(calls=1, read_units=2, write_units=0, log_bytes=810, log_lines=1)
GENERATED = Counted(calls=6, read_units=3, write_units=6, log_bytes=1525, log_lines=2)


@dataclass(frozen=True)
class Line:
    """One line of the bill: `quantity` units at `usd` each, of which an account has `free`."""

    name: str
    quantity: float
    unit: str
    usd: float
    service: str
    free: float = 0

    @property
    def listed(self) -> float:
        """Return US dollars where another stack has used up the account's allowance."""
        return self.quantity * self.usd

    @property
    def billed(self) -> float:
        """Return US dollars with the account's allowance."""
        return max(0, self.quantity - self.free) * self.usd

    @property
    def page(self) -> str:
        """Return the address of AWS's prices."""
        on_demand = "/on-demand" if self.service in {"dynamodb", "ec2"} else ""
        return PRICING.format(self.service, on_demand)


@dataclass(frozen=True)
class Bill:
    """The lines of a month."""

    lines: list[Line]

    @property
    def listed(self) -> float:
        return sum(line.listed for line in self.lines)

    @property
    def billed(self) -> float:
        return sum(line.billed for line in self.lines)

    @property
    def beside_other_functions(self) -> float:
        """Return US dollars where the account's other functions use up Lambda's allowance."""
        return sum(line.listed if line.service == "lambda" else line.billed for line in self.lines)

    def markdown(self) -> str:
        """Return the table that docs/cost.md shows."""
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
    """Return a quantity with as many digits as say something."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def month(template: Mapping[str, Any], *, stored: Counted, generated: Counted) -> Bill:
    """Return the bill of a month for one stage."""
    (function,) = _properties(template, "AWS::Lambda::Function")
    kinds = ((REQUESTS - GENERATES, stored, 0), (GENERATES, generated, AURORA_MS))

    def in_all(of_one: Callable[[Counted], float]) -> float:
        return sum(number * of_one(counted) for number, counted, _ in kinds)

    busy_ms = in_all(lambda counted: OWN_MS + counted.calls * DYNAMODB_MS)
    waiting_ms = sum(number * aurora for number, _, aurora in kinds)
    milliseconds = busy_ms + waiting_ms + REQUESTS * COLD_SHARE * INIT_MS
    stored_gb = CALLERS * CALLER_BYTES / GIGABYTE
    key_reads = ENVIRONMENTS * 12 * BUSY_HOURS * DAYS
    secrets = len(_properties(template, "AWS::SecretsManager::Secret"))
    keys = sum(
        1 + (ROTATIONS if key.get("EnableKeyRotation") else 0)
        for key in _properties(template, "AWS::KMS::Key")
    )
    log_gb = in_all(lambda counted: _logged(template, counted)) / GIGABYTE
    groups = _properties(template, "AWS::Logs::LogGroup")
    retention = max(group["RetentionInDays"] for group in groups)
    archived = log_gb * COMPRESSED * retention / DAYS
    # AWS's one allowance is for both.
    free_archive = max(0.0, 5 - log_gb)
    metric_months = sum(number * hours / 24 for number, hours in SERIES.values())
    dashboards = dashboard_metrics(template)
    # Those of more metrics are not free.
    free_dashboards = min(3, sum(metrics <= 50 for metrics in dashboards))
    requests = (REQUESTS + PREFLIGHTS) / 1e6
    gb_seconds = milliseconds / 1000 * function["MemorySize"] / 1024
    reads = in_all(lambda counted: counted.read_units) / 1e6
    writes = in_all(lambda counted: counted.write_units) / 1e6
    answers = REQUESTS * ANSWER_BYTES / GIGABYTE
    return Bill(
        [
            Line("HTTP API, with preflights", requests, "million requests", 1.00, "api-gateway"),
            Line("Lambda requests", REQUESTS / 1e6, "million", 0.20, "lambda", 1),
            Line("Lambda, arm64", gb_seconds, "GB-s", 0.0000133334, "lambda", 400_000),
            Line("DynamoDB reads", reads, "million units", 0.125, "dynamodb"),
            Line("DynamoDB writes", writes, "million units", 0.625, "dynamodb"),
            Line("answers to the internet", answers, "GB", 0.09, "ec2", 100),
            Line("DynamoDB storage", stored_gb, "GB", 0.25, "dynamodb", 25),
            Line("DynamoDB point-in-time recovery", stored_gb, "GB", 0.20, "dynamodb"),
            Line("Secrets Manager", secrets, "secrets", 0.40, "secrets-manager"),
            Line("Secrets Manager calls", key_reads / 1e4, "ten thousand", 0.05, "secrets-manager"),
            Line("KMS key and its rotations", keys, "keys", 1.00, "kms"),
            Line("KMS calls", 2 * key_reads / 1e4, "ten thousand", 0.03, "kms", 2),
            Line("logs, function and access", log_gb, "GB", 0.50, "cloudwatch", 5),
            Line(
                f"logs kept for {retention} days", archived, "GB", 0.03, "cloudwatch", free_archive
            ),
            Line("own metrics, by the hour", metric_months, "metrics", 0.30, "cloudwatch", 10),
            Line("alarm metrics", alarm_metrics(template), "metrics", 0.10, "cloudwatch", 10),
            Line("dashboards", len(dashboards), "dashboards", 3.00, "cloudwatch", free_dashboards),
        ]
    )


def alarm_metrics(template: Mapping[str, Any]) -> int:
    """Count as CloudWatch bills: an alarm on an expression costs each metric that this takes."""
    return sum(
        sum("MetricStat" in each for each in alarm.get("Metrics", [])) or 1
        for alarm in _properties(template, "AWS::CloudWatch::Alarm")
    )


def dashboard_metrics(template: Mapping[str, Any]) -> list[int]:
    """Count each dashboard's metrics: those named, and those that searches find in 14 days."""
    found, _ = SERIES[Metric.AURORA_CALL]
    counts = []
    for dashboard in _properties(template, "AWS::CloudWatch::Dashboard"):
        rows = [
            row
            for widget in json.loads(flat(dashboard["DashboardBody"]))["widgets"]
            for row in widget["properties"].get("metrics", [])
        ]
        searches = any("SEARCH(" in json.dumps(row) for row in rows)
        counts.append(sum(isinstance(row[0], str) for row in rows) + searches * found)
    return counts


def _logged(template: Mapping[str, Any], counted: Counted) -> float:
    """Return the bytes that one request leaves in the function's log and in the access log."""
    (function,) = _properties(template, "AWS::Lambda::Function")
    (stage,) = _properties(template, "AWS::ApiGatewayV2::Stage")
    quiet = function.get("LoggingConfig", {}).get("SystemLogLevel") == "WARN"
    platform = 0 if quiet else PLATFORM_BYTES + 3 * EVENT_BYTES
    access = stage["AccessLogSettings"]["Format"]
    line = re.sub(r"\$context[.\w]+", lambda field: ACCESS_LOG_VALUES[field[0]], access)
    own = counted.log_bytes + counted.log_lines * EVENT_BYTES
    return own + platform + len(line) + EVENT_BYTES


def _properties(template: Mapping[str, Any], type_: str) -> list[dict[str, Any]]:
    resources = template["Resources"].values()
    return [each["Properties"] for each in resources if each["Type"] == type_]
