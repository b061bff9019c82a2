"""
Who holds a token; the JWT itself is never read.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from token_vendor.table import Table
from token_vendor.token_item import TokenItem

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


def forget(deployed: Deployed, email: str) -> bool:
    """
    Drop a person's stored token; tell whether there was one.
    """
    stage = table(deployed)
    item = stage.load(TokenItem, email)
    return stage.change(item, TokenItem.forgotten, email).forgets > item.forgets


def duration(seconds: float) -> str:
    """
    Return hours and minutes, or seconds where there are fewer than a minute's.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
