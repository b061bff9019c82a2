"""
Who holds a token; the JWT itself is never read.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from token_vendor.directory import ACTIVE_ROW
from token_vendor.table import Table
from token_vendor.token_item import State, TokenItem, Wanted

from infra.operator.deployed import Deployed

AURORA_LIFE = 12 * 3600
"""
Seconds: what Aurora documents.
"""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """
    A person with a stored token; times are seconds since the epoch.
    """

    email: str
    user_id: str
    jti: str
    since: int
    until: int


def table(deployed: Deployed) -> Table:
    """
    Return the function's own view of the stage's table.
    """
    return Table(
        deployed.client("dynamodb"),
        name=deployed.outputs["TableName"],
        partition=deployed.settings.partition,
        clock=time.time,
        sleep=time.sleep,
        kept_for=deployed.settings.kept_days * 86_400,
    )


def holders(deployed: Deployed) -> Iterator[Holder]:
    """
    Yield everybody whose stored token has not expired.
    """
    prefix = f"{deployed.settings.partition}#"
    pages = (
        deployed.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=deployed.outputs["TableName"],
            # Everything but the JWT: an operator needs it no more than the log does.
            ProjectionExpression="pk, user_id, jti, expires_at, lifetime",
            FilterExpression="sk = :token AND begins_with(pk, :prefix) AND expires_at > :now "
            "AND attribute_exists(jti)",
            ExpressionAttributeValues={
                ":token": {"S": "TOKEN"},
                ":prefix": {"S": prefix},
                ":now": {"N": str(int(time.time()))},
            },
        )
    )
    for page in pages:
        for item in page["Items"]:
            until = int(item["expires_at"]["N"])
            yield Holder(
                email=item["pk"]["S"].removeprefix(prefix),
                user_id=item["user_id"]["S"],
                jti=item["jti"]["S"],
                since=until - int(item.get("lifetime", {}).get("N", AURORA_LIFE)),
                until=until,
            )


@dataclass(frozen=True, kw_only=True)
class Known:
    """
    What the table holds of a person, without the JWT; `verdict` says what follows from it.
    """

    verdict: str
    fix: str
    token: dict[str, Any]
    account: dict[str, Any]


def state(deployed: Deployed, email: str) -> Known | None:
    """
    Return what the table holds of a person, or None where it holds nothing.
    """
    token_item = table(deployed).load(TokenItem, email)
    item = asdict(token_item)
    item["has_token"] = bool(item.pop("jwt"))
    if not item["has_token"]:
        # It outlives a sign-out, for the hourly cap alone.
        del item["expires_at"], item["lifetime"]
    account = table(deployed).get(ACTIVE_ROW, email)
    if not token_item.version and not account:
        return None
    margin = deployed.settings.refresh_margin
    return Known(
        verdict=verdict(token_item, now=time.time(), margin=margin),
        fix="",
        token=item if token_item.version else {},
        account=account,
    )


def forget(deployed: Deployed, email: str) -> bool:
    """
    Drop a person's stored token; tell whether there was one.
    """
    stage = table(deployed)
    item = stage.load(TokenItem, email)
    return stage.change(item, TokenItem.forgotten, email).forgets > item.forgets


def verdict(item: TokenItem, *, now: float, margin: float) -> str:
    """
    Say in a sentence what a person's next request comes upon.
    """
    match item.state(
        now, Wanted(subject=item.subjects[-1] if item.subjects else "", margin=margin)
    ):
        case State.LEASED:
            end = duration(item.lease_until - now)
            return f"A token is being generated: the lease ends in {end}."
        case State.COOLING_DOWN:
            left = duration(item.failed_until - now)
            return f"In cool-down after {item.failure}, for {left} more."
        case State.QUEUED:
            return f"Has a turn in {duration(item.turn_at - now)}."
        case _ if item.is_marked:
            return (
                "A generate may have happened whose token was lost: the next request generates "
                "anew."
            )
        case State.EMPTY:
            return "Holds no token: the next request generates."
        case state:
            renewed = ", which the next request renews" if state is State.STALE else ""
            return f"Holds a token for {duration(item.expires_at - now)} more{renewed}."


def duration(seconds: float) -> str:
    """
    Return hours and minutes, or seconds where there are fewer than a minute's.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
