"""
What a month costs, from counted calls and bytes times AWS's list prices.

Prices: us-east-1, on demand, without the first year's free tier, as AWS's price pages show them
(aws.amazon.com/<service>/pricing, noted 2026-11-24).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from infra.stage import StageConfig

CALLERS = 10_000
VENDS_A_DAY = 3
DAYS = 30
MILLION = 1_000_000

HTTP_API_PER_MILLION = 1.00
LAMBDA_REQUESTS_PER_MILLION = 0.20
LAMBDA_ARM_GB_SECOND = 0.0000133334
DYNAMODB_READS_PER_MILLION = 0.125
"""Strongly consistent, per 4 KB."""
DYNAMODB_WRITES_PER_MILLION = 0.625
"""Per 1 KB."""
LOGS_PER_GB = 0.50
SECRET_PER_MONTH = 0.40
KMS_KEY_PER_MONTH = 1.00
CUSTOM_METRIC_PER_MONTH = 0.30
ALARM_PER_MONTH = 0.10
DASHBOARD_PER_MONTH = 3.00
MEMORY_GB = StageConfig.memory_mb / 1024
# CloudWatch's allowances do not end after a year, unlike the free tiers that are left out.
FREE_METRICS = 10
FREE_ALARMS = 10
FREE_DASHBOARDS = 3
DASHBOARDS = 2


@dataclass(frozen=True, kw_only=True)
class Counted:
    """
    What one request of a kind did at the wire, and how long it ran.
    """

    reads: int
    writes: int
    log_bytes: int
    milliseconds: float


def month(*, stored: Counted, generated: Counted, metrics: int, alarms: int) -> dict[str, float]:
    """
    Return US dollars, split; a caller's first vend of a day is generated, the others are stored.
    """
    days = CALLERS * DAYS
    requests = days * VENDS_A_DAY
    kinds = ((days, generated), (requests - days, stored))
    gb_seconds = sum(count * kind.milliseconds / 1000 for count, kind in kinds) * MEMORY_GB
    reads = sum(count * kind.reads for count, kind in kinds)
    # An item with its JWT is between 1 and 2 KB.
    writes = sum(count * kind.writes * 2 for count, kind in kinds)
    logs = sum(count * kind.log_bytes for count, kind in kinds) / 2**30
    traffic = {
        "api": requests / MILLION * HTTP_API_PER_MILLION,
        "lambda": requests / MILLION * LAMBDA_REQUESTS_PER_MILLION
        + gb_seconds * LAMBDA_ARM_GB_SECOND,
        "dynamodb": reads / MILLION * DYNAMODB_READS_PER_MILLION
        + writes / MILLION * DYNAMODB_WRITES_PER_MILLION,
        "logs": logs * LOGS_PER_GB,
        "secret and key": SECRET_PER_MONTH + KMS_KEY_PER_MONTH,
    }
    monitoring = {
        "metrics": max(0, metrics - FREE_METRICS) * CUSTOM_METRIC_PER_MONTH,
        "alarms": max(0, alarms - FREE_ALARMS) * ALARM_PER_MONTH,
        "dashboards": max(0, DASHBOARDS - FREE_DASHBOARDS) * DASHBOARD_PER_MONTH,
    }
    return {
        **{name: round(value, 2) for name, value in (traffic | monitoring).items()},
        "traffic": round(sum(traffic.values()), 2),
        "monitoring": round(sum(monitoring.values()), 2),
        "total": round(ceil(sum((traffic | monitoring).values()) * 100) / 100, 2),
    }
