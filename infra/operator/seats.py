"""
Seats that nobody uses, and what the table holds of one person: shown whole, or erased with proof.

Nobody is deactivated at Aurora: that is its administrators' to do.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from token_vendor.directory import ACTIVE_ROW, OTHER_ROW
from token_vendor.reading import Reading
from token_vendor.token_item import TokenItem

from infra.operator import switches
from infra.operator.deployed import Deployed
from infra.operator.exits import OperatorError
from infra.operator.tokens import table

LAST_GENERATE = ("expires_at", "lifetime", "ahead", "came")
CREDENTIAL = "jwt"
"""What an export leaves out: a credential of Aurora's, and nothing about the person."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """
    An active account of Aurora's list; `last_generate` is seconds since the epoch, 0 for none.

    A token that was generated ahead counts once its owner has come for it.
    """

    email: str
    user_id: str
    last_generate: float = 0


@dataclass(frozen=True, kw_only=True)
class Unused:
    """The seats without a vend for `days`, of all active ones, as the list was at `read_at`."""

    days: int
    seats: tuple[Seat, ...]
    active: int
    read_at: float


@dataclass(frozen=True, kw_only=True)
class Erased:
    """How many items were deleted, and what a scan of the whole table found afterwards."""

    deleted: int
    scanned: int
    left: tuple[str, ...]


def unused(deployed: Deployed, *, days: int) -> Unused:
    """
    List who has an active account and was vended nothing for so many days.

    If the table does not remember that long, or the list was never read whole, raise
    `OperatorError`.
    """
    if days > (remembered := deployed.settings.kept_days):
        raise OperatorError(
            f"--days {days}: the table remembers a person for {remembered} days at most; set "
            f"kept_days in cdk.json, which holds for the tokens of the days to come"
        )
    reading = table(deployed).get(Reading.sk)
    if "read_at" not in reading:
        raise OperatorError(
            "Aurora's list was never read to its end: set directory_schedule in cdk.json"
        )
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    row = ("user_id", "seen_at")
    for sk, names in ((ACTIVE_ROW, row), (OTHER_ROW, row), (TokenItem.sk, LAST_GENERATE)):
        for email, item in table(deployed).scan(sk, names):
            rows.setdefault(email, {})[sk] = item
    since = time.time() - days * 86_400
    seats = [
        Seat(email=email, user_id=its[ACTIVE_ROW]["user_id"], last_generate=_generated(its))
        for email, its in sorted(rows.items())
        if _is_active(its, reading["read_since"])
    ]
    idle = tuple(seat for seat in seats if seat.last_generate < since)
    return Unused(days=days, seats=idle, active=len(seats), read_at=reading["read_at"])


def export(deployed: Deployed, email: str) -> dict[str, dict[str, Any]]:
    """Return a person's items by their sort key, without the JWT; and a block of the person."""
    keys = [(key["sk"]["S"], email) for key in _keys(deployed, email)]
    items = table(deployed).get_all(keys) if keys else {}
    found = {
        sk: {name: value for name, value in item.items() if name != CREDENTIAL}
        for (sk, _), item in items.items()
    }
    if blocks := [
        list(each.row) for each in switches.board(deployed).entries if each.value == email
    ]:
        found["CONTROL"] = {"entries": blocks}
    return found


def erase(deployed: Deployed, email: str) -> Erased:
    """
    Delete all items of a person, and look through the whole table for what is left of it.

    A block names its person and has to be cleared first: that raises `OperatorError`.
    """
    if any(each.value == email for each in switches.board(deployed).entries):
        raise OperatorError(f"{email} is blocked: token-vendor switch block {email} --clear first")
    dynamodb, name = deployed.client("dynamodb"), deployed.outputs["TableName"]
    keys = list(_keys(deployed, email))
    for key in keys:
        dynamodb.delete_item(TableName=name, Key=key)
    # A block that has ended names a person until something else is switched.
    switches.tidy(deployed)
    # Also below the keys of another tenant, or in the reason of a switch.
    named = re.compile(rf"(^|^[a-z]+#[^#]+#|[\s(<]){re.escape(email)}($|[\s)>.,;:])", re.IGNORECASE)
    scanned, left = 0, []
    for page in dynamodb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True):
        for item in page["Items"]:
            scanned += 1
            if any(map(named.search, _texts(item))):
                left.append(item["sk"]["S"])
    return Erased(deleted=len(keys), scanned=scanned, left=tuple(left))


def _keys(deployed: Deployed, email: str) -> Iterator[Any]:
    """Yield the keys of a person's items."""
    pages = (
        deployed.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=deployed.outputs["TableName"],
            ConsistentRead=True,
            KeyConditionExpression="pk = :person",
            ProjectionExpression="pk, sk",
            ExpressionAttributeValues={":person": {"S": f"{deployed.settings.partition}#{email}"}},
        )
    )
    for page in pages:
        yield from page["Items"]


def _is_active(items: Mapping[str, Mapping[str, Any]], read_since: float) -> bool:
    """Tell whether the last whole reading, or something newer, named the account as active."""
    row, other = items.get(ACTIVE_ROW), items.get(OTHER_ROW, {"seen_at": 0})
    return row is not None and row["seen_at"] >= max(read_since, other["seen_at"])


def _generated(items: Mapping[str, Mapping[str, Any]]) -> float:
    token = items.get(TokenItem.sk, {})
    if "ahead" in token:
        return float(max(token.get("came", ()), default=0))
    return float(token.get("expires_at", 0) - token.get("lifetime", 0))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
