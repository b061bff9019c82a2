"""How many people one stage carries: docs/architecture.md's figures, from AWS's quotas."""

from dataclasses import fields
from math import ceil

import pytest
from token_vendor.control import KEPT
from token_vendor.request_budget import MICROSECONDS, STAYS_FULL
from token_vendor.settings import Settings

from infra.build.lambda_asset import ROOT
from infra.stage.config import StageConfig

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
PARTITION_READS, PARTITION_WRITES = 3_000, 1_000
"""What DynamoDB does for one item in a second; a consistent read of up to 4 KB is one."""
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ENVIRONMENTS = 1_000
"""Invocations that an account's Lambda runs at once, until AWS raises its quota."""
TOKEN_LIFE = 12 * 3600
"""Seconds; Aurora's published sample lives so long."""
COME_WITHIN = 10
"""Minutes."""
DEFAULTS = {field.name: field.default for kind in (StageConfig, Settings) for field in fields(kind)}
RATE, BURST = DEFAULTS["request_rate"], DEFAULTS["request_burst"]
USEFUL_LIFE = (TOKEN_LIFE - DEFAULTS["refresh_margin"]) / 3600
"""Hours in which a token is vended before its margin."""
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def spoken(minutes: float) -> str:
    whole = round(minutes)
    if whole < 60:
        return f"{whole} min"
    return f"{whole // 60} h {whole % 60} min"


def row(people: int) -> str:
    """Give the table's row; the ring gives every place once in `BURST` / `RATE` minutes."""
    last = (ceil(people / BURST) - 1) * BURST / RATE
    waits = max(0, last - COME_WITHIN)
    asked = people / COME_WITHIN / 60
    gateway = "" if asked <= DEFAULTS["throttle_rate"] else ", above the throttle"
    ahead = spoken(people / RATE)
    if people / RATE / 60 > USEFUL_LIFE:
        ahead += ", longer than a token serves"
    return f"| {people:,} | {asked:.1f}{gateway} | {spoken(waits)} | {ahead} |"


@pytest.mark.parametrize("people", [100, 1_000, 5_000, 10_000, 100_000])
def test_table_tells_what_this_many_people_meet(people: int) -> None:
    assert row(people) in PAGE


def test_first_limits_are_told() -> None:
    a_day = round(RATE * 60 * USEFUL_LIFE)
    assert f"**{a_day:,} people** with one key" in PAGE
    assert f"**{DEFAULTS['throttle_rate']:,} requests a second**" in PAGE


def test_shared_items_break_after_lambda_does() -> None:
    """As many environments as an account runs at once do not wear out CONTROL's item or RING's."""
    control = ENVIRONMENTS / KEPT
    ring = ENVIRONMENTS / (STAYS_FULL / MICROSECONDS)
    assert control <= PARTITION_READS
    assert ring <= PARTITION_WRITES
    assert f"{control:,.0f} of {PARTITION_READS:,} reads" in PAGE
    assert f"{ring:,.0f} of {PARTITION_WRITES:,} writes" in PAGE
