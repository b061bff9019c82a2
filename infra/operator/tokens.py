"""
Who holds a token; the JWT itself is never read.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from token_vendor.token_store import TokenStore

from infra.operator.deployed import Deployed

AURORA_LIFE = 12 * 3600
"""
Seconds: what Aurora documents; the item has the end of a token, not its start.
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


def store(deployed: Deployed) -> TokenStore:
    """
    Return the function's own store, on the stage's table.
    """
    return TokenStore(
        deployed.client("dynamodb"),
        table_name=deployed.outputs["TableName"],
        partition=deployed.settings.partition,
        clock=time.time,
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
            ProjectionExpression="pk, user_id, jti, expires_at",
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
                since=until - AURORA_LIFE,
                until=until,
            )


def state(deployed: Deployed, email: str) -> dict[str, Any]:
    """
    Return what the table holds of a person, without the JWT; empty where it holds nothing.
    """
    item = asdict(store(deployed).read(email))
    item["has_token"] = bool(item.pop("jwt"))
    account = deployed.client("dynamodb").get_item(
        TableName=deployed.outputs["TableName"],
        Key={"pk": {"S": f"{deployed.settings.partition}#{email}"}, "sk": {"S": "ACCOUNT"}},
    )
    parts = {
        "token": item if item["version"] else {},
        "account": {
            name: next(iter(value.values()))
            for name, value in account.get("Item", {}).items()
            if name not in {"pk", "sk"}
        },
    }
    return {name: part for name, part in parts.items() if part}
